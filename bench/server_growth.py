"""`fastiam serve` while its store grows: the longest single decision, which a full garbage collection would hold up (G217, G221).

`python bench/server_growth.py --roles 40000` starts a server over a store with one user. Another process adds roles, some in each
transaction, and one connection asks the same single decision again and again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import changing_store  # finds the examples
from bench_server import server
from measure import Record
from server_load import Address, answer_of, read_answer, request_of

import fastiam

acme = changing_store.acme
USER = "arn:aws:iam::111111111111:user/first"
OBJECT = "arn:aws:s3:::bucket/key"


def grow(path: Path, roles: int, each: int, pause: float, pipe: Any) -> None:
    """Add roles to a store when the pipe says so, and close the pipe."""
    others = acme.Acme(roles)
    with fastiam.Directory.open(path, quotas=None) as directory:
        for arn, document in others.managed.items():
            directory.add_managed_policy(arn, document)
        pipe.send("ready")
        pipe.recv()
        for at in range(0, roles, each):
            with directory.transaction():
                for role in others.roles[at : at + each]:
                    directory.add_principal(role.arn, identity_policies=[("Jobs", role.inline), *role.managed])
            time.sleep(pause)
    pipe.close()


def latencies(address: Address, pipe: Any) -> list[int]:
    """Nanoseconds of each single decision until the pipe is closed, and a second more."""
    asked = {"subject": {"type": "user", "id": USER}, "action": {"name": "s3:GetObject"}, "resource": {"type": "o", "id": OBJECT}}
    request = request_of("/access/v1/evaluation", json.dumps(asked).encode())
    answer = answer_of(address, request)
    assert b'"decision":false' in answer, answer
    found: list[int] = []
    ends = float("inf")
    assert not isinstance(address, str)
    with socket.create_connection(address) as sock:
        while time.monotonic() < ends:
            began = time.perf_counter_ns()
            sock.sendall(request)
            read_answer(sock)
            found.append(time.perf_counter_ns() - began)
            time.sleep(0.0005)
            if ends == float("inf") and pipe.poll():  # it is closed
                ends = time.monotonic() + 1
    return sorted(found)


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roles", type=int, default=40_000)
    parser.add_argument("--each", type=int, default=100, help="roles in each transaction")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two transactions")
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    record = Record("server_growth")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with fastiam.Directory.open(folder / "store", quotas=None) as directory:
            directory.add_principal(USER)
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=grow, args=(folder / "store", arguments.roles, arguments.each, arguments.pause, there))
        process.start()
        there.close()
        here.recv()
        with server(folder, folder / "store") as (addresses, _, _):
            here.send("go")
            found = latencies(addresses["tcp"], here)
        process.join()
    name = f"growth by {arguments.roles:,} principals"
    record.value(name, "single decision, p99", "ms", [found[int(len(found) * 0.99)] / 1e6], limit=10.0)
    record.value(name, "single decision, longest", "ms", [found[-1] / 1e6], limit=100.0)
    if not arguments.no_record:
        record.write()


if __name__ == "__main__":
    main()
