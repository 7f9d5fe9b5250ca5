"""Terraform plans as `terraform show -json` writes them. A value that is known after apply is absent, and in `after_unknown`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PROVIDER = "registry.terraform.io/hashicorp/aws"
_UNKNOWN = object()
UNKNOWN: Any = _UNKNOWN


def change(
    address: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, actions: list[str] | None = None
) -> dict[str, Any]:
    """One resource change. A value `UNKNOWN` of `after` is known after apply."""
    type_, name = address.rpartition("module.")[2].split(".")[-2:]
    known = None if after is None else {key: value for key, value in after.items() if value is not UNKNOWN}
    unknown = {} if after is None else {key: True for key, value in after.items() if value is UNKNOWN}
    default = ["no-op"] if before == after else ["create"] if before is None else ["delete"] if after is None else ["update"]
    return {
        "address": address,
        "mode": "managed",
        "type": type_,
        "name": name.partition("[")[0],
        "provider_name": PROVIDER,
        "change": {
            "actions": actions or default,
            "before": before,
            "after": known,
            "after_unknown": unknown,
            "before_sensitive": {},
            "after_sensitive": {},
        },
    }


def plan(*changes: dict[str, Any], references: Mapping[str, list[str]] = {}, **more: Any) -> str:
    """A plan. The configuration sets all attributes of `changes`; `references` are by address and attribute, `aws_x.y.z`."""
    resources = []
    for item in changes:
        values = {**(item["change"]["before"] or {}), **(item["change"]["after"] or {}), **item["change"]["after_unknown"]}
        computed = ("arn", "id", "unique_id", "tags_all")
        expressions: dict[str, Any] = {name: {} for name in values if name not in computed}
        for name in expressions:
            found = references.get(f"{item['address']}.{name}")
            expressions[name] = {"constant_value": values[name]} if found is None else {"references": found}
        resources.append(
            {
                "address": item["address"],
                "mode": "managed",
                "type": item["type"],
                "name": item["name"],
                "expressions": expressions,
            }
        )
    provider = {"aws": {"name": "aws", "full_name": PROVIDER, "expressions": {"region": {"constant_value": "eu-west-1"}}}}
    return json.dumps(
        {
            "format_version": "1.2",
            "terraform_version": "1.13.4",
            "resource_changes": list(changes),
            "configuration": {"provider_config": provider, "root_module": {"resources": resources}},
            "complete": True,
            "errored": False,
            **more,
        }
    )
