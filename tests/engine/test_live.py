"""`LiveEngine`: one whole engine at every moment, the last good one where a change is none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import fastiam
from fastiam import Directory, LiveEngine

DOCS = Path(__file__).resolve().parents[2] / "docs"
USER = "arn:aws:iam::111111111111:user/ana"
OBJECT = "arn:aws:s3:::bkt/key"
CHANGES = 300


def directory(*actions: str) -> Directory:
    made = Directory()
    statements = [{"Effect": "Allow", "Action": action, "Resource": "*"} for action in actions]
    made.add_principal(USER, identity_policies=[("own", {"Version": "2012-10-17", "Statement": statements})] if actions else [])
    return made


def write(path: Path, *actions: str) -> None:
    directory(*actions).dump(path)


def until(is_so: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait for a thread to have done something."""
    ends = time.monotonic() + seconds
    while not is_so() and time.monotonic() < ends:
        time.sleep(0.01)
    return is_so()


def test_a_directory_is_followed_by_refresh():
    source = directory()
    live = LiveEngine(source)
    assert not live.is_allowed(USER, "s3:GetObject", OBJECT) and live.generation == 1
    source.put_inline_policy(
        USER, "own", {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}
    )
    assert not live.is_allowed(USER, "s3:GetObject", OBJECT)
    before = live.engine
    assert live.refresh() == 2
    assert live.is_allowed(USER, "s3:GetObject", OBJECT)
    assert live.decide(USER, "s3:GetObject", OBJECT).allowed
    assert live.decide_many(USER, ["s3:GetObject", "s3:PutObject"], OBJECT).allowed.tolist() == [True, False]
    assert live.explain(USER, "s3:GetObject", OBJECT).decision.allowed
    assert not before.is_allowed(USER, "s3:GetObject", OBJECT)
    assert live.stats()["principals"] >= 1


def test_a_function_may_give_the_directory():
    found = [directory()]
    live = LiveEngine(lambda: found[-1])
    found.append(directory("s3:*"))
    live.refresh()
    assert live.is_allowed(USER, "s3:GetObject", OBJECT)


@pytest.mark.parametrize("broken", ["", "{", '{"format": "fastiam-directory", "version": 1, "principals": 5}', "[1]"])
def test_unreadable_change_leaves_the_last_good_engine(tmp_path, broken):
    path = tmp_path / "policies.json"
    write(path, "s3:GetObject")
    live = LiveEngine(path)
    path.write_text(broken)
    with pytest.raises(fastiam.FastiamError):
        live.refresh()
    assert live.generation == 1 and isinstance(live.error, fastiam.FastiamError)
    assert live.is_allowed(USER, "s3:GetObject", OBJECT)
    write(path, "s3:PutObject")
    live.refresh()
    assert live.error is None and live.generation == 2
    assert not live.is_allowed(USER, "s3:GetObject", OBJECT)


def test_live_engine_of_an_unreadable_source_raises(tmp_path):
    with pytest.raises(fastiam.FastiamError):
        LiveEngine(tmp_path / "nothing.json")


def test_live_engine_reads_files_as_load_does(tmp_path):
    (tmp_path / "package.json").write_text('{"name": "x"}')
    policy = {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}, "Version": "2012-10-17"}
    (tmp_path / "key.json").write_text(json.dumps({"Policy": json.dumps(policy)}))
    key = "arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    given = {tmp_path / "key.json": key}
    with pytest.raises(fastiam.SourceError, match="unknown"):
        fastiam.LiveEngine(tmp_path, resource_of=given)
    live = fastiam.LiveEngine(tmp_path, resource_of=given, skip_unknown=True)
    live.refresh()
    assert live.decide("*", "kms:Decrypt", key).outcome == fastiam.Outcome.EXPLICIT_DENY


def test_a_function_cannot_be_watched():
    with pytest.raises(fastiam.FastiamError, match="nothing to watch"):
        LiveEngine(directory).watch()


ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def test_a_directory_is_watched_while_it_is_written():
    source = directory()
    with LiveEngine(source).watch() as live:
        source.put_inline_policy(USER, "own", ALL)
        assert until(lambda: live.is_allowed(USER, "s3:GetObject", OBJECT))
        assert live.generation == 2


@pytest.mark.parametrize("given", ["path", "paths", "directory"])
def test_watched_store_follows_writes_of_other_processes(tmp_path, given):
    path = tmp_path / "iam.db"
    with Directory.open(path) as writer, Directory.open(path) as own:
        writer.add_principal(USER)
        source = {"path": path, "paths": [path], "directory": own}[given]
        with LiveEngine(source).watch() as live:
            followed = live.directory
            code = "import fastiam, sys; fastiam.Directory.open(sys.argv[1]).put_inline_policy(sys.argv[2], 'own', sys.argv[3])"
            subprocess.run([sys.executable, "-c", code, path, USER, json.dumps(ALL)], check=True)
            assert until(lambda: live.is_allowed(USER, "s3:GetObject", OBJECT))
            assert live.directory is followed, "it is followed, not read anew"


