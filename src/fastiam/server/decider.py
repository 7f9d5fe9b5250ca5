"""The seam between protocols and the engine: one generation for each request (G3, G15, G16)."""

from __future__ import annotations

from typing import Protocol

from fastiam.api.directory import Directory
from fastiam.api.engine import Engine
from fastiam.live import LiveEngine
from fastiam.sts import STS


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


class _Generation:
    __slots__ = ("directory", "engine", "generation", "sts")

    def __init__(self, generation: int, engine: Engine, directory: Directory | None, sts: STS | None) -> None:
        self.generation = generation
        self.engine = engine
        self.directory = directory
        self.sts = sts


class EngineDecider:
    """One engine that never changes."""

    def __init__(self, engine: Engine, directory: Directory | None = None) -> None:
        self._pinned = _Generation(1, engine, directory, None)

    def pin(self) -> Pinned:
        """The only generation."""
        return self._pinned

    fresh = pin


class LiveDecider:
    """A live engine: files, a store or a saved engine; with STS over a store with a keyring."""

    def __init__(self, live: LiveEngine, sts: STS | None = None) -> None:
        self._live = live
        self._sts = sts
        self._pinned = _Generation(live.generation, live.engine, live.directory, sts)

    def pin(self) -> Pinned:
        """The generation that the live engine holds."""
        pinned, engine = self._pinned, self._live.engine
        if pinned.engine is not engine:
            # the number is read after the engine: a swap between the two gives the older engine the newer number only for as long
            # as this object lives, and the next call sees the newer engine
            self._pinned = pinned = _Generation(self._live.generation, engine, self._live.directory, self._sts)
        return pinned

    def fresh(self) -> Pinned:
        """The generation of what the store holds now."""
        self._live.refresh()
        return self.pin()
