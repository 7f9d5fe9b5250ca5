"""Write the models of the AWS services that `fastiam serve` answers, from the installed botocore.

    python tools/aws_models.py            # rewrite src/fastiam/aws_data/services/*.json.gz
    python tools/aws_models.py --check    # list what differs from the installed botocore; exit 1 if anything does

A model is operations, shapes and paginators without any prose. botocore is licensed under Apache-2.0; see NOTICE.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import botocore
from botocore.loaders import Loader

SERVICES = ("sts", "iam", "organizations", "cognito-identity", "cognito-idp", "rolesanywhere")
FOLDER = Path(__file__).parent.parent / "src/fastiam/aws_data/services"
_METADATA = (
    "apiVersion",
    "jsonVersion",
    "protocol",
    "serviceId",
    "signingName",
    "endpointPrefix",
    "targetPrefix",
    "xmlNamespace",
)
_OPERATION = ("input", "output", "errors", "http", "authtype", "readonly")
_PAGINATOR = ("input_token", "output_token", "limit_key", "more_results", "result_key")
_PROSE = {"documentation", "deprecated", "deprecatedMessage", "deprecatedSince", "box", "idempotent"}


def build(service: str) -> dict[str, Any]:
    """The model of one service."""
    loader = Loader()
    api = loader.load_service_model(service, "service-2")
    paginators = loader.load_service_model(service, "paginators-1")["pagination"]
    operations = {}
    for name, operation in api["operations"].items():
        kept = {key: _without_prose(operation[key]) for key in _OPERATION if key in operation}
        if "errors" in kept:
            kept["errors"] = [error["shape"] for error in kept["errors"]]
        if name in paginators:
            kept["paginator"] = {key: paginators[name][key] for key in _PAGINATOR if key in paginators[name]}
        operations[name] = kept
    return {
        "botocore": botocore.__version__,
        "metadata": {key: api["metadata"][key] for key in _METADATA if key in api["metadata"]},
        "operations": operations,
        "shapes": {name: _without_prose(shape) for name, shape in api["shapes"].items()},
    }


def _without_prose(value: Any, *, are_names: bool = False) -> Any:
    """The value without documentation. The keys of `members` are names of members, which may be called `documentation`."""
    if isinstance(value, list):
        return [_without_prose(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = value if are_names else {key: item for key, item in value.items() if key not in _PROSE}
    return {key: _without_prose(item, are_names=key == "members" and not are_names) for key, item in kept.items()}


def stored(service: str) -> dict[str, Any]:
    """The committed model of a service."""
    with gzip.open(FOLDER / f"{service}.json.gz") as file:
        model: dict[str, Any] = json.load(file)
    return model


def differences(service: str) -> list[str]:
    """What the installed botocore has and the committed model has not, or has otherwise. Its version does not count."""
    new, old = build(service), stored(service)
    found = []
    for part in ("operations", "shapes"):
        for name in sorted(new[part].keys() | old[part].keys()):
            if name not in old[part]:
                found.append(f"{service}: {part} `{name}` is new")
            elif name not in new[part]:
                found.append(f"{service}: {part} `{name}` is gone")
            elif new[part][name] != old[part][name]:
                found.append(f"{service}: {part} `{name}` differs")
    if new["metadata"] != old["metadata"]:
        found.append(f"{service}: metadata differs")
    return found


def main(arguments: list[str]) -> int:
    """Write, or compare with `--check`."""
    if arguments == ["--check"]:
        found = [line for service in SERVICES for line in differences(service)]
        print("\n".join(found) or f"the models are those of botocore {botocore.__version__}")
        return bool(found)
    for service in SERVICES:
        text = json.dumps(build(service), separators=(",", ":"), sort_keys=False)
        (FOLDER / f"{service}.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
