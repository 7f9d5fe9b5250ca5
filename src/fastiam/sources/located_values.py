"""A value in a file with its position. Readers use it, so that each error and finding has file, line and path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fastiam.directory.account_model import AccountModel
from fastiam.directory.aws_policies import aws_policy
from fastiam.directory.stored_policies import (
    StoredPolicy,
    denying_policy,
    is_managed_arn,
    not_read_message,
    text_of,
    text_of_parsed,
    why_substituted,
)
from fastiam.directory.writes.base import HERE
from fastiam.errors import DirectoryError, Finding, PolicyError, Severity, SourceError, did_you_mean
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten
from fastiam.model.source_map import Origin, Path, Source, json_path
from fastiam.policy.document import read_policy
from fastiam.policy.json_text import JsonObject, JsonValue, Number

Positions = dict[str, tuple[int, int]]  # line and column by path, of a YAML text


_MAX_DIGITS = 18  # of an integer of 64 bits

ParsedPolicies = dict[tuple[PolicyKind, str], StoredPolicy]


@dataclass(slots=True)
class SourceFile:
    """The file of a value. `marks` are the positions in a YAML text, None for JSON.

    `policies` are the documents that were already read, by kind and text, shared by all files of a call. `broken` is why a file
    with one document cannot be read, or "".
    """

    source: Source
    marks: Positions | None = None
    policies: ParsedPolicies = field(default_factory=dict)
    broken: str = ""


@dataclass(slots=True)  # PERF: not frozen, and the origin is built on demand: each value of a file has an object
class LocatedValue:
    """A value and its position in a file."""

    value: JsonValue
    file: SourceFile
    steps: Path = ()

    @property
    def source(self) -> Source:
        """The file of the value."""
        return self.file.source

    @property
    def origin(self) -> Origin:
        """The source and path of the value."""
        return Origin(self.file.source, self.steps)

    @property
    def path(self) -> str:
        """The path in messages, `$.users[0].arn`."""
        return json_path(self.steps)

    def place(self) -> tuple[int, int]:
        """Return line and column, 1-based; zeros if they are unknown."""
        if self.file.marks is not None:
            return self.file.marks.get(self.path, (0, 0))
        position = self.origin.position()
        return (position.line, position.column) if position is not None else (0, 0)

    def error(self, message: str, *, hint: str = "") -> SourceError:
        """Return an error with the position of this value."""
        line, column = self.place()
        return SourceError(message, source=self.source.name, path=self.path, line=line, column=column, hint=hint)

    def note(self, model: AccountModel, code: str, message: str, *, severity: Severity = Severity.ERROR, hint: str = "") -> None:
        """Add a finding with the position of this value. In mode strict, severity ERROR raises an error."""
        if model.mode == "strict" and severity is Severity.ERROR:
            raise self.error(f"{message} [{code}]", hint=hint)
        line, column = self.place()
        model.notes.append(Finding(code, severity, message, self.source.name, self.path, line, column, hint))

    # -- walking ------------------------------------------------------------------------------------------------------

    def child(self, step: str | int, value: JsonValue) -> LocatedValue:
        """Return a value inside this one."""
        return LocatedValue(value, self.file, (*self.steps, step))

    def object(self, known: Sequence[str] | None = None) -> dict[str, JsonValue]:
        """Return the value as an object without duplicate names; with `known`, with these names only."""
        value = self.value
        if not isinstance(value, dict):
            raise self.error(f"expected an object, not {_type_name(value)}")
        if isinstance(value, JsonObject) and value.duplicates:
            raise self.error(f"`{value.duplicates[0]}` occurs twice in one object")
        for name in value if known else ():
            if known and name not in known:
                hint = did_you_mean(name, known) or "known names are " + ", ".join(f"`{k}`" for k in known)
                raise self.child(name, value[name]).error(f"unknown name `{name}`", hint=hint)
        return value

    def get(self, name: str) -> LocatedValue | None:
        """Return a member, or None if it is absent or `null`."""
        members = self.value
        value = (members if type(members) is dict else self.object()).get(name)  # PERF: nearly all are plain
        return None if value is None else LocatedValue(value, self.file, (*self.steps, name))

    def document(self, name: str) -> LocatedValue:
        """Return a member that is a document. A missing or `null` document is reported when it is read."""
        return self.child(name, self.object().get(name))

    def need(self, name: str) -> LocatedValue:
        """Return a member that must exist."""
        found = self.get(name)
        if found is None:
            raise self.error(f"`{name}` is missing")
        return found

    def items(self) -> list[LocatedValue]:
        """Return the values of a list."""
        if not isinstance(self.value, list):
            raise self.error(f"expected a list, not {_type_name(self.value)}")
        return [LocatedValue(value, self.file, (*self.steps, i)) for i, value in enumerate(self.value)]

    def members(self) -> list[tuple[str, LocatedValue]]:
        """Return the members of an object."""
        return [(name, self.child(name, value)) for name, value in self.object().items()]

    def list_of(self, name: str) -> list[LocatedValue]:
        """Return the values of a list member, or no values if it is absent."""
        found = self.get(name)
        return [] if found is None else found.items()

    def text(self) -> str:
        """Return the value as text; in YAML an unquoted number is also text."""
        if not isinstance(self.value, str) or (isinstance(self.value, Number) and self.file.marks is None):
            raise self.error(f"expected text, not {_type_name(self.value)}")
        return str(self.value)

    def arn(self) -> str:
        """Return the value as an ARN."""
        text = self.text()
        if not is_managed_arn(text):
            raise self.error(f"`{shorten(text)}` is not an ARN")
        return text

    def text_of(self, name: str) -> str | None:
        """Return the text of a member, or None."""
        found = self.get(name)
        return None if found is None else found.text()

    def instant(self) -> datetime:
        """Return the value as a time, ISO 8601 with a time zone."""
        try:
            instant = datetime.fromisoformat(self.text())
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            raise self.error("expected an instant", hint="use `2026-01-31T12:00:00+00:00`")
        return instant

    def flag(self) -> bool:
        """Return the value as a boolean."""
        if not isinstance(self.value, bool):
            raise self.error(f"expected true or false, not {_type_name(self.value)}")
        return self.value

    def flag_of(self, name: str) -> bool:
        """Return the boolean of a member, False if it is absent."""
        found = self.get(name)
        return False if found is None else found.flag()

    def whole(self) -> int:
        """Return the value as a whole number."""
        if not isinstance(self.value, Number) or not self.value.isdigit():
            raise self.error(f"expected a whole number, not {_type_name(self.value)}")
        if len(self.value) > _MAX_DIGITS:
            raise self.error(f"a whole number has at most {_MAX_DIGITS} digits, not {len(self.value):,}")
        return int(self.value)

    def whole_of(self, name: str, default: int) -> int:
        """Return the whole number of a member."""
        found = self.get(name)
        return default if found is None else found.whole()

    # -- policies and writes ------------------------------------------------------------------------------------------

    def policy(self, model: AccountModel, kind: PolicyKind, name: str, *, arn: str | None = None) -> StoredPolicy:
        """Return the value as a policy document: an object, JSON text, or URL-encoded JSON text.

        In mode lenient a document that cannot be read is a finding, and denies everything that it could deny.

        Raises
        ------
        PolicyError, SourceError
            in mode strict, the document is rejected; the error names file, line and path.
        """
        if self.file.broken:
            return self.unreadable(model, kind, name, self.file.broken, arn=arn)
        if not isinstance(self.value, (str, dict)) or isinstance(self.value, Number):
            return self.unreadable(model, kind, name, f"expected a policy document, not {_type_name(self.value)}", arn=arn)
        try:
            text = self.value if isinstance(self.value, str) else text_of_parsed(self.value)
        except DirectoryError as error:
            return self.unreadable(model, kind, name, error.message, arn=arn)
        known = self.file.policies.get((kind, text))
        if known is not None and not _has_duplicates(self.value):
            return StoredPolicy(replace(known.policy, name=name, arn=arn, origin=self.origin), known.text)
        return self._read_policy(model, kind, text, name, arn)

    def unreadable(self, model: AccountModel, kind: PolicyKind, name: str, why: str, *, arn: str | None = None) -> StoredPolicy:
        """Return the substitute for a document that cannot be read, and add a finding; in mode strict, raise an error."""
        self.note(model, "POLICY-NOT-READ", not_read_message(name, why), hint="correct the document, and load it again")
        return denying_policy(kind, name, why, arn=arn, origin=self.origin)

    def add_missing(self, model: AccountModel, arn: str, version: str, code: str, message: str, *, hint: str = "") -> None:
        """Add a managed policy without its default version: a finding, and a substitute that denies everything.

        If the package ships just this version of an AWS managed policy, that is its document.
        """
        of_aws = aws_policy(arn)
        if of_aws is not None and of_aws.default == version:
            with self.writing(model):
                model.add_managed_policy(arn, versions=of_aws.versions, default_version=version, unique_id=of_aws.unique_id)
            return
        self.note(model, code, f"{message}: it counts as one that denies everything", hint=hint)
        document = denying_policy(PolicyKind.IDENTITY, arn, "its document is missing", arn=arn, origin=self.origin)
        with self.writing(model):
            model.add_managed_policy(arn, versions={version: document}, default_version=version, unique_id=None)

    def _read_policy(self, model: AccountModel, kind: PolicyKind, text: str, name: str, arn: str | None) -> StoredPolicy:
        """Read a new document. A document with findings is not cached, because findings have positions."""
        found: list[Finding] = []
        value: Any = self.value
        try:
            policy = read_policy(value, kind, mode=model.mode, name=name, arn=arn, origin=self.origin, findings=found, text=text)
        except PolicyError as error:
            if model.mode == "strict":
                raise
            self._add(model, found)
            first = error.findings[0]
            return self.unreadable(model, kind, name, f"{first.message} [{first.code}]", arn=arn)
        self._add(model, found)
        why = why_substituted(policy, found)
        if why is not None:
            return self.unreadable(model, kind, name, f"{why.message} [{why.code}]", arn=arn)
        stored = StoredPolicy(policy, text if text is not value else text_of(text))
        if not found:
            self.file.policies[kind, text] = stored
        return stored

    def _add(self, model: AccountModel, found: list[Finding]) -> None:
        model.notes += found if self.file.marks is None else map(self._marked, found)

    def _marked(self, finding: Finding) -> Finding:
        """Return a finding inside a YAML text, or for a document in it, with its position."""
        line, column = (self.file.marks or {}).get(finding.path) or self.place()
        return replace(finding, line=line, column=column)

    @contextmanager
    def writing(self, model: AccountModel, codes: str = "DIR") -> Iterator[None]:
        """Write this value: errors and findings of the model get its position, and `codes` instead of `DIR`."""
        first = len(model.notes)
        try:
            yield
        except DirectoryError as error:
            raise self.error(error.message, hint=error.hint) from None
        model.notes[first:] = [self._placed(finding, codes) for finding in model.notes[first:]]

    def _placed(self, finding: Finding, codes: str) -> Finding:
        if finding.source != HERE:
            return finding
        line, column = self.place()
        code = finding.code.replace("DIR-", f"{codes}-", 1)
        return replace(finding, code=code, source=self.source.name, path=self.path, line=line, column=column)


def _has_duplicates(value: JsonValue) -> bool:
    """Whether a name occurs twice in one object, which the text of a value does not show."""
    if isinstance(value, dict):
        return bool(getattr(value, "duplicates", ())) or any(map(_has_duplicates, value.values()))
    return isinstance(value, list) and any(map(_has_duplicates, value))


def _type_name(value: JsonValue) -> str:
    if isinstance(value, Number):
        return "a number"
    names = {str: "text", bool: "true or false", list: "a list", dict: "an object", JsonObject: "an object"}
    return "null" if value is None else names[type(value)]
