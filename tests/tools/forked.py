"""What the tests of processes share: sources of policies that change, and functions that run in a forked child."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from fastiam import Directory, LiveEngine

USER = "arn:aws:iam::111111111111:user/ana"
ASKED = (USER, "s3:GetObject", "arn:aws:s3:::bkt/key")
ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
SECONDS = 30  # after which a child that hangs is ended


def allowing() -> Directory:
    directory = Directory()
    directory.add_principal(USER, identity_policies=[("own", ALL)])
    return directory


def until(is_so: Callable[[], bool], seconds: float = 20) -> bool:
    ends = time.monotonic() + seconds
    while not is_so() and time.monotonic() < ends:
        time.sleep(0.01)
    return is_so()


class Child:
    """A forked child that runs a function; `result()` waits for what it returned."""

    def __init__(self, function: Callable[[], object]) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            signal.alarm(SECONDS)
            code = 1
            try:
                os.write(writer, json.dumps(function()).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        self._reader = reader

    def result(self) -> object:
        with os.fdopen(self._reader) as pipe:
            answers = pipe.read()
        assert os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == 0, "the child hung, or raised"
        return json.loads(answers)


class Gate:
    """A child waits until its parent opens it."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def wait(self) -> None:
        os.read(self._reader, 1)

    def open(self) -> None:
        os.write(self._writer, b"x")


class Source:
    """A source of policies in a file, and how to change it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.path = kind, folder / "policies"
        if kind == "store":
            with Directory.open(self.path) as store:
                store.add_principal(USER, identity_policies=[("own", ALL)])
        elif kind == "files":
            self.path.with_suffix(".json").write_text(allowing().to_json())
            self.path = self.path.with_suffix(".json")
        else:
            allowing().compile().save(self.path)

    def live(self) -> LiveEngine:
        return LiveEngine(Directory.open(self.path) if self.kind == "directory" else self.path)

    def revoke(self) -> None:
        if self.kind == "store":
            with Directory.open(self.path) as store:
                store.delete_inline_policy(USER, "own")
        elif self.kind == "files":
            directory = allowing()
            directory.delete_inline_policy(USER, "own")
            directory.dump(self.path)
        else:
            directory = allowing()
            directory.delete_inline_policy(USER, "own")
            directory.compile().save(self.path)
