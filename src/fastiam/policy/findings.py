"""The state of reading one document: its kind, and the findings so far.

Findings are recorded without positions; `Reading.findings` computes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fastiam.errors import Finding, Severity
from fastiam.model.policy import PolicyKind
from fastiam.model.request import shorten
from fastiam.model.source_map import Origin, Path, json_path, snippet_at
from fastiam.policy.validation_rules import RULES, severity_of

_MAX_SUGGESTIONS = 50  # per document: similar words are costly to find, and readers need no more
_MAX_WORD_SIZE = 60


class Problem(NamedTuple):
    """A defect of one text, independent of its position."""

    code: str
    message: str
    hint: str = ""


Problems = tuple[Problem, ...]


class _Found(NamedTuple):
    code: str
    severity: Severity
    path: Path
    message: str
    hint: str
    at_name: bool


class Reading:
    """The reading of one document: its kind, whether `${...}` is a variable in it (1.4), its findings.

    `undetermined` lists the rules that make every statement undetermined (V4 at the top level).
    """

    __slots__ = ("_found", "_suggestions", "has_error", "is_fatal", "kind", "origin", "sids", "undetermined", "variables")

    def __init__(self, kind: PolicyKind, origin: Origin) -> None:
        self.kind = kind
        self.origin = origin
        self.variables = False
        self.undetermined: tuple[str, ...] = ()
        self.sids: dict[Path, str] = {}  # by the path of the statement
        self.has_error = False
        self.is_fatal = False
        self._found: list[_Found] = []
        self._suggestions = _MAX_SUGGESTIONS

    def add(self, code: str, path: Path, message: str, hint: str = "", *, at_name: bool = False) -> None:
        """Record that the value at `path` (with `at_name`: its name) breaks a rule."""
        severity = severity_of(code, self.kind)
        self.has_error = self.has_error or severity is Severity.ERROR
        self.is_fatal = self.is_fatal or RULES[code].fatal
        self._found.append(_Found(code, severity, path, message, hint, at_name))

    def add_all(self, problems: Iterable[Problem], path: Path, *, at_name: bool = False) -> None:
        """Record all problems of the text at `path`."""
        for problem in problems:
            self.add(problem.code, path, problem.message, problem.hint, at_name=at_name)

    def did_you_mean(self, word: str, known: Iterable[str]) -> str:
        """A hint with the most similar known word, or ""."""
        if self._suggestions <= 0 or len(word) > _MAX_WORD_SIZE:
            return ""
        from difflib import get_close_matches  # PERF: most documents do not need it

        self._suggestions -= 1
        by_fold = {name.lower(): name for name in known}
        similar = get_close_matches(word.lower(), by_fold, n=1, cutoff=0.7)
        return f"did you mean `{by_fold[similar[0]]}`?" if similar else ""

    def findings(self) -> list[Finding]:
        """All findings in the order of reading, with positions."""
        return [self._locate(found) for found in self._found]

    def _locate(self, found: _Found) -> Finding:
        origin = self.origin.child(*found.path)
        sid = self.sids.get(found.path[:2]) or self.sids.get(found.path[:1], "")
        more = (RULES[found.code].fatal, sid)
        return located_finding(origin, found.code, found.severity, found.message, found.hint, found.at_name, *more)


def located_finding(
    origin: Origin,
    code: str,
    severity: Severity,
    message: str,
    hint: str = "",
    at_name: bool = False,
    fatal: bool = False,
    sid: str = "",
) -> Finding:
    """Return a finding about a value, or with `at_name` about its name, with its position if the source is text."""
    position = origin.position(name=at_name)
    parts = (code, severity, message, origin.source.name, json_path(origin.path))
    if position is None or origin.source.text is None:
        return Finding(*parts, hint=hint, fatal=fatal, sid=sid)
    snippet, column = snippet_at(origin.source.text, position)
    place = (position.line, position.column)
    return Finding(*parts, *place, hint, fatal, snippet, position.end - position.start, column, sid)


def quote(text: str) -> str:
    """A text of the document for messages: cut, escaped, in backticks."""
    return f"`{shorten(text)}`"
