from collections.abc import Iterable
from typing import Any, Literal

from typing_extensions import disjoint_base

ABSENT_HINT: str

@disjoint_base
class TextColumn:
    name: str
    length: int
    n_chunks: int
    is_list: bool
    def __len__(self) -> int: ...
    def take(self, rows: Iterable[int]) -> list[Any]: ...  # text, list of texts, or None

def read_column(
    obj: object, name: str, *, kind: Literal["text", "context"], errors: dict[int, Exception] | None = None, later: bool = False
) -> TextColumn: ...
def for_all_rows(value: object, name: str) -> TextColumn: ...
def are_plain(names: dict[Any, Any]) -> bool: ...
def check_lengths(columns: dict[str, TextColumn]) -> int: ...
