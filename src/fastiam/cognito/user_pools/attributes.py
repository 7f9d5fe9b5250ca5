"""Attributes of users: the schema of a pool, and who may write which value (UP24)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.directory.user_pool_records import Attribute, Client, Pool, User

NUMBERS, BOOLEANS = {"updated_at"}, {"email_verified", "phone_number_verified"}
MAX_CUSTOM, MAX_VALUE = 50, 2048
_LIMITS = {"sub": ("1", str(MAX_VALUE)), "birthdate": ("10", "10"), "updated_at": ("0", "")} | dict.fromkeys(BOOLEANS, ("", ""))


def _standard(name: str) -> Attribute:
    kind = "Number" if name in NUMBERS else "Boolean" if name in BOOLEANS else "String"
    return Attribute(name, kind, name != "sub", False, *_LIMITS.get(name, ("0", str(MAX_VALUE))))


# The limits are those that AWS shows: Terraform takes an attribute with others for one of the configuration.
STANDARD = {
    name: _standard(name)
    for name in (
        "sub name given_name family_name middle_name nickname preferred_username profile picture website email email_verified "
        "gender birthdate zoneinfo locale phone_number phone_number_verified address updated_at"
    ).split()
}
VERIFIABLE = ("phone_number", "email")  # telephone numbers come first (4.6)
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_PHONE = re.compile(r"\+[0-9]{1,15}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)


def refused(message: str, *, rule: str = "UP24", code: str = "InvalidParameterException") -> CognitoError:
    """The error of an attribute that is refused."""
    return CognitoError(message, code=code, rule=rule)


def schema_of(pool: Pool) -> dict[str, Attribute]:
    """All attributes of a pool by name."""
    return {**STANDARD, **{attribute.name: attribute for attribute in pool.attributes}}


def read_schema(
    given: Iterable[Mapping[str, Any]], stored: tuple[Attribute, ...] = (), *, only_custom: bool = False
) -> tuple[Attribute, ...]:
    """`Schema` or `CustomAttributes` of a call, added to the attributes that a pool has.

    Raises
    ------
    CognitoError
        a name, type or setting that is not allowed, or too many attributes.
    """
    found = {attribute.name: attribute for attribute in stored}
    for entry in given:
        name = entry.get("Name", "")
        is_standard = name in STANDARD and not only_custom
        full = name if is_standard else f"{'dev' if entry.get('DeveloperOnlyAttribute') else 'custom'}:{name}"
        if not name or (not is_standard and len(name) > 20) or full in found:
            raise refused(f"`{name}` is not the name of a new attribute", rule="4.2")
        kind = entry.get("AttributeDataType", STANDARD[name].type if is_standard else "")
        if not kind:
            raise refused(f"`{name}` has no AttributeDataType", rule="4.2")
        required = entry.get("Required", False)
        is_wrong = entry.get("DeveloperOnlyAttribute") or kind != STANDARD[name].type if is_standard else required
        if is_wrong or name == "sub":
            raise refused(f"`{name}` cannot be defined in this way", rule="4.2")
        low, high = _limits(name, kind, entry)
        if is_standard:
            low, high = low or STANDARD[name].minimum, high or STANDARD[name].maximum
        found[full] = Attribute(full, kind, entry.get("Mutable", True), required, low, high)
    if sum(":" in name for name in found) > MAX_CUSTOM:
        raise refused(f"a pool has at most {MAX_CUSTOM} custom attributes", rule="4.2", code="LimitExceededException")
    return tuple(found.values())


def _limits(name: str, kind: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    """The limits of a new attribute, "" for none."""
    if kind == "String":
        texts = entry.get("StringAttributeConstraints") or {}
        low, high = texts.get("MinLength") or "", texts.get("MaxLength") or ""
    elif kind == "Number":
        numbers = entry.get("NumberAttributeConstraints") or {}
        low, high = numbers.get("MinValue") or "", numbers.get("MaxValue") or ""
    else:
        return "", ""
    if any(limit and not _NUMBER.fullmatch(limit) for limit in (low, high)):
        raise refused(f"a limit of `{name}` is not a number", rule="4.2")
    if kind == "String" and any(limit and not 0 <= float(limit) <= MAX_VALUE for limit in (low, high)):
        raise refused(f"String attributes cannot have a length of more than {MAX_VALUE}: `{name}`", rule="4.2")
    if low and high and float(low) > float(high):
        raise refused(f"the lower limit of `{name}` is above the upper one", rule="4.2")
    return low, high


def describe_schema(pool: Pool) -> list[dict[str, Any]]:
    """`SchemaAttributes` of a pool."""
    found = []
    for attribute in schema_of(pool).values():
        entry: dict[str, Any] = {
            "Name": attribute.name,
            "AttributeDataType": attribute.type,
            "DeveloperOnlyAttribute": attribute.name.startswith("dev:"),
            "Mutable": attribute.mutable,
            "Required": attribute.required or attribute.name == "sub",
        }
        if attribute.type in ("String", "Number"):
            kind, unit = attribute.type, "Length" if attribute.type == "String" else "Value"
            limits = {f"Min{unit}": attribute.minimum, f"Max{unit}": attribute.maximum}
            entry[f"{kind}AttributeConstraints"] = {name: limit for name, limit in limits.items() if limit}
        found.append(entry)
    return found


def read_attributes(
    pool: Pool,
    given: Iterable[Mapping[str, str]],
    *,
    client: Client | None,
    user: User | None,
    unauthorized: str = "NotAuthorizedException",
) -> dict[str, str]:
    """The values that a call writes, checked.

    Parameters
    ----------
    client
        whose `WriteAttributes` hold; None for an admin.
    user
        None if the user is made by this call: immutable attributes can be set then.
    unauthorized
        code for an attribute that the client may not write.

    Raises
    ------
    CognitoError
        an attribute that the caller may not write, or a wrong value.
    """
    schema, values = schema_of(pool), {}
    for entry in given:
        name, value = entry["Name"], entry.get("Value", "")
        attribute = schema.get(name)
        if name in values:
            raise refused(f"the attribute `{name}` is given twice", rule="FD3")
        if name == "sub" or name == "identities" or name.startswith("cognito:"):
            raise refused(f"the attribute `{name}` cannot be written")
        if attribute is None:
            raise refused(f"Attributes did not conform to the schema: {name}: Attribute does not exist in the schema.")
        if client is not None and not can_write(client, name):
            raise refused("A client attempted to write unauthorized attribute", code=unauthorized)
        if user is not None and not attribute.mutable:
            raise refused(f"{name}: Attribute cannot be updated.")
        if value == "" and attribute.required:
            raise refused(f"{name}: Attribute is required.")
        if attribute.type == "Boolean":
            value = value.lower()  # AWS takes `True`
        if value != "":
            check_value(attribute, value)
        values[name] = value
    return values


def can_write(client: Client, name: str) -> bool:
    """Whether users of a client may write an attribute."""
    if name in BOOLEANS or name.startswith("dev:"):
        return False
    return name in STANDARD if client.writable is None else name in client.writable


def can_read(client: Client, name: str) -> bool:
    """Whether tokens and answers of a client have an attribute."""
    if name == "sub":
        return True
    return name in STANDARD if client.readable is None else name in client.readable


def check_value(attribute: Attribute, value: str) -> None:
    """Check the form of one value.

    Raises
    ------
    CognitoError
        InvalidParameterException.
    """
    name, low, high = attribute.name, attribute.minimum, attribute.maximum
    is_right = len(value) <= MAX_VALUE
    if attribute.type == "Number":
        is_right = is_right and _NUMBER.fullmatch(value) is not None
        is_right = is_right and not (low and float(value) < float(low)) and not (high and float(value) > float(high))
    elif attribute.type == "Boolean":
        is_right = value in ("true", "false")
    elif attribute.type == "DateTime":
        is_right = is_right and _is_date(value)
    else:
        is_right = is_right and not (low and len(value) < float(low)) and not (high and len(value) > float(high))
    if name == "email":
        is_right = is_right and _EMAIL.fullmatch(value) is not None
    elif name == "phone_number":
        is_right = is_right and _PHONE.fullmatch(value) is not None
    elif name == "birthdate":
        is_right = is_right and len(value) == 10
    if not is_right:
        raise refused(f"Attributes did not conform to the schema: {name}: the value has not the form of this attribute")


def _is_date(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_email(text: str) -> bool:
    """Whether a user name has the form of an e-mail address."""
    return _EMAIL.fullmatch(text) is not None


def is_phone(text: str) -> bool:
    """Whether a user name has the form of a telephone number."""
    return _PHONE.fullmatch(text) is not None


def alias_kind(text: str) -> str:
    """The attribute whose form a user name has: `email`, `phone_number` or ""."""
    return "email" if is_email(text) else "phone_number" if is_phone(text) else ""


def missing_required(pool: Pool, values: Mapping[str, str]) -> list[str]:
    """The required attributes without a value."""
    return [name for name, attribute in schema_of(pool).items() if attribute.required and not values.get(name)]


def changed_values(user: User, values: Mapping[str, str], *, keep_verified: bool) -> dict[str, str]:
    """The attributes of a user after a write; "" removes. A new address is not verified unless the write says so."""
    result = {**user.attributes, **values}
    for name in VERIFIABLE:
        is_changed = name in values and values[name] != user.attributes.get(name, "")
        if is_changed and not (keep_verified and f"{name}_verified" in values):
            result[f"{name}_verified"] = "false"
        if result.get(f"{name}_verified") == "true" and not result.get(name):
            raise refused(f"`{name}` has no value that could be verified")
    for name in VERIFIABLE:
        if not result.get(name):
            result.pop(f"{name}_verified", None)
    return {name: value for name, value in result.items() if value != ""}


def listed(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Attributes as lists of names and values, the form of answers."""
    return [{"Name": name, "Value": value} for name, value in values.items()]
