"""Condition blocks: operators, keys and values (spec 4.1, 4.2; V3, V13 to V23, V28 to V31, V38, V40, D43).

A block becomes one `ConditionEntry` per (operator, key). Values are texts as written (G12). An entry is `undetermined`
if the operator is unknown (V15) or the key is invalid (V17); texts with other defects are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from fastiam.model.key_registry import KEYS, KeyInfo, fold, key_info, note_spelling
from fastiam.model.policy import ConditionEntry, Effect, PolicyKind
from fastiam.model.source_map import Path
from fastiam.policy import variables as variable_syntax
from fastiam.policy.conditions.operators import BASE_OPERATORS, BY_FOLDED_NAME, IF_EXISTS, OPERATORS, QUALIFIERS, Operator
from fastiam.policy.conditions.value_syntax import READERS, is_arn_pattern
from fastiam.policy.elements import is_mixed_account, misplaced, no_variables
from fastiam.policy.findings import Problem, Problems, Reading, quote
from fastiam.policy.json_types import TEXT, json_type, read_object, scalar_text, wrong_type
from fastiam.policy.variables import START, mask

_WILDCARD = re.compile(r"[*?]+")
_GLOBAL_KEYS = tuple(info.name for name, info in KEYS.items() if name.startswith("aws:"))
_MIN_NEXT_TO_WILDCARD = 6  # D43: characters next to each wildcard


class _Key(NamedTuple):
    folded: str
    info: KeyInfo | None
    is_key: bool  # V17
    is_unknown_global: bool  # V40


def read_conditions(reading: Reading, value: object, path: Path, effect: Effect) -> tuple[ConditionEntry, ...]:
    """The entries of a `Condition` element, in order. Values of a wrong type are left out with a fatal finding."""
    block = read_object(reading, value, path)
    if block is None:
        return ()
    if not block:
        reading.add("V13", path, "the condition block is empty: the statement is unconditional")
    entries: list[ConditionEntry] = []
    for name, members in block.items():
        inner = read_object(reading, members, (*path, name), "an object of condition keys")
        if inner is not None:
            entries += _read_operator(reading, name, inner, (*path, name), effect)
    return tuple(entries)


def _read_operator(
    reading: Reading, name: str, members: Mapping[str, object], path: Path, effect: Effect
) -> list[ConditionEntry]:
    operator = OPERATORS.get(name) or _read_noncanonical_operator(reading, name, path)
    if not members:
        reading.add("V13", path, f"{quote(name)} has no condition keys")
        return [] if operator else [ConditionEntry(name, "", False, "", (), undetermined=True)]
    if operator and operator.family == "null" and operator.qualifier:
        hint = "use `Null` without a set operator"
        reading.add("V16", path, f"{quote(name)} does not test the values one by one", hint, at_name=True)
    entries, spellings = [], set()
    for key, values in members.items():
        known = _read_key(key)
        if known.folded in spellings:
            reading.add("V3", (*path, key), f"{quote(key)} occurs twice under one operator, in two spellings", at_name=True)
        spellings.add(known.folded)
        entries.append(_read_entry(reading, operator, name, key, known, values, (*path, key), effect))
    return entries


def _read_noncanonical_operator(reading: Reading, name: str, path: Path) -> Operator | None:
    """An operator that is not in its canonical form: another case (1.3), or unknown (V15)."""
    canonical = BY_FOLDED_NAME.get(name.lower())
    if canonical is not None:
        message = f"{quote(name)} is not the canonical name of a condition operator"
        reading.add("1.3", path, message, f"write `{canonical}`", at_name=True)
        return OPERATORS[canonical]
    if START in name:
        reading.add_all([misplaced(name, reading.variables, "in an operator")], path, at_name=True)
    reading.add("V15", path, f"unknown condition operator {quote(name)}", _operator_hint(reading, name), at_name=True)
    return None


def _operator_hint(reading: Reading, name: str) -> str:
    qualifier, colon, rest = name.rpartition(":")
    if colon and qualifier not in QUALIFIERS:
        return "the set operators are `ForAllValues:` and `ForAnyValue:`"
    base = rest.removesuffix(IF_EXISTS)
    if base == "Null":
        return "`Null` tests whether a key exists; leave out `IfExists`"
    similar = reading.did_you_mean(base, BASE_OPERATORS)
    return similar.replace("`?", f"{rest[len(base) :]}`?").replace("mean `", f"mean `{qualifier}{colon}")


@lru_cache(maxsize=1 << 12)
def _read_key(key: str) -> _Key:
    folded = fold(key)
    note_spelling(key)
    info = key_info(folded)
    is_key = ":" in key and folded.removesuffix("/") not in variable_syntax.TAG_KEYS
    return _Key(folded, info, is_key, variable_syntax.is_unknown_global(key))


def _read_entry(
    reading: Reading, operator: Operator | None, name: str, key: str, known: _Key, raw: object, path: Path, effect: Effect
) -> ConditionEntry:
    values = _read_values(reading, raw, path)
    if not known.is_key:
        what = "names no tag" if ":" in key else "has no service prefix"
        hint = "write the tag after a slash, such as `aws:PrincipalTag/team`" if ":" in key else "keys look like `aws:SourceIp`"
        reading.add("V17", path, f"condition key {quote(key)} {what}", hint, at_name=True)
    elif known.is_unknown_global:
        hint = reading.did_you_mean(key, _GLOBAL_KEYS)
        reading.add("V40", path, f"{quote(key)} is not a known global condition key", hint, at_name=True)
    if START in key:
        reading.add_all([misplaced(key, reading.variables, "in a condition key")], path, at_name=True)
    if isinstance(raw, (list, tuple)) and not raw:
        reading.add("V14", path, f"condition key {quote(key)} has no values")
    if operator is None:
        return ConditionEntry(name, "", False, key, values, undetermined=True)
    _check_key(reading, operator, key, known.info, path, effect)
    _check_values(reading, operator, values, known.info, path, is_list=isinstance(raw, (list, tuple)))
    return ConditionEntry(operator.base, operator.qualifier, operator.if_exists, key, values, not known.is_key)


def _read_values(reading: Reading, raw: object, path: Path) -> tuple[str, ...]:
    """The values as text (G12); V19 if their JSON types differ, V1 if one is not a scalar."""
    if type(raw) is str:
        return (raw,)
    if type(raw) is list and TEXT.issuperset(map(type, raw)):
        return tuple(raw)
    if not isinstance(raw, (list, tuple)):
        text = scalar_text(raw)
        if text is None:
            wrong_type(reading, path, raw, "text, a number, a boolean, or a list of these")
        return () if text is None else (text,)
    texts = []
    for i, item in enumerate(raw):
        text = scalar_text(item)
        if text is None:
            reading.add("V1", (*path, i), f"a list of condition values contains {json_type(item)}")
        else:
            texts.append(text)
    if len(texts) == len(raw) and len({json_type(item) for item in raw}) > 1:
        reading.add("V19", path, "the values of one condition key are of different JSON types", "quote them all")
    return tuple(texts)


def _check_key(reading: Reading, operator: Operator, key: str, info: KeyInfo | None, path: Path, effect: Effect) -> None:
    """The operator and the cardinality of the key (V22, V23), and in endpoint policies the kind of key (D43, K10)."""
    if info is None or operator.family == "null":
        return
    if info.multi and not operator.qualifier:
        hint = "put `ForAnyValue:` or `ForAllValues:` before the operator"
        reading.add("V22", path, f"{quote(key)} has several values and needs a set operator", hint, at_name=True)
    if not info.multi and operator.qualifier == "ForAllValues" and effect is Effect.ALLOW:
        hint = "`ForAllValues` is true if the key is absent: leave it out"
        reading.add("V23", path, f"{quote(key)} has one value and needs no `ForAllValues`", hint, at_name=True)
    if info.sensitive and operator.family == "numeric" and reading.kind is PolicyKind.VPCE:
        hint = "identifiers are text: use `StringEquals`"
        reading.add("D43", path, f"{quote(key)} is an identifier and takes no numeric operator here", hint, at_name=True)


def _check_values(
    reading: Reading, operator: Operator, values: Sequence[str], info: KeyInfo | None, path: Path, *, is_list: bool
) -> None:
    endpoint = reading.kind is PolicyKind.VPCE
    sensitive = info is not None and info.sensitive
    for i, text in enumerate(values):
        problems = value_problems(operator, text, reading.variables, sensitive, endpoint)
        if problems:
            reading.add_all(problems, (*path, i) if is_list else path)
    if operator.family == "bool" and len(values) > 1:
        reading.add("V20", path, f"`{operator.base}` has {len(values)} values", "write one of `true` and `false`")


@lru_cache(maxsize=1 << 14)
def value_problems(operator: Operator, text: str, variables: bool, sensitive: bool, endpoint: bool) -> Problems:
    """The problems of one value under an operator: V18, V21, V28 to V31, V38, V40, D43."""
    found = list(_variable_problems(operator, text, variables))
    live = variables and operator.variables
    if not any(problem.code in ("V29", "V30") for problem in found) and not _is_readable(operator, text, live):
        found.append(_unreadable(operator, text))
    masked = mask(text, live)
    if _WILDCARD.search(masked) and operator.variables:  # the operators that compare text
        found += _wildcard_problems(operator, text, masked, sensitive, endpoint)
    if endpoint and operator.family == "arn":
        fields = masked.split(":", 5)
        if len(fields) == 6 and is_mixed_account(fields[4]):
            found.append(Problem("D43", f"the account of {quote(text)} mixes digits and wildcards", "write the id, or `*`"))
    return tuple(found)


def _variable_problems(operator: Operator, text: str, variables: bool) -> Problems:
    if START not in text:
        return ()
    if not variables:
        return (no_variables(text),)
    if not operator.variables:
        message = f"{quote(text)} has a policy variable, which `{operator.base}` does not replace"
        return (Problem("V30", message, "variables are replaced under String and Arn operators"),)
    return variable_syntax.problems(text)


def _is_readable(operator: Operator, text: str, live: bool) -> bool:
    if operator.family == "arn":
        return is_arn_pattern(text, live)
    reader = READERS.get(operator.family)
    return reader is None or reader[0](text)


def _unreadable(operator: Operator, text: str) -> Problem:
    if operator.family == "arn":
        hint = "an ARN has six fields, `arn:partition:service:region:account:rest`, and any of them may be `*`"
        return Problem("V18", f"{quote(text)} is not an ARN, so `{operator.base}` cannot compare it", hint)
    return Problem("V18", f"`{operator.base}` cannot read {quote(text)}", f"write {READERS[operator.family][1]}")


def _wildcard_problems(operator: Operator, text: str, masked: str, sensitive: bool, endpoint: bool) -> Problems:
    found = []
    if not operator.wildcards:
        like = "StringNotLike" if "Not" in operator.base else "StringLike"
        found.append(Problem("V21", f"{quote(text)} is compared literally under `{operator.base}`", f"wildcards need `{like}`"))
    if sensitive:
        found.append(Problem("V38", f"{quote(text)} has a wildcard, and the key identifies a trusted party", "list the values"))
    if endpoint and operator.wildcards and operator.family == "string" and not _have_enough_characters(masked):
        message = f"a wildcard in {quote(text)} has fewer than {_MIN_NEXT_TO_WILDCARD} characters next to it"
        found.append(Problem("D43", message, "endpoint policies require longer values"))
    return tuple(found)


def _have_enough_characters(masked: str) -> bool:
    """Whether each wildcard has at least six characters before or after it (D43)."""
    pieces = _WILDCARD.split(masked)
    return all(max(len(a), len(b)) >= _MIN_NEXT_TO_WILDCARD for a, b in zip(pieces, pieces[1:], strict=False))
