"""Calls of the library by the model of a service: parameters and results have AWS's names in snake case."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fastiam.aws_data.service_models import Shape, snake
from fastiam.server.protocols.aws.calls import Call, Result


def run(call: Call, service: object, *, keep: Collection[str] = (), **more: Any) -> Result:
    """Run a call by the method of its name. `keep` is as for `shown`, `more` are parameters that the request does not have."""
    result = getattr(service, snake(call.operation.name))(**arguments(call), **more)
    output = call.operation.output
    if isinstance(result, str) and output is not None:
        return dict.fromkeys(output.members, result)
    return {} if output is None else shown(output, result, keep)


def arguments(call: Call, read: Mapping[str, Callable[[Call, Any], Mapping[str, Any]]] = {}) -> dict[str, Any]:
    """The parameters of a call as arguments. `read` has functions for those that the library takes in another form."""
    given: dict[str, Any] = {}
    for name, value in call.parameters.items():
        given |= read[name](call, value) if name in read else {snake(name): value}
    return given


def shown(shape: Shape, value: Any, keep: Collection[str] = ()) -> Any:
    """A result of the library as a value of a shape: each member is the attribute of that name, in snake case.

    A structure without an attribute is made of the attributes of its parent. A member that is empty or None is left out.

    Parameters
    ----------
    keep
        members that are there though they are empty.
    """
    match shape.type:
        case "structure":
            read = {
                name: shown(member.shape, getattr(value, _attribute(name), value), keep)
                for name, member in shape.members.items()
                if hasattr(value, _attribute(name)) or member.shape.type == "structure"
            }
            return {name: item for name, item in read.items() if name in keep or item not in ("", None, [], {})}
        case "list" if shape.item is not None:
            return [shown(shape.item, item, keep) for item in value]
        case "map" if shape.item is not None and isinstance(value, Mapping):
            return {key: shown(shape.item, item, keep) for key, item in value.items()}
    return value


def _attribute(member: str) -> str:
    return "secret_access_key" if member == "SecretKey" else snake(member)  # STS has another name for it than Cognito
