"""Reads a test file into its tests (spec of test files, T1 to T16). Nothing in it is code, and it reads no environment.

INVARIANT: every error has the file, line and column of the value that causes it, and a code `TEST-...`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastiam.errors import SourceError, did_you_mean
from fastiam.model.decision import Layer, Reason
from fastiam.policy.json_text import Number
from fastiam.sources.files import File
from fastiam.sources.located_values import LocatedValue
from fastiam.testing.file_values import QUOTES, ErrorCollector, Variables, error, known_keys, listed
from fastiam.testing.invariants import InvariantTest, read_invariants
from fastiam.testing.sets import Sets, read_sets

SUFFIXES = (".iamtest.yaml", ".iamtest.yml", ".iamtest.json")
MAX_BYTES = 4 << 20
MAX_TESTS = 1_000
MAX_REQUESTS = 100_000  # of one test

EXPECTED = {  # the words of `expect`, and the outcomes that satisfy them
    "allowed": ("ALLOW",),
    "denied": ("IMPLICIT_DENY", "EXPLICIT_DENY"),
    "implicit_deny": ("IMPLICIT_DENY",),
    "explicit_deny": ("EXPLICIT_DENY",),
    "depends": ("DEPENDS",),
    "error": ("ERROR",),
}
CHANGE_KEYS = (
    "terraform", "cloudformation", "deployed", "stack_resources", "parameters", "replace", "assume_references", "account",
    "region",
)  # fmt: skip
DOCUMENT_LAYERS = ("identity", "boundary", "session", "resource", "endpoint", "scps", "rcps")
_PLURALS = {"principals": "principal", "actions": "action", "resources": "resource"}
_DETAILS = ("layer", "sid", "policy", "reason", "depends_on")
_REQUEST = ("principal", "action", "resource", "context", "now", "unknown", "actions_known", *_PLURALS)
_CASE_KEYS = (*_REQUEST, "expect", *_DETAILS)
_TEST_KEYS = ("name", *_CASE_KEYS, "cases", "allowed", "denied")
_FILE_KEYS = (
    "version",
    "name",
    "policies",
    "documents",
    "change",
    "mode",
    "variables",
    "sets",
    "context",
    "now",
    "unknown",
    "unknown_owner",
    "tests",
    "invariants",
    "use",
)
_PRINCIPAL_KEYS = (
    "role", "user", "root", "external", "name", "kind", "tags", "transitive_tags", "policies", "mfa", "issued_at",
    "source_identity", "context",
)  # fmt: skip
Context = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Example:
    """One request with what is expected of it, as the file says it: names are not looked up yet.

    Attributes
    ----------
    id
        `TEST[N]` with the number in its test, or `TEST`.
    at
        the value that the request comes from: a case, or the test.
    principal, action, resource
        their values, to be read where the policies are known.
    context
        the condition keys, `None` for one that is absent.
    now
        the instant as written, or None.
    expected
        a word of `EXPECTED`.
    details
        what else must hold: `layer`, `sid`, `policy`, `reason` as text, `depends_on` as a set of folded keys.
    """

    id: str
    at: LocatedValue
    principal: LocatedValue
    action: LocatedValue
    resource: LocatedValue
    context: Context
    now: LocatedValue | None
    unknown: tuple[str, ...]
    actions_known: bool
    expected: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ExampleTest:
    """A named test, and its examples in the order of the product: resources change faster than actions, contexts fastest."""

    name: str
    at: LocatedValue
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """A test file. `documents` are by layer, and not read. It has them or `policies` or `change`, unless the run has policies."""

    path: Path
    name: str
    root: LocatedValue
    policies: tuple[LocatedValue, ...]
    documents: Mapping[str, LocatedValue]
    change: LocatedValue | None
    mode: str
    unknown_owner: str
    variables: Variables
    sets: Sets
    tests: tuple[ExampleTest, ...]
    invariants: tuple[InvariantTest, ...]


def read_test_file(path: Path, shown: str, variables: Mapping[str, str]) -> ExampleFile:
    """Read one file.

    Parameters
    ----------
    path
        the file; its suffix says whether it is JSON or YAML.
    shown
        its name in messages and ids.
    variables
        those of the command line, which replace those of the file.

    Raises
    ------
    SourceError
        it cannot be read, or breaks a rule; a `TestFileErrors` if several values do.
    """
    root = _read(path, shown)
    if str(root.object().get("version")) != "1":
        raise error(root.get("version") or root, "a test file begins with `version: 1`", "TEST-MISSING")
    errors = ErrorCollector()
    with errors.collecting():
        known_keys(root, _FILE_KEYS)
    parts = [found for name in ("tests", "invariants", "use") if (found := root.get(name)) is not None]
    if not any(part.items() for part in parts):
        errors.check()
        raise error(parts[0] if parts else root, "a test file needs `tests`, `invariants` or `use`", "TEST-MISSING")
    tests = root.get("tests")
    given = tests.items() if tests is not None else []
    if tests is not None and len(given) > MAX_TESTS:
        raise error(tests, f"a file has at most {MAX_TESTS:,} tests", "TEST-LIMIT")
    documents, change = root.get("documents"), root.get("change")
    with errors.collecting():
        _check_sources(root, documents, change)
    with errors.collecting():
        own = {name: str(value.value) for name, value in _members(root.get("variables")) if _is_text(value)}
    with errors.collecting():
        sets = read_sets(root.get("sets"))
    with errors.collecting():
        mode = _word(root.get("mode"), ("strict", "lenient"), "strict")
        unknown_owner = _word(root.get("unknown_owner"), ("principal", "deny"), "principal")
    errors.check()  # the errors of tests would follow from these
    reader = _Reader(Variables({**own, **variables}), root, sets, errors)
    read = []
    for one in given:
        with errors.collecting():
            read.append(reader.test(one))
    with errors.collecting():
        invariants = read_invariants(root, reader.variables, reader.sets, errors)
    errors.check()
    _unique_names([*((one.name, one.at) for one in read), *((one.id, one.at) for one in invariants)])
    return ExampleFile(
        path,
        root.text_of("name") or shown,
        root,
        tuple(listed(root.get("policies"))),
        {} if documents is None else dict(documents.members()),
        change,
        mode,
        unknown_owner,
        reader.variables,
        reader.sets,
        tuple(read),
        invariants,
    )


def _check_sources(root: LocatedValue, documents: LocatedValue | None, change: LocatedValue | None) -> None:
    """Check that the policies are stated in one way."""
    if root.get("policies") is not None and documents is not None:
        raise error(documents, "`policies` and `documents` exclude each other", "TEST-SOURCE")
    if documents is not None:
        known_keys(documents, DOCUMENT_LAYERS)
    if change is None:
        return
    known_keys(change, CHANGE_KEYS)
    if not {"terraform", "cloudformation", "replace"} & change.object().keys():
        raise error(change, "`change` needs `terraform`, `cloudformation` or `replace`", "TEST-MISSING")
    for name in ("deployed", "stack_resources", "parameters"):
        if change.get(name) is not None and change.get("cloudformation") is None:
            raise error(change.need(name), f"`{name}` needs `cloudformation`", "TEST-SOURCE")
    if documents is not None:
        raise error(change, "`change` and `documents` exclude each other", "TEST-SOURCE")


def _read(path: Path, shown: str) -> LocatedValue:
    if path.stat().st_size > MAX_BYTES:
        raise SourceError(f"a test file has at most {MAX_BYTES >> 20} MiB [TEST-LIMIT]", source=shown)
    try:
        data = path.read_bytes()
    except OSError as failed:
        raise SourceError(f"cannot be read: {failed.strerror}", source=shown) from None
    if path.suffix == ".json":
        values = File(shown, data).values({})
        if len(values) != 1:
            raise SourceError("a test file has one JSON value", source=shown)
        return values[0]
    from fastiam.sources.yaml_text import read_yaml

    try:
        return read_yaml(shown, data, {})
    except SourceError as failed:
        place = {"source": failed.source, "line": failed.line, "column": failed.column}
        raise SourceError(failed.message, **place, hint=failed.hint or QUOTES) from None  # type: ignore[arg-type]


def _is_text(value: LocatedValue) -> bool:
    if not isinstance(value.value, str):
        raise error(value, "a variable is text or a number", "TEST-VARIABLE")
    return True


def _word(given: LocatedValue | None, words: Sequence[str], default: str) -> str:
    if given is None:
        return default
    if given.text() not in words:
        raise error(given, f"`{given.text()}` is none of {', '.join(words)}", "TEST-KEY", hint=did_you_mean(given.text(), words))
    return given.text()


def _members(given: LocatedValue | None) -> list[tuple[str, LocatedValue]]:
    return [] if given is None else given.members()


def _unique_names(names: Sequence[tuple[str, LocatedValue]]) -> None:
    seen: set[str] = set()
    for name, at in names:
        if name in seen:
            raise error(at, f"two tests are named `{name}`", "TEST-NAME", hint="names are unique in a file")
        seen.add(name)


@dataclass(slots=True)
class _Reader:
    """Reads tests with the defaults of their file. The errors of cases are collected; others of a test are raised."""

    variables: Variables
    root: LocatedValue
    sets: Sets
    errors: ErrorCollector

    def test(self, given: LocatedValue) -> ExampleTest:
        known_keys(given, _TEST_KEYS)
        named = given.get("name")
        if named is None:
            raise error(given, "a test needs `name`", "TEST-MISSING")
        name = self.variables.text(named)
        rows = list(self._rows(given))
        single = len(rows) == 1
        examples = tuple(
            Example(name if single else f"{name}[{number}]", *row)  # type: ignore[arg-type]
            for number, row in enumerate(rows)
        )
        return ExampleTest(name, given, examples)

    def _rows(self, test: LocatedValue) -> Iterator[tuple[object, ...]]:
        levels = [self.root, test]
        short = [test.get(name) for name in ("allowed", "denied")]
        if any(short):
            for name in ("expect", "cases", "action", "actions"):
                if test.get(name) is not None:
                    raise error(test.need(name), f"`{name}` excludes `allowed` and `denied`", "TEST-EXPECT")
            for word, actions in zip(("allowed", "denied"), short, strict=True):
                if actions is not None:
                    yield from self._product(test, levels, actions, [word])
            return
        cases = test.get("cases")
        if cases is None:
            yield from self._product(test, levels, None, None)
            return
        for case in cases.items():
            with self.errors.collecting():
                known_keys(case, _CASE_KEYS)
                yield from self._product(case, [*levels, case], None, None)

    def _product(
        self, at: LocatedValue, levels: Sequence[LocatedValue], actions: LocatedValue | None, words: list[str] | None
    ) -> Iterator[tuple[object, ...]]:
        """Yield the rows of one case: principals, actions, resources and contexts, the last ones fastest."""
        lists = [
            self.sets.expanded("principals", listed(self._need(at, levels, "principal"))),
            self.sets.expanded("actions", listed(actions or self._need(at, levels, "action"))),
            self.sets.expanded("resources", listed(self._need(at, levels, "resource"))),
        ]
        for given in lists[0]:
            if isinstance(given.value, dict):
                principal_keys(given)
        contexts = list(self._contexts(levels))
        n = len(lists[0]) * len(lists[1]) * len(lists[2]) * len(contexts)
        if n > MAX_REQUESTS:
            raise error(at, f"a test has at most {MAX_REQUESTS:,} requests, not {n:,}", "TEST-LIMIT")
        expect = self._last(levels[1:], "expect")
        if words is None:
            words = self._expected(at, expect, n, lists)
        unknown = tuple(self.variables.text(key) for key in listed(self._last(levels, "unknown")))
        details = dict(self._details(levels, words))
        if "depends" in words and not unknown and self.root.get("change") is None:
            raise error(expect or at, "`depends` needs `unknown`: no other decision depends on keys", "TEST-EXPECT")
        now, flag = self._last(levels, "now"), self._last(levels, "actions_known")
        known = flag is None or flag.flag()
        rows = itertools.product(*lists, contexts)
        for (principal, action, resource, context), word in zip(rows, itertools.cycle(words), strict=False):
            yield at, principal, action, resource, context, now, unknown, known, word, details

    def _last(self, levels: Sequence[LocatedValue], name: str) -> LocatedValue | None:
        """Return the nearest value of a key; `principals` is the same key as `principal`."""
        names = [name, *(plural for plural, one in _PLURALS.items() if one == name)]
        for level in reversed(levels):
            given = [
                found
                for each in names
                if level is not self.root or each not in _PLURALS
                if (found := level.get(each)) is not None
            ]
            if len(given) > 1:
                raise error(given[1], f"`{names[0]}` and `{names[1]}` are the same key", "TEST-KEY")
            if given:
                return given[0]
        return None

    def _need(self, at: LocatedValue, levels: Sequence[LocatedValue], name: str) -> LocatedValue:
        found = self._last(levels[1:], name)
        if found is None or found.value == []:
            raise error(found or at, f"a test needs `{name}`", "TEST-MISSING")
        return found

    def _expected(
        self, at: LocatedValue, given: LocatedValue | None, n: int, lists: Sequence[Sequence[LocatedValue]]
    ) -> list[str]:
        if given is None:
            raise error(at, "a test needs `expect`, or `allowed` and `denied`", "TEST-MISSING")
        words = [_word(each, tuple(EXPECTED), "") for each in listed(given)]
        if isinstance(given.value, list) and len(words) != n:
            order = ", ".join(f"({a.value}, {r.value})" for a, r in itertools.islice(itertools.product(lists[1], lists[2]), 3))
            raise error(given, f"{len(words)} outcomes for {n} requests; their order is {order}, ...", "TEST-EXPECT")
        return words

    def _contexts(self, levels: Sequence[LocatedValue]) -> Iterator[Context]:
        """Yield the contexts: each level replaces single keys, a list of mappings multiplies."""
        choices = [listed(found) for level in levels if (found := level.get("context")) is not None]
        for chosen in itertools.product(*choices):
            merged: dict[str, object] = {}
            spelled: dict[str, str] = {}
            for mapping in chosen:
                for key, value in mapping.members():
                    names = self._absent(value) if key == "absent" else [(key, self._value(value))]
                    for name, content in names:
                        merged.pop(spelled.get(name.lower(), ""), None)
                        spelled[name.lower()] = name
                        merged[name] = content
            yield merged

    def _absent(self, given: LocatedValue) -> list[tuple[str, None]]:
        return [(self.variables.text(each), None) for each in listed(given)]

    def _value(self, given: LocatedValue) -> object:
        value = given.value
        if isinstance(value, list):
            return [self._value(item) for item in given.items()]
        if isinstance(value, bool):
            return value
        if value is None or isinstance(value, dict):
            raise error(
                given,
                "a value is text, a number, true, false or a list of these",
                "TEST-KEY",
                hint="`absent: [KEY]` removes a key",
            )
        return str(value) if isinstance(value, Number) else self.variables.text(given)

    def _details(self, levels: Sequence[LocatedValue], words: Sequence[str]) -> Iterator[tuple[str, object]]:
        for name in _DETAILS:
            given = self._last(levels[1:], name)
            if given is None:
                continue
            if "denied" in words:
                hint = "expect `explicit_deny` or `implicit_deny`"
                raise error(given, f"`{name}` needs one outcome, and `denied` is two", "TEST-EXPECT", hint=hint)
            if len(set(words)) > 1:
                raise error(given, f"`{name}` needs one outcome for all requests of the test", "TEST-EXPECT")
            if name == "depends_on":
                if words[0] != "depends":
                    raise error(given, "`depends_on` needs `expect: depends`", "TEST-EXPECT")
                yield name, frozenset(self.variables.text(key).lower() for key in listed(given))
            elif name in ("layer", "reason"):
                yield name, _word(given, [str(each) for each in (Layer if name == "layer" else Reason)], "")
            else:
                yield name, self.variables.text(given)


def principal_keys(given: LocatedValue) -> Mapping[str, LocatedValue]:
    """Return the keys of a principal that is a mapping; exactly one of `role`, `user`, `root` and `external` is there."""
    known_keys(given, _PRINCIPAL_KEYS)
    members = dict(given.members())
    issuers = [name for name in ("role", "user", "root", "external") if name in members]
    if len(issuers) != 1:
        raise error(given, "a principal has one of `role`, `user`, `root` and `external`", "TEST-PRINCIPAL")
    return members
