"""The AWS protocols: STS and IAM for SDKs, by signed HTTP requests.

`protocol` is the entry: it reads a request, verifies the signature, and runs one operation. `operations` is the table of all
operations; each group of operations is a module of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastiam.server.config import ConfigError
from fastiam.server.protocol import Site, UnmetNeed
from fastiam.server.protocols.aws.section import Section

if TYPE_CHECKING:
    from fastiam.server.protocols.aws.protocol import AwsProtocol

__all__ = ["Section", "create"]

_ISSUER = re.compile(r"https://[A-Za-z0-9.-]+(?:/[^?#\s]*)?")
_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_PUBLIC_URL = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?")


def create(section: Section, site: Site) -> AwsProtocol:
    """The protocol of a section.

    Raises
    ------
    UnmetNeed
        the source is not a store with a keyring.
    ConfigError
        an origin, an issuer or a host is none, or nothing can deliver codes as configured.
    """
    if not site.has_sts:
        raise UnmetNeed(
            "the AWS protocols need a store and its keyring\nhelp: set `source.paths` to a store, and `source.keyring`"
        )
    for origin in section.cors_origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigError(f"aws.cors_origins: `{origin}` is not an origin\nhelp: write it as `https://app.example`")
    if section.public_url and not _PUBLIC_URL.fullmatch(section.public_url):
        hint = "write it as `https://login.example/aws`, without query and fragment"
        raise ConfigError(f"aws.public_url: `{section.public_url}` is not an address\nhelp: {hint}")
    for issuer in section.oidc.fetch:
        if not _ISSUER.fullmatch(issuer):
            hint = "write it as in `iss`, with `https://`, without port, query and fragment"
            raise ConfigError(f"aws.oidc.fetch: `{issuer}` is not the URL of an issuer\nhelp: {hint}")
    for host in section.oidc.private_hosts:
        if not _HOST.fullmatch(host):
            raise ConfigError(f"aws.oidc.private_hosts: `{host}` is not a host\nhelp: write a name, without scheme and port")
    from fastiam.server.protocols.aws.protocol import AwsProtocol  # PERF: without STS nothing of it is imported
    from fastiam.server.protocols.aws.rates import ClientCounts

    return AwsProtocol(section, site.calls, section.codes.sender(), site.lasting.setdefault("aws.rates", ClientCounts()))
