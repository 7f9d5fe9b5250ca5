"""Build of the compiled modules of fastiam. All other settings are in pyproject.toml.

Modes, from the environment:

    FASTIAM_CHECKS=1        bounds checks and `INVARIANT` asserts, -O1 -g1
    FASTIAM_SANITIZE=asan   the same under AddressSanitizer and UBSan

Each mode builds in a directory of its own, so that objects of two modes never mix.
"""

import multiprocessing
import os
import threading
import time
import zlib
from pathlib import Path

import arx_nanoarrow_sources
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# PERF: the slowest modules come first, so that two cores finish at the same time.
MODULES = """
    _core kernel.plan.tables kernel.columns.read kernel.saved.file kernel.testing
    kernel.plan.names kernel.storage.vectors kernel.columns.table
    kernel.eval.pattern_sets kernel.eval.search kernel.call.context_values
    server._plain_batch server._scan server._log_lines server._json_lines strict_json._checker
""".split()

# The id of the layout of the tables. A build reads only engine files with its own id.
LAYOUT_SOURCES = sorted(Path("src/fastiam/kernel/model").glob("*.pxd"))
TYPES = f"{zlib.crc32(b''.join(path.read_bytes() for path in LAYOUT_SOURCES)):08x}"

SANITIZE = os.environ.get("FASTIAM_SANITIZE", "")
CHECKS = os.environ.get("FASTIAM_CHECKS", "") == "1" or SANITIZE == "asan"
MODE = "asan" if SANITIZE == "asan" else "checks" if CHECKS else "release"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKS,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": CHECKS,
    "freethreading_compatible": False,  # the tables are guarded by the GIL (docs/design.md, "Limits")
    "auto_pickle": False,
    "autotestdict": False,
    "binding": True,
    "embedsignature": False,
}

COMPILE = {
    "release": ["-O3", "-g0"],  # the linker strips it
    "checks": ["-O1", "-g1", "-UNDEBUG", "-DFASTIAM_CHECKS"],
    "asan": [
        "-O1",
        "-g",
        "-UNDEBUG",
        "-DFASTIAM_CHECKS",
        "-fsanitize=address,undefined",
        "-fno-wrapv",
        "-fno-omit-frame-pointer",
    ],
}
LINK = {"release": ["-Wl,-s"], "checks": [], "asan": ["-fsanitize=address,undefined"]}


def extension(name: str) -> Extension:
    """One module of the package. nanoarrow's single C file is included by `kernel/columns/nanoarrow.pxd`, not linked."""
    sources = Path(arx_nanoarrow_sources.get_source_dir())
    return Extension(
        f"fastiam.{name}",
        ["src/fastiam/" + name.replace(".", "/") + ".pyx"],
        include_dirs=[str(arx_nanoarrow_sources.get_include_dir()), str(sources), numpy.get_include()],
        define_macros=[
            ("NANOARROW_NAMESPACE", "FastIam"),
            ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
            ("FASTIAM_TYPES", f'"{TYPES}"'),
        ],
        extra_compile_args=COMPILE[MODE],
        extra_link_args=LINK[MODE],
    )


class BuildExt(build_ext):
    """Prints each module that was compiled: all of them take minutes, and the build should not seem to hang."""

    n_done, lock = 0, threading.Lock()

    def run(self) -> None:
        if not self.inplace and not self.editable_mode:  # a wheel has no functions that only tests call
            self.extensions = [each for each in self.extensions if each.name != "fastiam.kernel.testing"]
        super().run()

    def build_extension(self, ext: Extension) -> None:
        began = time.monotonic()
        super().build_extension(ext)
        seconds = time.monotonic() - began
        with self.lock:
            self.n_done += 1
            if seconds >= 1:
                print(f"compiled {self.n_done} of {len(self.extensions)}: {ext.name} ({seconds:.0f} s)", flush=True)


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        [extension(name) for name in MODULES],
        build_dir=f"build/{MODE}/cython",
        include_path=["src"],
        compiler_directives=DIRECTIVES,
        nthreads=2 if multiprocessing.get_start_method() == "fork" else 0,  # a spawned one would run this file again
    ),
    options={"build": {"build_base": f"build/{MODE}"}, "build_ext": {"parallel": 2}},
)
