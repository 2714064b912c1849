"""Bodies as large as hosts may send them, through a proxy and a backend over TLS."""

import json

import pytest

from support.theatre import Theatre, TheatreFactory

MIB = 1024 * 1024
LIMIT = 64 * MIB


@pytest.fixture(scope="module")
def theatre(theatres: TheatreFactory) -> Theatre:
    return theatres(alpn=("http/1.1",))


def body_of(size: int) -> tuple[bytes, list[object]]:
    """A body of so many bytes, with five images, each another one; and its input."""
    letters = "ABCDE"
    urls = [f"data:image/png;base64,{letter * (size // 5 - 200)}" for letter in letters]
    parts: list[object] = [{"type": "input_image", "image_url": url} for url in urls]
    input: list[object] = [{"type": "message", "role": "user", "content": parts}]
    start = json.dumps({"model": "gpt-5.5", "stream": True, "store": False, "input": input, "instructions": ""})
    return start[:-2].encode() + b"x" * (size - len(start)) + b'"}', input


def test_50_mib_of_images_arrive_as_they_were(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    body, input = body_of(50 * MIB)
    heard = theatre.ask(body)
    assert heard.status == 200
    [call] = theatre.calls
    assert isinstance(call.body, dict)
    assert call.body["input"] == input


def test_they_are_taken_up_to_64_mib(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    # The sandbox has the same bound, and gets what the backend insists on besides.
    assert theatre.ask(body_of(LIMIT - 1024)[0]).status == 200


def test_a_byte_more_is_a_413_that_says_so(theatre: Theatre) -> None:
    theatre.cast(work={"do": "answer"})
    heard = theatre.ask(body_of(LIMIT + 1)[0])
    assert heard.status == 413
    assert heard.error["message"] == "The request body is larger than 64 MiB."
    assert theatre.calls == ()
