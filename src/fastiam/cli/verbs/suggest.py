"""`fastiam suggest`: a smaller policy of what a user or role used in a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import click

from fastiam.cli import exit_codes as exits
from fastiam.cli import options
from fastiam.cli.console import note
from fastiam.cli.file_arguments import check_out, open_out
from fastiam.cli.policy_sources import check_stdin, given_or_store, open_directory

_SHOWN = 10  # listed actions


@click.command("suggest")
@click.option("--policies", multiple=True, metavar="PATH", help="The policies; may be repeated. Default: FASTIAM_STORE.")
@click.argument("log", nargs=-1, required=True, metavar="LOG...")
@click.option("--principal", required=True, metavar="ARN", help="The user or role.")
@click.option("--since", type=options.Instant(), help="Calls before this time do not count. Default: all calls count.")
@click.option("--out", default="-", show_default=True, metavar="FILE", help="The file of the policy; `-` is standard output.")
def command(policies: tuple[str, ...], log: tuple[str, ...], principal: str, since: datetime | None, out: str) -> int:
    """Write a policy of what a user or role used in a CloudTrail LOG, in place of all its identity policies.

    The policy has the used actions of the Allow statements, with the narrowest of their resource patterns and with their
    conditions, and all Deny statements. The calls of the log are decided with it, and a proof shows that it allows nothing new.
    Exits with 2 if a call that the policies allow is denied, or something new is allowed, 4 if the proof is undecided or the log
    has nothing to write a policy of, else 0.
    """
    from fastiam.api.suggestion import suggest_policy
    from fastiam.sources import read_cloudtrail

    check_stdin(*policies, *log)
    check_out(out, "the policy", *policies, *log)
    found = suggest_policy(open_directory(given_or_store(policies, "--policies")), principal, read_cloudtrail(*log), since=since)
    if found.former_calls:
        note(f"{found.former_calls:,} calls of a deleted `{principal}` with another unique id do not count")
    if not found.document["Statement"]:
        note(f"no policy is written: the log has no call of `{principal}` that its identity policies allow")
        _list("used actions that its identity policies do not allow", found.not_covered)
        note("help: pass a log of its account and of enough time; if it needs nothing, detach its policies")
        return exits.UNKNOWN
    with open_out(out) as file:
        file.write(json.dumps(found.document, indent=2).encode() + b"\n")
    note(f"{found.calls:,} allowed calls of `{principal}`; the policy denies {found.lost:,} that the old policies allow")
    note(f"no new access: {found.proof.result}{f', {found.proof.reason}' if found.proof.reason else ''}")
    _list("used actions that its identity policies do not allow", found.not_covered)
    _list("removed actions whose use the log does not show", found.removed_unseen)
    if found.lost:
        return exits.DENIED
    return {"proved": exits.OK, "undecided": exits.UNKNOWN}.get(found.proof.result.value, exits.DENIED)


def _list(title: str, actions: Sequence[str]) -> None:
    if actions:
        note(f"{len(actions):,} {title}:")
        note(f"  {', '.join(actions[:_SHOWN])}{', ...' if len(actions) > _SHOWN else ''}")
