"""What only one account can read: encrypted reasoning that moves or is left out, and what holds a session where it is.

Whether reasoning may move is not for us to know: backends were seen to take it from any account, to refuse it at once,
and to refuse it after the answer's first events (`encrypted` in the sandbox's scenario).
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.theatre import Heard, Json, Theatre, backend_stream, opened_theatre, roles
from support.witness import Witness
from understudy.pool import edits
from understudy.sandbox.server import Sandbox

TEXT = "The play goes on."
ANSWER: Json = {"do": "answer", "text": TEXT}
LIMIT: Json = {"do": "usage_limit", "resets_in": 3600}
ERROR: Json = {"do": "server_error"}
USER: Json = {"type": "message", "role": "user", "content": "go on"}
MINE = {"session_id": "mine"}
MODEL = "gpt-5.5"
STALE: Json = {
    "do": "invalid_request",
    "code": "invalid_encrypted_content",
    "message": "The encrypted content gAAA...xxxx could not be verified. Reason: it is a rainy day.",
}
LEFT_OUT = "retry_same_account_after_stale_reasoning"

Make = Callable[..., Theatre]


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    return Witness(tmp_path_factory.mktemp("witness"))


@pytest.fixture(scope="module")
def make(
    tmp_path_factory: pytest.TempPathFactory, confdir_template: Path, authority_file: Path, witness: Witness
) -> Iterator[Make]:
    """Starts a theatre whose backend treats encrypted content so."""
    with ExitStack() as stack:

        def start(**rules: object) -> Theatre:
            folder = tmp_path_factory.mktemp("theatre")
            confdir = shutil.copytree(confdir_template, folder / "confdir")
            sandbox = Sandbox({**roles(), **rules})
            options = {"arguments": witness.arguments, "codex_strategy": "drain"}
            return stack.enter_context(
                opened_theatre(sandbox, folder / "understudy", confdir, authority_file, **options)
            )

        yield start


@pytest.fixture(scope="module")
def portable(make: Make) -> Theatre:
    return make()


@pytest.fixture(scope="module", params=["bound", "bound_late"])
def bound(request: pytest.FixtureRequest, make: Make) -> Theatre:
    return make(encrypted=request.param)


@pytest.fixture(scope="module")
def wordless(make: Make) -> Theatre:
    """Its refusals do not say which item they mean."""
    return make(encrypted="bound", encrypted_names_item=False)


def made_by(theatre: Theatre, role: str, kind: str = "reasoning") -> Json:
    """An item as the account's earlier answer left it behind."""
    return theatre.sandbox.item(theatre.login(role), kind)


def inputs(theatre: Theatre) -> list[object]:
    """The items of each call to the backend."""
    bodies = [call.body for call in theatre.calls]
    return [body["input"] for body in bodies if isinstance(body, dict)]


def assert_is_clean(theatre: Theatre, heard: Heard) -> None:
    """The host got the last call's answer, and nothing else."""
    assert heard.status == 200
    assert heard.body == backend_stream(theatre.calls[-1], ANSWER, heard.body)


# Reasoning that moves


def test_reasoning_goes_to_another_account_byte_for_byte(portable: Theatre) -> None:
    portable.cast(work=LIMIT, home=ANSWER)
    item = json.dumps(made_by(portable, "work"), indent=1)
    body = f'{{ "model":"{MODEL}","stream" :true, "input":[{item} ,\n{json.dumps(USER)}],"store":false}}'
    assert_is_clean(portable, portable.ask(body.encode()))
    limited, answered = portable.calls
    assert portable.asked == ["work", "home"]
    assert limited.content == answered.content and item.encode() in answered.content


def test_reasoning_of_an_account_that_is_gone_goes_on_too(portable: Theatre) -> None:
    portable.cast(home=ANSWER)
    item = made_by(portable, "work")
    assert_is_clean(portable, portable.ask(input=[item, USER]))
    assert inputs(portable) == [[item, USER]]


# Reasoning that is refused


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "JSON"])
def test_reasoning_that_another_account_cannot_read_is_left_out(bound: Theatre, witness: Witness, stream: bool) -> None:
    bound.cast(work=LIMIT, home=ANSWER)
    witness.news()
    heard = bound.ask(stream=stream, input=[USER, made_by(bound, "work"), USER])
    assert bound.asked == ["work", "home", "home"]
    if stream:
        assert_is_clean(bound, heard)
    else:
        assert (heard.status, heard.json["status"]) == (200, "completed")
    assert [seen.code for seen in witness.news()] == ["retry_other_account_after_usage_limit", LEFT_OUT, ""]


def test_all_else_of_the_request_stays_as_it_was(bound: Theatre) -> None:
    bound.cast(work=LIMIT, home=ANSWER)
    bound.ask(input=[USER, made_by(bound, "work"), USER], reasoning={"effort": "low"}, prompt_cache_key="key")
    refused, answered = (call.body for call in bound.calls[1:])
    assert isinstance(refused, dict)
    assert answered == {**refused, "input": [USER, USER]}


