"""Generate `docs/rules.md`: each rule of `docs/semantics.md` with the functions that implement it and the cases that test it.

    python tools/rule_index.py            # write docs/rules.md
    python tools/rule_index.py --check    # exit 1 if the page is out of date, or a rule has neither a case nor a reason

A function implements the rules that its docstring, its comments and its `undetermined(...)` calls cite, in `fastiam.spec` and
`fastiam.policy`; `C10 to C12` cites three rules. A case tests the rules in its `rule`.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEMANTICS, PAGE = ROOT / "docs" / "semantics.md", ROOT / "docs" / "rules.md"
SOURCES, CASES = ROOT / "src" / "fastiam", ROOT / "tests" / "cases"
PACKAGES = ("spec", "policy")
MAX_CASES = 8  # of a rule, by id; the page counts the others

# Rules that no case can show, or that another kind of test shows.
WITHOUT_CASE = {
    "F4": "hint for implementations: the same results by two-valued tests",
    "G5": "default of AWS Organizations; a directory has the SCPs that its caller sets",
    "VR12": "representation of a compiled pattern",
    "D5": "ACLs are outside the model",
    "D32": "old roles with implicit self-trust are not modelled",
    "D75": "a count of batches: tests/properties/test_missing_keys.py",
    "N34": "entities are not renamed by a case: tests/unit/directory",
    "S3": "sessions that services assume are not issued here",
    "S5": "calls that are not modelled",
    "S21": "a required argument of the calls: tests/unit/sts",
    "S28": "a quota of the calls: tests/unit/sts",
    "S60": "in detail by the rules RW of federation-semantics.md: tests/cases/rolesanywhere.json",
    "S62": "in detail by the rules RW of federation-semantics.md: tests/cases/rolesanywhere.json",
    "S63": "a form of ARN that the model does not have",
}
# Packages that implement rules outside of the evaluator and the policy language, by the start of the id.
ELSEWHERE = {
    "F": "compile",
    "G": "directory",
    "N": "resolve, directory",
    "K": "resolve",
    "D": "resolve, directory, simulation",
    "VR": "policy",
    "A": "policy",
    "S": "sts",
    "IP": "policy",
    "RW": "rolesanywhere",
}

_DEFINITION = re.compile(r"^(?:- |\d+\. )\*\*([A-Z]+\d+)\*\* *(.*)|^\| (V\d+) \| (.*?) \|")
_SECTION = re.compile(r"^#{2,3} (\d+(?:\.\d+)?)\.? (.*)")
_ID = r"[A-Z]{1,2}\d+"
_CITED = re.compile(rf"\b({_ID})\b(?: to ({_ID})\b)?|(?<![\w.])([1-8]\.\d+)(?![\w.])")
_TEXT_SIZE = 90


class Rule:
    """A rule, with its section and the start of its text."""

    def __init__(self, name: str, section: str, text: str) -> None:
        self.name, self.section, self.text = name, section, text


def read_rules(text: str) -> tuple[dict[str, Rule], dict[str, str]]:
    """The rules by id, and the titles of the sections by number. Section 8 has cases and section 9 has reasons, not rules."""
    rules: dict[str, Rule] = {}
    titles: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if heading := _SECTION.match(line):
            section = heading[1]
            titles[section] = heading[2]
        elif section[:1] not in ("8", "9") and (found := _DEFINITION.match(line)):
            name = found[1] or found[3]
            rules[name] = Rule(name, section, _shorten(found[2] or found[4]))
    return rules, titles


def _shorten(text: str) -> str:
    text = re.sub(r"\*\*|\[(?:AWS|CHOICE|DERIVED|observed|third-party)[^]]*\]\.?", "", text).strip().replace("|", "\\|")
    first = re.split(r"(?<=[.;]) ", text)[0].rstrip(".:;")
    if len(first) <= _TEXT_SIZE:
        return first
    cut = first[:_TEXT_SIZE].rpartition(" ")[0]
    return cut + (" …" if cut.count("`") % 2 == 0 else "` …")


def cited(text: str, known: Iterable[str]) -> set[str]:
    """The rules and sections that a text cites."""
    names = set(known)
    found = set()
    for first, last, section in _CITED.findall(text):
        found |= {section} if section else set(_range(first, last or first, names))
    return found & (names | {name for name in found if "." in name})


def _range(first: str, last: str, known: set[str]) -> Iterator[str]:
    prefix = first.rstrip("0123456789")
    numbers = range(int(first[len(prefix) :]), int(last[len(prefix) :]) + 1)
    return (name for number in numbers if (name := f"{prefix}{number}") in known)


def read_functions(known: Iterable[str]) -> dict[str, list[str]]:
    """The functions, classes and modules of the evaluator and the loader by the rule that they cite."""
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((SOURCES / package).rglob("*.py")):
            module = ".".join(path.relative_to(SOURCES).with_suffix("").parts)
            for name, text in _texts(path.read_text()):
                for rule in cited(text, known):
                    found.setdefault(rule, []).append(f"{module}.{name}" if name else module)
    return {rule: sorted(set(names)) for rule, names in found.items()}


def _texts(source: str) -> Iterator[tuple[str, str]]:
    """The name and the citing text of each definition: its docstring, comments and short strings; "" for the module itself."""
    tree = ast.parse(source)
    comments = {
        t.start[0]: t.string for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT
    }
    owned: set[int] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            owned.update(lines)
            yield node.name, "\n".join((*_strings(node), *(comments[line] for line in lines if line in comments)))
    constants = [text for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) for text in _strings(node)]
    codes = [text for text in constants if re.fullmatch(_ID, text)]
    yield "", "\n".join((*codes, *(text for line, text in comments.items() if line not in owned)))


def _strings(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value


def read_cases(known: Iterable[str]) -> dict[str, list[str]]:
    """The ids of the cases by the rule or section that they cite."""
    found: dict[str, list[str]] = {}
    for path in sorted(CASES.glob("*.json")):
        if path.name.startswith("server"):
            continue  # their rules are those of the server, some of which have the same ids
        cases = json.loads(path.read_text())
        for case in cases if isinstance(cases, list) else ():
            for rule in cited(case.get("rule", ""), known):
                found.setdefault(rule, []).append(case["id"])
    return found


def problems(rules: dict[str, Rule], functions: dict[str, list[str]], cases: dict[str, list[str]]) -> list[str]:
    """The rules without a case or a function, and entries of the two lists above that no rule needs."""
    found = [f"{name} has no case: add one to tests/cases" for name in rules if name not in cases and name not in WITHOUT_CASE]
    found += [f"{name} has a case: remove it from WITHOUT_CASE" for name in WITHOUT_CASE if name in cases or name not in rules]
    lost = (name for name in rules if name not in functions and _package(name) == "")
    return found + [f"{name} is cited by no function of {' or '.join(PACKAGES)}" for name in lost]


def _package(rule: str) -> str:
    return ELSEWHERE.get(rule.rstrip("0123456789"), "")


def render(rules: dict[str, Rule], titles: dict[str, str], functions: dict[str, list[str]], cases: dict[str, list[str]]) -> str:
    """The page."""
    lines = [
        "# Rules, functions and cases",
        "",
        "Each rule of the [semantics](semantics.md), with the functions that implement it in the specification evaluator",
        "(`spec`) and the policy loader (`policy`), and with the cases in `tests/cases`, which every engine runs. Rules without",
        "a function belong to the packages in italics. `python tools/rule_index.py` writes this page.",
    ]
    for section in dict.fromkeys(rule.section for rule in rules.values()):
        lines += ["", f"## {section} {titles[section]}", "", "| Rule | Text | Functions | Cases |", "|---|---|---|---|"]
        if section in functions or section in cases:
            lines.append(_row(section, "the tables and text of the section", functions, cases))
        lines += [_row(rule.name, rule.text, functions, cases) for rule in rules.values() if rule.section == section]
    with_rules = {rule.section for rule in rules.values()}
    rest = [name for name in titles if name not in with_rules and (name in functions or name in cases)]
    lines += ["", "## Sections without numbered rules", "", "| Section | Title | Functions | Cases |", "|---|---|---|---|"]
    lines += [_row(name, titles[name], functions, cases) for name in rest]
    lines += ["", "## Rules without a case", "", "| Rule | Reason |", "|---|---|"]
    lines += [f"| {name} | {reason} |" for name, reason in WITHOUT_CASE.items()]
    return "\n".join(lines) + "\n"


def _row(name: str, text: str, functions: dict[str, list[str]], cases: dict[str, list[str]]) -> str:
    places = ", ".join(f"`{place}`" for place in functions.get(name, ())) or (f"*{_package(name)}*" if _package(name) else "")
    ids = cases.get(name, [])
    shown = ", ".join(ids[:MAX_CASES]) + (f" and {len(ids) - MAX_CASES} more" if len(ids) > MAX_CASES else "")
    return f"| {name} | {text} | {places} | {shown} |"


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="Compare the page instead of writing it.")
    check = parser.parse_args().check
    rules, titles = read_rules(SEMANTICS.read_text())
    functions, cases = read_functions(rules), read_cases(rules)
    found = problems(rules, functions, cases)
    page = render(rules, titles, functions, cases)
    if not check:
        PAGE.write_text(page)
    elif not PAGE.is_file() or PAGE.read_text() != page:
        found.append("docs/rules.md is out of date: run `python tools/rule_index.py`")
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
