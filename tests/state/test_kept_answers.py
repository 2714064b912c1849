"""The answers that are kept, in memory and on disk: what is found again, and within which bounds."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from understudy.state.answers.book import Bounds
from understudy.state.answers.store import Answers, Mode, open_answers
from understudy.wire.stored import Stored, restore

MIB = 1024 * 1024
Open = Callable[..., Answers]

REASONING = '{"type":"reasoning","id":"rs_1","encrypted_content":"gAAA"}'
CALL = '{ "type":"function_call", "id":"fc_1", "call_id":"call_1", "arguments":"1.0" }'


def user(text: str) -> str:
    return json.dumps({"role": "user", "content": text})


def said(text: str) -> str:
    return json.dumps({"type": "message", "id": f"msg_{text}", "content": text})


def stored(name: str, previous: str | None = None, **more: object) -> Stored:
    """The answer `resp_NAME` to `NAME?`."""
    facts: dict[str, object] = {"given": (user(f"{name}?"),), "output": (said(name),), "response": f'{{"id":"{name}"}}'}
    before = previous and f"resp_{previous}"
    return Stored(f"resp_{name}", 1000.0, before, **(facts | more))  # type: ignore[arg-type]


@pytest.fixture(params=["memory", "disk", "written"])
def opened(home: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens answers: in memory, on disk, and on disk with the writing done before anything is asked."""
    made: list[Answers] = []

    def open_them(**bounds: object) -> Answers:
        answers = Answers(home, Mode.MEMORY if request.param == "memory" else Mode.DISK, **bounds)  # type: ignore[arg-type]
        if request.param == "written":
            write_first(answers)
        made.append(answers)
        return answers

    yield open_them
    for answers in made:
        answers.close()


def write_first(answers: Answers) -> None:
    for name in ("get", "items_of", "input_of", "item", "reasoning_before", "conversation", "about", "delete", "add"):
        method = getattr(answers, name)

        def asked(*arguments: object, method: Callable[..., object] = method) -> object:
            assert answers.flush()
            return method(*arguments)

        setattr(answers, name, asked)


def test_an_answer_is_found_again_as_it_was_put(opened: Open) -> None:
    answers = opened()
    kept = stored("a", given=(user("x"), REASONING), output=(REASONING, CALL, said("a")))
    answers.put(kept)
    assert answers.get("resp_a") == kept
    assert answers.get("resp_b") is None


