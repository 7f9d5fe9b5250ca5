"""Progress of a long job on a terminal: a bar with the rate, or the current step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Self


class Progress:
    """Counts rows. `share` returns the fraction of the source that is read, None if unknown."""

    def __init__(self, share: Callable[[], float | None], *, quiet: bool = False) -> None:
        self._share = share
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        self._rows = 0

    def __enter__(self) -> Self:
        if self._shown:
            self._bar = _bar()
            self._task = self._bar.add_task("deciding", total=None, rows=0, rate=0.0)
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, rows: int) -> None:
        """Add finished rows."""
        self._rows += rows
        if self._bar is None:
            return
        share = self._share()
        elapsed = self._bar.tasks[0].elapsed or 1e-9
        self._bar.update(
            self._task, total=None if share is None else 1.0, completed=share or 0.0, rows=self._rows, rate=self._rows / elapsed
        )


class Steps:
    """Shows the current step of a job, and its time."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def begin(self, step: str) -> None:
        """Begin the next step."""
        if not self._shown:
            return
        from rich.console import Console
        from rich.progress import Progress as Bars
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        self.__exit__()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Bars(*columns, console=Console(stderr=True), transient=True)
        self._bar.add_task(step, total=None)
        self._bar.start()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        BarColumn(),
        TextColumn("{task.fields[rows]:>13,} requests"),
        TextColumn("{task.fields[rate]:>12,.0f}/s"),
        TimeElapsedColumn(),
    )
    return Bars(*columns, console=Console(stderr=True), transient=True)
