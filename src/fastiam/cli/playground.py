"""`fastiam playground`: the pages of the playground on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from fastiam.api.directory import Directory
from fastiam.cli import serve
from fastiam.cli.console import note

_NAME = "playground"
_ADDRESS = "127.0.0.1:8380"


@click.command(_NAME)
@click.argument("source", nargs=-1, metavar="[SOURCE]...")
@click.option("--listen", "address", default=_ADDRESS, show_default=True, metavar="ADDRESS", help="Where the pages are served.")
@click.pass_context
def command(context: click.Context, source: tuple[str, ...], address: str) -> int:
    """Paste policies and a request, and see the decision layer by layer.

    SOURCE is as in `fastiam serve`; its principals and resources are on the page Explore. Without it there is no such page.
    """
    is_unix = address.startswith("unix:")
    note(f"the pages are at /playground/ of {address}" if is_unix else f"open http://{address}/playground/")
    if source:
        return _serve(context, source, address)
    with tempfile.TemporaryDirectory(prefix="fastiam-") as folder:
        empty = Path(folder) / "empty.fastiam"
        Directory().compile().save(empty)
        return _serve(context, (str(empty),), address)


def _serve(context: click.Context, source: tuple[str, ...], address: str) -> int:
    code: int = context.invoke(serve.command, source=source, config_file=None, listen=address, doors=(_NAME,), check=False)
    return code
