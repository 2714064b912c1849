"""A dispatcher on a pool on disk, without a proxy around it: requests are put to it, and told how they ended."""

import json
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from mitmproxy.test import tflow

from support import logins
from understudy.pool.account import Account, Block, Ground, Lane, Tokens
from understudy.pool.pool import over_accounts
from understudy.proxy.archive import Archive
from understudy.proxy.catalogue import Catalogue
from understudy.proxy.dispatch import Dispatcher
from understudy.proxy.jobs import Jobs
from understudy.proxy.memory import Memory
from understudy.proxy.options import Settings, read_offline
from understudy.proxy.roster import Roster
from understudy.proxy.turn import Attempt, Sent, Turn, Wait
from understudy.state.accounts import AccountStore
from understudy.state.quota import QuotaCache
from understudy.state.tokens import TokenKeeper
from understudy.wire.outcome import Kind, Outcome
from understudy.wire.relay import Relay
from understudy.wire.reply import Headers, openai_error
from understudy.wire.secret import Secret

MODEL = "gpt-5"
HOST_FIELDS = ((b"authorization", b"Bearer sk-of-the-host"),)


def able(name: str) -> Account:
    """An account that can serve: its token is good for a day."""
    return logins.account(name, expires_at=time.time() + 86400)


def paid(name: str) -> Account:
    """A key of the OpenAI Platform."""
    tokens = Tokens(Secret(f"sk-{logins.CANARY}-{name}"), Secret(""), Secret(""), time.time() + 86400)
    return replace(logins.account(name), tokens=tokens, lane=Lane.PLATFORM, plan="", user_id="")


def blocked(account: Account, seconds: float = 600, *, ground: Ground = Ground.LIMIT, model: str = "") -> Account:
    """The account, not to be asked for so many seconds from now."""
    now = time.time()
    block = Block(now + seconds, "usage limit", ground is Ground.LIMIT, ground=ground, model=model, since=now)
    return replace(account, blocks=(*account.blocks, block))


def limit(seconds: float = 600) -> Outcome:
    """A usage limit, as the end of an attempt."""
    reply = openai_error(429, "used up", type="usage_limit_reached", code="usage_limit_reached")
    return Outcome(Kind.USAGE_LIMIT, 429, "usage limit", time.time() + seconds, authoritative=True, reply=reply)


def event(type: str, **fields: object) -> bytes:
    """One event of an answer's stream."""
    return f"event: {type}\ndata: {json.dumps({'type': type, **fields})}\n\n".encode()


class Desk:
    """What a proxy has for the requests of its life, and what it does with one."""

    def __init__(self, home: Path, accounts: tuple[Account, ...], *options: str) -> None:
        self._home = home
        store = AccountStore(home)
        store.update(over_accounts(lambda _: accounts))
        settings = self._settings(options)
        self.roster = Roster(store, QuotaCache(home))
        self.memory = Memory(self.roster)
        keeper = TokenKeeper(store, settings.issuer)
        jobs, catalogue = Jobs(Archive(home, settings)), Catalogue()
        self.dispatcher = Dispatcher(settings, self.roster, keeper, self.memory, jobs, catalogue, Random(1))

    def set(self, *options: str) -> None:
        """These options, and no others, from now on."""
        self.dispatcher.apply(self._settings(options))

    def known(self, label: str) -> Account:
        """An account as the proxy sees it."""
        return next(account for account in self.roster.accounts() if account.label == label)

    def lift(self, label: str) -> None:
        """Nothing keeps the account from serving any more."""
        self.roster.change(self.known(label).id, lambda account: replace(account, blocks=()))

    async def ask(self, *, model: str = MODEL, session: str = "", input: object = "hi", stream: bool = True) -> Turn:
        """A request comes in."""
        turn = request(model=model, session=session, input=input, stream=stream)
        await self.dispatcher.prepare(turn)
        return turn

    async def fail(self, turn: Turn, outcome: Outcome) -> None:
        """The attempt that was next is sent, and ends so."""
        self.send(turn)
        turn.sent[-1].outcome, turn.sent[-1].ended_at = outcome, time.monotonic()
        await self.dispatcher.decide(turn)

    def send(self, turn: Turn, *, headers: Headers = ()) -> Sent:
        """The attempt that was next is sent, and the head of an answer is here."""
        assert isinstance(turn.next, Attempt)
        sent = Sent(turn.next, time.monotonic(), time.time())
        turn.sent.append(sent)
        turn.next, turn.relay, turn.response_headers = None, Relay(turn.relay_options, None), headers
        return sent

    def commit(self, turn: Turn, *, headers: Headers = ()) -> None:
        """The attempt that was next is sent, and its answer shows output."""
        self.send(turn, headers=headers)
        assert turn.relay is not None
        turn.relay.feed(event("response.created", response={"id": "resp_1"}), time.time())
        turn.relay.feed(event("response.output_text.delta", delta="Hello"), time.time())
        turn.sent[-1].committed_at = time.monotonic()
        self.dispatcher.learner.committed(turn)

    def end(self, turn: Turn) -> None:
        """The answer that was committed ends well."""
        assert turn.relay is not None
        usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0}}
        turn.relay.feed(event("response.completed", response={"id": "resp_1", "usage": usage}), time.time())
        self.dispatcher.learner.finished(turn)

    def answer(self, turn: Turn, *, headers: Headers = ()) -> None:
        """The attempt that was next gives a whole answer."""
        self.commit(turn, headers=headers)
        self.end(turn)

    def _settings(self, options: tuple[str, ...]) -> Settings:
        return read_offline(options, str(self._home / "mitmproxy"))


def request(*, model: str = MODEL, session: str = "", input: object = "hi", stream: bool = True) -> Turn:
    """A claimed request of a host, whose own key is kept for the case that it is let go."""
    flow = tflow.tflow()
    flow.request.method, flow.request.path = "POST", "/v1/responses"
    fields = {"content-type": "application/json"} | ({"session_id": session} if session else {})
    flow.request.headers.fields = tuple((name.encode(), value.encode()) for name, value in fields.items())
    flow.request.raw_content = json.dumps({"model": model, "input": input, "stream": stream}).encode()
    return Turn(flow, time.monotonic(), kept=HOST_FIELDS)


def who(turn: Turn) -> str:
    """What comes next: the label of an account, or `waits`, or `refused`."""
    if isinstance(turn.next, Attempt):
        return turn.next.account.label
    return "waits" if isinstance(turn.next, Wait) else "refused"
