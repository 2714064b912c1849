"""The `codex_*` options: what they mean, and their values, checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from mitmproxy import exceptions, optmanager
from mitmproxy.addonmanager import Loader
from mitmproxy.options import CONF_DIR, Options
from mitmproxy.proxy import mode_specs

from understudy.oauth.client import Route
from understudy.pool.choose import Rules
from understudy.pool.pool import Pin
from understudy.pool.session import Isolation
from understudy.pool.strategies import Strategy
from understudy.proxy.claim import Scope, scope_of
from understudy.proxy.detours import check_detours
from understudy.proxy.values import (
    read_count,
    read_hosts,
    read_keyring,
    read_percent,
    read_seconds,
    read_timeout,
    read_word,
)
from understudy.state.answers.store import Mode
from understudy.wire.models import Models, read_models
from understudy.wire.provider import Provider, is_loopback, read_platform, read_provider

CHOICES = {
    "codex_strategy": tuple(strategy.value for strategy in Strategy),
    "codex_isolate": tuple(isolation.value for isolation in Isolation),
    "codex_unsupported": ("strict", "passthrough"),
    "codex_overflow": ("off", "on"),
    "codex_history": tuple(mode.value for mode in Mode),
    "codex_websocket": ("relay", "refuse"),
    "codex_traces": ("drop", "pass"),
}
"""Options that take one of a few words."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """One option, for mitmproxy and for the table in the README."""

    name: str
    type: type
    default: Any
    help: str


OPTIONS = (
    Option("codex_backend", str, "https://chatgpt.com/backend-api/codex", "Where claimed requests are carried out."),
    Option("codex_issuer", str, "https://auth.openai.com", "The OAuth issuer that refreshes the accounts' tokens."),
    Option(
        "codex_hosts", str, "api.openai.com", "Hosts that speak OpenAI's API, whose calls are claimed, with commas."
    ),
    Option(
        "codex_strategy",
        str,
        "sticky",
        "Which account a new session gets. sticky: the one in use; drain: the first in order until it is used up; "
        "round_robin: the next in turn; hybrid: the one that is placed best. A session stays on its account.",
    ),
    Option("codex_account", str, "", "The label or id of the only account to use. Empty: any of the pool."),
    Option(
        "codex_isolate",
        str,
        "off",
        "Which accounts a conversation may move to. off: all; workspace: personal ones among themselves, and those of "
        "one workspace; account: none.",
    ),
    Option(
        "codex_soft_quota",
        int,
        5,
        "Percent of a window: an account with no more left gets no new session while another has more. 0: off.",
    ),
    Option("codex_wait", int, 0, "Seconds that a request may wait where every account is limited, if one recovers."),
    Option(
        "codex_models",
        str,
        "",
        "Other models for those asked for, separated by commas. a=b: b in place of a; a>b>c: b, else c, where no "
        "account has a; a=passthrough: see codex_unsupported. A name may end in *.",
    ),
    Option(
        "codex_unsupported",
        str,
        "strict",
        "A model that no account has. strict: the backend's words; passthrough: the request goes out as it came, and "
        "the program's own key pays.",
    ),
    Option("codex_overflow", str, "off", "on: an API key in the pool serves, for money, where no ChatGPT account can."),
    Option("codex_overflow_limit", int, 50, "Requests a day (UTC) that each API key in the pool may carry out."),
    Option("codex_platform", str, "https://api.openai.com/v1", "Where the requests of API keys are carried out."),
    Option(
        "codex_history",
        str,
        Mode.MEMORY.value,
        "Where answers are kept for programs that refer to them (previous_response_id, store, conversations). memory: "
        "in this process, for a day; disk: in a file as well, for 30 days; off: nowhere.",
    ),
    Option(
        "codex_websocket",
        str,
        "relay",
        "Responses over WebSocket. relay: each request on a socket is carried out like any other; refuse: programs "
        "are sent back to HTTP.",
    ),
    Option(
        "codex_traces",
        str,
        "drop",
        "The Agents SDK's traces, which hold what tools got and gave. drop: taken, and thrown away; pass: to OpenAI.",
    ),
    Option(
        "codex_capture_chatgpt",
        bool,
        False,
        "Also claim the calls of programs that are logged in with ChatGPT themselves: accounts of the pool carry them "
        "out in place of their own login.",
    ),
    Option("codex_record", int, 1024 * 1024, "Bytes of a streamed answer to keep in its flow. 0: none."),
    Option("codex_hold", int, 5, "Seconds that a 200 may be held back, waiting for output, before it is committed."),
    Option(
        "codex_stall_timeout",
        int,
        120,
        "Seconds of silence allowed after the response headers and before output. After output it is 300.",
    ),
    Option(
        "codex_keyring",
        bool,
        False,
        "Keep the accounts' tokens in the operating system's keychain (extra `keyring`). Unset: where they are.",
    ),
    Option("codex_decrypt_all", bool, False, "Open TLS to other hosts as well, to debug other traffic in mitmproxy."),
)


def default_of(name: str) -> Any:
    """The default of one of our options."""
    return next(option.default for option in OPTIONS if option.name == name)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options' values, checked and ready for use. Times in seconds, sizes in bytes."""

    backend: Provider
    issuer: str
    scope: Scope
    """Whose requests are ours."""
    history: Mode
    """Where answers are kept."""
    relays_sockets: bool
    """Whether requests over a WebSocket are carried out; where not, hosts are sent back to HTTP."""
    record: int
    hold: float
    stall_timeout: float
    keyring: bool | None
    """Whether tokens are to be in the keychain; None: the user has not said, and they stay where they are."""
    rules: Rules
    """How accounts are chosen, but for the pool's own pin."""
    wait: float
    models: Models
    passthrough: bool
    """Whether a model that no account has is let go under the host's own key."""
    platform: Provider
    route: Route
    """How requests of our own go: through the proxy that upstream mode goes through, trusting what mitmproxy trusts."""


