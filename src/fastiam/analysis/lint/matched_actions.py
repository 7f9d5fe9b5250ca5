"""Patterns of actions over AWS's data: the actions that an entry matches, and entries that match none (L1 to L3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fastiam.analysis.lint.report import Entry, Report
from fastiam.aws_data.catalog import Action, AwsData
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.findings import quote
from fastiam.policy.variables import START
from fastiam.policy.wildcards import glob, matches_everything

_CUTOFF = 0.85  # similarity of a suggested name
_MAX_WORD = 60  # characters of a name that is compared with all names of a service


@dataclass(frozen=True, slots=True, eq=False)
class ActionSet:
    """The actions that one pattern matches.

    Attributes
    ----------
    services
        the prefixes of the services that the pattern can match.
    names
        the names of the actions.
    arns
        the ARNs of the resource types of the actions, with variables.
    is_all
        the pattern is `*`; the other attributes are empty.
    """

    pattern: str
    services: tuple[str, ...]
    actions: tuple[Action, ...]
    names: frozenset[str]
    arns: frozenset[str]
    is_all: bool = False

    def allows(self, action: str) -> bool:
        """Whether the pattern matches an action, by its name as AWS spells it."""
        return self.is_all or action in self.names

    def of_level(self, level: str) -> list[str]:
        """The names of the actions of an access level."""
        return [action.name for action in self.actions if level in action.level]


def is_pattern(text: str) -> bool:
    """Whether a text has a wildcard."""
    return "*" in text or "?" in text


def nearest_name(word: str, names: Iterable[str]) -> str:
    """The most similar name, or "" if none is similar."""
    from difflib import get_close_matches  # PERF: most documents do not need it

    found = get_close_matches(word, sorted(names), 1, _CUTOFF) if len(word) <= _MAX_WORD else []
    return found[0] if found else ""


class ActionIndex:
    """The actions of AWS's data by pattern."""

    def __init__(self, data: AwsData) -> None:
        self.data = data
        self.matched = lru_cache(maxsize=1 << 14)(self._matched)
        self.similar = lru_cache(maxsize=4096)(self._similar)

    def _matched(self, pattern: str) -> ActionSet | None:
        """Return the actions of a pattern; None for a malformed one (V24), or one with a variable (V28)."""
        if matches_everything(pattern):
            return ActionSet(pattern, (), (), frozenset(), frozenset(), is_all=True)
        parts = split_action_pattern(pattern)
        if parts is None or START in pattern:
            return None
        prefix, name = parts[0].lower(), parts[1].lower()
        services = tuple(self._services(prefix))
        actions = tuple(action for service in services for action in self._actions(service, name))
        names = frozenset(action.name for action in actions)
        return ActionSet(pattern, services, actions, names, frozenset(kind.arn for action in actions for kind in action.types))

    def _services(self, prefix: str) -> Iterable[str]:
        if is_pattern(prefix):
            return sorted(filter(glob(prefix).fullmatch, self.data.prefixes))
        return (prefix,) if prefix in self.data.prefixes else ()

    def _actions(self, service: str, name: str) -> Iterable[Action]:
        actions = self.data.service(service).actions
        if is_pattern(name):
            head = name.rstrip("*")  # PERF: most patterns are a prefix, which needs no regular expression
            matches = glob(name).fullmatch if is_pattern(head) else lambda key: key.startswith(head)
            return (action for key, action in actions.items() if matches(key))
        return (actions[name],) if name in actions else ()

    def _similar(self, word: str, service: str) -> str:
        """Return the most similar action of a service, or "" if none is similar."""
        actions = self.data.service(service).actions
        found = nearest_name(word, actions)
        return actions[found].name if found else ""


Actions = Sequence[tuple[Entry, ActionSet]]  # the entries of a statement that match an action


@lru_cache(maxsize=2)
def action_index(data: AwsData) -> ActionIndex:
    """Return the index of the data, which keeps what it has matched."""
    return ActionIndex(data)


def check_actions(entries: Iterable[Entry], inverted: bool, index: ActionIndex, report: Report) -> Actions:
    """Report entries of `Action` or `NotAction` that match no action (L1 to L3); return the others with their actions."""
    found = []
    for entry in entries:
        matched = index.matched(entry.text)
        if matched is None:
            continue
        if matched.is_all or matched.actions:
            found.append((entry, matched))
        else:
            _report_unknown(entry, matched, inverted, index, report)
    return found


def _report_unknown(entry: Entry, matched: ActionSet, inverted: bool, index: ActionIndex, report: Report) -> None:
    prefix, _, name = entry.text.partition(":")
    if not matched.services:
        message = f"AWS has no service with the prefix {quote(prefix)}"
        report.add("L1", entry.path, message, report.did_you_mean(lambda: nearest_name(prefix.lower(), index.data.prefixes)))
    elif not is_pattern(entry.text):
        hint = report.did_you_mean(lambda: index.similar(name.lower(), matched.services[0]))
        report.add("L2", entry.path, f"AWS has no action {quote(entry.text)}", hint)
    elif not inverted:
        report.add("L3", entry.path, f"{quote(entry.text)} matches no action of AWS")
