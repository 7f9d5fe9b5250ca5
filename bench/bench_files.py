"""The command line over files and folders of requests: requests a second and peak memory, each job in a process of its own."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa
from measure import Record, Timing
from workloads import Columns, identity

N = 2_000
FOLDERS = (1, 4, 16)  # files, all the same
FORMS = {"parquet": "(FORMAT parquet)", "csv": "(FORMAT csv, HEADER true)", "jsonl": "(FORMAT json)"}


PEAK = """
import sys
from fastiam.cli.main import run
code = run(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def write_requests(columns: Columns, folder: Path) -> None:
    """The requests in every format."""
    names = ["principal", "action", "resource", *columns.context]
    table = pa.table([columns.principals, columns.actions, columns.resources, *columns.context.values()], names=names)
    relation = duckdb.from_arrow(table)
    for form, options in FORMS.items():
        relation.query("requests", f"COPY (FROM requests) TO '{folder}/requests.{form}' {options}")


def authorize(folder: Path, requests: str, *out: str) -> tuple[float, int]:
    """Seconds and peak memory (MB) of one job."""
    command = [sys.executable, "-c", PEAK, "authorize", "--policies", f"{folder}/policies.json", "--quiet"]
    command += ["--requests", f"{folder}/{requests}", "--out", *out]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, int(done.stdout) >> 10


def authorize_folder(folder: Path, n: int, layout: list[str]) -> tuple[float, int]:
    """Seconds and peak memory (MB) of one job over `n` links to one file, into a folder."""
    requests, results = folder / "requests", folder / "results"
    shutil.rmtree(requests, ignore_errors=True)
    requests.mkdir()
    for i in range(n):
        (requests / f"{i:03}.parquet").hardlink_to(folder / "requests.parquet")
    taken = authorize(folder, "requests", str(results), *layout)
    shutil.rmtree(results)
    return taken


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    record = Record("files")
    work = identity(N, rows=rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "policies.json").write_text(work.directory.to_json())
        write_requests(work.columns("strings"), folder)
        for form in FORMS:
            taken, peak = authorize(folder, f"requests.{form}", f"{folder}/results.{form}")
            size = (folder / f"requests.{form}").stat().st_size >> 20
            each = taken * 1e9 / rows
            record.add(
                work.name, "fastiam", f"{form}, {size} MB", Timing(each, each, each), seconds=round(taken, 2), peak_mb=peak
            )
        for layout in (["--mirror"], ["--partition-by", "outcome"]):
            for n in FOLDERS:
                taken, peak = authorize_folder(folder, n, layout)
                each = taken * 1e9 / (rows * n)
                what = f"folder of {n} parquet files, {' '.join(layout)}"
                record.add(work.name, "fastiam", what, Timing(each, each, each), seconds=round(taken, 2), peak_mb=peak)
    record.write()


if __name__ == "__main__":
    main()