_OF_MITMPROXY = ("mode", "ssl_verify_upstream_trusted_ca")
"""Those of mitmproxy's own options that ours go by."""


def add_options(loader: Loader) -> None:
    """Registers all options with mitmproxy. Raises OptionsError where the user gave one a value of another type."""
    for option in OPTIONS:
        loader.add_option(option.name, option.type, option.default, option.help, CHOICES.get(option.name))
        try:
            loader.master.options.process_deferred()
        except (exceptions.OptionsError, TypeError) as error:
            raise exceptions.OptionsError(f"{option.name}: {error}") from None
    _refuse_unknown(loader.master.options)


def _refuse_unknown(options: optmanager.OptManager) -> None:
    known = [option.name for option in OPTIONS]
    for name in options.deferred:
        if name.startswith("codex_") and name not in known:
            raise exceptions.OptionsError(f"there is no option {name} (there are: {', '.join(known)})")


def read_offline(
    settings: Sequence[str], confdir: str = CONF_DIR, told: Mapping[str, object] | None = None
) -> Settings:
    """The values that a proxy would have, started now with `--set` for each of `settings`. Raises OptionsError.

    `told`: what a running proxy tells of its own, see `told_options`; they count before those of its file.
    """
    offline, file = Options(), Path(confdir, "config.yaml")
    # A user's file may set options of other addons; what is ours is taken from it once it is known.
    with _readable(file):
        optmanager.load_paths(offline, str(file), str(file.with_suffix(".yml")))
    known = (*(option.name for option in OPTIONS), *_OF_MITMPROXY)
    offline.update_defer(**{name: told[name] for name in known if told and told.get(name) is not None})
    offline.set(*settings, defer=True)
    for option in OPTIONS:
        offline.add_option(option.name, option.type, option.default, option.help)
    # It belongs to an addon of mitmproxy's.
    offline.add_option("upstream_auth", str | None, None, "")
    with _readable(file):
        offline.process_deferred()
    _refuse_unknown(offline)
    for name in (setting.partition("=")[0] for setting in settings):
        if name in offline.deferred:
            raise exceptions.OptionsError(f"the commands know no option {name}")
    return read_settings(offline)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """mitmproxy takes for granted that a file has options, each with a value of its type."""
    try:
        yield
    except (TypeError, AttributeError) as error:
        raise exceptions.OptionsError(f"{file}: {error}") from None


def told_options(options: Any) -> dict[str, object]:
    """The options that `read_settings` reads, as plain values, for the commands; none that is secret. None: unset."""
    plain = {name: getattr(options, name) for name in (*(option.name for option in OPTIONS), *_OF_MITMPROXY)}
    if not chosen_by_user(options, "codex_keyring"):
        plain["codex_keyring"] = None
    return {
        name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in plain.items()
    }


