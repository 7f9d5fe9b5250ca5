"""`fastiam test`: examples of decisions and invariants in files, as tests of policies."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fastiam.cli import options
from fastiam.cli.console import note, write
from fastiam.errors import did_you_mean

if TYPE_CHECKING:
    from fastiam.testing.coverage import Coverage
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
@click.option("--only", type=click.Choice(["examples", "invariants"]), help="Leave the others out.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, metavar="N", help="Processes for invariants. Default: 1.")
@click.option("--fail-fast", is_flag=True, help="End after the first example that does not pass.")
@click.option("--coverage", "with_coverage", is_flag=True, help="Report the statements that no example reached.")
@click.option("--coverage-aws", is_flag=True, help="With the statements of AWS's managed policies.")
@click.option("--coverage-out", metavar="FILE", help="A file with them: .info (lcov), .json or .sarif.")
@click.option("--fail-under", type=float, metavar="PERCENT", help="Exit with 2 if fewer statements applied.")
@click.option("--strict", is_flag=True, help="Exit with 4 if nothing fails and there is a warning.")
@click.option(
    "--root",
    metavar="DIR",
    help="Refuse files outside. Default: the next folder upwards with `.git`, else the current one.",
)
@options.formats("json", "jsonl", "sarif", "html", "junit", "github")
@click.option("--out", metavar="FILE", help="The file of the report, in place of standard output.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each example.")
@click.option(
    "--templates",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="List the templates of invariants, or print one, and end.",
)
@options.exit_zero
def command(
    paths: tuple[str, ...],
    policies: tuple[str, ...],
    variables: tuple[str, ...],
    filters: tuple[str, ...],
    only: Literal["examples", "invariants"] | None,
    jobs: int,
    fail_fast: bool,
    with_coverage: bool,
    coverage_aws: bool,
    coverage_out: str | None,
    fail_under: float | None,
    strict: bool,
    root: str | None,
    form: str,
    out: str | None,
    verbose: bool,
    templates: str | None,
    exit_zero: bool,
) -> int:
    """Run examples of decisions, who may do what and who must not, and prove invariants about all requests.

    PATH is a test file, or a folder that is searched for `*.iamtest.yaml`, `.yml` and `.json`; by default the current folder.

    Exits with 0 if all pass, 2 if one fails, 3 if a policy is rejected, 4 if an invariant is undecided, or with --strict if
    there are warnings, 1 if a file cannot be read or there is no test.
    """
    if templates is not None:
        return _print_templates(templates)
    from fastiam.testing import output
    from fastiam.testing.runner import run

    if out is not None and form == "github":
        raise click.UsageError("--format github writes commands to standard output: leave out --out")
    if coverage_out is not None and not coverage_out.endswith((".info", ".json", ".sarif")):
        raise click.UsageError("--coverage-out needs a name that ends in .info, .json or .sarif")
    is_asked = with_coverage or coverage_out is not None or fail_under is not None
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
        coverage="aws" if coverage_aws else "own" if is_asked else None,
        only=only,
        jobs=jobs,
        progress=progress,
    )
    code = 0 if exit_zero else report.exit_code(strict=strict, fail_under=fail_under or 0.0)
    if coverage_out is not None and report.coverage is not None:
        Path(coverage_out).write_text(_coverage_text(report.coverage, coverage_out, root), encoding="utf-8")
    for warning in report.warnings:
        note(f"warning: {warning}")
    if form == "html":
        from fastiam.cli.test_reports import write_test_page

        write_test_page(report, out)
        return code
    text = _text(report, form, verbose=verbose)
    if out is None:
        write(text)
    else:
        Path(out).write_text("\n".join([*lines, text]) + "\n", encoding="utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if form == "github" and summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(output.github_summary(report))
    return code


def _coverage_text(coverage: Coverage, name: str, root: str | None) -> str:
    from fastiam.testing.coverage import lcov

    if name.endswith(".info"):
        return lcov(coverage)
    if name.endswith(".json"):
        return json.dumps(coverage.to_dict(), indent=2, ensure_ascii=False) + "\n"
    from fastiam.cli.test_reports import coverage_sarif

    return json.dumps(coverage_sarif(coverage, root), indent=2, ensure_ascii=False) + "\n"


def _print_templates(name: str) -> int:
    from fastiam.testing.templates import find_template, template_names

    if not name:
        for each in template_names():
            found = find_template(each)
            write(f"{each:<45} {found.description if found else ''}")
        return 0
    template = find_template(name)
    if template is None:
        raise click.UsageError(f"there is no template `{name}` {did_you_mean(name, template_names())}".rstrip())
    write(template.text.rstrip("\n"))
    return 0


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals:
        raise click.UsageError(f"--set needs NAME=VALUE, not {given}")
    return name, value


def _text(report: TestReport, form: str, *, verbose: bool) -> str:
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
        reached = [] if report.coverage is None else list(output.coverage_lines(report.coverage))
        return "\n".join([*output.github(report), *reached, output.summary(report)])
    return output.lines(report, output.failures(report, has_status=not verbose))