def test_reasoning_in_front_of_what_could_not_be_read_stays(bound: Theatre) -> None:
    bound.cast(home=ANSWER)
    own, foreign = made_by(bound, "home"), made_by(bound, "work")
    assert_is_clean(bound, bound.ask(input=[own, USER, foreign, USER]))
    assert inputs(bound)[-1] == [own, USER, USER]


def test_a_long_conversation_with_another_account_is_one_retry(bound: Theatre) -> None:
    bound.cast(work=LIMIT, home=ANSWER)
    items = [item for _ in range(5) for item in (USER, made_by(bound, "work"))]
    assert_is_clean(bound, bound.ask(input=[*items, USER]))
    assert bound.asked == ["work", "home", "home"]
    assert inputs(bound)[-1] == [USER] * 6


def test_where_the_refusal_names_no_item_all_reasoning_is_left_out(wordless: Theatre) -> None:
    wordless.cast(home=ANSWER)
    own, foreign = made_by(wordless, "home"), made_by(wordless, "work")
    assert_is_clean(wordless, wordless.ask(input=[own, USER, foreign, USER]))
    assert inputs(wordless)[-1] == [USER, USER]


@pytest.mark.parametrize("at", [0, 40, -1], ids=["first", "middle", "last"])
def test_ciphertext_that_was_damaged_is_left_out_on_its_own_account(portable: Theatre, at: int) -> None:
    portable.cast(work=ANSWER, home=ANSWER)
    item = made_by(portable, "work")
    text = list(str(item["encrypted_content"]))
    text[at] = "x" if text[at] != "x" else "y"
    assert_is_clean(portable, portable.ask(input=[USER, {**item, "encrypted_content": "".join(text)}, USER]))
    assert portable.asked == ["work", "work"]
    assert inputs(portable)[-1] == [USER, USER]


def test_a_second_refusal_is_the_last_word(portable: Theatre, witness: Witness) -> None:
    portable.cast(work=STALE, home=ANSWER)
    witness.news()
    heard = portable.ask(input=[made_by(portable, "work"), USER])
    assert (heard.status, heard.error["code"]) == (400, "invalid_encrypted_content")
    assert heard.error["message"] == STALE["message"]
    assert portable.asked == ["work", "work"]
    assert [seen.code for seen in witness.news()] == [LEFT_OUT, "no_retry_after_stale_reasoning"]


def test_where_there_is_nothing_to_leave_out_the_refusal_is_the_last_word(portable: Theatre) -> None:
    portable.cast(work=STALE, home=ANSWER)
    heard = portable.ask()
    assert (heard.status, heard.error["code"], portable.asked) == (400, "invalid_encrypted_content", ["work"])


def test_nobody_rests_because_of_it(bound: Theatre) -> None:
    bound.cast(work=LIMIT, home=ANSWER)
    bound.ask(input=[made_by(bound, "work"), USER])
    assert bound.ask().text == TEXT
    assert bound.asked[3:] == ["home"]
    assert bound.account("home").blocks == ()


# What holds a session


def held(theatre: Theatre, kind: str) -> Json:
    """An item of the first account's that no other account can read."""
    if kind in ("file", "picture"):
        id = theatre.sandbox.file_id(theatre.login("work"))
        part = {"type": "input_file", "file_id": id} if kind == "file" else {"type": "input_image", "image_url": id}
        if kind == "picture":
            part["image_url"] = f"sediment://{id}"
        return {"type": "message", "role": "user", "content": [part]}
    return made_by(theatre, "work", kind)


HELD = ["compaction", "compaction_summary", "context_compaction", "agent_message", "file", "picture"]


@pytest.mark.parametrize("kind", HELD)
def test_a_held_session_waits_for_its_account_though_others_could_serve(portable: Theatre, kind: str) -> None:
    portable.cast(work=[ANSWER, {**LIMIT, "resets_in": 600}], home=ANSWER)
    portable.ask(headers=MINE)
    for _ in range(2):
        heard = portable.ask(headers=MINE, input=[held(portable, kind), USER])
        assert (heard.status, heard.error["code"]) == (429, "usage_limit_reached")
        seconds = heard.error["resets_in_seconds"]
        assert isinstance(seconds, int) and 590 <= seconds <= 601
        assert "home: only work can read this conversation" in str(heard.error["message"])
    assert portable.asked == ["work", "work"]