def read_settings(options: Any) -> Settings:
    """The values in mitmproxy's `options`. Raises OptionsError, in words for the user, for the first that is wrong."""
    backend = _checked("codex_backend", read_provider, options.codex_backend)
    _checked("codex_issuer", read_provider, options.codex_issuer)
    for name, words in CHOICES.items():
        _checked(name, partial(read_word, words), getattr(options, name))
    platform = _checked("codex_platform", read_platform, options.codex_platform)
    _refuse_dangerous(options, (backend, platform) if options.codex_overflow == "on" else (backend,))
    scope = read_scope(options)
    check_detours(options, scope.all)
    return Settings(
        backend=backend,
        issuer=options.codex_issuer.rstrip("/"),
        scope=scope,
        history=Mode(options.codex_history),
        relays_sockets=options.codex_websocket == "relay",
        record=_checked("codex_record", read_count, options.codex_record),
        hold=_checked("codex_hold", read_seconds, options.codex_hold),
        stall_timeout=_checked("codex_stall_timeout", read_timeout, options.codex_stall_timeout),
        keyring=_checked("codex_keyring", read_keyring, options.codex_keyring)
        if chosen_by_user(options, "codex_keyring")
        else None,
        rules=Rules(
            strategy=Strategy(options.codex_strategy),
            pin=Pin(options.codex_account) if options.codex_account else None,
            isolation=Isolation(options.codex_isolate),
            soft_quota=_checked("codex_soft_quota", read_percent, options.codex_soft_quota),
            overflow=options.codex_overflow == "on",
            overflow_limit=_checked("codex_overflow_limit", read_count, options.codex_overflow_limit),
        ),
        wait=_checked("codex_wait", read_seconds, options.codex_wait),
        models=_checked("codex_models", read_models, options.codex_models),
        passthrough=options.codex_unsupported == "passthrough",
        platform=platform,
        route=Route(
            proxy=_upstream_proxy(options),
            trusted_ca=str(Path(trusted).expanduser()) if (trusted := options.ssl_verify_upstream_trusted_ca) else None,
        ),
    )


def read_scope(options: Any) -> Scope:
    """Whose requests are ours. Raises OptionsError. Every request asks for it, several times."""
    return _scope(options.codex_hosts, options.codex_capture_chatgpt, options.codex_traces == "drop")


@lru_cache(maxsize=8)
def _scope(hosts: str, capture_chatgpt: bool, traces: bool) -> Scope:
    return scope_of(_checked("codex_hosts", read_hosts, hosts), capture_chatgpt=capture_chatgpt, traces=traces)


def _refuse_dangerous(options: Any, providers: Sequence[Provider]) -> None:
    for name, harm in _DANGEROUS.items():
        harmless = name == "ssl_insecure" and all(is_loopback(provider.host) for provider in providers)
        if getattr(options, name, False) and not harmless:
            raise exceptions.OptionsError(f"{name} {harm}; unset it")


_SIGNS_FOR_ALL = "makes certificates that the whole world trusts, with a key that is public"
_DANGEROUS = {
    "ssl_insecure": "would hand your ChatGPT tokens to anyone on the way to the backend",
    "proxy_debug": "would write your ChatGPT tokens into the log",
    "emudhra": _SIGNS_FOR_ALL,
    "emudhra_old": _SIGNS_FOR_ALL,
}
"""mitmproxy's own options that the addon does not run with. Not every version has every one."""


DEFAULT_SCOPE = scope_of(frozenset({default_of("codex_hosts")}), capture_chatgpt=False, traces=True)
"""What is ours as long as nobody has said otherwise."""


def _checked(name: str, read: Callable[[Any], T], value: Any) -> T:
    try:
        return read(value)
    except ValueError as error:
        raise exceptions.OptionsError(f"{name}: {error}") from None


def _upstream_proxy(options: Any) -> str | None:
    modes = [_checked("mode", mode_specs.ProxyMode.parse, mode) for mode in options.mode]
    upstream = next((mode for mode in modes if isinstance(mode, mode_specs.UpstreamMode)), None)
    if upstream is None:
        return None
    user, _, password = (options.upstream_auth or "").partition(":")
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    host, port = upstream.address[:2]
    return f"{upstream.scheme}://{credentials}{host}:{port}"


NEEDS = {
    "connection_strategy": ("lazy", "no connection is made before it is known where a request goes"),
    "listen_host": ("127.0.0.1", "connections from other machines are closed at once in any case"),
}
"""mitmproxy's own options that the addon turns on, and why."""


def turn_on_needs(options: optmanager.OptManager) -> list[str]:
    """Sets the options that the addon needs, unless the user chose otherwise. Gives what was done, in words."""
    to_set = {name: need for name, need in NEEDS.items() if not chosen_by_user(options, name)}
    options.update(**{name: value for name, (value, _) in to_set.items()})
    return [f"{name} is {value}: {why}" for name, (value, why) in to_set.items()]


def chosen_by_user(options: optmanager.OptManager, name: str) -> bool:
    """Whether the user gave this option a value, be it the default's own."""
    return options._options[name].value is not optmanager.unset
