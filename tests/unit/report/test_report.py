"""HTML reports: escaping, the policy of the page, rows as JSON, and documents of statements."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastiam
from fastiam.model.decision import StatementRef
from fastiam.report import page as pages
from fastiam.report.highlighting import visible
from fastiam.report.page import Report, ReportTable, render

NOW = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
ANA, BOB = "arn:aws:iam::111111111111:user/ana", "arn:aws:iam::111111111111:user/bob"
EVIL = "</script><script>alert(1)</script><!-- ]]> &amp; \" ' \u2028 \u202e \x00 \ud800"


def data_of(page: str) -> list[dict[str, Any]]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def table(*rows: list[Any], columns: tuple[str, ...] = ("name",)) -> ReportTable:
    return ReportTable("Rows", columns, rows)


def statement(sid: str, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": effect, "Action": "s3:*", "Resource": "*", **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def loaded(tmp_path: Path, policies: dict[str, dict[str, Any]]) -> fastiam.Engine:
    """Users with one inline policy `own` each, from a file."""
    directory = fastiam.Directory("lenient")
    for arn, policy in policies.items():
        directory.add_principal(arn, identity_policies=[("own", policy)])
    directory.dump(tmp_path / "d.json")
    return fastiam.load(tmp_path / "d.json").compile()


def ref_of(engine: fastiam.Engine, principal: str) -> StatementRef:
    found = engine.decide(principal, "s3:GetObject", "arn:aws:s3:::b/k").statement
    assert found is not None
    return found


def shown(engine: fastiam.Engine, *refs: StatementRef) -> str:
    rows = [["gained", ref] for ref in refs]
    return render(Report("t", (), [table(*rows, columns=("change", "statement"))], engine.snapshot.policies()), NOW)


# -- escaping -------------------------------------------------------------------------------------------------------------


def test_report_keeps_hostile_texts_as_text() -> None:
    page = render(Report(EVIL, [EVIL], [ReportTable(EVIL, (EVIL,), [[EVIL], [[EVIL]]])]), NOW)
    assert page.count("<script") == page.count("</script") == 2 and "<!--" not in page and "\u202e" not in page
    (found,) = data_of(page)
    assert (found["title"], found["rows"]) == (EVIL, [[EVIL], [[EVIL]]])


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("<>/!-&\"'scriptSCRIPT \u2028\x00\ud800"), max_size=30))
def test_report_data_round_trips_and_ends_no_element(text: str) -> None:
    page = render(Report("t", (), [table([text])]), NOW)
    assert data_of(page)[0]["rows"] == [[text]] and page.count("<script") == page.count("</script") == 2


def test_invisible_characters_become_marks() -> None:
    assert str(visible("a\u202eb<")) == 'a<span class="control" title="U+202E">U+202E</span>b&lt;'


def test_page_policy_admits_only_its_own_style_and_script() -> None:
    page = render(Report("t"), NOW)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    style, script = (re.findall(f"<{name}>(.*?)</{name}>", page, re.DOTALL)[0] for name in ("style", "script"))
    digests = ["sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policy.replace("&#39;", "'") == (
        f"default-src 'none'; style-src '{digests[0]}'; script-src '{digests[1]}'; base-uri 'none'; form-action 'none'"
    )


def test_report_names_no_other_resource() -> None:
    page = render(Report("t", ("s",), [table(["x"])]), NOW)
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)|url\(|@import|https?://|innerHTML|\beval\b|\sstyle=|\son\w+=""", page)


# -- rows -----------------------------------------------------------------------------------------------------------------


def test_report_cells_keep_numbers_lists_and_missing_values() -> None:
    rows = [["a", 3, 1.5, True, None, ["x", "y"]]]
    (found,) = data_of(render(Report("t", (), [table(*rows, columns=tuple("abcdef"))]), NOW))
    assert found["rows"] == [["a", 3, 1.5, "true", None, ["x", "y"]]]