def test_an_answer_that_is_put_again_takes_the_place_of_the_first(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a"))
    answers.put(stored("a", output=(said("b"), CALL)))
    assert answers.get("resp_a") == stored("a", output=(said("b"), CALL))


def test_a_chain_is_all_that_led_to_an_answer_and_the_answer(opened: Open) -> None:
    answers = opened()
    for name, previous in (("a", None), ("b", "a"), ("other", "a"), ("c", "b")):
        answers.put(stored(name, previous))
    assert answers.items_of("resp_c") == tuple(text for name in "abc" for text in (user(f"{name}?"), said(name)))
    listed = answers.input_of("resp_c")
    assert listed is not None
    assert [item.text for item in listed] == [user("a?"), said("a"), user("b?"), said("b"), user("c?")]
    assert len({item.id for item in listed}) == 5


def test_a_chain_that_lacks_a_link_is_not_there(opened: Open) -> None:
    answers = opened()
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        answers.put(stored(name, previous))
    assert answers.delete("resp_b")
    assert answers.items_of("resp_c") is None
    assert answers.input_of("resp_c") is None
    assert answers.items_of("resp_a") is not None


def test_a_chain_that_leads_back_to_itself_is_not_there(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a", "b"))
    answers.put(stored("b", "a"))
    assert answers.items_of("resp_a") is None


def test_a_turn_restored_from_it_begins_with_the_turn_before(opened: Open) -> None:
    answers = opened()
    sent = []
    for number in range(4):
        previous = f', "previous_response_id": "resp_{number - 1}"' if number else ""
        restored = restore(f'{{"input": "{number}?"{previous}}}'.encode(), answers)
        sent.append(",".join((*restored.before, *restored.given)))
        answers.put(Stored(f"resp_{number}", 0.0, restored.previous, None, restored.given, (said(str(number)),)))
    assert all(after.startswith(before) for before, after in pairwise(sent))
    assert len(sent[-1]) > len(sent[0])


def test_items_are_found_by_their_ids_and_by_those_they_are_listed_with(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a", output=(REASONING, CALL)))
    assert answers.item("fc_1") == CALL
    listed = answers.input_of("resp_a")
    assert listed is not None and answers.item(listed[0].id) == user("a?")
    assert answers.item("fc_2") is None


def test_what_the_backend_sent_goes_before_what_a_host_sent_back_of_it(opened: Open) -> None:
    answers = opened()
    answers.put(stored("b", given=('{"type":"reasoning","id":"rs_1","summary":[]}',)))
    answers.put(stored("a", output=(REASONING,)))
    assert answers.item("rs_1") == REASONING


def test_reasoning_is_found_by_the_call_that_it_led_to(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a", output=(REASONING, CALL)))
    answers.put(stored("b", given=(CALL, '{"type":"function_call_output","call_id":"call_1"}')))
    assert answers.reasoning_before("call_1") == (REASONING,)
    assert answers.reasoning_before("call_2") == ()


def test_a_deleted_answer_is_gone_with_its_items_and_its_reasoning(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a", output=(REASONING, CALL)))
    assert answers.delete("resp_a")
    for _ in range(2):
        assert answers.get("resp_a") is None
        assert answers.items_of("resp_a") is None
        assert answers.item("rs_1") is None
        assert answers.reasoning_before("call_1") == ()
        assert not answers.delete("resp_a")
        answers.flush()


def test_an_answer_can_come_back_after_it_was_deleted(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a"))
    answers.delete("resp_a")
    answers.put(stored("a"))
    assert answers.get("resp_a") == stored("a")
    assert answers.item("msg_a") == said("a")


def test_nothing_is_left_after_clearing(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a"))
    conversation = answers.begin_conversation("{}", [user("hi")])
    answers.clear()
    for _ in range(2):
        assert answers.get("resp_a") is None
        assert answers.about(conversation.id) is None
        assert answers.item("msg_a") is None
        answers.flush()
    answers.put(stored("b"))
    assert answers.get("resp_b") == stored("b")


def test_a_conversation_grows_with_the_answers_that_name_it(opened: Open) -> None:
    answers = opened()
    made = answers.begin_conversation('{"a":"b"}', [user("first")])
    about = answers.about(made.id)
    assert about is not None and about.metadata == '{"a":"b"}'
    answers.put(stored("a", conversation=made.id))
    answers.add(made.id, [user("by hand")])
    answers.put(stored("b", conversation=made.id))
    first, second = (user("a?"), said("a")), (user("b?"), said("b"))
    assert answers.conversation(made.id) == (user("first"), *first, user("by hand"), *second)
    assert answers.items_of("resp_a") == (user("first"), *first)
    assert answers.items_of("resp_b") == (user("first"), *first, user("by hand"), *second)
    answers.put(stored("c", "a"))
    assert answers.items_of("resp_c") == (user("first"), *first, user("c?"), said("c"))


def test_an_answer_that_names_a_conversation_that_is_gone_is_kept_alone(opened: Open) -> None:
    answers = opened()
    answers.put(stored("a", conversation="conv_9"))
    assert answers.about("conv_9") is None
    assert answers.get("resp_a") == stored("a", conversation="conv_9")
    assert answers.items_of("resp_a") is None


def test_a_conversation_outlives_its_answers_and_they_outlive_it(opened: Open) -> None:
    answers = opened()
    made = answers.begin_conversation("{}", [])
    answers.put(stored("a", conversation=made.id))
    answers.delete("resp_a")
    assert answers.conversation(made.id) == (user("a?"), said("a"))
    answers.put(stored("b", conversation=made.id))
    assert answers.end_conversation(made.id)
    assert answers.conversation(made.id) is None
    assert not answers.end_conversation(made.id)
    assert answers.get("resp_b") is not None


def test_a_conversation_s_items_are_listed_with_ids_of_their_own_and_can_be_taken_out(opened: Open) -> None:
    answers = opened()
    made = answers.begin_conversation("{}", [user("same"), user("same"), said("x")])
    listed = answers.listed_in(made.id)
    assert listed is not None and [item.text for item in listed] == [user("same"), user("same"), said("x")]
    assert len({item.id for item in listed}) == 3 and listed[2].id == "msg_x"
    assert answers.take_out(made.id, listed[1].id)
    assert answers.listed_in(made.id) == (listed[0], listed[2])
    assert not answers.take_out(made.id, listed[1].id)
    answers.flush()
    assert answers.listed_in(made.id) == (listed[0], listed[2])


def test_a_conversation_s_metadata_can_be_changed(opened: Open) -> None:
    answers = opened()
    made = answers.begin_conversation("{}", [user("hi")])
    changed = answers.describe(made.id, '{"a":"b"}')
    assert changed is not None and (changed.id, changed.metadata) == (made.id, '{"a":"b"}')
    assert answers.conversation(made.id) == (user("hi"),)
    assert answers.describe("conv_9", "{}") is None


@pytest.mark.parametrize("name", ["\ud800", "\u00e9", "x\x00", "'", "x" * 10_000])
def test_a_name_that_is_no_id_is_not_found(opened: Open, name: str) -> None:
    answers = opened()
    answers.put(stored("a", given=(json.dumps({"type": "message", "id": name}),), output=(CALL,)))
    assert answers.items_of(name) is None
    assert answers.conversation(name) is None
    assert answers.reasoning_before(name) == ()
    assert name.isascii() or answers.item(name) is None
    assert answers.flush()


class Hours:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_not_used_for_its_age_is_deleted(opened: Open) -> None:
    clock = Hours()
    day = Bounds(MIB, 24 * 3600.0)
    answers = opened(memory=day, on_disk=day, clock=clock)
    made = answers.begin_conversation("{}", [user("hi")])
    for name, previous in (("a", None), ("b", "a"), ("lonely", None)):
        answers.put(stored(name, previous))
    answers.flush()
    clock.now += 20 * 3600
    assert answers.items_of("resp_b") is not None  # It is used, and so is the one before it.
    answers.flush()
    clock.now += 20 * 3600
    answers.put(stored("new"))
    answers.flush()
    assert answers.get("resp_lonely") is None
    assert answers.about(made.id) is None
    assert answers.items_of("resp_b") is not None


def test_the_bound_of_size_takes_the_oldest_and_never_a_link_of_a_chain_in_use(opened: Open) -> None:
    clock = Hours()
    small = Bounds(MIB, 1e9)
    answers = opened(memory=small, on_disk=small, clock=clock)
    answers.put(stored("root"))
    answers.put(stored("leaf", "root"))
    for number in range(300):
        clock.now += 1
        assert answers.items_of("resp_leaf") is not None
        answers.put(stored(str(number), given=(user("x" * 20_000),)))
        answers.flush()
    assert answers.get("resp_0") is None
    assert answers.get("resp_299") is not None


def test_an_answer_larger_than_the_bound_is_not_kept(opened: Open) -> None:
    small = Bounds(MIB, 1e9)
    answers = opened(memory=small, on_disk=small)
    answers.put(stored("huge", given=(user("x" * 2 * MIB),)))
    answers.flush()
    assert answers.get("resp_huge") is None


def test_after_the_end_there_is_nothing_and_nothing_raises(home: Path) -> None:
    for mode in (Mode.MEMORY, Mode.DISK):
        answers = Answers(home, mode)
        answers.put(stored("a"))
        answers.close()
        answers.close()
        answers.put(stored("b"))
        assert answers.get("resp_a") is None
        assert answers.item("msg_a") is None
        assert not answers.delete("resp_a")


def test_where_nothing_is_to_be_kept_there_are_no_answers(home: Path) -> None:
    assert open_answers(home, Mode.OFF) is None
    answers = open_answers(home, Mode.MEMORY)
    assert answers is not None
    answers.put(stored("a"))
    answers.close()
    assert not home.exists()
