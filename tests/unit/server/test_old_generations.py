"""An old generation is freed when the next one takes its place, whatever it has answered: nothing waits for a garbage collection,
which is rare in a large process."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import orjson
import pytest
from bulk_fixture import ALICE, NOW, OBJECT, World
from sts_fixture import document

import fastiam
from fastiam.directory.account_records import Entity
from fastiam.live import LiveEngine
from fastiam.model.decision import Decision, Layer, Outcome
from fastiam.server import config
from fastiam.server import decision_source as state
from fastiam.server.config_sections import DecisionLogSection
from fastiam.server.decider import LiveDecider
from fastiam.server.decision_log import DecisionLog
from fastiam.server.decision_records import DecisionRecord
from fastiam.server.http import Request
from fastiam.server.identity import TRUST_SCOPES, USE_SCOPES, Identity
from fastiam.server.protocol import ListenerFacts, Site
from fastiam.server.protocols import authzen, extauthz, opa
from fastiam.sts import Keyring

IDENTITY = Identity("pep", frozenset(TRUST_SCOPES) | USE_SCOPES)
SITE = Site((ListenerFacts("tcp", is_loopback=True, auth="none", is_tls=False),), has_directory=True, has_sts=False)
ENTITY = {"subject": {"type": "user", "id": ALICE}, "action": {"name": "s3:GetObject"}, "resource": {"type": "o", "id": OBJECT}}
BAD = {**ENTITY, "subject": {"type": "user", "id": "nobody"}}
ROUTE = {"prefix": "/", "api": "arn:aws:execute-api:eu-west-1:111111111111:orders/prod"}


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """Only reference counts free objects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("protocol", "section", "path", "body"),
    [
        (authzen, {}, "/access/v1/evaluation", ENTITY),
        (authzen, {}, "/access/v1/evaluation", BAD),
        (authzen, {}, "/access/v1/evaluations", {"evaluations": [ENTITY, BAD, {**ENTITY, "context": 5}, {}]}),
        (authzen, {}, "/access/v1/search/resource", {**ENTITY, "resource": {"type": "role"}}),
        (authzen, {}, "/access/v1/search/subject", {**ENTITY, "subject": {"type": "user"}, "context": {"aws:SourceIp": "x"}}),
        (opa, {"paths": {"app": {"result": "object"}}}, "/v1/data/app", {"input": {"principal": ALICE, "action": "a:B"}}),
        (opa, {"paths": {"app": {"result": "object"}}}, "/v1/data/app", {"input": {"principal": 5}}),
        (extauthz, {"principal": ["anonymous"], "route": [ROUTE]}, "/extauthz/orders", None),
        (extauthz, {"principal": ["anonymous"], "route": [ROUTE]}, "/extauthz/a/../b", None),
    ],
)
def test_answers_do_not_keep_their_generation(protocol: Any, section: dict[str, Any], path: str, body: Any) -> None:
    directory = fastiam.Directory()
    directory.add_principal(ALICE)
    live = LiveEngine(directory)
    decider = LiveDecider(live)
    made = protocol.create(msgspec.convert(section, protocol.Section), SITE)
    route = next(each for each in made.routes() if each.path == path or (each.is_prefix and path.startswith(each.path)))
    content = b"" if body is None else orjson.dumps(body)
    headers = ((b"content-type", b"application/json"), (b"host", b"a.example"))
    request = Request("POST", path.encode(), b"", headers, content, identity=IDENTITY, request_id="i")
    old = weakref.ref(live.engine)
    for _ in range(2):
        assert route.handler(request, decider, NOW).status in (200, 401, 403)
        directory.put_inline_policy(ALICE, "p", document({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}))
        live.refresh()
    assert old() is None


def test_reload_frees_records_only_after_the_last_answer(tmp_path: Path) -> None:
    def write(tags: dict[str, str]) -> None:
        directory = fastiam.Directory()
        directory.add_principal(ALICE, tags=tags)
        directory.dump(tmp_path / "all.json")

    write({})
    settings = config.load(None, {"FASTIAM_SERVE__SOURCE__WATCH": "false"}, config.Flags((str(tmp_path),)))
    source = state.Source(settings)
    old = weakref.ref(source.live.engine.snapshot)
    pinned = source.decider.pin()
    write({"team": "red"})
    source.live.refresh()
    assert old() is pinned.engine.snapshot and ALICE in pinned.engine.snapshot.tables.entities
    del pinned
    source.decider.pin()
    assert old() is None
    for thread in threading.enumerate():
        if thread.name == "fastiam-free":
            thread.join()
    tags = source.live.engine.snapshot.tables.entities[ALICE].tags
    assert [each.tags for each in gc.get_objects() if type(each) is Entity and each.arn == ALICE] == [tags]


def test_write_to_a_store_scans_no_old_objects(tmp_path: Path) -> None:
    fastiam.Directory.open(tmp_path / "store").close()
    keyring = Keyring.generate()
    keyring.save(tmp_path / "keyring")
    environ = {"FASTIAM_SERVE__SOURCE__WATCH": "false", "FASTIAM_SERVE__SOURCE__KEYRING": str(tmp_path / "keyring")}
    live = state.Source(config.load(None, environ, config.Flags((str(tmp_path / "store"),)))).live
    assert live.directory is not None
    live.directory.add_principal(ALICE)
    scanned: list[int] = []

    def count(phase: str, info: dict[str, int]) -> None:
        scanned.append(info["generation"])

    gc.callbacks.append(count)
    try:
        assert live.refresh() == 2
    finally:
        gc.callbacks.remove(count)
    assert 2 not in scanned, "each write would wait for a full collection"


def test_rows_with_faults_do_not_keep_their_generation() -> None:
    world = World(TRUST_SCOPES)
    old = weakref.ref(world.engine)
    good = {"principal": ALICE, "action": "s3:GetObject", "resource": OBJECT}
    rows = [good, {**good, "principal": "nobody"}, {**good, "aws:SourceIp": "x"}, {"action": 5}]
    assert len(world.decide(rows)) == 4
    world.engine = world.decider = None  # type: ignore[assignment]
    assert old() is None


def test_log_does_not_keep_decisions_of_an_old_generation() -> None:
    class Weak(Decision):
        """A decision that can be observed."""

    writer: Any = Mock(is_failing=False)
    log = DecisionLog(DecisionLogSection(mode="all"), writer, lambda: NOW, "host:1")
    request = Request("POST", b"/", request_id="i")
    for generation in (1, 2):
        decision = Weak(Outcome.ALLOW, Layer.IDENTITY)
        record = DecisionRecord("a", generation, "p", "a:B", "r", {}, decision, True)
        assert log.write(record, request, 1)
        if generation == 1:
            old = weakref.ref(decision)
    assert old() is None and writer.put.call_count == 2
