"""The place of the document of a statement."""

from __future__ import annotations

from fastiam.model.decision import StatementRef

Place = tuple[str, str]  # file and path: references to statements of two policies with one name are equal


def place_of(ref: StatementRef) -> Place:
    """Return file and path of the document of a statement."""
    return ref.file or "", (ref.path or "").removesuffix(f".Statement[{ref.index}]")
