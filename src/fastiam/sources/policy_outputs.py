"""Reader of what the AWS CLI and SDKs write for one policy: `aws s3api get-bucket-policy` and its like in other services.

Most of these outputs do not contain the ARN that the call was for. A wrong guess would lose a Deny, so that it comes from these
places alone: the ARN in the output, the only one that the statements name, `resource_of`, and of a bucket `BUCKET.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastiam.directory.account_model import AccountModel
from fastiam.directory.governing_resources import TRUST, governing_resources_of, stored_arn
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.errors import Hint, PolicyError, Severity, SourceError
from fastiam.model.arn import split_arn
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.request import shorten
from fastiam.policy.document import read_policy
from fastiam.policy.json_text import JsonValue
from fastiam.policy.wildcards import glob, matches_everything
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.managed_policies import is_same_document
from fastiam.sources.query_protocol import unwrapped
from fastiam.sources.resource_of import ResourceOf

GUESSED = "POLICY-OF-FILE"  # the finding about a bucket whose name is that of the file

_DOCUMENTS = ("Policy", "ResourcePolicy", "policyText")
_ARNS = ("ARN", "Arn", "QueueArn", "TopicArn", "FileSystemArn", "BackupVaultArn", "resourceArn")
_INLINE = {"RoleName": "role/", "UserName": "user/", "GroupName": "group/"}  # of `get-role-policy` and its like
_BUCKET_FILE = re.compile(r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.json(?:\.gz)?")
_WILDCARDS = re.compile(r"\*|\?|\$\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class PolicyOutput:
    """One policy in an output: its document (None: there is none), the ARNs in the output, and what inline policies have."""

    node: LocatedValue
    document: LocatedValue | None
    arns: tuple[str, ...] = ()
    inline: tuple[str, str, str] | None = None  # start of the ARN's last field, name of the identity, name of the policy


def policy_output(node: LocatedValue) -> PolicyOutput | None:
    """The policy in the output of a call for one policy; None for any other value."""
    node = unwrapped(node)
    value = node.value
    if not isinstance(value, dict) or "Statement" in value:
        return None
    if isinstance(value.get("PolicyName"), str) and "PolicyDocument" in value:
        for name, start in _INLINE.items():
            if isinstance(value.get(name), str):
                inline = (start, str(value[name]), str(value["PolicyName"]))
                return PolicyOutput(node, node.document("PolicyDocument"), (), inline)
        return None
    attributes = value.get("Attributes")
    at = node if attributes is None else node.child("Attributes", attributes)
    if not isinstance(at.value, dict):
        return None
    arns = tuple(dict.fromkeys(arn for name in _ARNS if isinstance(arn := at.value.get(name), str)))
    for name in _DOCUMENTS:
        if isinstance(at.value.get(name), str):
            return PolicyOutput(node, at.document(name), arns)
    return PolicyOutput(node, None, arns) if _has_no_policy(at.value) else None


def _has_no_policy(value: dict[str, JsonValue]) -> bool:
    """Whether an output without a policy says that there is none: all attributes of a queue, and what a secret has."""
    is_secret = value.keys() - {"ResponseMetadata"} == {"ARN", "Name"} and ":secretsmanager:" in str(value["ARN"])
    return is_secret or {"QueueArn", "CreatedTimestamp"} <= value.keys()


class PolicyOutputReader:
    """Reads these outputs, and documents whose resource the caller names."""

    def __init__(self, resource_of: ResourceOf) -> None:
        self._resource_of = resource_of
        self._outputs: list[PolicyOutput] = []

    def is_format(self, node: LocatedValue) -> bool:
        """Whether the value is such an output, or a document in a file that has an ARN."""
        if policy_output(node) is not None:
            return True
        is_document = isinstance(node.value, dict) and "Statement" in node.value
        return is_document and self._resource_of.arn(node) is not None

    def gather(self, model: AccountModel, node: LocatedValue) -> None:
        """Collect an output."""
        self._outputs.append(policy_output(node) or PolicyOutput(node, node))

    def finish(self, model: AccountModel) -> None:
        """Add the policies, after the records of all other files."""
        for output in self._outputs:
            if output.inline is not None:
                self._add_inline(model, output, *output.inline)
            else:
                self._add(model, output, self._resource(model, output))

    def _add_inline(self, model: AccountModel, output: PolicyOutput, start: str, name: str, policy: str) -> None:
        node, arn = output.node, self._resource_of.arn(output.node)
        if arn is None:
            raise _no_owner(node, f"the output names `{shorten(name)}` without its account")
        parts = split_arn(arn)
        if parts is None or parts.service != "iam" or not parts.rest.startswith(start) or arn.rpartition("/")[2] != name:
            raise node.error(f"`{shorten(arn)}` is given for the file, whose policy is that of `{start}{shorten(name)}`")
        record = model.tables.entities.get(arn) or model.tables.groups.get(arn)
        if record is None:
            hint = "load the export of its account with it: a policy alone does not show what else it has"
            raise node.error(f"no file has the record of `{shorten(arn)}`", hint=hint)
        document = (output.document or node).policy(model, PolicyKind.IDENTITY, policy)
        there = next((each for each in record.inline if each.name == policy), None)
        if there is not None:
            self._check_same(output, f"`{shorten(arn)}` has another policy `{shorten(policy)}`", there, document)
            return
        with node.writing(model, "POLICY"):
            model.put_inline_policy(arn, policy, document)

    def _add(self, model: AccountModel, output: PolicyOutput, arn: str) -> None:
        governing = governing_resources_of(stored_arn(arn))
        arn, parts, is_role = stored_arn(arn), split_arn(arn), governing.governs == TRUST
        is_identity = parts is not None and (parts.service == "iam" or parts.rest.startswith("vpc-endpoint/")) and not is_role
        if is_identity or not any(arn in group for group in governing.groups):
            named = next((group[-1] for group in governing.groups if arn not in group), None)
            hint = f"name the resource that has the policy: `{named}`" if named else "put it into a file of our own format"
            raise output.node.error(f"`{shorten(arn)}` has no resource policy", hint=hint)
        kind = PolicyKind.TRUST if is_role else PolicyKind.RESOURCE
        document = None if output.document is None else output.document.policy(model, kind, arn)
        entity, resource = model.tables.entities.get(arn), model.tables.resources.get(arn)
        if is_role and entity is None:
            raise output.node.error(f"no file has the record of `{shorten(arn)}`", hint="load the export of its account with it")
        there = () if resource is None else resource.policies
        if entity is not None and entity.trust is not None:
            there = (entity.trust,)
        if there:
            self._check_same(output, f"`{shorten(arn)}` has another policy", there[0], document)
            return
        with output.node.writing(model, "POLICY"):
            if entity is not None and document is not None:
                model.set_trust_policy(arn, document)
            elif resource is None:
                model.add_resource(arn, policy=document and [document])
            elif document is not None:
                model.set_resource_policy(arn, [document])

    def _check_same(self, output: PolicyOutput, message: str, there: StoredPolicy, document: StoredPolicy | None) -> None:
        if document is None or not is_same_document(there, document):
            origin = there.policy.origin
            where = f", in `{origin.source.name}`" if origin is not None and origin.source.name else ""
            raise output.node.error(f"{message}{where}", hint="load one of the two files")

    # -- the resource ---------------------------------------------------------------------------------------------------

    def _resource(self, model: AccountModel, output: PolicyOutput) -> str:
        given, node = self._resource_of.arn(output.node), output.node
        if output.document is node:  # a document alone: its statements may be those of an identity policy
            return given or ""
        policy = None if output.document is None else _parsed(output.document)
        found: set[str | None] = set(output.arns)
        if not found and policy is not None:
            found |= set(_named(policy))
        if len(found) == 1 and None not in found:
            (arn,) = (str(each) for each in found)
            if given is not None and stored_arn(given) != stored_arn(arn):
                raise node.error(f"`{shorten(given)}` is given for the file, whose policy is that of `{shorten(arn)}`")
            return arn
        if given is not None:
            return given
        bucket = None if policy is None or output.arns else _bucket_of_file(node, policy)
        if bucket is None:
            several = " and ".join(f"`{shorten(arn)}`" for arn in sorted(filter(None, found))[:2])
            why = f"its statements name {several}" if several else "neither it nor its statements name one resource"
            raise _no_owner(node, why)
        message = f"the policy counts as that of `{bucket}`, which has the name of the file"
        node.note(model, GUESSED, message, severity=Severity.WARN)
        return bucket


def _no_owner(node: LocatedValue, why: str) -> SourceError:
    file = node.source.name
    hint = Hint(f"name it: `resource_of={{{file!r}: arn}}`", f"name it: `--resource-of {file}=ARN`")
    return node.error(f"the output of a call for one policy does not say which resource has it: {why}", hint=hint)


def _parsed(document: LocatedValue) -> Policy | None:
    try:
        return read_policy(document.value, PolicyKind.RESOURCE, mode="lenient")  # type: ignore[arg-type]
    except PolicyError:
        return None


def _named(policy: Policy) -> Iterator[str | None]:
    """The resources that statements name: None for a pattern of several ones. `*` names none."""
    for statement in policy.statements:
        for pattern in statement.resources or ():
            if not statement.not_resource and not matches_everything(pattern):
                yield _governing(pattern)


def _governing(pattern: str) -> str | None:
    """The governing resource of everything that a pattern matches, None if there are several."""
    found = set()
    for filler in ("x", "yy/z:z"):  # what the wildcards match decides nothing if both have one governing resource
        arn = stored_arn(_WILDCARDS.sub(filler, pattern))
        groups = governing_resources_of(arn).groups if split_arn(arn) else ()
        found.add(groups[0][0] if len(groups) == 1 else None)
    return found.pop() if len(found) == 1 else None


def _bucket_of_file(node: LocatedValue, policy: Policy) -> str | None:
    """The bucket that the file is named after, if all statements are about S3 and can be about this bucket."""
    name = _BUCKET_FILE.fullmatch(Path(node.source.name).name)
    patterns = [pattern for statement in policy.statements for pattern in statement.resources or ()]
    arns = [split_arn(pattern) for pattern in patterns]
    partitions = {arn.partition for arn in arns if arn is not None}
    if name is None or not patterns or len(partitions) != 1:
        return None
    for arn in arns:
        if arn is None or (arn.service, arn.region, arn.account) != ("s3", "", ""):
            return None
        if not glob(arn.rest.partition("/")[0]).fullmatch(name[1]):
            return None
    return f"arn:{partitions.pop()}:s3:::{name[1]}"
