"""Answers that we give in the backend's place."""

import json

from understudy.wire.reply import header, openai_error


def test_a_header_is_found_in_any_case_and_the_first_one_counts() -> None:
    headers = (("Retry-After", "1"), ("retry-after", "2"))
    assert header(headers, "RETRY-AFTER") == "1"
    assert header(headers, "age") is None


def test_an_error_has_all_four_members_and_says_that_it_is_json() -> None:
    reply = openai_error(400, "No.", type="invalid_request_error", headers=(("x-a", "1"),))
    assert reply.headers == (("content-type", "application/json"), ("x-a", "1"))
    assert json.loads(reply.body) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}
    }
