"""What `import fastiam` adds to a process that has NumPy, up to the first decision.

The package loads its parts when they are used, so the import alone would say little: `first engine` reaches an engine and a
decision of it. Each turn is a fresh interpreter; the times are taken inside of it, after `import numpy`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from measure import Record

CODE = """
import time, numpy
began = time.perf_counter_ns()
import fastiam
imported = time.perf_counter_ns()
fastiam.Engine, fastiam.Directory, fastiam.Session, fastiam.Decision
named = time.perf_counter_ns()
directory = fastiam.Directory()
directory.add_principal("arn:aws:iam::111111111111:user/ana")
directory.compile().is_allowed("arn:aws:iam::111111111111:user/ana", "s3:GetObject", "arn:aws:s3:::b/x")
decided = time.perf_counter_ns()
print(imported - began, named - began, decided - began)
"""
FORMS = ("import fastiam, beyond NumPy", "with all that an engine needs", "to the first decision")


def main() -> None:
    """Runs the bench and writes its record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=11)
    turns = parser.parse_args().turns
    record = Record("start")
    # what is installed has its bytecode
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    found: list[list[float]] = []
    for _ in range(turns + 1):
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment)
        found.append([int(taken) / 1e6 for taken in done.stdout.split()])
    for form, times in zip(FORMS, zip(*found[1:], strict=True), strict=True):
        record.value("start-up", form, "ms", times)
    record.write()


if __name__ == "__main__":
    main()
