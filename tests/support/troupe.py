"""Several proxies with one pool, in front of one sandbox: each of them is a theatre."""

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from support.proxy import SCRIPT, Proxy, clean_environment
from support.theatre import Theatre
from understudy.oauth.api_key import enrol_key, key_login, read_key
from understudy.pool.account import Account, Block, Ground
from understudy.pool.pool import over_accounts
from understudy.sandbox.server import Sandbox
from understudy.state.accounts import AccountStore


@dataclass(frozen=True)
class Troupe:
    """What its proxies share. `home` is Understudy's folder, `confdir` mitmproxy's."""

    sandbox: Sandbox
    home: Path
    confdir: Path
    authority: Path

    @contextmanager
    def theatre(
        self,
        more: Mapping[str, object] = MappingProxyType({}),
        *,
        arguments: tuple[str, ...] = (),
        script: Path = SCRIPT,
        **options: object,
    ) -> Iterator[Theatre]:
        """Starts one more proxy, with these options. Whatever casts one of the theatres casts them all."""
        settings = {
            "codex_backend": self.sandbox.backend,
            "codex_issuer": self.sandbox.issuer,
            "codex_platform": f"{self.sandbox.origin}/v1",
            "ssl_verify_upstream_trusted_ca": self.authority,
            **more,
            **options,
        }
        with Proxy(self.home, self.confdir, settings, arguments=arguments, script=script) as proxy:
            theatre = Theatre(self.sandbox, proxy)
            try:
                yield theatre
            finally:
                theatre.close()

    @property
    def store(self) -> AccountStore:
        """The pool on disk."""
        return AccountStore(self.home)

    def change(self, label: str, **changes: Any) -> None:
        """Changes an account of the pool."""

        def changed(accounts: tuple[Account, ...]) -> tuple[Account, ...]:
            return tuple(replace(each, **changes) if each.label == label else each for each in accounts)

        self.store.update(over_accounts(changed))

    def limit(self, label: str, *, since: float, until: float, ground: Ground = Ground.LIMIT) -> None:
        """Blocks an account. Times in epoch seconds."""
        self.change(label, blocks=(Block(until, "usage limit", authoritative=True, ground=ground, since=since),))

    def lift(self, label: str) -> None:
        """Takes an account's blocks away."""
        self.change(label, blocks=())

    def add_key(self, label: str) -> None:
        """Puts the sandbox's key of that name at the end of the pool, with nothing spent yet."""
        login = key_login(read_key(self.sandbox.scenario.api_keys[label].key))
        new_id = f"acct_{uuid.uuid4().hex[:12]}"
        self.store.update(over_accounts(lambda known: enrol_key(known, login, new_id, label, now=0.0).accounts))

    def understudy(self, *words: str, code: int | None = 0) -> str:
        """What a command says on its standard output. It ends with that code, or with any where it is None."""
        done = subprocess.run(
            [sys.executable, "-m", "understudy", *words],
            env=clean_environment(UNDERSTUDY_HOME=str(self.home)),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert code in (None, done.returncode), done.stdout + done.stderr
        return done.stdout

    def json(self, *words: str, code: int | None = 0) -> Any:
        """The same for a command with `--json`."""
        return json.loads(self.understudy(*words, "--json", code=code))


@contextmanager
def opened_troupe(
    folder: Path, confdir_template: Path, authority: Path, scenario: dict[str, object]
) -> Iterator[Troupe]:
    """Starts the sandbox."""
    shutil.copytree(confdir_template, folder / "confdir")
    with Sandbox(scenario) as sandbox:
        yield Troupe(sandbox, folder / "understudy", folder / "confdir", authority)
