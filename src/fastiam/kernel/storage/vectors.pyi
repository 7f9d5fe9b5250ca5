from typing_extensions import disjoint_base

@disjoint_base
class Vectors:
    readers: int
    version: int  # changes whenever addresses or counts do
    index_from: int
    def __new__(cls, *, seed: int = 0, index_from: int = 8) -> Vectors: ...
    def total_bytes(self) -> int: ...
