"""One spelling per destination."""

from __future__ import annotations

import pytest

from bursar.errors import InvalidInputError
from bursar.policy.address_text import canonical_address, check_address

SEGWIT = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"  # BIP-173's P2WPKH example
ETHEREUM = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # EIP-55's first example
BASE58 = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"


def test_case_is_folded_only_where_it_is_free() -> None:
    assert canonical_address(SEGWIT.upper()) == canonical_address(SEGWIT) == SEGWIT
    for text in (ETHEREUM, ETHEREUM.upper(), ETHEREUM.lower()):
        assert canonical_address(text) == ETHEREUM.lower()
    for text in (BASE58, BASE58.upper(), BASE58.lower(), SEGWIT.capitalize(), "SCRIPT 51"):
        assert canonical_address(text) == text


@pytest.mark.parametrize("text", [SEGWIT, SEGWIT.upper(), ETHEREUM, BASE58])
def test_valid_addresses(text: str) -> None:
    assert check_address(text) == canonical_address(text)
    assert check_address(text, chain="ethereum" if text == ETHEREUM else "bitcoin") == canonical_address(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (SEGWIT, {"chain": "ethereum"}),
        (ETHEREUM, {"chain": "bitcoin"}),
        (SEGWIT, {"network": "regtest"}),
        (BASE58, {"network": "testnet"}),
        (SEGWIT[:-1] + "5", {}),
        (SEGWIT.capitalize(), {}),
        (" " + SEGWIT, {}),
        (ETHEREUM.lower(), {}),
        (ETHEREUM.replace("0x", "0X"), {}),
        ("bc1q\u0430w508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", {}),
        ("", {}),
    ],
)
def test_addresses_refused(text: str, where: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        check_address(text, **where)
