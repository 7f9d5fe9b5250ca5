"""Senders of codes for servers: to a log, or through a command. `FileSender` (`codes`) appends to a file."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from fastiam.cognito.user_pools.codes import CodeMessage
from fastiam.errors import SourceError

_SECONDS: Final = 5  # for a command: meanwhile a thread of the server waits
_logger = logging.getLogger("fastiam.cognito.codes")


class LogSender:
    """A sender that writes each message, with its code, to the logger `fastiam.cognito.codes`: for development."""

    def __call__(self, message: CodeMessage) -> None:
        """Log a message."""
        _logger.warning("%s", message.to_json())


class CommandSender:
    """A sender that starts a program for each message. Its standard input is one JSON object; a status other than 0 is a failure.

    Parameters
    ----------
    command
        the program and its arguments. No shell is involved, and no part of a message is an argument.
    seconds
        after which the program is stopped.

    Raises
    ------
    SourceError
        there is no such program.
    """

    def __init__(self, command: Sequence[str], *, seconds: float = _SECONDS) -> None:
        program = shutil.which(command[0]) if command else None
        if program is None:
            raise SourceError("is not a program that can be started", source=command[0] if command else "command", path="")
        self._command, self._seconds = (program, *command[1:]), seconds

    def __call__(self, message: CodeMessage) -> None:
        """Run the program, which delivers a message."""
        subprocess.run(
            self._command,
            input=message.to_json().encode() + b"\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=self._seconds,
            check=True,
        )
