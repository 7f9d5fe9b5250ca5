"""A formula as an expression of SQL, by one table of functions per dialect (H44 to H46, H69, H70)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastiam.analysis.filter import patterns
from fastiam.analysis.filter.formula import Column, Compares, Formula, Readable, Text
from fastiam.analysis.filter.patterns import OneOf, Part, Pattern, Symbol
from fastiam.analysis.filter.targets import MANY, Writer, are_first_parts, balanced, refuse
from fastiam.errors import NotExpressible, RequestValueError, did_you_mean
from fastiam.model.request import shorten


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a dialect writes.

    Attributes
    ----------
    column
        a text column, compared by its bytes whatever its collation is.
    cast
        a value as text.
    starts
        whether `{text}` begins with `{prefix}`; `{n}` is the number of characters.
    matches
        whether the regular expression `{regex}` matches the whole `{text}`; "": the dialect has none.
    epoch
        the time of the query in seconds, or "".
    first
        the part of `{text}` up to its first `/`, with it, compared by its bytes; "": the dialect has none.
    escapes
        a backslash escapes in literals.
    quote
        of identifiers.
    constants
        the literals of false and of true.
    """

    name: str
    column: str
    cast: str
    starts: str
    matches: str
    epoch: str
    first: str = ""
    escapes: bool = False
    quote: str = '"'
    constants: tuple[str, str] = ("FALSE", "TRUE")


_ESCAPES = (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"))  # a literal of BigQuery has no newline
_ANCHORED = r"\A(?s:{regex})\z"
DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "duckdb", "{0} COLLATE C", "CAST({0} AS VARCHAR) COLLATE C", "starts_with({text}, {prefix})",
            "regexp_full_match({text}, {regex}, 's')", "epoch(current_timestamp)",
            first="substr({text}, 1, strpos({text}, '/')) COLLATE C",
        ),
        Dialect(
            "sqlite", "CAST({0} AS TEXT) COLLATE BINARY", "CAST({0} AS TEXT) COLLATE BINARY",
            "substr({text}, 1, {n}) = {prefix} COLLATE BINARY", "", "CAST(strftime('%s', 'now') AS INTEGER)",
            constants=("0", "1"), first="substr({text}, 1, instr({text}, '/')) COLLATE BINARY",
        ),
        Dialect(
            "datafusion", "CAST({0} AS VARCHAR)", "CAST({0} AS VARCHAR)", "starts_with({text}, {prefix})",
            "regexp_like({text}, {anchored})", "to_unixtime(now())", first="substr({text}, 1, strpos({text}, '/'))",
        ),
        Dialect("polars", "{0}", "CAST({0} AS VARCHAR)", "STARTS_WITH({text}, {prefix})", "REGEXP_LIKE({text}, {anchored})", ""),
        Dialect(
            "spark", "collate(CAST({0} AS STRING), 'UTF8_BINARY')", "collate(CAST({0} AS STRING), 'UTF8_BINARY')",
            "startswith({text}, {prefix})", "{text} RLIKE {anchored}", "unix_timestamp()", escapes=True, quote="`",
        ),
        Dialect(
            "postgres", '{0} COLLATE "C"', 'CAST({0} AS TEXT) COLLATE "C"', "starts_with({text}, {prefix})",
            "{text} ~ {lines}", "extract(epoch FROM current_timestamp)",
        ),
        Dialect(
            "trino", "{0}", "CAST({0} AS VARCHAR)", "starts_with({text}, {prefix})", "regexp_like({text}, {anchored})",
            "to_unixtime(current_timestamp)",
        ),
        Dialect(
            "snowflake", "COLLATE({0}, '')", "CAST({0} AS VARCHAR)", "STARTSWITH({text}, {prefix})",
            "REGEXP_LIKE({text}, {regex}, 'cs')", "date_part(epoch_second, current_timestamp())", escapes=True,
        ),
        Dialect(
            "bigquery", "COLLATE({0}, '')", "CAST({0} AS STRING)", "STARTS_WITH({text}, {prefix})",
            "REGEXP_CONTAINS({text}, {anchored})", "UNIX_SECONDS(CURRENT_TIMESTAMP())", escapes=True, quote="`",
        ),
    )
}  # fmt: skip


