"""Import rules that import-linter cannot see: what the Cython files cimport, and what is imported within functions.

The contract for Python is in pyproject.toml.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import accumulate
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "fastiam"
# A kernel imports from its own folder and from folders to the left.
ORDER = "base columns model storage eval plan decide call batch _core saved testing fastiam.strict_json fastiam.server".split()
_IMPORT = re.compile(r"^\s*(?:from\s+fastiam\.([\w.]+)\s+c?import\s|c?import\s+fastiam\.([\w.]+))", re.M)


def imported(text: str) -> Iterator[str]:
    """The `fastiam` modules that a Cython file imports or cimports, below `fastiam`."""
    for match in _IMPORT.finditer(text):
        yield match[1] or match[2]


def folder_of(module: str) -> str:
    """The element of `ORDER` that a module belongs to, or its package if it is not a kernel."""
    first, *rest = module.split(".")
    return rest[0] if first == "kernel" and rest else first if first in ("_core", "kernel") else f"fastiam.{first}"


FILES = sorted(path for suffix in ("pyx", "pxd") for path in PACKAGE.rglob(f"*.{suffix}") if path.stem != "__init__")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def test_cython_file_imports_no_later_folder() -> None:
    assert FILES
    for path in FILES:
        own = ORDER.index(folder_of(module_of(path)))
        folders = {folder_of(module) for module in imported(path.read_text())}
        assert folders <= {*ORDER, "fastiam.errors", "fastiam.model"}, f"{path}: a kernel knows no policy documents"
        assert {folder for folder in folders & {*ORDER} if ORDER.index(folder) > own} == set(), path


def test_imported_finds_all_forms() -> None:
    text = "from fastiam.kernel.eval.glob cimport match\ncimport fastiam.kernel.base.utf8\n"
    text += "    from fastiam.errors import LimitError\n"
    assert [*imported(text)] == ["kernel.eval.glob", "kernel.base.utf8", "errors"]


@pytest.mark.parametrize("package", ["errors.py", "runtime", "model", "policy", "spec"])
def test_package_below_the_kernels_imports_none(package: str) -> None:
    """Compiled modules are invisible to import-linter."""
    place = PACKAGE / package
    for path in [place] if place.is_file() else place.rglob("*.py"):
        modules = re.findall(r"^\s*(?:from|import) fastiam\.(\w+)", path.read_text(), re.M)
        assert not {"kernel", "_core"} & {*modules}, path


def kinds_in(node: ast.AST) -> int:
    """How many members of `PrincipalKind` a tuple, set or list names."""
    elements = node.elts if isinstance(node, (ast.Tuple, ast.Set, ast.List)) else []
    owners = [each.value for each in elements if isinstance(each, ast.Attribute)]
    return sum(isinstance(owner, ast.Name) and owner.id == "PrincipalKind" for owner in owners)


def test_tables_of_principal_kinds_are_only_in_the_model() -> None:
    """The specification evaluator has its own, because it judges the others."""
    own = {PACKAGE / "model" / "profile.py", *(PACKAGE / "spec").rglob("*.py")}
    texts = {path: path.read_text() for path in set(PACKAGE.rglob("*.py")) - own}
    trees = {path: ast.parse(text) for path, text in texts.items() if "PrincipalKind." in text}
    assert [f"{path.name}:{node.lineno}" for path, tree in trees.items() for node in ast.walk(tree) if kinds_in(node) > 1] == []
    assert any(kinds_in(node) > 1 for node in ast.walk(ast.parse((PACKAGE / "model" / "profile.py").read_text())))


def test_analyses_use_no_private_member_of_another_object() -> None:
    """What an analysis needs of an engine or of its result is in a protocol or public."""
    found = []
    for path in (PACKAGE / "analysis").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                found += [f"{path.name}:{node.lineno}: {node.attr}"] if owner not in ("self", "cls", "other") else []
    assert found == []


def python_imports(node: ast.AST, *, within: bool = False) -> Iterator[tuple[str, bool]]:
    """The names that a module imports, each as a whole path, and whether it does so within a function. Not for types alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            yield from ((f"{child.module}.{alias.name}", within) for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from ((alias.name, within) for alias in child.names)
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from python_imports(child, within=within or is_function)


def prefixes(name: str) -> list[str]:
    """A name and the packages that it is in, the longest first."""
    return [*accumulate(name.split("."), "{}.{}".format)][::-1]


def modules_and_imports() -> dict[str, dict[bool, set[str]]]:
    """What each module imports: False for when it is imported, True for later, within functions."""
    names = {f"fastiam.{module_of(path)}".removesuffix(".__init__"): path for path in PACKAGE.rglob("*.py")}
    found: dict[str, dict[bool, set[str]]] = {name: {False: set(), True: set()} for name in names}
    for name, path in names.items():
        for whole, within in python_imports(ast.parse(path.read_text())):
            module = next((prefix for prefix in prefixes(whole) if prefix in names), name)
            if module != name:
                found[name][within].add(module)
    return found


def packages_of(name: str) -> set[str]:
    """The packages that a module is in, below `fastiam`: they are loaded before it."""
    return {prefix for prefix in prefixes(name) if prefix not in (name, "fastiam")}


def loaded_with(name: str, imports: dict[str, dict[bool, set[str]]]) -> set[str]:
    """All modules that are loaded when a module is."""
    found: set[str] = set()
    wanted = {name}
    while wanted:
        one = wanted.pop()
        found.add(one)
        wanted |= (imports[one][False] | (packages_of(one) & imports.keys())) - found
    return found


def test_no_modules_import_each_other_even_within_functions() -> None:
    imports = modules_and_imports()
    needed = {name: of[False] | of[True] for name, of in imports.items()}
    for name, modules in needed.items():
        modules |= {package for module in modules for package in packages_of(module)} - packages_of(name) - {name}
    order = [*TopologicalSorter(needed).static_order()]  # raises for a cycle
    assert order.index("fastiam.analysis.proof.layer_proofs") < order.index("fastiam.analysis.access.affected_requests")


def test_import_within_a_function_is_of_an_unloaded_module() -> None:
    """It saves the time of the import; otherwise it belongs to the top of the file."""
    imports = modules_and_imports()
    loaded = {name: loaded_with(name, imports) for name, of in imports.items() if of[True]}
    needless = {
        (name, module) for name in loaded for module in imports[name][True] - imports[name][False] if module in loaded[name]
    }
    assert needless == set()
    assert ("fastiam.analysis.access.diff", "fastiam.analysis.access.log_diff") in {
        (name, module) for name in loaded for module in imports[name][True]
    }


def test_no_three_modules_have_one_name() -> None:
    """A name in a traceback or a tab of an editor says which module it is."""
    modules = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx")}
    names = Counter(module.name for module in modules if module.name != "__init__")
    assert {name for name, n in names.items() if n > 2} == set()
