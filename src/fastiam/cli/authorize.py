"""`fastiam authorize`: decide a file of requests, in batches, into a file of results."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import cast

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.authorize_job import Job, OnError
from fastiam.cli.console import note
from fastiam.cli.files import check_out
from fastiam.cli.formats import NAMES, Format, of_name
from fastiam.cli.policy_sources import check_stdin, open_engine
from fastiam.cli.progress import Progress
from fastiam.cli.requests import open_requests


@click.command("authorize")
@options.policies
@click.option("--requests", "source", required=True, metavar="FILE", help="Requests: Parquet, Arrow, CSV, JSON lines, or `-`.")
@click.option("--requests-format", type=click.Choice(NAMES), help="Format of the requests. Default: detected from content.")
@click.option("--out", required=True, metavar="FILE", help="Results: .parquet, .arrow, .arrows, .csv, .jsonl, or `-`.")
@click.option("--out-format", type=click.Choice(NAMES), help="The format of the results. Default: that of the suffix.")
@click.option(
    "--map",
    "mapping",
    type=options.Pair(nameless=True),
    multiple=True,
    metavar="COLUMN=NAME",
    help="Read a column as this request column or condition key; with an empty name, leave it out.",
)
@click.option("--keep", multiple=True, metavar="COLUMN", help="Copy a column of the requests to the results.")
@click.option(
    "--on-error",
    type=click.Choice(["raise", "deny"]),
    default="raise",
    show_default=True,
    help="For a row that cannot be decided: end the job, or give it the outcome ERROR.",
)
@click.option(
    "--strict-columns", is_flag=True, help="End the job if no statement reads a column that is neither kept nor left out."
)
@options.unknown_owner
@options.now
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of the engine.")
@click.option("--quiet", is_flag=True, help="Print no progress and no summary.")
def command(
    policies: tuple[str, ...],
    saved: str | None,
    source: str,
    requests_format: str | None,
    out: str,
    out_format: str | None,
    mapping: tuple[tuple[str, str], ...],
    keep: tuple[str, ...],
    on_error: str,
    strict_columns: bool,
    unknown_owner: str | None,
    now: datetime | None,
    threads: int,
    quiet: bool,
) -> int:
    """Decide a file of requests.

    The columns are principal, action, resource, optionally resource_account; every other column is a condition key.
    Results have the order of the requests. A row that cannot be read is never allowed and never dropped.
    Exits with 0 when the job is done, whatever the decisions are.
    """
    target = Format(out_format) if out_format else of_name(out)
    check_stdin(*policies, source)
    check_out(out, "the results", source, *policies, *filter(None, [saved]))
    engine = open_engine(policies, saved, unknown_owner=unknown_owner, quiet=quiet)
    with ExitStack() as stack:
        requests = open_requests(source, Format(requests_format) if requests_format else None, stack, dict(mapping))
        progress = stack.enter_context(Progress(requests.progress, quiet=quiet))
        mode = cast(OnError, on_error)
        instant = now or datetime.now(UTC)
        job = Job(engine, requests, dict(mapping), keep, mode, strict_columns, instant, threads, progress.advance)
        job.write(out, target)
    if not quiet:
        note(str(job.summary))
        for line in job.unused.lines():
            note(line)
        note(f"{job.summary.rows / max(job.seconds, 1e-9):,.0f} requests/s")
    return exits.OK
