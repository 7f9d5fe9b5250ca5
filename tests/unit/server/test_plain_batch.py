"""Batches that are answered from the bytes of their body: which are, and that the general way answers the same (G220)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from authzen_fixture import ACCOUNT, ALL_SCOPES, NOW, TRUSTED, World, directory, entities

from fastiam.server._plain_batch import PlainBatch
from fastiam.server.http import Request, Response
from fastiam.server.identity import ASSERT_CONTEXT, ASSERT_TAGS, EXPLAIN
from fastiam.server.protocol import Place
from fastiam.server.protocols.authzen import evaluation
from fastiam.server.protocols.authzen.reading import Reader

CONFIG = {
    "context": {"ip": "aws:SourceIp"},
    "subjects": {"person": {"session_of": f"arn:aws:iam::{ACCOUNT}:role/people"}},
    "resources": {"open": {"resource": "arn:aws:record:::record/{id}", "action_prefix": "record"}},
}
ENCODED = {
    **CONFIG,
    "subjects": {
        **CONFIG["subjects"],
        "odd": {"session_of": f"arn:aws:iam::{ACCOUNT}:role/people", "encoding": "base32hex"},
        "long": {"session_of": f"arn:aws:iam::{ACCOUNT}:role/people", "encoding": "hash"},
    },
}
ENGINE = directory().compile()
ALICE, LIST, ONE = (
    b'"subject":{"type":"user","id":"alice"}',
    b'"action":{"name":"list"}',
    b'"resource":{"type":"record","id":"record-1"}',
)
ADDRESS = b'"context":{"aws:SourceIp":"10.0.0.1"}'
FACTS = b'"context":{"ip":"10.0.0.1","aws:MultiFactorAuthPresent":true,"aws:MultiFactorAuthAge":%b,"aws:CurrentTime":"x"}'
DEFAULTS = b",".join((ALICE, LIST, ADDRESS))
SEEDS = (
    b'{%b,"evaluations":[{%b},{"resource":{"type":"open","id":"record-2"}},{%b,"action":{"name":"record:write"}}]}'
    % (DEFAULTS, ONE, ONE),
    b'{"evaluations": [ {%b , %b,\t%b, %b},\r\n {"subject": {"id": "ana", "type": "person"}, %b, %b, "context": {}} ]}\n'
    % (ALICE, LIST, ONE, ADDRESS, ONE, LIST),
    b'{"evaluations":[{},{"context":{"ip":"::1","aws:MultiFactorAuthPresent":true,"x:\xc3\xa9":"\xe2\x82\xac"}},{}],%b,%b}'
    % (DEFAULTS, ONE),
    b'{%b,%b,"evaluations":[{"action":{"name":"delete","properties":{"soft":true}}},{"subject":null},{"extra":[1.5]}],"options":{}}'
    % (DEFAULTS, ONE),
    b'{%b,%b,"evaluations":[{"resource":{"type":"open","id":"record-2"}},{"action":{"name":"write"}},{}]}'
    % (b",".join((ALICE, LIST)), ONE),
    b'{%b,"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[{%b},{%b},{%b}]}'
    % (b",".join((ALICE, LIST)), ONE, FACTS % b"9", ONE),
    b'{%b,"context":{"ip":"\\u0031.2.3.4","a":{"b":[]}},"evaluations":[{%b},{"resource":{"type":"x","id":"no"}}]}'
    % (b",".join((ALICE, LIST)), ONE),
)
PIECES = (
    *b'{}[],:"\\ \n0e-\x00\x1f\x7f\x80\xc3\xff',
    *(b'"id"', b'"type"', b"null", b"true", b'"subject"', b'"evaluations":[{}]', b'"a":1,'),
    *(b"{},", b",{}", b",{%b}" % ONE, b"},{", b"  ", b"\t", b"2", b"\xc3\xa9", ADDRESS + b","),
    *(part + b"," for part in (ALICE, LIST, ONE)),
)


SINGLES = (
    b"{%b,%b,%b,%b}" % (ALICE, LIST, ONE, FACTS % b"300"),
    b"{%b,%b}" % (DEFAULTS, ONE),
    b' {"context": {"ip":"::1"} ,%b,%b,%b}\n' % (ONE, LIST, ALICE),
    b'{%b,%b,%b,"evaluations":[]}' % (ALICE, LIST, ONE),
    b'{%b,%b,"resource":{"type":"open","id":"record-2","properties":{"a":"b"}}}' % (ALICE, LIST),
)


def mutants(count: int, seed: int, seeds: Sequence[bytes] = SEEDS) -> Iterator[bytes]:
    """Bodies with one to three changes: bytes and slices that are removed, inserted, replaced, repeated or moved."""
    chance = random.Random(seed)
    for _ in range(count):
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(body) + 1)
            size = chance.choice((0, 1, 1, 2, 8, len(ONE), len(DEFAULTS)))
            piece = chance.choice(PIECES)
            new = bytes([piece]) if isinstance(piece, int) else piece
            change = chance.randrange(5)
            if change == 0:
                new = b""
            elif change == 1:
                new = bytes(body[start : start + size]) * 2
            elif change == 2:
                other = chance.randrange(len(body) + 1)
                new = bytes(body[other : other + size])
            body[start : start + (size if change != 3 else 0)] = new
        yield bytes(body)


ENTITIES: dict[str, list[Any]] = {
    "subject": [
        {"type": "user", "id": "alice"},
        {"type": "user", "id": "bob"},
        {"type": "user", "id": "bob", "properties": {"role": "admin", "team": "a"}},
        {"type": "person", "id": "ana", "properties": {"role": "admin"}},
        {"type": "person", "id": "ana"},
        {"type": "spaceship", "id": "x"},
        {"type": "odd", "id": "auth0|ana"},
        {"type": "odd", "id": "x" * 65},
        {"type": "long", "id": "Ana María"},
        {"type": "odd", "id": "did:ana", "properties": {"role": "admin"}},
        {"type": "odd", "id": "did:ana", "properties": {"role": "(admin)"}},
        {"type": "person", "id": "ana", "properties": {"role": ["admin", "guest"], "team": "a"}},
    ],
    "action": [{"name": name} for name in ("read", "write", "record:list", "no such")]
    + [{"name": "delete", "properties": {"soft": True}}],
    "resource": [{"type": type_, "id": f"record-{n}"} for type_ in ("record", "open") for n in (1, 2, 9)]
    + [
        {"type": "open", "id": id_, "properties": properties}
        for id_ in ("record-1", "record-2", "record-9")
        for properties in (
            {"status": "archived"},
            {"Status": "active", "x": True},
            {"status": "active", "STATUS": "archived"},
            {"status": False},
            {"n": 1},
            {"list": ["a"]},
            {"in": {"status": "archived"}},
            {"account": ACCOUNT},
            {"bad\n": "x"},
            {"k y": "x"},
            {"status": "x" * 4_097},
            {},
            {f"k{n}": "v" for n in range(9)},
        )
    ],
    "context": [
        {},
        {"aws:SourceIp": "10.0.0.1"},
        {"ip": "x"},
        {"aws:ResourceTag/status": "archived"},
        {"a": 1, "b": "c"},
        {"aws:SourceIp": "10.0.0.1", "aws:MultiFactorAuthPresent": True, "aws:MultiFactorAuthAge": 300},
        {"aws:CurrentTime": "2020-01-01T00:00:00Z", "ip": "10.0.0.1", "aws:PrincipalTag/role": "admin", "a": "b/\u00e9"},
        {"aws:MultiFactorAuthAge": 1.5, "aws:EpochTime": 1 << 53},
        {"aws:MultiFactorAuthPresent": None, "authzen:subject/role": "admin", "aws:ResourceAccount": ACCOUNT},
        {"aws:CurrentTime": "x" * 4_097},
        {"aws:MultiFactorAuthAge": [300]},
    ],
}


def drawn(count: int, seed: int) -> Iterator[bytes]:
    """Bodies of items whose entities are drawn from few."""
    chance = random.Random(seed)

    def some(share: float) -> dict[str, Any]:
        return {kind: chance.choice(found) for kind, found in ENTITIES.items() if chance.random() < share}

    for _ in range(count):
        yield orjson.dumps(some(0.8) | {"evaluations": [some(0.3) for _ in range(chance.randint(1, 6))]})


def answers(world: World, body: bytes, endpoint: str = "evaluations") -> tuple[Response, Response]:
    """The answer to a body, and that of the general way."""
    found = world.send(endpoint, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reader, "plain", lambda *_: None)
        return found, world.send(endpoint, body)


def read(world: World, body: bytes) -> PlainBatch | None:
    """What is read of the bytes of a body, once its entities are known."""
    world.send("evaluations", body)
    view = world.protocol._view
    assert view is not None
    return Reader(view.mapper, world.identity, NOW).plain(body)


def is_plain(world: World, body: bytes) -> bool:
    """Whether a body is answered from its bytes alone."""
    found = read(world, body)
    return found is not None and found.is_whole


@pytest.mark.parametrize("is_trusted", [True, False])
def test_changed_bodies_have_the_answers_of_the_general_way(is_trusted: bool) -> None:
    world = World(CONFIG, scopes=ALL_SCOPES if is_trusted else frozenset(), engine=ENGINE)
    plain = in_part = 0
    for body in (*SEEDS, *mutants(4_000, seed=36 + is_trusted)):
        found, general = answers(world, body)
        assert found == general, body
        batch = read(world, body)
        if found.status == 200 and batch is not None:
            plain += batch.is_whole
            in_part += not batch.is_whole and len(batch.missing) < len(batch)
    assert plain > 20 and in_part > 20


@pytest.mark.parametrize(
    "scopes",
    [ALL_SCOPES, ALL_SCOPES - {ASSERT_CONTEXT}, ALL_SCOPES - {ASSERT_TAGS}, {EXPLAIN}],
    ids=["all", "tags", "context", "none"],
)
def test_drawn_items_have_the_answers_of_the_general_way(scopes: frozenset[str]) -> None:
    world = World(ENCODED, scopes=ALL_SCOPES, engine=ENGINE)
    trusted, asking = world.identity, World(scopes=frozenset(scopes), engine=ENGINE).identity
    for number, body in enumerate(drawn(600, seed=65)):
        world.identity = trusted if number % 4 == 0 else asking  # what a trusted identity stated is cached
        found, general = answers(world, body)
        assert found == general, body


@pytest.mark.parametrize("config", [CONFIG, ENCODED], ids=["names", "encoded"])
def test_changed_evaluations_have_the_answers_of_the_general_way(config: dict[str, Any]) -> None:
    world = World(config, scopes=ALL_SCOPES, engine=ENGINE)
    seeds = (
        SINGLES
        if config is CONFIG
        else (*SINGLES, *(one.replace(b'"user"', b'"odd"').replace(b'"list"', b'"read"') for one in SINGLES))
    )
    allowed = 0
    for body in (*seeds, *mutants(2_000, seed=36, seeds=seeds)):
        found, general = answers(world, body, "evaluation")
        assert found == general, body
        allowed += b'"decision":true' in found.body
    assert allowed > 20


def test_evaluation_of_ids_is_read_from_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    expected = world.send("evaluation", SINGLES[0])
    monkeypatch.setattr(evaluation, "read_body", None)
    assert world.send("evaluation", SINGLES[0]) == expected


@pytest.mark.parametrize(
    "body, place",
    [
        (b'{"evaluations":[%b]}' % b",".join([b"{%b%40b}" % (ONE, b"")] * 1_000), Place.LOOP),
        (b'{"evaluations":[%b]}' % b",".join([b"{%b}" % ALICE.replace(b"}", b',"properties":{}}')] * 1_200), Place.POOL),
    ],
    ids=["1,000 items with defaults", "properties"],
)
def test_batch_is_decided_where_it_holds_up_no_other_request(body: bytes, place: Place) -> None:
    assert 64 * 1024 < len(body)
    route = next(each for each in World(CONFIG, engine=ENGINE).protocol.routes() if each.path.endswith("/evaluations"))
    assert callable(route.place)
    assert route.place(Request("POST", b"/access/v1/evaluations", body=body)) is place


BODIES = {
    "defaults": (b'{%b,"evaluations":[{%b},{%b}]}' % (DEFAULTS, ONE, ONE), True),
    "in full": (b'{"evaluations":[{%b,%b,%b,%b}]}' % (ALICE, LIST, ONE, ADDRESS), True),
    "without context": (b'{"evaluations":[{%b,%b,%b}]}' % (ALICE, LIST, ONE), True),
    "defaults after the items": (b'{"evaluations":[{}],%b,%b}' % (DEFAULTS, ONE), True),
    "blanks": (b' {\n%b ,\r%b, "evaluations"\t: [ { } , {} ] }\n' % (DEFAULTS, ONE), True),
    "mapped name in context": (b'{%b,%b,%b,"context":{"ip":"10.0.0.1"},"evaluations":[{}]}' % (ALICE, LIST, ONE), True),
    "two names of a key": (b'{%b,"evaluations":[{%b,"context":{"ip":"::1","aws:SourceIp":"::1"}}]}' % (DEFAULTS, ONE), True),
    "not ASCII": (b'{%b,"resource":{"type":"open","id":"\xc3\xa9"},"evaluations":[{}]}' % DEFAULTS, True),
    "not UTF-8": (b'{%b,"resource":{"type":"open","id":"\xe9"},"evaluations":[{}]}' % DEFAULTS, False),
    "surrogate": (b'{%b,"resource":{"type":"open","id":"\xed\xa0\x80"},"evaluations":[{}]}' % DEFAULTS, False),
    "action of the type": (b'{%b,%b,"action":{"name":"read"},"evaluations":[{}]}' % (ALICE, ONE), True),
    "1,000 items": (b'{%b,%b,"evaluations":[%b]}' % (DEFAULTS, ONE, b",".join([b"{}"] * 1_000)), True),
    "1,001 items": (b'{%b,%b,"evaluations":[%b]}' % (DEFAULTS, ONE, b",".join([b"{}"] * 1_001)), False),
    "no items": (b'{%b,%b,"evaluations":[]}' % (DEFAULTS, ONE), False),
    "options": (b'{%b,%b,"evaluations":[{}],"options":{}}' % (DEFAULTS, ONE), False),
    "properties": (b'{%b,"resource":{"type":"record","id":"record-1","properties":{}},"evaluations":[{}]}' % DEFAULTS, True),
    "empty type": (b'{%b,"resource":{"type":"","id":"arn:aws:s3:::b"},"evaluations":[{}]}' % DEFAULTS, False),
    "empty id": (b'{%b,"resource":{"type":"open","id":""},"evaluations":[{}]}' % DEFAULTS, False),
    "longest id": (b'{%b,"resource":{"type":"open","id":"%b"},"evaluations":[{}]}' % (DEFAULTS, b"x" * 2048), True),
    "too long id": (b'{%b,"resource":{"type":"open","id":"%b"},"evaluations":[{}]}' % (DEFAULTS, b"x" * 2049), False),
    "too long type": (b'{%b,"resource":{"type":"%b","id":"arn:aws:s3:::b"},"evaluations":[{}]}' % (DEFAULTS, b"x" * 2049), False),
    "escape": (b'{%b,"resource":{"type":"record","id":"record\\u002d1"},"evaluations":[{}]}' % DEFAULTS, True),
    "default action that is not used": (b'{%b,%b,"evaluations":[{"action":{"name":"read"}}]}' % (DEFAULTS, ONE), True),
    "default action without a name": (
        b'{%b,%b,"action":{"name":""},"evaluations":[{"action":{"name":"read"}}]}' % (ALICE, ONE), False
    ),
    "default action of 256 characters": (
        b'{%b,%b,"action":{"name":"%b"},"evaluations":[{"action":{"name":"read"}}]}' % (ALICE, ONE, b"x" * 256), True
    ),
    "default action of 257 characters": (
        b'{%b,%b,"action":{"name":"%b"},"evaluations":[{"action":{"name":"read"}}]}' % (ALICE, ONE, b"x" * 257), False
    ),
    "missing resource": (b'{%b,"evaluations":[{}]}' % DEFAULTS, False),
    "unknown resource": (b'{%b,"evaluations":[{"resource":{"type":"record","id":"record-9"}}]}' % DEFAULTS, False),
    "facts that no client states": (b'{%b,%b,%b,"evaluations":[{%b},{}]}' % (ALICE, LIST, ONE, FACTS % b"300"), True),
    "number of 15 digits": (b'{%b,%b,%b,%b,"evaluations":[{}]}' % (ALICE, LIST, ONE, FACTS % (b"9" * 15)), True),
    "number of 16 digits": (b'{%b,%b,%b,%b,"evaluations":[{}]}' % (ALICE, LIST, ONE, FACTS % (b"9" * 16)), False),
    "number with a leading zero": (b'{%b,%b,%b,%b,"evaluations":[{}]}' % (ALICE, LIST, ONE, FACTS % b"01"), False),
    "fraction that is not used": (b'{%b,%b,%b,%b,"evaluations":[{}]}' % (ALICE, LIST, ONE, FACTS % b"1.5"), False),
    "null": (b'{%b,"resource":null,"evaluations":[{%b,"subject":null,"context":null}]}' % (DEFAULTS, ONE), True),
    "null and another value": (b'{%b,"resource":null,%b,"evaluations":[{}]}' % (DEFAULTS, ONE), False),
    "properties of the subject": (
        b'{%b,%b,%b,"evaluations":[{}]}' % (ALICE.replace(b"}", b',"properties":{"level":"9"}}'), LIST, ONE), True
    ),
    "unknown member": (b'{%b,%b,"x":[{"y":"]"}],"evaluations":[{}]}' % (DEFAULTS, ONE), False),
    "escape in the name of a member": (b'{%b,%b,"evaluations":[{"\\u0061ction":{"name":"read"}}]}' % (DEFAULTS, ONE), False),
    "list in context": (b'{%b,%b,%b,"context":{"x":["a"]},"evaluations":[{}]}' % (ALICE, LIST, ONE), False),
    "default subject without an id that is not used": (
        b'{"subject":{"type":"user"},%b,%b,"evaluations":[{%b}]}' % (LIST, ONE, ALICE), False
    ),
    "object with the name of facts that are not used": (
        b'{%b,%b,%b,"context":{"aws:CurrentTime":{"a":[]}},"evaluations":[{}]}' % (ALICE, LIST, ONE), False
    ),
    "properties of the action": (
        b'{%b,%b,"action":{"name":"read","properties":{"soft":true}},"evaluations":[{}]}' % (ALICE, ONE), True
    ),
    "number in context": (b'{%b,%b,%b,"context":{"x":1},"evaluations":[{}]}' % (ALICE, LIST, ONE), True),
    "second value": (b'{%b,%b,"evaluations":[{}]}{}' % (DEFAULTS, ONE), False),
    "null byte": (b'{%b,%b,"evaluations":[{}]}\x00' % (DEFAULTS, ONE), False),
    "byte order mark": (b'\xef\xbb\xbf{%b,%b,"evaluations":[{}]}' % (DEFAULTS, ONE), False),
    "default twice": (b'{%b,%b,%b,"evaluations":[{}]}' % (DEFAULTS, ONE, ALICE), False),
    "items twice": (b'{%b,%b,"evaluations":[{}],"evaluations":[{}]}' % (DEFAULTS, ONE), False),
    "entity of an item twice": (b'{%b,"evaluations":[{%b,%b}]}' % (DEFAULTS, ONE, ONE), False),
    "id twice": (b'{%b,"resource":{"type":"record","id":"record-1","id":"record-2"},"evaluations":[{}]}' % DEFAULTS, False),
}  # fmt: skip


@pytest.mark.parametrize("body, expected", BODIES.values(), ids=BODIES)
def test_plain_body_is_answered_from_its_bytes(body: bytes, expected: bool) -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    for known in ("in full", "action of the type"):
        world.send("evaluations", BODIES[known][0])  # so that the actions are mapped
    assert is_plain(world, body) is expected
    found, general = answers(world, body)
    assert found == general


def test_prefixes_of_a_body_are_not_plain() -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    body = BODIES["in full"][0]
    assert is_plain(world, body)
    assert not any(is_plain(world, body[:size]) for size in range(len(body)))


def test_known_context_is_not_used_for_who_may_state_none() -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    body = BODIES["in full"][0]
    assert is_plain(world, body)
    assert orjson.loads(world.send("evaluations", body).body)["evaluations"][0]["decision"] is True
    world.identity = World(scopes=TRUSTED - {ASSERT_CONTEXT}, engine=ENGINE).identity
    for _ in range(2):
        assert orjson.loads(world.send("evaluations", body).body)["evaluations"][0]["decision"] is False


def test_items_of_a_usual_form_are_read_beside_others() -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    other = b'"context":{"fastiam:unknown":["x:y"]}', b'"subject":{"type":"x","id":"y"}'
    body = b'{%b,%b,"more":1,"evaluations":[{},{%b},{},{%b},7,{}]}' % (DEFAULTS, ONE, *other)
    found, general = answers(world, body)
    assert found == general and found.status == 200
    batch = read(world, body)
    assert batch is not None and batch.missing == [1, 3, 4]


def test_tag_that_one_client_may_not_state_is_stated_by_another() -> None:
    """What is read for one identity is not cached for another one."""
    body = b'{%b,"context":{"aws:ResourceTag/status":"archived"},"resource":{"type":"open","id":"record-9"},"evaluations":[{}]}'
    body %= b'"subject":{"type":"user","id":"bob"},"action":{"name":"record:write"}'
    world = World(CONFIG, scopes=ALL_SCOPES - {ASSERT_TAGS}, engine=ENGINE)
    trusted = World(scopes=ALL_SCOPES, engine=ENGINE).identity
    for identity, expected in ((world.identity, False), (trusted, True)) * 2:
        world.identity = identity
        found, general = answers(world, body)
        assert found == general
        assert orjson.loads(found.body)["evaluations"][0]["decision"] is expected


def test_facts_that_no_client_states_are_named_and_not_used() -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    item = b'{%b,"action":{"name":"purge"},%b,%b}' % (ALICE, ONE, FACTS % b"0")
    named = ["context.aws:MultiFactorAuthPresent", "context.aws:MultiFactorAuthAge", "context.aws:CurrentTime"]
    for _ in range(2):
        single = orjson.loads(world.send("evaluation", item).body)
        batch = orjson.loads(world.send("evaluations", b'{"evaluations":[%b,{%b,%b,%b}]}' % (item, ALICE, LIST, ONE)).body)
        assert single["decision"] is False and single["context"]["ignored"] == named
        assert [each["context"].get("ignored") for each in batch["evaluations"]] == [named, None]


@pytest.mark.parametrize("member", ["aws:CurrentTime", "aws:SourceIp", "department"])
def test_context_of_who_may_state_none_is_read_from_its_bytes(member: str) -> None:
    world = World(CONFIG, scopes={EXPLAIN}, engine=ENGINE)
    body = orjson.dumps(entities("alice", "read", "record-1") | {"context": {member: "10.0.0.1"}, "evaluations": [{}, {}]})
    assert is_plain(world, body)
    found, general = answers(world, body)
    assert found == general
    assert [each["context"]["ignored"] for each in orjson.loads(found.body)["evaluations"]] == [[f"context.{member}"]] * 2


def test_text_of_one_kind_is_not_taken_for_another() -> None:
    """The same text may be a subject of one type and a resource, or a context and an action."""
    world = World({"resources": {"user": CONFIG["resources"]["open"]}}, scopes=ALL_SCOPES, engine=ENGINE)
    body = b'{%b,"resource":{"type":"user","id":"alice"},"action":{"name":"read"},"evaluations":[{},{}]}' % ALICE
    assert is_plain(world, body)
    for part in (b'"context":{"name":"read"}', b'"context":{"type":"user","id":"alice"}'):
        found, general = answers(world, body[:-1] + b"," + part + b"}")
        assert found == general and found.status == 200


def test_entity_with_brace_in_its_id_is_read_to_its_end() -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    for id_ in ("a}", "a}b", "}", '{"x":"y"}'.replace('"', "'")):
        body = b'{%b,"evaluations":[%b]}' % (DEFAULTS, orjson.dumps({"resource": {"type": "open", "id": id_}}))
        assert is_plain(world, body) and is_plain(world, body)
        assert answers(world, body)[0] == answers(world, body)[1]


def test_more_entities_than_are_cached_have_their_own_answers() -> None:
    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    for start in range(0, 40_000, 1_000):
        items = [{"resource": {"type": "open", "id": f"record-{n}"}} for n in (1, 2, *range(start, start + 900))]
        body = orjson.dumps(entities("bob", "write", None) | {"evaluations": items})
        assert is_plain(world, body)
    found, general = answers(world, body)
    assert found == general


def test_refused_value_is_answered_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastiam.errors import RequestValueError

    class Refusing:
        def decide_each(self, requests: object, *, now: object) -> object:
            raise RequestValueError("no", column="resource")

        def __getattr__(self, name: str) -> object:
            return getattr(ENGINE, name)

    world = World(CONFIG, scopes=ALL_SCOPES, engine=ENGINE)
    body = BODIES["defaults"][0]
    expected = world.send("evaluations", body)
    assert is_plain(world, body) and world.protocol._view is not None
    monkeypatch.setattr(world.protocol._view, "engine", Refusing())
    monkeypatch.setattr(world.protocol, "_pinned", lambda _: world.protocol._view)
    assert world.send("evaluations", body) == expected
