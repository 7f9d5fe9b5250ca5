"""`[extauthz]` of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fastiam.server import protocol
from fastiam.server.config_sections import Tls
from fastiam.server.mapping import Encoding

SourceName = Literal["spiffe", "xfcc", "jwt", "header", "sigv4", "context", "anonymous"]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table in the section."""


class PrincipalSection(_Table, frozen=True, kw_only=True):
    """A principal: `principal`, or `role` and `session`."""

    principal: str | None = None
    """Template of an ARN."""
    role: str | None = None
    """Template of a role's ARN; the role must have a record."""
    session: str | None = None
    """Template of the session's name."""
    known: bool = False
    """Whether a `principal` must have a record."""
    encoding: Encoding = "percent"
    """How values become parts of `principal` or `session`; with `base32hex` and `hash` any value does (G51)."""


class JwtSection(PrincipalSection, frozen=True, kw_only=True):
    """`[extauthz.jwt]`: the placeholders are names of claims."""

    issuer: str
    """The claim `iss`, compared again."""
    payload: str = "jwt_payload"
    """`payload_in_metadata` of Envoy's filter `jwt_authn`."""
    tags: dict[str, str] = {}
    """Tag of the session -> claim. A list of texts is joined by colons."""


class HeaderSection(PrincipalSection, frozen=True, kw_only=True):
    """`[extauthz.header]`: the placeholder is `{value}`."""

    name: str
    """The header that a gateway sets, and that Envoy removes from requests of clients."""


class SignatureSection(_Table, frozen=True, kw_only=True):
    """`[extauthz.sigv4]`."""

    service: str = "execute-api"
    """The service in the scope of a signature. Signatures for another one are refused."""
    payload: Literal["buffered", "unsigned"] = "buffered"
    """`buffered`: Envoy passes bodies on, and the signature covers them. `unsigned`: Envoy may keep them, uncovered."""


class RouteSection(_Table, frozen=True, kw_only=True):
    """`[[extauthz.route]]`; the first one that matches decides."""

    host: str | None = None
    """`orders.example` or `*.example`; None: any host."""
    prefix: str | None = None
    """Path at which the route begins; `/` if there is no `match` either."""
    match: str | None = None
    """`GET /{bucket}/{key...}`: method or `*`, and a path with captures of one segment, or of the rest."""
    api: str | None = None
    """ARN of an API without method and path. The action is `execute-api:Invoke`, the resource `API/METHOD/PATH`."""
    action: str | None = None
    """Or templates of captures, `{method}`, `{host}` and `{claim.NAME}`."""
    resource: str | None = None
    path: Literal["strict", "raw"] = "strict"
    """`raw`: paths that may mean more than one thing are decided as sent."""
    body: dict[str, str] = {}
    """Name -> JSON pointer: values of the body become `extauthz:body/NAME`."""
    body_limit: int = 65_536
    """Bytes; a larger body is denied."""


class GrpcSection(_Table, frozen=True, kw_only=True):
    """`[extauthz.grpc]`."""

    address: str = "127.0.0.1:8381"
    """Or `unix:/run/fastiam/envoy.sock`."""
    mode: str = "0660"
    """Of a unix socket, in octal."""
    owner: str | None = None
    group: str | None = None
    tls: Tls | None = None
    """With `client_ca` each client must have a certificate of that authority. The files are read again when they change."""
    insecure: bool = False
    """TCP beyond loopback without client certificates: each client is believed."""
    trusted_hops: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    """Proxies before Envoy, as `xff_num_trusted_hops` of Envoy: with 1 or more the address of the client is that many entries
    before the last one of `x-forwarded-for`."""
    in_work: int = 256
    """Calls in work; more get RESOURCE_EXHAUSTED."""
    connections: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """Connections at a time; more are closed."""


class Section(protocol.Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[extauthz]` of the configuration."""

    principal: tuple[SourceName, ...] = ()
    """Sources of the principal; the first one that is present decides (G84, G85)."""
    route: tuple[RouteSection, ...] = ()
    spiffe: dict[str, PrincipalSection] = {}
    """Template of a SPIFFE id -> principal, for the sources `spiffe` and `xfcc`."""
    jwt: JwtSection | None = None
    header: HeaderSection | None = None
    sigv4: SignatureSection = SignatureSection()
    trust_xfcc: bool = False
    """Whether `x-forwarded-client-cert` is believed: Envoy has `forward_client_cert_details: SANITIZE_SET`."""
    trust_header: bool = False
    """Whether the header of `[extauthz.header]` is believed: Envoy removes it from requests of clients."""
    headers: tuple[str, ...] = ()
    """Headers that become `extauthz:header/NAME`."""
    query: tuple[str, ...] = ()
    """Parameters of the query string that become `extauthz:query/NAME`, with all their values."""
    add: dict[str, str] = {}
    """Header for the upstream -> template of `{claim.NAME}` and `{tag.NAME}`."""
    strip_authorization: bool = False
    """Whether `authorization` is removed from what the upstream gets."""
    explain_denied: bool = False
    """Whether the body of a denial has layer and reason."""
    www_authenticate: str | None = None
    """Value of the header of a 401."""
    cors_preflight: bool = False
    """Whether `OPTIONS` with `origin` and `access-control-request-method` passes."""
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    """Seconds after which a check by HTTP is answered 503, since Envoy waits no longer. By gRPC Envoy sends its deadline."""
    dry_run: bool = False
    """Everything passes; the header `x-fastiam-dry-run: deny`, log and metrics say what would have been denied."""
    grpc: GrpcSection | None = None
