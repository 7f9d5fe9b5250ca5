"""What the resource types of Terraform share: account and Region, ARNs from names, documents, and what is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastiam.directory.stored_policies import StoredPolicy, text_of_parsed
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.policy import PolicyKind
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.plans.facts import Change, Facts, UndecidedFact, placeholder, planned_policy, unknown_key, with_option
from fastiam.sources.plans.plan_values import UNKNOWN, PlannedResource, Side, Unknown

IDENTITIES = {"aws_iam_user": "user", "aws_iam_role": "role", "aws_iam_group": "group", "aws_iam_policy": "policy"}

# the ARN of a resource by an attribute, where it is created by the plan
_NAMED = {
    "aws_s3_bucket": ("s3:::{}", "bucket"),
    "aws_sqs_queue": ("sqs:{region}:{account}:{}", "name"),
    "aws_sns_topic": ("sns:{region}:{account}:{}", "name"),
    "aws_ecr_repository": ("ecr:{region}:{account}:repository/{}", "name"),
    "aws_dynamodb_table": ("dynamodb:{region}:{account}:table/{}", "name"),
}


@dataclass(slots=True)
class PlanContext:
    """What the rows share: the change that they add to, and the facts that complete ARNs.

    `stored` are the ARNs in the directory by account, type and folded name, since the path of an identity is not in its name.
    """

    change: Change
    account: str | None
    partition: str
    region: str | None
    resources: dict[str, PlannedResource]
    assume_references: bool
    stored: Mapping[tuple[str, str, str], str]
    has_default_tags: bool

    def facts(self, side: Side) -> Facts:
        """Return the facts of a side."""
        return self.change.before if side is Side.BEFORE else self.change.after

    def undecided(self, resource: PlannedResource, reason: str, about: Iterable[str] = (), key: str = "") -> None:
        """Report what is unknown, once."""
        found = UndecidedFact(resource.address, reason, resource.place(), tuple(about), key)
        if found not in self.change.undecided:
            self.change.undecided.append(found)

    def changed_keys(self, resource: PlannedResource, reason: str, keys: frozenset[str]) -> None:
        """Report a change of condition keys, which is undecided if a policy reads one of them."""
        arn = resource.text(Side.AFTER, "arn")
        about = (arn,) if isinstance(arn, str) else ()
        self.change.of_keys.append((UndecidedFact(resource.address, reason, resource.place(), about), keys))

    def assume(self, text: str) -> None:
        """Report an assumption, once."""
        if text not in self.change.assumed:
            self.change.assumed.append(text)

    def text(self, resource: PlannedResource, side: Side, attribute: str) -> str | Unknown | None:
        """Return a text attribute. With `assume_references`, an unknown reference is the attribute of its target."""
        found = resource.text(side, attribute)
        if found is not UNKNOWN or not self.assume_references:
            return found
        reference = resource.reference(attribute)
        target = None if reference is None else self.resources.get(reference[0])
        if reference is None or target is None:
            return UNKNOWN
        value = self._attribute(target, side, reference[1])
        if isinstance(value, str):
            self.assume(f"{resource.address}: `{attribute}` is `{reference[0]}.{reference[1]}`, unchanged")
            return value
        return UNKNOWN

    def _attribute(self, target: PlannedResource, side: Side, name: str) -> str | Unknown | None:
        found = target.text(side, name)
        if found is not UNKNOWN:
            return found
        what = IDENTITIES.get(target.type)
        if name == "arn" or (name == "id" and target.type == "aws_iam_policy"):
            if what is not None:
                return self.identity_arn(target, side, what) or UNKNOWN
            return self.arn_of(target, side) or UNKNOWN
        if name == "id":
            return target.text(side, "bucket" if target.type == "aws_s3_bucket" else "name")
        return UNKNOWN

    # -- ARNs ---------------------------------------------------------------------------------------------------------

    def identity_arn(self, resource: PlannedResource, side: Side, what: str) -> str | None:
        """Return the ARN of a user, group, role or policy; None if a part is unknown, which is reported."""
        arn, name, path = (resource.text(side, attribute) for attribute in ("arn", "name", "path"))
        if isinstance(arn, str):
            return _renamed(arn, what, name, path)
        if not isinstance(name, str) or path is UNKNOWN:
            self.undecided(resource, f"the name of the {what} is known after apply")
            return None
        return self.iam_arn(resource, what, f"{path or '/'}{name}")

    def iam_arn(self, resource: PlannedResource, what: str, path_and_name: str) -> str | None:
        """Return an ARN of the account of the plan."""
        if self.account is None:
            self.undecided(resource, with_option("the account is unknown", "account"))
            return None
        return f"arn:{self.partition}:iam::{self.account}:{what}/{path_and_name.lstrip('/')}"

    def named(self, resource: PlannedResource, side: Side, attribute: str, what: str) -> str | None:
        """Return the ARN of a user, group or role that an attribute names; None if it is unknown, which is reported."""
        name = self.text(resource, side, attribute)
        if name is None:
            return None
        if not isinstance(name, str):
            self.undecided(resource, f"`{attribute}` is known after apply")
            return None
        return self.arn_of_name(resource, side, name, what)

    def arn_of_name(self, resource: PlannedResource, side: Side, name: str, what: str) -> str | None:
        """Return the ARN of a user, group or role with a name. Its path is that of the record in the plan or directory."""
        name = name.rpartition("/")[2]
        for other in self.resources.values():
            if IDENTITIES.get(other.type) == what and other.exists(side) and other.text(side, "name") == name:
                return self.identity_arn(other, side, what)
        return self.stored.get((self.account or "", what, fold(name))) or self.iam_arn(resource, what, name)

    def arn_of(self, resource: PlannedResource, side: Side) -> str | None:
        """Return the ARN of a resource with a policy, from its `arn` or its name; None if it is unknown."""
        arn, pattern = resource.text(side, "arn"), _NAMED.get(resource.type)
        if isinstance(arn, str):
            return arn
        return None if pattern is None else self.made_arn(resource, side, pattern[0], resource.text(side, pattern[1]))

    def made_arn(self, resource: PlannedResource, side: Side, pattern: str, name: str | Unknown | None) -> str | None:
        """Return an ARN from a pattern `service:region:account:rest` with the name in place of `{}`."""
        if not isinstance(name, str):
            return None
        region = resource.text(side, "region")
        region = region if isinstance(region, str) else self.region
        if ("{region}" in pattern and region is None) or ("{account}" in pattern and self.account is None):
            return None
        return f"arn:{self.partition}:" + pattern.format(name, region=region, account=self.account)

    # -- documents ----------------------------------------------------------------------------------------------------

    def document(
        self, resource: PlannedResource, side: Side, attribute: str, kind: PolicyKind, name: str, *, arn: str | None = None,
        about: Iterable[str] = (),
    ) -> StoredPolicy | None:  # fmt: skip
        """Return the document of an attribute, a placeholder if it is known after apply, or None if it is absent."""
        found = resource.value(side, attribute)
        if found is None:
            return None
        if isinstance(found, LocatedValue):
            return self.parsed(resource, found, attribute, kind, name, arn=arn)
        return self.unknown(resource, attribute, kind, name, arn=arn, about=about)

    def parsed(
        self,
        resource: PlannedResource,
        node: LocatedValue,
        attribute: str,
        kind: PolicyKind,
        name: str,
        *,
        arn: str | None = None,
    ) -> StoredPolicy:
        """Parse a document. Its source is the plan with the address, because a plan is one long line."""
        text = text_of_parsed(node.value) if isinstance(node.value, dict) else node.text()
        source = f"{node.source.name}#{resource.address}.{attribute}"
        return planned_policy(text, kind, name, source, arn=arn)

    def unknown(
        self, resource: PlannedResource, attribute: str, kind: PolicyKind, name: str, *, arn: str | None = None,
        about: Iterable[str] = (),
    ) -> StoredPolicy:  # fmt: skip
        """Return a placeholder, and report it."""
        key = unknown_key(resource.address, attribute)
        self.undecided(resource, f"`{attribute}` is known after apply", about, key)
        return placeholder(kind, key, name, arn=arn)


def _renamed(arn: str, what: str, name: str | Unknown | None, path: str | Unknown | None) -> str:
    """Return the ARN of an identity after it is renamed: a plan keeps the old ARN of a user or group that is renamed in place."""
    parts = split_arn(arn)
    if parts is None or not isinstance(name, str) or path is UNKNOWN:
        return arn
    old_path = "/" + parts.rest.partition("/")[2].rpartition("/")[0]
    own_path = path if isinstance(path, str) else old_path if old_path == "/" else f"{old_path}/"
    return str(parts._replace(rest=f"{what}{own_path}{name}"))
