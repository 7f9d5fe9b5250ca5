"""`docs/rules.md`: each rule of the semantics has a case or a reason, and the page is current."""

import importlib.util
import json
from pathlib import Path

import pytest

from fastiam.model.decision import Reason

ROOT = Path(__file__).resolve().parents[3]
CASES = ROOT / "tests" / "cases"
DECISIONS = ("account", "actions", "conditions", "cross_account", "grammar", "organization", "principals", "reported",
             "resources", "rules", "sessions", "stored", "unknown", "variables")  # fmt: skip


def _load_tool():
    spec = importlib.util.spec_from_file_location("rule_index", ROOT / "tools" / "rule_index.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = _load_tool()
RULES, TITLES = tool.read_rules(tool.SEMANTICS.read_text())
FUNCTIONS, COVERED = tool.read_functions(RULES), tool.read_cases(RULES)


def test_every_rule_has_a_case_and_a_function():
    assert tool.problems(RULES, FUNCTIONS, COVERED) == []


def test_rules_page_is_current():
    page = tool.render(RULES, TITLES, FUNCTIONS, COVERED)
    assert tool.PAGE.read_text() == page, "run `python tools/rule_index.py`"


@pytest.mark.parametrize("name", [*DECISIONS, "validation", "sts"])
def test_case_cites_existing_rules(name):
    for case in json.loads((CASES / f"{name}.json").read_text()):
        cited = [rule for rule in case["rule"].split() if not rule.startswith("O") and rule != "reference"]  # O: open points
        assert [rule for rule in cited if rule not in RULES and rule not in TITLES] == [], case["id"]


def test_every_reason_code_has_a_case():
    cases = [case for name in DECISIONS for case in json.loads((CASES / f"{name}.json").read_text())]
    assert {case["expect"].get("reason") for case in cases} >= {str(reason) for reason in Reason}


def test_rule_without_case_or_function_is_a_problem():
    rules = {"A1": tool.Rule("A1", "2.2", ""), "C10": tool.Rule("C10", "4.3", "")}
    found = tool.problems(rules, {}, {"A1": ["E040"]})
    assert "C10 has no case: add one to tests/cases" in found
    assert "C10 is cited by no function of spec or policy" in found


def test_cited_expands_ranges():
    known = ["C10", "C11", "C12", "C20"]
    assert tool.cited("absent keys (C10 to C12), 4.3 and spec 6.11, E040", known) == {"C10", "C11", "C12", "4.3", "6.11"}