class SqlTarget:
    """Expressions of one dialect, as text."""

    def __init__(self, dialect: Dialect, alias: str | None, types: Mapping[str, str]) -> None:
        self.name = dialect.name
        self._dialect, self._alias, self._types = dialect, alias, types
        self.scanned: dict[str, None] = {}  # columns that SQLite reads as C strings

    def identifier(self, name: str) -> str:
        """A quoted name."""
        quote = self._dialect.quote
        if "\0" in name or self._dialect.escapes and "\\" in name:
            raise NotExpressible(f"`{name!r}` cannot be written as a name of {self.name}", key=name, operator="column")
        return quote + name.replace(quote, quote * 2) + quote

    def literal(self, text: str) -> str:
        """A quoted text."""
        if "\0" in text:
            raise NotExpressible(f"{self.name} has no literal with a null character", key=text, operator="literal")
        if self._dialect.escapes:
            for letter, escape in _ESCAPES:
                text = text.replace(letter, escape)
            return f"'{text}'"
        return "'" + text.replace("'", "''") + "'"

    def name_of(self, column: str) -> str:
        """A column of the table."""
        name = self.identifier(column)
        return name if self._alias is None else f"{self.identifier(self._alias)}.{name}"

    def _column(self, column: str) -> str:
        type_, name = self._types.get(column), self.name_of(column)
        if type_ == "bool":
            return self._dialect.cast.format(f"CASE WHEN {name} THEN 'true' WHEN NOT {name} THEN 'false' END")
        return (self._dialect.column if type_ is None else self._dialect.cast).format(name)

    def concatenated(self, text: Text) -> str:
        """A text."""
        if len(text) == 1 and isinstance(text[0], Column):
            return self._column(text[0].name)
        parts = [self._column(part.name) if isinstance(part, Column) else self.literal(part) for part in text]
        return "(" + " || ".join(f"({part})" for part in parts) + ")"

    def constant(self, value: bool) -> str:
        """True or false."""
        return self._dialect.constants[value]

    def all_of(self, parts: Sequence[str]) -> str:
        """AND."""
        return balanced(parts, lambda some: "(" + " AND ".join(some) + ")")

    def any_of(self, parts: Sequence[str]) -> str:
        """OR."""
        return balanced(parts, lambda some: "(" + " OR ".join(some) + ")")

    def negation(self, part: str) -> str:
        """NOT."""
        return f"(NOT {part})"

    def is_null(self, column: str) -> str:
        """The column is null."""
        return f"({self.name_of(column)} IS NULL)"

    def _never_null(self, test: str, *texts: Text) -> str:
        names = dict.fromkeys(part.name for text in texts for part in text if isinstance(part, Column))
        return self.all_of([test, *(f"{self.name_of(name)} IS NOT NULL" for name in names)])

    def equals(self, text: Text, values: tuple[str, ...]) -> str:
        """One of the values."""
        column, literals = self.concatenated(text), [self.literal(value) for value in values]
        test = f"{column} = {literals[0]}" if len(values) == 1 else f"{column} IN ({', '.join(literals)})"
        return self._never_null(test, text)

    def starts_with(self, text: Text, prefixes: tuple[str, ...]) -> str:
        """One of the prefixes."""
        column = self.concatenated(text)
        if len(prefixes) > MANY and self._dialect.first and are_first_parts(prefixes):
            listed = ", ".join(map(self.literal, prefixes))
            return self._never_null(f"{self._dialect.first.format(text=column)} IN ({listed})", text)
        return self._never_null(self.any_of([self._starts(column, self.literal(one), len(one)) for one in prefixes]), text)

    def _starts(self, column: str, prefix: str, n: int | str) -> str:
        return self._dialect.starts.format(text=column, prefix=prefix, n=n)

    def matches(self, text: Text, pattern: Pattern) -> str:
        """A regular expression over the whole text; in SQLite a glob of each field."""
        column = self.concatenated(text)
        if not self._dialect.matches:
            self.scanned |= dict.fromkeys(part.name for part in text if isinstance(part, Column))
            return self._never_null(self._globs(column, pattern), text)
        regex = patterns.regex(pattern)
        forms = {"regex": regex, "anchored": _ANCHORED.format(regex=regex), "lines": f"^(?:{regex})$"}
        literals = {name: self.literal(form) for name, form in forms.items()}
        return self._never_null(self._dialect.matches.format(text=column, **literals), text)

    def same(self, text: Text, other: Text, starts: bool) -> str:
        """Two texts."""
        one, two = self.concatenated(text), self.concatenated(other)
        test = self._starts(one, two, f"length({two})") if starts else f"{one} = {two}"
        return self._never_null(test, text, other)

    def compares(self, leaf: Compares | Readable) -> str:
        """Not in SQL."""
        refuse(self.name, leaf)

    # -- SQLite: globs, which are the only patterns, match colons ------------------------------------------------------------

    def _globs(self, column: str, pattern: Pattern) -> str:
        if Symbol.FIELD not in pattern and Symbol.SEGMENT not in pattern:
            return f"{column} GLOB {self.literal(_glob(pattern))}"
        fields = _fields(pattern)
        if fields is None:
            raise NotExpressible(
                "a pattern that crosses some colons and not others cannot be written for sqlite",
                key="Resource",
                operator=patterns.regex(pattern),
            )
        array = f"'[' || replace(json_quote({column}), ':', '\",\"') || ']'"
        values = [f"json_extract({array}, '$[{at}]')" for at in range(5)]
        tests = [f"json_array_length({array}) >= 6"]
        tests += [f"{value} GLOB {self.literal(_glob(field))}" for value, field in zip(values, fields[:5], strict=True)
                  if field != (Symbol.FIELD,)]  # fmt: skip
        if fields[5] != (Symbol.ANY,):
            rest = f"substr({column}, {' + '.join(f'length({value})' for value in values)} + 6)"
            tests.append(f"{rest} GLOB {self.literal(_glob(fields[5]))}")
        return self.all_of(tests)


