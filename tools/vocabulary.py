#!/usr/bin/env python3
"""Report words that the project does not use, with the standard term to use (vocabulary.txt, docs/glossary.md).

    vocabulary.py [--root DIR] [--list FILE] [PATH...]     prints `file:line: word -> suggestion`; exit 1 if there is any
    vocabulary.py --summary                                counts per rule, most frequent first
    vocabulary.py --by-file                                counts per file, most frequent first
    vocabulary.py --changed REV                            only lines that differ from a git revision
    vocabulary.py --at-most N KERNEL                       exit 1 above: outside the kernel, and in it; for `make lint`

Standard library only. Code is read as identifiers (split into words), comments, docstrings and messages; Markdown as prose, with
its code blocks as identifiers; `tests/cases/*.json` by their `why`. File names are checked like identifiers.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CODE = {".py", ".pyi", ".pyx", ".pxd"}
KERNEL = {".pyx", ".pxd"}
TEXT = {".md", ".toml", ".cfg", ".json", ".h", ".c"}
SKIPPED_FOLDERS = {".git", "build", "site", "dist", "__pycache__", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
SCOPES = ("any", "ident", "prose", "kernel")

_TOKEN = re.compile(
    r"(?P<doc>[rbfuRBFU]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''))"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<string>[rbfuRBFU]{0,2}(?:\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))"
    r"|(?P<ident>[A-Za-z_][A-Za-z0-9_]*)",
    re.S,
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_WHY = re.compile(r'"why"\s*:\s*"((?:\\.|[^"\\])*)"')
_CODE_SPAN = re.compile(r"`[^`]*`")


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    text: str
    suggestion: str
    scope: str


class Piece(NamedTuple):
    line: int
    kind: str  # "ident" or "prose"
    text: str  # what is matched
    shown: str  # what is printed around a hit


class Hit(NamedTuple):
    path: str
    line: int
    word: str
    rule: Rule


def read_rules(path: Path) -> tuple[list[Rule], list[tuple[str, str]]]:
    rules: list[Rule] = []
    exceptions: list[tuple[str, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        if cells[0] == "!":
            if len(cells) < 3:
                raise SystemExit(f"{path}:{number}: an exception is `!<TAB>path glob<TAB>regex or *`")
            exceptions.append((cells[1], cells[2]))
            continue
        scope = cells[2] if len(cells) > 2 else "any"
        if len(cells) < 2 or scope not in SCOPES:
            raise SystemExit(f"{path}:{number}: a rule is `regex<TAB>use instead[<TAB>scope]`")
        try:
            rules.append(Rule(re.compile(cells[0], re.I), cells[0], cells[1], scope))
        except re.error as error:
            raise SystemExit(f"{path}:{number}: {error}") from None
    return rules, exceptions


def split_identifier(name: str) -> str:
    """`told_place` and `ToldPlace` as `told place`."""
    return " ".join(_WORDS.findall(name)).lower()


def code_pieces(text: str) -> Iterator[Piece]:
    line, end = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", end, match.start())
        end = match.start()
        kind, token = match.lastgroup, match.group()
        if kind == "ident":
            yield Piece(line, "ident", split_identifier(token), token)
        elif kind == "doc" or kind == "comment":
            for offset, part in enumerate(token.split("\n")):
                yield Piece(line + offset, "prose", _CODE_SPAN.sub("``", part), "")
        elif " " in token:  # a message; strings without a space are data
            yield Piece(line, "prose", _CODE_SPAN.sub("``", token), "")


def prose_pieces(text: str) -> Iterator[Piece]:
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            for name in re.findall(r"[A-Za-z_]\w*", line.split("#")[0]):
                yield Piece(number, "ident", split_identifier(name), name)
            if "#" in line:
                yield Piece(number, "prose", line.split("#", 1)[1], "")
        else:
            yield Piece(number, "prose", _CODE_SPAN.sub("``", line), "")


def json_pieces(text: str) -> Iterator[Piece]:
    for match in _WHY.finditer(text):
        yield Piece(text.count("\n", 0, match.start()) + 1, "prose", match.group(1), "")


def pieces_of(path: Path, text: str) -> Iterator[Piece]:
    if path.suffix in CODE:
        return code_pieces(text)
    if path.suffix == ".md":
        return prose_pieces(text)
    return json_pieces(text) if path.suffix == ".json" else iter(())


def hits_in(path: Path, shown: str, rules: list[Rule], allowed: list[re.Pattern[str]]) -> Iterator[Hit]:
    text = path.read_text(encoding="utf-8", errors="replace")
    is_kernel = path.suffix in KERNEL
    prefilter = {
        kind: [
            rule for rule in rules if rule.scope in ("any", kind) or (rule.scope == "kernel" and kind == "ident" and is_kernel)
        ]
        for kind in ("ident", "prose")
    }
    joined = {kind: re.compile("|".join(f"(?:{r.text})" for r in some) or r"(?!)", re.I) for kind, some in prefilter.items()}
    name = Piece(0, "ident", split_identifier(path.stem), path.name)
    for piece in [name, *pieces_of(path, text)]:
        if not joined[piece.kind].search(piece.text):
            continue
        taken: list[tuple[int, int]] = []  # the first rule that matches a place has it
        spared = [m.span() for pattern in allowed for m in pattern.finditer(piece.text)]
        for rule in prefilter[piece.kind]:
            for match in rule.pattern.finditer(piece.text):
                a, b = match.span()
                if any(a < d and c < b for c, d in taken) or any(c <= a and b <= d for c, d in spared):
                    continue
                taken.append((a, b))
                word = match.group() if piece.kind == "prose" else f"{piece.shown} ({match.group()})"
                yield Hit(shown, piece.line, word.strip(), rule)


def is_skipped(path: Path) -> bool:
    return any(part in SKIPPED_FOLDERS or part.startswith(".venv") for part in path.parts)


def is_in_kernel(shown: str) -> bool:
    """Whether a file is part of the kernel, which is to be rebuilt with new names."""
    return shown.startswith("src/fastiam/kernel/") or Path(shown).suffix in KERNEL


def files_under(root: Path, paths: list[Path]) -> Iterator[Path]:
    for start in paths or [root]:
        if start.is_file():
            yield start
            continue
        for path in sorted(start.rglob("*")):
            if path.suffix in CODE | TEXT and path.is_file() and not is_skipped(path.relative_to(root)):
                yield path


def changed_lines(root: Path, revision: str) -> dict[str, set[int]]:
    diff = subprocess.run(["git", "-C", str(root), "diff", "-U0", revision], capture_output=True, text=True, check=True).stdout
    found: dict[str, set[int]] = {}
    current: set[int] = set()
    for line in diff.splitlines():
        if line.startswith("+++ "):
            current = found.setdefault(line[6:], set())
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, n = int(match[1]), int(match[2] or 1)
            current.update(range(first, first + n))
    return found


def main() -> int:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the tree; paths in exceptions are relative to it")
    parser.add_argument("--list", type=Path, default=here / "vocabulary.txt")
    parser.add_argument("--summary", action="store_true", help="counts per rule")
    parser.add_argument("--by-file", action="store_true", help="counts per file")
    parser.add_argument("--changed", metavar="REV", help="only lines that differ from REV")
    parser.add_argument(
        "--at-most",
        metavar=("N", "KERNEL"),
        nargs=2,
        type=int,
        help="print the numbers outside the kernel and in it; exit 1 above",
    )
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    rules, exceptions = read_rules(arguments.list)
    only = None if arguments.changed is None else changed_lines(root, arguments.changed)
    per_rule: Counter[Rule] = Counter()
    split: dict[Rule, Counter[str]] = {}
    per_file: Counter[str] = Counter()
    for path in files_under(root, [each.resolve() for each in arguments.paths]):
        shown = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
        mine = [text for glob, text in exceptions if fnmatch.fnmatch(shown, glob)]
        if "*" in mine or (only is not None and shown not in only):
            continue
        for hit in hits_in(path, shown, rules, [re.compile(text, re.I) for text in mine]):
            if only is not None and hit.line not in only[shown]:
                continue
            per_rule[hit.rule] += 1
            per_file[hit.path] += 1
            split.setdefault(hit.rule, Counter())[hit.path.split("/")[0]] += 1
            if not (arguments.summary or arguments.by_file or arguments.at_most is not None):
                print(f"{hit.path}:{hit.line}: {hit.word} -> {hit.rule.suggestion}")
    if arguments.by_file:
        for name, n in per_file.most_common():
            print(f"{n:6d}  {name}")
    if arguments.summary:
        for rule, n in per_rule.most_common():
            where = " ".join(f"{top}:{k}" for top, k in split[rule].most_common(4))
            print(f"{n:6d}  {rule.text}  ->  {rule.suggestion}   [{where}]")
        clean = [rule.text for rule in rules if rule not in per_rule]
        print(f"{sum(per_rule.values()):6d}  in all, {len(per_file)} files; rules without a hit: {len(clean)}")
    if arguments.at_most is None:
        return 1 if per_rule else 0
    max_outside, max_in_kernel = arguments.at_most
    n_in_kernel = sum(n for name, n in per_file.items() if is_in_kernel(name))
    n_outside = sum(per_file.values()) - n_in_kernel
    print(f"{n_outside} words to replace (tools/vocabulary.txt), at most {max_outside}", end="; ")
    print(f"in the kernel {n_in_kernel}, at most {max_in_kernel}")
    if n_outside <= max_outside and n_in_kernel <= max_in_kernel:
        return 0
    print("see them with: python tools/vocabulary.py --changed main")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        sys.exit(1)
