"""Two records of one bench side by side: `python bench/compare.py OLD NEW [--fail-above 1.10]`.

The ratio is NEW over OLD. A figure has changed if the spreads do not overlap: the machine is noisier than most changes. With
`--fail-above` the exit code is 2 if one changed for the worse by more than that.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from records import Key, Record, figures, unit


@dataclass(frozen=True)
class Change:
    """One figure in two records. Less is better, unless the record has `"better": "more"` (how many times as fast)."""

    key: Key
    old: Record
    new: Record

    @property
    def ratio(self) -> float:
        """The new median over the old one."""
        return float(self.new["median"] / self.old["median"])

    @property
    def is_beyond_spread(self) -> bool:
        """Whether the two spreads have nothing in common."""
        return bool(self.new["best"] > self.old["worst"] or self.new["worst"] < self.old["best"])

    @property
    def slower(self) -> float:
        """How many times worse the new figure is; below 1 where it is better."""
        return 1 / self.ratio if self.new.get("better") == "more" else self.ratio

    @property
    def direction(self) -> str:
        """`slower` or `faster` where the change is beyond the spread."""
        if not self.is_beyond_spread:
            return ""
        return "slower" if self.slower > 1 else "faster"

    def __str__(self) -> str:
        name, of = "  ".join(self.key), unit(self.new)
        medians = f"{self.old['median']:12,.5g} {self.new['median']:12,.5g} {of:3s}"
        return f"{name:76s} {medians} x{self.ratio:.3f}  {self.direction}".rstrip()


def changes(old: Record, new: Record) -> tuple[list[Change], list[tuple[Key, str]]]:
    """What both records have, in the order of the new one, and what only one has."""
    olds, news = dict(figures(old)), dict(figures(new))
    both = [Change(key, olds[key], line) for key, line in news.items() if key in olds]
    alone = [(key, "old") for key in olds if key not in news] + [(key, "new") for key in news if key not in olds]
    return both, alone


def main() -> int:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--fail-above", type=float, metavar="RATIO", help="exit with 2 if a figure got worse by more than this")
    options = parser.parse_args()
    old, new = (json.loads(path.read_text()) for path in (options.old, options.new))
    both, alone = changes(old, new)
    for change in both:
        print(change)
    for key, which in alone:
        print(f"{'  '.join(key):76s} only in the {which} record")
    for name in ("processor", "python", "numpy"):
        if old.get(name) != new.get(name):
            print(f"note: {name} differs, `{old.get(name)}` and `{new.get(name)}`: ratios mean little")
    limit = options.fail_above
    return 2 if limit and any(change.is_beyond_spread and change.slower > limit for change in both) else 0


if __name__ == "__main__":
    raise SystemExit(main())
