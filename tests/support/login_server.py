"""A login server on loopback: the refresh grant with rotating tokens, which notices when one is used twice."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.logins import access_token


@dataclass(slots=True)
class LoginServer:
    """What the server knows, counts and does next."""

    url: str = ""
    valid: dict[str, str] = field(default_factory=dict)
    """Refresh token to the name of the login it belongs to."""
    requests: list[dict[str, object]] = field(default_factory=list)
    rotations: int = 0
    reuses: int = 0
    delay: float = 0.0
    """Seconds that an answer takes; the rotation is done before."""
    life: float = 3600.0
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    """Answers to give first, in the place of the right one."""
    retry_after: str = ""
    """This field of every answer, where it is not empty."""
    hang_up: bool = False
    """Whether the connection is cut, after the rotation, without an answer."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: dict[str, object]) -> tuple[int, bytes]:
        """The answer to a refresh."""
        with self.lock:
            self.requests.append(request)
            if self.answers:
                return self.answers.pop(0)
            spent = str(request.get("refresh_token"))
            name = self.valid.pop(spent, None)
            if name is None:
                self.reuses += 1
                return 401, json.dumps({"error": {"code": "refresh_token_reused", "message": spent}}).encode()
            self.rotations += 1
            renewed = f"{spent.partition('#')[0]}#{self.rotations}"
            self.valid[renewed] = name
            access = access_token(name, expires_at=time.time() + self.life, mark=str(self.rotations))
            return 200, json.dumps({"access_token": access, "refresh_token": renewed}).encode()


@contextmanager
def serving() -> Iterator[LoginServer]:
    """Serves until the block is left."""
    server = LoginServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"]))
            status, body = server.answer(json.loads(text))
            time.sleep(server.delay)
            if server.hang_up:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            if server.retry_after:
                self.send_header("retry-after", server.retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
