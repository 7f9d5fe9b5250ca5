"""Output files: streams, devices and FIFOs are written into, links are followed, regular files are replaced atomically."""

from __future__ import annotations

import itertools
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from standard_streams import redirected

import fastiam
from fastiam.cli.files import writers
from fastiam.cli.main import run
from fastiam.errors import SourceError
from fastiam.runtime.output_files import open_output

ACCOUNT = "111111111111"
ANA = f"arn:aws:iam::{ACCOUNT}:user/ana"
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
REQUESTS = f"principal,action,resource\n{ANA},s3:GetObject,arn:aws:s3:::b/k\n"


def directory() -> fastiam.Directory:
    made = fastiam.Directory()
    made.add_principal(ANA, identity_policies=[("Read", READ)])
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with policies, a store, a keyring and requests in it."""
    monkeypatch.chdir(tmp_path)
    directory().dump("d.json")
    Path("r.csv").write_text(REQUESTS)
    assert run(["import", "d.json", "--store", "iam.db"]) == 0
    assert run(["sts", "keyring", "ring.json"]) == 0
    return tmp_path


# Every way to write a file, as a function of the path.
AUTHORIZE = ["authorize", "--policies", "d.json", "--requests", "r.csv", "--quiet"]
KEY = ["key", "create", "ana", "--store", "iam.db", "--keyring", "ring.json"]
DEVICES = map("phone{}".format, itertools.count())
WRITERS: dict[str, Callable[[str], Any]] = {
    "authorize, csv": lambda path: run([*AUTHORIZE, "--out", path, "--out-format", "csv"]),
    "authorize, jsonl": lambda path: run([*AUTHORIZE, "--out", path, "--out-format", "jsonl"]),
    "authorize, parquet": lambda path: run([*AUTHORIZE, "--out", path, "--out-format", "parquet"]),
    "authorize, arrow": lambda path: run([*AUTHORIZE, "--out", path, "--out-format", "arrow"]),
    "export": lambda path: run(["export", "--store", "iam.db", "--out", path]),
    "compile": lambda path: run(["compile", "d.json", "--out", path]),
    "key create": lambda path: run([*KEY, "--out", path]),
    "mfa create": lambda path: run(["mfa", "create", "ana", next(DEVICES), *KEY[3:], "--out", path]),
    "Engine.save": lambda path: directory().compile().save(path),
    "Directory.dump": lambda path: directory().dump(path),
}
PRIVATE = ("key create", "mfa create")
PUBLIC = [name for name in WRITERS if name not in PRIVATE]
every_writer = pytest.mark.parametrize("name", WRITERS)


def read_fifo(path: Path, into: list[bytes]) -> threading.Thread:
    thread = threading.Thread(target=lambda: into.append(path.read_bytes()), daemon=True)
    thread.start()
    return thread


@every_writer
def test_fifo_is_written_into_and_stays_a_fifo(name, folder):
    os.mkfifo("pipe")
    got: list[bytes] = []
    reader = read_fifo(Path("pipe"), got)
    assert not WRITERS[name]("pipe")
    reader.join(timeout=20)
    assert got and got[0] and stat.S_ISFIFO(os.stat("pipe").st_mode)


@every_writer
def test_device_is_written_into_and_stays_a_device(name, folder, capfd):
    with suppress(SourceError):
        WRITERS[name]("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    capfd.readouterr()
    with suppress(SourceError):
        assert WRITERS[name]("/dev/full") == 1
        assert "/dev/full: cannot be written: no space left on device" in capfd.readouterr().err
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@every_writer
def test_links_are_followed_and_stay_links(name, folder):
    os.mkdir("there")
    os.symlink("there/second", "first")
    os.symlink("real", "there/second")  # which does not exist yet
    for _ in range(2):
        assert not WRITERS[name]("first")
        assert os.path.islink("first") and os.path.islink("there/second")
        assert Path("there/real").stat().st_size and not os.path.islink("there/real")


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_replaced_file_keeps_its_mode(name, mode, folder):
    Path("out").write_text("old")
    os.chmod("out", mode)
    assert not WRITERS[name]("out")
    assert stat.S_IMODE(os.stat("out").st_mode) == mode and Path("out").read_bytes() != b"old"


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("old", [None, 0o644])
def test_secret_file_is_readable_by_its_owner_alone(name, old, folder):
    if old is not None:
        Path("out").touch(mode=old)
    assert WRITERS[name]("out") == 0
    assert stat.S_IMODE(os.stat("out").st_mode) == 0o600 and Path("out").stat().st_size


def test_keyring_is_readable_only_by_its_owner_also_by_a_link(folder):
    os.rename("ring.json", "real.json")
    os.symlink("real.json", "ring.json")
    assert run(["sts", "keyring", "ring.json", "--rotate"]) == 0
    assert os.path.islink("ring.json") and len(json.loads(Path("real.json").read_text())) == 2
    assert stat.S_IMODE(os.stat("real.json").st_mode) == 0o600


@every_writer
def test_failed_write_leaves_the_old_file_and_nothing_beside_it(name, folder, monkeypatch, capfd):
    Path("out").write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    try:
        assert WRITERS[name]("out") == 1
        assert "out: cannot be written: no space left on device" in capfd.readouterr().err
    except SourceError as error:
        assert error.source == "out"
    assert Path("out").read_text() == "old" and not [path for path in os.listdir() if path.endswith(".part")]


@every_writer
def test_folder_is_refused(name, folder, capfd):
    os.mkdir("out")
    try:
        assert WRITERS[name]("out") == 1
        assert "out: it is a folder" in capfd.readouterr().err
    except SourceError as error:
        assert "is a directory" in str(error)
    assert os.listdir("out") == []


# -- standard output -------------------------------------------------------------------------------------------------------

STDOUT = {
    "authorize, csv": [*AUTHORIZE, "--out-format", "csv"],
    "authorize, jsonl": [*AUTHORIZE, "--out-format", "jsonl"],
    "authorize, parquet": [*AUTHORIZE, "--out-format", "parquet"],
    "authorize, arrow": [*AUTHORIZE, "--out-format", "arrow"],
    "export": ["export", "--store", "iam.db"],
    "key create": KEY,
}


def fastiam_process(arguments: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "fastiam", *arguments], stderr=subprocess.PIPE, check=False, **more)


@pytest.mark.parametrize("out", ["-", "/dev/stdout", "/dev/fd/1"])
@pytest.mark.parametrize("name", STDOUT)
def test_redirected_standard_output_is_appended_to(name, out, folder):
    Path("app.log").write_text("before\n")
    with open("app.log", "ab") as log, redirected(log):
        assert run([*STDOUT[name], "--out", out]) == 0
    content = Path("app.log").read_bytes()
    assert content.startswith(b"before\n") and len(content) > len(b"before\n")


@pytest.mark.parametrize(
    "arguments", [[*AUTHORIZE, "--out", "-"], ["export", "--store", "iam.db"], ["policy", "list", "--store", "iam.db"]]
)
def test_full_standard_output_is_one_message_and_exit_code_1(arguments, folder):
    run(["policy", "create", "P", json.dumps(READ), "--store", "iam.db"])
    with open("/dev/full", "wb") as full:
        done = fastiam_process(arguments, stdout=full)
    assert (done.returncode, done.stderr) == (1, b"error: no space left on device\n")


# -- what is read is not overwritten -----------------------------------------------------------------------------------------

SELF = {
    "authorize, requests": [*AUTHORIZE, "--out", "r.csv"],
    "authorize, policies": [*AUTHORIZE, "--out", "d.json", "--out-format", "csv"],
    "compile": ["compile", "d.json", "--out", "./d.json"],
    "export over the store": ["export", "--store", "iam.db", "--out", "iam.db"],
    "key over the store": [*KEY, "--out", "iam.db"],
    "key over the keyring": [*KEY, "--out", "ring.json"],
}


@pytest.mark.parametrize("name", SELF)
def test_file_that_is_read_is_not_replaced(name, folder, capfd):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".csv", ".json", ".db")}
    assert run(SELF[name]) == 1
    assert "would replace `" in capfd.readouterr().err
    assert all(Path(path).read_bytes() == data for path, data in before.items())


def test_requests_are_not_appended_to_by_standard_output(folder):
    with open("r.csv", "ab") as out:
        done = fastiam_process([*AUTHORIZE, "--out", "-"], stdout=out)
    assert done.returncode == 1 and b"would replace `r.csv`" in done.stderr
    assert Path("r.csv").read_text() == REQUESTS


# -- runs that end early -----------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from fastiam.runtime.output_files import open_output
with open_output(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_file_of_a_killed_run_is_removed_by_the_next_one(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "one")], check=False)
    (part,) = tmp_path.iterdir()
    assert part.name.startswith(".one.") and part.name.endswith(".fastiam.part")
    with open_output(tmp_path / "two") as file:
        file.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_file_of_a_run_that_goes_on_is_not_removed(tmp_path):
    with open_output(tmp_path / "one") as one:
        one.write(b"1")
        with open_output(tmp_path / "two") as two:
            two.write(b"2")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"one": b"1", "two": b"2"}


@pytest.mark.parametrize("name", ["one.part", ".one.part", ".one.0123456789abcdef.part", ".a.0123456789ABCDEF.fastiam.part"])
def test_file_of_another_program_is_not_removed(name, tmp_path):
    (tmp_path / name).touch()
    with open_output(tmp_path / "one") as file:
        file.write(b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["one", name])


def test_interrupt_of_a_write_leaves_the_old_file(tmp_path):
    (tmp_path / "out").write_text("old")
    with pytest.raises(KeyboardInterrupt), open_output(tmp_path / "out") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (tmp_path / "out").read_text() == "old"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_interrupt_that_duckdb_reports_exits_with_130(form, folder, monkeypatch, capfd):
    class Interrupted:
        def from_arrow(self, reader: object) -> Interrupted:
            return self

        def query(self, *_: str) -> None:
            raise RuntimeError("Query interrupted")

    monkeypatch.setattr(writers, "connect", Interrupted)
    assert run([*AUTHORIZE, "--out", f"out.{form}"]) == 130
    assert capfd.readouterr().err.strip() == "" and not Path(f"out.{form}").exists()


def test_error_of_duckdb_is_not_shown(folder, monkeypatch, capfd):
    class Broken:
        def from_arrow(self, reader: object) -> Broken:
            return self

        def query(self, *_: str) -> None:
            raise RuntimeError("INTERNAL Error: Attempted to access index 5 within vector of size 5")

    monkeypatch.setattr(writers, "connect", Broken)
    assert run([*AUTHORIZE, "--out", "out.csv"]) == 1
    assert capfd.readouterr().err == "error: out.csv: the results cannot be written as csv\nhelp: `--debug` shows the cause\n"


def test_name_as_long_as_the_file_system_takes_can_be_written(tmp_path):
    target = tmp_path / ("x" * 255)
    with open_output(target) as file:
        file.write(b"1")
    assert target.read_bytes() == b"1"


def test_loop_of_links_is_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SourceError, match=r"a: cannot be written: too many"), open_output(tmp_path / "a"):
        pass


# -- what comes through pipes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv", ".jsonl"])
def test_requests_come_through_a_fifo(suffix, folder):
    frame = pl.read_csv("r.csv")
    write = {".parquet": frame.write_parquet, ".arrow": frame.write_ipc, ".csv": frame.write_csv, ".jsonl": frame.write_ndjson}
    write[suffix](f"requests{suffix}")
    os.mkfifo("pipe")
    threading.Thread(target=lambda: Path("pipe").write_bytes(Path(f"requests{suffix}").read_bytes()), daemon=True).start()
    command = ["authorize", "--policies", "d.json", "--requests", "pipe", "--quiet", "--out", "out.csv"]
    assert run(command) == 0 and Path("out.csv").read_text().count("ALLOW") == 1


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_error_of_a_reader_is_not_shown(suffix, folder, capfd):
    assert run([*AUTHORIZE, "--out", f"requests{suffix}"]) == 0
    Path(f"cut{suffix}").write_bytes(Path(f"requests{suffix}").read_bytes()[:-20])
    assert run(["authorize", "--policies", "d.json", "--requests", f"cut{suffix}", "--out", "out.csv"]) == 1
    assert capfd.readouterr().err == f"error: cut{suffix}: the file is damaged or incomplete\nhelp: `--debug` shows the cause\n"
