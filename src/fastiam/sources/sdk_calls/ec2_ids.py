"""The ids of EC2, whose prefix is the type of the resource."""

from __future__ import annotations

from collections.abc import Mapping

EC2_TYPES = {  # the type of an id by its prefix
    "acl": "network-acl",
    "afi": "fpga-image",
    "ami": "image",
    "cagw": "carrier-gateway",
    "cgw": "customer-gateway",
    "cr": "capacity-reservation",
    "crf": "capacity-reservation-fleet",
    "cvpn-endpoint": "client-vpn-endpoint",
    "dopt": "dhcp-options",
    "eice": "instance-connect-endpoint",
    "eigw": "egress-only-internet-gateway",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "export-ami": "export-image-task",
    "export-i": "export-instance-task",
    "fl": "vpc-flow-log",
    "fleet": "fleet",
    "h": "dedicated-host",
    "i": "instance",
    "iew": "instance-event-window",
    "igw": "internet-gateway",
    "import-ami": "import-image-task",
    "import-snap": "import-snapshot-task",
    "ipam": "ipam",
    "ipam-pool": "ipam-pool",
    "ipam-pool-alloc": "ipam-pool-allocation",
    "ipam-res-disco": "ipam-resource-discovery",
    "ipam-res-disco-assoc": "ipam-resource-discovery-association",
    "ipam-scope": "ipam-scope",
    "ipv4pool-coip": "coip-pool",
    "ipv4pool-ec2": "ipv4pool-ec2",
    "ipv6pool-ec2": "ipv6pool-ec2",
    "key": "key-pair",
    "lgw": "local-gateway",
    "lgw-rtb": "local-gateway-route-table",
    "lgw-vif": "local-gateway-virtual-interface",
    "lgw-vif-grp": "local-gateway-virtual-interface-group",
    "lt": "launch-template",
    "nat": "natgateway",
    "nia": "network-insights-analysis",
    "nip": "network-insights-path",
    "nis": "network-insights-access-scope",
    "nisa": "network-insights-access-scope-analysis",
    "pcx": "vpc-peering-connection",
    "pg": "placement-group",
    "pl": "prefix-list",
    "replacevol": "replace-root-volume-task",
    "rtb": "route-table",
    "scr": "subnet-cidr-reservation",
    "sfr": "spot-fleet-request",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "sir": "spot-instances-request",
    "snap": "snapshot",
    "subnet": "subnet",
    "tgw": "transit-gateway",
    "tgw-attach": "transit-gateway-attachment",
    "tgw-connect-peer": "transit-gateway-connect-peer",
    "tgw-mcast-domain": "transit-gateway-multicast-domain",
    "tgw-ptb": "transit-gateway-policy-table",
    "tgw-rtb": "transit-gateway-route-table",
    "tmf": "traffic-mirror-filter",
    "tmfr": "traffic-mirror-filter-rule",
    "tms": "traffic-mirror-session",
    "tmt": "traffic-mirror-target",
    "vae": "verified-access-endpoint",
    "vagr": "verified-access-group",
    "vai": "verified-access-instance",
    "vatp": "verified-access-trust-provider",
    "vgw": "vpn-gateway",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
    "vpce-svc": "vpc-endpoint-service",
    "vpn": "vpn-connection",
}
_OF_IDS = ("id", "ids", "idset", "groups", "destination", "source")  # parameters whose values are ids
# ids that an operation is not about: of another owner, left out, or of the place that something moves to
_OF_OTHERS = ("peervpc", "peertransit", "exclude", "transport", "destinationipamscope")


def ec2_type(id_: str) -> str:
    """Return the type of an id of EC2 by its prefix, "" for an unknown one."""
    return EC2_TYPES.get(id_.rpartition("-")[0], "")


def ids_by_type(names: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the ids in the parameters of a call by type: `subnet-1` of `AddSubnetIds`, `vpc-1` of `ResourceIds`."""
    found: dict[str, list[str]] = {}
    for name, values in names.items():
        if name.endswith(_OF_IDS) and not name.startswith(_OF_OTHERS):
            for value in values:
                if kind := ec2_type(value):
                    found.setdefault(kind, []).append(value)
    return found
