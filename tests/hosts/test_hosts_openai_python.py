"""OpenAI's Python SDK, in its two generations, asks in every way that it has."""

from hosts.cases import FIRST, Hosted, ToolCases, line
from hosts.driver import Host, Seat
from hosts.reports import Report
from hosts.sdk import python_host

GENERATIONS = ("2", "3")


def ways(*names: str) -> tuple[Host, ...]:
    """The ways in both generations."""
    return tuple(
        python_host(f"openai-python {number}, {way}", f"python-openai-{number}", "ask_openai.py", way)
        for number in GENERATIONS
        for way in names
    )


class TestResponses(ToolCases):
    """The Responses API."""

    hosts = ways("create", "stream", "helper", "asynchronous", "previous", "connect")


class TestChatCompletions(ToolCases):
    """The older API."""

    hosts = ways("chat", "chat_stream")


class TestParsing(Hosted):
    """The SDK makes a schema of a class, and an object of the answer."""

    hosts = ways("parse")

    def test_a_prompt_is_answered(self, seat: Seat, report: Report) -> None:
        seat.theatre.cast(work=line('{"city": "Paris", "degrees": 21}'))
        ran = report.note(seat.run("Speak."))
        assert ran.said("21 degrees in Paris"), ran.seen


class TestInTheBackground(Hosted):
    """The SDK asks, and comes back for the answer."""

    hosts = ways("background")

    def test_a_prompt_is_answered(self, seat: Seat, report: Report) -> None:
        seat.theatre.cast(work=line(FIRST))
        ran = report.note(seat.run("Speak."), FIRST)
        assert ran.code == 0 and ran.said(FIRST), ran.seen
