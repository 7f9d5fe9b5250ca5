"""The list of planted faults is in order; `make mutate` checks that the tests find them."""

from __future__ import annotations

import re

import pytest
from mutation_testing import CYTHON, ROOT, load_mutations, planted, planted_by_number

MUTATIONS = load_mutations()


@pytest.mark.parametrize("file", sorted({mutation["file"] for mutation in MUTATIONS}))
def test_mutations_of_a_file_apply_to_it(file):
    assert file.startswith("src/fastiam/") and "/reference/" not in file
    text = (ROOT / file).read_text()
    for mutation in MUTATIONS:
        if mutation["file"] != file:
            continue
        assert "\n" not in mutation["old"] and mutation["new"] != mutation["old"], mutation["why"]
        assert planted(mutation, text) != text, mutation["why"]
        assert "test" not in mutation or (ROOT / mutation["test"]).is_file(), mutation["why"]


@pytest.mark.parametrize("name", sorted({m["file"] for m in MUTATIONS if m["file"].endswith(CYTHON)}))
def test_each_mutation_of_a_compiled_file_has_its_number(name):
    numbered = {number: mutation for number, mutation in enumerate(MUTATIONS, 1) if mutation["file"] == name}
    text = planted_by_number(numbered, (ROOT / name).read_text())
    assert {int(n) for n in re.findall(r"PLANTED == (\d+)", text)} == set(numbered)


def test_mutations_of_a_compiled_file_are_planted_side_by_side():
    sound = """\
cdef int limit(int n):
    cdef int most = f(n), least
    if n > most and (
        n < 9  # digits
    ):
        n = most
    return n"""
    faults = [
        {"file": "x", "old": "f(n)", "new": "n"},
        {"file": "x", "old": "n > most and ", "new": ""},
        {"file": "x", "old": "n < 9", "new": "n < 8"},
        {"file": "x", "old": "n = most", "new": "pass"},
    ]
    text = planted_by_number(dict(enumerate(faults, 1)), sound)
    assert text.startswith("""\
cdef int limit(int n):
    cdef int most = ((n) if PLANTED == 1 else (f(n))), least
    if (PLANTED == 2 and ((
        n < 9
    ))) or (PLANTED == 3 and (n > most and (
        n < 8
    ))) or (PLANTED != 2 and PLANTED != 3 and (n > most and (
        n < 9
    ))):
        if PLANTED == 4:
            pass
        else:
            n = most
    return n

cdef extern""")


def test_mutation_of_ambiguous_text_is_refused():
    with pytest.raises(SystemExit, match="occurs 2 times"):
        planted({"file": "x", "old": "a", "new": "b"}, "a a")


def test_mutations_are_at_least_thirty_and_distinct():
    if not MUTATIONS:
        pytest.skip("the list is written with the engine")
    assert len(MUTATIONS) >= 30
    assert len({(m["file"], m["old"], m["new"]) for m in MUTATIONS}) == len(MUTATIONS)
