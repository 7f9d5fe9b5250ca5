from collections.abc import Callable, Mapping
from typing import Any, final

@final
class Known: ...

@final
class PlainBatch:
    missing: list[int]
    is_whole: bool
    def __len__(self) -> int: ...
    def requests(self, start: int, stop: int) -> list[Any]: ...
    def ignored(self) -> list[tuple[str, ...] | None] | None: ...

@final
class PlainReader:
    def __init__(
        self,
        subjects: dict[Any, Any],
        resources: dict[Any, Any],
        actions: dict[Any, Any],
        keys: dict[str, Any],
        subject_type: type,
        resource_type: type,
        stated: object,
        unused: object,
        max_id: int,
        max_action: int,
        max_value: int,
    ) -> None: ...
    def read(
        self,
        body: bytes,
        most: int,
        keys: dict[str, Any],
        tag_keys: dict[str, Any] | None,
        stored_tags: Callable[[str], Mapping[str, Any]],
        reader: Any,
    ) -> PlainBatch | None: ...

def write_cached(
    decisions: list[Any], endings: list[bytes | None] | None, cached: dict[int, Any], most: int
) -> tuple[bytes, dict[tuple[str, str], int], list[int]] | None: ...
