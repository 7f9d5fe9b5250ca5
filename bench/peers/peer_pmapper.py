"""PMapper: a node for each principal, asked through its documented query function. Nothing else of it is read or used."""

from __future__ import annotations

import collections
import collections.abc
from typing import Any

for _name in ("Mapping", "MutableMapping"):  # its last release expects them where Python 3.9 had them
    setattr(collections, _name, getattr(collections.abc, _name))

from principalmapper.common import Node, Policy  # noqa: E402
from principalmapper.querying.query_interface import local_check_authorization  # noqa: E402

PACKAGE = "principalmapper"


class Peer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.nodes = {arn: _node(arn, documents) for arn, documents in job["policies"].items()}

    def takes(self, principal: str) -> bool:
        return True

    def request(self, principal: str, action: str, resource: str, context: dict[str, str]) -> Any:
        return self.nodes[principal], action, resource, context

    def decide(self, request: Any) -> bool:
        return local_check_authorization(*request)


def _node(arn: str, documents: list[dict[str, Any]]) -> Node:
    held = [Policy(f"{arn}/policy-{i}", f"policy-{i}", document) for i, document in enumerate(documents)]
    return Node(
        arn, "AROA" + arn[-16:], held, [], {"Version": "2012-10-17", "Statement": []}, [], 0, False, False, None, False, {}
    )
