"""The list of planted faults is in order; `make mutate` checks that the tests find them."""

from __future__ import annotations

import pytest
from mutation_testing import ROOT, load_mutations, planted

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


def test_mutation_of_ambiguous_text_is_refused():
    with pytest.raises(SystemExit, match="occurs 2 times"):
        planted({"file": "x", "old": "a", "new": "b"}, "a a")


def test_mutations_are_at_least_thirty_and_distinct():
    if not MUTATIONS:
        pytest.skip("the list is written with the engine")
    assert len(MUTATIONS) >= 30
    assert len({(m["file"], m["old"], m["new"]) for m in MUTATIONS}) == len(MUTATIONS)
