"""The IAM state of the endpoint that calls go to: an emulator, or AWS (`account_state`).

It is read by documented operations only, with clients of its own, whose calls are not checked: principals by the export of IAM,
and the policies of resources of a service when a call first concerns it. An operation that the endpoint lacks is a finding, and
the policies that it would return are none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fastiam.api.directory import Directory
from fastiam.boto3.call_errors import UncheckedCall
from fastiam.errors import FastiamError
from fastiam.model.arn import split_arn
from fastiam.model.profile import PrincipalKind
from fastiam.model.session import Session
from fastiam.sources.files import File

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

Refresh = Literal["writes", "call", "manual"]
READING: ContextVar[bool] = ContextVar("fastiam_reading", default=False)  # a call of the reader itself
_READS = ("Get", "List", "Describe", "Simulate", "Generate", "Lookup", "Detect", "Validate", "Estimate")
_OF_IAM = ("iam", "organizations", "cloudformation")
_GLOBAL = ("s3",)  # services whose resources are listed for all Regions
# operations that change the resources of a service, or their policies
_WRITES = {
    "s3": frozenset(
        "CreateBucket DeleteBucket PutBucketPolicy DeleteBucketPolicy PutPublicAccessBlock DeletePublicAccessBlock".split()
    ),
    "kms": frozenset("CreateKey PutKeyPolicy CreateAlias UpdateAlias DeleteAlias ReplicateKey".split()),
    "sqs": frozenset("CreateQueue DeleteQueue SetQueueAttributes AddPermission RemovePermission".split()),
    "sns": frozenset("CreateTopic DeleteTopic SetTopicAttributes AddPermission RemovePermission".split()),
}


class StateResource(NamedTuple):
    """A resource with its policy as text; None without one."""

    arn: str
    policy: str | None
    restrict_public_buckets: bool = False


class AccountState:
    """What `account_state` returns: how to read the state. Each block has its own copy of it."""

    def __init__(self, session: Any, refresh: Refresh, endpoint_url: str | None) -> None:
        self.session, self.refresh, self.endpoint_url = session, refresh, endpoint_url

    def open(self) -> OpenState:
        """Read the principals.

        Raises
        ------
        UncheckedCall
            the state cannot be read.
        """
        return OpenState(self)


class OpenState:
    """The state of an endpoint as an engine, read again after writes."""

    def __init__(self, source: AccountState) -> None:
        self._source = source
        self._lock = threading.RLock()
        self._iam: bytes | None = None
        self._resources: dict[tuple[str, str], list[StateResource]] = {}  # by service and Region
        self._aliases: dict[tuple[str, str], str] = {}
        self._callers: dict[tuple[str, str], str | Session | None] = {}
        self._engine: Engine | None = None
        self._directory: Directory | None = None
        self.account = ""
        self.findings: list[str] = []
        self.n_read = 0
        self.engine  # noqa: B018  (the state is read now, so that a missing endpoint is an error of the block)

    @property
    def engine(self) -> Engine:
        """The engine of now."""
        with self._lock:
            if self._engine is None:
                self._engine = self.directory.compile()
            return self._engine

    @property
    def directory(self) -> Directory:
        """The directory of now."""
        with self._lock:
            if self._directory is None:
                if self._iam is None:
                    self._iam = self._read_iam()
                self._directory = self._built(self._iam)
            return self._directory

    def prepare(self, services: set[str], region: str) -> None:
        """Read the resources of the services of a call, where they are not known yet."""
        with self._lock:
            if self._source.refresh == "call":
                self.invalidate()
            for service in sorted(services & _READERS.keys()):
                key = (service, "" if service in _GLOBAL else region)
                if key not in self._resources:
                    self._resources[key] = self._read(service, region)
                    self._engine = self._directory = None

    def invalidate(self, service: str | None = None) -> None:
        """Read everything again when it is needed next, or the resources of a service."""
        with self._lock:
            if service is None:
                self._iam = None
                self._resources.clear()
                self._callers.clear()
            for key in [key for key in self._resources if key[0] == service]:
                del self._resources[key]
            self._engine = self._directory = None

    def note(self, service: str, operation: str) -> None:
        """Note a successful call of this process, which may have changed the state."""
        if self._source.refresh != "writes" or operation.startswith(_READS):
            return
        if service in _OF_IAM:
            self.invalidate()
        elif operation in _WRITES.get(service, ()):
            self.invalidate(service)

    def is_unseen(self, principal: str | Session) -> bool:
        """Whether a session was issued before the block, or by another process: its policies and tags are unknown (T135)."""
        return isinstance(principal, Session) and any(principal is each for each in self._callers.values())

    def key_of_alias(self, region: str, alias: str) -> str | None:
        """Return the ARN of the key of an alias; None if the endpoint has none."""
        return self._aliases.get((region, alias))

    def caller(self, access_key: str, secret: str, token: str | None, region: str) -> str | Session | None:
        """Return the principal of credentials, as the endpoint names it; None if it names no principal."""
        with self._lock:
            key = (access_key, token or "")
            if key not in self._callers:
                self._callers[key] = self._read_caller(access_key, secret, token, region)
            return self._callers[key]

    # -- reading

    def _client(self, service: str, region: str, **credentials: Any) -> Any:
        session = self._source.session
        if session is None:
            import botocore.session

            session = self._source.session = botocore.session.get_session()
        make = getattr(session, "client", None) or session.create_client  # of boto3, of botocore
        return make(service, region_name=region, endpoint_url=self._source.endpoint_url, **credentials)

    def _read_iam(self) -> bytes:
        import orjson

        export: dict[str, list[Any]] = {}
        try:
            with _unchecked():
                self.account = self._client("sts", "us-east-1").get_caller_identity()["Account"]
                pages = self._client("iam", "us-east-1").get_paginator("get_account_authorization_details").paginate()
                for page in pages:
                    for name in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"):
                        export.setdefault(name, []).extend(page.get(name) or ())
        except Exception as failed:
            raise UncheckedCall(f"the state of the endpoint cannot be read: {failed}") from failed
        self.n_read += 1
        return orjson.dumps(export)

    def _built(self, export: bytes) -> Directory:
        from fastiam.api.loading import load_files  # PERF: calls that no state is read for need no reader

        directory = load_files([File("the state of the endpoint", export)], "the state of the endpoint", may_be_empty=True)
        assert isinstance(directory, Directory)
        if self.account not in directory.tables.accounts:
            directory.add_account(self.account)
        for found in self._resources.values():
            for each in found:
                arn = split_arn(each.arn)
                account = arn.account if arn is not None and arn.account else self.account
                directory.add_resource(
                    each.arn, account=account, policy=each.policy, restrict_public_buckets=each.restrict_public_buckets
                )
        return directory

    def _read(self, service: str, region: str) -> list[StateResource]:
        try:
            with _unchecked():
                return list(_READERS[service](self, self._client(service, region), region))
        except FastiamError:
            raise
        except Exception as failed:
            if _is_lacking(failed):
                self._find(f"resources of {service}", failed)
                return []
            raise UncheckedCall(f"the state of the endpoint cannot be read: {failed}") from failed

    def _find(self, what: str, failed: Exception) -> None:
        line = f"{what}: {failed}"
        if line not in self.findings:
            self.findings.append(line)

    def _asked(self, what: str, operation: Callable[..., Any], *, absent: str = "", **parameters: Any) -> Any:
        """Return an answer; None for one that is `absent`, by its code, and for an operation that the endpoint lacks.

        INVARIANT: any other error ends the reading. A policy that is there and is not read may deny.
        """
        try:
            return operation(**parameters)
        except Exception as failed:
            if absent and absent in str(failed):
                return None
            if not _is_lacking(failed):
                raise
            self._find(what, failed)
            return None

    def _read_caller(self, access_key: str, secret: str, token: str | None, region: str) -> str | Session | None:
        try:
            with _unchecked():
                given = {"aws_access_key_id": access_key, "aws_secret_access_key": secret, "aws_session_token": token}
                arn = str(self._client("sts", region, **given).get_caller_identity()["Arn"])
        except Exception as failed:
            if _is_refusal(failed):
                return None
            raise UncheckedCall(f"the state of the endpoint cannot be read: {failed}") from failed
        parts = split_arn(arn)
        if parts is None:
            return None
        if parts.service == "iam":
            return arn
        kind, _, rest = parts.rest.partition("/")
        role = self.directory.tables.roles.get((parts.partition, parts.account, rest.partition("/")[0]))
        if kind != "assumed-role" or role is None:
            return None  # such as the user of moto's default credentials, which is not a principal
        return Session(arn, kind=PrincipalKind.ROLE, issuer=role)


_LACKING = frozenset({"NotImplemented", "UnknownOperationException", "InvalidAction"})  # codes of AWS's protocols


@contextmanager
def _unchecked() -> Iterator[None]:
    token = READING.set(True)
    try:
        yield
    finally:
        READING.reset(token)


def _is_refusal(failed: Exception) -> bool:
    """Whether the endpoint answered, with an error."""
    from botocore.exceptions import ClientError

    return isinstance(failed, (ClientError, NotImplementedError))


def _is_lacking(failed: Exception) -> bool:
    """Whether the endpoint has no such operation or service: an emulator says so by status 501, or by a code."""
    from botocore.exceptions import ClientError

    if not isinstance(failed, ClientError):
        return isinstance(failed, NotImplementedError)
    status = failed.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == 501 or failed.response.get("Error", {}).get("Code") in _LACKING


def _read_s3(state: OpenState, s3: Any, region: str) -> Iterator[StateResource]:
    for bucket in s3.list_buckets().get("Buckets") or ():
        name = bucket["Name"]
        found = state._asked(f"policy of bucket {name}", s3.get_bucket_policy, absent="NoSuchBucketPolicy", Bucket=name)
        no_block = "NoSuchPublicAccessBlockConfiguration"
        block = state._asked(f"public access block of {name}", s3.get_public_access_block, absent=no_block, Bucket=name)
        is_restricted = bool(block and block["PublicAccessBlockConfiguration"].get("RestrictPublicBuckets"))
        yield StateResource(f"arn:{s3.meta.partition}:s3:::{name}", found["Policy"] if found else None, is_restricted)


def _read_kms(state: OpenState, kms: Any, region: str) -> Iterator[StateResource]:
    arns = {}
    for page in kms.get_paginator("list_keys").paginate():
        for key in page.get("Keys") or ():
            arns[key["KeyId"]] = arn = key["KeyArn"]
            found = state._asked(f"policy of {arn}", kms.get_key_policy, KeyId=arn, PolicyName="default")
            yield StateResource(arn, found["Policy"] if found else None)
    state._aliases = {key: arn for key, arn in state._aliases.items() if key[0] != region}
    for page in state._asked("aliases of keys", lambda: list(kms.get_paginator("list_aliases").paginate())) or ():
        for alias in page.get("Aliases") or ():
            if alias.get("TargetKeyId") in arns:
                state._aliases[region, alias["AliasName"]] = arns[alias["TargetKeyId"]]


def _read_sqs(state: OpenState, sqs: Any, region: str) -> Iterator[StateResource]:
    for page in sqs.get_paginator("list_queues").paginate():
        for url in page.get("QueueUrls") or ():
            names = ["Policy", "QueueArn"]
            found = state._asked(f"policy of {url}", sqs.get_queue_attributes, QueueUrl=url, AttributeNames=names)
            attributes = found.get("Attributes", {}) if found else {}
            if attributes.get("QueueArn"):
                yield StateResource(attributes["QueueArn"], attributes.get("Policy") or None)


def _read_sns(state: OpenState, sns: Any, region: str) -> Iterator[StateResource]:
    for page in sns.get_paginator("list_topics").paginate():
        for topic in page.get("Topics") or ():
            arn = topic["TopicArn"]
            found = state._asked(f"policy of {arn}", sns.get_topic_attributes, TopicArn=arn)
            yield StateResource(arn, (found["Attributes"].get("Policy") or None) if found else None)


_READERS: dict[str, Callable[[OpenState, Any, str], Iterator[StateResource]]] = {
    "s3": _read_s3,
    "kms": _read_kms,
    "sqs": _read_sqs,
    "sns": _read_sns,
}
