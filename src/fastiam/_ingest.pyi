from typing import Literal

from typing_extensions import disjoint_base

@disjoint_base
class TextColumn:
    name: str
    length: int
    n_chunks: int
    is_list: bool
    def __len__(self) -> int: ...

def read_column(
    obj: object, name: str, *, kind: Literal["text", "context"], errors: dict[int, Exception] | None = None
) -> TextColumn: ...
def check_lengths(columns: dict[str, TextColumn]) -> int: ...
