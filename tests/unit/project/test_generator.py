"""The fuzz generator is worth its time: what it writes is varied, reaches conditions, and every outcome is frequent."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import generator_names as v
import policy_generators as strategies
import pytest
from differential import N_AD_HOC, World, as_check
from request_generators import KINDS
from runners import run
from seeds import few_or_all

from fastiam.errors import DirectoryError, PolicyError
from fastiam.policy.conditions.operators import BASE_OPERATORS
from fastiam.spec import operators as spec_operators

CASES = Path(__file__).parents[2] / "cases"

N = 3_000  # the rarest operators are in one case of 500
N_ANSWERED = few_or_all(600, N_AD_HOC)  # of them the reference decides


@pytest.fixture(scope="module")
def cases():
    return [strategies.ad_hoc(seed) for seed in range(N)]


@pytest.fixture(scope="module")
def answers(cases):
    """The reference's answer to what every run compares, and whether a condition entry was tested on the way."""
    reached: list[bool] = []
    answers = []
    with watching_conditions(reached):
        for case in cases[:N_ANSWERED]:
            reached.append(False)
            answers.append(run(as_check(case), "reference"))
    return list(zip(cases[:N_ANSWERED], answers, reached, strict=True))


class watching_conditions:
    """Sets the last item of `reached` whenever the reference tests an entry of a condition block."""

    def __init__(self, reached: list[bool]) -> None:
        self.reached, self.patched = reached, pytest.MonkeyPatch()

    def __enter__(self) -> None:
        from fastiam.spec import conditions

        original = conditions.check_entry

        def watched(*args, **kwargs):
            self.reached[-1] = True
            return original(*args, **kwargs)

        for name, module in list(sys.modules.items()):
            if name.startswith("fastiam.spec") and getattr(module, "check_entry", None) is original:
                self.patched.setattr(module, "check_entry", watched)

    def __exit__(self, *_: object) -> None:
        self.patched.undo()


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["OK", "I", "E"])
def test_generator_outcomes_are_at_least_15_percent_each(answers, outcome):
    share = Counter(answer.outcome for _, answer, _ in answers)[outcome] / N_ANSWERED
    assert share >= 0.15


def test_generator_makes_few_errors(answers):
    assert sum(answer.outcome == "ERR" for _, answer, _ in answers) / N_ANSWERED <= 0.05


def test_generator_half_of_cases_reach_a_condition(answers):
    assert sum(reached for _, _, reached in answers) / N_ANSWERED >= 0.5


def test_generator_layers_have_every_possible_outcome(answers):
    seen = {(answer.decision.layer, answer.outcome) for _, answer, _ in answers if answer.error is None}
    both = {
        (layer, outcome) for layer in ("scp", "vpce", "resource", "identity", "boundary", "session") for outcome in ("I", "E")
    }
    wanted = both | {
        ("rcp", "E"),
        ("credential", "I"),
        ("service", "I"),
        ("service", "OK"),
        ("resource", "OK"),
        ("identity", "OK"),
    }
    assert wanted - {(str(layer), outcome) for layer, outcome in seen} == set()


def test_generator_makes_undetermined_decisions(answers):
    """F6: explicit denies and implicit denies that rest on an undetermined test."""
    seen = {a.outcome for _, a, _ in answers if a.error is None and a.decision.indeterminate}
    assert seen == {"I", "E"}


def test_generator_directory_rows_have_every_outcome():
    counts: Counter[str] = Counter()
    for seed in range(12):
        world = World(strategies.directory(seed))
        counts.update(world.reference(row).outcome for row in world.rows)
    total = sum(counts.values())
    assert {o: counts[o] / total >= share for o, share in {"OK": 0.15, "I": 0.15, "E": 0.15}.items()} == dict.fromkeys(
        ("OK", "I", "E"), True
    )
    assert 0 < counts["ERR"] / total <= 0.1


