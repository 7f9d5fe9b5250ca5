"""Each template over random small organizations, against the decisions of all requests of their universe."""

from __future__ import annotations

from collections import Counter

import pytest
from seeds import seeds
from small_world_checks import check_templates

from fastiam.testing.templates import template_names

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", seeds(15, 3_000))
def test_no_request_contradicts_a_template(seed: int) -> None:
    counts: Counter[str] = Counter()
    check_templates(seed, template_names()[seed % 15 :: 15], counts)
    assert counts
