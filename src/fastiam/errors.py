"""The exceptions that fastiam raises, and findings about documents.

    FastiamError
    ├── PolicyError         a policy document is rejected; carries the findings
    ├── SourceError         a file or export cannot be read as what it should be
    │   └── StoreError      a store cannot be opened, read or written; `reason` says why
    ├── DirectoryError      a write to the account model breaks a rule
    ├── RequestValueError   a request cannot be read; names row and column in a batch
    ├── NotExpressible      a library cannot express a test of a filter
    ├── ShapeError          two columns differ in length
    └── LimitError          a table is full

Messages are lower case, without a full stop, with the input in backticks; they end in the
path of the value (`$.Statement[0].Action`), the place in the text and, where one is known, a hint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Self

_MAX_WORD = 200  # that is compared with known ones


class Severity(StrEnum):
    """How bad a finding is: an ERROR rejects a document in strict mode, a WARN never does (spec F5), a NOTE is information."""

    ERROR = "error"
    WARN = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth saying about a document.

    Attributes
    ----------
    code
        rule of the specification (`"V24"`, `"G21"`) or of `lint` (`"L2"`), stable across releases.
    severity
        `ERROR`, `WARN` or `NOTE`, before any downgrade.
    message
        one line, lower case.
    source
        name of the file or argument.
    path
        JSON path of the value, `$.Statement[0].Action[1]`.
    line, column
        1-based place in the source text; 0 where the document was not text.
    hint
        what to do about it, or "".
    fatal
        rejects the document in lenient mode too.
    snippet
        the source line that holds the value, or "" (of a long line, the part around the value).
    width
        how many characters of the line the value covers.
    snippet_column
        the column of the first character of `snippet`.
    sid
        the `Sid` of the statement that contains the value, or "".
    """

    code: str
    severity: Severity
    message: str
    source: str
    path: str
    line: int = 0
    column: int = 0
    hint: str = ""
    fatal: bool = False
    snippet: str = ""
    width: int = 1
    snippet_column: int = 1
    sid: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        return f"{place}: {self.severity}: {self.message} - at `{self.path}` [{self.code}]"

    def for_cli(self) -> Finding:
        """The finding with its hint for the command line."""
        return replace(self, hint=self.hint.cli) if isinstance(self.hint, Hint) else self

    def render(self) -> str:
        """The finding as a compiler prints it, with the source line and a caret."""
        lines = [str(self)]
        if self.snippet:
            margin = " " * len(str(self.line))
            indent = self.column - self.snippet_column
            width = max(1, min(self.width, len(self.snippet) - indent))
            lines += [f"{self.line} | {self.snippet}", f"{margin} | {' ' * indent}{'^' * width}"]
        if self.hint:
            lines.append(f"help: {self.hint}")
        return "\n".join(lines)


class Findings(tuple[Finding, ...]):
    """Findings in the order of reading. `str()` shows how many there are, and the first ones, errors before warnings."""

    __slots__ = ()
    SHOWN = 5

    def __str__(self) -> str:
        if not self:
            return "no findings"
        ordered = sorted(self, key=lambda finding: finding.severity is not Severity.ERROR)
        errors = sum(finding.severity is Severity.ERROR for finding in self)
        lines = [f"{counted(errors, 'error')}, {counted(len(self) - errors, 'warning')}", *map(str, ordered[: self.SHOWN])]
        more = len(self) - self.SHOWN
        return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def counted(n: int, noun: str) -> str:
    """A number with its noun: `1 row`, `1,000 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


class Hint(str):
    """A hint about an argument: the text names the one of Python, `cli` the option of the command line."""

    __slots__ = ("cli",)
    cli: str

    def __new__(cls, python: str, cli: str) -> Self:
        """Both texts; one that fits both is a plain `str`."""
        made = super().__new__(cls, python)
        made.cli = cli
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # of the same class
        return str(self), self.cli


class FastiamError(Exception):
    """The root of everything that fastiam raises on purpose."""

    def cli_text(self) -> str:
        """The message for the command line: as `str()`, with options where its hint names arguments of Python."""
        hint = getattr(self, "hint", "")
        return str(self).removesuffix(hint) + hint.cli if isinstance(hint, Hint) else str(self)


class PolicyError(FastiamError, ValueError):
    """A policy document is rejected. `findings` holds everything that was found, errors first."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(finding.render() for finding in self.findings))

    def cli_text(self) -> str:
        """The findings for the command line."""
        return "\n".join(finding.for_cli().render() for finding in self.findings)

    def __reduce__(self) -> tuple[type[PolicyError], tuple[tuple[Finding, ...]]]:
        return type(self), (self.findings,)


class SourceError(FastiamError, ValueError):
    """A file or export cannot be read. Names the file and, where known, line, column and path."""

    def __init__(self, message: str, *, source: str, path: str = "$", line: int = 0, column: int = 0, hint: str = "") -> None:
        self.message, self.source, self.path, self.line, self.column, self.hint = message, source, path, line, column, hint
        place = f"{source}:{line}:{column}" if line else source
        at = f" - at `{path}`" if path not in ("", "$") else ""  # `$` is the whole content
        super().__init__(f"{place}: {message}{at}" + (f"\nhelp: {hint}" if hint else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (
            type(self),
            (self.message,),
            {k: getattr(self, k) for k in ("source", "path", "line", "column", "hint")},
        )


class StoreError(SourceError):
    """A store cannot be opened, read or written. What was to be written is not, and what was there is untouched.

    `reason` is one of `absent`, `exists`, `foreign` (no store), `newer` and `older` (of another release), `corrupt`, `read_only`,
    `unreadable`, `full`, `busy` (locked for longer than the timeout), `disk` (it fails), `gone` (the file is, while it was in
    use), `text`, `closed` and `forked`.
    """

    def __init__(self, message: str, *, source: str, reason: str, hint: str = "") -> None:
        super().__init__(message, source=source, path="", hint=hint)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), (self.message,), {k: getattr(self, k) for k in ("source", "reason", "hint")})


