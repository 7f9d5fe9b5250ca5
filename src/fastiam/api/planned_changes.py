"""Planned changes of a directory: Terraform plans, CloudFormation templates, and single policies that are replaced.

Their facts are written into one directory. Compiled before and after, it is the two sides that `fastiam.diff` compares.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from fastiam.api.directory import Directory
from fastiam.api.engine import Engine
from fastiam.errors import DirectoryError, SourceError
from fastiam.model.policy import PolicyKind
from fastiam.model.principal_layers import principal_layers
from fastiam.model.result import Result
from fastiam.policy.substitutes import NOT_READ
from fastiam.resolve.changes import changes_between
from fastiam.resolve.snapshot import Snapshot, UnknownOwner
from fastiam.sources.files import File, read_files
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.plans.cloudformation import StackSettings, read_template, read_templates
from fastiam.sources.plans.facts import UNKNOWN_KEYS, Change, UndecidedFact, keys_of, placeholder, unknown_key
from fastiam.sources.plans.key_changes import read_by
from fastiam.sources.plans.replacements import read_replacement
from fastiam.sources.plans.writing import FactWriter

if TYPE_CHECKING:
    from fastiam.analysis.proof.result import Proof

Path = str | os.PathLike[str] | File


@dataclass(frozen=True, slots=True)
class Undecided(Result):
    """A part of a change that is known only after it is applied, or that is not compared (H63).

    Attributes
    ----------
    address
        the resource in the plan or template, or the ARN of a policy without a document.
    reason
        what is unknown.
    position
        file, line and column.
    about
        the ARNs of the records that it changes, as far as they are known.
    principals
        the users and roles whose decisions depend on it. They are undecided.
    """

    address: str
    reason: str
    position: str = ""
    about: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A directory before and after a change, compiled.

    Attributes
    ----------
    old, new
        the engines. Pass `unknown=change.unknown` with requests, so that decisions that need an unknown document depend on it.
    undecided
        what the change does not say. A result without new access is certain only if it is empty.
    differences
        records that differ between the directory and the state before the change, which is used.
    assumed
        what was assumed about the configuration.
    """

    old: Engine
    new: Engine
    undecided: tuple[Undecided, ...]
    differences: tuple[str, ...]
    assumed: tuple[str, ...]

    unknown = (UNKNOWN_KEYS,)

    def no_new_access(self, **options: Any) -> Proof:
        """Prove that the change gives no principal new access; see `fastiam.no_new_access` for two engines and its options.

        The result is PROVED only if nothing is undecided, and NEW_ACCESS only if its request needs nothing that is unknown.
        """
        from fastiam.api.change_proofs import prove_change  # PERF: only a proof needs it

        return prove_change(self.old, self.new, self.undecided, self.unknown, **options)


def read_change(
    directory: Directory,
    *,
    terraform: Sequence[Path] = (),
    cloudformation: Path | None = None,
    deployed: Path | None = None,
    stack_resources: Path | None = None,
    parameters: Mapping[str, str] = {},
    replacements: Mapping[str, Path] = {},
    account: str | None = None,
    region: str | None = None,
    assume_references: bool = False,
    unknown_owner: UnknownOwner = "principal",
) -> PlannedChange:
    """Apply planned changes to a directory, and compile it before and after them.

    Parameters
    ----------
    directory
        the policies before the change. It is changed. An empty one has only what the plan contains.
    terraform
        plans, as `terraform show -json PLANFILE` writes them. These files, and all others here, are paths, or a `File` that was
        read before.
    cloudformation
        the new template of a stack, JSON or YAML. `deployed` is its template now; without it, nothing is removed.
    stack_resources
        output of `aws cloudformation list-stack-resources`, with the generated names of the stack.
    parameters
        values of the parameters of the templates. A parameter without a value is unknown.
    replacements
        the file of a new document by the ARN of what it replaces: a managed policy, a resource or role with its policy, or
        `ARN#NAME` for an inline policy.
    account, region
        of resources that a plan creates, if it does not show them.
    assume_references
        take an attribute that is known after apply, and refers to one attribute of another resource, as that attribute. A plan
        does not show functions and templates around a reference, so this is an assumption.
    unknown_owner
        as in `Directory.compile`.

    Raises
    ------
    SourceError
        a file is not a plan, or a replaced policy is not in the directory.
    PolicyError
        a proposed document cannot be read.
    """
    from fastiam.sources.plans.terraform import read_plan  # PERF: only plans need it

    changes = [
        read_plan(node, directory, account=account, region=region, assume_references=assume_references)
        for node in _nodes(terraform)
    ]
    if cloudformation is not None:
        settings = _settings(directory, account, region, parameters, stack_resources)
        changes.append(_template_change(cloudformation, deployed, settings))
    changes += [read_replacement(directory, target, path) for target, path in replacements.items()]
    try:
        return _applied(directory, changes, unknown_owner)
    except DirectoryError as error:
        files = [*terraform, *([] if cloudformation is None else [cloudformation]), *replacements.values()]
        names = (file.name if isinstance(file, File) else str(file) for file in files)
        raise SourceError(error.message, source=", ".join(names), path="", hint=error.hint) from None


