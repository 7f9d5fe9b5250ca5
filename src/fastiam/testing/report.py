"""The results of a run of test files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fastiam.errors import FastiamError, PolicyError
from fastiam.model.decision import StatementRef
from fastiam.testing.coverage import Coverage

Status = Literal["passed", "failed", "undecided", "error"]

_SNIPPET = re.compile(r"^ *(?:\d+ *\||\||-->)")
OK, BROKEN, FAILED, REJECTED, UNCERTAIN = 0, 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """What became of one example or invariant.

    Attributes
    ----------
    id
        `FILE::TEST[N]`; stable when other tests move.
    file, line, column
        where the request is written.
    status
        `error`: the request could not be asked; `undecided`: an invariant is neither proved nor refuted.
    request
        principal, action, resource and context, and `now` where it is given; of an invariant its scope as text, or a request
        that violates it.
    expected, actual
        outcomes, with the details that the file names; `actual` is the message of an error.
    text
        for a person: the explanation of a decision that was not expected.
    paste
        the request as an entry of `cases`.
    seconds
        of one request, the mean of its batch.
    statement
        what determined a decision that was not expected; None without one, and if it is sensitive.
    """

    id: str
    file: str
    line: int
    column: int
    status: Status
    request: dict[str, Any]
    expected: str
    actual: str
    text: str = ""
    paste: str = ""
    seconds: float = 0.0
    statement: StatementRef | None = None


@dataclass(slots=True)
class TestReport:
    """All results of a run, by file in the order in which they ran. It is truthy if nothing failed and there were no errors."""

    __test__ = False  # of pytest: this is not a test class

    files: dict[str, list[ExampleResult]] = field(default_factory=dict)
    broken: list[tuple[str, FastiamError]] = field(default_factory=list)
    """Files that could not be read or compiled, with the error."""
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    coverage: Coverage | None = None
    """The statements that the examples reached, if it was asked for."""

    @property
    def results(self) -> Sequence[ExampleResult]:
        """All results."""
        return [result for found in self.files.values() for result in found]

    @property
    def counts(self) -> Counter[str]:
        """The number of results by status; a file that could not be read is one error."""
        return Counter(result.status for result in self.results) + Counter({"error": len(self.broken)})

    def __bool__(self) -> bool:
        return self.exit_code() == OK

    def exit_code(self, *, strict: bool = False, fail_under: float = 0.0) -> int:
        """Return the exit code of `fastiam test`.

        Parameters
        ----------
        strict
            a warning counts, if nothing else does.
        fail_under
            the percentage of statements that must have applied, else the code is 2.

        Returns
        -------
        int
            0 all passed; 2 one failed; 3 a document is rejected; 4 an invariant is undecided, or a warning with `strict`;
            1 something could not be asked or read, or there was no test.
        """
        rejected = [error for _, error in self.broken if isinstance(error, PolicyError)]
        counts = self.counts
        if len(rejected) < len(self.broken) or counts["error"] > len(self.broken) or not (self.results or self.broken):
            return BROKEN
        if rejected:
            return REJECTED
        if counts["failed"] or (self.coverage is not None and self.coverage.percent < fail_under):
            return FAILED
        return UNCERTAIN if counts["undecided"] or strict and self.warnings else OK

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {
            "files": [{"file": name, "results": [plain(result) for result in found]} for name, found in self.files.items()],
            "errors": [{"file": name, "message": message_of(error)} for name, error in self.broken],
            "warnings": self.warnings,
            "counts": {status: self.counts[status] for status in ("passed", "failed", "undecided", "error")},
            "seconds": self.seconds,
            "coverage": None if self.coverage is None else self.coverage.to_dict(),
        }


def plain(result: ExampleResult) -> dict[str, Any]:
    """Return a result as plain values for JSON."""
    shown: dict[str, Any] = {name: getattr(result, name) for name in ExampleResult.__slots__ if name != "statement"}
    return shown | {"statement": None if result.statement is None else result.statement.to_dict()}


def message_of(error: FastiamError) -> str:
    """Return the text of an error without the lines of the file below it: it may be no policy (T42)."""
    return "\n".join(line for line in str(error).splitlines() if not _SNIPPET.match(line))
