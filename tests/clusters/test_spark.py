"""`fastiam.spark` on a local Spark with two workers. Numbers H... are those of docs/frames-spec.md.

One session serves all tests, and a test runs at most one job. H34: Spark warns of pandas 3, and only this warning is ignored.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from frame_world import BUCKET, READER, engine, expected, requests
from page_sections import run_section

import fastiam
from fastiam import FastiamError, RequestValueError, SharedEngine, lit, shared_engine

if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
    pytest.skip("Spark needs Java: apt-get install openjdk-17-jre-headless", allow_module_level=True)
pytest.importorskip("pyspark", reason="the extra `spark`: make test-clusters")

from fastiam import spark as iam

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")]

ASKED = engine()
ROWS = requests(60)
ANSWERS = expected(ASKED, ROWS)
KEYS = [name for name in ROWS if ":" in name]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        yield folder


@pytest.fixture(scope="module")
def spark(temporary: Path) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.log.level": "OFF"}
    settings |= {"spark.driver.host": "localhost", "spark.ui.showConsoleProgress": "false"}
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def df(spark: Any) -> Any:
    """The requests in two partitions, and their condition keys also as a map to lists."""
    rows = [
        (*row, {key: [value] for key, value in zip(KEYS, row[4:], strict=True) if value is not None})
        for row in zip(*ROWS.values(), strict=True)
    ]
    types = ["id int", *(f"`{name}` string" for name in list(ROWS)[1:]), "keys map<string, array<string>>"]
    frame = spark.createDataFrame(rows, ", ".join(types)).repartition(2)
    frame.createOrReplaceTempView("requests")
    return frame


def _columns(df: Any, *names: str) -> dict[str, list[Any]]:
    rows = sorted(df.collect(), key=lambda row: row["id"])
    return {name: [row[name] for row in rows] for name in names}


def test_frame_has_the_decisions_and_workers_one_private_file(df: Any, temporary: Path) -> None:
    shared = SharedEngine(ASKED)
    decided = iam.decide(df, shared)
    assert decided.columns == [*df.columns, *ANSWERS]
    assert _columns(decided, *ANSWERS) == ANSWERS
    (file,) = temporary.rglob(f"fastiam-{shared.digest}.engine")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_h35_map_of_lists_and_path_of_the_engine_are_taken(df: Any, tmp_path: Path) -> None:
    path = tmp_path / "policies.engine"
    ASKED.save(path)
    decided = iam.decide(df, path, ship="path", context="keys", keep=["id"], add=["allowed", "reason"], prefix="iam_")
    assert decided.columns == ["id", "iam_allowed", "iam_reason"]
    assert _columns(decided, "iam_allowed")["iam_allowed"] == ANSWERS["allowed"]


def test_artifact_brings_the_engine_to_the_workers(df: Any) -> None:
    decided = iam.decide(df, ASKED, ship="artifact", add=["allowed"], keep=["id"])
    assert _columns(decided, "allowed")["allowed"] == ANSWERS["allowed"]
    assert iam.decide(df, ASKED, ship="artifact").columns, "an artifact may be sent again"


def test_h65_column_decides_rows_and_denies_broken_ones(df: Any) -> None:
    """H65, H25: a row that the query excludes may be broken, and a null is never the answer."""
    from pyspark.sql import functions as F

    broken = F.when(F.col("id") % 4 == 0, F.lit("nonsense")).otherwise(F.col("resource"))
    keys = {key: F.col(f"`{key}`") for key in KEYS}
    constant = iam.allowed(ASKED, lit(READER), lit("s3:GetObject"), lit(f"{BUCKET}/x"), context={KEYS[0]: lit("10.0.0.1")})
    found = df.select(
        "id",
        iam.allowed(ASKED, context=KEYS).alias("by_names"),
        iam.allowed(ASKED, F.col("principal"), lit("s3:GetObject"), "resource", context=keys).alias("get"),
        iam.allowed(ASKED, resource=broken, context=KEYS).alias("broken"),
        iam.allowed(ASKED, F.lit(None), context=KEYS).alias("null"),
        constant.alias("constant"),
    )
    columns = _columns(found, *found.columns[1:])
    assert columns["by_names"] == ANSWERS["allowed"]
    assert columns["get"] == expected(ASKED, {**ROWS, "action": ["s3:GetObject"] * 60})["allowed"]
    assert columns["broken"] == [allowed and row % 4 != 0 for row, allowed in enumerate(ANSWERS["allowed"])]
    assert columns["null"] == [False] * 60 and columns["constant"] == [True] * 60


def test_h25_function_of_sql_takes_structs_maps_and_nulls(spark: Any, df: Any) -> None:
    iam.register(spark, ASKED, check=False)
    struct = ", ".join(f"'{key}', `{key}`" for key in KEYS)
    rest = ", ".join(f"'{key}', `{key}`" for key in KEYS if key != "aws:RequestTag/team")
    texts = f"map_filter(map({struct}), (k, v) -> v is not null)"
    call = "iam_allowed(principal, action, resource"
    found = spark.sql(
        f"select id, {call}, named_struct({struct})) struct, {call}, {texts}) texts, {call}, keys) lists, "
        f"{call}, named_struct({rest}, 'aws:RequestTag/*', map('team', `aws:RequestTag/team`))) tags, "
        f"{call}, null) none, iam_allowed(null, action, resource, keys) no_principal from requests where id >= 0"
    )
    columns = _columns(found, *found.columns[1:])
    assert columns["struct"] == columns["texts"] == columns["lists"] == columns["tags"] == ANSWERS["allowed"]
    assert columns["none"] == expected(ASKED, {name: ROWS[name] for name in list(ROWS)[:4]})["allowed"]
    assert columns["no_principal"] == [False] * 60


def test_h32_summary_counts_each_partition_from_its_rows(df: Any) -> None:
    rows = iam.summary(df, ASKED).collect()
    assert {row.partition for row in rows} == {0, 1}
    total: dict[tuple[str, str | None], int] = {}
    for row in rows:
        total[row["count"], row.name] = total.get((row["count"], row.name), 0) + row.rows
    context = {name: ROWS[name] for name in KEYS}
    counts = ASKED.decide_many(ROWS["principal"], ROWS["action"], ROWS["resource"], context, reasons=True).summary()
    assert total["rows", None] == 60
    outcomes = {name: n for (count, name), n in total.items() if count == "outcome"}
    assert outcomes == {outcome.name: n for outcome, n in counts.outcomes.items()}
    assert sum(n for (count, _), n in total.items() if count == "deny") == sum(counts.denies.values()) > 0


class _Clock(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime(2020, 1, 1, tzinfo=UTC)


def test_h33_clock_and_engine_are_those_of_the_call(df: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    until = {"DateLessThan": {"aws:CurrentTime": "2021-01-01T00:00:00Z"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": until}
    policies: list[Any] = [{"Version": "2012-10-17", "Statement": statement}]

    def source() -> fastiam.Directory:
        directory = fastiam.Directory()
        directory.add_principal(READER, identity_policies=policies)
        return directory

    live = fastiam.LiveEngine(source)
    monkeypatch.setattr(iam, "datetime", _Clock)
    one = df.where("id < 1")
    decided = iam.decide(one, live, principal=lit(READER), context=(), add=["allowed"])
    with_column = decided.withColumn("later", iam.allowed(live, principal=lit(READER)))
    policies.clear()
    live.refresh()
    (row,) = with_column.collect()
    assert row.allowed and not row.later, "a column has the clock of the worker"


def test_h03_row_that_cannot_be_decided_ends_the_job(df: Any) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    broken = df.coalesce(1).withColumn("resource", F.lit("nonsense"))
    with pytest.raises(PySparkException, match="RequestValueError: `nonsense` .* - at `resource`, row 0"):
        iam.decide(broken, ASKED).collect()


def test_h31_worker_without_fastiam_is_an_error_of_register(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    run = "sys.argv = sys.argv[2:]; runpy.run_module(sys.argv[0], run_name='__main__')"
    python.write_text(f"""#!/bin/sh\nexec {sys.executable} -c "import runpy, sys; sys.modules['fastiam'] = None; {run}" "$@"\n""")
    python.chmod(0o755)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(python))
    with pytest.raises(FastiamError, match=r"a worker cannot decide: ModuleNotFoundError: .*fastiam(?s:.*)PYSPARK_PYTHON"):
        iam.register(spark, ASKED)


