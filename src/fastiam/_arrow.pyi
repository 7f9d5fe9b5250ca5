from collections.abc import Iterator
from typing import final

UNITS: tuple[str, ...]
TEXT_HINT: str
CONTEXT_HINT: str
NAIVE_HINT: str
DATE_HINT: str

class Chunk: ...

class Reader:
    is_list: bool
    def __init__(self, obj: object, name: str, is_context: bool) -> None: ...
    def chunks(self) -> Iterator[Chunk]: ...
