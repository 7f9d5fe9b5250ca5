"""A server with a public listener, and a client without credentials that holds as much of it as it can.

As a script it attacks: `python attacker.py PUBLIC TLS ROLE SECONDS`, with the addresses of the two listeners.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

A = "111111111111"
USER = f"arn:aws:iam::{A}:user/admin"
ROLE = f"arn:aws:iam::{A}:role/web"
ISSUER = "idp.example"
EVALUATION = {
    "subject": {"type": "user", "id": USER},
    "action": {"name": "s3:GetObject"},
    "resource": {"type": "s3", "id": "arn:aws:s3:::b/k"},
}
SETTINGS = """
[listeners.public]
address = "127.0.0.1:0"
protocols = ["aws"]
[listeners.tls]
address = "127.0.0.1:0"
protocols = ["bulk"]
tls = {{ certificate = "{folder}/server.pem", key = "{folder}/server.key" }}
[listeners.pep]
address = "unix:{folder}/pep.sock"
protocols = ["authzen"]
[listeners.ops]
address = "127.0.0.1:0"
[source]
keyring = "{folder}/keyring"
[decision_log]
mode = "off"
[limits]
connections = {connections}
handshakes = 64
[aws.oidc]
fetch = ["https://idp.example"]
private_hosts = ["idp.example"]
"""
# the issuer is a name; its address is that of a socket that accepts and never answers
NAMES = """
import socket
find = socket.getaddrinfo
def getaddrinfo(host, port, *rest, **options):
    return find("127.0.0.1", {port}, *rest, **options) if host == "idp.example" else find(host, port, *rest, **options)
socket.getaddrinfo = getaddrinfo
"""


@dataclass
class SilentIssuer:
    """An identity provider that accepts connections and never answers."""

    sock: socket.socket
    accepted: list[socket.socket] = field(default_factory=list)

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                self.accepted.append(self.sock.accept()[0])


@contextmanager
def silent_issuer(folder: Path) -> Iterator[SilentIssuer]:
    """The issuer; a process with `folder` in `PYTHONPATH` finds it under its name."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        (folder / "sitecustomize.py").write_text(NAMES.format(port=sock.getsockname()[1]))
        issuer = SilentIssuer(sock)
        threading.Thread(target=issuer.serve, daemon=True).start()
        yield issuer
        for each in issuer.accepted:
            each.close()


def prepare(folder: Path, *, connections: int, users: int) -> str:
    """Write a store, a keyring, TLS files and an export to import; the configuration of the server."""
    import trustme

    import fastiam
    from fastiam.sts import Keyring

    made = trustme.CA().issue_cert("localhost", "127.0.0.1")
    made.private_key_pem.write_to_path(folder / "server.key")
    (folder / "server.pem").write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    Keyring.generate().save(folder / "keyring")
    every = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    provider = f"arn:aws:iam::{A}:oidc-provider/{ISSUER}"
    trusted = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
    with fastiam.Directory.open(folder / "store") as directory:
        directory.add_principal(USER, identity_policies=[("all", json.dumps(every))])
        directory.create_oidc_provider(provider, client_ids=["app"])
        directory.add_principal(ROLE, trust_policy=json.dumps({"Version": "2012-10-17", "Statement": [trusted]}))
    (folder / "export.json").write_text(json.dumps(_export(users)))
    return SETTINGS.format(folder=folder, connections=connections)


def _export(users: int) -> dict[str, object]:
    """An export of an account in the form of `aws iam get-account-authorization-details`."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}],
    }
    found = [
        {
            "Path": "/",
            "UserName": f"u{i}",
            "UserId": f"AIDA{i:017d}",
            "Arn": f"arn:aws:iam::222222222222:user/u{i}",
            "GroupList": [],
            "AttachedManagedPolicies": [],
            "UserPolicyList": [{"PolicyName": "p", "PolicyDocument": policy}],
        }
        for i in range(users)
    ]
    return {"UserDetailList": found, "GroupDetailList": [], "RoleDetailList": [], "Policies": []}


def import_export(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """The write of another process: an import in one transaction."""
    command = [sys.executable, "-m", "fastiam", "import", "--store", str(folder / "store"), str(folder / "export.json")]
    return subprocess.run(command, capture_output=True, check=False)


@contextmanager
def attacked(public: str, tls: str, seconds: float) -> Iterator[None]:
    """The attack, by a process of its own."""
    command = [sys.executable, __file__, public, tls, str(seconds)]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


# -- the attack -----------------------------------------------------------------------------------------------------------

_KEPT = 6_000  # connections that it keeps
_HEAD = "POST /aws HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
UNFINISHED = f"{_HEAD}Content-Length: 10\r\n\r\nx".encode()
UNANSWERED = b"GET /aws/none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def token_call() -> bytes:
    """A call without a signature, with a token of the silent issuer."""
    token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwic3ViIjoiYSIsImF1ZCI6ImFwcCJ9.eyJzIjoxfQ"
    form = {"Acti%6Fn": "AssumeRoleWithWebIdentity", "RoleArn": ROLE, "RoleSessionName": "name", "WebIdentityToken": token}
    body = urlencode({**form, "Version": "2011-06-15"}, safe="%")
    return f"{_HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _hold(address: str, data: bytes, pause: float, ends: float) -> None:
    """Open connections, send some bytes on each, and keep them."""
    host, _, port = address.rpartition(":")
    kept: list[socket.socket] = []
    while time.monotonic() < ends:
        with suppress(OSError):
            sock = socket.create_connection((host, int(port)), 5)
            kept.append(sock)
            sock.sendall(data)
        for old in kept[:-_KEPT]:
            old.close()
        del kept[:-_KEPT]
        time.sleep(pause)


def main() -> None:
    """Attack until the time is over."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    public, tls, seconds = sys.argv[1:]
    ends = time.monotonic() + float(seconds)
    kinds: list[tuple[str, bytes, float]] = [
        (public, UNFINISHED, 0.004),
        (public, UNANSWERED, 0.004),
        (public, token_call(), 0.1),
        (tls, b"", 0.004),
    ]
    jobs: list[Callable[[], None]] = [lambda kind=kind: _hold(*kind, ends) for kind in kinds]  # type: ignore[misc]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
