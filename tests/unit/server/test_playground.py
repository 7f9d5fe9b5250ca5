"""The playground without a socket: pages, limits, escapes. Numbers GC... are those of docs/doors.md."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest
from served_engine import EngineDecider

import fastiam
from fastiam.report.highlighting import Span, highlighted
from fastiam.server.http import Request, Response
from fastiam.server.identity import EXPLAIN, PLAYGROUND, Identity
from fastiam.server.protocol import ListenerFacts, Site, UnmetNeed
from fastiam.server.protocols import playground
from fastiam.server.protocols.playground.forms import context_of, documents_of

NOW = datetime(2026, 11, 29, tzinfo=UTC)
USER = "arn:aws:iam::111111111111:user/ana"
LOCAL = ListenerFacts("tcp", True, "none", False)
EXPLAINING = Identity("test", frozenset({PLAYGROUND, EXPLAIN}))


def policy(**statement: Any) -> str:
    """A policy of one statement, as text."""
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"} | statement]}, indent=1
    )


class Pages:
    """The playground over a directory of one user."""

    def __init__(self) -> None:
        directory = fastiam.Directory()
        directory.add_principal(USER, identity_policies=[policy(Action="s3:*")])
        directory.add_resource("arn:aws:s3:::reports", account="111111111111")
        self.engine = directory.compile()
        self.decider = EngineDecider(self.engine, directory)
        self.protocol = playground.create(playground.Section(), Site((LOCAL,), has_directory=True, has_sts=False))

    def ask(self, method: str, path: str, *, peer: Identity = EXPLAINING, **fields: str) -> Response:
        """The answer to a request of a page of the server itself."""
        headers = ((b"host", b"127.0.0.1:8380"), (b"origin", b"http://127.0.0.1:8380"))
        return self.send(method, path, headers, urlencode(fields).encode(), peer)

    def send(
        self, method: str, path: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes = b"", identity: Identity = EXPLAINING
    ) -> Response:
        route = next(route for route in self.protocol.routes() if route.path == path and method in route.methods)
        request = Request(method, path.encode(), headers=headers, body=body, identity=identity)
        return route.handler(request, self.decider, NOW)

    def decide(self, **fields: str) -> str:
        """The HTML of a decision about the user reading an object."""
        request = {
            "principal": USER,
            "action": "s3:GetObject",
            "resource": "arn:aws:s3:::reports/x",
            "resource_account": "111111111111",
        }
        answer = self.ask("POST", "/playground/decide", **(request | fields))
        assert answer.status == 200
        return text_of(answer)


@pytest.fixture(scope="module")
def pages() -> Pages:
    """The pages over a small directory."""
    return Pages()


def text_of(answer: Response) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"identity": policy()}, "Allowed"),
        ({}, "Denied: nothing allows it"),
        ({"identity": policy() + policy(Effect="Deny")}, "Denied by a statement"),
        ({"identity": policy(), "scps": policy() + "\n" + policy(Action="ec2:*")}, "Denied: nothing allows it"),
        ({"identity": policy(), "boundary": policy(Action="s3:Get*")}, "Allowed"),
        (
            {"identity": policy(Condition={"Bool": {"aws:SecureTransport": "true"}}), "unknown": "aws:SecureTransport"},
            "Depends on unknown",
        ),
        (
            {"identity": policy(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), "context": "aws:SourceIp = 10.1.1.1"},
            "Allowed",
        ),
    ],
)
def test_page_decide_gives_the_decision_of_the_documents(pages: Pages, fields: dict[str, str], verdict: str) -> None:
    assert verdict in pages.decide(**fields)


def test_page_decide_states_what_it_would_take(pages: Pages) -> None:
    html = pages.decide(identity=policy(Sid="Office", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    assert "statement Office would allow it if IpAddress aws:SourceIp 10.0.0.0/8 were satisfied; it is absent" in html
    assert "an Allow in an identity policy of the principal" in html
    assert '<mark class="near"' in html


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"identity": '{\n "Version": x'}, "identity_policies[0]:2:13"),
        ({"principal": "ana"}, "`ana` is not a principal"),
        ({"action": "nonsense"}, "is not an action"),
        ({"context": "aws:SourceIp 10.0.0.1"}, "line 1 has no key and value"),
        ({"context": "{"}, "not JSON"),
        ({"resource_policy": policy(Principal="*") * 2}, "2 documents, and there is at most one"),
    ],
)
def test_page_decide_names_what_it_cannot_read(pages: Pages, fields: dict[str, str], message: str) -> None:
    html = pages.decide(**fields)
    assert message in html.replace("&#34;", '"')


@pytest.mark.parametrize("place", ["sid", "resource", "whole", "principal", "context", "unknown"])
def test_gc238_markup_in_pasted_text_is_shown_as_text(pages: Pages, place: str) -> None:
    script = "<script>alert(1)</script>\"'<img src=x onerror=alert(2)>"
    fields = {
        "sid": {"identity": policy(Sid=script)},
        "resource": {"identity": policy(Resource=f"arn:aws:s3:::{script}")},
        "whole": {"identity": script},
        "principal": {"principal": script},
        "context": {"context": f"{script} = {script}"},
        "unknown": {"unknown": script},
    }[place]
    html = pages.decide(**fields)
    assert "<script>alert" not in html
    assert "<img" not in html
    assert html.count("<script") == 2, "the two scripts of the page itself"


def test_gc238_pages_allow_no_inline_script_or_style(pages: Pages) -> None:
    for method, path in (("GET", "/playground/"), ("GET", "/playground/explore"), ("POST", "/playground/decide")):
        answer = pages.ask(method, path)
        headers = dict(answer.headers)
        assert headers[b"content-security-policy"].startswith(b"default-src 'none'; script-src 'self'; style-src 'self'")
        assert b"unsafe" not in headers[b"content-security-policy"]
        assert headers[b"cache-control"] == b"no-store"
        assert headers[b"referrer-policy"] == b"no-referrer"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"cross-origin-opener-policy"] == b"same-origin"
        html = text_of(answer)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)|https?://(?!127\.0\.0\.1)", html)


def test_gc239_static_files_are_a_fixed_table(pages: Pages) -> None:
    paths = {route.path for route in pages.protocol.routes() if "static" in route.path}
    assert paths == {f"/playground/static/{name}" for name in ("htmx.min.js", "playground.js", "pages.css", "icon.svg")}
    assert not any(route.is_prefix for route in pages.protocol.routes())


def test_vendored_htmx_is_the_published_file(pages: Pages) -> None:
    body = pages.ask("GET", "/playground/static/htmx.min.js").body
    assert isinstance(body, bytes)
    assert hashlib.sha256(body).hexdigest() == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"origin", b"http://127.0.0.1:8380")], 200),
        ([(b"sec-fetch-site", b"same-origin")], 200),
        ([(b"sec-fetch-site", b"none")], 200),
        ([(b"origin", b"http://evil.example")], 403),
        ([(b"origin", b"http://127.0.0.1:9999")], 403),
        ([(b"origin", b"https://127.0.0.1:8380")], 403),
        ([(b"origin", b"null")], 403),
        ([(b"origin", b"null"), (b"sec-fetch-site", b"same-origin")], 200),
        ([(b"origin", b"null"), (b"sec-fetch-site", b"none")], 403),
        ([(b"origin", b"null"), (b"sec-fetch-site", b"cross-site")], 403),
        ([(b"origin", b"http://127.0.0.1:8380"), (b"origin", b"http://evil.example")], 403),
        ([(b"sec-fetch-site", b"cross-site")], 403),
        ([(b"sec-fetch-site", b"same-site")], 403),
        ([], 403),
    ],
)
def test_gc240_forms_of_other_sites_are_refused(pages: Pages, headers: list[tuple[bytes, bytes]], status: int) -> None:
    for path in ("decide", "change", "findings", "who-can", "what-can"):
        answer = pages.send(
            "POST", f"/playground/{path}", ((b"host", b"127.0.0.1:8380"), *headers), b"principal=x&action=y&resource=z"
        )
        assert (answer.status == 403) is (status == 403), path


def test_gc241_documents_are_limited_in_number_and_length(pages: Pages) -> None:
    padded = policy().rstrip("}") + "}"
    padded = padded[:-1] + " " * (131_072 - len(padded)) + "}"
    assert len(padded) == 131_072
    assert "Allowed" in pages.decide(identity=padded * 32)
    for fields in ({"identity": padded * 33}, {"identity": padded[:-1] + " }"}):
        answer = pages.ask("POST", "/playground/decide", principal=USER, action="s3:GetObject", resource="*", **fields)
        assert answer.status == 400


@pytest.mark.parametrize("body", [b"a=1&a=2", b"&".join(b"f%d=1" % i for i in range(65)), b"a=%FF", b"\xff=1"])
def test_form_that_cannot_be_read_is_refused(pages: Pages, body: bytes) -> None:
    headers = ((b"host", b"127.0.0.1:8380"), (b"origin", b"http://127.0.0.1:8380"))
    for path in ("decide", "change", "findings", "who-can"):
        assert pages.send("POST", f"/playground/{path}", headers, body).status == 400


def test_gc242_pattern_of_many_stars_is_decided(pages: Pages) -> None:
    html = pages.decide(identity=policy(Resource="arn:aws:s3:::" + "*a" * 200 + "b"), resource="arn:aws:s3:::" + "a" * 900)
    assert "Denied: nothing allows it" in html


def test_gc244_pasted_policies_leave_the_engine_as_it_was(pages: Pages) -> None:
    before = pages.engine.stats()
    for i in range(20):
        pages.decide(identity=policy(Sid=f"Pasted{i}", Resource=f"arn:aws:s3:::pasted-{i}/*"))
    assert pages.engine.stats() == before


def test_pages_of_the_directory_need_the_scope_explain(pages: Pages) -> None:
    without = Identity("test", frozenset({PLAYGROUND}))
    for method, path in (("GET", "explore"), ("POST", "who-can"), ("POST", "what-can")):
        answer = pages.ask(method, f"/playground/{path}", peer=without, principal=USER, action="s3:GetObject", resource="*")
        assert answer.status == 403
        assert USER not in text_of(answer)
    assert USER in text_of(pages.ask("GET", "/playground/explore"))


def test_explore_answers_who_can_and_what_can(pages: Pages) -> None:
    who = text_of(pages.ask("POST", "/playground/who-can", action="s3:GetObject", resource="arn:aws:s3:::reports/x"))
    assert f'<th scope="row">{USER}</th><td>ALLOW</td>' in who
    assert "s3:*" in text_of(pages.ask("POST", "/playground/what-can", principal=USER))
    assert "Not answered" in text_of(pages.ask("POST", "/playground/what-can", principal="arn:aws:iam::111111111111:user/nobody"))


def test_change_shows_what_a_new_version_gains(pages: Pages) -> None:
    html = text_of(pages.ask("POST", "/playground/change", before=policy(Action="s3:GetObject"), after=policy(Action="s3:*")))
    assert "1 changes" in html
    assert "gained" in html
    same = text_of(pages.ask("POST", "/playground/change", before=policy(), after=policy()))
    assert "No difference" in same
    assert "Not compared" in text_of(pages.ask("POST", "/playground/change", before="{", after=policy()))


def test_findings_name_line_and_column(pages: Pages) -> None:
    html = text_of(pages.ask("POST", "/playground/findings", text=policy(Action="nonsense"), kind="identity"))
    assert "[V24]" in html
    assert re.search(r"line \d+, column \d+", html)
    clean = policy(Action="s3:GetObject")
    assert "No findings" in text_of(pages.ask("POST", "/playground/findings", text=clean, kind="identity"))
    assert pages.ask("POST", "/playground/findings", text="", kind="x").status == 400


def test_findings_include_those_of_lint(pages: Pages) -> None:
    html = text_of(pages.ask("POST", "/playground/findings", text=policy(Action="s3:GetObjekt"), kind="identity"))
    assert "[L2]" in html and "did you mean `s3:GetObject`?" in html
    assert f"AWS's data is of {fastiam.AwsData.installed().date}." in html


class _Outline(HTMLParser):
    """What a screen reader needs: headings, labels and headers of tables."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.labels = 0
        self.unlabelled: list[str] = []
        self.bare_cells = 0
        self.lang = ""
        self.live = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "html":
            self.lang = given.get("lang") or ""
        if tag == "label":
            self.labels += 1
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag in ("input", "textarea", "select") and not self.labels:
            self.unlabelled.append(given.get("name") or "")
        if tag == "th" and "scope" not in given:
            self.bare_cells += 1
        self.live += given.get("aria-live") == "polite"

    def handle_endtag(self, tag: str) -> None:
        self.labels -= tag == "label"


