"""The constants that Python and the kernels share are equal, and none is missing on either side."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from pathlib import Path

import pytest

from fastiam import Outcome
from fastiam.compile import compiler, keys, layout
from fastiam.engine.decisions import LAYERS, NO_CODE, REASONS
from fastiam.model.decision import Layer
from fastiam.model.profile import PrincipalKind
from fastiam.policy.conditions import operators

KERNEL = Path(__file__).resolve().parents[2] / "src" / "fastiam" / "kernel"
HEADERS = [*sorted((KERNEL / "model").glob("*.pxd")), KERNEL / "eval" / "operators.pxd"]
QUALIFIERS_IN_C = {"": "PLAIN", "ForAllValues": "FOR_ALL", "ForAnyValue": "FOR_ANY"}

# what layout.py repeats, by the prefix of its names in C
PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    layout.PatternKind: "PATTERN_",
    layout.PatternFlag: "",
    operators.Comparison: "OP_",
    operators.Relation: "REL_",
    layout.AtomFlag: "ATOM_",
    layout.Source: "KEY_",
    layout.PrincipalFlag: "P_",
    layout.Certainty: "FACT_",
    layout.Form: "FORM_",
    layout.BodyFlag: "BODY_",
    layout.RecordFlag: "RECORD_",
    layout.ServiceMode: "MODE_",
    layout.ActionFlag: "ACT_",
    layout.Credential: "CRED_",
}
ALONE = {
    name: getattr(layout, name) for name in ("NONE", "NOT_READ", "NOT_READ_ONE", "TOKEN_ONE", "TOKEN_STAR", "TOKEN_VARIABLE")
}


def enums_of(header: Path) -> Iterator[tuple[str, list[str]]]:
    """Each enum of a header with the names of its numbers."""
    for enum, body in re.findall(r"^cdef enum ?(\w*):[^\n]*\n((?:    .*\n)+)", header.read_text(), re.M):
        yield enum, re.findall(r"^    ([A-Z]\w*) =", body, re.M)


def numbers() -> dict[str, int]:
    """Each number of an enum of the headers, by its name."""
    found: dict[str, int] = {}
    for header in HEADERS:
        for _, body in re.findall(r"^cdef enum ?(\w*):[^\n]*\n((?:    .*\n)+)", header.read_text(), re.M):
            for name, value in re.findall(r"^    ([A-Z]\w*) = ([^#\n]+)", body, re.M):
                found[name] = eval(value, {}, found)
    return found


IN_C = numbers()


@pytest.mark.parametrize(("enum", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", value))
def test_layout_enum_equals_kernel_enum(enum: type[IntEnum | IntFlag], prefix: str) -> None:
    assert {prefix + name: int(member) for name, member in enum.__members__.items()} == {
        prefix + name: IN_C.get(prefix + name) for name in enum.__members__
    }


def test_sets_of_sources_of_keys_equal_python_table() -> None:
    """Each source is in one set of what determines a key, or is treated by itself; `compile/keys.py` names the same keys."""
    sets = {name: bits for name, bits in IN_C.items() if name.startswith("OF_")}
    assert sum(bits.bit_count() for bits in sets.values()) == (functools.reduce(int.__or__, sets.values())).bit_count()
    alone = {source.name for source in layout.Source if not any(bits >> source & 1 for bits in sets.values())}
    assert alone == {"REGION", "TAG_KEYS"}
    clock = {layout.Source.TIME: "aws:epochtime", layout.Source.EPOCH: "aws:currenttime"}
    names = {"OF_CALLED_VIA": "aws:calledvia", "OF_SOURCE_ACCOUNT": "aws:sourceaccount", "OF_SOURCE_VPCE": "aws:sourcevpce"}
    followed = {source: name for of, name in names.items() for source in layout.Source if sets[of] >> source & 1}
    assert keys.DERIVED_FROM == followed | clock
    assert sets["OF_CLOCK"] == sum(1 << source for source in clock)
    assert max(layout.Source) == IN_C["KEY_SOURCE_LAST"]


def test_operator_sets_equal_properties_of_operators() -> None:
    """The kernel has sets of operators as bits."""
    of_text = {comparison for comparison in operators.Comparison if IN_C["TEXT_OPERATORS"] >> comparison & 1}
    assert of_text == operators.TEXT_COMPARISONS
    assert max(operators.Comparison) == IN_C["OP_LAST"]


def test_layout_constants_equal_kernel_constants() -> None:
    assert {name: IN_C[name] for name in ALONE} == ALONE
    assert IN_C["ACT_FORBID_SHIFT"] == layout.FORBID_SHIFT
    assert {name: IN_C[code] for name, code in QUALIFIERS_IN_C.items()} == layout.QUALIFIERS
    assert {kind: IN_C[f"KIND_{kind.name}"] for kind in PrincipalKind} == layout.KINDS


def test_credential_kinds_have_separate_bits_in_action_flags() -> None:  # 7.4
    assert max(layout.Credential) + layout.FORBID_SHIFT < 32
    assert max(layout.ActionFlag) < 1 << layout.FORBID_SHIFT


def test_kernel_enum_has_no_member_missing_in_layout() -> None:
    repeated = {prefix + name for enum, prefix in PREFIXES.items() for name in enum.__members__}
    repeated |= {*ALONE, "ACT_FORBID_SHIFT", *QUALIFIERS_IN_C.values(), *(f"KIND_{kind.name}" for kind in PrincipalKind)}
    seen = 0
    tables = [header for header in HEADERS if header.stem not in {"call", "decision"}]
    repeated |= {"OP_LAST", "KEY_SOURCE_LAST"}
    for enum, names in (pair for header in tables for pair in enums_of(header)):
        if repeated & set(names) and enum:
            assert set(names) <= repeated, enum
            seen += 1
    assert seen == len(PREFIXES) + 2  # qualifiers and kinds are not enums of the layout


def test_decision_layers_equal_model_layers_in_order() -> None:  # D50
    in_c = {name: number for name, number in IN_C.items() if name.startswith("LAYER_")}
    assert {f"LAYER_{layer.name}": number for number, layer in enumerate(LAYERS)} == in_c
    assert tuple(Layer) == LAYERS
    assert {f"LAYER_{layer.name}": number for layer, number in compiler.LAYERS.items()} == in_c


def test_decision_reasons_equal_kernel_reasons() -> None:  # 6.9
    in_c = {name: number for name, number in IN_C.items() if name.startswith("REASON_")}
    assert in_c.pop("REASON_NONE") == NO_CODE
    assert in_c.pop("REASON_PASS_ROLE") == REASONS.index("pass_role_account")
    assert in_c == {f"REASON_{name.upper()}": number for number, name in enumerate(REASONS) if name != "pass_role_account"}


def test_kernel_outcomes_equal_model_outcomes() -> None:  # 0.2
    assert {name: IN_C[name] for name in ("IMPLICIT_DENY", "ALLOW", "EXPLICIT_DENY")} == {
        outcome.name: int(outcome) for outcome in (Outcome.IMPLICIT_DENY, Outcome.ALLOW, Outcome.EXPLICIT_DENY)
    }


def test_key_that_another_one_follows_from_counts_as_read() -> None:  # 7.6
    assert keys.is_read("aws:CalledVia", {"aws:multifactorauthpresent"})
    assert keys.is_read("aws:SourceAccount", {"aws:sourceorgid"}) and not keys.is_read(
        "aws:SourceAccount", {"aws:calledviafirst"}
    )
