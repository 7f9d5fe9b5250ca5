"""Comparison of the compiled engine with the specification evaluator, on ad-hoc policies and on directories with batches.

A difference is a text with both results. An error that both raise is agreement: the row must be the same, the message not.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from copy import copy
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import case_files as casefile
import numpy as np
from case_files import Answer, Check, Json
from request_generators import NOW
from runners import COLUMNS, ERRORS, build_directory, compile_snapshot, explain_over, fill_directory, run, settings_of

from fastiam.errors import DirectoryError, PolicyError, RequestValueError
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import fold, spelled
from fastiam.model.request import (
    Request,
    absent_keys,
    canonical_text,
    check_action,
    epoch_seconds,
    is_declared,
    read_context,
    read_unknown,
)
from fastiam.spec.missing_keys import missing_keys

FOUND = casefile.CASES / "found"
MANY = 2_400  # rows: several blocks in each half of a column
N_AD_HOC = 2_000  # cases of ad-hoc policies that each run of the suite compares
POINTS = ("outcome", "layer", "statement", "reason", "depends_on", "indeterminate", "assumed_owner", "owner_override")


def as_check(case: Mapping[str, Json], request: Mapping[str, Json] | None = None) -> Check:
    """A generated case, or one row of a generated batch, as a `Check` without expectations."""
    return Check(
        id="fuzz",
        rule="",
        request=request or case["request"],
        expect={"outcome": "?"},
        policies=case.get("policies", {}),
        directory=case.get("directory"),
        mode=case["mode"],
        unknown_owner=case.get("unknown_owner", "principal"),
        index_from=case.get("index_from", casefile.INDEX_FROM),
    )


def difference_between(expected: Answer, got: Answer) -> str | None:
    """How two answers differ, or None. An error that no engine raises on purpose is always a difference."""
    if got.error is not None and not isinstance(got.error, ERRORS):
        return f"compiled raised {got.error!r}"
    if expected.error is not None or got.error is not None:
        if (expected.error is None) == (got.error is None):
            return None
        return f"reference: {expected.error or expected.decision}\ncompiled:  {got.error or got.decision}"
    pairs = [(p, getattr(expected.decision, p), getattr(got.decision, p)) for p in casefile.points_of(got.decision, POINTS)]
    wrong = [f"{point}: reference {one!r}, compiled {two!r}" for point, one, two in pairs if one != two]
    return "\n".join(wrong) or None


def compare_ad_hoc(case: Mapping[str, Json]) -> str | None:
    """The difference between `simulate` with either engine, or None."""
    check = as_check(case)
    expected = run(check, "reference")
    try:
        return difference_between(expected, run(check, "compiled"))
    except Exception as error:  # each error of the engine is an answer
        return difference_between(expected, Answer(error=error))


def renewed(value: Json) -> Json:
    """An equal value in new objects: the pointer cache recognizes objects that are passed again."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    if isinstance(value, Mapping):
        return {key: renewed(one) for key, one in value.items()}
    return [renewed(one) for one in value] if isinstance(value, list) else value


