"""Builds `native.c` on demand, with the compiler and flags that the package is built with, and lends its functions."""

from __future__ import annotations

import ctypes
import hashlib
import sys
from contextlib import chdir
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "native.c"
BUILD = HERE.parent / "build" / "bench"


def library() -> ctypes.CDLL:
    """The compiled functions; built anew where the source or the interpreter is another."""
    from distutils.ccompiler import new_compiler
    from distutils.sysconfig import customize_compiler

    import setuptools  # noqa: F401  (brings distutils)

    name = hashlib.sha256(SOURCE.read_bytes() + sys.version.encode()).hexdigest()[:16]
    built = BUILD / f"native-{name}.so"
    if not built.exists():
        compiler = new_compiler()
        customize_compiler(compiler)
        with chdir(HERE):  # it puts objects at the path of the source, below its output
            objects = compiler.compile([SOURCE.name], output_dir=str(BUILD), extra_preargs=["-O3"])
        compiler.link_shared_object(objects, str(built))
    found = ctypes.CDLL(str(built))
    found.hash_rows.restype = ctypes.c_uint64
    return found