class DirectoryError(FastiamError, ValueError):
    """A write to the account model breaks a rule; `rule` is its id in the specification."""

    def __init__(self, message: str, *, rule: str = "", hint: str = "") -> None:
        self.message, self.rule, self.hint = message, rule, hint
        super().__init__(message + (f" [{rule}]" if rule else "") + (f"\nhelp: {hint}" if hint else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), (self.message,), {"rule": self.rule, "hint": self.hint})


class RequestValueError(FastiamError, ValueError):
    """A request value cannot be read, or contradicts what the directory knows.

    `column` names the argument or context key; `row` is the 0-based row of a batch, None for a single request. `code` is that of
    the row (`docs/errors.md`), the same for all values of one kind; without one, it follows from the argument.
    """

    _CODES: ClassVar[dict[str, str]] = {"resource_account": "bad_owner", "resource_accounts": "bad_owner"} | {
        f"{name}{plural}": f"bad_{name}" for name in ("principal", "action", "resource") for plural in ("", "s")
    }

    def __init__(self, message: str, *, column: str = "", row: int | None = None, hint: str = "", code: str = "") -> None:
        self.message, self.column, self.row, self.hint = message, column, row, hint
        self.code = code or self._CODES.get(column, "bad_value")
        at = f", row {row}" if row is not None else ""
        super().__init__(self.text + at + (f"\nhelp: {hint}" if hint else ""))

    @property
    def text(self) -> str:
        """The message with the column, and without the row: equal for rows that have one fault."""
        return self.message + (f" - at `{self.column}`" if self.column else "")

    def __reduce__(self) -> tuple[object, ...]:
        fields = {name: getattr(self, name) for name in ("column", "row", "hint", "code")}
        return _rebuild, (type(self), (self.message,), fields)


def error_at(error: RequestValueError, *, column: str, row: int | None) -> RequestValueError:
    """Return the same error in a row of a batch, or under the name that a column has for the caller."""
    return RequestValueError(error.message, column=column, row=row, hint=error.hint, code=error.code)


class NotExpressible(FastiamError, ValueError):
    """A library cannot express a test of a filter. `key` and `operator` name the test."""

    def __init__(self, message: str, *, key: str, operator: str, hint: str = "") -> None:
        self.message, self.key, self.operator, self.hint = message, key, operator, hint
        super().__init__(message + (f"\nhelp: {hint}" if hint else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), (self.message,), {"key": self.key, "operator": self.operator, "hint": self.hint})


class ShapeError(FastiamError, ValueError):
    """Two columns of a batch differ in length; the message names both, with lengths."""


class LimitError(FastiamError, RuntimeError):
    """A table of the engine is full; the message names the limit."""


class MissingPackageError(FastiamError, ModuleNotFoundError):
    """A package of an extra is not installed; `name` is the package, and the message has the pip command."""


def missing_package(purpose: str, error: ModuleNotFoundError, extra: str) -> MissingPackageError:
    """Return the error for a part of fastiam that an extra installs."""
    return MissingPackageError(f"{purpose} needs the package `{error.name}`\nhelp: {pip_install(extra)}", name=error.name)


def pip_install(*extras: str) -> str:
    """The command that installs extras from where this package was installed: a clone, an archive, a repository or an index."""
    import json  # PERF: few errors need these
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    parts = f"[{','.join(extras)}]"
    try:
        source = json.loads(distribution("fastiam").read_text("direct_url.json") or "null")
    except (PackageNotFoundError, ValueError):
        return f"in the clone of fastiam: pip install '.{parts}'"  # not installed: only on the path
    if source is None:
        return f"pip install 'fastiam{parts}'"
    url, vcs = source["url"], source.get("vcs_info")
    if vcs is not None:
        return f"pip install 'fastiam{parts} @ {vcs['vcs']}+{url}'"
    if not url.startswith("file:"):
        return f"pip install 'fastiam{parts} @ {url}'"
    path = unquote(urlsplit(url).path)
    editable = "--editable " if source.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}'{path}{parts}'"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The most alike of the known words, or None if none is alike."""
    from difflib import get_close_matches  # PERF: most errors need none of it

    near = get_close_matches(word, known, 1) if len(word) <= _MAX_WORD else ()
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the most alike of the known words, or ""."""
    near = nearest(word, known)
    return "" if near is None else f"did you mean `{near}`?"


def _rebuild(kind: type[Exception], args: tuple[object, ...], kwargs: dict[str, object]) -> Exception:
    """Unpickle an error whose constructor takes keyword arguments."""
    return kind(*args, **kwargs)


def not_resolved() -> RuntimeError:
    """Return the error for a request that misses something after every attempt."""
    return RuntimeError("a request could not be resolved, which is a bug of fastiam: please report it")