def test_report_limits_rows_and_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_ROWS", 3)
    made = ReportTable("Rows", ("n",), [[i] for i in range(5)], n_more=10)
    (found,) = data_of(render(Report("t", (), [made]), NOW))
    assert (found["rows"], found["more"]) == ([[0], [1], [2]], 12)


# -- documents ------------------------------------------------------------------------------------------------------------


def test_report_highlights_statements_in_their_documents(tmp_path: Path) -> None:
    engine = loaded(tmp_path, {ANA: document(statement("Read"), statement("Other")), BOB: document(statement("No", "Deny"))})
    page = shown(engine, ref_of(engine, ANA), ref_of(engine, BOB))
    assert [row[1] for row in data_of(page)[0]["rows"]] == [
        {"text": "Read of own", "document": 0},
        {"text": "No of own", "document": 1},
    ]
    marks = re.findall(r'<mark class="(\w+)" title="(\w+)">(.*?)</mark>', page, re.DOTALL)
    assert [(kind, label, re.findall(r"Sid&#34;: ?&#34;(\w+)", text)) for kind, label, text in marks] == [
        ("allow", "gained", ["Read"]),
        ("deny", "gained", ["No"]),
    ]


def test_report_shows_a_document_once_with_all_statements(tmp_path: Path) -> None:
    both = document(statement("Read"), statement("No", "Deny", Condition={"Null": {"aws:SourceIp": "true"}}))
    engine = loaded(tmp_path, {ANA: both})
    deny = ref_of(engine, ANA)
    allow = engine.decide(ANA, "s3:GetObject", "*", {"aws:SourceIp": "192.0.2.1"}).statement
    assert allow is not None
    page = shown(engine, deny, allow, deny)
    assert page.count("<details") == 1 and page.count('<mark class="deny" title') == page.count('<mark class="allow" title') == 1


@pytest.mark.parametrize("encoded", [json.dumps, lambda value: quote(json.dumps(value))])
def test_report_shows_documents_inside_of_strings(encoded: Any, tmp_path: Path) -> None:
    policy = [{"PolicyName": "own", "PolicyDocument": encoded(document(statement("Read")))}]
    (tmp_path / "e.json").write_text(json.dumps({"UserDetailList": [{"Arn": ANA, "UserId": "AIDA1", "UserPolicyList": policy}]}))
    engine = fastiam.load(tmp_path / "e.json").compile()
    page = shown(engine, ref_of(engine, ANA))
    assert "with indentation added" in page and '<mark class="allow" title="gained">{\n' in page


def test_report_leaves_out_documents_that_are_unclear() -> None:
    directory = fastiam.Directory()
    directory.add_principal(ANA, identity_policies=[("own", json.dumps(document(statement("Read"))))])
    directory.add_principal(BOB, identity_policies=[("own", json.dumps(document(statement("Read"), statement("Other"))))])
    engine = directory.compile()  # both documents have the place `own`
    page = shown(engine, ref_of(engine, ANA))
    assert "<details" not in page and data_of(page)[0]["rows"] == [["gained", "Read of own"]]


def test_report_does_not_indent_a_repeated_member(tmp_path: Path) -> None:
    text = json.dumps(document(statement("Read"))).replace('"Resource":', '"Resource": "arn:*", "Resource":')
    policy = [{"PolicyName": "own", "PolicyDocument": text}]
    (tmp_path / "e.json").write_text(json.dumps({"UserDetailList": [{"Arn": ANA, "UserId": "AIDA1", "UserPolicyList": policy}]}))
    engine = fastiam.load(tmp_path / "e.json").compile()
    (policy_read,) = engine.snapshot.policies()
    ref = StatementRef.of(policy_read, policy_read.statements[0], fastiam.Layer.IDENTITY, 0)
    assert "arn:*" in shown(engine, ref) and "indentation" not in shown(engine, ref)
