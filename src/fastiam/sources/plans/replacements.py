"""One policy of a directory that is replaced by the document of a file."""

from __future__ import annotations

from os import PathLike

from fastiam.directory.account_model import AccountModel
from fastiam.directory.stored_policies import StoredPolicy
from fastiam.errors import SourceError, did_you_mean
from fastiam.model.policy import PolicyKind
from fastiam.sources.files import File, read_files
from fastiam.sources.plans.facts import Change, ResourceFacts, planned_policy


def read_replacement(directory: AccountModel, target: str, path: str | PathLike[str] | File) -> Change:
    """Return the change that replaces the policy `target` by the document in a file.

    `target` is the ARN of a managed policy, of a role (its trust policy), of a resource, or `ARN#NAME` of an inline policy.

    Raises
    ------
    SourceError
        the directory has no such policy.
    PolicyError
        the document cannot be read.
    """
    name, text = _text(path)
    tables, change = directory.tables, Change()
    owner, _, inline = target.partition("#")
    identity = tables.entities.get(owner) or tables.groups.get(owner)
    entity = tables.entities.get(target)

    def read(kind: PolicyKind, policy_name: str, arn: str | None = None) -> StoredPolicy:
        return planned_policy(text, kind, policy_name, name, arn=arn)

    if target in tables.managed:
        change.after.managed[target] = read(PolicyKind.IDENTITY, target, target)
    elif inline and identity is not None and any(stored.name == inline for stored in identity.inline):
        change.after.inline[owner, inline] = read(PolicyKind.IDENTITY, inline)
    elif entity is not None and ":role/" in target:
        change.after.trust[target] = read(PolicyKind.TRUST, target)
    elif target in tables.resources:
        change.after.resources[target] = ResourceFacts(None, read(PolicyKind.RESOURCE, target))
    else:
        known = (*tables.managed, *tables.resources, *(arn for arn, entity in tables.entities.items() if entity.trust))
        hint = (
            did_you_mean(target, known)
            or "name a managed policy, a role or a resource by its ARN, an inline policy by `ARN#NAME`"
        )
        raise SourceError(f"there is no policy `{target}` in the policies to replace", source=name, path="", hint=hint)
    return change


def _text(path: str | PathLike[str] | File) -> tuple[str, str]:
    (file,) = read_files([path])
    return file.name, file.data.decode("utf-8-sig", "surrogateescape")
