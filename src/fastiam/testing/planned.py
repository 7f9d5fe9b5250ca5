"""The planned change that a test file names: its tests are about the state after it (`change` of docs/test-files.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from fastiam.model.decision import Decision, Outcome
from fastiam.model.key_registry import fold
from fastiam.sources.files import File
from fastiam.sources.located_values import LocatedValue
from fastiam.testing.file_paths import file_inside, path_inside
from fastiam.testing.file_values import Variables

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.api.planned_changes import PlannedChange, Undecided

AFTER_APPLY = "known after apply"  # in `depends_on`, for what a plan does not say
_SINGLE = ("cloudformation", "deployed", "stack_resources")
_SHOWN = 10  # records in a warning


@dataclass(frozen=True, slots=True)
class Planned:
    """A change that was applied to policies.

    Attributes
    ----------
    change
        both sides, compiled.
    is_sensitive
        the plan marks a document as sensitive: statements are not shown (T42).
    open
        what is undecided without a placeholder in a policy, so that no decision shows it.
    """

    change: PlannedChange
    is_sensitive: bool
    open: tuple[Undecided, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The condition keys of what is known after apply, for each request."""
        return self.change.unknown

    def decided(self, decision: Decision, principal: str, resource: str) -> Decision:
        """Return a decision, DEPENDS if what is undecided is about the principal or the resource."""
        about = (record for item in self.open for record in item.about)
        if any(
            record == principal or resource == record or resource.startswith((f"{record}/", f"{record}:")) for record in about
        ):
            return replace(decision, outcome=Outcome.DEPENDS, depends_on=(*decision.depends_on, AFTER_APPLY))
        return decision

    def depends_on(self, decision: Decision) -> frozenset[str]:
        """Return what a decision depends on, folded; all that is known after apply has one name."""
        return frozenset(AFTER_APPLY if _is_of_plan(key) else key.lower() for key in decision.depends_on)

    def places(self, decision: Decision) -> list[str]:
        """Return the parts of the plan that a decision depends on, a line each."""
        found = [item for item in self.change.undecided if any(map(_key_of(item), decision.depends_on))]
        return [_line(item) for item in (*found, *(self.open if AFTER_APPLY in decision.depends_on else ()))]

    def warnings(self) -> Iterator[str]:
        """Yield what tests of this change cannot see, and what was assumed."""
        for item in self.open:
            yield f"undecided: {_line(item)}"
        for text in self.change.assumed:
            yield f"assumed: {text}"
        differences = self.change.differences
        if differences:
            more = f" and {len(differences) - _SHOWN:,} more" if len(differences) > _SHOWN else ""
            shown = ", ".join(differences[:_SHOWN])
            yield f"these records differ from the state before the change, which is used: {shown}{more}"


def apply_change(
    given: LocatedValue, directory: Directory, *, root: Path, folder: Path, variables: Variables, unknown_owner: str
) -> Planned:
    """Apply the value of `change` to a directory.

    Parameters
    ----------
    given
        the value, whose keys are known.
    directory
        the policies before the change; it is changed.
    root, folder
        as for other paths of a test file.

    Raises
    ------
    SourceError
        a file is refused, or is not what its key says.
    PolicyError
        a document of the change is rejected.
    """
    from fastiam.api.planned_changes import read_change
    from fastiam.sources.plans.facts import keys_of

    members = dict(given.members())

    def file(value: LocatedValue) -> File:
        text = variables.text(value)
        return file_inside(root, path_inside(root, folder, value, text), value, text, text)

    def texts(name: str) -> dict[str, LocatedValue]:
        return {variables.text(members[name].child(key, key)): value for key, value in members[name].members()}

    plans = members.get("terraform")
    named = [] if plans is None else plans.items() if isinstance(plans.value, list) else [plans]
    terraform = [file(value) for value in named]
    options: dict[str, Any] = {name: file(members[name]) for name in _SINGLE if name in members}
    options |= {name: variables.text(members[name]) for name in ("account", "region") if name in members}
    if "parameters" in members:
        options["parameters"] = {name: variables.text(value) for name, value in texts("parameters").items()}
    if "replace" in members:
        options["replacements"] = {arn: file(value) for arn, value in texts("replace").items()}
    if "assume_references" in members:
        options["assume_references"] = members["assume_references"].flag()
    owner = cast(Literal["principal", "deny"], unknown_owner)
    change = read_change(directory, terraform=terraform, unknown_owner=owner, **options)
    keys = {key for policy in change.new.snapshot.policies() for key in keys_of(policy)}
    is_open = (item for item in change.undecided if not any(map(_key_of(item), keys)))
    return Planned(change, any(map(_has_sensitive_document, terraform)), tuple(is_open))


def _is_of_plan(key: str) -> bool:
    from fastiam.sources.plans.facts import UNKNOWN_PREFIX

    return key.startswith(UNKNOWN_PREFIX)


def _key_of(item: Undecided) -> Callable[[str], bool]:
    """Return a test whether a condition key stands for an attribute of an undecided resource."""
    from fastiam.sources.plans.facts import unknown_key

    prefix = fold(unknown_key(item.address, ""))
    return lambda key: fold(key).startswith(prefix)


def _line(item: Undecided) -> str:
    place = f"{item.position}: " if item.position else ""
    return f"{place}`{item.address}`: {item.reason}"


def _has_sensitive_document(plan: File) -> bool:
    """Whether Terraform marks a text that begins like a JSON document as sensitive."""
    (node,) = plan.values({})
    content: Any = node.value
    changes = content.get("resource_changes") if isinstance(content, dict) else None
    for item in changes if isinstance(changes, list) else ():
        change = item.get("change") if isinstance(item, dict) else None
        if isinstance(change, dict) and any(
            _is_document_marked(change.get(side), change.get(f"{side}_sensitive")) for side in ("before", "after")
        ):
            return True
    return False


def _is_document_marked(value: Any, marks: Any) -> bool:
    if marks is True:
        return _has_document(value)
    if isinstance(value, Mapping) and isinstance(marks, Mapping):
        return any(_is_document_marked(value.get(name), mark) for name, mark in marks.items())
    if isinstance(value, Sequence) and isinstance(marks, list) and not isinstance(value, str):
        return any(_is_document_marked(*pair) for pair in zip(value, marks, strict=False))
    return False


def _has_document(value: Any) -> bool:
    if isinstance(value, str):
        return value.lstrip().startswith("{")
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(map(_has_document, items))
