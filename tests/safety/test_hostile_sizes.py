"""Sizes nobody honest sends: what they cost grows with what they weigh, not with its square."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from bursar.bitcoin.finalize import finalize
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.psbt.taproot import branch_hash, leaf_hash
from bursar.bitcoin.script import p2tr, p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.secp256k1 import public_key, taproot_output_key
from bursar.errors import InvalidInputError
from bursar.keys.origin import KeyOrigin


def crowded(depth: int) -> Psbt:
    """An input with a full tree of leaves, each of a key of its own, every key named and none signed."""
    keys = [public_key((number + 1).to_bytes(32, "big"))[1:] for number in range(1 << depth)]
    leaves = [b"\x20" + key + b"\xac" for key in keys]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    levels = [hashes]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([branch_hash(below[at], below[at + 1]) for at in range(0, len(below), 2)])
    output, parity = taproot_output_key(keys[0], levels[-1][0])
    coin = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0), b"\x51")], [TxOut(Sats(10_000), p2tr(output))])
    psbt = Psbt(Transaction(2, [TxIn(OutPoint(coin.txid, 0))], [TxOut(Sats(9_000), p2wpkh(bytes(20)))]))
    one = psbt.inputs[0]
    one.witness_utxo, one.tap_internal_key, one.tap_merkle_root = coin.outputs[0], keys[0], levels[-1][0]
    origin = KeyOrigin.from_text("01020304/0/0")
    for number, (key, leaf) in enumerate(zip(keys, leaves, strict=True)):
        path = [levels[level][number >> level ^ 1] for level in range(depth)]
        one.tap_leaf_scripts[bytes((0xC0 | parity,)) + keys[0] + b"".join(path)] = leaf + b"\xc0"
        one.tap_bip32_derivations[key] = ((hashes[number],), origin)
    return psbt


def seconds(call: Any, *arguments: Any) -> float:
    before = process_time()
    with pytest.raises(InvalidInputError):
        call(*arguments)
    return process_time() - before


def test_many_leaves_of_many_keys_are_each_looked_at_once() -> None:
    """It took five seconds with a thousand of each: every key was hashed anew for every leaf."""
    few, many = crowded(7), crowded(10)
    finalize_few = min(seconds(finalize, few) for _ in range(3))
    assert seconds(finalize, many) < 24 * finalize_few + 0.2
