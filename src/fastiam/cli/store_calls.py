"""Verbs that are one call over a store with its keyring: `key`, `mfa`, `sts`, `identity-pool` and others.

A verb is a line of a table, or a function over what opens the store. Its options have the names of the parameters of the call.
Secrets are read from files and written to files, never given or shown on a command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.render import write_rows
from fastiam.cli.store_options import of_store, open_secret_file, secret_out, show

Open = Callable[[str, str | None], AbstractContextManager[Any]]  # takes the paths of a store and its keyring
Call = Callable[..., Any]
Rows = list[dict[str, Any]]
SECRET = (secret_out, options.form)  # a record with a secret, in a file of the owner
JSON_SECRET = (secret_out,)  # the same for programs, such as `credential_process`


def add_verb(
    group: click.Group,
    open_: Open,
    verb: str,
    *own: options.Decorator,
    columns: Sequence[str] = (),
    output: Sequence[options.Decorator] | None = None,
    help: str | None = None,
) -> Callable[[Call], Call]:
    """Add a verb. Its function gets what `open_` opens, and the options; it returns the record, or the rows, to be printed.

    Parameters
    ----------
    columns
        of a verb that prints rows.
    output
        options for what is printed, `SECRET` or `JSON_SECRET`; by default the format alone.
    """
    printed = output or ((options.rows_form,) if columns else (options.form,))

    def decorate(call: Call) -> Call:
        @group.command(verb, help=help or call.__doc__)
        @options.chained(*own, of_store, *printed)
        def run(store: str, keyring: str | None, form: str = "json", out: str | None = None, **given: Any) -> int:
            with ExitStack() as stack:
                opened = stack.enter_context(open_(store, keyring))
                file = None if out is None else stack.enter_context(open_secret_file(out, store, keyring))
                made = call(opened, **given)
                if columns:
                    write_rows(columns, made, form)
                else:
                    show(made, form, file)
            return exits.OK

        return call

    return decorate