def _glob(parts: Sequence[Part]) -> str:
    """A glob of SQLite."""
    symbols = {Symbol.ANY: "*", Symbol.FIELD: "*", Symbol.ONE: "?", Symbol.FIELD_ONE: "[^:]", Symbol.SEGMENT_ONE: "[^/]"}
    return "".join(
        "".join(f"[{letter}]" if letter in "*?[" else letter for letter in part) if isinstance(part, str)
        else f"[{part.characters}]" if isinstance(part, OneOf)
        else symbols.get(part, part.value)
        for part in parts
    )  # fmt: skip


def _fields(pattern: Pattern) -> list[Pattern] | None:
    """The pattern cut at its first five colons; None if a wildcard before them matches colons."""
    fields: list[list[Part]] = [[]]
    for part in pattern:
        if isinstance(part, str) and len(fields) < 6:
            first, *others = part.split(":", 6 - len(fields))
            fields[-1].append(first)
            fields += [[other] for other in others]
        else:
            if len(fields) < 6 and part in (Symbol.ANY, Symbol.ONE) or len(fields) == 6 and part is Symbol.FIELD:
                return None
            fields[-1].append(part)
    if len(fields) < 6 or any(part in (Symbol.SEGMENT, Symbol.SEGMENT_ONE) for field in fields for part in field):
        return None
    return [patterns.joined(field) for field in fields]


def write_sql(
    formula: Formula, dialect: str, alias: str | None, types: Mapping[str, str], until: int | None, enforce_until: bool
) -> str:
    """A formula as an expression. `until`: the instant up to which it holds, in epoch seconds."""
    found = DIALECTS.get(dialect)
    if found is None:
        if dialect in _WITHOUT_BINARY:
            raise NotExpressible(f"`{dialect}` does not promise to compare text by bytes", key="collation", operator="=")
        hint = did_you_mean(str(dialect), DIALECTS) or f"use one of {', '.join(DIALECTS)}"
        raise RequestValueError(f"`{shorten(str(dialect))}` is not a dialect of SQL", column="dialect", hint=hint)
    target = SqlTarget(found, alias, types)
    text = Writer(target).write(formula)
    # a null character ends a text for GLOB: such a row is not allowed
    text = (
        target.all_of([text, *(f"coalesce(instr({target.name_of(name)}, char(0)), 0) = 0" for name in target.scanned)])
        if target.scanned
        else text
    )
    if until is None:
        return text
    if not enforce_until:
        return f"/* valid until {datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ} */ {text}"
    if not found.epoch:
        raise NotExpressible(f"`{dialect}` has no time of the query", key="aws:CurrentTime", operator="enforce_until")
    return target.all_of([text, f"{found.epoch} < {until}"])


_WITHOUT_BINARY = ("mysql", "mariadb", "mssql", "tsql", "sqlserver", "oracle")  # oracle: `""` is null (H69)
