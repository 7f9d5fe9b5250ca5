"""`fastiam playground`: the pages of the playground on this machine."""

from __future__ import annotations

import re
import tempfile
from importlib import metadata
from pathlib import Path

import click

from fastiam.api.directory import Directory
from fastiam.cli.console import note
from fastiam.cli.verbs import serve
from fastiam.errors import MissingPackageError, pip_install

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
    _check_packages()
    is_unix = address.startswith("unix:")
    note(f"the pages are at /playground/ of {address}" if is_unix else f"open http://{address}/playground/")
    if source:
        return _serve(context, source, address)
    with tempfile.TemporaryDirectory(prefix="fastiam-") as folder:
        empty = Path(folder) / "empty.fastiam"
        Directory().compile().save(empty)
        return _serve(context, (str(empty),), address)


def _check_packages() -> None:
    """Check that all packages of the playground are there, before an address is printed.

    Raises
    ------
    MissingPackageError
        it names all that are missing.
    """
    try:
        needed = _needed(_NAME)
    except metadata.PackageNotFoundError:  # not installed: only on the path
        return
    missing = [name for name in sorted(needed) if not _is_installed(name)]
    if missing:
        names = " and ".join(f"`{name}`" for name in missing)
        raise MissingPackageError(f"the playground needs the packages {names}\nhelp: {pip_install(_NAME)}", name=missing[0])


def _needed(extra: str) -> set[str]:
    """The distributions of an extra, and of the extras that it includes."""
    found: set[str] = set()
    for requirement in metadata.requires("fastiam") or ():
        name, _, condition = requirement.partition(";")
        if f'extra == "{extra}"' not in condition.replace("'", '"') or "sys_platform" in condition:
            continue
        project, bracket, rest = name.partition("[")
        if bracket and project == "fastiam":
            found |= {each for more in rest.partition("]")[0].split(",") for each in _needed(more.strip())}
        else:
            found.add(re.split(r"[^\w.-]", project.strip())[0])
    return found


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _serve(context: click.Context, source: tuple[str, ...], address: str) -> int:
    code: int = context.invoke(serve.command, source=source, config_file=None, listen=address, doors=(_NAME,), check=False)
    return code