class World:
    """A generated directory, built once: the reference over its snapshot, the engine, and its rows as columns."""

    def __init__(self, case: Mapping[str, Json]) -> None:
        self.case = case
        self.rows: list[Mapping[str, Json]] = case["requests"] if "requests" in case else [case["request"]]
        self.check = as_check(case, self.rows[0])
        self.directory = build_directory(casefile.resolve(case["directory"]), case["mode"])
        self.snapshot = self.directory.snapshot()
        self.now = casefile.instant(NOW)
        self.unknown = tuple(self.rows[0].get("unknown", ()))  # an empty tuple declares nothing, and is seen at once to do so
        self.keys = sorted({key for row in self.rows for key in row["context"]})

    @cached_property
    def expected(self) -> list[Answer]:
        """The answer of the specification evaluator for each row."""
        return [self.reference(row) for row in self.rows]

    def context(self, row: Mapping[str, Json]) -> dict[str, Any]:
        """What a row says: where a key has a column, one without a value says that it is absent (6.11)."""
        silent: dict[str, Any] = dict.fromkeys(self.keys) if self.unknown else {}
        return silent | casefile.context_of(row)

    def subject(self, row: Mapping[str, Json]) -> Any:
        return casefile.principal_of(row)

    def reference(self, row: Mapping[str, Json]) -> Answer:
        try:
            return explain_over(self.snapshot, self.check, {**row, "unknown": self.unknown}, self.context(row), self.now)
        except ERRORS as error:
            return Answer(error=error)

    def compile(self) -> Any:
        return compile_snapshot(self.snapshot, self.check)

    def grown(self, late: Collection[str]) -> Any:
        """An engine that was asked before some records were there, and then updated; None if others name them."""
        described = casefile.resolve(self.case["directory"])
        kinds = ("principals", "resources")
        added = {kind: [one for one in described.get(kind, ()) if one["arn"] in late] for kind in kinds}
        before = {kind: [one for one in described.get(kind, ()) if one["arn"] not in late] for kind in kinds}
        try:
            directory = build_directory({**described, **before}, self.case["mode"])
        except (PolicyError, DirectoryError):
            return None
        engine = compile_snapshot(directory.snapshot(), self.check)
        asking = copy(self)
        asking.case = {**self.case, "counts": False}  # other records, other counts
        asking.batch(engine, "numpy")
        for row in self.rows:
            self.single(engine, row)
        fill_directory(directory, added)
        return engine.updated(directory)

    def later(self) -> World | None:
        """An hour later: the rows of sessions whose keys depend on the time, if there are some."""
        rows = [row for row in self.rows if not isinstance(row["principal"], str) and "mfa_at" in row["principal"]["session"]]
        if not rows:
            return None
        moved = copy(self)
        moved.rows, moved.now = rows[:10], self.now + timedelta(hours=1)
        moved.__dict__.pop("expected", None)
        return moved

    def missing(self, row: Mapping[str, Json], context: Mapping[str, Json], keys: Collection[str]) -> frozenset[str]:
        """The keys under which the specification counts a row (D75), whose columns are `keys`, folded."""
        unknown = read_unknown(self.unknown, context)
        request = Request(
            check_action(row["action"]), read_context(context), epoch_seconds(self.now), unknown, absent_keys(context)
        )
        principal, resource, endpoint = self.snapshot.profiles(
            self.subject(row),
            row["action"],
            row["resource"],
            request.context,
            resource_account=row.get("resource_account"),
            unknown_owner=self.check.unknown_owner,
            endpoint_unknown="aws:sourcevpce" not in keys and is_declared(unknown, "aws:sourcevpce"),
        )
        settings, sources = settings_of(self.check), self.snapshot.account_facts
        return missing_keys(principal, resource, request, endpoint=endpoint, settings=settings, sources=sources) - keys

    def single(self, engine: Any, row: Mapping[str, Json]) -> Answer:
        return self._single(engine.decide, row)

    def again(self, engine: Any, row: Mapping[str, Json]) -> Answer:
        """A row that the engine has seen: it is decided without Python code, and with the pointer cache."""
        decided = self._single(engine.decide, row)
        for allowed in (self._single(engine.is_allowed, one) for one in (row, row, row, renewed(row))):
            if (decided.error is None) != (allowed.error is None):
                return Answer(error=AssertionError(f"is_allowed: {allowed}, decide: {decided}"))
            if decided.error is None and decided.decision.allowed is not allowed.decision:
                return Answer(error=AssertionError(f"is_allowed: {allowed.decision}, decide: {decided.decision}"))
        return decided

    def _single(self, call: Callable[..., Any], row: Mapping[str, Json]) -> Answer:
        try:
            decided = call(
                self.subject(row),
                row["action"],
                row["resource"],
                self.context(row),
                unknown=self.unknown,
                resource_account=row.get("resource_account"),
                now=self.now,
            )
        except Exception as error:  # each error of the engine is an answer
            return Answer(error=error)
        return Answer(decided)

    def listed(self, engine: Any) -> list[Answer]:
        """All rows in one list, continued after each error; rows with owners, which a list cannot have, one by one."""
        found: dict[int, Answer] = {}
        left = [i for i, row in enumerate(self.rows) if row.get("resource_account") is None]
        ask = partial(engine.decide_each, unknown=self.unknown, now=self.now)
        while left:
            rows = [self._tuple(self.rows[i]) for i in left]
            try:
                found |= zip(left, map(Answer, ask(rows)), strict=True)
                break
            except ERRORS as error:
                at = error.row if isinstance(error, RequestValueError) else int(error.__notes__[-1].removeprefix("row "))
                found |= zip(left[:at], map(Answer, ask(rows[:at])), strict=True)
                found[left[at]] = Answer(error=error)
                left = left[at + 1 :]
        fine = [i for i, answer in found.items() if answer.error is None] * 2
        allowed = engine.are_allowed([self._tuple(self.rows[i]) for i in fine], unknown=self.unknown, now=self.now)
        for i, one in zip(fine, allowed, strict=True):
            if found[i].error is None and one is not found[i].decision.allowed:
                found[i] = Answer(error=AssertionError(f"are_allowed: {one}, decide_each: {found[i].decision}"))
        return [found[i] if i in found else self.single(engine, row) for i, row in enumerate(self.rows)]

    def _tuple(self, row: Mapping[str, Json]) -> tuple[Any, str, str, dict[str, Any]]:
        return self.subject(row), row["action"], row["resource"], self.context(row)

    def batch(self, engine: Any, form: str) -> list[Answer]:
        """All rows in columns, those of a kind in two calls: only a batch without owners and lists takes the vectorised
        path, and a second one uses the principal truths that the first one memoized."""
        kinds: dict[tuple[bool, bool, bool], list[int]] = {}
        for index, row in enumerate(self.rows):
            lists = any(isinstance(value, list) for value in casefile.context_of(row).values())
            kinds.setdefault((row.get("resource_account") is not None, lists, 2 * index < len(self.rows)), []).append(index)
        answers: dict[int, Answer] = {}
        for (owned, *_), indexes in kinds.items():
            answers |= zip(indexes, self._call(engine, form, indexes, owned), strict=True)
        return [answers[i] for i in range(len(self.rows))]

    def _call(self, engine: Any, form: str, indexes: list[int], owned: bool) -> list[Answer]:
        """Some rows in one call; a row that is an error keeps its place.

        Arrow columns repeat them until there are several blocks: results of one are memoized for the next. Errors are reported
        row by row, which takes long, so that they are only among the first rows and the last ones. Without reasons there are
        shorter ways to decide, which are taken before the others or after them.
        """
        rows, order = [self.rows[i] for i in indexes], list(range(len(indexes)))
        fine = [at for at in order if self.expected[indexes[at]].error is None]
        if fine and form != "numpy" and not self.unknown:
            order = order + fine * -(-MANY // len(fine)) + order

        def column(values: list[Json], *, whole: bool = False) -> Any:
            if form == "arrow" and not whole and isinstance(values[0], str) and values.count(values[0]) == len(values):
                return values[0]  # one value for all rows
            return COLUMNS[form](values, order)

        sessions = {json.dumps(r["principal"]): self.subject(r) for r in rows if not isinstance(r["principal"], str)}
        names = [r["principal"] if isinstance(r["principal"], str) else json.dumps(r["principal"]) for r in rows]
        keys = self.keys if self.unknown else sorted({key for row in rows for key in row["context"]})
        contexts = [casefile.context_of(row) for row in rows]
        ask = partial(
            engine.decide_many,
            column(names),
            column([r["action"] for r in rows]),
            column([r["resource"] for r in rows], whole=True),
            {key: column(_cells(contexts, key)) for key in keys},
            unknown=self.unknown,
            resource_accounts=column([r.get("resource_account") for r in rows]) if owned else None,
            sessions=sessions,
            now=self.now,
            on_error="deny",
        )
        if form == "numpy":
            decisions, plain = ask(reasons=True), ask()
        else:
            plain, decisions = ask(threads=2 if form == "dictionary" else 1), ask(reasons=True)
        for found in (plain, decisions):
            if wrong := self._wrong_rows(found, indexes, order):
                answers = [Answer(error=AssertionError(f"row {wrong[0]} of {len(order)}: {found.outcome[wrong[0]]}, as {form}"))]
                return [answers[0] if at == order[wrong[0]] else self.expected[i] for at, i in enumerate(indexes)]
        if self.case.get("counts") and not owned:
            self._check_missing(plain, indexes, order, keys)
        last = range(len(order) - len(rows), len(order))
        return [Answer(error=decisions.errors[i]) if i in decisions.errors else Answer(decisions[i]) for i in last]

    def _wrong_rows(self, found: Any, indexes: list[int], order: list[int]) -> list[int]:
        """The rows of a batch whose outcome is not what is expected."""
        outcomes = [
            Outcome.ERROR if one.decision is None else one.decision.outcome for one in map(self.expected.__getitem__, indexes)
        ]
        return np.flatnonzero(found.outcome != np.array(outcomes, np.uint8)[order]).tolist()

    def _check_missing(self, found: Any, indexes: list[int], order: list[int], keys: Collection[str]) -> None:
        """Raise if the rows that lack a key are not as many as the specification counts (D75)."""
        folded, times = {fold(key) for key in keys}, Counter(order)
        wanted = Counter[str]()
        for at, index in enumerate(indexes):
            row = self.rows[index]
            if self.expected[index].error is None:
                context = dict.fromkeys(keys) | casefile.context_of(row)
                wanted.update({spelled(key): times[at] for key in self.missing(row, context, folded)})
        if found.missing_keys != dict(wanted):
            raise AssertionError(f"missing keys: {found.missing_keys}, the specification counts {dict(wanted)}")


def _cells(contexts: list[dict[str, Any]], key: str) -> list[Json]:
    """A column of texts, or of lists where one of its rows is one."""
    cells = [_cell(key, context.get(key)) for context in contexts]
    if not any(isinstance(cell, list) for cell in cells):
        return cells
    return [[cell] if isinstance(cell, str) else cell for cell in cells]


def _cell(key: str, value: Json) -> Json:
    """A cell of a text column, or of a column of lists."""
    if value is None:
        return None
    return [canonical_text(v, key) for v in value] if isinstance(value, list) else canonical_text(value, key)


def compare_directory(
    case: Mapping[str, Json], *, forms: tuple[str, ...] = ("numpy", "arrow", "dictionary")
) -> Iterator[tuple[int, str]]:
    """Rows on which the engine and the reference differ, each with how: one by one, in every form of batch, and in a batch of an
    engine that has seen none of their names."""
    world = World(case)
    engine = world.compile()
    runs: dict[str, Callable[[], list[Answer]]] = {
        "new": lambda: world.batch(world.compile(), forms[0]),
        "single": lambda: [world.single(engine, row) for row in world.rows],
        "again": lambda: [world.again(engine, row) for row in world.rows],
        "list": lambda: world.listed(engine),
    }
    runs |= {form: partial(world.batch, engine, form) for form in forms}
    if late := case.get("late"):
        runs["updated"] = lambda: world.expected if (grown := world.grown(late)) is None else world.batch(grown, "arrow")
    for name, answer in runs.items():
        try:
            answers = answer()
        except Exception as error:
            yield 0, f"{name}: the batch raised {error!r}"
            continue
        for index, (one, two) in enumerate(zip(world.expected, answers, strict=True)):
            if found := difference_between(one, two):
                yield index, f"{name}: {found}"
    if (later := world.later()) is not None:
        for row, one, two in zip(later.rows, later.expected, later.batch(engine, "arrow"), strict=True):
            if found := difference_between(one, two):
                yield world.rows.index(row), f"later: {found}"


# -- what is done with a difference ------------------------------------------------------------------------------------------


def fails_ad_hoc(case: Mapping[str, Json]) -> bool:
    return compare_ad_hoc(case) is not None


def fails_directory(case: Mapping[str, Json]) -> bool:
    return next(compare_directory(case), None) is not None


def one_row(case: Mapping[str, Json], index: int) -> dict[str, Json]:
    """The case with the one row that differs, if it differs alone too; else the whole batch."""
    alone = {k: value for k, value in case.items() if k != "requests"} | {"request": case["requests"][index]}
    return alone if fails_directory(alone) else dict(case)


def shrink(case: dict[str, Json], fails: Callable[[Mapping[str, Json]], bool]) -> dict[str, Json]:
    """The case with whatever can be left out left out: policies, statements, elements, entries, context keys."""
    changed = True
    while changed:
        changed = False
        for path in sorted(_paths(case), key=len):
            smaller = _without(case, path)
            if smaller is not None and _still(fails, smaller):
                case, changed = smaller, True
                break
    return case


def _still(fails: Callable[[Mapping[str, Json]], bool], case: Mapping[str, Json]) -> bool:
    try:
        return fails(case)
    except Exception:  # the case cannot be read without the part that was left out
        return False


DROPPABLE = ("policies", "directory", "request", "requests")


def _paths(value: Json, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if len(at) > 1:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        if at or name in DROPPABLE:
            yield from _paths(item, (*at, name))


def _without(case: dict[str, Json], path: tuple[str | int, ...]) -> dict[str, Json] | None:
    """A copy of the case without the value under `path`, or None where there is none any more."""
    copy = json.loads(json.dumps(case))
    parent = copy
    try:
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    needed = {"principal", "action", "resource", "context"}
    rows = copy.get("requests", [copy.get("request", {})])
    return copy if rows and all(needed <= row.keys() for row in rows) else None


def keep(case: Mapping[str, Json], difference: str, source: str, folder: Path) -> Path:
    """Write the case as a case file, with the reference's answer as what is expected."""
    name = hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()[:10]
    found = {"id": f"F{name}", "rule": "reference", "source": source, **case}
    if "request" in case:
        answer = World(case).reference(case["request"]) if "directory" in case else run(as_check(case), "reference")
        found |= {"request": {**case["request"], "now": NOW}, "expect": expected_of(answer)}
    found["why"] = difference.splitlines()[0]
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text("[\n" + casefile.dump_case(found) + "\n]\n")
    return path


def expected_of(answer: Answer) -> dict[str, Json]:
    """An answer as the `expect` of a case."""
    if answer.error is not None:
        return {"outcome": "ERR", "error": type(answer.error).__name__}
    decision = answer.decision
    found: dict[str, Json] = {"outcome": answer.outcome}
    found |= {p: getattr(decision, p) for p in POINTS[1:] if p != "statement"}
    ref = decision.statement
    found["statement"] = None if ref is None else {"policy": ref.policy, "index": ref.index, "level": ref.level}
    return json.loads(json.dumps(found))


def differs(kind: str, seed: int, rows: int = 60) -> tuple[int, list[Path]]:
    """As `examine`, but the file is only a name that says where the difference is."""
    import policy_generators as strategies

    if kind == "ad_hoc":
        return 1, [Path(f"ad_hoc-{seed}")] * fails_ad_hoc(strategies.ad_hoc(seed))
    try:
        found = next(compare_directory(strategies.directory(seed, rows)), None)
    except (PolicyError, DirectoryError):
        return 0, []
    return 5 * rows, [Path(f"directory-{seed}")] * (found is not None)


def examine(kind: str, seed: int, rows: int = 60, folder: Path = FOUND) -> tuple[int, list[Path]]:
    """Compare one generated case; shrink and keep what differs. How many comparisons were made, and the files written."""
    import policy_generators as strategies

    if kind == "ad_hoc":
        case = strategies.ad_hoc(seed)
        found = compare_ad_hoc(case)
        if found is None:
            return 1, []
        small = shrink(case, fails_ad_hoc)
        return 1, [keep(small, compare_ad_hoc(small) or found, f"fuzz ad_hoc {seed}", folder)]
    case = strategies.directory(seed, rows)
    try:
        differences = list(compare_directory(case))
    except (PolicyError, DirectoryError):
        return 0, []  # the generator wrote what a strict directory does not take; test_generator.py says how rarely
    if not differences:
        return 5 * rows, []
    index, found = differences[0]
    small = shrink(one_row(case, index), fails_directory)
    found = next((text for _, text in compare_directory(small)), found)
    return 5 * rows, [keep(small, found, f"fuzz directory {seed}", folder)]
