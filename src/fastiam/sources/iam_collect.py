"""Reader of the folders of iam-collect: one folder for each resource of an account, one for the organisation.

    aws/<partition>/accounts/<account>/<service>/<region>/<type>/<id>/{metadata,policy,...}.json
    aws/<partition>/organizations/<id>/...

The path determines the format. The layout is public, the content of the files is not documented. `metadata` has the `arn` of the
resource; the other files are documents, tags, and lists of policies and groups. A file that is not recognised is a finding.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastiam.directory.account_model import AccountModel
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.errors import Severity
from fastiam.model.policy import PolicyKind
from fastiam.sources.iam_collect_organization import OrganizationFolderReader
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.managed_policies import KnownPolicies
from fastiam.sources.organization_builder import OrganizationBuilder

_RECORD = re.compile(
    r".*/aws[^/]*/accounts/(?P<account>[0-9]{12}|aws)/(?P<service>[^/]+)/(?:.+/)?(?P<type>[^/]+)/[^/]+/[^/]+\.json(?:\.gz)?"
)
_ORGANIZATION = re.compile(r".*/aws[^/]*/organizations/(?P<id>o-[^/]+)/(?P<rest>.+)\.json(?:\.gz)?")
_ANY = re.compile(r".*/aws[^/]*/(?:accounts/(?:[0-9]{12}|aws)|organizations/o-[^/]+)/.+")
_READ = {
    "policy": {"metadata", "current-policy", "tags"},
    "group": {"metadata", "inline-policies", "managed-policies"},
    "user": {"metadata", "inline-policies", "managed-policies", "groups", "tags"},
    "role": {"metadata", "inline-policies", "managed-policies", "trust-policy", "tags"},
}
_DOCUMENT_FILES = {"policy", "current-policy", "trust-policy", "inline-policies"}
_READ_OF_RESOURCES = {"metadata", "policy", "tags"}
_UNIQUE_ID = re.compile("A(?:IDA|ROA|GPA)[A-Z0-9]+")
_ARNS = ("arn", "Arn", "PolicyArn", "policyArn", "PermissionsBoundaryArn", "permissionsBoundaryArn", "GroupArn", "groupArn")
_NAMES = ("PolicyName", "policyName", "name")
_DOCUMENTS = ("PolicyDocument", "policyDocument", "document", "policy")
_CODES = "COLLECT"


@dataclass(frozen=True, slots=True)
class _CollectedRecord:
    """The folder of one resource: its files by name."""

    account: str
    type: str  # "role", "user", "group" or "policy" for IAM, "" for other services
    files: dict[str, LocatedValue]

    @property
    def metadata(self) -> LocatedValue:
        return self.files["metadata"]

    @property
    def arn(self) -> str:
        return self.metadata.need("arn").text()


class IamCollectReader:
    """Reads these folders."""

    def __init__(self, known: KnownPolicies, builder: OrganizationBuilder) -> None:
        self._known = known
        self._structure = OrganizationFolderReader(builder)
        self._records: dict[str, _CollectedRecord] = {}  # by folder

    @staticmethod
    def is_document(name: str) -> bool:
        """Whether a file of this name contains only one policy document, or the inline policies of one principal."""
        path = Path(name).absolute().as_posix()
        return _stem(path) in _DOCUMENT_FILES and (_RECORD.fullmatch(path) or _ORGANIZATION.fullmatch(path)) is not None

    def is_format(self, node: LocatedValue) -> bool:
        """Whether the path of the file is one of iam-collect."""
        return _ANY.fullmatch(_path_of(node)) is not None

    def gather(self, model: AccountModel, node: LocatedValue) -> None:
        """Add a file to the record of its folder."""
        path = _path_of(node)
        organization, record = _ORGANIZATION.fullmatch(path), _RECORD.fullmatch(path)
        if organization is not None:
            self._structure.read(model, node, organization["id"], organization["rest"])
        elif record is not None:
            folder = path.rpartition("/")[0]
            type_ = record["type"] if record["service"] == "iam" else ""
            self._records.setdefault(folder, _CollectedRecord(record["account"], type_, {})).files[_stem(path)] = node

    def _of(self, node: LocatedValue, *types: str) -> _CollectedRecord | None:
        """Return the record of a metadata file, if it has one of these types."""
        folder, _, name = _path_of(node).rpartition("/")
        record = self._records.get(folder) if name.startswith("metadata.") else None
        if record is None or record.type not in types or node.get("arn") is None:
            return None
        return record

    # -- stages ---------------------------------------------------------------------------------------------------------

    def read_policies(self, model: AccountModel, node: LocatedValue) -> None:
        """Read managed policies with their default version."""
        for arn in _arns(node) if _stem(_path_of(node)) == "managed-policies" else ():
            self._known.attached.setdefault(arn, node)
        policy = self._of(node, "policy")
        document = policy.files.get("current-policy") if policy is not None else None
        if policy is not None and document is not None and policy.arn not in model.tables.managed:
            version = policy.metadata.text_of("defaultVersionId") or "v1"
            stored = document.policy(model, PolicyKind.IDENTITY, policy.arn, arn=policy.arn)
            with policy.metadata.writing(model, _CODES):
                model.add_managed_policy(policy.arn, versions={version: stored}, default_version=version, unique_id=None)

    def check_policies(self, model: AccountModel) -> None:
        """Note managed policies whose document is in no file."""
        for record in self._records.values():
            if record.type != "policy" or "metadata" not in record.files or record.metadata.get("arn") is None:
                continue
            if record.arn not in model.tables.managed:
                version = record.metadata.text_of("defaultVersionId") or "v1"
                message = f"`{record.arn}` has no `current-policy.json`"
                record.metadata.add_missing(model, record.arn, version, "COLLECT-NO-DOCUMENT", message)

    def read_groups(self, model: AccountModel, node: LocatedValue) -> None:
        """Read groups with inline and attached policies."""
        group = self._of(node, "group")
        if group is not None:
            policies = self._policies(model, group)
            with node.writing(model, _CODES):
                model.add_group(group.arn, identity_policies=policies, unique_id=_unique_id(node))

    def read_principals(self, model: AccountModel, node: LocatedValue) -> None:
        """Read users and roles. Trust policies are read later, because they can name other principals."""
        record = self._of(node, "user", "role")
        if record is None:
            return
        policies, boundary = self._policies(model, record), node.get("permissionBoundary")
        limits = None if boundary is None else [_arn(boundary)]
        for arn in limits or ():
            self._known.attached.setdefault(arn, boundary or node)
        groups = record.files.get("groups")
        with node.writing(model, _CODES):
            model.add_principal(
                record.arn,
                identity_policies=policies,
                permissions_boundary=limits,
                tags=_tags(record),
                unique_id=_unique_id(node),
                trust_policy=None,
                groups=_arns(groups) if groups is not None else (),
            )

    def _policies(self, model: AccountModel, record: _CollectedRecord) -> list[StoredPolicy | str]:
        inline, attached = record.files.get("inline-policies"), record.files.get("managed-policies")
        own: list[StoredPolicy] = []
        if inline is not None and (inline.file.broken or not isinstance(inline.value, (dict, list))):
            own = [inline.policy(model, PolicyKind.IDENTITY, "inline-policies")]
        elif inline is not None:
            own = [document.policy(model, PolicyKind.IDENTITY, name) for name, document in _named(inline)]
        return [*own, *(_arns(attached) if attached is not None else ())]

    def read_trust(self, model: AccountModel, node: LocatedValue) -> None:
        """Read the trust policies of roles."""
        role = self._of(node, "role")
        document = role.files.get("trust-policy") if role is not None else None
        if role is None or document is None:
            return
        entity = model.tables.entities.get(role.arn)
        if entity is not None and entity.trust is None:
            trust = document.policy(model, PolicyKind.TRUST, role.arn)
            with document.writing(model, _CODES):
                model.set_trust_policy(role.arn, trust)

    def read_rest(self, model: AccountModel, node: LocatedValue) -> None:
        """Read resources of other services, and endpoints, with their policies."""
        record = self._of(node, "")
        if record is None:
            return
        document, arn = record.files.get("policy"), record.arn
        is_endpoint = ":vpc-endpoint/" in arn
        kind, name = (PolicyKind.VPCE, arn.rpartition("/")[2]) if is_endpoint else (PolicyKind.RESOURCE, arn)
        policies = None if document is None else [document.policy(model, kind, name)]
        with node.writing(model, _CODES):
            if is_endpoint:
                model.add_endpoint(name, policy=policies, account=record.account, gateway=False)
            else:
                model.add_resource(
                    arn, account=record.account, policy=policies, tags=_tags(record), restrict_public_buckets=False
                )

    def finish(self, model: AccountModel) -> None:
        """Note files that were not read."""
        unused: defaultdict[str, list[LocatedValue]] = defaultdict(list)
        for folder, record in self._records.items():
            self._check(model, folder, record)
            for name, node in record.files.items():
                if name not in (_READ.get(record.type, set()) if record.type else _READ_OF_RESOURCES):
                    unused[f"`{name}` of type `{Path(folder).parent.name}`"].append(node)
        for what, nodes in unused.items():
            message = f"{len(nodes)} files {what} are not read, this one first"
            nodes[0].note(model, "COLLECT-NOT-READ", message, severity=Severity.WARN)

    def _check(self, model: AccountModel, folder: str, record: _CollectedRecord) -> None:
        first = next(iter(record.files.values()))
        if record.type not in _READ and record.type:
            return
        if "metadata" not in record.files:
            first.note(model, "COLLECT-NO-METADATA", f"there is no `metadata.json` in `{folder}`: nothing in it is read")
        elif record.metadata.get("arn") is None:
            record.metadata.note(model, "COLLECT-NO-ARN", f"the metadata in `{folder}` has no `arn`: nothing in it is read")
        elif record.type == "role" and "trust-policy" not in record.files:
            first.note(model, "COLLECT-NO-TRUST", f"`{record.arn}` has no trust policy in the files: no principal can assume it")


# -- values, in their possible forms ------------------------------------------------------------------------------------------


def _path_of(node: LocatedValue) -> str:
    return Path(node.source.name).absolute().as_posix()


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".gz").removesuffix(".json")


def _first(node: LocatedValue, names: tuple[str, ...]) -> LocatedValue:
    """Return the first of these members that exists."""
    for name in names:
        found = node.get(name)
        if found is not None:
            return found
    raise node.error("missing member: one of " + ", ".join(f"`{name}`" for name in names))


def _arn(node: LocatedValue) -> str:
    return node.arn() if isinstance(node.value, str) else _first(node, _ARNS).arn()


def _arns(node: LocatedValue) -> list[str]:
    return [_arn(item) for item in node.items()]


def _named(node: LocatedValue) -> Iterator[tuple[str, LocatedValue]]:
    """Yield documents with their names: an object of documents, or a list of objects with name and document."""
    if isinstance(node.value, dict):
        yield from node.members()
        return
    for item in node.items():
        at = next((name for name in _DOCUMENTS if name in item.object()), _DOCUMENTS[0])
        yield _first(item, _NAMES).text(), item.document(at)


def _tags(record: _CollectedRecord) -> dict[str, str]:
    node = record.files.get("tags")
    if node is None:
        return {}
    if isinstance(node.value, dict):
        return {key: value.text() for key, value in node.members()}
    return {_first(tag, ("Key", "key")).text(): _first(tag, ("Value", "value")).text() for tag in node.items()}


def _unique_id(node: LocatedValue) -> str | None:
    texts = (value for value in node.object().values() if isinstance(value, str))
    return next((text for text in texts if _UNIQUE_ID.fullmatch(text)), None)
