"""`make docs`: writes the tables and pictures of docs/benchmarks.md and of the README from the newest records alone."""

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
FIRST_MARKS = ("<!-- picture: written by bench/report.py -->", "<!-- end of picture -->")


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
    """The first picture, and where its records were made."""
    used = {bench: records[bench] for bench, *_ in pictures.HEADLINES if bench in records}
    made = sorted({(one["processor"], one["cores"], one["python"], one["time"][:10]) for one in used.values()})
    machines = "; ".join(f"{processor}, {cores} cores, Python {python}, {day}" for processor, cores, python, day in made)
    return [f"Medians on {machines}. The others decide identity policies alone."]


def page(records: Mapping[str, Record], drawn: list[str]) -> list[str]:
    """Return the lines below the mark: targets, pictures, then every record."""
    lines = ["## Targets", "", "Targets of speed and what was measured, each from the newest record of its bench."]
    made: dict[str, list[str]] = {}
    for bench in {target.figure.bench: None for target in targets.TARGETS if target.figure.bench in records}:
        made.setdefault(f"commit {records[bench]['commit']}, {records[bench]['processor']}", []).append(bench)
    lines += targets.markdown(targets.judge(records))
    lines += [*(f"- {', '.join(names)}: {where}" for where, names in made.items()), "", "## Pictures", ""]
    lines += [f"![{pictures.TITLES[name]}](pictures/{name}.svg)\n" for name in drawn if name != "headlines"]
    return lines + [line for _, record in sorted(records.items()) for line in table(record)]


def main() -> None:
    """Write what is between the marks, and keep the rest."""
    records = newest(HERE / "record")
    drawn = pictures.draw(records, PAGE.parent / "pictures")
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text("\n".join([head + MARK, "", *page(records, drawn)]).rstrip() + "\n")
    _write_first_picture(README, "docs/pictures", headlines(records))
    _write_first_picture(PAGE, "pictures", headlines(records))


def _write_first_picture(page: Path, folder: str, lines: list[str]) -> None:
    before, _, rest = page.read_text().partition(FIRST_MARKS[0])
    after = rest.partition(FIRST_MARKS[1])[2]
    picture = f"![{pictures.TITLES['headlines']}]({folder}/headlines.svg)"
    page.write_text("\n".join([before + FIRST_MARKS[0], "", picture, "", *lines, "", FIRST_MARKS[1] + after]))


if __name__ == "__main__":
    main()
