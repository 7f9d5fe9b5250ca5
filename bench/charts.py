"""The pictures of docs/benchmarks.md, drawn from records alone: the same records give the same files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import targets
from records import Record, figures

TITLES = {
    "headlines": "Decisions a second, one thread (log scale)",
    "principals": "Nanoseconds a decision as the organization grows",
    "statements": "Nanoseconds a decision as the statements of one principal grow",
    "peers": "Decisions a second of one thread, on the same requests",
    "limits": "What a decision takes beside what the machine allows",
}
HEIGHTS = {"peers": 4.4, "headlines": 4.0}  # inches
# (bench, workload, engine, form) of the bars of the first picture, and what they are called there
HEADLINES = {
    ("batch", "identity 2,000", "fastiam", "coded"): "fastiam: a table, 2,000 roles",
    ("batch", "identity 50,000", "fastiam", "coded"): "fastiam: a table, 50,000 roles",
    ("batch", "layered 2,000", "fastiam", "coded"): "fastiam: a table, SCPs, boundaries, bucket policies",
    ("single", "identity 2,000", "fastiam", targets.HOT): "fastiam: one call, asked again",
    ("single", "identity 2,000", "fastiam", targets.NEW): "fastiam: one call, each request new",
    ("peers", "identity 2,000", "plain", "single calls"): "plain Python with compiled regular expressions",
    ("peers", "identity 2,000", "vakt", "single calls"): "vakt",
    ("peers", "identity 2,000", "cedarpy", "batch"): "cedarpy, in batches",
    ("peers", "identity 2,000", "reference", "single calls"): "the specification evaluator, in plain Python",
}
BLUE, ORANGE, GREEN, GREY = "#2563a8", "#d97706", "#3f8f5f", "#9aa3ad"
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "fastiam", "font.family": "sans-serif", "font.size": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e5e7eb", "axes.axisbelow": True,
}  # fmt: skip
# what columns cannot go below, as measured by bench_limits.py
FLOORS = {
    "coded": ("copy 64 bytes a row",),
    "strings": ("copy 64 bytes a row", "look up an action", "look up a principal of 2,000", "hash one ARN"),
}
Lines = Mapping[tuple[str, str, str], Record]


def draw(records: Mapping[str, Record], folder: Path) -> list[str]:
    """Writes the pictures that the records have figures for; their names."""
    import matplotlib
    import matplotlib.figure

    matplotlib.use("svg")
    folder.mkdir(exist_ok=True)
    lines = {bench: dict(figures(record)) for bench, record in records.items()}
    drawn = []
    for name, picture in PICTURES.items():
        with matplotlib.rc_context(STYLE):
            figure = matplotlib.figure.Figure(figsize=(7.6, HEIGHTS.get(name, 3.4)), layout="constrained")
            axes = figure.subplots()
            axes.set_title(TITLES[name], loc="left", fontsize=11)
            if picture(axes, lines):
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
                drawn.append(name)
    return drawn


def principals(axes: Any, lines: Mapping[str, Lines]) -> bool:
    """Growth from 100 to 50,000 principals."""
    curves = {form: _sizes(lines.get("batch", {}), "identity ", form) for form in ("coded", "strings")}
    return _curves(axes, {f"identity, {form}": curve for form, curve in curves.items()}, "principals")


def statements(axes: Any, lines: Mapping[str, Lines]) -> bool:
    """Growth from 10 to 10,000 statements of one principal."""
    curves = {kind: _sizes(lines.get("growth", {}), "one principal, ", kind) for kind in ("prefixes", "*-team-*")}
    return _curves(axes, {f"patterns: {kind}": curve for kind, curve in curves.items()}, "statements about the action asked for")


def peers(axes: Any, lines: Mapping[str, Lines]) -> bool:
    """Bars on a logarithmic axis, the fastest on top."""
    found = lines.get("peers", {})
    bars = sorted(
        (1e9 / line["median"], engine, form) for (_, engine, form), line in found.items() if form in ("single calls", "batch")
    )
    if not bars:
        return False
    colors = [BLUE if engine == "fastiam" else GREY for _, engine, _ in bars]
    names = [f"{engine}, {form}" + _part(found, engine) for _, engine, form in bars]
    drawn = axes.barh(names, [rate for rate, _, _ in bars], color=colors)
    axes.bar_label(drawn, [f"{rate:,.0f}" for rate, _, _ in bars], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlim(right=max(rate for rate, _, _ in bars) * 8)
    axes.set_xlabel("decisions/s")
    axes.grid(axis="y", visible=False)
    return True


def limits(axes: Any, lines: Mapping[str, Lines]) -> bool:
    """Stacked floors beside the figure of the same form of columns."""
    floors = {form: line["median"] for (_, _, form), line in lines.get("limits", {}).items()}
    batch = lines.get("batch", {})
    names, rows = [], []
    for form, parts in FLOORS.items():
        figure = batch.get(("identity 2,000", "fastiam", form))
        if figure and all(part in floors for part in parts):
            names.append(form)
            rows.append((parts, figure["median"]))
    for place, (name, (parts, whole)) in enumerate(zip(names, rows, strict=True)):
        left = 0.0
        for part, color in zip(parts, (GREEN, ORANGE, "#e0a94f", "#b7791f"), strict=False):
            axes.barh(place + 0.2, floors[part], 0.36, left=left, color=color, label=part if name == names[-1] else None)
            left += floors[part]
        axes.barh(place - 0.2, whole, 0.36, color=BLUE, label="a decision" if name == names[-1] else None)
        axes.text(whole, place - 0.2, f"  {whole:.0f} ns; the floor is {left / whole:.0%} of it", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("nanoseconds a request, one thread, identity 2,000")
    axes.margins(x=0.5)
    axes.grid(axis="y", visible=False)
    if names:
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return bool(names)


def headlines(axes: Any, lines: Mapping[str, Lines]) -> bool:
    """What the README shows: columns and single calls of fastiam, beside others on the same requests."""
    bars = [
        (name, 1e9 / lines[bench][workload, engine, form]["median"], engine)
        for (bench, workload, engine, form), name in HEADLINES.items()
        if (workload, engine, form) in lines.get(bench, {})
    ]
    drawn = axes.barh(
        [name for name, _, _ in bars],
        [rate for _, rate, _ in bars],
        color=[BLUE if engine == "fastiam" else GREY for _, _, engine in bars],
    )
    axes.bar_label(drawn, [f"{rate:,.0f}" for _, rate, _ in bars], padding=4, fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)  # each bar has its number
    axes.set_xlim(left=1_000, right=max((rate for _, rate, _ in bars), default=1) * 12)
    axes.grid(axis="y", visible=False)
    return bool(bars)


PICTURES: dict[str, Callable[[Any, Mapping[str, Lines]], bool]] = {
    "headlines": headlines,
    "principals": principals,
    "statements": statements,
    "peers": peers,
    "limits": limits,
}


def _curves(axes: Any, curves: Mapping[str, Lines], label: str) -> bool:
    for (name, curve), color in zip(curves.items(), (BLUE, ORANGE), strict=True):
        xs = sorted(curve)
        axes.plot(xs, [curve[x]["median"] for x in xs], marker="o", color=color, label=name)
        axes.fill_between(xs, [curve[x]["best"] for x in xs], [curve[x]["worst"] for x in xs], color=color, alpha=0.15, lw=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel("ns")
    axes.legend(frameon=False)
    return any(curves.values())


def _sizes(lines: Lines, prefix: str, form: str) -> dict[int, Record]:
    """Figures of one form by the number that their workload is named after."""
    found = {}
    for (workload, engine, one), line in lines.items():
        if workload.startswith(prefix) and (engine, one) == ("fastiam", form):
            found[int(workload.removeprefix(prefix).split()[0].replace(",", ""))] = line
    return found


def _part(lines: Lines, engine: str) -> str:
    """A star for what expresses a part of the work alone."""
    own = [line for (_, name, _), line in lines.items() if name == engine]
    return " (a part)" if any(line.get("expressed", 1) < 1 for line in own) else ""
