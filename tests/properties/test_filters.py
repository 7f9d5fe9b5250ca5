"""Filters over random directories: each form equals `decide_many`, row by row (docs/frames-spec.md, section 3.5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import filter_worlds
import generator_names as v
import pytest
from filter_forms import FORMS
from filter_worlds import Decided

import fastiam
from fastiam.analysis import allow_formula
from fastiam.analysis.filter import build, formula
from fastiam.analysis.filter import row_conditions as conditions
from fastiam.analysis.filter import row_keys as keys
from fastiam.analysis.filter import row_statements as statements
from fastiam.analysis.filter.build import _Builder
from fastiam.analysis.filter.sql_form import SqlTarget
from fastiam.model.policy import Effect
from fastiam.model.profile import PrincipalKind
from fastiam.spec.three_valued import T

SEEDS = (1_001, 1_009, 1_012, 1_013, 1_016, 1_019, 1_026, 1_031, 1_038, 1_039)
ROWS = 100


@pytest.fixture(scope="module")
def decided() -> list[Decided]:
    return list(filter_worlds.decided(SEEDS, ROWS))


@pytest.mark.parametrize("form", FORMS)
def test_filter_equals_decisions(decided: list[Decided], form: str) -> None:
    """(a) Each exact form is true of a row if and only if its request is allowed, and never null (H41)."""
    expressible = [one for one in decided if one.case.filter.exact]
    assert [found for one in expressible if (found := one.difference(form))] == []


def test_negated_filter_is_its_complement(decided: list[Decided]) -> None:
    """`NOT (filter)` counts to the complement, in three-valued SQL too (H41)."""
    duckdb = pytest.importorskip("duckdb", reason="three-valued SQL")
    pa = pytest.importorskip("pyarrow", reason="the rows are an Arrow table")
    for one in [one for one in decided if one.case.filter.exact][:20]:
        try:
            expression = one.case.filter.sql()
        except fastiam.NotExpressible:
            continue
        requests = pa.table({name: pa.array(values, pa.string()) for name, values in one.case.rows.items()})  # noqa: F841
        counts = duckdb.sql(f"SELECT count(*) FILTER ({expression}), count(*) FILTER (NOT ({expression})) FROM requests")
        assert counts.fetchall()[0] == (sum(one.allowed), ROWS - sum(one.allowed))


def test_prefilter_drops_no_allowed_row(decided: list[Decided]) -> None:
    """(b) The prefilter is a superset, of inexact filters too."""
    assert [found for one in decided if (found := one.lost_row())] == []


def test_prefilter_has_simple_tests_only(decided: list[Decided]) -> None:
    leaves = {type(leaf) for one in decided for leaf in formula.leaves_of(one.case.filter.prefilter._formula)}
    assert leaves <= {formula.Equals, formula.StartsWith, formula.IsNull}


def test_apply_returns_the_allowed_rows(decided: list[Decided]) -> None:
    """(c) `apply` equals the decisions, whatever `exact` is."""
    pl = pytest.importorskip("polars", reason="the rows are a frame of Polars")
    for one in decided:
        frame = pl.DataFrame(one.case.rows, schema=dict.fromkeys(one.case.rows, pl.String)).with_row_index("at")
        expected = [row for row, allowed in enumerate(one.allowed) if allowed]
        assert one.case.filter.apply(frame)["at"].to_list() == expected


def test_kind_holds_of_all_rows(decided: list[Decided]) -> None:
    """(d) `never` and `always` are exact words: `always` is about each resource that a request accepts."""
    for one in decided:
        if one.case.filter.kind == "never":
            assert not any(one.allowed)
        if one.case.filter.kind == "always":
            readable = [arn == "*" or (arn or "").count(":") >= 5 for arn in one.case.rows["resource"]]
            assert all(allowed for allowed, can_be in zip(one.allowed, readable, strict=True) if can_be)


def test_worlds_cover_outcomes(decided: list[Decided]) -> None:
    """(e) The comparison has allowed rows, filters that depend on rows, and few that are not exact."""
    rows = sum(len(one.allowed) for one in decided)
    assert sum(sum(one.allowed) for one in decided) >= 0.15 * rows
    assert sum(one.case.filter.kind == "conditional" for one in decided) >= 0.3 * len(decided)
    assert sum(one.case.filter.exact for one in decided) >= 0.9 * len(decided)


LIMITS: dict[str, tuple[Any, int]] = {
    "MAX_NODES": (build, 3),
    "MAX_RESOURCES": (build, 0),
    "_MAX_ACCOUNTS": (build, 1),
    "_MAX_ENDPOINTS": (build, 1),
    "_MAX_ALTERNATIVES": (conditions, 3),
    "_MAX_TAGS": (keys, 0),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_filter_beyond_a_limit_loses_no_row(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """H50: what is not expressed is taken towards an allow, and no such filter says that it is exact."""
    module, value = LIMITS[limit]
    monkeypatch.setattr(module, limit, value)
    found = list(filter_worlds.decided((1_009, 1_013, 1_038), ROWS))
    assert [lost for one in found if (lost := one.lost_row())] == []
    assert [other for one in found if one.case.filter.exact and (other := one.difference("json"))] == []


# -- each operator ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def operators() -> fastiam.Engine:
    """A role for each operator, qualifier and effect, whose condition on `app:x` has two values."""
    directory = fastiam.Directory(mode="lenient")
    for operator in v.OPERATORS:
        family = v.FAMILY[operator]
        values = ["true"] if family == "null" else [*v.VALUES[family][:2], *v.BAD.get(family, ())[:1]]
        values += {"string": ["a*", "r?d", "${aws:PrincipalTag/no, 'red'}"], "ip": list(v.RANGES[:2])}.get(family, [])
        for qualifier in v.QUALIFIERS:
            for if_exists in ("", "IfExists") if family != "null" else ("",):
                condition = {f"{qualifier}{operator}{if_exists}": {"app:x": values}}
                allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
                deny = {**allow, "Effect": "Deny", "Condition": condition}
                name = f"{operator}{qualifier.removesuffix(':')}{if_exists}"
                for effect, statements_ in (("allow", [{**allow, "Condition": condition}]), ("deny", [allow, deny])):
                    policy = {"Version": "2012-10-17", "Statement": statements_}
                    directory.add_principal(f"arn:aws:iam::{v.A}:role/{name}-{effect}", identity_policies=[policy])
    return directory.compile()


@pytest.mark.parametrize("operator", v.OPERATORS)
def test_operator_on_a_column_equals_decisions(operators: fastiam.Engine, operator: str) -> None:
    """Each operator, with and without qualifier and `IfExists`, under an Allow and under a Deny, on values of all families."""
    texts = list(dict.fromkeys(text for family in v.VALUES for text in (*v.VALUES[family], *v.BAD.get(family, ()))))
    rows: dict[str, list[str | None]] = {"x": [None, *texts, "red", "rad", "aa", "K", "\u212a"]}
    rows["resource"] = ["arn:aws:s3:::b/x"] * len(rows["x"])
    names = [name for name, _ in operators.snapshot.names() if re.match(rf"{operator}(For|If|-)", name.rpartition("/")[2])]
    assert len(names) == (6 if operator == "Null" else 12)
    for name in names:
        case = filter_worlds.Case(name, "s3:GetObject", {"app:x": "x"}, {}, None, rows, operators)
        one = Decided(case, case.allowed())
        assert case.filter.exact
        assert [one.difference(form) for form in ("json", "polars")] == ["", ""], name
        assert one.lost_row() == ""


# -- planted faults ---------------------------------------------------------------------------------------------------------


def _without_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = statements._statement

    def planted(statement: Any, location: Any, row_keys: Any) -> Any:
        applies = sound(statement, location, row_keys)
        return replace(applies, formula=False) if statement.effect is Effect.DENY else applies

    monkeypatch.setattr(statements, "_statement", planted)


def _null_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = conditions.check_entry

    def planted(entry: Any, variables: bool, known: Any) -> Any:
        return T if entry.key.lower() not in known.context else sound(entry, variables, known)

    monkeypatch.setattr(conditions, "check_entry", planted)


def _like_for_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(self: SqlTarget, column: str, prefix: str, n: int | str) -> str:
        return f"{column} LIKE {prefix} || '%'"

    monkeypatch.setattr(SqlTarget, "_starts", planted)


def _without_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = keys.RowKeys._without_column
    derived = ("aws:securetransport", "aws:useragent", "aws:requestedregion")

    def planted(self: Any, key: str) -> Any:
        return [(True, None)] if key in derived and key in self.row.columns else sound(self, key)

    monkeypatch.setattr(keys.RowKeys, "_without_column", planted)


def _owner_inverted(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = _Builder._own_account

    def planted(self: Any, row: Any, own: str) -> Any:
        return ((formula.negation(condition), owner, account) for condition, owner, account in sound(self, row, own))

    monkeypatch.setattr(_Builder, "_own_account", planted)


def _without_crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_crossing", lambda pattern, rest, row_keys: False)


def _inexpressible_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = formula._bound
    monkeypatch.setattr(formula, "_bound", lambda node, keep, upwards, found: sound(node, keep, True, found))


def _star_for_federated_users(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = allow_formula.combine

    def planted(inputs: Any, verdicts: Any) -> Any:
        federated = inputs.kind is PrincipalKind.FED
        return sound(replace(inputs, kind=PrincipalKind.ROLE) if federated else inputs, verdicts)

    monkeypatch.setattr(allow_formula, "combine", planted)


def _account_of_the_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = _Builder._profiles

    def planted(self: Any, row: Any, sample: str, owner: Any) -> Any:
        principal, resource, endpoint = sound(self, row, sample, owner)
        field = "" if sample == "*" else sample.split(":")[4]
        return principal, replace(resource, account=field or principal.account), endpoint

    monkeypatch.setattr(_Builder, "_profiles", planted)


def _without_contradictions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "agree_on_principal", lambda row, principal: True)


# what is planted, the form that shows it, and a directory with which the comparison finds it
FAULTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, int]] = {
    "dropped_deny": (_without_denies, "json", 2_000),
    "null_as_true": (_null_is_true, "json", 1_200),
    "like_for_prefix": (_like_for_prefix, "sqlite", 1_200),
    "missing_default": (_without_defaults, "json", 1_361),
    "owner_inverted": (_owner_inverted, "json", 1_000),
    "no_crossing_reading": (_without_crossing, "json", 1_205),
    "inexpressible_as_true": (_inexpressible_is_true, "prefilter", 1_000),
    "star_for_federated_user": (_star_for_federated_users, "json", 1_438),
    "account_of_the_arn": (_account_of_the_arn, "json", 1_202),
    "no_contradictions": (_without_contradictions, "json", 2_000),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_comparison_finds_a_planted_fault(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """(f) Each of ten faults makes some row differ, or lets the prefilter drop an allowed row."""
    plant, form, seed = FAULTS[fault]
    plant(monkeypatch)
    shown = (
        one.lost_row() if form == "prefilter" else one.difference(form)
        for one in filter_worlds.decided((seed, *SEEDS), ROWS)
        if form == "prefilter" or one.case.filter.exact
    )
    assert any(shown)
