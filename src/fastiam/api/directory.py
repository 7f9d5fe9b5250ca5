"""`Directory`: who has which policies, as one object that can be written, saved, and compiled into an `Engine`.

It is an `account.AccountModel`, whose writes it has, that can be compiled. What AWS refuses when it is written is a
`DirectoryError`; in mode `lenient`, which is meant for state that exists already, it is a finding (spec F5).
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Self

from fastiam.directory.account_model import AccountModel
from fastiam.directory.export import write_directory
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

    Wherever a policy is taken it may be JSON text, bytes, a parsed mapping, or a pair `(name, document)` whose name
    answers will say. A single document stands for a list of one. A text that starts with `arn:` is the ARN of a managed
    policy that was added before. Everything else is named by its ARN or id.

    Every write is checked as a whole and done as a whole: one that raises has changed nothing.

    Parameters
    ----------
    mode : how documents are read and rules of AWS are kept, `strict` or `lenient`.
    quotas : limits of AWS that a strict directory keeps (spec 1.7); None keeps none.
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
        """A directory that is kept in a store, one SQLite file: each write is there for good when its method returns.

        Several processes may have a store open. One writes at a time, the others wait for it; whoever writes takes in first
        what others have written, whoever only reads does so with `refresh`.

        Parameters
        ----------
        mode, quotas : of what is written from here on, as in `Directory`.
        create : whether to make the store if there is no such file.
        read_only : refuse to write.
        timeout : seconds to wait for another writer.

        Raises
        ------
        StoreError: no store, one of a newer release, a broken one; `reason` says which. Any write raises it too.
        """
        from fastiam.storage import SqliteBackend

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
        """The same directory without its store: what is written from now on stays in memory."""
        self.transaction_manager.detach_backend()
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
        """Take in what other processes have written to the store since; whether there was anything."""
        return self.transaction_manager.refresh()

    def close(self) -> None:
        """Let go of the store. What was read can be read and compiled further on, and not be written."""
        self.transaction_manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what is there ------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What is there now, immutable: later writes do not affect it."""
        return self._journal.snapshot(self._store)

    def to_json(self) -> str:
        """The whole directory in our own format, version 1; `fastiam.load` reads it back to equal answers."""
        return write_directory(self.tables)

    def dump(self, path: str | PathLike[str]) -> None:
        """`to_json` into a file, which appears only when it is complete; devices and FIFOs are written into.

        Raises
        ------
        SourceError: it cannot be written; a file that was there is as it was.
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
        """An engine over what is there now.

        Parameters
        ----------
        unknown_owner : what becomes of a literal ARN whose owner nothing tells: `principal` takes the caller's account
            and says so, `deny` denies (D23).
        context_defaults : context keys for every request that does not give them, as if it did (K1); a list is one for all of
            them. In a batch a column gives a key to all rows, nulls too. A key in two spellings with two values is refused.
        settings : what the specification leaves configurable.
        cache_bytes : how much memory the rows of policies and the names may take that requests bring. Where it is not enough for
            what comes again, they are dropped and made again and again, which takes a hundred times as long; `Engine.stats()`
            counts that as `generation`.
        """
        from fastiam.api.engine import Engine

        return Engine.from_snapshot(
            self.snapshot(),
            unknown_owner=unknown_owner,
            context_defaults=context_defaults,
            settings=settings,
            cache_bytes=cache_bytes,
        )
