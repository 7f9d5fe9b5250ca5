"""Each scope under each kind of authentication: what an identity without it is refused (G28, G29)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from aws_world import ADMIN, AwsWorld
from edge_connection import Edge
from server_process import parse

from fastiam.server import config
from fastiam.server.auth import Authenticator, authenticator, read_tokens
from fastiam.server.config import ConfigError
from fastiam.server.config_sections import Auth, CertificatePeer, Limits, Trust, UnixPeer
from fastiam.server.decision_source import State
from fastiam.server.http import Peer
from fastiam.server.identity import AWS, TRUST_SCOPES, USE_SCOPES
from fastiam.server.protocol import ListenerFacts, ServerProtocol, Site
from fastiam.server.protocols.aws import Section

ALL = USE_SCOPES | TRUST_SCOPES
TOKEN = "t" * 43
UNIX, CERTIFICATE = Peer("unix", uid=1000, gid=1000), Peer("tcp", "127.0.0.1", certificate_names=("spiffe://t/pep",))
KINDS = ("none", "bearer", "unix", "mtls")
ROW = {"principal": ADMIN, "action": "s3:GetObject", "resource": "arn:aws:s3:::b/k"}
STATED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a fact of the session": ({"context": {"aws:MultiFactorAuthPresent": True}}, {"assert:session"}),
    "a tag": ({"context": {"aws:ResourceTag/team": "a"}}, {"assert:context", "assert:tags"}),
    "the owner": ({"resource_account": "222222222222"}, {"assert:owner"}),
    "a condition key": ({"context": {"aws:UserAgent": "x"}}, {"assert:context"}),
}
"""What a row may state, and the scopes that it needs."""
REQUESTS: dict[str, tuple[str, str, bytes]] = {
    "decide": ("POST", "/access/v1/evaluation", b"{}"),
    "search": ("POST", "/access/v1/search/subject", b"{}"),
    "explain": ("POST", "/v1/explain", b"{}"),
    "bulk": ("POST", "/v1/decisions", b"\n".join(orjson.dumps(ROW | stated) for stated, _ in STATED.values())),
    "aws": ("POST", "/aws", b"Action=GetCallerIdentity&Version=2011-06-15"),
    "metrics": ("GET", "/version", b""),
    "playground": ("GET", "/playground/", b""),
}
"""A request that needs the scope."""
ALWAYS = {"none": {"decide", "bulk", "aws"}, "bearer": {"aws"}, "unix": set[str](), "mtls": set[str]()}
"""Scopes that every identity has: every client has them where nothing is to be proved, and a signature stands for a
token."""


@pytest.fixture(scope="module")
def world() -> AwsWorld:
    return AwsWorld()


@pytest.fixture(scope="module")
def protocols(world: AwsWorld) -> Iterator[list[ServerProtocol]]:
    """Every protocol with HTTP routes, on one listener except Envoy's and OPA's, which have no scope of their own."""
    site = Site((ListenerFacts("tcp", True, "none", False),), has_directory=True, has_sts=True, status=State())
    names = ("authzen", "bulk", "aws", "ops", "playground")
    modules = [config.protocol_module(name) for name in names]
    yield [module.create(module.Section(), site) for module in modules]


def access(kind: str, scopes: frozenset[str], folder: Path) -> tuple[Authenticator, Peer | None, list[tuple[str, str]]]:
    """A listener that knows one client with these scopes; the client and what it sends."""
    file = folder / "tokens"
    file.write_text(f"pep {','.join(sorted(scopes - {AWS}))} {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
    given = tuple(scopes)
    auth = Auth(unix=(UnixPeer(uid=1000, scopes=given),), mtls=(CertificatePeer(prefix="spiffe://t/", scopes=given),))
    trust = Trust(anonymous=tuple(scopes & TRUST_SCOPES))
    made = authenticator(kind, auth, trust, read_tokens(file), is_local=False)
    peer = {"unix": UNIX, "mtls": CERTIFICATE}.get(kind)
    return made, peer, [("Authorization", f"Bearer {TOKEN}")] if kind == "bearer" else []


def ask(
    world: AwsWorld, protocols: list[ServerProtocol], kind: str, scopes: frozenset[str], needed: str, folder: Path, **other: Any
) -> tuple[int, list[tuple[int, str]], bytes]:
    """Send the request of a scope; the status, what was refused at the edge, and the body."""
    made, peer, fields = access(kind, scopes, folder)

    async def main() -> tuple[int, list[tuple[int, str]], bytes]:
        edge = Edge(Limits(), *protocols, access=made, decider=world.decider, peer=other.get("peer", peer))
        answer = parse(await edge.ask(*REQUESTS[needed], *other.get("fields", fields), *other.get("fields_too", ())))
        return answer.status, edge.refusals, answer.body

    return asyncio.run(main())


def test_each_scope_has_a_request() -> None:
    assert set(REQUESTS) | {scope for _, needed in STATED.values() for scope in needed} == ALL


@pytest.mark.parametrize("kind, scope", [*product(KINDS, sorted(REQUESTS))])
def test_identity_without_a_scope_is_refused(
    world: AwsWorld, protocols: list[ServerProtocol], kind: str, scope: str, tmp_path: Path
) -> None:
    status, refusals, body = ask(world, protocols, kind, ALL - {scope}, scope, tmp_path)
    if scope in ALWAYS[kind]:
        assert not refusals
    elif scope == "metrics":  # the protocol decides: a prober without it may see whether the process is ready
        assert status == (404 if kind == "none" else 403)
    else:
        assert refusals == [(403, "no_scope")] and status == 403, body


@pytest.mark.parametrize("kind, scope", [*product(KINDS[1:], sorted(REQUESTS))])
def test_scope_alone_opens_what_it_names(
    world: AwsWorld, protocols: list[ServerProtocol], kind: str, scope: str, tmp_path: Path
) -> None:
    status, refusals, body = ask(world, protocols, kind, frozenset({scope}) | {"decide"}, scope, tmp_path)
    assert not refusals and status not in (401, 404), body
    assert b"no_scope" not in body


STRANGERS: dict[str, dict[str, Any]] = {
    "bearer": {"fields": [("Authorization", "Bearer other")]},
    "unix": {"peer": Peer("unix", uid=1001, gid=1001)},
    "mtls": {"peer": Peer("tcp", "127.0.0.1", certificate_names=("spiffe://other/pep",))},
}


@pytest.mark.parametrize("kind, scope", [*product(STRANGERS, sorted(REQUESTS))])
def test_unknown_client_is_refused_everywhere(
    world: AwsWorld, protocols: list[ServerProtocol], kind: str, scope: str, tmp_path: Path
) -> None:
    refusals = ask(world, protocols, kind, ALL, scope, tmp_path, **STRANGERS[kind])[1]
    assert refusals == ([] if scope in ALWAYS[kind] else [(401, "bad_credentials")])


@pytest.mark.parametrize("kind, scope", [*product(KINDS, sorted(TRUST_SCOPES))])
def test_facts_of_an_identity_without_a_scope_are_not_used(
    world: AwsWorld, protocols: list[ServerProtocol], kind: str, scope: str, tmp_path: Path
) -> None:
    body = ask(world, protocols, kind, ALL - {scope}, "bulk", tmp_path, fields_too=[("Content-Type", "application/x-ndjson")])[2]
    answers = [orjson.loads(line) for line in body.splitlines()][: len(STATED)]
    refused = [
        name for name, answer in zip(STATED, answers, strict=True) if answer.get("error", {}).get("code") == "not_asserted"
    ]
    assert refused == [name for name, (_, needed) in STATED.items() if scope in needed], body


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/aws", "/aws/", "/aws/sessions", "/aws/eu-west-1_a/.well-known/jwks.json", "/aws/profiles?a=b"]
)
def test_no_path_of_aws_is_open_to_a_peer_without_the_scope(
    world: AwsWorld, protocols: list[ServerProtocol], method: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REQUESTS, "aws", (method, path, b""))
    for kind in ("unix", "mtls"):
        assert ask(world, protocols, kind, ALL - {AWS}, "aws", tmp_path)[1] == [(403, "no_scope")]
        assert ask(world, protocols, kind, ALL, "aws", tmp_path, **STRANGERS[kind])[1] == [(401, "bad_credentials")]


def test_peer_of_a_certificate_without_a_name_reaches_no_aws(
    world: AwsWorld, protocols: list[ServerProtocol], tmp_path: Path
) -> None:
    nameless = Peer("tcp", "127.0.0.1", certificate_names=())
    assert ask(world, protocols, "mtls", ALL, "aws", tmp_path, peer=nameless)[1] == [(401, "bad_credentials")]


@pytest.mark.parametrize("scope", ["aws", "decide,aws"])
def test_token_with_a_scope_that_opens_nothing_for_it_is_refused(tmp_path: Path, scope: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"pep {scope} {'0' * 64}\n")
    with pytest.raises(ConfigError, match="`aws` opens nothing for a token"):
        read_tokens(file)


# -- the pages --------------------------------------------------------------------------------------------------------------

DOCS = Path(__file__).resolve().parents[3] / "docs"


def first_cells(page: str, heading: str) -> set[str]:
    """The names in code font in the first column of the table with this heading."""
    table = (DOCS / page).read_text().partition(heading)[2].partition("\n\n")[0]
    return {name for row in table.splitlines() if row.startswith("| `") for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_table_of_scopes_has_those_that_are_enforced() -> None:
    assert first_cells("serve.md", "| scope | what it opens |") == ALL


def test_table_of_aws_settings_has_each_of_them() -> None:
    named = {name.partition(".")[0] for name in first_cells("aws.md", "| Setting of `[aws]` | Meaning |")}
    assert named >= {field.name for field in msgspec.structs.fields(Section)} - {"enabled"}
