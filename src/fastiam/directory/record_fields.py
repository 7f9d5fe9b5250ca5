"""The fields of records, as the store and the engine file write them. A new field needs no code here.

The record types are the only list of fields. `format_fields` has what the directory format writes of them.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, get_type_hints


@dataclass(frozen=True, slots=True)
class RecordField:
    """A field of a record under the name that it is written with. `default` is `MISSING` if the field is required."""

    name: str
    field: str
    type: Any
    default: Any


def record_fields(kind: type) -> tuple[RecordField, ...]:
    """All fields of a record type."""
    hints = get_type_hints(kind)
    return tuple(
        RecordField(f.name, f.name, hints[f.name], f.default if f.default_factory is MISSING else f.default_factory())
        for f in fields(kind)
    )
