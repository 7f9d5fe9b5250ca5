"""Latency of decisions and probes while a client without credentials uses what it can of the server (docs: rules of the server).

`python bench/server_attack.py --seconds 30` starts a server over a store and sends requests for decisions on a unix socket
and for `/livez`: alone, then beside unfinished bodies, connections without requests, silent TLS handshakes, tokens of a silent
issuer, and an import of another process. It fails if an answer is refused or wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from server_load import Address, answer_of, request_of, serve_process

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "tools"))

from attacker import EVALUATION, attacked, import_export, prepare, silent_issuer

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
DECIDE = request_of("/access/v1/evaluation", json.dumps(EVALUATION).encode())
PAUSE = 0.002  # seconds between two requests


class Kept:
    """A connection of an enforcement point, kept for all requests."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.connect(path)

    def ask(self) -> bytes:
        self._sock.sendall(DECIDE)
        return self._sock.recv(65536)


def measure(addresses: dict[str, Address], seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each request by its kind.

    Raises
    ------
    RuntimeError: an answer is refused or wrong.
    """
    path = addresses["pep"]
    assert isinstance(path, str)
    kept = Kept(path)
    kinds = {
        "decision": kept.ask,
        "decision, new connection": lambda: answer_of(path, DECIDE),
        "/livez, new connection": lambda: answer_of(addresses["ops"], LIVEZ),
    }
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for kind, ask in kinds.items():
            began = time.perf_counter()
            answer = ask()
            found[kind].append((time.perf_counter() - began) * 1e3)
            if not answer.startswith(b"HTTP/1.1 200 ") or (kind != "/livez, new connection" and b'"decision":true' not in answer):
                raise RuntimeError(f"{kind}: {answer[:300]!r}")
            time.sleep(PAUSE)
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    """Print a line for each kind of request."""
    for kind, times in found.items():
        ordered: Sequence[float] = sorted(times)
        p50, p99 = (ordered[int(len(ordered) * part)] for part in (0.5, 0.99))
        print(f"{title}: {kind}: {len(ordered)} requests, p50 {p50:.2f} ms, p99 {p99:.1f} ms, longest {ordered[-1]:.0f} ms")


def main() -> None:
    """Measure alone, then beside the attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--users", type=int, default=4_000, help="of each import")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = prepare(folder, connections=1024, users=arguments.users)
        with silent_issuer(folder):
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
            with serve_process(folder, folder / "store", settings) as (addresses, _, _):
                show("alone", measure(addresses, arguments.seconds / 4))
                public, tls = (f"{host}:{port}" for host, port in (addresses["public"], addresses["tls"]))  # type: ignore[misc]
                with attacked(public, tls, arguments.seconds + 60):
                    importing = threading.Thread(target=import_export, args=(folder,))
                    importing.start()
                    show("attacked", measure(addresses, arguments.seconds))
                    importing.join()


if __name__ == "__main__":
    main()
