from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

__pyx_capi__: dict[str, object]  # what other modules call

ABSENT_HINT: str
PER_SECOND: dict[str, int]

@disjoint_base
class Chunk: ...

# values: int64, uint64 or float64, shape (n,), C-contiguous
def canonical_column(
    values: npt.NDArray[Any], unit: str, column: str
) -> tuple[npt.NDArray[np.uint32] | None, npt.NDArray[np.int64], npt.NDArray[np.uint8], dict[int, str]]: ...
def canonical_texts(
    values: npt.NDArray[Any], unit: str, column: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], dict[int, str]]: ...
def distinct(
    values: npt.NDArray[Any], may_give_up: bool = False
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]] | tuple[None, None]: ...

# values: any number type, shape (n,); returns 64-bit integers or floats, C-contiguous
def widened(values: npt.NDArray[Any]) -> npt.NDArray[Any]: ...

@disjoint_base
class Reader:
    is_list: bool
    def __init__(self, obj: object, name: str, is_context: bool) -> None: ...
    def chunks(self) -> Iterator[Chunk]: ...

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
