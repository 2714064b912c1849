"""Which authorities mean the proxy itself."""

import pytest

from understudy.wire.reserved import is_exact, is_meant

EXACT = ["understudy.internal", "understudy.internal:80"]
MEANT = ["UNDERSTUDY.internal", "understudy.internal.", "understudy.internal:443", "understudy.internal.:80"]
OTHERS = [
    None,
    "",
    "internal",
    "a.understudy.internal",
    "understudy.internal.example.com",
    "understudy.internals",
    ":80",
]


@pytest.mark.parametrize("authority", EXACT)
def test_as_programs_send_it(authority: str) -> None:
    assert is_exact(authority) and is_meant(authority)


@pytest.mark.parametrize("authority", MEANT)
def test_whatever_may_be_taken_for_it_is_ours_and_not_answered(authority: str) -> None:
    assert is_meant(authority) and not is_exact(authority)


@pytest.mark.parametrize("authority", OTHERS)
def test_other_names_are_other_hosts(authority: str | None) -> None:
    assert not is_meant(authority)
