from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

_Texts: TypeAlias = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]
# name, values, validity bitmap, dictionary
_Column: TypeAlias = tuple[str, npt.NDArray[Any], npt.NDArray[np.uint8] | None, _Texts | None]

def table_array(columns: Sequence[_Column], bits: Collection[str], n_rows: int) -> tuple[object, object]: ...
def column_array(column: _Column, n_rows: int, is_bits: bool = False) -> tuple[object, object]: ...
def stream_of(schema: object, array: object) -> object: ...
