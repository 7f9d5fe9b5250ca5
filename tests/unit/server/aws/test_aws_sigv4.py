"""Signatures are verified as botocore makes them (G130 to G136)."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from aws_world import http_request
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import percent_encode_sequence
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fastiam.server.http import Request
from fastiam.server.protocols.aws import sigv4
from fastiam.server.protocols.aws.aws_errors import ApiError

KEY, SECRET = "AKIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("signing_clock")

plain = st.text("abzAZ019-_.~", min_size=1, max_size=8)
segments = st.one_of(plain, st.sampled_from(["", ".", "..", "a%20b", "%7e", "a+b", "é", "a:b", "*"]))
values = st.one_of(plain, st.sampled_from(["", "a b", "ü", "a+b", "x/y", "~", "%", "a=b"]))


@st.composite
def requests(draw, *, is_presigned=False):
    """A request of botocore with path, parameters, headers and body, and its signature."""
    path = "/".join(draw(st.lists(segments, max_size=4)))
    parameters = draw(st.dictionaries(plain, values, max_size=4))
    headers = {f"X-{name.strip('-._~') or 'a'}": value for name, value in draw(st.dictionaries(plain, plain, max_size=3)).items()}
    if draw(st.booleans()):
        headers["X-Blanks"] = "  a   b\tc  "
    request = AWSRequest(
        "GET" if is_presigned else draw(st.sampled_from(["GET", "POST", "PUT"])),
        f"https://iam.example:8380/{path}" + (f"?{percent_encode_sequence(parameters)}" if parameters else ""),
        headers,
        b"" if is_presigned else draw(st.binary(max_size=30)),
    )
    token = draw(st.none() | st.just("TOKEN/+="))
    credentials = Credentials(KEY, SECRET, token)
    if is_presigned:
        SigV4QueryAuth(credentials, "iam", "eu-west-1", expires=600).add_auth(request)
    else:
        SigV4Auth(credentials, "iam", "eu-west-1").add_auth(request)
    return http_request(request.prepare())


def verify(request: Request, secret: str = SECRET, now: datetime = NOW) -> bool:
    signature = sigv4.read_signature(request)
    assert signature is not None
    sigv4.check_headers(request, signature)
    sigv4.check_time(signature, now)
    return sigv4.is_valid(request, signature, secret, sigv4.body_hash(request))


@given(requests())
def test_signature_of_botocore_is_valid(request):
    assert verify(request)
    assert not verify(request, SECRET + "x")


@given(requests(is_presigned=True))
def test_presigned_request_of_botocore_is_valid(request):
    assert verify(request)
    assert not verify(request, "x" + SECRET)


@given(requests(), st.data())
def test_request_with_one_changed_byte_is_not_valid(request, data):
    """Of the body, the method, a signed header, or the host."""
    kind = data.draw(st.sampled_from(["body", "method", "host", "date"]))
    headers = dict(request.headers)
    match kind:
        case "body":
            changed = replace(request, body=request.body + b"x")
        case "method":
            changed = replace(request, method="PATCH")
        case "host":
            changed = replace(request, headers=tuple({**headers, b"host": b"other.example"}.items()))
        case _:
            changed = replace(request, headers=tuple({**headers, b"x-amz-date": b"20261129T090001Z"}.items()))
    assert not verify(changed)


def test_host_behind_a_proxy_may_have_another_name():
    request = signed()
    behind = replace(request, headers=tuple({**dict(request.headers), b"host": b"inner"}.items()))
    signature = sigv4.read_signature(behind)
    assert not sigv4.is_valid(behind, signature, SECRET, sigv4.body_hash(behind))
    assert sigv4.is_valid(behind, signature, SECRET, sigv4.body_hash(behind), hosts=("x", "iam.example:8380"))


def signed(**headers: str) -> Request:
    request = AWSRequest("POST", "https://iam.example:8380/aws", headers, b"Action=ListUsers&Version=2010-05-08")
    SigV4Auth(Credentials(KEY, SECRET), "iam", "eu-west-1").add_auth(request)
    return http_request(request.prepare())


def with_header(request: Request, name: str, value: str | None) -> Request:
    kept = tuple(pair for pair in request.headers if pair[0] != name.encode())
    return replace(request, headers=kept if value is None else (*kept, (name.encode(), value.encode())))


def with_second(request: Request, name: str) -> Request:
    return replace(request, headers=(*request.headers, (name.encode(), request.header(name.encode()))))


def authorization(request: Request) -> str:
    return request.header(b"authorization").decode()


CASES = [
    ("unsigned x-amz header", lambda r: with_header(r, "x-amz-target", "A.B"), "SignatureDoesNotMatch"),
    ("signed header is gone", lambda r: with_header(r, "x-amz-date", None), "IncompleteSignature"),
    ("two authorization headers", lambda r: with_second(r, "authorization"), "IncompleteSignature"),
    (
        "host is not signed",
        lambda r: with_header(r, "authorization", authorization(r).replace("host;", "")),
        "IncompleteSignature",
    ),
    (
        "names are not sorted",
        lambda r: with_header(r, "authorization", authorization(r).replace("host;x-amz-date", "x-amz-date;host")),
        "SignatureDoesNotMatch",
    ),
    (
        "a name twice",
        lambda r: with_header(r, "authorization", authorization(r).replace("host;", "host;host;")),
        "SignatureDoesNotMatch",
    ),
    (
        "another algorithm",
        lambda r: with_header(r, "authorization", authorization(r).replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
        "IncompleteSignature",
    ),
    (
        "no terminator",
        lambda r: with_header(r, "authorization", authorization(r).replace("aws4_request", "aws4")),
        "IncompleteSignature",
    ),
    (
        "scope of another day",
        lambda r: with_header(r, "authorization", authorization(r).replace("/20261129/", "/20261128/")),
        "SignatureDoesNotMatch",
    ),
    (
        "no signature",
        lambda r: with_header(r, "authorization", authorization(r).partition(", Signature")[0]),
        "IncompleteSignature",
    ),
    ("a part twice", lambda r: with_header(r, "authorization", authorization(r) + ", Signature=00"), "IncompleteSignature"),
    ("basic authentication", lambda r: with_header(r, "authorization", "Basic YTpi"), "IncompleteSignature"),
    (
        "presigned and signed",
        lambda r: replace(r, raw_query=b"X-Amz-Signature=00"),
        "IncompleteSignature",
    ),
    ("hash of another body", lambda r: with_header(r, "x-amz-content-sha256", "0" * 64), "SignatureDoesNotMatch"),
    ("streaming", lambda r: with_header(r, "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), "NotImplemented"),
    ("unsigned payload", lambda r: with_header(r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"), "SignatureDoesNotMatch"),
]


@pytest.mark.parametrize(("name", "change", "code"), CASES, ids=[case[0] for case in CASES])
def test_malformed_signature_is_refused(name, change, code):
    request = signed()
    if name in ("streaming", "hash of another body", "unsigned payload"):
        request = signed(**{"x-amz-content-sha256": "placeholder"})
    with pytest.raises(ApiError) as caught:
        verify(change(request))
    assert caught.value.code == code


@pytest.mark.parametrize(("minutes", "is_accepted"), [(-15, True), (-15.1, False), (15, True), (15.1, False)])
def test_signature_is_valid_for_fifteen_minutes(minutes, is_accepted):
    now = NOW + timedelta(minutes=minutes)
    if is_accepted:
        assert verify(signed(), now=now)
        return
    with pytest.raises(ApiError, match="20261129T090000Z") as caught:
        verify(signed(), now=now)
    assert caught.value.code == "SignatureDoesNotMatch" and "15 min" in caught.value.message


@pytest.mark.parametrize("changed", range(4), ids=["secret", "date", "region", "service"])
def test_signing_key_is_of_its_scope_alone(changed):
    scope = [SECRET, "20261129", "eu-west-1", "iam"]
    other = [text + "x" * (number == changed) for number, text in enumerate(scope)]
    keys = [sigv4.signing_key(*each) for each in (scope, other, scope, other)]
    assert keys[:2] == keys[2:] and keys[0] != keys[1]


def with_date(date: str) -> Request:
    """A request that has a Date header, which is not signed, and its signature as of NOW."""
    scope = f"Credential={KEY}/20261129/eu-west-1/iam/aws4_request"
    request = Request("POST", b"/aws", headers=((b"host", b"iam.example"), (b"date", date.encode())))
    request = with_header(request, "authorization", f"{sigv4.ALGORITHM} {scope}, SignedHeaders=host, Signature=00")
    read = dataclasses.replace(sigv4.read_signature(request), instant=NOW)
    digest = hashlib.sha256(sigv4.canonical_request(request, read, sigv4.body_hash(request))).hexdigest()
    text = f"{sigv4.ALGORITHM}\n20261129T090000Z\n{read.scope}\n{digest}"
    value = hmac.new(sigv4.signing_key(SECRET, read.date, read.region, read.service), text.encode(), hashlib.sha256).hexdigest()
    return with_header(request, "authorization", authorization(request).replace("Signature=00", f"Signature={value}"))


def test_zone_of_an_unsigned_date_does_not_prolong_a_signature():
    assert verify(with_date("Sun, 29 Nov 2026 09:00:00 GMT"))
    assert verify(with_date("Sun, 29 Nov 2026 11:00:00 +0200"))
    assert not verify(with_date("Sun, 29 Nov 2026 09:00:00 -1000"), now=NOW + timedelta(hours=10))


@pytest.mark.parametrize(
    ("date", "code"),
    [
        ("Fri, 31 Dec 9999 23:59:59 -1200", "IncompleteSignature"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "SignatureDoesNotMatch"),
        ("Mon, 01 Jan 0001 00:00:00 GMT", "SignatureDoesNotMatch"),
    ],
)
def test_date_at_the_end_of_the_calendar_is_refused(date, code):
    request = with_header(signed(), "x-amz-date", None)
    day = "00010101" if "0001" in date else "99991231"
    fields = authorization(request).replace("/20261129/", f"/{day}/")
    with pytest.raises(ApiError) as caught:
        read = sigv4.read_signature(with_header(with_header(request, "authorization", fields), "date", date))
        sigv4.check_time(read, NOW)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"/a%20b", b"/a%2520b"),
        (b"", b"/"),
        (b"/a/./b/../c", b"/a/c"),
        (b"//a//b/", b"/a/b/"),
        (b"/..", b"/"),
        (b"/~a-b_c.d", b"/~a-b_c.d"),
    ],
)
def test_canonical_path_encodes_what_was_sent(raw, canonical):
    assert sigv4.canonical_path(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"b=2&a=1", b"a=1&b=2"),
        (b"a=%7e", b"a=~"),
        (b"a+b=c+d", b"a%2Bb=c%2Bd"),
        (b"a", b"a="),
        (b"a=b=c", b"a=b%3Dc"),
        (b"X-Amz-Signature=1&a=", b"a="),
    ],
)
def test_canonical_query_is_sorted_and_encoded(raw, canonical):
    assert sigv4.canonical_query(raw) == canonical


def test_representation_of_a_signature_has_no_token():
    request = with_header(signed(), "x-amz-security-token", "SECRET-TOKEN")
    assert "SECRET-TOKEN" not in repr(sigv4.read_signature(request))
