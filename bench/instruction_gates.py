"""`make gates`: instructions of thirteen small benches, counted by callgrind and compared with bench/gates.json; 2 % both ways.

A clock on a shared machine does not resolve 2 %; instruction counts do: a warm engine that decides the same requests executes
the same instructions. Only the calls are counted. Counts depend on the compiler and on Python: if they differ from those of the
record, or valgrind is missing, nothing is compared, and a message reports it. `make gates-record` writes the record again,
after a gain in speed or an intended cost.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("gates.json")
TOLERANCE = 0.02
CALLS, ROWS, ROLES = 2_000, 20_000, 200
FIXED_ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
Counts = Mapping[str, int]  # instructions a request, times a thousand
Jobs = Mapping[
    str, tuple[Callable[[], Any], Callable[[], Any], int]
]  # by name: what warms, what counts, how many requests that is


# -- what is counted: runs under callgrind ------------------------------------------------------------------------------------


def single_calls() -> dict[str, tuple[Callable[[], Any], Callable[[], Any], int]]:
    """Calls of one request over three statements."""
    import fastiam

    account = "arn:aws:iam::111111111111:role/"
    office = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    statements = {
        "admin": {"Effect": "Allow", "Action": "*", "Resource": "*"},
        "reader": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::data/*"},
        "office": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::data/*", "Condition": office},
    }
    directory = fastiam.Directory()
    for name, statement in statements.items():
        directory.add_principal(account + name, identity_policies=[{"Version": "2012-10-17", "Statement": [statement]}])
    engine = directory.compile()
    asked = "s3:GetObject", "arn:aws:s3:::data/2026/11/25/part-00017.parquet", {"aws:SourceIp": "10.1.2.3"}
    jobs = {}
    for name, role in (("flag row", "admin"), ("one pattern", "reader"), ("condition", "office")):
        job = _calls(engine.is_allowed, [(account + role, *asked)] * CALLS)
        jobs[f"is_allowed, {name}"] = job, job, CALLS
    job = _calls(engine.decide, [(account + "office", *asked)] * CALLS)
    jobs["decide, condition"] = job, job, CALLS
    return jobs


def workloads() -> dict[str, tuple[Callable[[], Any], Callable[[], Any], int]]:
    """The same over generated organizations: single calls and batches."""
    import numpy as np
    from engines import Fastiam
    from workloads import identity, layered

    picked = np.arange(CALLS)
    plain, placed = identity(ROLES, rows=ROWS), layered(ROLES, rows=ROWS)
    unique = identity(ROLES, rows=ROWS, unique=True)
    one, other = Fastiam(plain), Fastiam(placed)
    met, new = (work.columns("strings").rows(picked) for work in (plain, unique))
    crossing = placed.columns("strings").rows(picked)
    jobs: dict[str, Any] = {
        "is_allowed, layered": (*[_calls(other.engine.is_allowed, crossing)] * 2, CALLS),
        "is_allowed, new resources": (_calls(one.engine.is_allowed, met), _calls(one.engine.is_allowed, new), CALLS),
    }
    for name, engine, work, form, options in (
        ("batch, coded", one, plain, "coded", {}),
        ("batch, strings", one, plain, "strings", {}),
        ("batch, reasons", one, plain, "coded", {"reasons": True}),
        ("batch, layered", other, placed, "coded", {}),
    ):
        columns = work.columns(form)
        job = _batch(engine, columns, options)
        jobs[name] = job, job, ROWS
    return jobs


def tagged() -> dict[str, tuple[Callable[[], Any], Callable[[], Any], int]]:
    """A batch with a column of a principal tag that the directory knows, beside one of a resource tag that is read (K1)."""
    import numpy as np
    import pyarrow as pa

    import fastiam

    account, envs, teams = "111111111111", ["prod", "dev", "test"], [f"team{i}" for i in range(12)]
    roles = [f"arn:aws:iam::{account}:role/r{i}" for i in range(ROLES)]
    objects = [f"arn:aws:s3:::b{i}/data/x{j}" for i in range(20) for j in range(50)]
    directory = fastiam.Directory(quotas=None)
    for i, role in enumerate(roles):
        condition = {"StringEquals": {"aws:ResourceTag/env": envs[:2]}}
        statement = {"Effect": "Allow", "Action": "s3:Get*", "Resource": f"arn:aws:s3:::b{i % 20}/*", "Condition": condition}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        directory.add_principal(role, tags={"team": teams[i % 12]}, identity_policies=[document])
    for i in range(20):
        directory.add_resource(f"arn:aws:s3:::b{i}", account=account)
    rows = np.arange(ROWS)
    who = rows * 7919 % ROLES

    def coded(codes: Any, values: list[str]) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(values))

    context = {"aws:PrincipalTag/team": coded(who % 12, teams), "aws:ResourceTag/env": coded(rows % 3, envs)}
    columns = coded(who, roles), coded(rows * 0, ["s3:GetObject"]), coded((who % 20 * 50 + rows % 50), objects), context
    engine = directory.compile()

    def job() -> None:
        engine.decide_many(*columns)

    return {"batch, tags": (job, job, ROWS)}


def small_batches() -> dict[str, tuple[Callable[[], Any], Callable[[], Any], int]]:
    """Batches of 100 rows; and roles with three to six patterns that a group filter may skip, whose rows in a third of the cases
    have a resource of the role."""
    import numpy as np
    import pyarrow as pa
    from engines import Fastiam
    from workloads import Columns, identity

    import fastiam

    work = identity(ROLES, rows=ROWS)
    engine, columns = Fastiam(work), work.columns("coded")

    def cut(at: int) -> Columns:
        names = (column[at : at + 100] for column in (columns.principals, columns.actions, columns.resources))
        return Columns(*names, {key: column[at : at + 100] for key, column in columns.context.items()})

    cuts = [cut(at) for at in range(0, ROWS, 100)]

    def in_small() -> None:
        for some in cuts:
            engine.batch(some)

    account, rows = "arn:aws:iam::111111111111:role/", np.arange(ROWS)
    buckets = [[f"arn:aws:s3:::{letter * 3}-data-{i}/" for letter in "abcdef"[: 3 + i % 4]] for i in range(ROLES)]
    directory = fastiam.Directory(quotas=None)
    for i, owned in enumerate(buckets):
        allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [f"{bucket}*" for bucket in owned]}
        directory.add_principal(f"{account}r{i}", identity_policies=[{"Version": "2012-10-17", "Statement": [allow]}])
    who = rows * 7919 % ROLES
    asked = [buckets[role if i % 3 == 0 else (role + i) % ROLES][i % 3] + "x" for i, role in enumerate(who.tolist())]
    roles = pa.DictionaryArray.from_arrays(pa.array(who.astype(np.int32)), pa.array([f"{account}r{i}" for i in range(ROLES)]))
    resources, grouped = pa.array(asked).dictionary_encode(), directory.compile()

    def groups() -> None:
        grouped.decide_many(roles, "s3:GetObject", resources)

    return {"batch, groups": (groups, groups, ROWS), "batch, 100 rows": (in_small, in_small, ROWS)}


def _calls(call: Callable[..., Any], rows: list[Any]) -> Callable[[], None]:
    def job() -> None:
        for principal, action, resource, context in rows:
            call(principal, action, resource, context)

    return job


def _batch(engine: Any, columns: Any, options: dict[str, Any]) -> Callable[[], Any]:
    return lambda: engine.batch(columns, **options)


def inside(jobs: Jobs) -> None:
    """Runs under callgrind; each job leaves a dump with its name, and reports its number of requests."""
    from native import library

    native = library()
    gc.collect()
    gc.disable()
    for name, (warm, job, n) in jobs.items():
        for _ in range(3):
            warm()
        native.count_start()
        job()
        native.count_stop(f"{name}|{n}".encode())


# -- counting and comparing ---------------------------------------------------------------------------------------------------


def count(script: str = __file__) -> dict[str, int]:
    """Instructions a thousand requests, by bench of a script."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        done = subprocess.run(
            [*command, sys.executable, script, "--inside"],
            env={**os.environ, **FIXED_ENVIRONMENT},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"the benches under callgrind broke:\n{done.stderr}")
        return read_dumps(Path(folder))


