"""`fastiam serve` for Trino, Envoy and clients of AWS: requests a second and a second of the server's CPU (G213, G215, G216).

Every answer is compared with the engine, or with the directory, before it is timed. Rates a second include the load generator,
which shares the cores. Rates a CPU second are of the server alone, and `CPU over empty` is beside an empty answer of the same web
server in the same turn. Trino and Envoy have a server over a file, AWS has one over a store. Writes follow each other on one
connection, and so do the single decisions that are made at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc.aio
import numpy as np
from bench_server import evaluation
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from envoy.service.auth.v3 import external_auth_pb2 as wire
from measure import Record
from server_load import Address, Run, answer_of, cpu_seconds, empty_server, load, read_answer, request_of, serve_process
from workloads import Workload, identity

import fastiam
from fastiam.sts import STS, Keyring

ROLES = 2_000
TABLES = 10_000
USERS = 200  # of the account that AWS clients ask about
REGION = "eu-west-1"
ACCOUNT = "111111111111"
ADMIN, ANALYST = f"arn:aws:iam::{ACCOUNT}:user/admin", f"arn:aws:iam::{ACCOUNT}:user/ada"
WORKLOAD = f"arn:aws:iam::{ACCOUNT}:role/k8s/shop/orders"
API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:orders/prod"
SPIFFE = "spiffe://prod.example/ns/shop/sa/orders"
VERSIONS = {"sts": "2011-06-15", "iam": "2010-05-08"}
CALLS: dict[str, tuple[str, dict[str, str], float | None]] = {  # service, parameters, thousands a second
    "GetCallerIdentity": ("sts", {}, 3.0),
    "GetUser": ("iam", {"UserName": "u0007"}, 2.0),
    "ListUsers": ("iam", {}, None),  # a page of 100
}

CHECKS = f"""
[listeners.main]
address = "127.0.0.1:0"
protocols = ["opa", "extauthz"]
[ops]
enabled = false
[decision_log]
path = "FOLDER/decisions"
[opa.paths."trino/batch"]
shape = "trino.batch"
[opa.trino]
principal = "arn:aws:iam::{ACCOUNT}:user/{{user}}"
[extauthz]
principal = ["spiffe", "xfcc"]
trust_xfcc = true
[extauthz.spiffe]
"spiffe://prod.example/ns/{{ns}}/sa/{{sa}}" = {{ role = "arn:aws:iam::{ACCOUNT}:role/k8s/{{ns}}/{{sa}}", session = "{{sa}}" }}
[extauthz.grpc]
address = "127.0.0.1:0"
[[extauthz.route]]
host = "orders.example"
api = "{API}"
"""
AWS = """
[source]
keyring = "FOLDER/keyring"
[listeners.main]
address = "127.0.0.1:0"
protocols = ["aws", "authzen"]
[ops]
enabled = false
[decision_log]
path = "FOLDER/decisions"
[aws]
"""


@dataclass(frozen=True)
class Bench:
    """A run: `empty` is the server of empty answers, with its process id; `count` requests in each of some turns."""

    record: Record
    empty: tuple[Address, int]
    count: int
    turns: int

    def load_empty(self) -> Run:
        """An empty answer, loaded as the others are."""
        address, pid = self.empty
        return load(address, pid, request_of("/", b"{}"), count=self.count, connections=8)

    def rates(self, workload: str, name: str, runs: Sequence[Run], bases: Sequence[Run], limit: float | None) -> None:
        """Rates a second and a CPU second, and the CPU of a request beside that of an empty answer in the same turn."""
        value = self.record.value
        value(workload, f"{name}, rate", "k/s", [run.rate / 1e3 for run in runs], better="more")
        value(workload, f"{name}, per CPU second", "k/s", [1e3 / run.cpu_us for run in runs], better="more", limit=limit)
        ratios = [run.cpu_us / base.cpu_us for run, base in zip(runs, bases, strict=True)]
        value(workload, f"{name}, CPU over empty", "x", ratios)


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """A policy."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def prepared(work: Workload) -> fastiam.Directory:
    """The directory of a workload, with the principals that this bench asks about."""
    directory = work.directory
    tables = "arn:aws:trino:::catalog/hive/schema/sales/table"
    analyst = document(
        {"Effect": "Allow", "Action": "trino:*", "Resource": f"{tables}/*"},
        {"Effect": "Deny", "Action": "trino:*", "Resource": f"{tables}/*7", "Condition": {"Null": {"trino:queryId": "false"}}},
    )
    orders = document({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": f"{API}/GET/orders/*"})
    directory.add_principal(ANALYST, identity_policies=[("tables", analyst)])
    directory.add_principal(WORKLOAD, identity_policies=[("orders", orders)])
    everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    directory.add_principal(ADMIN, identity_policies=[("all", everything)])
    for number in range(USERS):
        directory.add_principal(f"arn:aws:iam::{ACCOUNT}:user/u{number:04}")
    return directory


def body_of(answer: bytes) -> Any:
    """The JSON body of an answer."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])


# -- Trino ----------------------------------------------------------------------------------------------------------------


def tables_request() -> bytes:
    """`FilterTables` of 10,000 tables as Trino sends it."""
    tables = [{"table": {"catalogName": "hive", "schemaName": "sales", "tableName": f"t{n:05}"}} for n in range(TABLES)]
    user = {"user": "ada", "groups": ["analysts", "people"], "softwareStack": {"trinoVersion": "470"}}
    context = {"identity": user, "queryId": "20261129_120000_00001_abcde"}
    action = {"operation": "FilterTables", "filterResources": tables}
    return json.dumps({"input": {"context": context, "action": action}}, separators=(",", ":")).encode()


def trino(bench: Bench, engine: fastiam.Engine, address: Address, pid: int) -> None:
    """The batch of 10,000 tables (G213)."""
    request = request_of("/v1/data/trino/batch", tables_request())
    names = [f"arn:aws:trino:::catalog/hive/schema/sales/table/t{n:05}" for n in range(TABLES)]
    context = {"trino:queryId": "20261129_120000_00001_abcde"}
    expected = [n for n, name in enumerate(names) if engine.is_allowed(ANALYST, "trino:FilterTables", name, context)]
    answer = answer_of(address, request)
    assert body_of(answer).get("result") == expected and 0 < len(expected) < TABLES, answer[:500]
    runs = [load(address, pid, request, count=20, connections=1) for _ in range(bench.turns)]
    bench.record.value("trino", "batch of 10,000 tables", "ms", [run.percentile(50) / 1e3 for run in runs], limit=15.0)
    bench.record.value("trino", "batch of 10,000 tables, CPU", "ms", [run.cpu_us / 1e3 for run in runs])


# -- Envoy ----------------------------------------------------------------------------------------------------------------

HEADERS = {
    "user-agent": "curl/8.5.0",
    "accept": "application/json",
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-request-id": "6f1c1f1e-7f1f-4a3a-9a53-0d6f6c3f4d5e",
    "x-envoy-expected-rq-timeout-ms": "15000",
}


def check_request(path: str) -> bytes:
    """A check by HTTP, as Envoy sends it."""
    fields = {"host": "orders.example", **HEADERS, "x-forwarded-client-cert": f"Hash=0a;URI={SPIFFE}", "content-length": "0"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET /extauthz{path} HTTP/1.1\r\n{lines}\r\n".encode()


def check_message(path: str) -> bytes:
    """A check by gRPC, as Envoy sends it with `encode_raw_headers`."""
    message = wire.CheckRequest()
    attributes = message.attributes
    attributes.source.principal = SPIFFE
    attributes.source.address.socket_address.address = "203.0.113.9"
    attributes.request.time.FromNanoseconds(time.time_ns())
    http = attributes.request.http
    http.id, http.method, http.path, http.host, http.scheme = "1", "GET", path, "orders.example", "https"
    pairs = {":method": "GET", ":path": path, ":authority": "orders.example", ":scheme": "https", **HEADERS}
    for name, value in pairs.items():
        http.header_map.headers.add(key=name, raw_value=value.encode())
    return message.SerializeToString()


def load_checks(address: Address, pid: int, message: bytes, *, code: int, count: int, window: int) -> Run:
    """Send a check by gRPC many times, so many at the same time."""

    async def send() -> Run:
        latencies: list[int] = []
        async with grpc.aio.insecure_channel("{}:{}".format(*address)) as channel:
            call = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")

            async def one_after_the_other() -> None:
                for _ in range(count // window):
                    began = time.perf_counter_ns()
                    answer = await call(message)
                    latencies.append(time.perf_counter_ns() - began)
                    assert len(answer) == len(first), "an answer has another length"

            first = await call(message)
            assert wire.CheckResponse.FromString(first).status.code == code
            cpu, began = cpu_seconds(pid), time.perf_counter()
            await asyncio.gather(*(one_after_the_other() for _ in range(window)))
            return Run(len(latencies), time.perf_counter() - began, cpu_seconds(pid) - cpu, latencies)

    return asyncio.run(send())


def envoy(bench: Bench, engine: fastiam.Engine, addresses: dict[str, Address], pid: int) -> None:
    """Checks by HTTP and by gRPC, one that is allowed and one that is denied and logged (G215)."""
    session = fastiam.Session(f"arn:aws:sts::{ACCOUNT}:assumed-role/orders/orders", kind="ROLE", issuer=WORKLOAD)
    http, runs, bases = addresses["main"], {}, []
    for _ in range(bench.turns):
        bases.append(bench.load_empty())
        for name, path in (("allowed", "/orders/7"), ("denied", "/admin")):
            is_allowed = engine.is_allowed(session, "execute-api:Invoke", f"{API}/GET{path}")
            assert is_allowed is (name == "allowed")
            request, message = check_request(path), check_message(path)
            assert answer_of(http, request).startswith(b"HTTP/1.1 200" if is_allowed else b"HTTP/1.1 403"), name
            run = load(http, pid, request, count=bench.count, connections=8)
            runs.setdefault(f"HTTP, {name}", []).append(run)
            code = 0 if is_allowed else 7
            run = load_checks(addresses["extauthz"], pid, message, code=code, count=bench.count // 4, window=16)
            runs.setdefault(f"gRPC, {name}", []).append(run)
    for name, found in runs.items():
        bench.rates("envoy", name, found, bases, 15.0 if name.startswith("HTTP") else 2.5)


# -- AWS ------------------------------------------------------------------------------------------------------------------

Signer = Callable[[str, str, dict[str, str]], bytes]


def signer(address: Address, credentials: fastiam.sts.Credentials) -> Signer:
    """Makes requests of a service and an operation, signed by botocore, with the headers of boto3: each has an id of its own."""
    numbers = itertools.count()
    keys = Credentials(credentials.access_key_id, str(credentials.secret_access_key))
    host = "{}:{}".format(*address)

    def signed(service: str, operation: str, parameters: dict[str, str]) -> bytes:
        body = urlencode({"Action": operation, "Version": VERSIONS[service], **parameters})
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "User-Agent": "Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1 os/linux lang/python#3.11.7 md/pyimpl#CPython Botocore/1.44.8",
        }
        request = AWSRequest("POST", f"http://{host}/aws", headers, body)
        SigV4Auth(keys, service, REGION).add_auth(request)
        fields = {"Host": host, "Accept-Encoding": "identity", **dict(request.headers.items())}
        fields |= {"amz-sdk-invocation-id": f"6f1c1f1e-7f1f-4a3a-9a53-{next(numbers):012x}", "amz-sdk-request": "attempt=1"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST /aws HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    return signed


def check_answers(address: Address, signed: Signer) -> None:
    """Compare the answers of the timed reads with the directory."""
    answers = {name: answer_of(address, signed(service, name, given)) for name, (service, given, _) in CALLS.items()}
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers.values()), answers
    assert f"<Arn>{ADMIN}</Arn>".encode() in answers["GetCallerIdentity"]
    assert f"<Arn>arn:aws:iam::{ACCOUNT}:user/u0007</Arn>".encode() in answers["GetUser"]
    names = re.findall(rb"<UserName>(.*?)</UserName>", answers["ListUsers"])
    assert names == [name.encode() for name in ["ada", "admin", *(f"u{n:04}" for n in range(98))]], "the first page"


def send_all(address: Address, pid: int, requests: Sequence[bytes]) -> Run:
    """Send requests one after the other on one connection; every answer must be 200."""
    latencies = []
    assert not isinstance(address, str)
    with socket.create_connection(address) as sock:
        cpu, start = cpu_seconds(pid), time.perf_counter()
        for request in requests:
            began = time.perf_counter_ns()
            sock.sendall(request)
            answer = read_answer(sock)
            latencies.append(time.perf_counter_ns() - began)
            assert answer.startswith(b"HTTP/1.1 200"), answer
        return Run(len(latencies), time.perf_counter() - start, cpu_seconds(pid) - cpu, latencies)


def write_requests(signed: Signer, turn: int, count: int) -> dict[str, list[bytes]]:
    """New users, and their deletion."""
    names = [f"w{turn:02}{n:05}" for n in range(count)]
    return {call: [signed("iam", call, {"UserName": name}) for name in names] for call in ("CreateUser", "DeleteUser")}


def decisions_beside(address: Address, pid: int, requests: Sequence[bytes], decision: bytes) -> tuple[Run, list[int]]:
    """Calls, and the nanoseconds of single decisions that follow each other on another connection until the calls end."""
    runs: list[Run] = []
    calls = threading.Thread(target=lambda: runs.append(send_all(address, pid, requests)))
    latencies = []
    assert not isinstance(address, str)
    with socket.create_connection(address) as sock:
        calls.start()
        while calls.is_alive():
            began = time.perf_counter_ns()
            sock.sendall(decision)
            answer = read_answer(sock)
            latencies.append(time.perf_counter_ns() - began)
            assert body_of(answer)["decision"] is True
    [run] = runs
    return run, sorted(latencies)


def commits(folder: Path, count: int) -> float:
    """Commits a second of one small row by SQLite alone, as durable as those of a store: what writes cannot exceed."""
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS rows (text TEXT)")
        began = time.perf_counter()
        for _ in range(count):
            connection.execute("INSERT INTO rows VALUES ('x')")
        return count / (time.perf_counter() - began)


def aws(bench: Bench, folder: Path, address: Address, pid: int, signed: Signer, decision: bytes) -> None:
    """Signed calls that read and that write, and both with single decisions beside them (G216)."""
    check_answers(address, signed)
    assert body_of(answer_of(address, decision))["decision"] is True
    reads: dict[str, list[Run]] = {}
    writes: dict[str, list[Run]] = {}
    beside: list[tuple[Run, list[int]]] = []
    beside_reads: list[tuple[Run, list[int]]] = []
    bases, bare = [], []
    for turn in range(bench.turns):
        bases.append(bench.load_empty())
        bare.append(commits(folder, bench.count // 10))
        for name, (service, given, _) in CALLS.items():
            count = bench.count // (8 if name == "ListUsers" else 1)
            requests = [signed(service, name, given) for _ in range(bench.count // 10)]
            reads.setdefault(name, []).append(load(address, pid, requests, count=count, connections=4))
            if name == "GetUser":
                beside_reads.append(decisions_beside(address, pid, requests, decision))
        made = write_requests(signed, turn, bench.count // 10)
        for name, requests in made.items():
            writes.setdefault(name, []).append(send_all(address, pid, requests))
        made = write_requests(signed, turn, bench.count // 10)
        beside.append(decisions_beside(address, pid, made["CreateUser"], decision))
        send_all(address, pid, made["DeleteUser"])
    for name, found in reads.items():
        bench.rates("aws", name, found, bases, CALLS[name][2])
    value = bench.record.value
    value("aws", "commit of SQLite alone, rate", "/s", bare, better="more")
    for name, found in writes.items():
        value("aws", f"{name}, durable, rate", "/s", [run.rate for run in found], better="more", limit=200.0)
        value("aws", f"{name}, durable, CPU", "us", [run.cpu_us for run in found])
    rates = [run.rate for run, _ in beside]
    value("aws", "CreateUser beside decisions, rate", "/s", rates, better="more", limit=200.0)
    rates = [len(latencies) / run.seconds for run, latencies in beside]
    value("aws", "decisions beside writes, rate", "/s", rates, better="more")
    for percent, limit in ((50, None), (99, 10.0), (99.9, None)):
        for what, found in (("writes", beside), ("GetUser", beside_reads)):
            times = [float(np.percentile(latencies, percent)) / 1e6 for _, latencies in found]
            value("aws", f"decisions beside {what}, p{percent}", "ms", times, limit=limit)


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--no-record", action="store_true")
    arguments = parser.parse_args()
    record = Record("protocols")
    work = identity(ROLES, rows=1_000)
    directory = prepared(work)
    engine = directory.compile()
    rows = work.columns("strings").rows(np.arange(1_000))
    asked = next(asked for row in rows if engine.is_allowed(*row[:3], (asked := evaluation(row))["context"]))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        empty = stack.enter_context(empty_server())
        bench = Bench(record, empty, arguments.requests, arguments.turns)
        source = folder / "policies.json"
        directory.dump(source)
        with serve_process(folder, source, CHECKS.replace("FOLDER", str(folder))) as (addresses, pid, _):
            trino(bench, engine, addresses["main"], pid)
            envoy(bench, engine, addresses, pid)
        keyring = Keyring.generate()
        keyring.save(folder / "keyring")
        with fastiam.Directory.open(folder / "iam.db") as store:
            fastiam.load(source, into=store)
            credentials = STS(store, keyring).keys.create(ADMIN)
        with serve_process(folder, folder / "iam.db", AWS.replace("FOLDER", str(folder))) as (addresses, pid, _):
            decision = request_of("/access/v1/evaluation", json.dumps(asked).encode())
            signed = signer(addresses["main"], credentials)
            aws(bench, folder, addresses["main"], pid, signed, decision)
    if not arguments.no_record:
        record.write()


if __name__ == "__main__":
    main()
