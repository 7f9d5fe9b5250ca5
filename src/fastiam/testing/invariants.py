"""The invariants of a test file: `invariants`, and `use` with templates. They are proved over the policies of the file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastiam.errors import PolicyError, RequestValueError, did_you_mean
from fastiam.policy.json_text import Number
from fastiam.sources.located_values import LocatedValue
from fastiam.testing.file_values import ErrorCollector, Variables, error, known_keys
from fastiam.testing.report import ExampleResult, Status
from fastiam.testing.sets import KINDS, Sets
from fastiam.testing.templates import OF_ORGANIZATION, Template, expanded, find_template, template_names, without_empty_blocks

if TYPE_CHECKING:
    from fastiam.analysis.invariants.model import Invariant, InvariantResult
    from fastiam.api.engine import Engine
    from fastiam.directory.stored_policies import Mode
    from fastiam.testing.planned import Planned

MAX_INVARIANTS = 1_000  # of a file
_SCOPE = ("principals", "except", "actions", "except_actions", "resources", "except_resources", "given", "only_if")
_QUANTIFIERS = ("never", "always", "sometimes")
_KEYS = ("name", "description", *_QUANTIFIERS, "through", "severity", "keys", "closed", "timeout", "limit")
_TIMEOUT, _LIMIT = 60.0, 300_000
_SENSITIVE = "(sensitive): the plan marks a document as sensitive, so that the explanation is not shown"


@dataclass(frozen=True, slots=True)
class InvariantTest:
    """An invariant of a file, or of a template.

    Attributes
    ----------
    id
        its name, after that of its template.
    at
        where it is written, or where the template is used.
    content
        the value, with its variables replaced; of a template with its parameters.
    template, given
        the template, and the parameters that the file gives.
    sets
        the named lists of the file.
    """

    id: str
    at: LocatedValue
    content: Mapping[str, Any]
    template: Template | None
    given: Mapping[str, Any]
    sets: Mapping[str, Mapping[str, Sequence[Any]]]


def read_invariants(root: LocatedValue, variables: Variables, sets: Sets, errors: ErrorCollector) -> tuple[InvariantTest, ...]:
    """Read `invariants` and `use` of a file. The errors of single ones are collected.

    Raises
    ------
    SourceError
        a key, a name or a template is not known.
    """
    named = {
        kind: {name: [_plain(one, variables) for one in items] for name, items in sets.by_kind.get(kind, {}).items()}
        for kind in KINDS
    }
    found: list[InvariantTest] = []
    for name, read in (("invariants", _own), ("use", _used)):
        given = root.get(name)
        for one in given.items() if given is not None else ():
            with errors.collecting():
                found += read(one, variables, named)
    if len(found) > MAX_INVARIANTS:
        raise error(root, f"a file has at most {MAX_INVARIANTS:,} invariants", "TEST-LIMIT")
    return tuple(found)


def _own(one: LocatedValue, variables: Variables, sets: Mapping[str, Any]) -> Iterator[InvariantTest]:
    known_keys(one, _KEYS)
    name, quantifiers = one.get("name"), [key for key in _QUANTIFIERS if one.get(key) is not None]
    if name is None:
        raise error(one, "an invariant needs `name`", "TEST-MISSING")
    if len(quantifiers) != 1:
        raise error(one, "an invariant needs one of `never`, `always` and `sometimes`", "TEST-MISSING")
    scope = one.need(quantifiers[0])
    known_keys(scope, _SCOPE)
    for key in ("principals", "actions"):
        if scope.get(key) is None:
            raise error(scope, f"`{quantifiers[0]}` needs `{key}`", "TEST-MISSING")
    content = _plain(one, variables)
    for key, words in (("severity", ("error", "warning")), ("keys", ("aws", "any")), ("through", ("none", "roles"))):
        if content.get(key, words[0]) not in words:
            raise error(one.need(key), f"`{content[key]}` is none of {', '.join(words)}", "TEST-KEY")
    for key in ("timeout", "limit"):
        if key in content and not _is_number(content[key]):
            raise error(one.need(key), f"`{key}` is a number above 0", "TEST-KEY")
    closed = one.get("closed")
    yield InvariantTest(
        variables.text(name), one, {**content, "closed": closed is None or closed.flag()}, None, {}, sets
    )  # fmt: skip


def _is_number(text: object) -> bool:
    try:
        return float(str(text)) > 0
    except ValueError:
        return False


def _used(one: LocatedValue, variables: Variables, sets: Mapping[str, Any]) -> Iterator[InvariantTest]:
    known_keys(one, ("template", "with"))
    named = one.get("template")
    if named is None:
        raise error(one, "`use` needs `template`", "TEST-MISSING")
    name = variables.text(named)
    template = find_template(name)
    if template is None:
        raise error(named, f"there is no template `{name}`", "TEST-TEMPLATE", hint=did_you_mean(name, template_names()))
    arguments = one.get("with")
    if arguments is not None:
        known_keys(arguments, list(template.parameters))
    parameters = {} if arguments is None else _plain(arguments, variables)
    for parameter in template.parameters:
        if parameter not in (*parameters, *template.defaults, *OF_ORGANIZATION):
            raise error(one, f"the template needs `{parameter}`", "TEST-TEMPLATE", hint=template.parameters[parameter])
    for invariant in template.invariants:
        yield InvariantTest(f"{name}/{invariant['name']}", one, invariant, template, parameters, sets)


def _plain(given: LocatedValue, variables: Variables) -> Any:
    """Return a value with variables replaced in its texts."""
    value = given.value
    if isinstance(value, dict):
        return {key: _plain(child, variables) for key, child in given.members()}
    if isinstance(value, list):
        return [_plain(item, variables) for item in given.items()]
    if isinstance(value, bool) or value is None:
        return value
    return str(value) if isinstance(value, Number) else variables.text(given)


class InvariantProver:
    """Proves the invariants of a file over its policies. `warnings` is added to (T28)."""

    def __init__(
        self, engine: Engine | None, planned: Planned | None, layers: Mapping[str, Any], mode: Mode, warnings: list[str]
    ) -> None:
        self._engine, self._planned, self._layers, self._mode, self.warnings = engine, planned, layers, mode, warnings

    def result(self, id_: str, test: InvariantTest) -> ExampleResult:
        """Return what came of an invariant.

        Raises
        ------
        SourceError
            it cannot be read.
        """
        from fastiam.analysis.invariants.ad_hoc_documents import prove_invariant_of_documents
        from fastiam.analysis.invariants.prove_invariant import prove_invariant

        began = time.monotonic()
        try:
            invariant = self.invariant(test)
            timeout, limit = test.content.get("timeout", _TIMEOUT), test.content.get("limit", _LIMIT)
            budget: dict[str, Any] = {"limit": int(float(limit)), "timeout": float(timeout)}
            if self._engine is None:
                found = prove_invariant_of_documents(invariant, self._layers, mode=self._mode, **budget)
            else:
                found = prove_invariant(self._engine, invariant, **budget)
        except RequestValueError as failed:
            raise error(test.at, failed.message, "TEST-INVARIANT", hint=failed.hint) from None
        except PolicyError as rejected:
            first = rejected.findings[0]
            raise error(test.at, first.message, first.code, hint=first.hint) from None
        return self._shown(id_, test, invariant, found, time.monotonic() - began)

    def invariant(self, test: InvariantTest) -> Invariant:
        """Return the invariant of a test, of a template with its parameters."""
        from fastiam.analysis.invariants.model import Invariant

        content = test.content
        if test.template is not None:
            parameters = {**self._of_organization(test), **test.template.defaults, **test.given}
            content = expanded(content, parameters)
            content = {key: without_empty_blocks(value) if key == "never" else value for key, value in content.items()}
        scopes = {key: content[key] for key in _QUANTIFIERS if key in content}
        return Invariant(
            **scopes,
            name=test.id,
            description=content.get("description", ""),
            severity=content.get("severity", "error"),
            keys=content.get("keys", "aws"),
            closed=content.get("closed", True),
            through=content.get("through", "none"),
            sets=test.sets,
        )

    def _of_organization(self, test: InvariantTest) -> dict[str, Any]:
        organization = None if self._engine is None else self._engine.snapshot.tables.organization
        if organization is None:
            raise error(test.at, "the policies have no organization, which the template is about", "TEST-TEMPLATE")
        accounts = sorted(organization.accounts())
        management = organization.management_account
        if management is None:
            raise error(test.at, "the management account of the organization is not known", "TEST-TEMPLATE")
        return {"org": organization.id, "management": management, "source_arns": [f"arn:*:*:*:{one}:*" for one in accounts]}

    def _shown(
        self, id_: str, test: InvariantTest, invariant: Invariant, found: InvariantResult, seconds: float
    ) -> ExampleResult:
        result = found.result.value
        status: Status = "passed" if result == "holds" else "failed" if result == "fails" else "undecided"
        actual, text, paste = result, found.reason, ""
        request: dict[str, Any] = {
            "principal": _text(invariant.scope["principals"]),
            "action": _text(invariant.scope["actions"]),
            "resource": _text(invariant.scope.get("resources", "known")),
            "context": {},
        }
        unknown = self._planned is not None and bool(self._planned.unknown or self._planned.open)
        if unknown and status != "failed":
            status, actual, text = "undecided", "undecided", "values of the plan are known after apply"
        is_sensitive = self._planned is not None and self._planned.is_sensitive
        denied = invariant.quantifier == "always"
        if status == "failed" and found.request is None:
            actual, text = "no request is allowed", found.vacuous
        elif status == "failed" and found.request is not None:
            one = found.request
            context = dict(one.context)
            request = {"principal": one.principal, "action": one.action, "resource": one.resource, "context": context}
            actual = "a request is denied" if denied else "a request is allowed"
            actual += f" ({found.note})" if found.note else ""
            steps = [f"{step.principal} {step.action} {step.resource}" for step in found.path[:-1]]
            text = _SENSITIVE if is_sensitive else "\n".join([*steps, str(found.explanation)])
            if not found.note and one.session is None:
                case = {**request, "expect": "denied" if denied else "allowed"}
                paste = f"- {json.dumps({key: value for key, value in case.items() if value}, ensure_ascii=False, default=str)}"
        if found.vacuous:
            self.warnings.append(f"{id_} is vacuous: {found.vacuous}")
        self.warnings += (f"{id_} assumes: {assumption}" for assumption in found.assumptions)
        if status == "failed" and invariant.severity == "warning":
            self.warnings.append(f"{id_} fails: {request['principal']}, {request['action']}, {request['resource']}: {actual}")
            status = "passed"
        line, column = test.at.place()
        statement = None if is_sensitive else found.statement
        place = test.at.source.name, line, column
        expected = f"{invariant.quantifier} allowed"
        return ExampleResult(id_, *place, status, request, expected, actual, text, paste, seconds, statement)


def _text(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
