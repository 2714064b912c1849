"""Whoever steals our authority's key can be our host to a program, and nobody else: real programs, real handshakes."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from support.forgery import FORGED, GENUINE, OURS, Forgery, Impostor, forge
from support.proxy import ROOT, clean_environment
from understudy.workstation.authority import new_authority, read_authority

HOSTS = Path(os.environ.get("UNDERSTUDY_HOSTS", ROOT / ".hosts"))
OPENCODE = HOSTS / "opencode/node_modules/opencode-linux-x64/bin/opencode"
CODEX = HOSTS / "codex/node_modules/.bin/codex"

NODE = """
const [port, host, ca] = process.argv.slice(-3);
const servername = /^[0-9]/.test(host) ? undefined : host;
require("https").get({host: "127.0.0.1", port, servername, ca: require("fs").readFileSync(ca)})
  .on("error", () => process.exit(1));
"""
BUN = """
try { await fetch(`https://${process.argv.at(-1)}/`); } catch { process.exit(1); }
"""
JAVA = """
import java.io.*; import java.net.*; import java.security.*; import java.security.cert.*; import javax.net.ssl.*;
public class Ask {
  public static void main(String[] words) throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    try (InputStream in = new FileInputStream(words[2])) {
      store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(store);
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(null, trust.getTrustManagers(), null);
    Socket plain = new Socket("127.0.0.1", Integer.parseInt(words[0]));
    SSLSocket socket = (SSLSocket) tls.getSocketFactory().createSocket(plain, words[1], 443, true);
    SSLParameters parameters = socket.getSSLParameters();
    parameters.setEndpointIdentificationAlgorithm("HTTPS");
    socket.setSSLParameters(parameters);
    socket.getOutputStream().write("GET / HTTP/1.1\\r\\n\\r\\n".getBytes());
    socket.getInputStream().read();
  }
}
"""

Ask = Callable[[int, str, Path, Path], None]
"""Has a program ask a host for something, through a port of loopback: `ask(port, host, certificate, folder)`."""


def _run(command: list[str], **environment: str) -> None:
    subprocess.run(command, env=clean_environment(**environment), capture_output=True, timeout=60)


def python(port: int, host: str, certificate: Path, folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # As Python 3.13 does.
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                secured.sendall(b"GET / HTTP/1.1\r\n\r\n")
                secured.recv(1)
        except ssl.SSLCertVerificationError:
            pass


def curl(port: int, host: str, certificate: Path, folder: Path) -> None:
    options = ["--cacert", str(certificate), "--capath", str(folder), "--connect-to", f"::127.0.0.1:{port}"]
    _run(["curl", "-s", *options, f"https://{host}/"])


def git(port: int, host: str, certificate: Path, folder: Path) -> None:
    _run(
        ["git", "-c", f"http.curloptResolve={host}:{port}:127.0.0.1", "ls-remote", f"https://{host}:{port}/a"],
        GIT_SSL_CAINFO=str(certificate),
        GIT_TERMINAL_PROMPT="0",
    )


def node(port: int, host: str, certificate: Path, folder: Path) -> None:
    _run(["node", "-e", NODE, str(port), host, str(certificate)])


def java(port: int, host: str, certificate: Path, folder: Path) -> None:
    (folder / "Ask.java").write_text(JAVA)
    _run(["java", str(folder / "Ask.java"), str(port), host, str(certificate)])


def opencode(port: int, host: str, certificate: Path, folder: Path) -> None:
    """The runtime that OpenCode is made of, Bun, as its own program has it."""
    (folder / "ask.js").write_text(BUN)
    proxy = f"http://127.0.0.1:{port}"
    ca = {"NODE_EXTRA_CA_CERTS": str(certificate), "BUN_BE_BUN": "1", "HTTPS_PROXY": proxy, "HOME": str(folder)}
    _run([str(OPENCODE), str(folder / "ask.js"), host], **ca)


def codex(port: int, host: str, certificate: Path, folder: Path) -> None:
    """It does not fail where it refuses a certificate, it waits; so it is ended once it has been heard."""
    provider = f'{{name="x",base_url="https://{host}/v1",env_key="OPENAI_API_KEY",wire_api="responses"}}'
    flags = ["-c", 'model_provider="x"', "-c", f"model_providers.x={provider}"]
    process = subprocess.Popen(
        [str(CODEX), "exec", "--skip-git-repo-check", *flags, "hi"],
        cwd=folder,
        env=clean_environment(
            HOME=str(folder),
            CODEX_CA_CERTIFICATE=str(certificate),
            OPENAI_API_KEY="sk-x",
            HTTPS_PROXY=f"http://127.0.0.1:{port}",
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _running.append(process)


_running: list["subprocess.Popen[bytes]"] = []

PROGRAMS: dict[str, tuple[Ask, str | Path]] = {
    "Python (OpenSSL)": (python, "python3"),
    "curl (OpenSSL)": (curl, "curl"),
    "git (GnuTLS)": (git, "git"),
    "Node": (node, "node"),
    "Java": (java, "java"),
    "OpenCode (BoringSSL)": (opencode, OPENCODE),
    "Codex (rustls)": (codex, CODEX),
}

ITS_OWN = ("github.com", "chatgpt.com")
"""Hosts that Codex asks for by itself, with other programs as well."""


@pytest.fixture(scope="module", params=["ours", "by make-ca.sh"])
def authority(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Key and certificates (PEM)."""
    if request.param == "ours":
        return new_authority(frozenset({OURS}), time.time())
    folder = tmp_path_factory.mktemp("made") / "ca"
    subprocess.run(["sh", str(ROOT / "certs" / "make-ca.sh"), str(folder)], check=True, capture_output=True, timeout=30)
    return (folder / "mitmproxy-ca.pem").read_bytes()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_believes_it_about_our_host_and_about_nothing_else(
    program: str, authority: bytes, tmp_path: Path
) -> None:
    ask, needed = PROGRAMS[program]
    if shutil.which(needed) is None:
        pytest.skip(f"{program} IS NOT TESTED: it is not installed")
    certificate = tmp_path / "ca.pem"
    certificate.write_bytes(read_authority(authority).certificate)
    believed = {
        name: _is_believed(ask, forgery, authority, certificate, tmp_path)
        for name, forgery in {**GENUINE, **FORGED}.items()
        if ask is not codex or forgery.host not in (*ITS_OWN, "localhost", "127.0.0.1")
    }
    assert {name for name, is_believed in believed.items() if is_believed} == set(GENUINE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_authority_without_constraints_would_be_believed_about_others(program: str, tmp_path: Path) -> None:
    ask, needed = PROGRAMS[program]
    if shutil.which(needed) is None:
        pytest.skip(f"{program} IS NOT TESTED: it is not installed")
    authority, certificate = trustme.CA(key_type=trustme.KeyType.ECDSA), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(certificate))
    pem = authority.private_key_pem.bytes() + authority.cert_pem.bytes()
    assert _is_believed(ask, FORGED["a name beside it"], pem, certificate, tmp_path)


def _is_believed(ask: Ask, forgery: Forgery, authority: bytes, certificate: Path, folder: Path) -> bool:
    with Impostor(folder, forgery.host, forge(authority, forgery)) as impostor:
        ask(impostor.port, forgery.host, certificate, folder)
        try:
            return impostor.believed()
        finally:
            while _running:
                _end(_running.pop())


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
