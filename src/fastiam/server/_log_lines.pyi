from collections.abc import Callable
from datetime import datetime
from typing import final

from fastiam.model.decision import Decision
from fastiam.server.decision_records import DecisionRecord

@final
class LineWriter:
    def __init__(
        self,
        read_source: Callable[[str, str, int], bytes],
        read_reason: Callable[[Decision], bytes],
        read_name: Callable[[str], bytes | None],
    ) -> None: ...
    def write(
        self,
        record: DecisionRecord,
        decision_id: str,
        client: str,
        headers: tuple[tuple[bytes, bytes], ...],
        now: datetime,
        elapsed_ns: int,
    ) -> bytes | None: ...
