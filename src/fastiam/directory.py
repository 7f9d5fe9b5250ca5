"""`Directory`: who has which policies, as one object that can be written, saved, and compiled into an `Engine`.

It is a face over `account.AccountModel`. What AWS refuses when it is written is a `DirectoryError`; in mode `lenient`,
which is meant for state that exists already, it is a finding (spec F5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fastiam.account import AccountModel, Mode, PolicyLike, Snapshot
from fastiam.account.books import Book
from fastiam.account.organization import POLICY_TYPES
from fastiam.account.records import SESSION_DURATION, Tables
from fastiam.account.snapshot import UnknownOwner
from fastiam.account.writing import write_directory
from fastiam.errors import Finding
from fastiam.profile import Settings
from fastiam.request import Context

if TYPE_CHECKING:
    from fastiam.engine import Engine

Policy = PolicyLike | tuple[str, PolicyLike]
Policies = Sequence[Policy] | PolicyLike
B = TypeVar("B", bound=Book[Any])


class Directory:
    """Accounts, principals, policies, resources, endpoints and an organisation.

    Wherever a policy is taken it may be JSON text, bytes, a parsed mapping, or a pair `(name, document)` whose name
    answers will say. A single document stands for a list of one. A text that starts with `arn:` is the ARN of a managed
    policy that was added before.

    Parameters
    ----------
    mode : how documents are read and rules of AWS are kept, `strict` or `lenient`.
    """

    def __init__(self, *, mode: Mode = "strict") -> None:
        self._model = AccountModel(mode)

    @classmethod
    def from_model(cls, model: AccountModel) -> Directory:
        """A directory around an account model that a reader has filled."""
        directory = cls(mode=model.mode)
        directory._model = model
        return directory

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        mode: Mode = "strict",
        create: bool = True,
        read_only: bool = False,
        timeout: float = 5.0,
    ) -> Self:
        """A directory that is kept in a store, one SQLite file: each write is there for good when its method returns.

        Several processes may have a store open. One writes at a time, the others wait for it; whoever writes takes in first
        what others have written, whoever only reads does so with `refresh`.

        Parameters
        ----------
        mode : of what is written from here on, as in `Directory`.
        create : whether to make the store if there is no such file.
        read_only : refuse to write.
        timeout : seconds to wait for another writer.

        Raises
        ------
        StoreError: no store, one of a newer release, a broken one; `reason` says which. Any write raises it too.
        """
        from fastiam.storage import SqliteDisk

        directory = cls(mode=mode)
        ledger = directory._model.ledger
        ledger.keep_on(SqliteDisk(path, lock=ledger.lock, create=create, read_only=read_only, timeout=timeout))
        return directory

    @property
    def model(self) -> AccountModel:
        """The account model behind it, for readers that fill it."""
        return self._model

    def detached(self) -> Directory:
        """The same directory without its store: what is written from now on stays in memory."""
        self._model.ledger.keep_in_memory()
        return self

    def __repr__(self) -> str:
        tables = self._model.tables
        counts = {"accounts": len(tables.accounts), "principals": len(tables.entities), "resources": len(tables.resources)}
        return f"<Directory: {', '.join(f'{n} {name}' for name, n in counts.items())}>"

    @property
    def mode(self) -> Mode:
        """`strict` or `lenient`."""
        return self._model.mode

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything worth saying about what was written so far, in the order of writing."""
        return tuple(self._model.findings)

    @property
    def tables(self) -> Tables:
        """The records as they are now, inside of a transaction as it has left them so far. Nobody writes them."""
        return self._model.tables

    # -- transactions -------------------------------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[None]:
        """All writes inside are one: an error undoes them all. Each write by itself is one, too. They nest."""
        return self._model.transaction()

    def refresh(self) -> bool:
        """Take in what other processes have written to the store since; whether there was anything."""
        return self._model.ledger.refresh()

    def close(self) -> None:
        """Let go of the store. What was read can be read and compiled further on, and not be written."""
        self._model.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def join(self, book: B) -> B:
        """A book of records beside those of the directory, changed in the same transactions. The first one of a name stays."""
        return self._model.ledger.join(book)

    # -- writing ------------------------------------------------------------------------------------------------------

    def add_account(self, id: str, *, name: str | None = None, canonical_id: str | None = None, partition: str = "aws") -> None:
        """An account. It need not be added before its principals; `canonical_id` is the S3 canonical user id."""
        self._model.add_account(id, name=name, canonical_id=canonical_id, partition=partition)

    def add_managed_policy(
        self,
        arn: str,
        document: Policy | None = None,
        *,
        versions: Mapping[str, Policy] | None = None,
        default_version: str = "v1",
    ) -> None:
        """A managed policy of AWS or of a customer, to be attached by its ARN; one document, or all versions.

        Raises
        ------
        PolicyError: a document is rejected.
        DirectoryError: no policy ARN, the ARN is taken, or no document is in force.
        """
        given = dict(versions or {})
        if document is not None:
            given[default_version] = document
        self._model.add_managed_policy(arn, given, default_version)

    def add_group(
        self, group: str, identity_policies: Policies = (), *, account: str | None = None, unique_id: str | None = None
    ) -> None:
        """A group by ARN, or by name and account, with inline documents and ARNs of managed policies."""
        self._model.add_group(group, account=account, policies=identity_policies, unique_id=unique_id)

    def add_principal(
        self,
        arn: str,
        *,
        identity_policies: Policies = (),
        permissions_boundary: Policies | None = None,
        tags: Mapping[str, str] = {},
        unique_id: str | None = None,
        trust_policy: Policy | None = None,
        groups: Iterable[str] = (),
        max_session_duration: int = SESSION_DURATION,
    ) -> None:
        """A user or role; a root user brings its account into being and has nothing of its own.

        Parameters
        ----------
        identity_policies : inline documents and ARNs of managed policies. An unnamed document is called after its place.
        permissions_boundary : a document or ARN; None where there is none, an empty list allows nothing.
        tags : keys are compared without case; a second spelling replaces the first.
        unique_id : `AIDA...` or `AROA...`, of which `aws:userid` is made.
        trust_policy : of a role. It may name users and roles of known accounts only if they are there (N32).
        groups : names or ARNs of groups of the user's account.
        max_session_duration : of a role's sessions, in seconds, 3,600 to 43,200.

        Raises
        ------
        PolicyError: a document is rejected.
        DirectoryError: a session, an ARN of another form, a name that is taken, a policy or group that is not there.
        """
        self._model.add_principal(
            arn,
            identity_policies=identity_policies,
            permissions_boundary=permissions_boundary,
            tags=tags,
            unique_id=unique_id,
            trust_policy=trust_policy,
            groups=groups,
            max_session_duration=max_session_duration,
        )

    def put_inline_policy(self, arn: str, name: str, document: PolicyLike) -> None:
        """An inline policy of a user or role, in place of one of that name."""
        self._model.put_inline_policy(arn, name, document)

    def set_trust_policy(self, arn: str, trust_policy: Policy) -> None:
        """The trust policy of a role that is there."""
        self._model.set_trust_policy(arn, trust_policy)

    def add_resource(
        self,
        arn: str,
        *,
        account: str | None = None,
        policy: Policies | None = None,
        tags: Mapping[str, str] = {},
        restrict_public_buckets: bool = False,
    ) -> None:
        """A resource, under the ARN of what carries its policy (D60): the bucket, not its objects.

        Parameters
        ----------
        account : the owner; by default the account field of the ARN (D23).
        policy : the resource policy, or several (an account's log policies of a Region, under `arn:aws:logs:r:A:*`).
        restrict_public_buckets : of a bucket, the setting of S3 Block Public Access (D33).

        Raises
        ------
        PolicyError: a document is rejected.
        DirectoryError: no ARN, one that is taken, or one from which no policy is ever read.
        """
        self._model.add_resource(arn, account=account, policy=policy, tags=tags, restrict_public_buckets=restrict_public_buckets)

    def set_resource_policy(self, arn: str, policy: Policies | None) -> None:
        """The policy of a resource that is there; None takes it away."""
        self._model.set_resource_policy(arn, policy)

    def set_organization(
        self,
        id: str,
        *,
        management_account: str | None = None,
        root: str = "r-1",
        organizational_units: Mapping[str, str] = {},
        accounts: Mapping[str, str | Sequence[str] | None] = {},
        delegated_administrators: Iterable[str] | Mapping[str, Iterable[str]] = (),
        scps: Mapping[str, Policies] = {},
        rcps: Mapping[str, Policies] = {},
        policy_types: Iterable[str] = POLICY_TYPES,
    ) -> None:
        """The organisation, whole; one that was there is replaced.

        Parameters
        ----------
        organizational_units : parent (another unit, or the root) of each unit, by id.
        accounts : for each account its parent (`ou-a`), its path (`ou-a/ou-b`, `o-1/r-1/ou-a/`), or None for the root.
        delegated_administrators : accounts that administer IAM for the organisation, or services by account.
        scps, rcps : policies attached to a root, unit or account, by its id. An element that is not named has
            `FullAWSAccess` as its SCP (G5), to be named by its ARN where it stays beside others, and no RCP but
            `RCPFullAWSAccess` (G3). An empty list of SCPs allows nothing.
        policy_types : the enabled ones among `SERVICE_CONTROL_POLICY` and `RESOURCE_CONTROL_POLICY`.

        Raises
        ------
        PolicyError: a document is rejected.
        DirectoryError: the tree is none, or a policy hangs at what is not in it.
        """
        self._model.set_organization(
            id,
            management_account=management_account,
            root=root,
            organizational_units=organizational_units,
            accounts=accounts,
            delegated_administrators=delegated_administrators,
            scps=scps,
            rcps=rcps,
            policy_types=policy_types,
        )

    def set_scps(self, account: str, levels: Sequence[Policies] | None) -> None:
        """The SCPs on an account's path, one list per level, root first, with or without an organisation.

        They stand in place of those of the organisation's tree; None brings these back. Management accounts stay free (D11).
        """
        self._model.set_scps(account, levels)

    def set_rcps(self, account: str, levels: Sequence[Policies] | None) -> None:
        """The RCPs on an account's path; see `set_scps`. Only their Denies count (D13)."""
        self._model.set_rcps(account, levels)

    def add_endpoint(self, id: str, *, policy: Policies | None = None, account: str | None = None, gateway: bool = False) -> None:
        """A VPC endpoint; without a policy it gives full access (G4). Gateway endpoints follow N17."""
        self._model.add_endpoint(id, policy=policy, account=account, gateway=gateway)

    # -- reading ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What is there now, immutable: later writes do not touch it."""
        return self._model.snapshot()

    def to_json(self) -> str:
        """The whole directory in our own format, version 1; `fastiam.load` reads it back to equal answers."""
        return write_directory(self._model.tables)

    def dump(self, path: str | Path) -> None:
        """`to_json` into a file, which appears only when it is complete."""
        target = Path(path)
        part = target.with_name(target.name + ".part")
        part.write_text(self.to_json(), encoding="utf-8")
        part.replace(target)

    def compile(
        self,
        *,
        unknown_owner: UnknownOwner = "principal",
        context_defaults: Context = {},  # noqa: B006  (a mapping that is only read)
        settings: Settings = Settings(),  # noqa: B008  (frozen)
    ) -> Engine:
        """An engine over what is there now.

        Parameters
        ----------
        unknown_owner : what becomes of a literal ARN whose owner nothing tells: `principal` takes the caller's account
            and says so, `deny` denies (D23).
        context_defaults : context keys for every request that does not give them.
        settings : what the specification leaves configurable.
        """
        from fastiam.engine import Engine

        return Engine.from_snapshot(
            self.snapshot(), unknown_owner=unknown_owner, context_defaults=context_defaults, settings=settings
        )
