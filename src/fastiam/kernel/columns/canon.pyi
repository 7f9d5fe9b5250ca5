from typing import Any

import numpy as np
import numpy.typing as npt

ABSENT_HINT: str
PER_SECOND: dict[str, int]

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