@pytest.mark.parametrize("path", ["", "explore", "change", "findings"])
def test_g208_pages_have_labels_headings_and_a_live_answer(pages: Pages, path: str) -> None:
    outline = _Outline()
    outline.feed(text_of(pages.ask("GET", f"/playground/{path}")))
    assert outline.headings.count("h1") == 1
    assert outline.unlabelled == []
    assert outline.bare_cells == 0
    assert outline.lang == "en"
    assert outline.live == 1


def test_gc28_playground_beyond_loopback_needs_authentication() -> None:
    everywhere = ListenerFacts("tcp", False, "none", True)
    with pytest.raises(UnmetNeed, match="needs authentication beyond loopback"):
        playground.create(playground.Section(), Site((LOCAL, everywhere), has_directory=True, has_sts=False))
    playground.create(
        playground.Section(), Site((ListenerFacts("tcp", False, "bearer", True),), has_directory=True, has_sts=False)
    )


def test_highlight_escapes_and_marks_control_characters() -> None:
    text = 'a<b>\u202e"\U0001f600\r\n\tz\x00'
    html = str(highlighted(text, [Span(1, 4, "allow", 'x"y'), Span(1, 8, "deny", "z")]))
    assert '<mark class="deny" title="x&#34;y; z">&lt;b&gt;</mark>' in html
    assert '<span class="control" title="U+202E">U+202E</span>' in html
    assert '<span class="control" title="U+0000">U+0000</span>' in html
    assert "\u202e" not in html
    assert "\U0001f600" in html


def test_documents_of_a_text_area_follow_each_other() -> None:
    one, two = policy(), policy(Effect="Deny")
    assert documents_of(f"\r\n{one}\n\n{two} ") == [one, two]
    assert documents_of(f"{one} broken {two}") == [one, f"broken {two}"]
    assert documents_of(" \n") == []
    assert documents_of("[" * 100_000) == ["[" * 100_000]


def test_context_lines_with_one_key_are_several_values() -> None:
    assert context_of("a:B = 1\n\na:B = 2\na:B=3\nc:D = x = y") == {"a:B": ["1", "2", "3"], "c:D": "x = y"}
    assert context_of('{"a:B": ["1"]}') == {"a:B": ["1"]}
