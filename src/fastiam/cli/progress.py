"""Progress of a long job on a terminal: a bar with the rate, or the current step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Self


class Share:
    """The fraction of several sources that is read, by their sizes in bytes; None if it is unknown."""

    def __init__(self, sizes: Iterable[int | None]) -> None:
        weights = [max(size or 0, 1) for size in sizes]
        self._total, self._sources, self._place = sum(weights), len(weights), 0
        self._done = self._size = 0
        self._current: Callable[[], float | None] = lambda: 0.0

    def begin(self, size: int | None, progress: Callable[[], float | None]) -> None:
        """Begin the next source; `progress` returns the fraction of it that is read."""
        self._size, self._current = max(size or 0, 1), progress
        self._place += 1

    def end(self) -> None:
        """End it."""
        self._done += self._size
        self._size, self._current = 0, lambda: 0.0

    def shown(self) -> str:
        """The number of the current source, if there are several."""
        return f"file {self._place:,} of {self._sources:,}" if self._sources > 1 else ""

    def __call__(self) -> float | None:
        current = self._current()
        return None if current is None else min(1.0, (self._done + current * self._size) / self._total)


class Progress:
    """Counts `rows`, and shows the share of the sources that is read."""

    def __init__(self, share: Share | None = None, *, quiet: bool = False) -> None:
        self._share = share
        self._shown = not quiet and sys.stderr.isatty()
        self._bar: Any = None
        self.rows = 0

    def __enter__(self) -> Self:
        if self._shown:
            self._bar = _bar()
            self._task = self._bar.add_task("deciding", total=None, rows=0, rate=0.0, files="")
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, rows: int) -> None:
        """Add finished rows."""
        self.rows += rows
        if self._bar is None:
            return
        share = self._share() if self._share else None
        elapsed = self._bar.tasks[0].elapsed or 1e-9
        files = self._share.shown() if self._share else ""
        total = None if share is None else 1.0
        rate = self.rows / elapsed
        self._bar.update(self._task, total=total, completed=share or 0.0, rows=self.rows, rate=rate, files=files)


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
        TextColumn("{task.fields[files]}"),
        TimeElapsedColumn(),
    )
    return Bars(*columns, console=Console(stderr=True), transient=True)
