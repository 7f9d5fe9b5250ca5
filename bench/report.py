"""`make docs`: writes the tables of docs/benchmarks.md, and the short one of the README, from the newest records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
MARK = "<!-- below: written by bench/report.py from bench/record/ -->"
README = HERE.parent / "README.md"
README_MARKS = ("<!-- table: written by bench/report.py -->", "<!-- end of table -->")

# (bench, workload, engine, form) of the README's rows, and what they are called there
HEADLINES = {
    ("batch", "identity 2,000", "fastiam", "coded"): "columns, dictionary-coded, 2,000 roles",
    ("batch", "identity 50,000", "fastiam", "coded"): "the same, 50,000 roles",
    ("batch", "identity 2,000", "fastiam", "strings"): "columns of plain text, 2,000 roles",
    ("batch", "identity 2,000", "fastiam", "strings, every ARN once"): "the same, every ARN once",
    ("batch", "layered 2,000", "fastiam", "coded"): "columns, dictionary-coded, with boundaries, SCPs, RCPs, bucket policies",
    ("single", "identity 2,000", "fastiam", "is_allowed, hot, no context"): "one `is_allowed` call, the same again and again",
    ("single", "identity 2,000", "fastiam", "is_allowed, all new"): "one `is_allowed` call, all new, five context keys",
    (
        "batch",
        "identity 2,000",
        "plain re",
        "row by row",
    ): "plain Python with compiled regular expressions, identity policies only",
    ("batch", "identity 2,000", "reference", "row by row"): "our reference, which quotes the rules",
}


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


def headlines(records: dict[str, dict[str, Any]]) -> list[str]:
    """The README's table: nanoseconds a decision and decisions a second, one thread."""
    lines = ["| one thread | ns a decision | decisions/s |", "|---|---:|---:|"]
    for (bench, *key), name in HEADLINES.items():
        found = [line for line in records[bench]["lines"] if [line.get(k) for k in ("workload", "engine", "form")] == key]
        lines += [f"| {name} | {line['median']:,.0f} | {1e9 / line['median']:,.0f} |" for line in found]
    record = records["batch"]
    return [
        *lines,
        "",
        f"Medians on {record['processor']}, {record['cores']} cores, Python {record['python']}, {record['time'][:10]}.",
    ]


def main() -> None:
    """Keeps what stands outside the marks, and writes the rest."""
    records = newest()
    head = PAGE.read_text().partition(MARK)[0]
    body = [line for _, record in sorted(records.items()) for line in table(record)]
    PAGE.write_text("\n".join([head + MARK, "", *body]).rstrip() + "\n")
    before, _, rest = README.read_text().partition(README_MARKS[0])
    after = rest.partition(README_MARKS[1])[2]
    README.write_text("\n".join([before + README_MARKS[0], "", *headlines(records), "", README_MARKS[1] + after]))


if __name__ == "__main__":
    main()