def test_generator_resource_denies_name_principals_and_wildcards():
    """Denies that vectorised steps evaluate, and for which the principal must be checked as well."""
    denies = [
        (json.dumps(statement.get("Principal", "*")), str(statement.get("Resource")).rpartition(":")[2])
        for seed in range(100)
        for stored in strategies.varied_directory(seed, 60)["directory"].get("resources", [])
        for statement in statements_of({"directory": stored})
        if statement["Effect"] == "Deny"
    ]
    assert sum("*" not in principal and re.search(r"[*][^*?$]+[*]", pattern) is not None for principal, pattern in denies) >= 50


# -- what occurs ----------------------------------------------------------------------------------------------------------


def statements_of(case: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    def walk(value: object) -> Iterator[Mapping[str, object]]:
        if isinstance(value, Mapping):
            if "Effect" in value:
                yield value
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    yield from walk(case.get("policies", case.get("directory")))


@pytest.fixture(scope="module")
def everything(cases):
    return [statement for case in cases for statement in statements_of(case)]


def test_specification_and_table_have_the_same_operators():
    """All but the specification read the table: the policies, the engine, the analyses, and the generator."""
    assert {*spec_operators.OPERATORS, "Null"} == set(BASE_OPERATORS) == set(v.OPERATORS)


def test_specification_and_table_agree_on_operators():
    """Columns V and W of 4.2, and C2."""
    of_spec = {name: (op.negated, op.variables, op.wildcards) for name, op in spec_operators.OPERATORS.items()}
    of_table = {name: (op.negated, op.variables, op.wildcards) for name, op in BASE_OPERATORS.items()}
    assert of_spec == {name: properties for name, properties in of_table.items() if name != "Null"}


def test_every_operator_has_a_case():
    text = "".join(file.read_text() for file in CASES.glob("*.json"))
    assert [name for name in v.OPERATORS if not re.search(f'"(?:[A-Za-z]+:)?{name}(?:IfExists)?"', text)] == []


@pytest.mark.slow
def test_generator_makes_every_operator_variant(everything):
    seen = {operator for s in everything for operator in s.get("Condition", {})}
    wanted = {q + op + e for op in v.OPERATORS for q in v.QUALIFIERS for e in ("", "IfExists") if op != "Null" or not e}
    assert sorted(wanted - seen) == []


def test_generator_makes_every_layer_and_principal_kind(cases):
    arguments = {name for case in cases for name in case["policies"]}
    assert len(arguments) == 7
    principals = json.dumps([case["request"]["principal"] for case in cases])
    for kind in ("ROLE", "SLR", "FED", "USER", "AROOT"):
        assert f'"kind": "{kind}"' in principals
    for bare in (
        v.ANA,
        v.DEP,
        v.session_arn(v.DEP, "run1"),
        v.federated(v.A, "kio"),
        v.root_of(v.A),
        v.SERVICES[0],
        v.SAML,
        v.OIDC,
        "*",
    ):
        assert json.dumps(bare) in principals
    assert len(KINDS) == 13


@pytest.fixture(scope="module")
def everything_as_text(everything):
    return json.dumps(everything)


VARIABLE_FORMS = {
    "plain": r"\$\{aws:username\}",
    "other case": r"\$\{AWS:UserName\}",
    "default": r"\$\{[\w:/]+, '\w+'\}",
    "star": r"\$\{\*\}",
    "question mark": r"\$\{\?\}",
    "dollar": r"\$\{\$\}",
    "tag": r"\$\{aws:PrincipalTag/team\}",
    "multivalued": r"\$\{app:list\}",
    "with a wildcard beside": r"\}\*",
    "no end": r"\$\{aws:username\"",
    "no name": r"\$\{\}",
    "no space": r"\$\{aws:username,'x'\}",
    "empty default": r", ''\}",
    "in another field": r"us-east-1:\$\{",
}


@pytest.mark.parametrize("form", VARIABLE_FORMS)
def test_generator_makes_every_form_of_variable(everything_as_text, form):
    """VR3, V28, V29."""
    assert re.search(VARIABLE_FORMS[form], everything_as_text)


ELEMENT_FORMS = {
    "NotAction": lambda s: "NotAction" in s,
    "NotResource": lambda s: "NotResource" in s,
    "NotPrincipal Deny": lambda s: "NotPrincipal" in s and s["Effect"] == "Deny",
    "NotPrincipal Allow": lambda s: "NotPrincipal" in s and s["Effect"] == "Allow",
    "no resource": lambda s: not {"Resource", "NotResource"} & s.keys(),
    "unknown element": lambda s: "Comment" in s,
    "empty NotAction": lambda s: s.get("NotAction") == [],
    "empty NotResource": lambda s: s.get("NotResource") == [],
    "star": lambda s: s.get("Principal") == "*",
    "AWS star": lambda s: s.get("Principal") == {"AWS": "*"},
    "service": lambda s: "Service" in (s.get("Principal") or {}),
    "federated": lambda s: "Federated" in (s.get("Principal") or {}),
    "canonical user": lambda s: "CanonicalUser" in (s.get("Principal") or {}),
    "unknown form": lambda s: "User" in (s.get("Principal") or {}),
    "malformed action": lambda s: s.get("Action") in v.BAD_ACTIONS,
    "malformed resource": lambda s: s.get("Resource") in v.BAD_RESOURCES,
    "short resource": lambda s: str(s.get("Resource")).count(":") < 5 and str(s.get("Resource")).endswith("*"),
    "mixed type word": lambda s: re.search(r"iam::\d+:\w*[*?]\w", str(s.get("Resource"))),
    "empty values": lambda s: any([] in block.values() for block in s.get("Condition", {}).values()),
}


@pytest.mark.parametrize("form", ELEMENT_FORMS)
def test_generator_makes_every_form_of_element(everything, form):
    assert any(ELEMENT_FORMS[form](statement) for statement in everything)


def test_generator_makes_unusual_context(cases):
    """C5, C6, C22, C32: several values, none, contradicting spellings, unparsable texts, bytes."""
    contexts = [case["request"]["context"] for case in cases]
    assert any(value == [] for c in contexts for value in c.values())
    assert any(isinstance(value, list) and len(value) > 1 for c in contexts for value in c.values())
    assert any(c.get("aws:RequestTag/Team", 0) != c.get("aws:RequestTag/team", 0) for c in contexts)
    assert any(value in v.BAD["date"] for c in contexts for value in c.values() if isinstance(value, str))
    assert any(isinstance(value, Mapping) for c in contexts for value in c.values())


def test_generator_makes_principals_of_no_form(cases):
    texts = [case["request"]["principal"] for case in cases if isinstance(case["request"]["principal"], str)]
    assert any(text != text.strip() for text in texts) and any(text.startswith("ARN:") for text in texts)
    requests = [request for seed in range(4) for request in strategies.varied_directory(seed, 60)["requests"]]
    assert any(str(request["principal"]) != str(request["principal"]).strip() for request in requests)


def test_generator_equal_seeds_give_equal_cases():
    assert strategies.ad_hoc(7) == strategies.ad_hoc(7) and strategies.directory(7) == strategies.directory(7)


def test_generator_directories_can_nearly_all_be_built():
    refused = []
    for seed in range(80):
        try:
            World(strategies.directory(seed, 30))
        except (PolicyError, DirectoryError) as error:
            refused.append(str(error))
    assert len(refused) <= 1, refused


@pytest.mark.parametrize("element", ["Action", "Resource", "Principal"])
def test_generator_makes_long_lists(everything, element):
    """What an engine indexes: more entries than it would scan."""
    lists = [s[element] for s in everything if isinstance(s.get(element), list)]
    maps = [s[element].values() for s in everything if isinstance(s.get(element), Mapping)]
    sizes = [len(entries) for entries in (*lists, *(e for values in maps for e in values if isinstance(e, list)))]
    assert max(sizes) >= 40


def test_generator_makes_literals_longer_than_64_bytes(everything):
    assert any(re.search(r"[^*?$]{90}", r) for s in everything for r in [str(s.get("Resource"))] if r.startswith("arn:"))