def _nodes(paths: Sequence[Path]) -> Iterator[LocatedValue]:
    for file in read_files(paths):
        values = file.values({}) if not file.skipped else []
        if len(values) != 1:
            raise SourceError("the file is not one JSON object", source=file.name)
        yield values[0]


def _settings(
    directory: Directory, account: str | None, region: str | None, parameters: Mapping[str, str], stack_resources: Path | None
) -> StackSettings:
    accounts = list(directory.tables.accounts)
    account = account or (accounts[0] if len(accounts) == 1 else None)
    known = directory.tables.accounts.get(account or "")
    physical: dict[str, str] = {}
    for node in _nodes([stack_resources] if stack_resources is not None else []):
        listed = node.list_of("StackResourceSummaries") or node.need("StackResources").items()
        for item in listed:
            physical[item.need("LogicalResourceId").text()] = item.text_of("PhysicalResourceId") or ""
    physical = {name: id_ for name, id_ in physical.items() if id_}
    return StackSettings(account, region, known.partition if known else "aws", parameters, physical)


def _template_change(new: Path, deployed: Path | None, settings: StackSettings) -> Change:
    paths = [new] if deployed is None else [new, deployed]
    nodes = [read_template(file) for path in paths for file in read_files([path])]
    return read_templates(nodes[0], nodes[1] if len(nodes) > 1 else None, settings)


def _applied(directory: Directory, changes: Sequence[Change], unknown_owner: UnknownOwner) -> PlannedChange:
    found = [fact for change in changes for fact in change.undecided]
    writer = FactWriter(directory)
    with directory.transaction():
        for change in changes:
            writer.set(change.before, exclusive=False)
        found += _add_unknown_policies(directory)
    differences = tuple(writer.differences)
    old = directory.compile(unknown_owner=unknown_owner)
    with directory.transaction():
        for change in changes:
            found += writer.apply(change)
        found += _add_unknown_policies(directory)
    new = directory.compile(unknown_owner=unknown_owner)
    read = read_by(policy for engine in (old, new) for policy in engine.snapshot.policies())
    found += [fact for change in changes for fact, keys in change.of_keys if not keys.isdisjoint(read)]
    principals = _principals_by_key(new.snapshot)
    denying = _denying_documents(old.snapshot, new.snapshot)
    undecided = [
        Undecided(fact.address, fact.reason, fact.position, fact.about, principals.get(fact.key.lower(), ())) for fact in found
    ]
    undecided += denying
    assumed = chain.from_iterable(change.assumed for change in changes)
    return PlannedChange(old, new, tuple(dict.fromkeys(undecided)), differences, tuple(dict.fromkeys(assumed)))


def _add_unknown_policies(directory: Directory) -> list[UndecidedFact]:
    """Make attached policies without a document placeattachments, which otherwise deny everything (docs/sources.md).

    A plan that attaches such a policy would seem to remove access.
    """
    used: dict[str, None] = {}
    for group in directory.tables.groups.values():
        used |= dict.fromkeys(group.attached)
    for entity in directory.tables.entities.values():
        used |= dict.fromkeys(entity.attached)
        used |= dict.fromkeys(item for item in entity.boundary or () if isinstance(item, str))
    found = []
    for arn in used:
        if arn not in directory.tables.managed:
            key = unknown_key(arn, "document")
            directory.add_managed_policy(arn, placeholder(PolicyKind.IDENTITY, key, arn, arn=arn), unique_id=None)
            reason = "the policies do not contain the document of this attached policy"
            found.append(UndecidedFact(arn, reason, about=(arn,), key=key))
    return found


def _denying_documents(old: Snapshot, new: Snapshot) -> list[Undecided]:
    """Return the documents that count as ones that deny everything, with the changed principals that have them.

    Such a Deny hides what the change allows.
    """
    found: dict[str, dict[str, None]] = {}
    for name in sorted(changes_between(old, new).principals):
        for snapshot in (old, new):
            for policy in chain.from_iterable(chain.from_iterable(principal_layers(snapshot.principal(name)).values())):
                if any(statement.sid == NOT_READ and statement.undetermined for statement in policy.statements):
                    found.setdefault(policy.name or policy.arn or "", {})[name] = None
    reason = "its document is not known, and counts as one that denies everything"
    return [Undecided(policy, reason, principals=tuple(names)) for policy, names in found.items()]


def _principals_by_key(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Return the principals whose layers have a placeholder, by its key in lower case."""
    found: dict[str, dict[str, None]] = {}
    keys: dict[int, tuple[str, ...]] = {}
    kept = []
    for name, _ in snapshot.names():
        for levels in principal_layers(snapshot.principal(name)).values():
            for policy in chain.from_iterable(levels):
                if id(policy) not in keys:
                    keys[id(policy)] = tuple(keys_of(policy))
                    kept.append(policy)  # the reference keeps the id valid
                for key in keys[id(policy)]:
                    found.setdefault(key.lower(), {})[name] = None
    return {key: tuple(sorted(names)) for key, names in found.items()}


__all__ = ["PlannedChange", "Undecided", "read_change"]
