"""The calls of user pools as AWS's service model describes them: names of parameters, types and limits, and which are public.

`operation` decorates the method of a call: it hides secrets from tracebacks, checks the parameters, and records the call as one
audit event. A call of the model without such a method is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from fastiam.aws_data.service_constraints import Constraint, Violation, violations
from fastiam.aws_data.service_models import Service, Shape, service, snake
from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.rates import check_rate
from fastiam.credentials.secret import Secret, hidden
from fastiam.credentials.sts_errors import StsError

if TYPE_CHECKING:
    from fastiam.cognito.user_pools.calls import Calls

C = TypeVar("C", bound="Calls")
P = ParamSpec("P")
R = TypeVar("R")
Json = dict[str, Any]

_NOTED = {"pool": "user_pool_id", "client": "client_id"}  # parameters that the audit event has
_RATED = ("user_pool_id", "client_id", "username")  # parameters that the hook for request rates gets
_SHOWN = {"AttributeValueType", "ClientIdType", "UserContextDataType", "UsernameType"}  # sensitive in the model, but not a secret
_HIDDEN = {"ConfirmationCodeType"}  # a secret, though the model does not say so
_MAX_TRIGGER_NAME: Final = 2_048
_TRIGGER = re.compile(r"LambdaConfig\.(?:\w+|PreTokenGenerationConfig\.LambdaArn)")  # ARNs are only names of callables here


@dataclass(frozen=True, slots=True)
class Operation:
    """A call with a method. `parameters` has AWS's name of each parameter by its name in snake case."""

    name: str
    method: str
    input: Shape
    parameters: Mapping[str, str]
    is_public: bool


OPERATIONS: Final[dict[str, Operation]] = {}
"""The calls that have a method, by name. `UserPools` imports all of them."""


def model() -> Service:
    """The service model of user pools."""
    return service("cognito-idp")


@cache
def _names() -> dict[str, str]:
    return {snake(name): name for name in model().operations}


def is_secret(shape: Shape) -> bool:
    """Whether values of a shape are secrets."""
    return shape.name in _HIDDEN or (shape.is_sensitive and shape.name not in _SHOWN)


def hide(value: Any, shape: Shape) -> Any:
    """The value with its secrets as `Secret`, and without members that are None. Raises nothing."""
    if isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if item is not None}  # JSON clients write null for an absent member
    if is_secret(shape):
        if isinstance(value, str):
            return hidden(value)
        if isinstance(value, Mapping):
            return {key: hidden(item) if isinstance(item, str) else item for key, item in value.items()}
    if shape.name == "ProviderDetailsType" and isinstance(value, Mapping):  # AWS does not mark its secrets
        secrets = ("client_secret", "private_key")
        return {key: hidden(item) if key in secrets and isinstance(item, str) else item for key, item in value.items()}
    if shape.type == "list" and shape.item is not None and isinstance(value, (list, tuple)):
        return [hide(item, shape.item) for item in value]
    if shape.type == "structure" and isinstance(value, Mapping):
        return {key: hide(item, shape.members[key].shape) if key in shape.members else item for key, item in value.items()}
    return value


def check(value: Any, shape: Shape, name: str = "") -> None:
    """Check a value against its type and limits.

    Raises
    ------
    CognitoError
        InvalidParameterException. The message has the name of the parameter, not its value.
    """
    for each in violations(shape, value, name):
        if not _is_waived(each):
            raise CognitoError(_sentence(each), rule="FD8" if each.constraint in _SIZES else "FD3")


_SIZES = (Constraint.MIN_LENGTH, Constraint.MAX_LENGTH, Constraint.MIN_VALUE, Constraint.MAX_VALUE)


def _is_waived(each: Violation) -> bool:
    """Whether a constraint of the model does not hold here."""
    if each.shape.name == "PasswordType":  # the policy of the pool says more
        return each.constraint is Constraint.PATTERN
    is_trigger = each.shape.name == "ArnType" and _TRIGGER.fullmatch(each.path) is not None
    return is_trigger and isinstance(each.value, str) and 1 <= len(each.value) <= _MAX_TRIGGER_NAME


def _sentence(each: Violation) -> str:
    name, shape = re.sub(r"\.\d+\.member|\.key$", "", each.path), each.shape
    match each.constraint:
        case Constraint.TYPE:
            return f"`{name}` must be of type {shape.type}"
        case Constraint.MEMBER:
            return f"`{name}` has no member `{str(each.value)[:64]}`"
        case Constraint.REQUIRED:
            return f"`{name}` is missing"
        case Constraint.ENUM:
            return f"`{name}` must be one of {', '.join(shape.enum)}"
        case Constraint.PATTERN:
            return f"`{name}` has a character that is not allowed there"
    limits = f"at least {shape.low}" if shape.high is None else f"{shape.low or 0} to {shape.high}"
    if each.constraint in (Constraint.MIN_VALUE, Constraint.MAX_VALUE):
        return f"`{name}` must be {limits}"
    return f"`{name}` must have {limits} {'characters' if shape.type == 'string' else 'entries'}"


def operation(method: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """Decorate the method of a call. Its keyword parameters have AWS's names in snake case."""
    title = _names()[method.__name__]
    described = model().operations[title]
    shape = described.input
    assert shape is not None
    members = {snake(member): member for member in shape.members}
    OPERATIONS[title] = Operation(title, method.__name__, shape, members, described.is_unsigned)

    def prepare(kwargs: dict[str, Any]) -> None:
        for name in [name for name, value in kwargs.items() if value is None]:
            del kwargs[name]  # the method has the default
        for name, member in members.items():
            if name in kwargs:
                kwargs[name] = hide(kwargs[name], shape.members[member].shape)

    @wraps(method)
    def call(self: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        prepare(kwargs)
        with self._state.event(title):
            check({member: kwargs[name] for name, member in members.items() if name in kwargs}, shape)
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
