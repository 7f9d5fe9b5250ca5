"""What it takes to load and compile an organisation of 200 accounts and 50,000 principals from real-looking files."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Record, Timing

import fastiam

USER = "arn:aws:iam::100000000000:user/people/user-1"
SECONDS, MEGABYTES = 30, 2048  # to stay under, on two cores


def peak() -> int:
    """The peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def run(folder: Path, accounts: int) -> None:
    """Loads and compiles the files of a folder, and writes the record."""
    size = sum(path.stat().st_size for path in folder.rglob("*.json")) >> 20
    began, worked = time.perf_counter(), time.process_time()
    directory = fastiam.load(folder)
    loaded = time.perf_counter()
    engine = directory.compile()
    compiled, worked = time.perf_counter(), time.process_time() - worked
    assert not directory.findings, directory.findings[0]
    assert engine.is_allowed(USER, "s3:GetObject", "arn:aws:s3:::acme-team1-prod/x", {"aws:SecureTransport": "true"})
    record = Record("organization")
    principals = sum(1 for _ in directory.snapshot().principals()) - len(list(directory.snapshot().accounts()))
    for step, taken in {"files to directory": loaded - began, "directory to engine": compiled - loaded}.items():
        each = taken * 1e9 / principals
        record.add(f"organization {principals:,}", "fastiam", step, Timing(each, each, each), seconds=round(taken, 2))
    print(f"{accounts} accounts, {principals:,} principals, {size} MB of files: loaded in {loaded - began:.1f} s,", end=" ")
    print(f"compiled in {compiled - loaded:.1f} s ({worked:.1f} s of one processor in all), peak memory {peak()} MB")
    record.ratio("seconds to load and compile", round(compiled - began, 1), SECONDS)
    record.ratio("seconds of one processor for it", round(worked, 1), SECONDS)
    record.ratio("peak memory, MB", peak(), MEGABYTES)
    record.write()


def main() -> None:
    """Generates the files in another process, so that the memory that is measured is that of loading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=200)
    accounts = parser.parse_args().accounts
    generator = Path(__file__).with_name("organization.py")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, generator, folder, "--accounts", str(accounts)], check=True)
        run(Path(folder), accounts)


if __name__ == "__main__":
    main()
