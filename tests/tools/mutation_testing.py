"""Plant each fault of `mutations.json` in a copy of the package; a short fuzz run, or the named test, must find it.

`python tests/tools/mutation_testing.py [--count 20000] [--only WORD] [--part 2/4]`. The copy without a fault must pass first,
or the result is meaningless. A crash or a timeout counts as found; a fault that does not build is an error of the list.
The exit code is 1 if a fault was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutations.json")
# changes of the copy: fast builds, and caches that are enabled with few principals
CHANGED = (
    ("setup.py", '"-O3"', '"-O0"'),
    ("src/fastiam/kernel/call/pair_cache.pxd", "MANY_PRINCIPALS = 8192", "MANY_PRINCIPALS = 0"),
)
COPIED = ("src", "tests", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE")
CYTHON = (".pyx", ".pxd")
TOO_LONG = 300  # seconds; a sound run takes a twentieth


def load_mutations(path: Path = LIST) -> list[dict[str, str]]:
    return list(json.loads(path.read_text())["mutations"])


def copy_package(folder: Path) -> None:
    """Copy the sources, with changes that make them build fast."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "found", "*.so"))
        elif source.exists():
            shutil.copy2(source, folder / name)
    for name, old, new in CHANGED:
        path = folder / name
        path.write_text(planted({"file": name, "old": old, "new": new}, path.read_text()))


def build(folder: Path) -> None:
    run = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--parallel=1"], cwd=folder, capture_output=True, text=True
    )
    if run.returncode:
        raise SystemExit(f"does not build:\n{run.stderr[-3000:]}")


def search(folder: Path, mutation: Mapping[str, str], count: int) -> tuple[int, str]:
    """The exit code of what has to find a fault, run over the copy, and its last line."""
    command = ["tests/tools/fuzz.py", "--count", str(count), "--stop-at", "1", "--bare"]
    if "test" in mutation:
        command = ["-m", "pytest", "-qx", "-p", "no:cacheprovider", mutation["test"]]
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        result = subprocess.run(
            [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=TOO_LONG
        )
    except subprocess.TimeoutExpired:
        return 1, "does not come to an end"
    return result.returncode, (result.stdout + result.stderr).strip().rpartition("\n")[2]


def planted(mutation: Mapping[str, str], text: str) -> str:
    """The text of a file with the fault in it."""
    if text.count(mutation["old"]) != 1:
        raise SystemExit(f"`{mutation['old']}` occurs {text.count(mutation['old'])} times in {mutation['file']}")
    return text.replace(mutation["old"], mutation["new"])


def is_found(folder: Path, mutation: Mapping[str, str], count: int) -> bool:
    path = folder / mutation["file"]
    sound = path.read_text()
    path.write_text(planted(mutation, sound))
    try:
        if path.suffix in CYTHON:
            build(folder)
        began = time.monotonic()
        code, last = search(folder, mutation, count)
    finally:
        path.write_text(sound)
    print(f"{'found ' if code else 'MISSED'} {mutation['why']} ({time.monotonic() - began:.0f} s) {last}", flush=True)
    return code != 0


def part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    return int(number), int(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="comparisons per fault")
    parser.add_argument("--list", type=Path, default=LIST, help="the file of faults")
    parser.add_argument("--only", default="", help="plant only faults whose description holds this")
    parser.add_argument("--part", type=part, default=(1, 1), help="the second of four parts of the list: 2/4")
    options = parser.parse_args()
    number, parts = options.part
    chosen = [m for m in load_mutations(options.list) if options.only in m["why"] + m["file"]][number - 1 :: parts]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_package(folder)
        build(folder)
        for sound in {m.get("test"): m for m in chosen}.values():
            code, last = search(folder, sound, options.count)
            if code:
                raise SystemExit(f"something is found without any fault, by {sound.get('test', 'the fuzz')}: {last}")
        missed = [m for m in chosen if not is_found(folder, m, options.count)]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} planted faults found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
