"""Decides files of requests into a folder of results: one file for each of them, or one for each of its partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastiam.cli.files.authorize_job import FileJob, Job
from fastiam.cli.files.formats import SUFFIXES, Format, of_name
from fastiam.cli.files.named_files import RequestFile
from fastiam.cli.files.partitions import Partitions
from fastiam.cli.files.result_folder import ResultFolder
from fastiam.errors import SourceError


@dataclass(frozen=True, slots=True)
class Layout:
    """How results are divided into files.

    Attributes
    ----------
    by
        the columns whose values are folders `COLUMN=VALUE`; none: the folders of the requests (`--mirror`).
    form
        the format of all results; None: that of the name of each file of requests.
    """

    by: Sequence[str]
    form: Format | None

    def names(self, files: Sequence[RequestFile]) -> dict[str, tuple[str, Format]]:
        """The name and format of the result file for each file of requests by its relative name, below the folders of `by`.

        Raises
        ------
        SourceError
            two files would have one result file; a suffix does not determine a format; a pipe.
        """
        found: dict[str, tuple[str, Format]] = {}
        owners: dict[str, RequestFile] = {}
        for file in files:
            if file.is_pipe():
                hint = "pass regular files, or write to one file"
                raise SourceError("a folder of results needs requests from files", source=file.name, path="", hint=hint)
            form = self.form or (Format.PARQUET if self.by else of_name(_plain(file.relative)))
            name = _named(file.relative.replace("/", "-") if self.by else file.relative, form)
            if name in owners:
                message = f"its results would replace those of `{owners[name].name}`: both are named `{name}`"
                raise SourceError(message, source=file.name, path="", hint="pass the folder that has both")
            owners[name] = file
            found[file.relative] = name, form
        return found


def _plain(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


def _named(relative: str, form: Format) -> str:
    """The name with the suffix of a format; it stays where it has one."""
    name = _plain(relative)
    stem, dot, suffix = name.rpartition(".")
    known = SUFFIXES.get(f".{suffix.lower()}") if dot else None
    return name if known is form else f"{stem if known else name}.{form}"


def run_job(job: Job, folder: ResultFolder, layout: Layout) -> None:
    """Decide all files that are not done, and write the summary of all."""
    names = layout.names(job.files)
    folder.check_files(job.files)
    job.note_columns(folder.totals.columns)
    for file in job.files:
        if folder.is_done(file):
            job.skip(file)
            continue
        name, form = names[file.relative]
        with job.open(file) as part:
            if layout.by:
                results = _divide(job, part, file, folder, layout.by, name, form)
            else:
                job.write_batches(part.results(), folder.place(name), form)
                results = [name]
        folder.finish_file(file, results, part.summary, list(part.columns))
    job.totals = folder.totals
    if not folder.is_complete():
        folder.finish(job.files, sorted(job.unused.names))


def _divide(
    job: Job, part: FileJob, file: RequestFile, folder: ResultFolder, by: Sequence[str], name: str, form: Format
) -> list[str]:
    """Decide a file and write a result file for each of its partitions; return their names."""
    results = []
    with Partitions(by, folder.path, file.name) as partitions:
        partitions.fill(part.results())
        folder.start(file)
        for below, values in partitions.folders():
            results.append(f"{below}/{name}")
            job.write_batches(partitions.batches(values), folder.place(results[-1]), form)
    return results
