"""Two records of one bench side by side: `python bench/compare.py OLD NEW`; exits with 2 if a figure is a tenth slower."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SLOWER = 1.10

Key = tuple[str, str, str]


def figures(path: str) -> dict[Key, dict[str, Any]]:
    """The figures of a record by what they are about."""
    record = json.loads(Path(path).read_text())
    return {(line["workload"], line["engine"], line["form"]): line for line in record["lines"] if "workload" in line}


def main() -> int:
    """Prints the comparison. Ranges that overlap count as equal: the machine is noisier than most changes."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 64
    old, new = figures(sys.argv[1]), figures(sys.argv[2])
    slower = 0
    for key in sorted(old.keys() & new.keys()):
        ratio = new[key]["median"] / old[key]["median"]
        is_slower = ratio > SLOWER and new[key]["best"] > old[key]["worst"]
        slower += is_slower
        name = "  ".join(key)
        print(
            f"{name:70s} {old[key]['median']:10.1f} {new[key]['median']:10.1f} ns  x{ratio:.2f}{'  slower' if is_slower else ''}"
        )
    for key in sorted(old.keys() ^ new.keys()):
        print(f"{'  '.join(key):70s} only in {'the old' if key in old else 'the new'} record")
    return 2 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
