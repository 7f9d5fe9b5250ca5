"""Principals of the command line: an ARN, a service, `*`, or the name of a user or role.

A principal without a record is an error: it would be denied for that reason, whatever the policies are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from fastiam.cli.console import note
from fastiam.cli.entity_commands import account_of, name_of
from fastiam.errors import RequestValueError
from fastiam.model.arn import split_arn
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import shorten

if TYPE_CHECKING:
    from fastiam.api.engine import Engine

_OUTSIDE = (
    "if it is of an account outside of the policies, `--outside assume-allowed` assumes that its own account allows the request, "
    "as `who-can` does"
)
_NEAREST = 3  # names in a hint
_LONGEST = 200  # characters of a name that is compared with known ones


def find_principal(
    engine: Engine, name: str, account: str | None = None, *, column: str = "principal", may_be_absent: bool = False
) -> str:
    """The principal that is named: an ARN, a service name or `*` as it is; for `lea` or `user/lea` the ARN of the one so named.

    Parameters
    ----------
    account
        the account in which a name is looked up; all if None.
    column
        the argument, for messages.
    may_be_absent
        an ARN without a record is printed, with the nearest ones, and returned.

    Raises
    ------
    RequestValueError
        no user or role has the ARN or name; the hint has the nearest ones. Several have the name.
    """
    snapshot = engine.snapshot
    if name.startswith("arn:") or name == "*":
        if snapshot.principal(name).known:
            return name
        wanted = _name_in(name)
    else:
        wanted = name.rpartition("/")[2]
    by_name = _by_name(engine, account)
    if not name.startswith("arn:"):
        found = [arn for arn in by_name.get(wanted.lower(), []) if "/" not in name or _is_short_form(name, arn)]
        if len(found) == 1:
            return found[0]
        if found:
            hint = f"pass `--account` or one of {_listed(found)}"
            raise RequestValueError(f"several users and roles are named `{shorten(name)}`", column=column, hint=hint)
        if "." in name and "/" not in name:
            return name  # a service
    hint = _did_you_mean(wanted, by_name)
    if may_be_absent and name.startswith("arn:"):
        note(f"the policies have no principal `{shorten(name)}`, which is denied for that reason")
        is_foreign = all(account_of(arn) != account_of(name) for arns in by_name.values() for arn in arns)
        for line in (hint, _OUTSIDE if is_foreign else ""):
            if line:
                note(f"help: {line}")
        return name
    raise RequestValueError(f"the policies have no principal `{shorten(name)}`", column=column, hint=hint)


def note_absent_principals(engine: Engine, places: Mapping[str, str]) -> None:
    """Print principals of a table that have no record, each with its place and the nearest ones."""
    by_name = _by_name(engine, None) if places else {}
    for name, place in places.items():
        hint = _did_you_mean(_name_in(name), by_name)
        note(f"  {place}: `{shorten(name)}`" + (f": {hint}" if hint else ""))


def _name_in(arn: str) -> str:
    """The name of a user or role, or of the role of a session."""
    parts = split_arn(arn)
    is_session = parts is not None and parts.service == "sts" and "/" in arn
    return arn.split("/")[1] if is_session else name_of(arn)


def _by_name(engine: Engine, account: str | None) -> dict[str, list[str]]:
    """The users and roles of one account or all by their names in lower case."""
    found: dict[str, list[str]] = {}
    for arn, kind in engine.snapshot.names():
        if kind is not PrincipalKind.ROOT and account in (None, account_of(arn)):
            found.setdefault(name_of(arn).lower(), []).append(arn)
    return found


def _did_you_mean(wanted: str, by_name: Mapping[str, Sequence[str]]) -> str:
    near = get_close_matches(wanted.lower(), by_name, _NEAREST) if len(wanted) <= _LONGEST else ()
    nearest = [arn for each in near for arn in by_name[each]]
    return f"did you mean {_listed(nearest)}?" if nearest else ""


def _is_short_form(name: str, arn: str) -> bool:
    """Whether a text such as `user/lea`, as test files write it, is the end of an ARN; paths may be left out."""
    kind, _, rest = name.partition("/")
    of_arn, _, path = arn.split(":", 5)[5].partition("/")
    return kind.lower() == of_arn and rest.lower() in (path.lower(), name_of(arn).lower())


def check_role(engine: Engine, action: str, resource: str) -> None:
    """Check that a role to be assumed or passed exists, unless its account has no users and roles here.

    Raises
    ------
    RequestValueError
        as `find_principal`.
    """
    parts = split_arn(resource)
    is_role = parts is not None and parts.service == "iam" and parts.rest.startswith("role/") and "*" not in resource
    if parts is None or not is_role or not action.lower().startswith(("sts:", "iam:passrole")):
        return
    known = (kind is not PrincipalKind.ROOT and account_of(arn) == parts.account for arn, kind in engine.snapshot.names())
    if any(known):
        find_principal(engine, resource, parts.account, column="resource")


def _listed(arns: Sequence[str]) -> str:
    names = [f"`{arn}`" for arn in arns[:_NEAREST]]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
