"""The source `sigv4` of Envoy's checks: requests as botocore signs them (GC114, GC124)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from authzen_fixture import TRUSTED
from aws_world import BO, AwsWorld, http_request, signing_clock  # noqa: F401
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from extauthz_fixture import API, LOOPBACK

from fastiam.server.identity import Identity
from fastiam.server.protocol import Site
from fastiam.server.protocols.extauthz import Answer, CheckRequest, Section, create

pytestmark = pytest.mark.usefixtures("signing_clock")


@pytest.fixture
def world() -> AwsWorld:
    made = AwsWorld()
    made.allow("execute-api:Invoke", resource=f"{API}/POST/orders/*")
    made.decider.fresh()
    return made


def signed(
    world: AwsWorld,
    *,
    service: str = "execute-api",
    body: bytes = b"",
    presigned: bool = False,
    path: str = "/orders/7",
    query: str = "a=b%20c",
    **headers: str,
) -> CheckRequest:
    """The check for a request that `bo` signed."""
    request = AWSRequest("POST", f"https://orders.example{path}?{query}", headers, body)
    credentials = Credentials(world.bo.access_key_id, str(world.bo.secret_access_key))
    signer = (SigV4QueryAuth if presigned else SigV4Auth)(
        credentials, service, "eu-west-1", **({"expires": 60} if presigned else {})
    )
    if service == "s3":  # as `S3SigV4Auth` does
        signer._normalize_url_path = lambda path: path
    signer.add_auth(request)
    made = http_request(request.prepare())
    target = made.raw_path + b"?" + made.raw_query
    return CheckRequest("POST", target, "orders.example", made.headers, True, made.body)


def ask(world: AwsWorld, check: CheckRequest, *, first: str = "sigv4", path: str = "strict", **sigv4: Any) -> Answer:
    route = {"api": API, "path": path}
    settings = {"principal": [first, "anonymous"], "sigv4": sigv4, "explain_denied": True, "route": [route]}
    site = Site((LOOPBACK,), has_directory=True, has_sts=True)
    core = create(msgspec.convert(settings, Section), site).core
    return core.check(check, world.decider, Identity("envoy", TRUSTED), world.clock(), "id")


def test_signed_request_is_of_the_owner_of_the_key(world: AwsWorld) -> None:
    for check in (signed(world), signed(world, presigned=True), signed(world, body=b'{"a": 1}')):
        answer = ask(world, check)
        assert (answer.code, dict(answer.headers)["x-fastiam-principal"]) == (0, BO)


def test_signature_for_another_service_is_401(world: AwsWorld) -> None:  # GC124
    for service in ("sts", "iam", "execute-api2"):
        answer = ask(world, signed(world, service=service))
        assert answer.code == 16 and answer.record.error == "bad_signature"
    assert ask(world, signed(world, service="sts"), service="sts").code == 0


@pytest.mark.parametrize(
    "change",
    [
        {"target": b"/orders/8?a=b%20c"},
        {"target": b"/orders/7?a=c"},
        {"method": "PUT"},
        {"host": "other.example"},
        {"body": b"x"},
        {"target": b"/orders/7?a=b%20c#x"},
    ],
)
def test_altered_request_is_401(world: AwsWorld, change: dict[str, Any]) -> None:
    for presigned in (False, True):
        check = signed(world, presigned=presigned)
        if "target" in change and presigned:
            change = {"target": check.target.replace(b"/orders/7", b"/orders/8")}
        assert ask(world, replace(check, **change)).code == 16


def test_target_that_others_read_in_another_way_is_401(world: AwsWorld) -> None:  # G131
    """The signature is the same for each of these targets."""
    for presigned in (False, True):
        check = signed(world, presigned=presigned)
        for path in (b"//orders/7", b"/orders//7", b"/x/../orders/7", b"/orders/./7", b"/./orders/7", b"/orders/x/../7"):
            answer = ask(world, replace(check, target=check.target.replace(b"/orders/7", path)), path="raw")
            assert (answer.code, answer.record.error) == (16, "ambiguous_target"), path


@pytest.mark.parametrize("presigned", [False, True])
def test_path_that_a_client_of_s3_signs_is_that_of_the_resource(world: AwsWorld, presigned: bool) -> None:  # G131
    check = signed(world, service="s3", presigned=presigned, path="/orders/x%20y/../k")
    assert ask(world, check, service="s3", path="raw").code == 0
    for path in (b"/orders/k", b"//orders/x%20y/../k", b"/orders/x%20y/./k", b"/orders//x%20y/../k", b"/orders/x%2520y/../k"):
        altered = replace(check, target=check.target.replace(b"/orders/x%20y/../k", path))
        assert ask(world, altered, service="s3", path="raw").record.error == "bad_signature", path


@pytest.mark.parametrize("query", [b"a=b+c", b"a=b%20c+"])
@pytest.mark.parametrize("service", ["execute-api", "s3"])
def test_plus_in_a_signed_query_is_401(world: AwsWorld, service: str, query: bytes) -> None:
    """`+` and `%2B` have one signature; a policy and an upstream read `+` as a blank."""
    check = signed(world, service=service, query=query.replace(b"+", b"%2B").decode())
    assert ask(world, check, service=service).code == 0
    altered = replace(check, target=check.target.replace(b"%2B", b"+"))
    assert ask(world, altered, service=service).record.error == "ambiguous_target"


def test_field_that_is_not_utf_8_does_not_hide_a_signature(world: AwsWorld) -> None:  # G90
    check = signed(world)
    for value in (b"AWS4-HMAC-SHA256 \xff", b"\xff"):
        headers = (*(pair for pair in check.headers if pair[0] != b"authorization"), (b"authorization", value))
        assert ask(world, replace(check, headers=headers)).code == 16


def test_body_that_envoy_keeps_is_not_covered(world: AwsWorld) -> None:  # GC114
    check = signed(world, body=b'{"a": 1}', **{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    kept = replace(check, body=b"", hides_body=True)
    for refused in (kept, check, replace(kept, hides_body=False)):
        assert ask(world, refused).code == 16
    assert ask(world, kept, payload="unsigned").code == 0


# what Envoy says of the body with `with_request_body`, and whether the signature covers it then
PARTIAL_BODY: list[tuple[list[bytes], bool]] = [
    ([b"false"], True),
    ([b"false", b"false"], True),
    ([b"true"], False),
    ([b"false", b"true"], False),
    ([b"false,true"], False),
    ([b"False"], False),
    ([b""], False),
    ([b"\xff"], False),
]


@pytest.mark.parametrize(("values", "is_covered"), PARTIAL_BODY)
def test_body_is_covered_if_envoy_states_that_it_is_whole(
    world: AwsWorld, values: list[bytes], is_covered: bool
) -> None:  # GC114
    check = signed(world, body=b'{"a": 1}')
    stated = replace(check, headers=(*check.headers, *((b"x-envoy-auth-partial-body", value) for value in values)))
    answer = ask(world, stated)
    assert (answer.code, answer.record.error) == ((0, None) if is_covered else (16, "body_not_covered"))
    assert ask(world, replace(stated, body=b'{"a": 2}')).code == 16


@pytest.mark.parametrize("value", ["Bearer a,b", "a,b", "AWS4-HMAC-SHA256 x", "AWS4-HMAC-SHA256 Credential=a, Signature=b"])
def test_authorization_that_is_not_one_value_is_401(world: AwsWorld, value: str) -> None:  # GC113
    check = CheckRequest("GET", b"/orders/7", "orders.example", ((b"authorization", value.encode()),), True)
    assert ask(world, check).code == 16
    twice = CheckRequest("GET", b"/orders/7", "orders.example", ((b"authorization", b"Bearer a"),) * 2)
    assert ask(world, twice).code == 16


def test_request_without_signature_is_not_of_this_source(world: AwsWorld) -> None:
    check = CheckRequest("GET", b"/orders/7", "orders.example", ((b"authorization", b"Bearer a"),), True)
    answer = ask(world, check)
    assert (answer.code, answer.record.principal) == (7, "*")


def test_revoked_key_is_401(world: AwsWorld) -> None:
    check = signed(world)
    world.sts.keys.delete(world.bo.access_key_id)
    assert ask(world, check).code == 16