def test_a_store_is_followed_within_a_tenth_of_a_second(tmp_path):
    path = tmp_path / "iam.db"
    users = [f"{USER}{i}" for i in range(2000)]
    with Directory.open(path) as writer, LiveEngine(path).watch() as live:
        with writer.transaction():
            for user in users:
                writer.add_principal(user, identity_policies=[("own", ALL)])
        assert until(lambda: live.is_allowed(users[-1], "s3:GetObject", OBJECT))
        waited = []
        for user in users[:15]:
            began = time.perf_counter()
            writer.put_inline_policy(user, "own", {**ALL, "Statement": {**ALL["Statement"], "Effect": "Deny"}})
            while live.is_allowed(user, "s3:GetObject", OBJECT):
                time.sleep(0.001)
            waited.append(time.perf_counter() - began)
        assert sorted(waited)[7] < 0.1


def test_a_store_that_breaks_leaves_the_last_good_engine(tmp_path, caplog):
    path = tmp_path / "iam.db"
    with Directory.open(path) as writer:
        writer.add_principal(USER, identity_policies=[("own", ALL)])
    with LiveEngine(path).watch() as live:
        path.write_bytes(b"no database at all" * 1000)
        path.rename(tmp_path / "elsewhere")
        assert until(lambda: "generation 1 stays" in caplog.text)  # logged after the error is set
        assert isinstance(live.error, fastiam.StoreError)
        assert live.is_allowed(USER, "s3:GetObject", OBJECT)


def test_options_of_compile_hold_for_every_generation():
    source = directory()
    condition = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}
    live = LiveEngine(source, context_defaults={"aws:SourceVpc": "vpc-1"})
    source.put_inline_policy(
        USER,
        "own",
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}},
    )
    live.refresh()
    assert live.is_allowed(USER, "s3:GetObject", OBJECT)


def test_files_are_watched_and_broken_ones_reported(tmp_path, caplog):
    path = tmp_path / "a" / "policies.json"
    path.parent.mkdir()
    write(path, "s3:GetObject")
    with LiveEngine(tmp_path).watch(debounce=0.05) as live:
        write(path, "s3:PutObject")  # replaced as a whole
        assert until(lambda: live.is_allowed(USER, "s3:PutObject", OBJECT))
        path.write_text("{")
        assert until(lambda: live.error is not None)
        assert live.is_allowed(USER, "s3:PutObject", OBJECT)
        write(path, "s3:ListBucket")
        assert until(lambda: live.is_allowed(USER, "s3:ListBucket", "arn:aws:s3:::bkt"))
        assert live.error is None
        write(tmp_path / "more.json", "s3:GetObject")  # the user once more: a finding, and the first record stays
        assert until(lambda: any(finding.code == "DIR-EXISTS" for finding in live.directory.findings))
    assert "cannot be used" in caplog.text
    generation = live.generation
    write(path, "s3:DeleteObject")
    assert not until(lambda: live.generation != generation, seconds=1.5)  # closed: the watcher has ended
    assert live.is_allowed(USER, "s3:ListBucket", "arn:aws:s3:::bkt")


def test_eight_threads_decide_during_many_changes():
    """Each answer belongs to one generation: generation k allows s3:Get<k> and nothing else."""
    source = directory("s3:Get1")
    live = LiveEngine(source)
    wrong: list[str] = []
    is_over = threading.Event()

    def ask() -> None:
        actions = [f"s3:Get{n}" for n in range(1, CHANGES + 1)]
        while not is_over.is_set():
            engine = live.engine
            now = live.generation
            allowed = engine.decide_many(USER, actions, OBJECT).allowed.nonzero()[0]
            if len(allowed) != 1:
                wrong.append(f"{len(allowed)} generations at once")
            later = live.generation
            # the engine is there a moment before its number is
            is_answered = any(live.is_allowed(USER, f"s3:Get{n}", OBJECT) for n in range(now, later + 2))
            if not is_answered and live.generation == later == now:
                wrong.append(f"neither generation {now} nor the next answers")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for n in range(2, CHANGES + 1):
            statement = {"Effect": "Allow", "Action": f"s3:Get{n}", "Resource": "*"}
            source.put_inline_policy(USER, "own", {"Version": "2012-10-17", "Statement": statement})
            assert live.refresh() == n
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert live.is_allowed(USER, f"s3:Get{CHANGES}", OBJECT) and not live.is_allowed(USER, f"s3:Get{CHANGES - 1}", OBJECT)


