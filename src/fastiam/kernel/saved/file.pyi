from typing import Any

from fastiam.kernel.plan.names import Names
from fastiam.kernel.plan.tables import Tables

MAPPED: int

def checksum(data: bytes | memoryview) -> int: ...
def layout() -> str: ...
def dump(tables: Tables, names: Names) -> tuple[dict[str, bytes], dict[str, Any]]: ...
def attach(
    tables: Tables,
    names: Names,
    data: bytes | memoryview,
    file: int,  # a descriptor, or -1
    sections: dict[str, tuple[int, int]],  # offset, bytes
    numbers: dict[str, Any],
    patterns: list[tuple[bytes, bytes] | None],
) -> None: ...
def check_tables(tables: Tables, names: Names, keys: list[str]) -> str | None: ...
