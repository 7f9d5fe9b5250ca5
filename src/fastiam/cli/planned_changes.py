"""Both sides of a comparison on the command line: two sets of policies, or one set and a planned change of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from fastiam.cli.console import note
from fastiam.cli.options import Pair, chained, reading
from fastiam.cli.policy_sources import check_stdin, given_or_store, open_directory, open_engine

if TYPE_CHECKING:
    from fastiam.api.engine import Engine
    from fastiam.api.planned_changes import Undecided

_SHOWN = 10  # listed principals, and records
_SIDES = chained(
    click.option("--old", multiple=True, metavar="PATH", help="The old policies; may be repeated. Default: FASTIAM_STORE."),
    click.option("--new", multiple=True, metavar="PATH", help="The new policies; may be repeated."),
    click.option("--old-engine", metavar="FILE", help="In place of --old, an engine that `fastiam compile` wrote."),
    click.option("--new-engine", metavar="FILE", help="In place of --new, an engine that `fastiam compile` wrote."),
    click.option("--policies", multiple=True, metavar="PATH", help="The policies that a plan, template or file changes."),
    click.option("--terraform", multiple=True, metavar="FILE", help="A plan, as `terraform show -json` writes it."),
    click.option("--cloudformation", metavar="FILE", help="The new template of a stack."),
    click.option("--deployed", metavar="FILE", help="The template of the stack now. Default: nothing is removed."),
    click.option("--stack-resources", metavar="FILE", help="Output of `list-stack-resources`, with generated names."),
    click.option("--parameter", type=Pair(), multiple=True, metavar="NAME=VALUE", help="A parameter of the templates."),
    click.option("--replace", multiple=True, metavar="ARN=FILE", help="A policy, and the file of its new document."),
    click.option("--account", metavar="ID", help="The account of new resources. Default: as the plan or the policies show."),
    click.option("--region", metavar="REGION", help="The Region of new resources. Default: as the plan shows."),
    click.option(
        "--assume-references",
        is_flag=True,
        help="Take a value that is known after apply, and refers to one attribute, as this attribute unchanged.",
    ),
    reading,
)
_OF_CHANGES = ("terraform", "cloudformation", "replace")
_OF_TEMPLATES = ("deployed", "stack_resources", "parameter")
_NEED_CHANGE = ("account", "region", "assume_references", *_OF_TEMPLATES)


@dataclass(frozen=True)
class Sides:
    """The paths and options of a comparison. `paths` are all files that it reads, `unknown` the keys of unknown documents."""

    given: Mapping[str, Any]

    @property
    def is_planned(self) -> bool:
        """Whether the new side is a planned change."""
        return any(self.given[name] for name in _OF_CHANGES)

    @property
    def paths(self) -> list[str]:
        """The files that the comparison reads."""
        replaced = [path for _, path in self._replacements(frozenset())] if self.is_planned else []
        single = [self.given[name] for name in ("cloudformation", "deployed", "stack_resources") if self.given[name]]
        return [path for name in ("old", "new", "policies", "terraform") for path in self.given[name]] + single + replaced

    def open(self, unknown_owner: str | None) -> Compared:
        """Compile both sides. What is unknown about the change is printed."""
        if not self.is_planned:
            for name in ("policies", *_NEED_CHANGE):
                if self.given[name]:
                    raise click.UsageError(f"--{name.replace('_', '-')} needs --terraform, --cloudformation or --replace")
            return Compared(self._side("old", unknown_owner), self._side("new", unknown_owner))
        for name in ("old", "new", "old_engine", "new_engine"):
            if self.given[name]:
                raise click.UsageError(f"a planned change has both sides: give --policies in place of --{name.replace('_', '-')}")
        return self._planned(unknown_owner)

    def _side(self, side: str, unknown_owner: str | None) -> Engine:
        """The engine of one side, by default `FASTIAM_STORE` for the old one. A saved engine has its own `--unknown-owner`."""
        paths, saved = self.given[side], self.given[f"{side}_engine"]
        if saved is None and side == "old":
            paths = tuple(given_or_store(paths, "--old or --old-engine"))
        if (saved is None) == (not paths):
            raise click.UsageError(f"give either --{side} or --{side}-engine")
        return open_engine(paths, saved, unknown_owner=None if saved else unknown_owner, among=self.paths)

    def _planned(self, unknown_owner: str | None) -> Compared:
        from fastiam.api.planned_changes import read_change

        for name in _OF_TEMPLATES:
            if self.given[name] and not self.given["cloudformation"]:
                raise click.UsageError(f"--{name.replace('_', '-')} needs --cloudformation")
        directory = open_directory(given_or_store(self.given["policies"], "--policies"))
        found = read_change(
            directory,
            terraform=self.given["terraform"],
            cloudformation=self.given["cloudformation"],
            deployed=self.given["deployed"],
            stack_resources=self.given["stack_resources"],
            parameters=dict(self.given["parameter"]),
            replacements=dict(self._replacements(_targets(directory))),
            account=self.given["account"],
            region=self.given["region"],
            assume_references=self.given["assume_references"],
            unknown_owner=cast(Literal["principal", "deny"], unknown_owner or "principal"),
        )
        _print_list("these records differ from the state before the change, which is compared", found.differences)
        _print_list("assumed", found.assumed)
        undecided = tuple(replace(item, reason=getattr(item.reason, "cli", item.reason)) for item in found.undecided)
        return Compared(found.old, found.new, undecided, found.unknown)

    def _replacements(self, known: Collection[str]) -> list[tuple[str, str]]:
        """Split `ARN=FILE`. A name can contain `=`, so that a known ARN decides."""
        found = []
        for text in self.given["replace"]:
            parts = text.split("=")
            splits = [("=".join(parts[:n]), "=".join(parts[n:])) for n in range(1, len(parts))]
            if not splits or not all(splits[-1]):
                raise click.UsageError(f"--replace `{text}` is not of the form ARN=FILE")
            found.append(next((split for split in splits if split[0].partition("#")[0] in known), splits[0]))
        return found


@dataclass(frozen=True)
class Compared:
    """The engines of both sides. `undecided` is what a planned change does not say, `unknown` the condition keys of that."""

    old: Engine
    new: Engine
    undecided: tuple[Undecided, ...] = ()
    unknown: tuple[str, ...] = ()

    def undecided_lines(self) -> list[str]:
        """Return what a planned change does not say, with the principals that depend on it, one fact a line."""
        lines = []
        for item in self.undecided:
            place = f"{item.position}: " if item.position else ""
            lines.append(f"{place}undecided: `{item.address}`: {item.reason}")
            lines += [f"  {name}" for name in item.principals[:_SHOWN] or item.about]
            if len(item.principals) > _SHOWN:
                lines.append(f"  and {len(item.principals) - _SHOWN:,} more principals")
        return lines


def sides(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of both sides to a verb, which takes them as one `Sides`."""

    @wraps(function)
    def verb(**given: Any) -> Any:
        names = ("old", "new", "old_engine", "new_engine", "policies", *_OF_CHANGES, *_NEED_CHANGE)
        found = Sides({name: given.pop(name) for name in names})
        check_stdin(*found.paths)
        return function(sides=found, **given)

    return _SIDES(verb)


def _targets(directory: Any) -> Collection[str]:
    tables = directory.tables
    return {*tables.managed, *tables.entities, *tables.groups, *tables.resources}


def _print_list(title: str, lines: tuple[str, ...]) -> None:
    if lines:
        note(f"{title}:")
    for line in lines[:_SHOWN]:
        note(f"  {line}")
    if len(lines) > _SHOWN:
        note(f"  and {len(lines) - _SHOWN:,} more")
