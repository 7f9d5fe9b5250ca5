"""Principals of the command line: an ARN, a service, `*`, or the name of a user or role.

A principal without a record is an error: it would be denied for that reason, whatever the policies are.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """The principal that is named: an ARN, a service name or `*` as it is; a name as the ARN of the one user or role that has it.

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
        parts = split_arn(name)
        is_session = parts is not None and parts.service == "sts"
        wanted = name.split("/")[1] if is_session else name_of(name)
    else:
        wanted = name
    by_name: dict[str, list[str]] = {}
    for arn, kind in snapshot.names():
        if kind is not PrincipalKind.ROOT and account in (None, account_of(arn)):
            by_name.setdefault(name_of(arn).lower(), []).append(arn)
    if wanted is name:
        found = by_name.get(name.lower(), [])
        if len(found) == 1:
            return found[0]
        if found:
            hint = f"pass `--account` or one of {_listed(found)}"
            raise RequestValueError(f"several users and roles are named `{shorten(name)}`", column=column, hint=hint)
        if "." in name:
            return name  # a service
    near = get_close_matches(wanted.lower(), by_name, _NEAREST) if len(wanted) <= _LONGEST else ()
    nearest = [arn for each in near for arn in by_name[each]]
    hint = f"did you mean {_listed(nearest)}?" if nearest else ""
    if may_be_absent and wanted is not name:
        note(f"the policies have no principal `{shorten(name)}`, which is denied for that reason")
        is_foreign = all(account_of(arn) != account_of(name) for arns in by_name.values() for arn in arns)
        for line in (hint, _OUTSIDE if is_foreign else ""):
            if line:
                note(f"help: {line}")
        return name
    raise RequestValueError(f"the policies have no principal `{shorten(name)}`", column=column, hint=hint)


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
