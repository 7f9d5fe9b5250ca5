"""The calls of user pools as AWS defines them: names of parameters, their types and limits, and which calls are public.

`operations.json` is made from AWS's service model (tools/cognito_operations.py). `operation` decorates the method of a call: it
hides secrets from tracebacks, checks the parameters, and records the call as one audit event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, wraps
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from fastiam.cognito.errors import CognitoError
from fastiam.cognito.rates import check_rate
from fastiam.credentials.errors import StsError
from fastiam.credentials.secret import Secret, hidden

if TYPE_CHECKING:
    from fastiam.cognito.user_pools.calls import Calls

C = TypeVar("C", bound="Calls")
P = ParamSpec("P")
R = TypeVar("R")
Json = dict[str, Any]

_NOTED = {"pool": "user_pool_id", "client": "client_id"}  # parameters that the audit event has
_RATED = ("user_pool_id", "client_id", "username")  # parameters that the hook for request rates gets
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "timestamp": (datetime, int, float),
    "list": (list, tuple),
    "map": (Mapping,),
    "structure": (Mapping,),
}


@cache
def model() -> Json:
    """The content of `operations.json`."""
    read: Json = json.loads(files(__package__).joinpath("operations.json").read_text())
    return read


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def _is_of_type(value: object, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and not (kind in ("integer", "long") and isinstance(value, bool))


def hide(value: Any, shape_name: str) -> Any:
    """The value with its secrets as `Secret`, and without members that are None. Raises nothing."""
    shapes = model()["shapes"]
    shape = shapes[shape_name]
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if item is not None}  # JSON clients write null for an absent member
    if shape.get("sensitive"):
        if isinstance(value, str):
            return hidden(value)
        if isinstance(value, Mapping):
            return {key: hidden(item) if isinstance(item, str) else item for key, item in value.items()}
    if shape_name == "ProviderDetailsType" and isinstance(value, Mapping):  # AWS does not mark its secrets
        secrets = ("client_secret", "private_key")
        return {key: hidden(item) if key in secrets and isinstance(item, str) else item for key, item in value.items()}
    if shape["type"] == "list" and isinstance(value, (list, tuple)):
        return [hide(item, shape["member"]) for item in value]
    if shape["type"] == "structure" and isinstance(value, Mapping):
        members = shape["members"]
        return {key: hide(item, members[key]) if key in members else item for key, item in value.items()}
    return value


def check(value: Any, shape_name: str, name: str) -> None:
    """Check a value against its type and limits.

    Raises
    ------
    CognitoError
        InvalidParameterException. The message has the name of the parameter, not its value.
    """
    shape = model()["shapes"][shape_name]
    kind = shape["type"]
    if not _is_of_type(value, kind):
        raise CognitoError(f"`{name}` must be of type {kind}", rule="FD3")
    size = value if kind in ("integer", "long") else len(value) if kind in ("string", "list", "map") else None
    if size is not None and not shape.get("min", size) <= size <= shape.get("max", size):
        what = "characters" if kind == "string" else "entries" if kind in ("list", "map") else ""
        limits = f"{shape.get('min', 0)} to {shape['max']}" if "max" in shape else f"at least {shape['min']}"
        raise CognitoError(f"`{name}` must have {limits} {what}".rstrip() if what else f"`{name}` must be {limits}", rule="FD8")
    if kind == "string":
        if "enum" in shape and value not in shape["enum"]:
            raise CognitoError(f"`{name}` must be one of {', '.join(shape['enum'])}", rule="FD3")
        if "pattern" in shape and shape_name != "PasswordType" and not _compiled(shape["pattern"]).fullmatch(value):
            raise CognitoError(f"`{name}` has a character that is not allowed there", rule="FD3")
    elif kind == "list":
        for item in value:
            check(item, shape["member"], name)
    elif kind == "map":
        for key, item in value.items():
            check(key, shape["key"], name)
            check(item, shape["value"], f"{name}.{key}")
    elif kind == "structure":
        check_members(value, shape, name)


def check_members(value: Mapping[str, Any], shape: Json, name: str) -> None:
    """Check a structure: no unknown member, none missing."""
    for member, item in value.items():
        if member not in shape["members"]:
            raise CognitoError(f"`{name}` has no member `{str(member)[:64]}`", rule="FD3")
        if item is not None:
            check(item, shape["members"][member], f"{name}.{member}")
    for member in shape.get("required", ()):
        if value.get(member) is None:
            raise CognitoError(f"`{name}.{member}` is missing", rule="FD3")


def operation(method: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """Decorate the method of a call. Its keyword parameters have AWS's names in snake case."""
    title, described = next((t, o) for t, o in model()["operations"].items() if o.get("method") == method.__name__)
    shape = model()["shapes"][described["input"]]
    members: dict[str, str] = described["parameters"]

    def prepare(kwargs: dict[str, Any]) -> None:
        for name in [name for name, value in kwargs.items() if value is None]:
            del kwargs[name]  # the method has the default
        for name, member in members.items():
            if name in kwargs:
                kwargs[name] = hide(kwargs[name], shape["members"][member])

    def verify(kwargs: Mapping[str, Any]) -> None:
        for name, member in members.items():
            if name in kwargs:
                check(kwargs[name], shape["members"][member], member)
            elif member in shape.get("required", ()):
                raise CognitoError(f"`{member}` is missing", rule="FD3")

    @wraps(method)
    def call(self: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        prepare(kwargs)
        with self._state.event(title):
            verify(kwargs)
            named = {short: kwargs[name] for short, name in _NOTED.items() if isinstance(kwargs.get(name), str)}
            self._state.note(**named)  # type: ignore[arg-type]
            given = {name: kwargs.get(name) for name in _RATED}
            check_rate(self._state.admit, title, {name: plain(value) for name, value in given.items() if isinstance(value, str)})
            return method(self, *args, **kwargs)

    return call


def error_code(error: StsError) -> str:
    """AWS's code of an error of a call of user pools."""
    return "InvalidParameterException" if error.code == "ValidationError" else error.code


def plain(text: str) -> str:
    """The text of a `Secret` that is not one, such as a user name."""
    return str.__str__(text) if isinstance(text, Secret) else text
