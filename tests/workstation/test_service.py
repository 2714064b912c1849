"""The service: the unit and the property list as recorded, what systemd itself says of them, and the commands."""

import os
import plistlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.workstation.service import LABEL, MARK, Service, environment, launchd, systemd
from understudy.workstation.units import agent, probe, unit

PLAIN = Service(Path("/home/ada/env/bin/python"), Path("/home/ada/.local/share/understudy"), 8080, {})
ODD = '/home/ada/ö d%h$x "q" it\'s \\b'

UNIT = """\
# Made by `understudy service install`; `understudy service remove` takes it away.
[Unit]
Description=Understudy: OpenAI Responses calls, carried out by your ChatGPT accounts
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
ExecStart=:"/home/ada/env/bin/python" "-m" "understudy" "start" "--port" "8080"
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
PrivateUsers=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelModules=yes
ProtectClock=yes
ProtectHostname=yes
CapabilityBoundingSet=
ReadWritePaths="/home/ada/.local/share/understudy"
NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0077
LimitCORE=0
MemoryHigh=768M
MemoryMax=1G
TasksMax=256
KillMode=mixed
TimeoutStopSec=75

[Install]
WantedBy=default.target
"""

AGENT = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Made by `understudy service install`; `understudy service remove` takes it away. -->
<plist version="1.0">
<dict>
	<key>EnvironmentVariables</key>
	<dict/>
	<key>ExitTimeOut</key>
	<integer>75</integer>
	<key>HardResourceLimits</key>
	<dict>
		<key>Core</key>
		<integer>0</integer>
	</dict>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>Label</key>
	<string>understudy.proxy</string>
	<key>ProgramArguments</key>
	<array>
		<string>/home/ada/env/bin/python</string>
		<string>-m</string>
		<string>understudy</string>
		<string>start</string>
		<string>--port</string>
		<string>8080</string>
	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>StandardErrorPath</key>
	<string>/home/ada/.local/share/understudy/service.log</string>
	<key>StandardOutPath</key>
	<string>/home/ada/.local/share/understudy/service.log</string>
	<key>ThrottleInterval</key>
	<integer>10</integer>
	<key>Umask</key>
	<integer>63</integer>
</dict>
</plist>
"""

Analyze = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def analyze(tmp_path_factory: pytest.TempPathFactory) -> Analyze:
    """Runs the real `systemd-analyze` on a unit: `analyze(text, "verify")`."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NO UNIT IS TESTED: systemd-analyze is missing")
    folder = tmp_path_factory.mktemp("units")
    (folder / "run").mkdir()

    def run(text: str, *words: str) -> subprocess.CompletedProcess[str]:
        path = folder / "understudy.service"
        path.write_text(text)
        variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
        command = ["systemd-analyze", "--user", *words, str(path)]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)

    return run


def executable(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "python"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_unit_is_the_recorded_one() -> None:
    assert unit(PLAIN, confined=True) == UNIT


def test_without_namespaces_the_unit_leaves_out_what_needs_them() -> None:
    loose = set(UNIT.splitlines()) - set(unit(PLAIN, confined=False).splitlines())
    assert {line.partition("=")[0] for line in loose} == {
        *("PrivateUsers", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelModules"),
        *("ProtectClock", "ProtectHostname", "CapabilityBoundingSet", "ReadWritePaths"),
    }


def test_what_may_be_tried_first_is_what_the_unit_has() -> None:
    tried = [word for word in probe() if "=" in word]
    assert [line for line in UNIT.splitlines() if line in tried] == tried


@pytest.mark.parametrize("below", ["/tmp/x", "/var/tmp/x"])
def test_a_temporary_folder_is_not_hidden_from_the_service(below: str) -> None:
    text = unit(Service(PLAIN.python, Path(below), 8080, {}), confined=True)
    assert "PrivateTmp" not in text
    assert "ProtectSystem=strict" in text


def test_characters_that_mean_something_to_systemd_are_escaped() -> None:
    lines = unit(Service(Path(f"{ODD}/python"), Path(ODD), 1, {"UNDERSTUDY_HOME": ODD}), confined=True).splitlines()
    told = '/home/ada/ö d%%h$x \\"q\\" it\'s \\\\b'
    assert f'Environment="UNDERSTUDY_HOME={told}"' in lines
    assert f'ReadWritePaths="{told}"' in lines
    start = r'ExecStart=:"/bin/sh" "-c" "exec \"$0\" \"$@\"" '  # systemd runs no path with a quote in it; a shell does
    assert f'{start}"{told}/python" "-m" "understudy" "start" "--port" "1"' in lines


@pytest.mark.parametrize("character", ["\n", "\t", "\x7f", "\x85", "\u2028", "\udcff"], ids=ascii)
def test_a_path_that_no_unit_can_name_is_refused(character: str) -> None:
    for build in (lambda service: unit(service, confined=True), agent):
        with pytest.raises(ValueError, match="such characters"):
            build(Service(Path(f"/a{character}b"), PLAIN.home, 1, {}))
        with pytest.raises(ValueError, match="such characters"):
            build(Service(PLAIN.python, PLAIN.home, 1, {"UNDERSTUDY_HOME": f"/a{character}b"}))


@pytest.mark.parametrize("confined", [True, False])
def test_systemd_finds_nothing_wrong_with_it(analyze: Analyze, tmp_path: Path, confined: bool) -> None:
    for folder in ("plain", 'ö d%h$x "q" it\'s \\b'):
        python = executable(tmp_path / folder)
        service = Service(python, tmp_path / folder, 8080, {"UNDERSTUDY_HOME": str(tmp_path / folder)})
        done = analyze(unit(service, confined=confined), "--man=no", "verify")
        assert (done.returncode, done.stderr) == (0, "")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12))
