"""`fastiam role`: roles of a store."""

from __future__ import annotations

import click

from fastiam.cli import entity_commands
from fastiam.cli.entity_commands import ROLE, add_call, add_create


@click.group("role")
def command() -> None:
    """Create, change, list and delete roles."""


add_create(
    command,
    ROLE,
    "add_principal",
    entity_commands.trust,
    entity_commands.path,
    entity_commands.policies,
    entity_commands.boundary,
    click.option("--max-session-duration", type=int, metavar="SECONDS", default=3600, show_default=True),
    entity_commands.create_options,
    help="Create the role NAME.",
)
entity_commands.add_common(command, ROLE, lambda directory, arn: directory.delete_principal(arn))
entity_commands.add_policies(command, ROLE)
entity_commands.add_boundary(command, ROLE)
text = "Set the trust policy of the role NAME. DOCUMENT is JSON, a file or `-`."
document = entity_commands.document_named("trust_policy")
add_call(command, ROLE, "set-trust", "set_trust_policy", document, help=text)
text = "Set the maximum session duration of the role NAME, 3600 to 43200 seconds."
seconds = click.argument("seconds", type=int)
add_call(command, ROLE, "set-max-session-duration", "set_max_session_duration", seconds, help=text)
