"""Generate `rest_paths.json`: the HTTP method and path of each operation of API Gateway.

    python tools/rest_paths.py

The actions of API Gateway are HTTP methods, and its resources are paths (Amazon API Gateway Developer Guide, "Control access for
invoking an API"). The variables of a path have the names of parameters.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import botocore.session

TABLE = Path(__file__).resolve().parents[1] / "src/fastiam/aws_data/rest_paths.json"
SERVICES = ("apigateway", "apigatewayv2")  # both have the prefix `apigateway`; paths of the second have no `/v2` in ARNs


def main() -> None:
    session = botocore.session.Session()
    found: dict[str, list[str]] = {}
    for service in SERVICES:
        model = session.get_service_model(service)
        for name in model.operation_names:
            operation = model.operation_model(name)
            members = operation.input_shape.members if operation.input_shape else {}
            names = {shape.serialization.get("name", member): member for member, shape in members.items()}
            path = re.sub(r"\{([\w-]+)\}", lambda match, names=names: "{" + names[match[1]] + "}", operation.http["requestUri"])
            row = f"{operation.http['method']} {path.partition('?')[0].removeprefix('/v2')}"
            if row.lower() not in {other.lower() for other in found.setdefault(name, [])}:
                found[name].append(row)
    TABLE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(found)} operations")


if __name__ == "__main__":
    main()
