"""What reports begin with: sentences, heat maps and graphs, as they are in the page."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastiam.report.graph import MAX_NODES, drawn_graph
from fastiam.report.page import Report, ReportTable, render
from fastiam.report.pictures import MAX_HEAT_ROWS, Graph, GraphEdge, HeatCell, HeatMap, Names, Sentences, Words, short_names

NOW = datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
EVIL = "</script><b onclick=alert(1)>\u202e"
A, B = "arn:aws:iam::111111111111:", "arn:aws:iam::222222222222:"


def listed_in(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="listed">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def names_of(words: list[str], ranges: str) -> list[str]:
    """What the script reads from ranges."""
    found: list[str] = []
    for each in ranges.split(",") if ranges else []:
        first, _, last = each.partition("-")
        found += words[int(first) : int(last or first) + 1]
    return found


@given(st.lists(st.text(max_size=3)), st.data())
def test_ranges_of_words_list_the_same_names(known: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(known))) if known else []
    words = Words(known)
    assert names_of(words.all, words.ranges(chosen)) == sorted(set(chosen))


def test_report_keeps_long_lists_once() -> None:
    actions = tuple(f"s3:Action{i:05}" for i in range(18_000))
    page = render(Report("t", (), [ReportTable("Rows", ("unused",), [[Names(actions)] for _ in range(20)])]), NOW)
    assert listed_in(page)["words"] == list(actions)
    assert len(page) < 600_000


def test_long_heat_map_counts_omitted_rows() -> None:
    names = [f"user/u{i}" for i in range(MAX_HEAT_ROWS + 5)]
    cells = [HeatCell(i, 0, 1.0, [f"s3:Action{i}"]) for i in range(len(names))]
    page = render(Report("t", (), pictures=[HeatMap("t", "n", "user", "actions", names, names, ["s3"], cells)]), NOW)
    (heat,) = listed_in(page)["heat"]
    assert (len(heat["rows"]), len(heat["cells"]), heat["more"]) == (MAX_HEAT_ROWS, MAX_HEAT_ROWS, 5)


def test_report_names_what_it_was_made_from() -> None:
    page = render(Report("t", (), inputs=["account.json", EVIL]), NOW)
    assert "Made by fastiam" in page and "2026-12-01 12:30 UTC from <code>account.json</code>" in page
    assert "<b onclick" not in page


def test_pictures_keep_hostile_texts_as_text() -> None:
    heat = HeatMap(EVIL, EVIL, EVIL, EVIL, [EVIL], [EVIL], [EVIL], [HeatCell(0, 0, 1.0, [EVIL])])
    graph = Graph(EVIL, EVIL, [GraphEdge(EVIL, "t", EVIL, True)], ["t"])
    page = render(Report("t", (), pictures=[heat, graph, Sentences(EVIL, [f"`{EVIL}` {EVIL}"])]), NOW)
    assert "<b onclick" not in page and "\u202e" not in page
    assert listed_in(page)["heat"][0]["cells"] == [[0, 0, 1, 1.0, "0"]]
    assert page.count("<script") == page.count("</script") == 3


def test_sentences_show_backticks_as_code() -> None:
    page = render(Report("t", (), pictures=[Sentences("Said", ["`user/ana` can now `s3:*`"])]), NOW)
    assert "<li><code>user/ana</code> can now <code>s3:*</code></li>" in page


def test_short_names_of_principals_differ() -> None:
    names = [f"{A}user/ana", f"{A}role/app", f"{A}role/a/x", f"{A}role/b/x", f"{B}user/ana", "lambda.amazonaws.com"]
    assert list(short_names(names).values()) == [
        "user/ana", "role/app", "role/a/x", "role/b/x", "user/ana (222222222222)", "lambda.amazonaws.com"
    ]  # fmt: skip


def test_graph_draws_each_edge_and_lists_it() -> None:
    edges = [
        GraphEdge(f"{A}user/ana", f"{A}role/app", "assume-role", True),
        GraphEdge(f"{A}role/app", f"{A}role/admin", "put-role-policy", False),
    ]
    drawn = str(drawn_graph(Graph("Paths", "", edges, [f"{A}role/admin"])))
    assert drawn.count("<path class=") == 2 and drawn.count("<rect") == 3
    assert '<path class="sure"' in drawn and '<path class="possible"' in drawn
    assert drawn.count("<li") == 2 and "<code>user/ana</code> by assume-role to <code>role/app</code>" in drawn
    x = [float(found) for found in re.findall(r'<rect x="([0-9.]+)"', drawn)]
    assert x == sorted(x, reverse=True), "targets are on the right"


def test_large_graph_counts_omitted_nodes() -> None:
    edges = [GraphEdge(f"{A}user/u{i}", f"{A}role/admin", "assume-role", True) for i in range(MAX_NODES + 10)]
    drawn = str(drawn_graph(Graph("Paths", "", edges, [f"{A}role/admin"])))
    assert drawn.count("<rect") == MAX_NODES and "11 more users and roles are in the table only" in drawn
