"""`promise` of the kernels: a release build evaluates nothing for it (`fastiam.kernel.base.invariants`)."""

import ast
import re
from pathlib import Path

KERNEL = Path(__file__).resolve().parents[3] / "src" / "fastiam" / "kernel"
PROMISE = re.compile(r"^\s+promise\((.*)\)(?:  #.*|\s{3}#.*)?$", re.MULTILINE)
CAST = re.compile(r"<[\w* ]+>(?=[\w(])")


def _arguments() -> list[str]:
    """What each `promise` states, as Python reads it."""
    texts = [path.read_text() for path in [*KERNEL.rglob("*.pxd"), *KERNEL.rglob("*.pyx")]]
    return [CAST.sub("", found) for text in texts for found in PROMISE.findall(text)]


def _is_evaluated(argument: str) -> bool:
    """Whether the C code calls a function for it in every build: what branches becomes statements before the call."""
    nodes = list(ast.walk(ast.parse(argument, mode="eval")))
    branches = any(isinstance(node, (ast.BoolOp, ast.IfExp)) for node in nodes)
    return branches and any(isinstance(node, ast.Call) for node in nodes)


def test_promises_call_nothing_in_a_release_build():
    arguments = _arguments()
    assert len(arguments) > 20
    assert [argument for argument in arguments if _is_evaluated(argument)] == []


def test_a_branch_around_a_call_is_found():
    assert _is_evaluated("a == 1 or f(a)") and _is_evaluated("f(a) if b else 0")
    assert not _is_evaluated("f(a) == g(a)") and not _is_evaluated("a == NONE or a < n")
