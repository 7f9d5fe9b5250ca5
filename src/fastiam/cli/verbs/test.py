"""`fastiam test`: examples of decisions in files, as tests of policies."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastiam.cli import options
from fastiam.cli.console import note, write

if TYPE_CHECKING:
    from fastiam.testing.report import ExampleResult, TestReport


@click.command("test")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--policies", multiple=True, metavar="PATH", help="In place of the policies of the files. May be repeated.")
@click.option("--set", "variables", multiple=True, metavar="NAME=VALUE", help="A variable of the files. May be repeated.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="PATTERN",
    help="Only ids that match, with * and ?; `!` excludes.",
)
@click.option("--fail-fast", is_flag=True, help="End after the first example that does not pass.")
@click.option("--strict", is_flag=True, help="Exit with 4 if nothing fails and there is a warning.")
@click.option(
    "--root",
    metavar="DIR",
    help="Refuse files outside. Default: the next folder upwards with `.git`, else the current one.",
)
@options.formats("json", "jsonl", "sarif", "html", "junit", "github")
@click.option("--out", metavar="FILE", help="The file of the report, in place of standard output.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each example.")
@options.exit_zero
def command(
    paths: tuple[str, ...],
    policies: tuple[str, ...],
    variables: tuple[str, ...],
    filters: tuple[str, ...],
    fail_fast: bool,
    strict: bool,
    root: str | None,
    form: str,
    out: str | None,
    verbose: bool,
    exit_zero: bool,
) -> int:
    """Run examples of decisions: who may do what, and who must not.

    PATH is a test file, or a folder that is searched for `*.iamtest.yaml`, `.yml` and `.json`; by default the current folder.

    Exits with 0 if all pass, 2 if one fails, 3 if a policy is rejected, 4 with --strict if there are warnings, 1 if a file
    cannot be read or there is no test.
    """
    from fastiam.testing import output
    from fastiam.testing.runner import run

    if out is not None and form == "github":
        raise click.UsageError("--format github writes commands to standard output: leave out --out")
    lines: list[str] = []

    def progress(name: str, results: Sequence[ExampleResult]) -> None:
        if form == "text":
            for line in output.result_lines(results) if verbose else [output.file_line(name, results)]:
                write(line) if out is None else lines.append(line)

    report = run(
        *paths,
        policies=policies or None,
        variables=dict(_variable(given) for given in variables),
        filters=filters,
        fail_fast=fail_fast,
        root=root,
        progress=progress,
    )
    for warning in report.warnings:
        note(f"warning: {warning}")
    if form == "html":
        from fastiam.cli.test_reports import write_test_page

        write_test_page(report, out)
        return 0 if exit_zero else report.exit_code(strict=strict)
    text = _text(report, form)
    if out is None:
        write(text)
    else:
        Path(out).write_text("\n".join([*lines, text]) + "\n", encoding="utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if form == "github" and summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(output.github_summary(report))
    return 0 if exit_zero else report.exit_code(strict=strict)


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals:
        raise click.UsageError(f"--set needs NAME=VALUE, not {given}")
    return name, value


def _text(report: TestReport, form: str) -> str:
    from fastiam.testing import output

    if form == "json":
        return json.dumps(report.to_dict(), indent=2, ensure_ascii=False, default=str)
    if form == "jsonl":
        return "\n".join(output.json_lines(report))
    if form == "sarif":
        from fastiam.cli.test_reports import test_sarif

        return json.dumps(test_sarif(report), indent=2, ensure_ascii=False)
    if form == "junit":
        return output.junit(report).rstrip("\n")
    if form == "github":
        return "\n".join([*output.github(report), output.summary(report)])
    return output.lines(report, output.failures(report))
