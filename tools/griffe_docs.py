"""What the API pages need beyond what griffe reads: an extension for mkdocstrings.

- The docstring of a compiled function is in its `.pyx`; its stub has the signature alone.
- Names that share one description (`unknown, now`) have a type each, from the signature.
- `LiveEngine` and `SharedEngine` pass calls on to an engine: these entries refer to the method of `Engine`.
"""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import griffe

PASSED_ON = re.compile(r"(?:_of_engine\()?Engine\.(\w+)\)?")


class Docs(griffe.Extension):
    """Completes functions and attributes when their package is loaded."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        if func.docstring is None:
            text = compiled_docstring(func)
            func.docstring = griffe.Docstring(text, parent=func, parser="numpy") if text else None
        if func.docstring is not None:
            add_types(func, func.docstring)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        if cls.docstring is not None and "__init__" in cls.members:
            add_types(cls, cls.docstring)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        method = PASSED_ON.fullmatch(str(attr.value))
        if method and attr.docstring is None and attr.parent is not None and attr.parent.is_class:
            attr.docstring = griffe.Docstring(f"As `Engine.{method[1]}`, by the current engine.", parent=attr)


def compiled_docstring(func: griffe.Function) -> str:
    """Return the docstring of a function of a stub, from the `.pyx` beside it; "" if there is none."""
    source = func.filepath.with_suffix(".pyx") if isinstance(func.filepath, Path) else None
    if source is None or func.filepath.suffix != ".pyi" or not source.exists():
        return ""
    found = re.search(rf'^ *c?p?def {func.name}\([^\n]*\n( *)"""(.*?)"""', source.read_text(), re.DOTALL | re.MULTILINE)
    return dedent(found[1] + found[2]).strip() if found else ""


def add_types(owner: griffe.Function | griffe.Class, docstring: griffe.Docstring) -> None:
    """Give each described parameter the type that the signature says."""
    options = {"warnings": False}
    docstring.parser, docstring.parser_options = griffe.Parser.numpy, options
    for section in docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.parameters:
            for parameter in section.value:
                if parameter.name in owner.parameters:
                    parameter.annotation = owner.parameters[parameter.name].annotation
