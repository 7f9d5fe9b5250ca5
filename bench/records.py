"""Reading records: the newest of each bench. Standard library alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Key = tuple[str, str, str]  # workload, engine, form


def newest(folder: Path) -> dict[str, Record]:
    """The newest record of each bench; their names sort by date."""
    found = (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    return {record["bench"]: record for record in found}


def figures(record: Record) -> Iterator[tuple[Key, Record]]:
    """The lines of a record that are figures, by what they are about."""
    for line in record["lines"]:
        if "workload" in line:
            yield (line["workload"], line["engine"], line["form"]), line


def unit(line: Record) -> str:
    """What a figure is a number of; `ns` is nanoseconds a request."""
    return str(line.get("unit", "ns"))
