from collections.abc import Callable
from typing import Any, final

from fastiam.server._items import PlainItems

@final
class Known: ...

@final
class PlainBatch:
    def __len__(self) -> int: ...
    def requests(self, start: int, stop: int) -> list[tuple[Any, str, str, dict[str, Any]]]: ...

@final
class PlainReader:
    def __init__(self, items: PlainItems, keys: dict[str, Any], max_action: int) -> None: ...
    def read(
        self,
        body: bytes,
        most: int,
        keys: dict[str, Any],
        map_subject: Callable[[str, str], object],
        map_resource: Callable[[str, str], object],
    ) -> PlainBatch | None: ...
