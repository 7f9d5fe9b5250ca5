"""`make docs`: writes the tables and pictures of docs/benchmarks.md, and the README's table, from the newest records alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import charts as pictures
import targets
from records import Record, figures, newest, unit

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
    (
        "batch",
        "layered 2,000",
        "fastiam",
        "coded",
    ): "columns, dictionary-coded, with boundaries, sessions, SCPs, RCPs, bucket policies",
    ("single", "identity 2,000", "fastiam", targets.HOT): "one `is_allowed` call, three context keys, the same again and again",
    ("single", "identity 2,000", "fastiam", targets.NEW): "one `is_allowed` call, three context keys, every request new",
    (
        "peers",
        "identity 2,000",
        "plain",
        "single calls",
    ): "plain Python with compiled regular expressions, identity policies only",
    ("peers", "identity 2,000", "vakt", "single calls"): "vakt, identity policies only",
    ("peers", "identity 2,000", "cedarpy", "batch"): "cedarpy in batches, identity policies only",
    ("peers", "identity 2,000", "reference", "single calls"): "the specification evaluator",
}


def surroundings(record: Record) -> str:
    """Where and when a record was made."""
    load = f", load {record['load']}" if "load" in record else ""
    return (
        f"{record['processor']}, {record['cores']} cores{load}, Python {record['python']}, NumPy {record['numpy']}; "
        f"commit {record['commit']}, {record['time'][:10]}."
    )


def table(record: Record) -> list[str]:
    """One record as Markdown: times of requests, then other figures, ratios and what else was found."""
    lines = [f"## {record['bench']}", "", surroundings(record)]
    times = [(key, line) for key, line in figures(record) if unit(line) == "ns"]
    if times:
        lines += ["", "| workload | engine | form | ns a request (best to worst) | requests/s |", "|---|---|---|---:|---:|"]
        for (workload, engine, form), line in times:
            rate = f"{1e9 / line['median']:,.0f}"
            lines.append(f"| {workload} | {_engine(engine, line)} | {form} | {_spread(line, ',.1f')} | {rate} |")
    others = [(key, line) for key, line in figures(record) if unit(line) != "ns"]
    if others:
        lines += ["", "| workload | figure | median (best to worst) | |", "|---|---|---:|---|"]
        lines += [f"| {key[0]} | {key[2]} | {_spread(line, ',.4g')} | {unit(line)} |" for key, line in others]
    ratios = [line for line in record["lines"] if "ratio" in line]
    lines += ["", *(f"- {line['ratio']}: x{line['value']:.2f}, to stay under {line['limit']}" for line in ratios)]
    lines += [f"- {line['peer']}: {line['status']}" for line in record["lines"] if "status" in line]
    notes = {line["engine"]: _note(line) for _, line in figures(record) if "says" in line}
    lines += [f"- {engine}: {words}" for engine, words in notes.items()]
    return [*lines, ""]


def _engine(name: str, line: Record) -> str:
    return f"{name} {line['version']}" if line.get("version") else name


def _note(line: Record) -> str:
    share = "" if line["expressed"] == 1 else f" ({line['expressed']:.0%} of the requests)"
    return f"{line['says']}{share}"


def _spread(line: Record, form: str) -> str:
    return f"{line['median']:{form}} ({line['best']:{form}} to {line['worst']:{form}})"


def headlines(records: Mapping[str, Record]) -> list[str]:
    """The README's table: nanoseconds a decision and decisions a second, one thread. Rows without a record are left out."""
    lines, used = ["| one thread | ns a decision | decisions/s |", "|---|---:|---:|"], []
    for (bench, *key), name in HEADLINES.items():
        line = targets.Figure(bench, key[0], key[2], key[1]).of(records)
        if line is not None:
            lines.append(f"| {name} | {line['median']:,.0f} | {1e9 / line['median']:,.0f} |")
            used.append(records[bench])
    made = sorted({(one["processor"], one["cores"], one["python"], one["time"][:10]) for one in used})
    machines = "; ".join(f"{processor}, {cores} cores, Python {python}, {day}" for processor, cores, python, day in made)
    return [*lines, "", f"Medians on {machines}."]


def page(records: Mapping[str, Record], drawn: list[str]) -> list[str]:
    """Return the lines below the mark: targets, pictures, then every record."""
    lines = ["## Targets", "", "Targets of speed and what was measured, each from the newest record of its bench."]
    made: dict[str, list[str]] = {}
    for bench in {target.figure.bench: None for target in targets.TARGETS if target.figure.bench in records}:
        made.setdefault(f"commit {records[bench]['commit']}, {records[bench]['processor']}", []).append(bench)
    lines += targets.markdown(targets.judge(records))
    lines += [*(f"- {', '.join(names)}: {where}" for where, names in made.items()), "", "## Pictures", ""]
    lines += [f"![{pictures.TITLES[name]}](pictures/{name}.svg)\n" for name in drawn]
    return lines + [line for _, record in sorted(records.items()) for line in table(record)]


def main() -> None:
    """Write what is between the marks, and keep the rest."""
    records = newest(HERE / "record")
    drawn = pictures.draw(records, PAGE.parent / "pictures")
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text("\n".join([head + MARK, "", *page(records, drawn)]).rstrip() + "\n")
    before, _, rest = README.read_text().partition(README_MARKS[0])
    after = rest.partition(README_MARKS[1])[2]
    README.write_text("\n".join([before + README_MARKS[0], "", *headlines(records), "", README_MARKS[1] + after]))


if __name__ == "__main__":
    main()