@pytest.fixture
def service(tmp_path, monkeypatch) -> Iterator[ModuleType]:
    """The module of docs/live.md, unchanged."""
    code = re.search(r"```py\n(# service\.py\n.*?)```", (DOCS / "live.md").read_text(), re.S)
    assert code
    write(tmp_path / "policies.json", "s3:GetObject")
    monkeypatch.setenv("FASTIAM_POLICIES", str(tmp_path))
    monkeypatch.setenv("SERVICE_TOKENS", json.dumps({"a secret": USER}))
    module = ModuleType("service")
    monkeypatch.setitem(sys.modules, "service", module)
    exec(compile(code[1], "service.py", "exec"), module.__dict__)
    yield module


def test_documented_service_follows_changes(tmp_path, service):
    from fastapi.testclient import TestClient

    request_body = {"action": "s3:GetObject", "resource": OBJECT}
    with TestClient(service.app, headers={"Authorization": "Bearer a secret"}) as client:
        other = client.post("/decide", json=request_body | {"principal": USER}, headers={"Authorization": "Bearer another"})
        assert other.status_code == 401  # the principal is that of the token, whatever the body says
        answer = client.post("/decide", json=request_body)
        assert answer.status_code == 200
        assert answer.json() == {"allowed": True, "outcome": "ALLOW", "layer": "identity", "policy": "own"}
        assert client.post("/decide", json=request_body | {"resource": "bkt"}).status_code == 422
        write(tmp_path / "policies.json", "s3:PutObject")
        assert until(lambda: not client.post("/decide", json=request_body).json()["allowed"])
        health = client.get("/health").json()
        assert health["generation"] == 2 and health["is_watching"] and health["age"] < 20 and health["error"] is None
        (tmp_path / "policies.json").write_text(json.dumps({"format": "fastiam-directory"}))
        assert until(lambda: client.get("/health").json()["error"] is not None)
        assert client.post("/decide", json=request_body | {"action": "s3:PutObject"}).json()["allowed"]


# -- saved engines -----------------------------------------------------------------------------------------------------------


def test_a_saved_engine_is_mapped_again_when_it_was_replaced(tmp_path):
    path = tmp_path / "engine.fastiam"
    directory("s3:GetObject").compile().save(path)
    live = LiveEngine(path)
    assert live.is_allowed(USER, "s3:GetObject", OBJECT) and live.directory is None and "engine.fastiam" in repr(live)
    before = live.engine
    directory("s3:PutObject").compile().save(path)
    assert live.refresh() == 2
    assert live.is_allowed(USER, "s3:PutObject", OBJECT) and not live.is_allowed(USER, "s3:GetObject", OBJECT)
    assert before.is_allowed(USER, "s3:GetObject", OBJECT)


def test_saved_engine_replaced_by_garbage_keeps_the_last_good(tmp_path):
    path = tmp_path / "engine.fastiam"
    directory("s3:GetObject").compile().save(path)
    live = LiveEngine([path])
    whole = path.read_bytes()
    for n, data in enumerate((b"", whole[:-1], b"{}", whole[:2000] + b"?" + whole[2001:])):
        (tmp_path / f"part{n}").write_bytes(data)
        (tmp_path / f"part{n}").replace(path)
        with pytest.raises(fastiam.SourceError):
            live.refresh()
        assert live.generation == 1 and live.is_allowed(USER, "s3:GetObject", OBJECT)
        assert isinstance(live.error, fastiam.SourceError)


def test_a_saved_engine_is_watched(tmp_path):
    pytest.importorskip("watchfiles")
    path = tmp_path / "engine.fastiam"
    directory("s3:GetObject").compile().save(path)
    with LiveEngine(path).watch(debounce=0.02) as live:
        directory("s3:PutObject").compile().save(path)
        assert until(lambda: live.generation == 2)
        assert live.is_allowed(USER, "s3:PutObject", OBJECT)


def test_a_saved_engine_has_its_own_options(tmp_path):
    directory("s3:GetObject").compile().save(tmp_path / "engine.fastiam")
    for options in ({"unknown_owner": "deny"}, {"context_defaults": {"app:a": "b"}}):
        with pytest.raises(fastiam.FastiamError, match="has the options that it was compiled with"):
            LiveEngine(tmp_path / "engine.fastiam", **options)


def test_cache_limit_applies_to_each_generation(tmp_path):
    path, written = tmp_path / "engine.fastiam", directory("s3:GetObject")
    written.compile(cache_bytes=1234).save(path)
    for live, limit in (
        (LiveEngine(path), 1234),
        (LiveEngine(path, cache_bytes=5), 5),
        (LiveEngine(written, cache_bytes=6), 6),
        (LiveEngine(written), 1 << 30),
    ):
        assert live.stats()["cache_limit"] == limit
        live.refresh()
        assert (live.generation, live.stats()["cache_limit"]) == (2, limit)
