"""An account behind the AWS protocols: real boto3 clients send to the handler, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import boto3
import botocore.auth
import botocore.credentials
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from sts_fixture import ALL, CHEAP, Clock, document

import fastiam
from fastiam.live import LiveEngine
from fastiam.server.decider import LiveDecider
from fastiam.server.http import Peer, Request, Response
from fastiam.server.protocol import Elsewhere, Site
from fastiam.server.protocols.aws import Section, create
from fastiam.sts import STS, Credentials, Keyring

A = "111111111111"
ADMIN, BO = f"arn:aws:iam::{A}:user/admin", f"arn:aws:iam::{A}:user/bo"
ENDPOINT = "http://127.0.0.1:8380/aws"
REGION = "eu-west-1"
_SESSION = boto3.Session()  # PERF: it keeps the models of services, which take a fifth of a second to read


def handled(call: Callable[[], Response]) -> Response:
    """The answer of a handler, whose rest runs elsewhere in the server."""
    while True:
        try:
            return call()
        except Elsewhere as moved:
            call = moved.call


class Raw:
    """A body that botocore reads."""

    def __init__(self, body: bytes) -> None:
        self._body = BytesIO(body)

    def stream(self, **_: Any) -> Any:
        yield self._body.read()


class AwsWorld:
    """A store-less directory with `admin`, who may do everything, and `bo`, who may do nothing."""

    def __init__(self, directory: fastiam.Directory | None = None, section: Section | None = None, **options: Any) -> None:
        self.clock = Clock(datetime(2026, 11, 29, 9, 0, tzinfo=UTC))
        self.directory = directory or fastiam.Directory()
        self.directory.add_principal(ADMIN, identity_policies=[("all", document(ALL))])
        self.directory.add_principal(BO)
        live = LiveEngine(self.directory)
        self.sts = STS(self.directory, Keyring.generate(), live=live, clock=self.clock, hasher=CHEAP, **options)
        self.decider = LiveDecider(live, self.sts)
        self.site = Site((), has_directory=True, has_sts=True)
        self.protocol = create(section or Section(), self.site)
        self.admin, self.bo = self.sts.keys.create(ADMIN), self.sts.keys.create(BO)
        self.requests: list[Request] = []
        self.responses: list[Response] = []

    def allow(self, *actions: str, resource: object = "*", principal: str = BO, **condition: object) -> None:
        """Let a user do something, and nothing else."""
        statement: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
        policy = document(statement | ({"Condition": condition} if condition else {}))
        self.directory.put_inline_policy(principal, "test", policy)

    def client(self, service: str, credentials: Credentials | None = None, config: Config | None = None) -> Any:
        """A boto3 client whose requests go to the handler."""
        keys = credentials or self.admin
        general = Config(parameter_validation=False, retries={"max_attempts": 1, "mode": "standard"})
        client = _SESSION.client(
            service,
            region_name=REGION,
            endpoint_url=ENDPOINT,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=str(keys.secret_access_key),
            aws_session_token=None if keys.session_token is None else str(keys.session_token),
            config=general if config is None else general.merge(config),
        )
        client.meta.events.register("before-send", self._send)
        return client

    def handle(self, request: Request) -> Response:
        """Hand a request over, and keep it with its answer."""
        response = handled(partial(self.protocol.handle, request, self.decider, self.clock()))
        self.requests.append(request)
        self.responses.append(response)
        return response

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        response = self.handle(http_request(request))
        headers = {name.decode(): value.decode() for name, value in response.headers}
        headers["content-type"] = response.content_type or ""
        body = response.body
        assert isinstance(body, bytes)
        return AWSResponse(request.url, response.status, headers, Raw(body))


def http_request(prepared: Any, **options: Any) -> Request:
    """What a prepared request of botocore is on the wire."""
    url = urlsplit(prepared.url)
    headers = [(b"host", url.netloc.encode())]
    for name, value in prepared.headers.items():
        headers.append((name.lower().encode(), value if isinstance(value, bytes) else str(value).encode()))
    body = prepared.body or b""
    return Request(
        prepared.method,
        url.path.encode(),
        url.query.encode(),
        tuple(headers),
        body.encode() if isinstance(body, str) else body,
        Peer("tcp", "203.0.113.9"),
        client_address="203.0.113.9",
        **options,
    )


@pytest.fixture(autouse=True)
def signing_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore signs with the time of the test's world."""
    start = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)

    def now() -> datetime:
        world = request.node.funcargs.get("world") if hasattr(request.node, "funcargs") else None
        return start if world is None else world.clock()

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: now().replace(tzinfo=None))


@pytest.fixture
def world() -> AwsWorld:
    """A fresh account."""
    return AwsWorld()


def refused(call: Any, **parameters: Any) -> dict[str, Any]:
    """The error that a call of a client gets: code, message, status."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return {**error, "Status": caught.value.response["ResponseMetadata"]["HTTPStatusCode"]}


HOUR = timedelta(hours=1)


def sign(world: AwsWorld, body: str, *, service: str = "iam", method: str = "POST", **options: Any) -> Request:
    """A signed request of the query protocol with any body.

    Parameters
    ----------
    options : `url`, `keys` (credentials), `headers`, `region`, and `expires` for a presigned request.
    """
    keys = options.get("keys") or world.admin
    request = AWSRequest(
        method, options.get("url", ENDPOINT), options.get("headers", {}), b"" if method == "GET" else body.encode()
    )
    if method != "GET":
        request.headers["content-type"] = "application/x-www-form-urlencoded"
    token = None if keys.session_token is None else str(keys.session_token)
    credentials = botocore.credentials.Credentials(keys.access_key_id, str(keys.secret_access_key), token)
    if "expires" in options:
        signer = SigV4QueryAuth(credentials, service, options.get("region", REGION), expires=options["expires"])
    else:
        signer = SigV4Auth(credentials, service, options.get("region", REGION))
    signer.add_auth(request)
    return http_request(request.prepare())


def error_of(response: Response) -> tuple[int, str]:
    """Status and code of an error of the query protocol."""
    assert isinstance(response.body, bytes)
    code = ElementTree.fromstring(response.body).find("{*}Error/{*}Code")
    assert code is not None and code.text is not None, response.body
    return response.status, code.text