def read_dumps(folder: Path) -> dict[str, int]:
    """The counts in the dumps of callgrind."""
    found = {}
    for path in folder.glob("out.*"):
        text = path.read_text()
        named = re.search(r"^desc: Trigger: Client Request: (.*)\|(\d+)$", text, re.M)
        total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
        if named and total:
            found[named[1]] = round(int(total[1]) * 1000 / int(named[2]))
    return dict(sorted(found.items()))


def surroundings() -> dict[str, str]:
    """What counts depend on beside the code."""
    compiler, valgrind = (
        subprocess.run([command, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
        for command in (os.environ.get("CC", "gcc"), "valgrind")
    )
    cpu = Path("/proc/cpuinfo")
    wide = "avx2" if cpu.exists() and " avx2 " in cpu.read_text() else "no avx2"  # the C library picks its copies by it
    return {
        "compiler": compiler,
        "valgrind": valgrind,
        "machine": f"{platform.machine()}, {wide}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("cython", "numpy", "pyarrow")},
    }


def elsewhere(record: Mapping[str, Any], here: Mapping[str, str]) -> list[str]:
    """What is other here than where the record was made."""
    return [f"{name} `{record.get(name)}` here `{value}`" for name, value in here.items() if record.get(name) != value]


def compare(recorded: Counts, counted: Counts, tolerance: float = TOLERANCE) -> tuple[list[str], bool]:
    """A line for every bench, and whether all are within the gate."""
    lines, is_good = [f"{'instructions a request':28s} {'recorded':>10s} {'counted':>10s}"], True
    for name in sorted({*recorded, *counted}):
        before, after = recorded.get(name), counted.get(name)
        if before is None or after is None:
            lines.append(f"{name:28s} only {'recorded' if after is None else 'counted'}: FAILED")
            is_good = False
            continue
        change = after / before - 1
        within = abs(change) <= tolerance
        is_good = is_good and within
        verdict = "" if within else "  MORE: FAILED" if change > 0 else "  LESS: FAILED"
        lines.append(f"{name:28s} {before / 1000:10,.1f} {after / 1000:10,.1f} {change:+7.2%}{verdict}")
    return lines, is_good


def missing() -> str | None:
    """What is not here, without which nothing can be counted."""
    if shutil.which("valgrind") is None:
        return "valgrind"
    from native import library

    return None if library().has_marks() else "the header <valgrind/callgrind.h>"


def main() -> int:
    """Counts and compares, or records."""
    if what := missing():
        print(f"{what} is not here: instruction counts are not checked")
        return 0
    here = surroundings()
    if "--record" in sys.argv:
        RECORD.write_text(json.dumps({**here, "instructions_per_thousand_requests": count()}, indent=1) + "\n")
        print(f"recorded in {RECORD.name}")
        return 0
    record = json.loads(RECORD.read_text())
    if others := elsewhere(record, here):
        print("instruction counts are not checked, the record is of another place: " + "; ".join(others))
        return 0
    lines, is_good = compare(record["instructions_per_thousand_requests"], count())
    print("\n".join(lines))
    if not is_good:
        print(f"\na count moved by more than {TOLERANCE:.0%}. If that is meant: `make gates-record`, and commit bench/gates.json")
    return 0 if is_good else 1


if __name__ == "__main__":
    if "--inside" in sys.argv:
        inside(single_calls() | workloads() | tagged() | small_batches())
    else:
        sys.exit(main())
