"""The certificate authority that programs are made to trust: there, constrained, in date, and in all files alike."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from understudy.doctor import reading
from understudy.doctor.check import Check, Result, bad, ok, skipped, warn
from understudy.doctor.machine import Machine
from understudy.doctor.pem import certificates, content, roots_of_system
from understudy.workstation.authority import ROTATE, Authority, faults, obstacles, read_authority
from understudy.workstation.confdir import Confdir
from understudy.workstation.keeping import ensure
from understudy.workstation.stores import look
from understudy.workstation.trust import Facts, label

CREATE = "understudy ca create"
TRUST_SYSTEM, TRUST_NSS = "understudy ca trust --system", "understudy ca trust --nss"
ANYTHING = "Whoever takes its key can pose as every host that it may sign for, to all programs that trust it."


def authority(machine: Machine) -> Result:
    """Whether ours is there, and can do what it must and nothing else."""
    if machine.stranger:
        return skipped("it would be in a folder that is not Understudy's")
    path = machine.confdir.authority
    try:
        data = reading.read(path)
    except ValueError as error:
        return bad(f"{path} {error}", "No proxy starts without it.", CREATE)
    if data is None:
        return judge_missing(machine.confdir.certificate.exists())
    try:
        found = read_authority(data)
    except ValueError as error:
        return bad(f"{path} cannot be used: {error}", "No proxy starts with it.", ROTATE)
    return judge(found, machine.hosts, machine.now)


def judge_missing(was_there: bool) -> Result:
    """`was_there`: its certificate is left, which programs may trust."""
    if was_there:
        return bad(
            "the key of the certificate authority is gone, its certificate is left",
            "A proxy makes a new one, which the programs that trust the old one refuse.",
            CREATE,
            fixable=True,
        )
    return warn("there is no certificate authority yet", "The first proxy makes it.", CREATE, fixable=True)


def judge(found: Authority, hosts: frozenset[str], now: float) -> Result:
    """`hosts`: those that it is to sign for. `now`: epoch seconds."""
    if wrong := obstacles(found, hosts, now):
        return bad(f"the certificate authority is not fit: {' '.join(wrong)}", "No proxy starts with it.", ROTATE)
    if advice := faults(found, hosts, now):
        return warn(f"the certificate authority: {' '.join(advice)}", "It works; another one would do better.", ROTATE)
    return ok(f"signs for {', '.join(sorted(found.permitted))} alone")


def files(machine: Machine) -> Result:
    """Whether the files that programs are pointed to hold the authority's certificate."""
    found = _ours(machine.confdir)
    if found is None:
        return skipped("there is no certificate authority")
    if obstacles(found, machine.hosts, machine.now):
        return skipped("the authority itself is not fit")
    confdir = machine.confdir
    held = {path: certificates(content(path)) for path in (confdir.certificate, confdir.bundle)}
    return judge_files(held[confdir.certificate], held[confdir.bundle], next(iter(certificates(found.certificate))))


def judge_files(certificate: frozenset[bytes], bundle: frozenset[bytes], root: bytes) -> Result:
    """`certificate`, `bundle`: what is in these files; `root`: what is to be in both."""
    wrong = [name for name, held in (("certificate", certificate), ("bundle", bundle)) if root not in held]
    if wrong:
        return bad(
            f"not there, or of another authority: the {' and the '.join(wrong)} that programs are pointed to",
            "Programs refuse the proxy: a connection error, to them.",
            CREATE,
            fixable=True,
        )
    if len(bundle) == 1:
        return warn(
            "the bundle holds our certificate and none of the system's",
            "Programs that go by it refuse every other host.",
            CREATE,
        )
    return ok(f"certificate and bundle ({len(bundle)} certificates) are in step")


def make(machine: Machine) -> Iterator[str]:
    """Makes the authority, or the files that are missing beside it."""
    confdir = machine.confdir
    paths = (confdir.authority, confdir.certificate, confdir.bundle)
    before = [content(path) for path in paths]
    ensure(confdir, machine.hosts, machine.now)
    yield from (f"wrote {path}" for path, old in zip(paths, before, strict=True) if content(path) != old)


def foreign(machine: Machine) -> Result:
    """Whether running proxies use the authority that is there now, or one that can sign for everything."""
    if (found := _ours(machine.confdir)) is not None:
        here = [proxy for proxy in machine.proxies if Path(proxy.confdir) == machine.confdir.path]
        if old := [proxy.pid for proxy in here if proxy.authority not in ("", found.fingerprint)]:
            return judge_old(old)
    folders = sorted({Path(p.confdir) for p in machine.proxies if Path(p.confdir) != machine.confdir.path})
    return judge_foreign([(folder, _faults(folder, machine)) for folder in folders], bool(machine.proxies))


def judge_old(pids: Sequence[int]) -> Result:
    """`pids`: the processes of running proxies that have another authority than programs are pointed to."""
    which = ", ".join(f"process {pid}" for pid in pids)
    return bad(
        f"a running proxy has another authority than the one in the files ({which})",
        "It goes on with what it has read as it was started. Programs that go by the files refuse it.",
        "understudy restart",
    )


def judge_foreign(found: Sequence[tuple[Path, Sequence[str]]], any_runs: bool) -> Result:
    """`found`: folders other than ours that running proxies use, with what is wrong with the authority there."""
    wrong = [(folder, faults) for folder, faults in found if faults]
    if wrong:
        return warn(
            f"a running proxy uses the certificate authority in {wrong[0][0]}: {' '.join(wrong[0][1])}",
            ANYTHING,
            "understudy stop && understudy start --background",
        )
    return ok("running proxies use a constrained authority") if any_runs else skipped("no proxy is running")


def stores(machine: Machine) -> Result:
    """Whether the stores that were made to trust our authority trust the one that is there now."""
    found = _ours(machine.confdir)
    if found is None:
        return skipped("there is no certificate authority")
    return judge_stores(look(machine.user_home), found, roots_of_system())


def judge_stores(facts: Facts, found: Authority, roots: frozenset[bytes]) -> Result:
    """`facts`: what of ours is in which store. `roots`: what the system trusts; none where that is in no file."""
    of_nss = [name for names in facts.nss.values() for name in names]
    named = [*of_nss, *facts.keychain]
    older = [path for path, content in facts.anchors.items() if content != found.certificate]
    older += [name for name in named if name != label(found)]
    if older:
        return bad(
            f"an authority of Understudy's that is no longer in use is trusted: {', '.join(older)}",
            "Programs that go by that store refuse the proxy, which has another one now.",
            TRUST_NSS if all(name in of_nss for name in older) else TRUST_SYSTEM,
        )
    claimed = found.certificate in facts.anchors.values()
    if claimed and roots and not certificates(found.certificate) <= roots:
        return bad(
            "the authority was given to the system, but is not among what the system trusts",
            "Programs that go by the system's store refuse the proxy.",
            TRUST_SYSTEM,
        )
    if not claimed and not named:
        return ok("no store was made to trust it, and none needs to")
    return ok("the stores that were made to trust it do")


def _faults(folder: Path, machine: Machine) -> Sequence[str]:
    try:
        return obstacles(read_authority(reading.read(folder / "mitmproxy-ca.pem") or b""), machine.hosts, machine.now)
    except ValueError as error:
        return (f"It cannot be judged: {error}.",)


def _ours(confdir: Confdir) -> Authority | None:
    try:
        return read_authority(reading.read(confdir.authority) or b"")
    except ValueError:
        return None


CHECKS = (
    Check("authority", authority, make),
    Check("certificates", files, make),
    Check("authority in use", foreign),
    Check("trust", stores),
)
