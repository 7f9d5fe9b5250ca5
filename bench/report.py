"""`make docs`: writes the tables of docs/benchmarks.md from the newest record of each bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
MARK = "<!-- below: written by bench/report.py from bench/record/ -->"


def newest() -> dict[str, dict[str, Any]]:
    """The newest record of each bench; their names sort by date."""
    records = (json.loads(path.read_text()) for path in sorted((HERE / "record").glob("*.json")))
    return {record["bench"]: record for record in records}


def table(record: dict[str, Any]) -> list[str]:
    """One record as Markdown."""
    lines = [f"## {record['bench']}", ""]
    lines.append(
        f"{record['processor']}, {record['cores']} cores, Python {record['python']}, NumPy {record['numpy']}; "
        f"commit {record['commit']}, {record['time'][:10]}."
    )
    lines += ["", "| workload | engine | form | ns a request (best to worst) | requests/s |", "|---|---|---|---:|---:|"]
    for line in record["lines"]:
        if "workload" in line:
            spread = f"{line['median']:,.1f} ({line['best']:,.1f} to {line['worst']:,.1f})"
            lines.append(f"| {line['workload']} | {line['engine']} | {line['form']} | {spread} | {1e9 / line['median']:,.0f} |")
    ratios = [line for line in record["lines"] if "ratio" in line]
    lines += ["", *(f"- {line['ratio']}: x{line['value']:.2f}, to stay under {line['limit']}" for line in ratios), ""]
    return lines


def main() -> None:
    """Keeps what stands above the mark, and writes the rest."""
    head = PAGE.read_text().partition(MARK)[0]
    body = [line for _, record in sorted(newest().items()) for line in table(record)]
    PAGE.write_text("\n".join([head + MARK, "", *body]).rstrip() + "\n")


if __name__ == "__main__":
    main()
