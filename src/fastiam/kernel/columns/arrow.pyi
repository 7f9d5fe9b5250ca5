from collections.abc import Iterator

from typing_extensions import disjoint_base

from fastiam.kernel.columns.chunk import Chunk

__pyx_capi__: dict[str, object]  # what other modules call

ABSENT_HINT: str

@disjoint_base
class Reader:
    is_list: bool
    def __init__(self, obj: object, name: str, is_context: bool) -> None: ...
    def chunks(self) -> Iterator[Chunk]: ...
