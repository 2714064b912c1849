"""The addon: mitmproxy's events, each decided in a few lines and carried out elsewhere."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random

from mitmproxy import command, ctx, eventsequence, http
from mitmproxy.addonmanager import Loader
from mitmproxy.exceptions import CommandError, OptionsError
from mitmproxy.proxy import layer

from understudy.pool import edits
from understudy.pool.account import Lane
from understudy.pool.choose import candidates
from understudy.pool.pool import Pool
from understudy.proxy import internal, refusals, views
from understudy.proxy.ahead import Ahead
from understudy.proxy.archive import Archive
from understudy.proxy.catalogue import Catalogue
from understudy.proxy.claim import Claim, Leave, Refuse, Verdict
from understudy.proxy.counting import counted
from understudy.proxy.dispatch import Dispatcher
from understudy.proxy.guard import Guard, guard_of
from understudy.proxy.jobs import Jobs
from understudy.proxy.layer import replaying
from understudy.proxy.memory import Memory
from understudy.proxy.messages import place_of, response_of, take_credentials
from understudy.proxy.names import is_keyless
from understudy.proxy.options import add_options, read_settings, turn_on_needs
from understudy.proxy.presence import Presence
from understudy.proxy.roster import Roster, Shown
from understudy.proxy.sharing import Sharing
from understudy.proxy.signals import end_at_hang_up
from understudy.proxy.turn import Attempt, Follow, Turn, Upgrade, Wait
from understudy.state.accounts import AccountStore
from understudy.state.catalogue import CatalogueFile
from understudy.state.errors import StateError
from understudy.state.home import home
from understudy.state.quota import QuotaCache
from understudy.state.tokens import TokenKeeper
from understudy.wire.endpoints import Endpoint
from understudy.wire.reply import Reply
from understudy.wire.request import RequestRefused
from understudy.wire.text import safe_text

logger = logging.getLogger(__name__)


class Understudy:
    """Claims the Responses calls of unmodified programs and has the user's own accounts carry them out."""

    def __init__(self) -> None:
        self._guard: Guard
        self._store: AccountStore
        self._dispatcher: Dispatcher
        self._done_at_start: list[str] = []
        self._sharing: Sharing
        self._ahead: Ahead
        self._tasks: list[asyncio.Task[None]] = []

    # Life

    def load(self, loader: Loader) -> None:
        """Registers the options. The guard comes first, and stays, whatever becomes of this script."""
        self._guard = guard_of(ctx.master)
        with _told():
            add_options(loader)
            settings = read_settings(ctx.options)
        self._done_at_start = turn_on_needs(ctx.options)
        folder = home()
        self._store = AccountStore(folder)
        keeper = TokenKeeper(self._store, settings.issuer)
        roster = Roster(self._store, QuotaCache(folder))
        jobs = self._guard.jobs = self._guard.jobs or Jobs(Archive(folder, settings))
        catalogue = Catalogue(CatalogueFile(folder))
        self._dispatcher = Dispatcher(settings, roster, keeper, Memory(roster), jobs, catalogue, Random())
        self._guard.turns.new_memory = jobs.archive.new_memory
        presence = self._guard.presence = self._guard.presence or Presence(folder)
        self._sharing = Sharing(folder, self._dispatcher, self._guard.turns, presence)
        self._ahead = Ahead(roster, self._store, keeper)
        self._guard.endings.append(self._dispatcher.end)

    def configure(self, updated: set[str]) -> None:
        """Checks the options and applies them to the next request."""
        with _told():
            settings = read_settings(ctx.options)
        self._store.keyring = settings.keyring
        self._dispatcher.apply(settings)

    def running(self) -> None:
        """Says what will happen to requests, and which of mitmproxy's options were turned on for it."""
        loop = asyncio.get_running_loop()
        assert self._guard.presence is not None
        self._guard.presence.begin(ctx.master.shutdown)
        self._sharing.begin()
        for work in (self._dispatcher.roster.keep_writing(), self._ahead.keep_fresh(), self._sharing.keep()):
            self._tasks.append(loop.create_task(work))
        self._dispatcher.roster.stir()
        end_at_hang_up(ctx.master.shutdown)
        for line in (*self._done_at_start, self._banner()):
            logger.info("understudy: %s", line)

    def done(self) -> None:
        """Writes what is not written yet."""
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            self._dispatcher.roster.show(Shown(upcoming=""))  # Nobody is there to carry it out.
            self._dispatcher.roster.write()
            self._sharing.end()

    # Connections

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Lets mitmproxy decide, then puts the replaying layer in the place of its HTTP layer."""
        ctx.master.addons.get("nextlayer").next_layer(nextlayer)
        if nextlayer.layer is not None:
            nextlayer.layer = replaying(nextlayer.layer, self._guard.turns)

    # Requests

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Claims a request, or refuses it, or leaves it alone."""
        if not flow.live:
            return
        with _seam(flow):
            if internal.concerns(flow):
                self._answer_ourselves(flow)
                return
            verdict = self._verdict(flow)
            if isinstance(verdict, Leave):
                self._count_passed(verdict.to_our_hosts)
                return
            fields, keyless = flow.request.headers.fields, is_keyless(flow)
            take_credentials(flow.request)
            if flow.response is not None or flow.error is not None:
                return  # Somebody before us has answered: mitmproxy's proxyauth, or an addon of the user.
            if isinstance(verdict, Refuse):
                self._refuse(flow, verdict.reply)
            else:
                # Armed now, lifted by the last statement of `request`: whatever goes wrong in between, it stays.
                flow.response = self._guard.refusal()
                self._guard.turns.open(self._turn(flow, verdict.endpoint, () if keyless else fields))

    async def request(self, flow: http.HTTPFlow) -> None:
        """Prepares a claimed request's first attempt."""
        turn = self._guard.turns.get(flow)
        if turn is None or not flow.live:
            return
        with _seam(flow):
            try:
                await self._dispatcher.prepare(turn)
            except RequestRefused as refused:
                turn.next = refused.reply
            except StateError as error:
                turn.next, turn.told = refusals.no_state(str(error)), ()
            if turn.released:
                self._release(turn)
            elif isinstance(turn.next, Reply):
                turn.answered = turn.next.status < 400
                turn.refused_as = "" if turn.answered else refusals.code_of(turn.next)
                flow.response = response_of(turn.next)
            elif isinstance(turn.next, Attempt | Wait | Upgrade | Follow):
                turn.answered = isinstance(turn.next, Upgrade | Follow)
                flow.response = None

    async def codex_attempt_ended(self, turn: Turn) -> None:
        """Decides what follows an attempt of which nothing was delivered, and shows it as a flow of its own."""
        followed_by = ""
        with _seam(turn.flow, turn):
            followed_by = await self._dispatcher.decide(turn)
        with _seam():
            if turn.next is not turn.sent[-1].outcome_reply:
                await _show(turn, followed_by)
        with _seam(turn.flow, turn):
            self._dispatcher.write_request(turn)

    async def codex_waited(self, turn: Turn) -> None:
        """Decides anew for a request that has waited for a limit to end."""
        with _seam(turn.flow, turn):
            await self._dispatcher.look_again(turn)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """An answer is committed."""
        turn = self._guard.turns.get(flow)
        if turn is not None and turn.sent and turn.sent[-1].committed_at is not None:
            self.codex_committed(turn)

    def codex_committed(self, turn: Turn) -> None:
        """An answer is committed whose host had its head already."""
        with _seam():
            self._dispatcher.committed(turn)

    def response(self, flow: http.HTTPFlow) -> None:
        """A claimed request has been answered."""
        with _seam():
            self._ended(flow, None)

    def error(self, flow: http.HTTPFlow) -> None:
        """A claimed request's host has hung up."""
        with _seam():
            self._ended(flow, flow.error.msg if flow.error else "error")

    # Commands

    @command.command("codex.status")
    def codex_status(self) -> str:
        """The accounts, their windows and resets, as the JSON that `understudy status --json` prints."""
        return json.dumps(self._dispatcher.roster.status(), indent=2)

    @command.command("codex.accounts")
    def codex_accounts(self) -> Sequence[str]:
        """The labels of the accounts in the pool, in the pool's order."""
        return [account.label for account in self._dispatcher.roster.accounts()]

    @command.command("codex.use")
    def codex_use(self, label: str, soft: str = "") -> str:
        """Pins an account; with "soft" as the second argument the others serve while it cannot."""
        if soft not in ("", "soft"):
            raise CommandError(f"not understood: {soft!r} (codex.use LABEL, or codex.use LABEL soft)")
        self._edit(lambda pool: edits.pin(pool, label, soft=bool(soft)))
        return f"{label} is {'preferred' if soft else 'pinned'}"

    @command.command("codex.unpin")
    def codex_unpin(self) -> str:
        """Takes the pin away: the accounts are chosen again."""
        self._edit(edits.unpin)
        return "the pin is taken away"

    @command.command("codex.enable")
    def codex_enable(self, label: str) -> str:
        """Lets a disabled account serve again."""
        self._edit(lambda pool: edits.enable(pool, label, True))
        return f"{label} is enabled"

    @command.command("codex.disable")
    def codex_disable(self, label: str) -> str:
        """Keeps an account out of use until it is enabled again."""
        self._edit(lambda pool: edits.enable(pool, label, False))
        return f"{label} is disabled"

    # Helpers

    def _edit(self, change: Callable[[Pool], Pool]) -> None:
        try:
            self._dispatcher.roster.edit(change)
        except (ValueError, StateError) as error:
            raise CommandError(str(error)) from None

    def _answer_ourselves(self, flow: http.HTTPFlow) -> None:
        if flow.response is None and flow.error is None and self._guard.presence is not None:
            flow.response = internal.answer(flow, self._guard.presence)

    def _count_passed(self, to_our_hosts: bool) -> None:
        if to_our_hosts and (presence := self._guard.presence) is not None:
            presence.tally = replace(presence.tally, passed=presence.tally.passed + 1)

    def _verdict(self, flow: http.HTTPFlow) -> Verdict:
        seated = self._guard.turns.seated(flow)
        if isinstance(seated, Leave | Claim):
            return seated
        # What was refused by its names is looked at again: mitmproxy's proxyauth has spoken by now.
        verdict = self._guard.verdict(flow)
        if isinstance(verdict, Claim) and seated is None:
            return Refuse(refusals.not_replayable("its connection was opened while the script was not loaded"))
        return verdict

    def _turn(self, flow: http.HTTPFlow, endpoint: Endpoint, fields: tuple[tuple[bytes, bytes], ...]) -> Turn:
        turn = Turn(flow, time.monotonic(), endpoint, self._guard.turns.memory(flow))
        if self._dispatcher.settings.passthrough:
            turn.kept = fields
        if flow.is_replay == "request":
            shown = flow.metadata.get(views.METADATA)
            turn.replayed_stream = shown.get("stream") if isinstance(shown, dict) else None
        return turn

    def _release(self, turn: Turn) -> None:
        """Lets a request go as it came: no account has its model, and the user wants the host's own key to pay."""
        flow, request = turn.flow, turn.request
        assert request is not None
        flow.request.headers.fields = turn.kept
        self._guard.turns.release(flow)
        self._count_passed(True)
        line = views.Line("", 0, None, "let go: no account has the model, so the program's own key pays", 0.0)
        views.mark(flow, line, False, views.RELEASED)
        logger.warning("understudy: %s asks for %s: %s", request.host_name, safe_text(turn.asked), line.reason)
        flow.response = None

    def _refuse(self, flow: http.HTTPFlow, reply: Reply) -> None:
        flow.response = response_of(reply)
        line = views.Line("", 0, reply.status, refusals.code_of(reply), 0.0)
        views.mark(flow, line, False, views.REFUSED)
        logger.info("%s", line)

    def _ended(self, flow: http.HTTPFlow, error: str | None) -> None:
        turn = self._guard.turns.close(flow)
        if turn is None:
            return
        self._dispatcher.finished(turn)
        status = flow.response.status_code if flow.response else None
        line = views.last_line(turn, status, error, time.monotonic(), time.time())
        committed = bool(turn.sent) and turn.sent[-1].committed_at is not None
        whole = turn.broken is None and not turn.failed_as
        served = error is None and whole and (committed or turn.answered) and status is not None and status < 400
        if (presence := self._guard.presence) is not None:
            presence.tally = counted(presence.tally, turn, served=served, left=error is not None)
        shown = views.FAILED if turn.sent and not turn.given_up else views.REFUSED
        marker = views.SERVED if served else shown
        views.mark(flow, line, turn.relay_options.stream, marker)
        logger.info("%s (%.0f ms)", line, line.seconds * 1000)

    def _banner(self) -> str:
        settings, accounts = self._dispatcher.settings, self._dispatcher.roster.accounts()
        calls = f"calls of the Responses and Chat Completions APIs on {', '.join(sorted(settings.scope.all))}"
        if self._dispatcher.roster.trouble:
            return f"{calls} will be refused: the accounts cannot be read"
        if not accounts:
            return f"{calls} will be refused: the pool is empty. Add an account: {refusals.ADD_ACCOUNT}"
        rules = self._dispatcher.rules()
        may_serve = candidates(accounts, rules.pin)
        if not may_serve and rules.pin:
            return f"{calls} will be refused: codex_account names {rules.pin.name!r}, and no account is called so"
        free, paid = ([a.label for a in may_serve if (a.lane is lane)] for lane in (Lane.CODEX, Lane.PLATFORM))
        carried = f"{calls} are carried out by {', '.join(free) or 'no ChatGPT account'}"
        return f"{carried}; for money, where nobody else can: {', '.join(paid)}" if paid and rules.overflow else carried


