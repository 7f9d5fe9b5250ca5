"""The source of decisions, and the state of the process as `ops` shows it (G15, G180)."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastiam import __version__
from fastiam.engine.engine_file.file import FORMAT
from fastiam.errors import FastiamError
from fastiam.live import LiveEngine
from fastiam.runtime.freeing import free_with
from fastiam.runtime.gc_pause import load_frozen
from fastiam.server.call_log import CallCounts
from fastiam.server.config import ConfigError
from fastiam.server.config_sections import Settings
from fastiam.server.decider import Decider, LiveDecider
from fastiam.server.log_writer import LogWriter
from fastiam.server.observer import Observer
from fastiam.server.thread_pools import Pools

if TYPE_CHECKING:
    from fastiam.server.metrics import Metrics


class _Live(LiveEngine):
    """A live engine whose reloads hold up the loop as little as they can (G217)."""

    def refresh(self) -> int:
        old = self.current
        is_from_files = old.directory is not None and self._kept is None
        with load_frozen(collect=is_from_files):  # PERF: not of a store: a collection takes longer than most of its changes
            generation = super().refresh()
        if old.directory is not None and old.directory is not self.current.directory:
            snapshot = old.engine.snapshot  # engines keep it longer than the directory
            tables = snapshot.tables
            free_with(snapshot, [*tables.entities.values(), *tables.roles, *tables.managed.values(), *tables.resources.values()])
        return generation


class Source:
    """What decisions are made from."""

    def __init__(self, settings: Settings) -> None:
        source = settings.core.source
        if not source.paths:
            raise ConfigError("there is no source\nhelp: fastiam serve SOURCE, or `paths` in `[source]`")
        self.name = ", ".join(source.paths)
        self.sts = None
        options: dict[str, Any] = {"cache_bytes": source.cache_bytes}
        if source.unknown_owner != "principal":
            options["unknown_owner"] = source.unknown_owner
        if source.keyring is None:
            paths = source.paths[0] if len(source.paths) == 1 else list(source.paths)
            options |= {"resource_of": source.resource_of, "skip_unknown": source.skip_unknown}
            self.live = _Live(paths, mode=source.mode, **options)
        else:
            try:
                from fastiam.api.directory import Directory  # PERF: a saved engine has none
                from fastiam.sts import STS, Keyring
            except ModuleNotFoundError as error:
                raise ConfigError(str(error)) from None
            if len(source.paths) != 1:
                raise ConfigError("a keyring belongs to one store")
            # strict: a lenient write would accept what AWS refuses; stored policies are read as they are
            directory = Directory.open(source.paths[0], mode="strict", create=False)
            backend = directory.transaction_manager.backend
            if backend is not None:
                backend.keep_reserve()
            self.live = _Live(directory, **options)
            self.sts = STS(directory, Keyring.load(source.keyring), live=self.live, root_sessions=source.root_sessions)
        if source.watch:
            self.live.watch()
        self.decider: Decider = LiveDecider(self.live, self.sts)

    def close(self) -> None:
        """Write what could not be written before, and close the store."""
        if self.sts is not None:
            self.sts.keys.write_uses()
        self.live.close()


class NoDecider:
    """Before the policies are loaded."""

    def pin(self) -> Any:
        """Nothing can be decided yet."""
        raise FastiamError("no policies are loaded yet")

    fresh = pin


class State:
    """The state of the process, as `ops` shows it."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self.is_stopping = False
        self.max_age: float | None = None
        self.error: str | None = None
        """Why the last reload of the configuration failed."""
        self.reloads = {"success": 0, "failure": 0}
        self.doors: list[str] = []
        self.observer = Observer()
        self.calls = CallCounts()
        self.pools: Pools | None = None
        self.logs: dict[str, LogWriter] = {}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether the process is ready, and the members of `/readyz`."""
        members: dict[str, Any] = {"ready": False, "stopping": self.is_stopping}
        source = self.source
        if source is None:
            return False, members
        live = source.live
        age, problem = live.age, live.error
        is_ready = not self.is_stopping and (self.max_age is None or age <= self.max_age)
        current = live.current
        members |= {
            "ready": is_ready,
            "generation": current.generation,
            "loaded_at": current.loaded_at.isoformat(),
            "age_s": round(age, 3),
            "source": source.name,
            "error": self.error if problem is None else shown(problem),
            "doors": self.doors,
        }
        return is_ready, members

    def version(self) -> dict[str, Any]:
        """The members of `/version`."""
        return {
            "version": __version__,
            "python": platform.python_version(),
            "isa": platform.machine(),
            "engine_format": FORMAT,
            "authzen": "1.0",
        }

    @cached_property
    def _metrics(self) -> Metrics:
        from fastiam.server.metrics import Metrics  # PERF: its library takes longer to import than a start may take for it

        return Metrics(self.observer, self.calls, self._gauges, lambda: self.logs)

    def load_metrics(self) -> None:
        """Import what `metrics` needs."""
        _ = self._metrics

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """The metrics and their content type."""
        return self._metrics.text(accept)

    def _gauges(self) -> Mapping[str, Any]:
        source = self.source
        queue = 0 if self.pools is None else self.pools.queue
        gauges: dict[str, Any] = {"reloads": self.reloads, "pool_queue": queue}
        if source is None:
            return {**gauges, "generation": 0, "loaded_at": 0.0, "reload_error": False, "engine": {}}
        current = source.live.current
        return {
            **gauges,
            "generation": current.generation,
            "loaded_at": current.loaded_at.timestamp(),
            "reload_error": self.error is not None or source.live.error is not None,
            "engine": current.engine.stats(),
        }


def shown(error: BaseException) -> str:
    """Code and place of an error, without policy text: the first line of its message."""
    return str(error).partition("\n")[0][:500]
