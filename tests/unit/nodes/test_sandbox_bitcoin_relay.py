"""Rules of relay alone: shapes that blocks may hold and the mempool refuses, with Core's words."""

from __future__ import annotations

import pytest

from bursar.bitcoin.script import p2pkh, p2sh, p2tr, p2wsh, push
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256, tagged_hash
from bursar.crypto.secp256k1 import ecdsa_sign_der, public_key, taproot_output_key
from bursar.nodes.sandbox.bitcoin.node import FAUCET

SINK = p2tr(bytes(range(32)))
KEY = bytes(31) + b"\x07"
PUB = public_key(KEY)
PK = push(PUB) + b"\xac"
MULTI = b"\x51" + push(PUB) + b"\x51\xae"
CLEAN = "Stack size must be exactly one after execution"
PUSH = "Data push larger than necessary"
NOP = "NOPx reserved for soft-fork upgrades"
WITNESS = "Witness version reserved for soft-fork upgrades"


def pay(workshop, script: bytes) -> OutPoint:
    """A confirmed coin on any script, standard or not."""
    tx = workshop.tx(workshop.ripe()[:1], [(script, 100_000)])
    workshop.chain.mine(1, FAUCET, transactions=[tx], fees=1000)
    return OutPoint(tx.txid, 0)


def spend(coin: OutPoint, script_sig: bytes = b"", witness: tuple[bytes, ...] = ()) -> Transaction:
    return Transaction(2, [TxIn(coin, script_sig, 0xFFFFFFFD, witness)], [TxOut(Sats(90_000), SINK)])


def judge(workshop, bad: Transaction, fault: str, good: Transaction | None = None) -> None:
    """The mempool refuses ``bad``, a block may hold it; the mempool takes ``good``."""
    assert workshop.refusal(bad) == f"non-mandatory-script-verify-flag ({fault})"
    if good is not None:
        workshop.chain.submit(good)
    workshop.chain.mine(1, FAUCET, transactions=[bad], fees=10_000)


@pytest.mark.parametrize(
    ("script", "redeem", "before"),
    [(PK, b"", b""), (MULTI, b"", b"\0"), (p2sh(hash160(MULTI)), MULTI, b"\0"), (p2pkh(hash160(PUB)), b"", b"")],
)
def test_signed_inputs_leave_one_item_and_push_shortly(workshop, script: bytes, redeem: bytes, before: bytes) -> None:
    coin = pay(workshop, script)
    digest = SighashCache(spend(coin), [TxOut(Sats(100_000), script)]).legacy(0, redeem or script, 1)
    signature = ecdsa_sign_der(KEY, digest) + b"\1"
    after = push(PUB) if script == p2pkh(hash160(PUB)) else push(redeem) if redeem else b""
    long = before + b"\x4c" + bytes((len(signature),)) + signature + after
    assert workshop.refusal(spend(coin, long)) == f"non-mandatory-script-verify-flag ({PUSH})"
    short = before + push(signature) + after
    judge(workshop, spend(coin, b"\x51" + short), CLEAN, spend(coin, short))


@pytest.mark.parametrize(
    ("redeem", "given", "fault"),
    [
        (b"\x51", b"\x51", CLEAN),
        (b"\x51", b"\x01\x01", PUSH),
        (b"\x51", b"\x4f" * 2, CLEAN),
        (b"\xb0\x51", b"", NOP),
        (b"\xb9\x51", b"", NOP),
        (b"\x51\x63\x51\x68\xb3", b"", NOP),
        (b"\x01\x05", b"", PUSH),
        (b"\x01\x81", b"", PUSH),
        (b"\x4c\x01\x11", b"", PUSH),
        (b"\x75\x4d\x01\x00\x11", b"\x00", PUSH),
        (SINK, b"", WITNESS),
        (b"\x52\x02\1\2", b"", WITNESS),
    ],
)
def test_wrapped_scripts(workshop, redeem: bytes, given: bytes, fault: str) -> None:
    coin = pay(workshop, p2sh(hash160(redeem)))
    judge(workshop, spend(coin, given + push(redeem)), fault)


def test_wrapped_taproot_with_a_witness(workshop) -> None:
    coin = pay(workshop, p2sh(hash160(SINK)))
    judge(workshop, spend(coin, push(SINK), (b"x",)), WITNESS)


@pytest.mark.parametrize(
    ("redeem", "given"),
    [
        (b"\x51", b""),
        (b"\x61\x51", b""),
        (b"\x51\x63\x51\x67\xb0\x01\x01\x68", b""),  # a branch not taken may hold anything
        (b"\x75\x51", b"\x01\x11"),
        (b"\x75\x51", b"\x4f"),
        (b"\x75\x51", push(bytes(76))),
        (b"\x75\x51", push(bytes(256))),
    ],
)
def test_wrapped_scripts_that_are_fine(workshop, redeem: bytes, given: bytes) -> None:
    workshop.chain.submit(spend(pay(workshop, p2sh(hash160(redeem))), given + push(redeem)))


def test_branches_want_minimal_conditions(workshop) -> None:
    script = b"\x63\x51\x67\x51\x68"
    coin = pay(workshop, p2wsh(sha256(script)))
    fault = "OP_IF/NOTIF argument must be minimal"
    assert workshop.refusal(spend(coin, witness=(b"\0", script))) == f"non-mandatory-script-verify-flag ({fault})"
    judge(workshop, spend(coin, witness=(b"\2", script)), fault, spend(coin, witness=(b"\1", script)))


def test_witness_scripts(workshop) -> None:
    coin = pay(workshop, p2wsh(sha256(b"\xb4\x51")))
    judge(workshop, spend(coin, witness=(b"\xb4\x51",)), NOP)


@pytest.mark.parametrize(
    ("version", "script", "fault"),
    [
        (0xC2, b"\x51", "Taproot version reserved for soft-fork upgrades"),
        (0xC0, b"\x50", "OP_SUCCESSx reserved for soft-fork upgrades"),
        (0xC0, b"\xfe\x05", "OP_SUCCESSx reserved for soft-fork upgrades"),
        (0xC0, b"\xb7\x51", NOP),
        (0xC0, b"\x51", None),
    ],
)
def test_taproot_leaves(workshop, version: int, script: bytes, fault: str | None) -> None:
    leaf = tagged_hash("TapLeaf", bytes((version, len(script))) + script)
    key, parity = taproot_output_key(PUB[1:], leaf)
    tx = spend(pay(workshop, p2tr(key)), witness=(script, bytes((version | parity,)) + PUB[1:]))
    if fault is None:
        workshop.chain.submit(tx)
    else:
        judge(workshop, tx, fault)