def test_a_held_session_is_its_account_s_whoever_is_first(portable: Theatre, witness: Witness) -> None:
    portable.cast(home=ANSWER, work=ANSWER, disabled=["home"])
    portable.ask(headers=MINE)
    portable.store.update(lambda pool: edits.enable(pool, "home", True))
    witness.news()
    portable.ask()
    portable.ask(headers=MINE, input=[held(portable, "compaction"), USER])
    assert [(seen.account, seen.chosen_by) for seen in witness.news()] == [("home", "drain"), ("work", "held")]


def test_a_held_session_whose_account_is_in_trouble_may_be_tried_again(portable: Theatre) -> None:
    portable.cast(retries=2, work=[ANSWER, ERROR, ERROR, ANSWER], home=ANSWER)
    portable.ask(headers=MINE)
    heard = portable.ask(headers=MINE, input=[held(portable, "compaction"), USER])
    assert (heard.status, heard.error["code"]) == (503, "understudy_no_account")
    assert portable.asked == ["work"] * 3
    assert portable.ask(headers=MINE, input=[held(portable, "compaction"), USER]).text == TEXT
    assert portable.asked == ["work"] * 4


def test_a_held_session_whose_account_is_disabled_is_told_so(portable: Theatre) -> None:
    portable.cast(work=ANSWER, home=ANSWER)
    portable.ask(headers=MINE)
    portable.store.update(lambda pool: edits.enable(pool, "work", False))
    heard = portable.ask(headers=MINE, input=[held(portable, "compaction"), USER])
    assert heard.status == 503
    assert "work: disabled" in str(heard.error["message"])
    assert portable.asked == ["work"]


def test_the_same_session_moves_on_where_nothing_holds_it(portable: Theatre) -> None:
    portable.cast(work=[ANSWER, LIMIT], home=ANSWER)
    portable.ask(headers=MINE)
    assert portable.ask(headers=MINE, input=[made_by(portable, "work"), USER]).text == TEXT
    assert portable.asked == ["work", "work", "home"]


def test_held_content_of_a_session_that_nobody_knows_is_refused_by_the_backend_alone(portable: Theatre) -> None:
    portable.cast(home=ANSWER, work=ANSWER)
    heard = portable.ask(headers={"session_id": "never seen"}, input=[held(portable, "compaction"), USER])
    assert (heard.status, heard.error["code"], portable.asked) == (400, "invalid_encrypted_content", ["home"])


# Turn state


WAYS = pytest.mark.parametrize("in_body", [False, True], ids=["in a header field", "in the body"])


def ask_with(theatre: Theatre, state: str, in_body: bool, session: str = "mine") -> Heard:
    """A request that brings a turn state back."""
    fields = {"session_id": session}
    if in_body:
        metadata = {"thread_id": session, "x-codex-turn-state": state, "n": "1"}
        return theatre.ask(headers=fields, client_metadata=metadata)
    return theatre.ask(headers={**fields, "x-codex-turn-state": state})


def reached(theatre: Theatre, state: str) -> list[tuple[str, bool]]:
    """Whom the calls went to, and whether the turn state was anywhere in them."""
    sent = [f"{call.headers}{call.content.decode()}" for call in theatre.calls]
    return [(role, state in text) for role, text in zip(theatre.asked, sent, strict=True)]


@WAYS
def test_a_turn_state_goes_back_to_the_account_that_gave_it(portable: Theatre, in_body: bool) -> None:
    portable.cast(work=ANSWER, home=ANSWER)
    state = portable.ask(headers=MINE).headers["x-codex-turn-state"]
    ask_with(portable, state, in_body)
    assert reached(portable, state) == [("work", False), ("work", True)]


@WAYS
def test_a_turn_state_never_goes_to_another_account(portable: Theatre, in_body: bool) -> None:
    portable.cast(work=[ANSWER, LIMIT], home=ANSWER)
    state = portable.ask(headers=MINE).headers["x-codex-turn-state"]
    assert [ask_with(portable, state, in_body).text for _ in range(2)] == [TEXT] * 2
    assert reached(portable, state) == [("work", False), ("work", True), ("home", False), ("home", False)]


@WAYS
def test_a_turn_state_leads_to_its_account_whichever_session_brings_it(portable: Theatre, in_body: bool) -> None:
    portable.cast(home=ANSWER, work=ANSWER, disabled=["home"])
    state = portable.ask(headers=MINE).headers["x-codex-turn-state"]
    portable.store.update(lambda pool: edits.enable(pool, "home", True))
    ask_with(portable, state, in_body, session="a sub-agent's")
    assert reached(portable, state)[1:] == [("work", True)]


def test_the_rest_of_the_client_s_metadata_goes_to_any_account(portable: Theatre) -> None:
    portable.cast(work=[ANSWER, LIMIT], home=ANSWER)
    state = portable.ask(headers=MINE).headers["x-codex-turn-state"]
    ask_with(portable, state, in_body=True)
    body = portable.calls[-1].body
    assert isinstance(body, dict)
    assert body["client_metadata"] == {"thread_id": "mine", "n": "1"}