def test_systemd_runs_the_very_program_whatever_its_folder_is_called(
    analyze: Analyze, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"-{name}-" / "python"
    try:
        text = unit(Service(path, PLAIN.home, 8080, {}), confined=True)
    except ValueError:
        return
    done = analyze(text, "--man=no", "verify")
    if "/bin/sh" in text:
        assert (done.returncode, done.stderr) == (0, "")
    else:  # It is not there, and systemd says so by its name.
        assert f"Command {path} is not executable: No such file" in done.stderr


def test_systemd_thinks_well_of_its_exposure(analyze: Analyze) -> None:
    done = analyze(unit(PLAIN, confined=True), "--offline=true", "--threshold=30", "security")
    assert done.returncode == 0, done.stdout


def test_the_property_list_is_the_recorded_one() -> None:
    assert agent(PLAIN) == AGENT


def test_the_property_list_says_what_it_was_told() -> None:
    service = Service(Path(f"{ODD}/<python>&"), Path(ODD), 1, {"UNDERSTUDY_HOME": ODD})
    told = plistlib.loads(agent(service).encode())
    assert told["ProgramArguments"] == list(service.words)
    assert told["EnvironmentVariables"] == {"UNDERSTUDY_HOME": ODD}
    assert told["StandardErrorPath"] == f"{ODD}/service.log"


def test_both_files_can_be_told_from_those_of_others() -> None:
    assert MARK in UNIT
    assert MARK in AGENT


def test_a_service_is_told_of_the_folder_only_where_a_login_would_not_find_it() -> None:
    home, package = Path("/x/understudy"), Path("/checkout/addon")
    assert environment(home, package, {"HOME": "/x", "PYTHONPATH": "/else", "OPENAI_API_KEY": "sk-1"}) == {}
    for variable in ("UNDERSTUDY_HOME", "XDG_DATA_HOME"):
        assert environment(home, package, {variable: "/x"}) == {"UNDERSTUDY_HOME": "/x/understudy"}
    assert environment(home, package, {"PYTHONPATH": "/else:/checkout/addon"}) == {"PYTHONPATH": "/checkout/addon"}


def test_the_commands_for_systemd() -> None:
    manager = systemd(Path("/home/ada/.config"))
    assert manager.file == Path("/home/ada/.config/systemd/user/understudy.service")
    assert [" ".join(step.command) for step in (*manager.renew, *manager.start)] == [
        "systemctl --user daemon-reload",
        "systemctl --user try-restart understudy.service",
        "systemctl --user enable understudy.service",
        "systemctl --user start understudy.service",
    ]
    assert [" ".join(step.command) for step in (*manager.stop, *manager.forget)] == [
        "systemctl --user disable --now understudy.service",
        "systemctl --user daemon-reload",
        "systemctl --user reset-failed understudy.service",
    ]
    assert " ".join(manager.logs(9, True)) == "journalctl --user --unit understudy.service --lines 9 --follow"


def test_the_commands_for_launchd() -> None:
    manager = launchd(Path("/Users/ada"), Path("/Users/ada/u"), 501)
    file = f"/Users/ada/Library/LaunchAgents/{LABEL}.plist"
    assert str(manager.file) == file
    assert [(" ".join(step.command), step.may_fail) for step in (*manager.renew, *manager.start)] == [
        ("launchctl bootout gui/501/understudy.proxy", True),
        (f"launchctl bootstrap gui/501 {file}", True),
        ("launchctl kickstart gui/501/understudy.proxy", False),
    ]
    assert [" ".join(step.command) for step in manager.stop] == ["launchctl bootout gui/501/understudy.proxy"]
    assert " ".join(manager.logs(9, False)) == "tail -n 9 /Users/ada/u/service.log"
    assert not manager.run_by_us
