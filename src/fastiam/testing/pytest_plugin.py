"""A plugin for pytest: collects `*.iamtest.yaml`, `.yml` and `.json`, each example as an item (T38, T39).

pytest imports this module in every run of an environment that has fastiam. PERF: it imports nothing of the package until a test
file is found or a fixture is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastiam.api.engine import Engine
    from fastiam.boto3.client_calls import SdkCalls
    from fastiam.model.session import Session
    from fastiam.testing.invariants import InvariantTest
    from fastiam.testing.report import ExampleResult
    from fastiam.testing.runner import Runner
    from fastiam.testing.test_file import Example, ExampleFile

_SUFFIXES = (".iamtest.yaml", ".iamtest.yml", ".iamtest.json")
_MANY = 1_000  # requests of a test from which on it is one item


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("iam_tests", "collect test files of policies (*.iamtest.yaml, .yml, .json)", type="bool", default=True)
    parser.addini("iam_root", "the folder that these files must stay in", default="")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> IamTestFile | None:
    if file_path.name.endswith(_SUFFIXES) and parent.config.getini("iam_tests"):
        collected: IamTestFile = IamTestFile.from_parent(parent, path=file_path)
        return collected
    return None


class IamTestFile(pytest.File):
    """A test file."""

    def collect(self) -> Iterable[IamTestItem | IamInvariantItem]:
        runner = _runner(self.config)
        read = runner.read(self.path)
        for test in read.tests:
            many = len(test.examples) > _MANY
            for examples in [test.examples] if many else [(example,) for example in test.examples]:
                name = test.name if many else examples[0].id
                item: IamTestItem = IamTestItem.from_parent(self, name=name, read=read, examples=examples)
                yield item
        for invariant in read.invariants:
            proof: IamInvariantItem = IamInvariantItem.from_parent(self, name=invariant.id, read=read, invariant=invariant)
            yield proof

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from fastiam.errors import FastiamError

        return str(excinfo.value) if isinstance(excinfo.value, FastiamError) else super().repr_failure(excinfo)


class IamTestItem(pytest.Item):
    """An example, or all examples of a large test."""

    def __init__(self, *, read: ExampleFile, examples: tuple[Example, ...], **more: Any) -> None:
        super().__init__(**more)
        self.read, self.examples = read, examples

    def runtest(self) -> None:
        results = _runner(self.config).examples(self.read, self.examples)
        wrong = [result for result in results if result.status != "passed"]
        if wrong:
            raise ExampleFailed(wrong)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from fastiam.errors import FastiamError

        if isinstance(excinfo.value, (ExampleFailed, FastiamError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, max(self.examples[0].at.place()[0] - 1, 0), self.name


class IamInvariantItem(pytest.Item):
    """An invariant."""

    def __init__(self, *, read: ExampleFile, invariant: InvariantTest, **more: Any) -> None:
        super().__init__(**more)
        self.read, self.invariant = read, invariant

    def runtest(self) -> None:
        wrong = [one for one in _runner(self.config).invariants(self.read, [self.invariant]) if one.status != "passed"]
        if wrong:
            raise ExampleFailed(wrong)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from fastiam.errors import FastiamError

        if isinstance(excinfo.value, (ExampleFailed, FastiamError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, max(self.invariant.at.place()[0] - 1, 0), self.name


class ExampleFailed(Exception):
    """Examples were decided otherwise than expected."""

    def __init__(self, results: list[ExampleResult]) -> None:
        from fastiam.testing.output import failure_text

        shown = [failure_text(result) for result in results[:20]]
        more = [f"{len(results) - 20:,} more failures"] if len(results) > 20 else []
        super().__init__("\n\n".join(shown + more))


_RUNNER = pytest.StashKey[Any]()


def _runner(config: pytest.Config) -> Runner:
    """The runner of this run of pytest: its engines are compiled once."""
    if _RUNNER not in config.stash:
        from fastiam.testing.runner import Runner

        root = config.getini("iam_root")
        config.stash[_RUNNER] = Runner(root=config.rootpath / root if root else None)
    found: Runner = config.stash[_RUNNER]
    return found


@pytest.fixture(scope="session")
def iam_engine() -> Iterator[Callable[..., Engine]]:
    """A function that compiles policies once a run for the same content: `iam_engine("account.json", "organization/")`."""
    engines: dict[tuple[object, ...], Engine] = {}

    def load(*paths: Any) -> Engine:
        from fastiam.api.loading import load as load_directory
        from fastiam.sources.files import read_files

        key = tuple((file.name, hash(file.data)) for file in read_files(paths))
        if key not in engines:
            engines[key] = load_directory(*paths).compile()
        return engines[key]

    yield load


@pytest.fixture
def iam_enforced(iam_engine: Callable[..., Engine]) -> Iterator[Callable[..., SdkCalls]]:
    """A function that decides the calls of boto3 until the test ends: `iam_enforced(principal, policies, **options)`.

    `options` are those of `fastiam.boto3.enforce`.
    """
    with ExitStack() as blocks:

        def enter(principal: str | Session | None, policies: Any, **options: Any) -> SdkCalls:
            from fastiam.boto3 import enforce

            is_path = isinstance(policies, (str, os.PathLike))
            if is_path or isinstance(policies, (list, tuple)):
                policies = iam_engine(*([policies] if is_path else policies))
            return blocks.enter_context(enforce(policies, principal=principal, **options))

        yield enter


@pytest.fixture
def iam_recorded() -> Iterator[Callable[..., SdkCalls]]:
    """A function that notes the calls of boto3 until the test ends: `iam_recorded(policies, principal, **options)`.

    Arguments are those of `fastiam.boto3.record`.
    """
    with ExitStack() as blocks:

        def enter(*given: Any, **options: Any) -> SdkCalls:
            from fastiam.boto3 import record

            return blocks.enter_context(record(*given, **options))

        yield enter
