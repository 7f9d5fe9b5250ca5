from collections.abc import Callable, Mapping
from typing import Any, final

@final
class PlainItems:
    def __init__(
        self,
        subjects: dict[Any, Any],
        resources: dict[Any, Any],
        actions: dict[Any, Any],
        subject_type: type,
        resource_type: type,
        context_kind: object,
        max_id: int,
        max_value: int,
    ) -> None: ...
    def map(
        self,
        items: list[Any],
        defaults: tuple[Any, Any, Any, Any],
        principal: Any,
        given: dict[str, Any] | None,
        keys: dict[str, Any],
        tag_keys: dict[str, Any] | None,
        map_subject: Callable[[str, str], object],
        map_resource: Callable[[str, str], object],
        stored_tags: Callable[[str], Mapping[str, Any]],
        is_shared: bool = False,
    ) -> tuple[list[Any], list[int]]: ...

def write_cached(
    decisions: list[Any], cached: dict[int, Any], most: int
) -> tuple[bytes, dict[tuple[str, str], int], list[int]] | None: ...
