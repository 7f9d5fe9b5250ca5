"""A value in a file, with its place: what readers walk, so that every error and finding names file, line and path."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fastiam.account import AccountModel
from fastiam.account.documents import StoredPolicy, text_of
from fastiam.account.model import HERE
from fastiam.errors import DirectoryError, Finding, SourceError
from fastiam.language import JsonObject, JsonValue, Number, read_policy
from fastiam.model import PolicyKind
from fastiam.positions import Origin, Path, Source, json_path

Marks = dict[str, tuple[int, int]]  # line and column by path, of a YAML text


@dataclass(slots=True)  # PERF: not frozen, and the origin made when asked for: there is a node for every value
class Node:
    """A value and where it stands. `marks` holds the places of a YAML text and is None for JSON."""

    value: JsonValue
    source: Source
    steps: Path = ()
    marks: Marks | None = None

    @property
    def origin(self) -> Origin:
        """Source and path of the value."""
        return Origin(self.source, self.steps)

    @property
    def path(self) -> str:
        """The path in messages, `$.users[0].arn`."""
        return json_path(self.steps)

    def place(self) -> tuple[int, int]:
        """Line and column, 1-based; zeros where there are none."""
        if self.marks is not None:
            return self.marks.get(self.path, (0, 0))
        position = self.origin.position()
        return (position.line, position.column) if position is not None else (0, 0)

    def error(self, message: str, *, hint: str = "") -> SourceError:
        """An error about this value."""
        line, column = self.place()
        return SourceError(message, source=self.source.name, path=self.path, line=line, column=column, hint=hint)

    # -- walking ------------------------------------------------------------------------------------------------------

    def child(self, step: str | int, value: JsonValue) -> Node:
        """A value below this one."""
        return Node(value, self.source, (*self.steps, step), self.marks)

    def object(self, known: Sequence[str] | None = None) -> JsonObject:
        """The value as an object without double names; with `known`, of these names alone."""
        if not isinstance(self.value, JsonObject):
            raise self.error(f"expected an object, not {_type_name(self.value)}")
        if self.value.duplicates:
            raise self.error(f"`{self.value.duplicates[0]}` occurs twice in one object")
        for name in self.value if known is not None else ():
            if name not in (known or ()):
                close = difflib.get_close_matches(name, known or (), 1)
                hint = f"did you mean `{close[0]}`?" if close else "known are " + ", ".join(f"`{k}`" for k in known or ())
                raise self.child(name, self.value[name]).error(f"unknown name `{name}`", hint=hint)
        return self.value

    def get(self, name: str) -> Node | None:
        """The member of that name, or None; `null` counts as absent."""
        value = self.object().get(name)
        return None if value is None else self.child(name, value)

    def need(self, name: str) -> Node:
        """The member of that name."""
        found = self.get(name)
        if found is None:
            raise self.error(f"`{name}` is missing")
        return found

    def items(self) -> list[Node]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self.error(f"expected a list, not {_type_name(self.value)}")
        return [self.child(i, value) for i, value in enumerate(self.value)]

    def members(self) -> list[tuple[str, Node]]:
        """The members of an object."""
        return [(name, self.child(name, value)) for name, value in self.object().items()]

    def list_of(self, name: str) -> list[Node]:
        """The values of the list of that name; none where it is absent."""
        found = self.get(name)
        return [] if found is None else found.items()

    def text(self) -> str:
        """The value as text; in YAML an unquoted number is text too."""
        if not isinstance(self.value, str) or (isinstance(self.value, Number) and self.marks is None):
            raise self.error(f"expected text, not {_type_name(self.value)}")
        return str(self.value)

    def text_of(self, name: str) -> str | None:
        """The text of that name, or None."""
        found = self.get(name)
        return None if found is None else found.text()

    def flag_of(self, name: str) -> bool:
        """The truth value of that name; false where it is absent."""
        found = self.get(name)
        if found is None:
            return False
        if not isinstance(found.value, bool):
            raise found.error(f"expected true or false, not {_type_name(found.value)}")
        return found.value

    # -- handing over -------------------------------------------------------------------------------------------------

    def policy(self, model: AccountModel, kind: PolicyKind, name: str, *, arn: str | None = None) -> StoredPolicy:
        """The value as a policy document: an object, JSON text, or URL-encoded JSON text.

        Raises
        ------
        PolicyError: the document is rejected; its findings name file, line and path.
        """
        if not isinstance(self.value, (str, JsonObject)) or isinstance(self.value, Number):
            raise self.error(f"expected a policy document, not {_type_name(self.value)}")
        found: list[Finding] = []
        policy = read_policy(self.value, kind, mode=model.mode, name=name, arn=arn, origin=self.origin, findings=found)
        model.findings += found if self.marks is None else map(self._marked, found)
        try:
            return StoredPolicy(policy, text_of(self.value))
        except DirectoryError as error:
            raise self.error(error.message) from None

    def _marked(self, finding: Finding) -> Finding:
        """A finding inside a YAML text, or about a document that is text in it, with its place."""
        line, column = (self.marks or {}).get(finding.path) or self.place()
        return replace(finding, line=line, column=column)

    @contextmanager
    def writing(self, model: AccountModel, codes: str = "DIR") -> Iterator[None]:
        """A write of this value: what the model says about it gets its place, and `codes` in place of `DIR`."""
        first = len(model.findings)
        try:
            yield
        except DirectoryError as error:
            raise self.error(error.message, hint=error.hint) from None
        model.findings[first:] = [self._placed(finding, codes) for finding in model.findings[first:]]

    def _placed(self, finding: Finding, codes: str) -> Finding:
        if finding.source != HERE:
            return finding
        line, column = self.place()
        code = finding.code.replace("DIR-", f"{codes}-", 1)
        return replace(finding, code=code, source=self.source.name, path=self.path, line=line, column=column)


def _type_name(value: JsonValue) -> str:
    if isinstance(value, Number):
        return "a number"
    names = {str: "text", bool: "true or false", list: "a list", JsonObject: "an object"}
    return "null" if value is None else names[type(value)]
