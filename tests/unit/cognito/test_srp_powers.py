"""Tests of user pools compute powers by a table: they are those of `pow`."""

from __future__ import annotations

import hashlib

import pytest
from srp_powers import EXPONENT_BITS, power

from fastiam.cognito.user_pools import srp

LARGEST = (1 << EXPONENT_BITS) - 1
HASHES = [int.from_bytes(hashlib.sha256(bytes([n])).digest()) for n in range(20)]


@pytest.mark.parametrize("exponent", [0, 1, 63, 64, LARGEST, LARGEST + 1, *HASHES])
def test_power_by_the_table_equals_pow(exponent: int) -> None:
    assert power(srp.G, exponent, srp.N) == pow(srp.G, exponent, srp.N)


def test_power_of_another_base_or_modulus_equals_pow() -> None:
    for base, modulus in ((3, srp.N), (srp.G, srp.N - 2)):
        assert power(base, HASHES[0], modulus) == pow(base, HASHES[0], modulus)
