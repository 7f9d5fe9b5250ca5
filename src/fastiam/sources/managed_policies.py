"""Reader of managed policies outside of account exports, which can lack the text of a policy.

It reads a file of AWS managed policies, one record per line (`arn`, `name`, `version`, `deprecated`, `document`), and the outputs
of `aws iam get-policy`, `list-policies` and `get-policy-version`. The version of an export or directory file has precedence,
because it was in force in that account. Then follow single outputs, then the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from fastiam.directory.account_model import AccountModel
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.errors import Hint, Severity
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.query_protocol import flag, listed, unwrapped
from fastiam.sources.resource_of import ResourceOf

_OF_AWS = re.compile(r"arn:[^:]+:iam::aws:policy/")


@dataclass(slots=True)
class KnownPolicies:
    """Facts about managed policies that the readers of one call share: by ARN, the value in a file.

    `attached` : a user, group or role has it as policy or as boundary. `withdrawn` : it can no longer be attached.
    """

    attached: dict[str, LocatedValue] = field(default_factory=dict)
    withdrawn: dict[str, LocatedValue] = field(default_factory=dict)


class ManagedPolicyReader:
    """Reads values that contain only managed policies."""

    def __init__(self, known: KnownPolicies, resource_of: ResourceOf) -> None:
        self._known = known
        self._resource_of = resource_of
        self._records: dict[str, LocatedValue] = {}  # by ARN
        self._nameless: dict[str, LocatedValue] = {}  # records without ARN, by the policy's name
        self._outputs: dict[str, LocatedValue] = {}  # of `get-policy`, by ARN
        self._without_default: dict[str, LocatedValue] = {}
        self._versions: list[LocatedValue] = []  # outputs of `get-policy-version`

    def is_format(self, node: LocatedValue) -> bool:
        """Whether the value is a record of a policy, or the output of a call for one."""
        value = unwrapped(node).value
        if not isinstance(value, dict):
            return False
        if "document" in value and "name" in value and ("arn" in value or "deprecated" in value):
            return True
        policy, several = value.get("Policy"), value.get("Policies")
        example = policy if isinstance(policy, dict) else several[0] if isinstance(several, list) and several else None
        return isinstance(value.get("PolicyVersion"), dict) or _is_policy(example)

    def gather(self, model: AccountModel, node: LocatedValue) -> None:
        """Collect a value."""
        node = unwrapped(node)
        if "document" in node.object():
            self._gather_record(model, node)
            return
        policy = node.get("Policy")
        for item in listed(node, "Policies") if policy is None else [policy]:
            arn = item.need("Arn").text()
            self._outputs.setdefault(arn, item)
            if not flag(item, "IsAttachable", True):
                self._known.withdrawn.setdefault(arn, item)
        if node.get("PolicyVersion") is not None:
            self._versions.append(node)

    def _gather_record(self, model: AccountModel, node: LocatedValue) -> None:
        arn, name = node.text_of("arn"), node.need("name").text()
        if arn is None:
            self._nameless.setdefault(name, node)
            return
        first = self._records.setdefault(arn, node)
        if first is not node and first.value != node.value:
            node.note(model, "POLICY-EXISTS", f"`{arn}` occurs twice with different values; the first record is used")
        if node.flag_of("deprecated"):
            self._known.withdrawn.setdefault(arn, node)

    # -- adding policies that other files lack ----------------------------------------------------------------------------

    def add_known_policies(self, model: AccountModel) -> None:
        """Add the policies that no account export contains."""
        for arn, (versions, default, node) in self._documents_of_outputs(model).items():
            self._add(model, node, arn, versions, default)
        for arn, node in self._records.items():
            self._add_record(model, node, arn)
        for arn in self._known.attached:
            record = self._nameless.get(arn.rpartition("/")[2])
            if record is not None and arn not in self._records and _OF_AWS.match(arn):
                self._add_record(model, record, arn)
                self._known.withdrawn.setdefault(arn, record)

    def check_policies(self, model: AccountModel) -> None:
        """Note policies whose default version is in no file."""
        for arn, node in self._without_default.items():
            if arn not in model.tables.managed:
                message = f"`{arn}` has no document of its default version"
                node.add_missing(model, arn, "v1", "POLICY-NO-DEFAULT", message)

    def _add_record(self, model: AccountModel, node: LocatedValue, arn: str) -> None:
        version = node.text_of("version") or "default"
        if node.flag_of("malformed"):
            document = node.unreadable(model, PolicyKind.IDENTITY, arn, "the record is marked as malformed", arn=arn)
        else:
            document = node.document("document").policy(model, PolicyKind.IDENTITY, arn, arn=arn)
        self._add(model, node, arn, {version: document}, version)

    def _add(self, model: AccountModel, node: LocatedValue, arn: str, versions: dict[str, StoredPolicy], default: str) -> None:
        there = model.tables.managed.get(arn)
        if there is None:
            with node.writing(model, "POLICY"):
                model.add_managed_policy(arn, versions=versions, default_version=default, unique_id=None)
        elif not is_same_document(there.document, versions[default]):
            message = f"`{arn}` has version {default} here; version {there.default}, which was read first, is used"
            node.note(model, "POLICY-OTHER-VERSION", message, severity=Severity.WARN)

    def _documents_of_outputs(self, model: AccountModel) -> dict[str, tuple[dict[str, StoredPolicy], str, LocatedValue]]:
        """Return the versions of each policy whose default version exists."""
        versions: dict[str, dict[str, StoredPolicy]] = {}
        defaults: dict[str, str] = {}
        nodes = dict(self._outputs)
        for output in self._versions:
            arn, version = self._arn_of(output), output.need("PolicyVersion")
            id_ = version.need("VersionId").text()
            document = version.document("Document").policy(model, PolicyKind.IDENTITY, arn, arn=arn)
            versions.setdefault(arn, {})[id_] = document
            nodes.setdefault(arn, output)
            if flag(version, "IsDefaultVersion"):
                defaults[arn] = id_
        for arn, output in self._outputs.items():
            defaults[arn] = output.text_of("DefaultVersionId") or defaults.get(arn, "")
        self._without_default = {arn: nodes[arn] for arn in versions if defaults.get(arn) not in versions[arn]}
        return {arn: (found, defaults[arn], nodes[arn]) for arn, found in versions.items() if defaults.get(arn) in found}

    def _arn_of(self, output: LocatedValue) -> str:
        """Return the policy that a version belongs to: in the output object, given for the file, or in the file name."""
        named, policy, given = output.text_of("PolicyArn"), output.get("Policy"), self._resource_of.arn(output)
        if policy is not None and named is None:
            named = policy.need("Arn").text()
        if named is not None and given not in (None, named):
            raise output.error(f"`{shorten(str(given))}` is given for the file, whose policy is `{shorten(named)}`")
        if named is not None or given is not None:
            return str(named or given)
        file = Path(output.source.name).name
        found = [arn for arn in self._outputs if _names_policy(file, arn.rpartition("/")[2])]
        if len(found) != 1:
            several = "several policies, " + " and ".join(f"`{arn}`" for arn in found[:2]) if found else "no policy"
            add = 'add `"PolicyArn": "arn:..."` to the output, add the output of `get-policy`, or give'
            hint = Hint(f"{add} `resource_of={{file: arn}}`", f"{add} `--resource-of FILE=ARN`")
            raise output.error(f"the output does not have the ARN of its policy, and the file name matches {several}", hint=hint)
        return found[0]

    # -- afterwards -------------------------------------------------------------------------------------------------------

    def finish(self, model: AccountModel) -> None:
        """Note deprecated policies: they stay in force where they are attached."""
        for arn, node in self._known.attached.items():
            if arn in self._known.withdrawn:
                message = f"`{arn}` is deprecated: it stays in force where it is attached, and cannot be attached again"
                self._known.withdrawn[arn].note(model, "POLICY-DEPRECATED", message, severity=Severity.WARN)
            elif self._records and arn not in self._records and _OF_AWS.match(arn):
                message = f"`{arn}` is attached and not in the file of AWS managed policies: deprecated, or newer than the file"
                node.note(model, "POLICY-NOT-LISTED", message, severity=Severity.WARN)
        if self._nameless:
            name, node = next(iter(self._nameless.items()))
            message = f"{len(self._nameless)} records have no `arn`, `{name}` first: they are found by name where attached"
            node.note(model, "POLICY-NO-ARN", message, severity=Severity.WARN)


def is_same_document(one: StoredPolicy, other: StoredPolicy) -> bool:
    """Whether two documents have equal statements, whatever their text."""
    return one.policy.statements == other.policy.statements and one.policy.variables == other.policy.variables


def _is_policy(value: object) -> bool:
    """Whether a value is a policy of `get-policy`. Those of exports also have versions."""
    return isinstance(value, dict) and "Arn" in value and "PolicyName" in value and "PolicyVersionList" not in value


def _names_policy(file: str, name: str) -> bool:
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(name)}(?![0-9A-Za-z])", file) is not None