@contextmanager
def _told() -> Iterator[None]:
    """Logs what is wrong with an option, and so ends mitmproxy at its start: it loads scripts in a task of its own,
    which an OptionsError would end without a word."""
    try:
        yield
    except OptionsError as error:
        logger.error("understudy: %s", error)
        raise


@contextmanager
def _seam(flow: http.HTTPFlow | None = None, turn: Turn | None = None) -> Iterator[None]:
    """The outermost seam of a hook. mitmproxy would log an exception and let the flow go on unmodified, or, where it
    is no ordinary one, leave the host hanging. `flow`: what is refused where the hook fails; without one, its answer
    is on its way already, and goes on.
    """
    try:
        yield
    except BaseException as error:
        logger.error("understudy: a hook failed: %s", place_of(error))
        if turn is not None:
            turn.next = None
        if flow is not None:
            flow.response = response_of(refusals.undecided())
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise


async def _show(turn: Turn, followed_by: str) -> None:
    """Logs an attempt that was not delivered, and hands a flow of its own to the other addons: mitmweb, `-w`."""
    line = views.failed_line(turn, turn.sent[-1], followed_by, time.time())
    logger.info("%s (%.0f ms)", line, line.seconds * 1000)
    for event in eventsequence.iterate(views.attempt_flow(turn, line, time.time() - time.monotonic())):
        await ctx.master.addons.handle_lifecycle(event)
