"""Estimated weights equal those of signed transactions with the largest signatures."""

from __future__ import annotations

import pytest

from bursar.bitcoin.script import ScriptType, p2tr, p2wpkh, push
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.weight import input_weight, transaction_weight
from bursar.errors import InvalidInputError

SIGNED = {
    ScriptType.P2PKH: (push(bytes(72)) + push(bytes(33)), ()),
    ScriptType.P2SH_P2WPKH: (push(bytes(22)), (bytes(72), bytes(33))),
    ScriptType.P2WPKH: (b"", (bytes(72), bytes(33))),
    ScriptType.P2TR: (b"", (bytes(64),)),
}


@pytest.mark.parametrize("count", [1, 2, 252, 253])
@pytest.mark.parametrize(
    "kinds",
    [
        [ScriptType.P2PKH],
        [ScriptType.P2WPKH],
        [ScriptType.P2TR],
        [ScriptType.P2SH_P2WPKH],
        [ScriptType.P2PKH, ScriptType.P2TR, ScriptType.P2WPKH],
    ],
)
def test_estimates_are_exact(kinds: list[ScriptType], count: int) -> None:
    used = (kinds * count)[: max(count, len(kinds))]
    inputs = [
        TxIn(OutPoint(Txid(bytes(32)), place), SIGNED[kind][0], 0, SIGNED[kind][1]) for place, kind in enumerate(used)
    ]
    scripts = [p2wpkh(bytes(20)), p2tr(bytes(32))]
    tx = Transaction(2, inputs, [TxOut(Sats(1), script) for script in scripts])
    assert transaction_weight(used, scripts) == tx.weight


def test_unknown_inputs_have_no_weight() -> None:
    with pytest.raises(InvalidInputError):
        input_weight(ScriptType.P2WSH)
