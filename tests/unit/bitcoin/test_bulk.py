"""Column-wise address text equals the reference encoder's."""

from __future__ import annotations

import random

import pytest
from embit import bech32 as embit_bech32

from bursar.bitcoin.bulk import segwit_addresses
from bursar.crypto import bech32


@pytest.mark.parametrize(
    ("hrp", "version", "size"),
    [("bc", 0, 20), ("tb", 0, 32), ("bcrt", 1, 32), ("bc", 1, 2), ("bc", 16, 40), ("tb", 2, 33), ("bc", 3, 3)],
)
@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_bulk_text_is_the_reference_text(hrp: str, version: int, size: int, count: int) -> None:
    rng = random.Random(count * size)
    programs = [rng.randbytes(size) for _ in range(count)]
    expected = [embit_bech32.encode(hrp, version, program) for program in programs]
    assert segwit_addresses(hrp, version, programs) == expected
    assert [bech32.encode(hrp, version, program) for program in programs] == expected


def test_chunks_join_without_a_seam() -> None:
    programs = [number.to_bytes(20, "big") for number in range(5000)]
    texts = segwit_addresses("bc", 0, programs)
    for place in (0, 2047, 2048, 4095, 4096, 4999):
        assert texts[place] == bech32.encode("bc", 0, programs[place])
    assert segwit_addresses("bc", 0, []) == []
