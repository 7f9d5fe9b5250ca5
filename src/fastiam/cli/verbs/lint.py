"""`fastiam lint PATH...`: findings about policy documents, with those of AWS's data."""

from __future__ import annotations

import click

from fastiam.cli.findings_output import document_options, load_data, report


@click.command("lint")
@document_options
def command(
    paths: tuple[str, ...],
    kind: str | None,
    lenient: bool,
    aws_data: str | None,
    strict: bool,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """Check policy documents against AWS's data: unknown actions, resources and condition keys that actions do not have,
    wildcards, and grants of privilege.

    The findings of `fastiam validate` are included. `-` is standard input. Exits with 3 if a document
    is rejected, else with 2 if there is an error, or with `--strict` a warning, and else with 0: notes never count.
    """
    data = load_data(aws_data)
    return report(paths, data, kind=kind, lenient=lenient, strict=strict, form=form, out=out, exit_zero=exit_zero)
