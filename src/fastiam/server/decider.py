"""The interface between protocols and the engine: one generation for each request (G3, G15, G16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fastiam.api.engine import Engine
from fastiam.live import Generation, LiveEngine

if TYPE_CHECKING:
    from fastiam.api.directory import Directory  # PERF: over a saved engine there is none
    from fastiam.sts import STS  # it needs an extra of its own


class Pinned(Protocol):
    """One generation: an engine and what it was compiled from."""

    @property
    def generation(self) -> int:
        """Number of the generation, from 1."""

    @property
    def engine(self) -> Engine:
        """The compiled engine."""

    @property
    def directory(self) -> Directory | None:
        """The directory; None over a saved engine, then searches and the AWS protocols are off."""

    @property
    def sts(self) -> STS | None:
        """STS over a store with a keyring, else None."""


class Decider(Protocol):
    """Gives the current generation."""

    def pin(self) -> Pinned:
        """The current generation; cheap."""

    def fresh(self) -> Pinned:
        """The same after taking in what the store has committed (AWS protocols read their own writes)."""


class _Pinned:
    __slots__ = ("directory", "engine", "generation", "sts")

    def __init__(self, generation: int, engine: Engine, directory: Directory | None, sts: STS | None) -> None:
        self.generation = generation
        self.engine = engine
        self.directory = directory
        self.sts = sts


class LiveDecider:
    """A live engine: files, a store or a saved engine; with STS over a store with a keyring."""

    def __init__(self, live: LiveEngine, sts: STS | None = None) -> None:
        self._live = live
        self._sts = sts
        self._last = self._pin(live.current)

    def _pin(self, current: Generation) -> tuple[Generation, _Pinned]:
        return current, _Pinned(current.generation, current.engine, current.directory, self._sts)

    def _pinned(self, current: Generation) -> Pinned:
        last, pinned = self._last
        if last is not current:
            # Two threads may do this at the same time. Each returns a generation whose parts belong together.
            self._last = last, pinned = self._pin(current)
        return pinned

    def pin(self) -> Pinned:
        """The generation that the live engine holds."""
        return self._pinned(self._live.current)

    def fresh(self) -> Pinned:
        """The generation of what the store holds now."""
        return self._pinned(self._live.catch_up())
