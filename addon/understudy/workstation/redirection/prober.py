"""A program of its own, for a Python that has nothing of ours: what a connection of whoever runs it meets.

It reads JSON, `{"targets": [[address, name], ...], "pem": ..., "seconds": ...}`, and writes a list with
`{"address", "tcp", "udp"}` in the same order. `tcp`: `ours` (a certificate under `pem` for the name), `misnamed` (one
under it that names something else), `theirs` (any other), `refused`, `no route`, `silent`, `broken`. `udp`: `refused`,
`no route` or `open`.
"""

import errno
import json
import socket
import ssl
import sys
import threading

NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
REFUSED = (errno.ECONNREFUSED, errno.EPERM, errno.EACCES)
BY_RULE = (errno.EPERM, errno.EACCES)
"""What a rule of this machine does to a datagram; the other end could only refuse it later."""


def tcp(address: str, name: str, pem: str, seconds: float) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem)
    try:
        plain = socket.create_connection((address, 443), seconds)
        with plain, context.wrap_socket(plain, server_hostname=name):
            return "ours"
    except ssl.SSLCertVerificationError as error:
        # X509_V_ERR_PERMITTED_VIOLATION, _EXCLUDED_VIOLATION, _HOSTNAME_MISMATCH
        return "misnamed" if error.verify_code in (47, 48, 62) else "theirs"
    except OSError as error:
        return word(error, "silent" if isinstance(error, TimeoutError) else "broken")


def udp(address: str) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect((address, 443))
            datagrams.send(b"understudy")
            return "open"
    except OSError as error:
        return "open" if error.errno not in BY_RULE + NO_ROUTE else word(error, "open")


def word(error: OSError, otherwise: str) -> str:
    return "no route" if error.errno in NO_ROUTE else "refused" if error.errno in REFUSED else otherwise


def main() -> None:
    asked = json.load(sys.stdin)
    found = [{"address": address} for address, _ in asked["targets"]]

    def probe(number: int) -> None:
        address, name = asked["targets"][number]
        found[number]["tcp"] = tcp(address, name, asked["pem"], asked["seconds"])
        found[number]["udp"] = udp(address)

    threads = [threading.Thread(target=probe, args=(number,)) for number in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
