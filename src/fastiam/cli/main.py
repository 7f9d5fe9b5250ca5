"""The entry point: finds the verb, and converts every error into one message and an exit code.

A message reads `file:line:col: message [code]` with a hint below; `--debug` shows the traceback as well.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from typing import Any, NoReturn

try:
    import click
except ModuleNotFoundError:  # the library alone was installed
    from fastiam.errors import pip_install

    sys.exit(f"the command line needs a few more packages\nhelp: {pip_install('cli')}")

from fastiam import __version__
from fastiam.cli import exit_codes as exits
from fastiam.cli.console import write
from fastiam.errors import FastiamError, PolicyError, did_you_mean
from fastiam.runtime.registered import registered

VERBS = {  # in the order in which `--help` lists them
    "authorize": "decide files of requests",
    "simulate": "decide one request over policy documents",
    "explain": "explain how one request over stored policies is decided",
    "who-can": "list the principals that can do something to a resource",
    "what-can": "list what a principal can do",
    "escalations": "list the paths by which principals become administrators",
    "serve": "answer requests over HTTP",
    "playground": "paste policies and a request in a browser, and see the decision",
    "compile": "compile policies into a file, for `--engine`",
    "test": "run examples of decisions as tests of policies",
    "diff": "compare the decisions of two sets of policies",
    "prove": "prove that a change of policies allows nothing new",
    "replay": "compare a log of CloudTrail with policies",
    "unused": "list granted actions that no call in a log used",
    "suggest": "write a smaller policy of what a log used",
    "validate": "check policy documents",
    "lint": "check policy documents against AWS's data",
    "init": "create an empty store",
    "import": "import exports and files into a store",
    "export": "write a store as a file",
    "account": "accounts of a store",
    "user": "users of a store",
    "group": "groups of a store",
    "role": "roles of a store",
    "policy": "managed policies of a store",
    "org": "the organisation of a store",
    "resource": "resources of a store and their policies",
    "endpoint": "VPC endpoints of a store",
    "instance-profile": "instance profiles of a store",
    **dict(registered("VERBS")),
}


def _set_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.meta["debug"] = ctx.meta.get("debug", False) or value


def _debug_option() -> click.Option:
    """The option of every verb, so that it may also follow the verb."""
    return click.Option(
        ["--debug"], is_flag=True, is_eager=True, expose_value=False, callback=_set_debug, help="Show tracebacks."
    )


class Verbs(click.Group):
    """The verbs, each imported when it is called: `fastiam.cli.verbs.VERB` holds its `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"fastiam.cli.verbs.{_module_of(cmd_name)}").command
        for each in (command, *getattr(command, "commands", {}).values()):
            if not any(param.name == "debug" for param in each.params):
                each.params.append(_debug_option())
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            hint = did_you_mean(args[0], VERBS)
            raise click.UsageError(f"`{args[0]}` is not a verb" + (f"\nhelp: {hint}" if hint else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()  # here, so that an error becomes a message
            return code
        except (FastiamError, OSError) as error:
            if ctx.meta.get("debug"):
                traceback.print_exc()
            elif isinstance(error, BrokenPipeError):  # the reader has closed the pipe
                return exits.PIPE_CLOSED
            else:
                _report(error)
            return exits.INVALID if isinstance(error, PolicyError) else exits.FAILED


def _module_of(verb: str) -> str:
    return verb.replace("-", "_") + ("_" if iskeyword(verb) else "")


def _report(error: Exception) -> None:
    text = error.cli_text() if isinstance(error, FastiamError) else str(error)
    if isinstance(error, OSError):
        reason = (error.strerror or text).lower()
        text = f"{error.filename}: {reason}" if error.filename else reason
    first, _, rest = text.partition("\n")
    lead = "" if isinstance(error, PolicyError) else "error: "  # findings contain their severity
    write([(lead, "bold red"), (first, "")], sys.stderr)
    if rest:
        write(rest, sys.stderr)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def fastiam() -> None:
    """Decide AWS IAM requests, exactly and fast.

    Exit codes: 0 allowed, no finding or job done; 1 failed; 2 denied or something found; 3 invalid policy;
    4 depends on unknown keys; 64 wrong usage.
    """


fastiam.params.append(_debug_option())


def _near(option: str, names: Sequence[str]) -> list[str]:
    from difflib import SequenceMatcher

    return [name for name in names if SequenceMatcher(None, option.strip("-"), name.strip("-")).ratio() > 0.7]


def run(arguments: Sequence[str] | None = None) -> int:
    """One command line from arguments to exit code."""
    try:
        code = fastiam.main(arguments, prog_name="fastiam", standalone_mode=False)
    except click.UsageError as error:
        if isinstance(error, click.NoSuchOption):  # click proposes options that are not near
            near = _near(error.option_name, error.possibilities or ())
            error = click.NoSuchOption(error.option_name, possibilities=near, ctx=error.ctx)
        error.show()
        return exits.USAGE
    except click.ClickException as error:
        error.show()
        return exits.FAILED
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    return code if isinstance(code, int) else exits.OK


def main() -> NoReturn:
    """The `fastiam` command."""
    try:
        code = run()
        with suppress(OSError):
            sys.stdout.flush()
            sys.exit(code)
        # the interpreter flushes again at exit, and would report the error again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)


if __name__ == "__main__":
    main()
