"""Plant each fault of `mutations.json` in a copy of the package; a short fuzz run, or the named test, must find it.

`python tests/tools/mutation_testing.py [--count 100000] [--only WORD] [--part 2/4]`. The copy is built once, with all faults of
compiled files in it; the environment variable PLANTED enables one of them by its number. The copy without a fault must pass, or
the result is meaningless. A crash or an endless run counts as found. The exit code is 1 if a fault was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutations.json")
# changes of the copy: a faster build, and caches that are enabled with few principals
CHANGED = (
    ("setup.py", '"-O3"', '"-O1"'),
    ("src/fastiam/kernel/call/pair_cache.pxd", "MIN_PAIR_CACHE_PRINCIPALS = 8192", "MIN_PAIR_CACHE_PRINCIPALS = 0"),
)
# tests that the second change makes fail
DESELECTED = (
    "tests/kernel/test_pair_cache.py::test_pair_cache_few_principals_stays_empty",
    "tests/engine/test_memory.py::test_context_values_are_not_cached",
    "tests/engine/test_engine_file.py::test_loaded_engine_adds_and_drops_run_time_entries",
)
COPIED = ("src", "tests", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "NOTICE")
CYTHON = (".pyx", ".pxd")
MAX_SECONDS = 900  # of processor time; a sound run takes a tenth to a fifth

# what declares PLANTED to a compiled file, at its end
DECLARED = '''

cdef extern from *:
    """
    #ifndef PLANTED
    #include <stdlib.h>
    static int planted_fault;
    __attribute__((constructor)) static void read_planted(void) {
        const char *number = getenv("PLANTED");
        planted_fault = number == NULL ? 0 : atoi(number);
    }
    #define PLANTED planted_fault
    #endif
    """
    int PLANTED
'''
CONDITION = re.compile(r"(\s*(?:if|elif|while) )(.*)(:)", re.S)
VALUE = re.compile(r"(\s*(?:for \w+ in range\(|cdef [^=]* = ))(.*?)(\):|(?:, \w+(?: = .*)?)*)", re.S)
TEXT_OR_COMMENT = re.compile(r'""".*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(?P<comment>\s*#[^\n]*)', re.S)


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


def search(folder: Path, test: str | None, count: int, number: int = 0) -> tuple[int, str]:
    """The exit code of what has to find a fault, run over the copy, and its last line."""
    command = ["tests/tools/fuzz.py", "--count", str(count), "--stop-at", "1", "--bare"]
    if test is not None:
        command = ["-m", "pytest", "-qx", "-p", "no:cacheprovider", *(f"--deselect={name}" for name in DESELECTED), test]
    settings = {"PYTHONDONTWRITEBYTECODE": "1", "FASTIAM_ALL_SEEDS": "1", "PLANTED": str(number)}
    environment = os.environ | settings | {"PYTHONPATH": str(folder / "src")}
    result = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    return result.returncode, (result.stdout + result.stderr).strip().rpartition("\n")[2]


def planted(mutation: Mapping[str, str], text: str) -> str:
    """The text of a file with the fault in it."""
    if text.count(mutation["old"]) != 1:
        raise SystemExit(f"`{mutation['old']}` occurs {text.count(mutation['old'])} times in {mutation['file']}")
    return text.replace(mutation["old"], mutation["new"])


def planted_by_number(mutations: Mapping[int, Mapping[str, str]], text: str) -> str:
    """The text of a compiled file with all of its faults. PLANTED enables one of them."""
    lines = list(logical_lines(text))
    changed: dict[int, dict[int, str]] = {}
    for number, mutation in mutations.items():
        planted(mutation, text)
        [at] = (i for i, line in enumerate(lines) if mutation["old"] in line)
        changed.setdefault(at, {})[number] = planted(mutation, lines[at])
    return "\n".join(with_variants(line, changed[i]) if i in changed else line for i, line in enumerate(lines)) + DECLARED


def logical_lines(text: str) -> Iterator[str]:
    """The lines of a file; those of one pair of brackets are one line."""
    bare = TEXT_OR_COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
    depth, whole = 0, list[str]()
    for line, code in zip(text.split("\n"), bare.split("\n"), strict=True):
        whole.append(line)
        depth += len(re.findall(r"[(\[{]", code)) - len(re.findall(r"[)\]}]", code))
        if depth == 0:
            yield "\n".join(whole)
            whole = []


def with_variants(line: str, variants: Mapping[int, str]) -> str:
    """A line that is one of its variants if PLANTED has the number of that."""
    sound, *faulty = (
        TEXT_OR_COMMENT.sub(lambda found: "" if found["comment"] else found[0], one) for one in (line, *variants.values())
    )
    indent = line[: len(line) - len(line.lstrip())]
    if not (found := CONDITION.fullmatch(sound) or VALUE.fullmatch(sound)):
        branches = (f"if PLANTED == {n}:\n    {one}\n{indent}el" for n, one in zip(variants, faulty, strict=True))
        return f"{indent}{''.join(branches)}se:\n    {sound}"
    begin, expression, end = found.groups()
    changed = [(n, one.removeprefix(begin).removesuffix(end)) for n, one in zip(variants, faulty, strict=True)]
    if found.re is VALUE:
        return f"{begin}({''.join(f'({one}) if PLANTED == {n} else ' for n, one in changed)}({expression})){end}"
    # not an `if` expression: Cython makes an object of one whose parts have different types
    others = " and ".join(f"PLANTED != {n}" for n in variants)
    return f"{begin}{''.join(f'(PLANTED == {n} and ({one})) or ' for n, one in changed)}({others} and ({expression})){end}"


def plant_compiled(folder: Path, mutations: Sequence[Mapping[str, str]]) -> None:
    """Write the faults of all compiled files into the copy; the number of a fault is its place in the list, from 1."""
    for name in sorted({m["file"] for m in mutations if m["file"].endswith(CYTHON)}):
        path = folder / name
        chosen = {number: m for number, m in enumerate(mutations, 1) if m["file"] == name}
        path.write_text(planted_by_number(chosen, path.read_text()))


def is_found(folder: Path, number: int, mutation: Mapping[str, str], count: int) -> bool:
    path = folder / mutation["file"]
    sound = path.read_text()
    if path.suffix not in CYTHON:
        path.write_text(planted(mutation, sound))
    began = time.monotonic()
    try:
        code, last = search(folder, mutation.get("test"), count, number)
    finally:
        path.write_text(sound)
    print(f"{'found ' if code else 'MISSED'} {mutation['why']} ({time.monotonic() - began:.0f} s) {last}", flush=True)
    return code != 0


def part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    return int(number), int(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="comparisons per fault")
    parser.add_argument("--list", type=Path, default=LIST, help="the file of faults")
    parser.add_argument("--only", default="", help="plant only faults whose description holds this")
    parser.add_argument("--part", type=part, default=(1, 1), help="the second of four parts of the list: 2/4")
    options = parser.parse_args()
    number, parts = options.part
    chosen = [m for m in load_mutations(options.list) if options.only in m["why"] + m["file"]][number - 1 :: parts]
    random.Random(0).shuffle(chosen)  # a run that is ended early has drawn a sample
    chosen.sort(key=lambda m: m["file"].endswith(CYTHON))
    missed, sound = [], set[str | None]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_package(folder)
        plant_compiled(folder, chosen)
        build(folder)
        resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))  # of this process, and of each that it starts
        for number, mutation in enumerate(chosen, 1):
            test = mutation.get("test")
            if test not in sound and (run := search(folder, test, options.count))[0]:
                raise SystemExit(f"something is found without any fault, by {test or 'the fuzz'}: {run[1]}")
            sound.add(test)
            if not is_found(folder, number, mutation, options.count):
                missed.append(mutation)
    print(f"{len(chosen) - len(missed)} of {len(chosen)} planted faults found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
