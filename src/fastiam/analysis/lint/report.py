"""The document that `lint` reads, with the paths of its entries, and the findings so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fastiam.analysis.lint.rules import LINT_RULES
from fastiam.errors import Finding, Severity
from fastiam.model.policy import ConditionEntry, Statement
from fastiam.model.source_map import Origin, Path
from fastiam.policy.conditions.operators import BY_FOLDED_NAME
from fastiam.policy.findings import located_finding, quote

_SHOWN = 3  # names in a message
_MAX_SUGGESTIONS = 50  # per document: similar names are costly to find, and readers need no more


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `Action`, `NotAction`, `Resource` or `NotResource`."""

    text: str
    path: Path


@dataclass(slots=True)
class Report:
    """The findings of one document.

    Attributes
    ----------
    origin
        the position of the document.
    sids
        the `Sid` of each statement, by the path of the statement.
    """

    origin: Origin
    sids: dict[Path, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _n_hints: int = _MAX_SUGGESTIONS

    def add(
        self, code: str, path: Path, message: str, hint: str = "", *, at_name: bool = False, severity: Severity | None = None
    ) -> None:
        """Record a finding about the value at `path`, or with `at_name` about its name."""
        chosen = severity or LINT_RULES[code].severity
        sid = self.sids.get(path[:2]) or self.sids.get(path[:1], "")
        self.findings.append(located_finding(self.origin.child(*path), code, chosen, message, hint, at_name, sid=sid))

    def did_you_mean(self, find: Callable[[], str]) -> str:
        """A hint with the result of a search for a similar name, or ""."""
        self._n_hints -= 1
        similar = find() if self._n_hints >= 0 else ""
        return f"did you mean `{similar}`?" if similar else ""


@dataclass(frozen=True, slots=True)
class WrittenStatement:
    """A statement with the object that it was read from, which determines the paths of its parts (spec G10)."""

    statement: Statement
    raw: Mapping[str, object]
    path: Path

    def entries(self, name: str, texts: tuple[str, ...] | None, inverted: bool) -> list[Entry]:
        """The entries of an element, or of its `Not` form, with their paths."""
        element = f"Not{name}" if inverted else name
        is_list = isinstance(self.raw.get(element), (list, tuple))
        path = (*self.path, element)
        return [Entry(text, (*path, i) if is_list else path) for i, text in enumerate(texts or ())]

    def condition_path(self, entry: ConditionEntry) -> tuple[Path, bool]:
        """The path of a condition key, and whether it has a list of values. The operator may be in another case (1.3)."""
        block = self.raw.get("Condition")
        for written, members in block.items() if isinstance(block, Mapping) else ():
            canonical = BY_FOLDED_NAME.get(str(written).lower(), written)
            if canonical == entry.operator_text and isinstance(members, Mapping) and entry.key in members:
                return (*self.path, "Condition", written, entry.key), isinstance(members[entry.key], (list, tuple))
        return (*self.path, "Condition"), False


def written_statements(raw: Mapping[str, object], statements: tuple[Statement, ...]) -> Iterator[WrittenStatement]:
    """The statements of a policy with the objects that they were read from. A substitute (V4) has none."""
    written = raw.get("Statement")
    items = written if isinstance(written, (list, tuple)) else ()
    for statement in statements:
        if isinstance(written, Mapping):
            yield WrittenStatement(statement, written, ("Statement",))
        elif statement.index < len(items):
            yield WrittenStatement(statement, items[statement.index], ("Statement", statement.index))


def shown(names: Sequence[str]) -> str:
    """The first names for a message, and the number of the others."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(quote, names[:_SHOWN])) + more
