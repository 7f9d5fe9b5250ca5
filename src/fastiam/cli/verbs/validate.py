"""`fastiam validate PATH...`: findings about policy documents and the files that contain them (spec 1.6)."""

from __future__ import annotations

import click

from fastiam.cli.findings_output import document_options, load_data, report


@click.command("validate")
@click.option("--aws", is_flag=True, help="Add the findings of `fastiam lint`, which uses AWS's data.")
@document_options
def command(
    paths: tuple[str, ...],
    aws: bool,
    kind: str | None,
    lenient: bool,
    aws_data: str | None,
    strict: bool,
    form: str | None,
    out: str | None,
    exit_zero: bool,
) -> int:
    """Check policy documents: files with one or several, and all inputs of `--policies`, such as exports and stores.

    `-` is standard input. Exits with 3 if a document is rejected, else with 2 if there is an error, or with `--strict` a
    warning, and else with 0. `--aws-data` and `--strict` imply `--aws`.
    """
    data = load_data(aws_data) if aws or strict or aws_data else None
    return report(paths, data, kind=kind, lenient=lenient, strict=strict, form=form, out=out, exit_zero=exit_zero)
