"""`fastiam serve`: one server process."""

from __future__ import annotations

import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from fastiam.cli import exit_codes as exits
from fastiam.cli.console import note
from fastiam.errors import FastiamError, missing_package
from fastiam.runtime.gc_pause import collection_paused

if TYPE_CHECKING:
    from fastiam.server.config_sections import Settings


@click.command("serve")
@click.argument("source", nargs=-1, metavar="[SOURCE]...")
@click.option("--config", "config_file", metavar="FILE", help="TOML file. Default: /etc/fastiam/serve.toml if it exists.")
@click.option("--listen", metavar="ADDRESS", help="127.0.0.1:8380, [::1]:8380 or unix:/path. Default: 127.0.0.1:8380.")
@click.option("--door", "doors", multiple=True, metavar="NAME", help="Serve this protocol too. May be repeated.")
@click.option("--check", is_flag=True, help="Check what a start checks, print the configuration, and exit.")
def command(source: tuple[str, ...], config_file: str | None, listen: str | None, doors: tuple[str, ...], check: bool) -> int:
    """Answer authorization requests over HTTP.

    SOURCE is a folder of policies, files, a store, or a saved engine. AuthZEN and bulk decisions are served on 127.0.0.1:8380,
    health and metrics on 127.0.0.1:8382. SIGHUP reloads, SIGTERM stops after the requests in work.
    """
    # PERF: numpy would start threads for linear algebra, which there is none of. They spin: 50 ms of CPU of the start
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        with collection_paused(freeze=True):  # PERF: an eighth of the start, and the modules stay
            from fastiam.server import config, run, start_checks
        if find_spec("prometheus_client") is None:  # `run` imports it after the start
            raise ModuleNotFoundError(name="prometheus_client")
    except ModuleNotFoundError as error:
        if isinstance(error, FastiamError) or (error.name or "").startswith("fastiam."):
            raise
        raise missing_package("running the server", error, "server") from None
    file = None if config_file is None else Path(config_file)
    flags = config.Flags(source, listen, doors)

    def read(*, is_running: bool = False) -> Settings:
        settings = config.load(file, os.environ, flags)
        start_checks.prepare(settings, is_running=is_running)
        return settings

    try:
        with collection_paused(freeze=True):
            settings = read()  # imports the protocols
        if check:
            for warning in run.check_start(settings):
                note(f"warning: {warning}")
            click.echo(orjson.dumps(config.effective(settings), option=orjson.OPT_INDENT_2).decode())
            return exits.OK
        return run.serve(settings, partial(read, is_running=True))
    except FastiamError as error:
        note(f"error: {error}")
        return exits.USAGE
