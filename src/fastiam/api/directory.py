"""`Directory`: stored principals, policies, resources and organisation, which compile into an `Engine`.

It is a `directory.AccountModel` that can be compiled. A write that AWS would refuse raises `DirectoryError`. In mode `lenient`,
which is meant for existing state, it is a finding (spec F5).
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Self

from fastiam.directory.account_model import AccountModel
from fastiam.directory.quotas import Quotas
from fastiam.directory.stored_policies import Mode
from fastiam.errors import RequestValueError
from fastiam.model.arguments import as_path, check_type
from fastiam.model.profile import CACHE_BYTES, Settings
from fastiam.model.request import Context
from fastiam.resolve.journal import Journal
from fastiam.resolve.snapshot import Snapshot, UnknownOwner
from fastiam.runtime.output_files import open_output

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

_MAX_TIMEOUT = 1_000_000  # seconds; SQLite counts milliseconds in 32 bits


class Directory(AccountModel):
    """Accounts, principals, policies, resources, endpoints and an organisation.

    A policy argument is JSON text, bytes, a parsed mapping, or a pair `(name, document)`; decisions report the name. A single
    document is a list of one. A text that starts with `arn:` is the ARN of a managed policy that was added before. All other
    arguments are ARNs or ids.

    Every write is atomic: a write that raises has changed nothing.

    Parameters
    ----------
    mode
        how documents are read and rules of AWS are enforced, `strict` or `lenient`.
    quotas
        limits of AWS that a strict directory enforces (spec 1.7); None enforces none.
    """

    def __init__(self, mode: Mode = "strict", *, quotas: Quotas | None = Quotas()) -> None:  # noqa: B008  (frozen)
        super().__init__(mode, quotas=quotas)
        self._journal = self._store.observer = Journal()

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        mode: Mode = "strict",
        quotas: Quotas | None = Quotas(),  # noqa: B008  (frozen)
        create: bool = True,
        read_only: bool = False,
        timeout: float = 5.0,
    ) -> Self:
        """Open a directory in a store, one SQLite file: each write is durable when its method returns.

        Several processes may open a store. One writes at a time, and the others wait. A write first reads the changes of other
        processes; a reader calls `refresh` for them.

        Parameters
        ----------
        mode, quotas
            for the writes of this object, as in `Directory`.
        create
            whether to make the store if there is no such file.
        read_only
            refuse to write.
        timeout
            seconds to wait for another writer.

        Raises
        ------
        StoreError
            the file is not a store, is of a newer release, or is corrupt; `reason` gives the case. Writes raise it too.
        """
        from fastiam.storage.sqlite_backend import SqliteBackend  # PERF: only stores need it

        file = as_path(path)
        check_type(timeout, (int, float), "timeout", "a number of seconds")
        if not 0 <= timeout <= _MAX_TIMEOUT:
            raise RequestValueError(f"`{timeout}` is not a number of seconds", column="timeout", hint="pass 0 to 1,000,000")
        directory = cls(mode, quotas=quotas)
        transaction_manager = directory.transaction_manager
        transaction_manager.attach_backend(
            SqliteBackend(file, lock=transaction_manager.lock, create=create, read_only=read_only, timeout=timeout)
        )
        return directory

    def detached(self) -> Directory:
        """Return this directory without its store: later writes stay in memory. Of user pools, it has the configuration."""
        joined = set(self.transaction_manager.record_stores)
        user_pools = self._user_pools()
        self.transaction_manager.detach_backend()
        if user_pools.name not in joined:
            user_pools.keep_configuration()
        return self

    def __repr__(self) -> str:
        if not hasattr(self, "notes"):  # a traceback shows an object whose construction failed
            return "<Directory>"
        tables = self.tables
        counts = {
            "accounts": len(tables.accounts),
            "principals": len(tables.entities),
            "groups": len(tables.groups),
            "managed policies": len(tables.managed),
            "resources": len(tables.resources),
            "findings": len(self.notes),
        }
        backend = self.transaction_manager.backend
        where = "" if backend is None else f", store `{getattr(backend, 'path', '')}`"
        return f"<Directory, {self.mode}: {', '.join(f'{n} {name}' for name, n in counts.items())}{where}>"

    # -- the store ----------------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Read the changes of other processes from the store. Returns whether there were any."""
        return self.transaction_manager.refresh()

    def close(self) -> None:
        """Close the store. The directory can still be read and compiled, but not changed."""
        self.transaction_manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- content ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return the current state, immutable: later writes do not affect it."""
        return self._journal.snapshot(self._store)

    def to_json(self) -> str:
        """Return the directory in fastiam's own format, version 1, which `fastiam.load` reads."""
        from fastiam.directory.directory_export import write_directory  # PERF: few programs write files

        return write_directory(self.tables, self._user_pools().tables)

    def dump(self, path: str | PathLike[str]) -> None:
        """Write `to_json` to a file, which is replaced atomically; devices and FIFOs are written into.

        Raises
        ------
        SourceError
            the file cannot be written; an existing file is unchanged.
        """
        text = self.to_json()
        with open_output(as_path(path)) as file:
            file.write(text.encode())

    def compile(
        self,
        *,
        unknown_owner: UnknownOwner = "principal",
        context_defaults: Context = {},  # noqa: B006  (a mapping that is only read)
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        cache_bytes: int = CACHE_BYTES,
    ) -> Engine:
        """Compile the current state into an engine.

        Parameters
        ----------
        unknown_owner
            the rule for a literal ARN with an unknown owner (D23). `principal` assumes the principal's account, and the decision
            reports that; `deny` denies.
        context_defaults
            context keys for every request that does not give them, as if it did (K1). A list is the value for every request. In a
            batch, a column gives its key for all rows, nulls included. A key in two spellings with two values is refused.
        settings
            the parameters that the specification leaves open.
        cache_bytes
            bound on the memory of the run-time cache: plans and names that requests add. If it is too small for a repeating
            workload, entries are evicted and built again and again, which takes a hundred times as long. `Engine.stats()` counts
            evictions as `generation`.
        """
        from fastiam.api.engine import Engine  # PERF: a program that only writes needs no engine

        return Engine.from_snapshot(
            self.snapshot(),
            unknown_owner=unknown_owner,
            context_defaults=context_defaults,
            settings=settings,
            cache_bytes=cache_bytes,
        )