def test_h28_worker_of_another_release_is_found_by_check(df: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_engine, "__version__", "99.1.0")
    with pytest.raises(FastiamError, match=f"a worker cannot decide: .*99.1.0.*{fastiam.__version__}"):
        iam.decide(df, ASKED, check=True)


def test_empty_frame_has_all_columns_of_their_types(df: Any) -> None:
    decided = iam.decide(df.limit(0), ASKED, unknown=["aws:PrincipalTag/*"], on_error="deny")
    types = {field.name: (field.dataType.simpleString(), field.nullable) for field in decided.schema.fields[len(df.columns) :]}
    text = dict.fromkeys(("layer", "policy", "sid", "depends_on", "error_code", "error"), ("string", True))
    assert types == {"outcome": ("string", False), "allowed": ("boolean", False), **text}
    assert decided.collect() == []


def test_columns_that_nothing_needs_are_not_sent(df: Any) -> None:
    decided = iam.decide(df.selectExpr("*", "'a note' as note"), ASKED, keep=["id"])
    plan = decided._jdf.queryExecution().optimizedPlan().toString()
    assert "MapInArrow" in plan and "a note" not in plan


def test_wrong_arguments_are_refused_before_a_job(spark: Any, df: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = spark.readStream.format("rate").load()
    monkeypatch.setattr(iam, "MAX_PICKLE", 100)
    for message, frame, options in [
        ("the frame is a stream", stream, {}),
        ("the engine has .* bytes, more than 100", df, {}),
        ("the engine has no path", df, {"ship": "path"}),
        ("unknown way `mail`", df, {"ship": "mail"}),
        ("the frame has no column `principle`", df, {"principal": "principle"}),
        ("the frame has a column `sid` already", df.withColumnRenamed("id", "sid"), {}),
        ("two columns `keys`", df.select("*", "keys"), {"context": KEYS, "ship": "artifact"}),
    ]:
        with pytest.raises(RequestValueError, match=message):
            iam.decide(frame, ASKED, **options)
    with pytest.raises(RequestValueError, match="an expression does not see the columns"):
        iam.allowed(ASKED, context="auto")


def test_page_of_clusters_shows_calls_that_decide(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_section("clusters.md", "Spark", tmp_path)
    assert names["spark"] is spark


def test_readme_line_for_spark_decides_its_frame(df: Any) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    (line,) = re.findall(r"^\| Spark \| `(.*)` \|$", readme, re.M)
    names = {"engine": ASKED, "requests": df}
    exec(line, names)
    assert _columns(names["decided"], *ANSWERS) == ANSWERS
