"""What a flow says of where it goes, and of what its connection is to become."""

import pytest
from mitmproxy.test import tflow

from understudy.proxy.names import is_keyless, names_of
from understudy.wire.identity import DUMMY_KEY


@pytest.mark.parametrize(
    ("upgrade", "websocket"),
    [
        ((), False),
        (("websocket",), True),
        (("WebSocket",), True),
        (("websocket, h2c",), True),
        (("h2c, websocket",), True),
        (("websocket/13",), True),
        (("h2c", "websocket"), True),
        (("h2c",), False),
        (("websockets",), False),
    ],
    ids=str,
)
def test_a_websocket_is_wanted_wherever_it_is_among_the_protocols(upgrade: tuple[str, ...], websocket: bool) -> None:
    flow = tflow.tflow()
    flow.request.headers.set_all("upgrade", list(upgrade))
    assert names_of(flow).websocket is websocket


@pytest.mark.parametrize(
    ("authorization", "keyless"),
    [
        (f"Bearer {DUMMY_KEY}", True),
        (f"bearer  {DUMMY_KEY} ", True),
        ("Bearer sk-own", False),
        (f"Basic {DUMMY_KEY}", False),
        ("", False),
    ],
    ids=["as we give it", "spelt otherwise", "its own", "another scheme", "none"],
)
def test_a_program_without_a_key_of_its_own_is_known_by_the_one_we_gave_it(authorization: str, keyless: bool) -> None:
    flow = tflow.tflow()
    flow.request.headers["authorization"] = authorization
    assert is_keyless(flow) is keyless
