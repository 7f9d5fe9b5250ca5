"""Options that several verbs share, and the types of their values."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from fastiam.cli.console import note
from fastiam.cli.file_arguments import read_bytes
from fastiam.errors import did_you_mean
from fastiam.model.key_registry import fold

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_FILES = "fastiam.files"  # in the context of a verb
_Verb = TypeVar("_Verb", bound=Callable[..., Any] | click.Command)


class Instant(click.ParamType[datetime]):
    """An ISO 8601 instant with its zone."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"`{value}` is not an instant; write `2026-11-25T09:00:00Z`", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"`{value}` has no time zone; add `Z` for UTC", param, ctx)
        return instant


class Pair(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`; the value may contain equals signs and may be empty. So may the key, if `nameless`."""

    name = "key=value"

    def __init__(self, *, nameless: bool = False) -> None:
        self.nameless = nameless

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not (key or self.nameless):
            self.fail(f"`{value}` is not of the form KEY=VALUE", param, ctx)
        return key, text


class FileArn(click.ParamType[tuple[str, str]]):
    """`FILE=ARN`. Both may contain equals signs."""

    name = "file=arn"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        file, equals, arn = value.partition("=arn:")
        if not equals or not file:
            self.fail(f"`{value}` is not of the form FILE=ARN", param, ctx)
        return file, f"arn:{arn}"


def once(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> str | None:
    """The value of an option that a verb takes once; a second one would replace a document."""
    if len(value) > 1:
        raise click.BadParameter("it is given twice", ctx, param)
    return value[0] if value else None


def note_file(ctx: click.Context, param: click.Parameter, file: str | None) -> str | None:
    """Note a file that a verb reads: `noted_files` has those that its output does not replace."""
    if file is not None:
        ctx.meta.setdefault(_FILES, []).append(file)
    return file


def read_file(ctx: click.Context, param: click.Parameter, file: str | None) -> bytes | None:
    """The content of a file. Files are read while options are, so that no store is open for writing meanwhile."""
    return None if note_file(ctx, param, file) is None else read_bytes(str(file))


def noted_files() -> list[str]:
    """The files that the options of this verb name."""
    files: list[str] = click.get_current_context().meta.get(_FILES, [])
    return files


def as_dict(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """The value of an option of `Pair` that may be repeated."""
    return dict(pairs)


def pairs(flag: str, name: str, *, metavar: str = "KEY=VALUE", help: str) -> Decorator:
    """An option that may be repeated, whose value is a mapping."""
    return click.option(flag, name, type=Pair(), multiple=True, metavar=metavar, callback=as_dict, help=help)


def context_of(pairs: tuple[tuple[str, str], ...], absent: Sequence[str] = ()) -> Mapping[str, Any]:
    """The context of the options: a key that occurs once has a text, one that occurs several times a list, an absent one None.

    Keys of `--context-file` and `--profile` are among them: an option replaces their values, and the first those of the second.
    """
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    given: dict[str, Any] = {key: values if len(values) > 1 else values[0] for key, values in found.items()}
    given |= dict.fromkeys(absent)
    for others in (_context_file(), _profile_context()):
        names = set(map(fold, given))
        given = {key: value for key, value in others.items() if fold(key) not in names} | given
    return given


def _profile_context() -> dict[str, Any]:
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta.get(READING, {}).get("profile_context", {})


def _profile(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    """Take defaults of options, and context keys, from a TOML file. A folder is never searched for one (G189)."""
    if path is None:
        return
    try:
        given = tomllib.loads(read_bytes(path).decode())
    except ValueError as error:
        raise click.UsageError(f"--profile {path}: not TOML: {error}") from error
    context = given.pop("context", {})
    if not isinstance(context, dict):
        raise click.UsageError(f"--profile {path}: `context` is a table of keys and values")
    ctx.meta.setdefault(READING, {})["profile_context"] = context
    own = _long_options(ctx.command)
    for name in given.keys() - own.keys():
        known = _options_of_others(ctx)
        if name not in known:
            hint = did_you_mean(name, known)
            raise click.UsageError(f"--profile {path}: no verb has the option `--{name}`" + (f"\nhelp: {hint}" if hint else ""))
    ctx.default_map = {own[name]: value for name, value in given.items() if name in own}


def _long_options(command: click.Command) -> dict[str, str]:
    """The options that a profile may give a default, and the names of their parameters."""
    names = ((opt.removeprefix("--"), param.name) for param in command.params for opt in param.opts if opt.startswith("--"))
    return {opt: name for opt, name in names if name and opt not in ("profile", "context", "debug")}


def _options_of_others(ctx: click.Context) -> set[str]:
    """The options of all verbs that take a profile."""
    group = ctx.parent.command if ctx.parent is not None else None
    verbs = [group.get_command(ctx, name) for name in group.list_commands(ctx)] if isinstance(group, click.Group) else []
    return {
        option
        for verb in verbs
        if verb is not None and any("--profile" in param.opts for param in verb.params)
        for option in _long_options(verb)
    }


def _context_file() -> dict[str, Any]:
    """The keys of `--context-file`: a JSON object; null is absent."""
    context = click.get_current_context(silent=True)
    path = None if context is None else context.meta.get(READING, {}).get("context_file")
    if path is None:
        return {}
    try:
        found = json.loads(read_bytes(path))
    except ValueError as error:
        raise click.UsageError(f"--context-file {path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"--context-file {path}: write one object of keys and values")
    return found


def note_more(n: int) -> None:
    """Print how many more rows a result without unknown keys would have with them."""
    if n:
        note(f"{n} more where keys that are not given have other values: `--unknown '*'` lists them as DEPENDS")


def owner_cell(row: Any) -> str:
    """The cell of a table that says whether the owner of the resource is assumed."""
    return "assumed" if row.assumed_owner else ""


def chained(*options: Decorator) -> Decorator:
    """One decorator that adds several options, in this order."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep how files are read: `policy_sources` uses it for all paths of a verb."""
    ctx.meta.setdefault(READING, {})[param.name] = value


READING = "fastiam.reading"
reading = chained(
    click.option(
        "--resource-of",
        type=FileArn(),
        multiple=True,
        metavar="FILE=ARN",
        expose_value=False,
        callback=_keep,
        help="The resource, role, user, group or managed policy that has the policy in a file. May be repeated.",
    ),
    click.option(
        "--skip-unknown",
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Skip files of policies that are not understood, although they may contain a Deny.",
    ),
)
policies = chained(
    click.option(
        "--policies",
        multiple=True,
        metavar="PATH",
        help="The policies: account exports, fastiam files, folders of them, a store, or `-`. May be repeated. "
        "Default: FASTIAM_STORE.",
    ),
    click.option("--engine", "saved", metavar="FILE", help="In place of policies, an engine that `fastiam compile` wrote."),
    reading,
)
no_session_policies = click.option(
    "--no-session-policies",
    is_flag=True,
    help="Assume that sessions have no session policies if their creation is not in the log.",
)
unknown_owner = click.option(
    "--unknown-owner",
    type=click.Choice(["principal", "deny"]),
    help="Owner of a resource whose account is unknown: `principal` (the principal's account) or `deny` (deny the request). "
    "Default: principal.",
)
now = click.option("--now", type=Instant(), help="The time of the decision. Default: the clock.")
exit_zero = click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever the decision is.")


def formats(*names: str) -> Callable[[_Verb], _Verb]:
    """The option for the format of a verb's output: `text`, which is the default into pipes too, and others of `render`."""
    shown = click.Choice(["text", *names])
    return click.option("--format", "form", type=shown, default="text", show_default=True, help="The format of the output.")


form = formats("json")
record_form = formats("json", "jsonl")
rows_form = formats("json", "jsonl", "csv")


def report_formats(*names: str) -> Callable[[_Verb], _Verb]:
    """The same for a verb that also writes an HTML report; `html_report.chosen_form` reads both options."""
    shown = click.Choice(["text", *names, "html"])
    form = click.option("--format", "form", type=shown, help="The format of the output. Default: text.")
    out = click.option("--out", metavar="FILE", help="The file of an HTML report, in place of standard output.")
    return lambda verb: form(out(verb))


report_form = report_formats("json", "jsonl", "csv")
request = chained(
    context := chained(
        click.option(
            "--context",
            "context",
            type=Pair(),
            multiple=True,
            metavar="KEY=VALUE",
            help="A context key; repeat it for several values.",
        ),
        click.option(
            "--context-file",
            metavar="FILE",
            expose_value=False,
            callback=_keep,
            help="A JSON object of context keys and values.",
        ),
        click.option(
            "--profile",
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=_profile,
            help="A TOML file with defaults of options, and a table `context`. It is read only if it is named.",
        ),
    ),
    owner := click.option(
        "--resource-account", metavar="ID", help="The account that owns the resource, if the policies do not contain it."
    ),
    now,
)
unknown = click.option(
    "--unknown",
    multiple=True,
    metavar="KEY",
    help="A context key whose value is unknown, or a prefix such as `aws:ResourceTag/*`; `*` for all. May be repeated.",
)
analysis = chained(
    context,
    unknown,
    click.option("--absent", multiple=True, metavar="KEY", help="A context key that is absent in spite of `--unknown '*'`."),
    owner,
    now,
)
