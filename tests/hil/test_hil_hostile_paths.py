"""Ethereum asked for at paths of Bitcoin keys: refused here, and the device is not asked."""

from __future__ import annotations

from typing import Any

import pytest
from bursar_devices.humans import approve

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_personal_message, request_transaction

NOBODY = Address(bytes(range(20)))


@pytest.mark.needs("ethereum")
@pytest.mark.parametrize("path", ["m/84h/0h/0h/0/0", "m/44h/0h/0h/0/0", "m/86h/0h/0h/1/7"])
def test_ether_at_a_bitcoin_path(signer: Any, bench_device: Any, path: str) -> None:
    bench_device.human = approve()
    where = DerivationPath.from_text(path)
    tx = UnsignedTransaction(
        type=2,
        chain_id=1,
        nonce=0,
        to=NOBODY,
        value=Wei(1),
        data=b"",
        gas_limit=21_000,
        max_fee_per_gas=Wei(2),
        max_priority_fee_per_gas=Wei(1),
    )
    before = len(bench_device.pages)
    with pytest.raises(InvalidInputError):
        request_transaction(signer, where, tx, sender=NOBODY)
    with pytest.raises(InvalidInputError):
        request_personal_message(signer, where, b"hello", sender=NOBODY)
    assert bench_device.pages[before:] == []
