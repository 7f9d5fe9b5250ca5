"""`Engine.save` and `Engine.load`: a loaded engine decides like the saved one, accepts updates and shares its pages.

`test_engine_file_hostile.py` tests files that are corrupt or forged.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import policy_generators as strategies
import pytest
from differential import World
from engine_changes import Changer, answers, requests
from engine_files import (
    ANA,
    APP,
    ASKED,
    CONTEXTS,
    NOW,
    OBJECT,
    WHAT,
    WHERE,
    WHO,
    A,
    all_answers,
    allow,
    document,
    make_directory,
)

import fastiam
from fastiam import Engine, Outcome, PrincipalKind, Session, Settings
from fastiam.errors import DirectoryError, PolicyError


def reloaded(engine: Engine, folder: Path) -> Engine:
    engine.save(folder / "engine.fastiam")
    return Engine.load(folder / "engine.fastiam")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return make_directory().compile()


@pytest.fixture
def loaded(engine, tmp_path) -> Engine:
    return reloaded(engine, tmp_path)


# -- equal answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_loaded_generated_directory_decides_equally(part, tmp_path):
    compared = 0
    for seed in range(1000 + part, 1032, 4):
        try:
            world = World(strategies.directory(seed, 60))
        except (PolicyError, DirectoryError):
            continue
        engine = world.compile()
        twin = reloaded(engine, tmp_path)
        for row in world.rows:
            one, two = world.single(engine, row), world.single(twin, row)
            assert str(one.error) == str(two.error) and one.decision == two.decision, (seed, row)
            if one.decision is not None and one.decision.statement is not None:
                assert one.decision.statement.position == two.decision.statement.position
        for one, two in zip(world.batch(engine, "dictionary"), world.batch(twin, "dictionary"), strict=True):
            assert str(one.error) == str(two.error) and one.decision == two.decision, seed
        compared += 2 * len(world.rows)
    assert compared >= 800


def test_loaded_engine_returns_equal_results(engine, loaded):
    assert {d.outcome for d, _ in all_answers(engine)} == {Outcome.ALLOW, Outcome.IMPLICIT_DENY, Outcome.EXPLICIT_DENY}
    assert all_answers(loaded) == all_answers(engine)
    unknown = ["aws:SourceIp", "aws:PrincipalTag/*"]
    asked = [(who, what, where, {}) for who in WHO for what in WHAT for where in WHERE]
    original, twin = ([e.decide(*r, now=NOW, unknown=unknown) for r in asked] for e in (engine, loaded))
    assert twin == original and Outcome.DEPENDS in {d.outcome for d in original}
    for request in ASKED[::7]:
        assert loaded.explain(*request, now=NOW) == engine.explain(*request, now=NOW)


def test_loaded_engine_answers_queries_equally(engine, loaded):
    assert list(loaded.who_can("s3:GetObject", OBJECT, unknown=["*"])) == list(
        engine.who_can("s3:GetObject", OBJECT, unknown=["*"])
    )
    assert loaded.what_can(ANA) == engine.what_can(ANA)
    assert loaded.what_can(ANA, OBJECT, unknown=["*"]) == engine.what_can(ANA, OBJECT, unknown=["*"])
    changed = make_directory()
    changed.put_inline_policy(ANA, "More", document(allow("sns:*")))
    new = changed.compile()
    assert str(fastiam.diff(loaded, new)) == str(fastiam.diff(engine, new))
    assert not fastiam.diff(engine, loaded)


def test_loaded_engine_returns_equal_columns(engine, loaded):
    rows = [request for request in ASKED if isinstance(request[0], str)]
    columns = [[request[i] for request in rows] for i in range(3)]
    context = {key: [request[3].get(key) for request in rows] for key in ("aws:SourceIp", "aws:SourceVpce")}
    original, twin = (e.decide_many(*columns, context, now=NOW, reasons=True) for e in (engine, loaded))
    assert list(twin) == list(original)


def test_statement_of_a_loaded_engine_names_its_source_file(tmp_path):
    text = json.dumps({"users": [ANA], "policy": json.loads(make_directory().to_json())}["policy"], indent=2)
    (tmp_path / "directory.json").write_text(text)
    engine = fastiam.load(tmp_path / "directory.json", mode="lenient").compile()
    twin = reloaded(engine, tmp_path)
    (tmp_path / "directory.json").unlink()
    positions = {str(position) for _, position in all_answers(engine) if position}
    assert len(positions) > 3 and all("directory.json:" in position for position in positions)
    assert all_answers(twin) == all_answers(engine)


def test_loaded_engine_has_equal_stats(tmp_path):
    engine = make_directory().compile()
    original, twin = engine.stats(), reloaded(engine, tmp_path).stats()
    names = (
        "statements",
        "bodies",
        "policies",
        "stacks",
        "principals",
        "resources",
        "patterns",
        "conditions",
        "named_principals",
        "accounts",
    )
    assert [twin[name] for name in names] == [original[name] for name in names]
    assert twin["rows"] == 0 and 0 < twin["compiled_bytes"] < 2 * original["compiled_bytes"]


@pytest.mark.parametrize(
    "options",
    [
        {"unknown_owner": "deny"},
        {"settings": Settings(resource_policy_services=frozenset({"sqs"}), scp_exempt_actions=frozenset({"iam:taguser"}))},
        {"context_defaults": {"aws:SourceIp": "10.9.9.9", "app:n": 5, "app:d": Decimal("1.50"), "app:b": True, "app:at": NOW}},
        {"context_defaults": {"app:list": ["a", "b"], "app:raw": b"x", "app:none": None, "app:empty": []}},
        {"cache_bytes": 12_345, "index_from": 1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_saved_engine_keeps_its_options(options, tmp_path):
    directory = make_directory()
    values = {"NumericEquals": {"app:n": "5"}, "Bool": {"app:b": "true"}, "DateEquals": {"app:at": "2030-01-01T00:00:00Z"}}
    directory.put_inline_policy(
        ANA,
        "Defaults",
        document(
            allow("sns:A", Condition=values),
            allow("sns:B", Condition={"ForAllValues:StringEquals": {"app:list": ["a", "b"]}, "Null": {"app:list": "false"}}),
        ),
    )
    engine = Engine.from_snapshot(directory.snapshot(), **options)
    twin = reloaded(engine, tmp_path)
    asked = [
        *ASKED,
        (ANA, "sns:A", "*", CONTEXTS[0]),
        (ANA, "sns:B", "*", CONTEXTS[0]),
        (ANA, "s3:GetObject", "arn:aws:s3:::other/k", {}),
    ]
    assert all_answers(twin, asked) == all_answers(engine, asked)
    assert twin.stats()["cache_limit"] == engine.stats()["cache_limit"]
    columns = [[r[i] for r in asked if isinstance(r[0], str)] for i in range(3)]
    assert list(twin.decide_many(*columns, now=NOW)) == list(engine.decide_many(*columns, now=NOW))


def test_load_sets_the_cache_limit_of_its_process(tmp_path):
    engine, path = make_directory().compile(cache_bytes=54_321), tmp_path / "engine.fastiam"
    engine.save(path)
    twins = Engine.load(path), Engine.load(path, cache_bytes=0)
    assert [one.stats()["cache_limit"] for one in (engine, *twins)] == [54_321, 54_321, 0]
    answers = [all_answers(one, ASKED) for one in (engine, *twins)]
    assert answers[1] == answers[0] and answers[2] == answers[0]
    assert [one.stats()["generation"] > 0 for one in twins] == [False, True]
    for bad in ("x", 2e9, True, -1):
        with pytest.raises(fastiam.RequestValueError, match="is not a number of bytes"):
            Engine.load(path, cache_bytes=bad)
        with pytest.raises(fastiam.RequestValueError, match="is not a number of bytes"):
            make_directory().compile(cache_bytes=bad)


# -- the file --------------------------------------------------------------------------------------------------------------


def test_loaded_engine_saves_to_the_same_bytes(engine, loaded, tmp_path):
    first = (tmp_path / "engine.fastiam").read_bytes()
    all_answers(loaded)
    loaded.save(tmp_path / "again.fastiam")
    assert (tmp_path / "again.fastiam").read_bytes() == first
    all_answers(engine)
    engine.save(tmp_path / "warm.fastiam")
    assert len((tmp_path / "warm.fastiam").read_bytes()) == len(first)


def test_equal_directories_save_to_equal_bytes(tmp_path):
    (tmp_path / "directory.json").write_text(make_directory().to_json())
    for name in ("a", "b"):
        fastiam.load(tmp_path / "directory.json", mode="lenient").compile().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_empty_directory_can_be_saved(tmp_path):
    engine = fastiam.Directory().compile()
    assert all_answers(reloaded(engine, tmp_path)) == all_answers(engine)


def test_replaced_file_stays_usable_while_mapped(engine, tmp_path):
    old = reloaded(engine, tmp_path)
    directory = make_directory()
    directory.put_inline_policy(ANA, "More", document(allow("sns:Publish")))
    new = reloaded(directory.compile(), tmp_path)
    assert new.is_allowed(ANA, "sns:Publish", "*", CONTEXTS[0]) and not old.is_allowed(ANA, "sns:Publish", "*", CONTEXTS[0])
    assert all_answers(old) == all_answers(engine)  # records, too, come from the file that is gone


def test_a_link_is_followed_when_a_file_is_replaced(engine, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    engine.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and Engine.load(tmp_path / "real").is_allowed(ANA, WHAT[0], OBJECT, CONTEXTS[0])


def test_saved_file_has_the_umask_permissions(engine, tmp_path):
    engine.save(tmp_path / "engine.fastiam")
    (tmp_path / "plain").touch()
    assert (tmp_path / "engine.fastiam").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("path", ["absent/engine.fastiam", "folder", "file/engine.fastiam"])
def test_failed_write_leaves_no_file(engine, tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(fastiam.SourceError, match="engine.fastiam|folder"):
        engine.save(tmp_path / path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_failed_save_keeps_the_old_file(engine, tmp_path, monkeypatch):
    engine.save(tmp_path / "engine.fastiam")
    before = (tmp_path / "engine.fastiam").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(fastiam.SourceError, match="cannot be written: no space left"):
        engine.save(tmp_path / "engine.fastiam")
    assert [p.name for p in tmp_path.iterdir()] == ["engine.fastiam"]
    assert (tmp_path / "engine.fastiam").read_bytes() == before


# -- going on --------------------------------------------------------------------------------------------------------------


def test_loaded_engine_adds_and_drops_run_time_entries(tmp_path):
    engine = Engine.from_snapshot(make_directory().snapshot(), cache_bytes=1 << 20)
    twin = reloaded(engine, tmp_path)
    before = all_answers(twin)
    assert before == all_answers(engine)
    for turn in range(3):
        for n in range(3_000):  # hostile: each brings new words, keys, records
            late = f"{turn}x{n}"
            twin.is_allowed(
                f"arn:aws:iam::{A}:user/{late}",
                f"s3:Get{late}",
                f"arn:aws:lambda:eu-west-1:{A}:function:{late}",
                {f"aws:RequestTag/{late}": "x"},
            )
        assert all_answers(twin) == before
    assert twin.stats()["generation"] > 0 and twin.stats()["bytes"] - twin.stats()["compiled_bytes"] < 4 << 20


def test_sessions_add_policies_and_keys_to_a_loaded_engine(engine, loaded):
    for n in range(50):
        statement = allow(
            "s3:*", f"arn:aws:s3:::b/{n}/${{aws:PrincipalTag/t{n}}}", Condition={"StringLike": {f"app:k{n}": f"v{n}*"}}
        )
        late = Session(
            f"arn:aws:sts::{A}:assumed-role/app/s{n}",
            kind=PrincipalKind.ROLE,
            issuer=APP,
            policies=[document(statement)],
            tags={f"t{n}": "x"},
        )
        for value in (f"v{n}1", "other"):
            request = (late, "s3:GetObject", f"arn:aws:s3:::b/{n}/x", {f"app:k{n}": value})
            assert loaded.decide(*request, now=NOW) == engine.decide(*request, now=NOW)
            assert loaded.is_allowed(*request, now=NOW) == (value != "other")


def test_loaded_engine_is_used_by_threads_concurrently(engine, loaded):
    expected = all_answers(engine)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(all_answers, [loaded] * 16):
            assert found == expected


@pytest.mark.parametrize("seed", range(6))
def test_a_loaded_engine_is_updated_like_any_other(seed, tmp_path):
    changer = Changer(seed)
    for _ in range(30):
        changer.write()
    asked = requests(changer.rng, 150)
    engine = reloaded(changer.directory.compile(), tmp_path)
    for _ in range(4):
        before = answers(engine, asked)
        for _ in range(changer.rng.randrange(1, 5)):
            changer.write()
        new = engine.updated(changer.directory)
        expected = answers(changer.directory.compile(), asked)
        assert answers(new, asked) == expected
        assert answers(engine, asked) == before
        engine = reloaded(new, tmp_path)
        assert answers(engine, asked) == expected


def test_engine_updated_after_requests_is_saved_and_loaded(tmp_path):
    """6.10: the partial ARN of a secret represents the full one."""
    secret = f"arn:aws:secretsmanager:us-east-1:{A}:secret:db"
    directory = fastiam.Directory(quotas=None)
    directory.add_principal(ANA, identity_policies=[document(allow("secretsmanager:*", secret + "-AbCdEf"))])
    directory.add_resource(secret + "-AbCdEf")
    engine = directory.compile()
    asked = (ANA, "secretsmanager:GetSecretValue", secret)
    assert engine.is_allowed(*asked)
    directory.tag(ANA, {"a": "b"})
    updated = engine.updated(directory)
    for twin in (reloaded(updated, tmp_path), pickle.loads(pickle.dumps(updated))):
        assert twin.is_allowed(*asked) and twin.decide_many(*[[text] * 2 for text in asked]).allowed.all()
        directory.delete_resource(secret + "-AbCdEf")
        assert not twin.updated(directory).is_allowed(*asked)
        directory.add_resource(secret + "-AbCdEf")


@pytest.mark.parametrize("written", ["nothing", "a trust policy", "a tag", "another version", "the same policy in other words"])
def test_save_includes_policies_of_records_not_yet_read(written, tmp_path):
    """Records of a store are read on first use; another engine has read those that an update does not change."""
    directory = fastiam.Directory.open(tmp_path / "store", quotas=None)
    role, managed = f"arn:aws:iam::{A}:role/r", f"arn:aws:iam::{A}:policy/Work"
    trust = document({"Effect": "Allow", "Principal": {"AWS": A}, "Action": "sts:AssumeRole"})
    directory.add_managed_policy(managed, document(allow("s3:Get*")))
    directory.add_principal(role, identity_policies=[managed, ("own", document(allow("sqs:*")))], trust_policy=trust)
    engine = directory.compile()
    asked = [(role, "s3:GetObject", "*"), (role, "sqs:Send", "*"), (role, "s3:PutObject", "*")]
    if written == "a trust policy":
        directory.set_trust_policy(role, document({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}))
    if written == "a tag":
        directory.tag(role, {"a": "b"})
    if written == "another version":
        directory.create_policy_version(managed, document(allow("s3:*")), set_as_default=False)
    if written == "the same policy in other words":
        directory.put_inline_policy(role, "own", json.dumps(document(allow("sqs:*")), indent=3))
    updated = engine.updated(fastiam.Directory.open(tmp_path / "store", read_only=True))
    expected = [updated.decide(*request) for request in asked]
    assert [decision.allowed for decision in expected] == [True, True, False]
    for twin in (reloaded(updated, tmp_path), pickle.loads(pickle.dumps(updated))):
        assert [twin.decide(*request) for request in asked] == expected
        assert [row.statement for row in twin.decide_many(*map(list, zip(*asked, strict=True)), reasons=True)] == [
            decision.statement for decision in expected
        ]


def test_update_of_a_loaded_engine_shares_tables(tmp_path):
    (tmp_path / "directory.json").write_text(make_directory().to_json())
    directory, changed = (fastiam.load(tmp_path / "directory.json", mode="lenient") for _ in range(2))
    engine = directory.compile()
    loaded = reloaded(engine, tmp_path)
    assert loaded.updated(changed).stats()["policies"] == loaded.stats()["policies"]  # parsed again, with equal policies
    changed.put_inline_policy(ANA, "More", document(allow("sns:Publish")))
    new = loaded.updated(changed)
    assert new.stats()["policies"] == engine.updated(changed).stats()["policies"]
    assert new.is_allowed(ANA, "sns:Publish", "*", CONTEXTS[0])


def test_engine_updated_from_a_reloaded_directory_keeps_names(tmp_path):
    directory = make_directory()
    engine = directory.compile()
    again = make_directory()
    again.put_inline_policy(APP, "More", document(allow("sns:Publish")))
    new = engine.updated(again)
    assert all_answers(reloaded(new, tmp_path)) == all_answers(new)


def test_a_loaded_engine_pickles(loaded, engine):
    assert all_answers(pickle.loads(pickle.dumps(loaded))) == all_answers(engine)


# -- memory ----------------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
import fastiam
engine = fastiam.Engine.load(sys.argv[1])
principals = [f"arn:aws:iam::111111111111:user/u{n}" for n in range(3000)]
decisions = engine.decide_many(principals, "s3:GetObject", [f"arn:aws:s3:::b{n}/x" for n in range(3000)])
print(int(decisions.allowed.sum()), flush=True)
sys.stdin.readline()
counts = {}
is_mapping = False
for line in Path("/proc/self/smaps").read_text().splitlines():
    if "-" in line.split(" ")[0]:
        is_mapping = line.endswith(sys.argv[1])
    elif is_mapping:
        name, number = line.split()[:2]
        counts[name] = counts.get(name, 0) + (int(number) if number.isdigit() else 0)
print(counts["Rss:"], counts["Private_Dirty:"], counts["Shared_Clean:"], flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc/self/smaps here")
def test_two_processes_share_the_pages_of_a_file(tmp_path):
    directory = fastiam.Directory()
    for n in range(3000):
        directory.add_principal(
            f"arn:aws:iam::{A}:user/u{n}", identity_policies=[document(allow("s3:Get*", f"arn:aws:s3:::b{n}/*"))]
        )
    path = tmp_path / "engine.fastiam"
    directory.compile().save(path)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in started] == ["3000\n"] * 2
    sizes = [[int(n) for n in process.communicate("\n")[0].split()] for process in started]
    resident, dirty, shared = sizes[0]  # kB, of the first, while the second still had it mapped
    assert resident > 1000 and dirty < resident / 20 and shared > 0.9 * (resident - dirty)
