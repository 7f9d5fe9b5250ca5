"""The context keys of the network of a call: address, endpoint, user agent, TLS, and calling services.

For a call that a service made on behalf of a principal, the record has the service in place of the address. Address, user agent
and endpoint are unknown then.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

NetworkKeys = tuple[str | None, str | None, str | None, str, bool, str]  # address, agent, endpoint, Region, over TLS, by service

SOURCE_IP, VPC_SOURCE_IP, ENDPOINT = "aws:SourceIp", "aws:VpcSourceIp", "aws:SourceVpce"
_OF_VPC = ("aws:SourceVpc", "aws:SourceVpcArn")
_CHAIN = ("aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast")
_AGENT, _VIA = "aws:UserAgent", "aws:ViaAWSService"
NETWORK_CONTEXT_KEYS = (
    SOURCE_IP,
    VPC_SOURCE_IP,
    ENDPOINT,
    *_OF_VPC,
    *_CHAIN,
    _AGENT,
    _VIA,
)  # these differ for requests of a service on behalf of the caller


def context_of_network(network: NetworkKeys, *, of_user: bool) -> Mapping[str, str | None]:
    """Return the known keys: a value, or None for an absent key. A missing key is unknown.

    `of_user`: the principal is a user or root, for which a service acts by forward access sessions only (N1).
    """
    address, agent, endpoint, region, over_tls, service = network
    keys: dict[str, str | None] = {}
    if region:
        keys["aws:RequestedRegion"] = region
    if over_tls:
        keys["aws:SecureTransport"] = "true"
    if service and service != "AWS Internal" and of_user:
        keys[_VIA] = "true"
    if service or not _is_address(address):
        return keys
    keys |= dict.fromkeys(_CHAIN) | {_VIA: "false"}
    if endpoint:
        keys |= {ENDPOINT: endpoint, VPC_SOURCE_IP: address, SOURCE_IP: None}
    else:
        keys |= {ENDPOINT: None, VPC_SOURCE_IP: None, SOURCE_IP: address} | dict.fromkeys(_OF_VPC)
    if agent and agent != "AWS Internal":
        # S3 writes the header in brackets
        keys[_AGENT] = agent[1:-1] if agent[:1] == "[" and agent[-1:] == "]" else agent
    return keys


def _is_address(text: str | None) -> bool:
    try:
        return text is not None and bool(ip_address(text))
    except ValueError:
        return False
