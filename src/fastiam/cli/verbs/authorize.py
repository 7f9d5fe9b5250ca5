"""`fastiam authorize`: decide files of requests, in batches, into a file or a folder of results."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import click

from fastiam import __version__
from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.action_names import note_unknown_actions
from fastiam.cli.console import note
from fastiam.cli.file_arguments import check_out
from fastiam.cli.files.authorize_job import FURTHER, Job, OnError, Rules
from fastiam.cli.files.column_union import ColumnUnion, survey
from fastiam.cli.files.folder_job import Layout, run_job
from fastiam.cli.files.formats import NAMES, Format, of_name, of_option
from fastiam.cli.files.named_files import RequestFiles, find_requests
from fastiam.cli.files.object_store import is_url
from fastiam.cli.files.result_folder import ResultFolder
from fastiam.cli.policy_sources import check_stdin, open_engine
from fastiam.cli.principal_names import note_absent_principals
from fastiam.cli.progress import Progress, Share
from fastiam.cli.unused_columns import note_constants, note_defaults
from fastiam.engine.decisions import COLUMNS
from fastiam.engine.engine_file.engines import engine_bytes
from fastiam.frames.arguments import REQUEST
from fastiam.model.result import Json

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

_SHOWN = 10  # suffixes in a summary


@click.command("authorize")
@options.policies
@click.option(
    "--requests",
    "sources",
    required=True,
    multiple=True,
    metavar="PATH",
    help="Requests: Parquet, Arrow, CSV, JSON lines, or `-`; a folder of them, or a pattern with `*` and `**`. May be repeated.",
)
@click.option("--requests-format", type=click.Choice(NAMES), help="Format of the requests. Default: detected from content.")
@click.option(
    "--out",
    required=True,
    metavar="PATH",
    help="Results: .parquet, .arrow, .arrows, .csv, .jsonl, or `-`; with --mirror or --partition-by a folder.",
)
@click.option("--out-format", type=click.Choice(NAMES), help="The format of the results. Default: that of the suffix.")
@click.option("--mirror", is_flag=True, help="Write one file for each file of requests, with the same name below the folder.")
@click.option(
    "--partition-by",
    metavar="COLUMN,...",
    help="Write to folders COLUMN=VALUE below the folder, by columns of requests or results.",
)
@click.option("--resume", is_flag=True, help="Continue a job in its folder: leave out the files whose results are there.")
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
@options.context
@options.unknown_owner
@options.now
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of the engine.")
@click.option("--quiet", is_flag=True, help="Print no progress and no summary.")
def command(
    policies: tuple[str, ...],
    saved: str | None,
    sources: tuple[str, ...],
    requests_format: str | None,
    out: str,
    out_format: str | None,
    mirror: bool,
    partition_by: str | None,
    resume: bool,
    mapping: tuple[tuple[str, str], ...],
    keep: tuple[str, ...],
    on_error: str,
    strict_columns: bool,
    context: tuple[tuple[str, str], ...],
    unknown_owner: str | None,
    now: datetime | None,
    threads: int,
    quiet: bool,
) -> int:
    """Decide files of requests.

    The columns are principal, action, resource, optionally resource_account; columns with a colon are condition keys.
    Results have the order of the requests. A row that cannot be read is never allowed and never dropped.
    Exits with 0 when the job is done, whatever the decisions are.
    """
    form = of_option(out_format)
    layout = Layout(_columns(partition_by, mirror), form) if mirror or partition_by else None
    _check_usage(out, layout, resume, keep, dict(mapping))
    target = form or (Format.PARQUET if layout else of_name(out))
    check_stdin(*policies, *sources)
    found = find_requests(sources, out, is_folder=layout is not None)
    if layout:
        layout.names(found.files)
    else:
        check_out(out, "the results", *(file.name for file in found.files), *policies, *filter(None, [saved]))
    engine = open_engine(policies, saved, unknown_owner=unknown_owner, quiet=quiet)
    requests_form = of_option(requests_format)
    union = survey(found.files, requests_form, dict(mapping)) if layout or len(found.files) > 1 else None
    kept = (*keep, *(name for name in layout.by if name not in (*REQUEST, *COLUMNS, *FURTHER, *keep))) if layout else keep
    given = options.context_of(context)
    note_constants(engine, given)
    rules = Rules(
        engine,
        requests_form,
        dict(mapping),
        kept,
        cast(OnError, on_error),
        strict_columns,
        given,
        now or datetime.now(UTC),
        threads,
    )
    share = Share(file.size for file in found.files)
    with Progress(share, quiet=quiet) as progress:
        began = time.perf_counter()
        if layout is None:
            job = Job(rules, found.files, union, share, progress.advance)
            job.write(out, target)
        else:
            settings = _settings(rules, union, saved, layout)
            with ResultFolder.open(out, settings, now, rules.now, resume=resume) as folder:
                job = Job(replace(rules, now=folder.now), found.files, union, share, progress.advance)
                with _interruptible(folder, quiet=quiet):
                    run_job(job, folder, layout)
        seconds = time.perf_counter() - began
    if not quiet:
        _print_summary(job, found, progress.rows, seconds)
        if progress.rows:
            note_defaults([engine], (*job.totals.columns, *given))
    return exits.OK


def _columns(partition_by: str | None, mirror: bool) -> list[str]:
    """The columns of `--partition-by`."""
    if partition_by is None:
        return []
    if mirror:
        raise click.UsageError("give either --mirror or --partition-by")
    names = partition_by.split(",")
    if not all(names) or len(set(names)) < len(names):
        raise click.UsageError("--partition-by names each column once: `--partition-by region,day`")
    return names


def _check_usage(out: str, layout: Layout | None, resume: bool, keep: Sequence[str], mapping: Mapping[str, str]) -> None:
    if layout is None and resume:
        raise click.UsageError("--resume needs a folder of results: add --mirror or --partition-by")
    if layout is not None and out == "-":
        raise click.UsageError("--mirror and --partition-by write to a folder: `--out -` is a stream")
    if is_url(out):
        raise click.UsageError("--out is a local file or folder: copy it to the object store afterwards")
    for name in keep:
        if name in (*COLUMNS, *FURTHER) or (name in REQUEST and (name in mapping or name in mapping.values())):
            raise click.UsageError(f"--keep {name}: the results have a column of this name")


def _settings(rules: Rules, union: ColumnUnion | None, saved: str | None, layout: Layout) -> dict[str, Json]:
    """The inputs of the results other than the requests and the time: a job is resumed only with the same."""
    types = union.types if union else {}
    return {
        "fastiam": __version__,
        "engine": _digest(rules.engine, saved),
        "map": dict(rules.mapping),
        "context": dict(rules.context),
        "keep": list(rules.keep),
        "types": {name: str(types[name]).strip() for name in rules.keep if name in types},
        "on_error": rules.on_error,
        "requests_format": rules.form,
        "out_format": layout.form,
        "partition_by": list(layout.by),
    }


def _digest(engine: Engine, saved: str | None) -> str:
    """The SHA-256 of the engine file; for policies, of the file that `fastiam compile` would write."""
    if saved is None:
        return hashlib.sha256(engine_bytes(engine)).hexdigest()
    with open(saved, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _interruptible(folder: ResultFolder, *, quiet: bool) -> Iterator[None]:
    """Report how an interrupted job is continued."""
    try:
        yield
    except KeyboardInterrupt:
        if not quiet and not folder.is_empty():
            note(f"interrupted: the same command with `--resume` continues in `{folder.path}`")
        raise


def _print_summary(job: Job, found: RequestFiles, rows: int, seconds: float) -> None:
    for line in str(job.totals.summary).split("\n"):
        note(line)
        if line.startswith("principal not in the directory"):
            note_absent_principals(job.rules.engine, job.names.principals)
            note("help: they are denied; `fastiam explain --outside assume-allowed` decides one as if its account allowed it")
    note_unknown_actions(job.names.actions)
    for line in (*job.totals.lines(), *job.unused.lines()):
        note(line)
    if found.left_out:
        note(f"{found.left_out.total():,} files in the folders are not requests by their names, and were not read:")
        for suffix, n in found.left_out.most_common(_SHOWN):
            note(f"  {n:>12,}  {suffix}")
        if len(found.left_out) > _SHOWN:
            note(f"  and {len(found.left_out) - _SHOWN:,} more suffixes")
    if seconds >= 1:  # a shorter job says more about the start of the process than about decisions
        note(f"{rows / seconds:,.0f} requests/s")
