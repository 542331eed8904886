"""Standardness: what the mempool refuses although consensus would not, with Core's words."""

from __future__ import annotations

import pytest

from bursar.bitcoin import script as scripts
from bursar.bitcoin.script import op_return, p2pkh, p2tr, p2wpkh, p2wsh
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import COIN, Sats
from bursar.crypto.hashes import hash160, sha256, sha256d
from bursar.crypto.secp256k1 import (
    ORDER,
    ecdsa_sign_der,
    public_key,
    schnorr_sign,
    taproot_output_key,
    taproot_tweak_secret,
)
from bursar.errors import BroadcastRejectedError
from bursar.nodes.sandbox.bitcoin.node import FAUCET

SINK = p2tr(bytes(range(32)))
KEY = bytes(31) + b"\x07"
PUB = public_key(KEY)
PUSHED = b"\x21" + PUB
ANCHOR = b"\x51\x02\x4e\x73"


# standardness


@pytest.mark.parametrize("version", [0, 4, 0xFFFFFFFF])
def test_version(workshop, version: int) -> None:
    assert workshop.refusal(workshop.tx(workshop.ripe()[:1], version=version)) == "version"


@pytest.mark.parametrize(
    ("script", "limit"),
    [
        (p2pkh(bytes(20)), 546),
        (p2wpkh(bytes(20)), 294),
        (p2wsh(bytes(32)), 330),
        (SINK, 330),
        (b"\x51\x02\x4e\x73", 240),
    ],
)
def test_dust(workshop, script: bytes, limit: int) -> None:
    coin = workshop.ripe()[0]
    assert workshop.refusal(workshop.tx([coin], [(script, limit - 1)])) == "dust"
    workshop.chain.submit(workshop.tx([coin], [(script, limit)]))


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\x51",
        b"\x00\x03abc",
        b"\x6a\x4c\x52" + bytes(82),
        b"\x6a\x05ab",
        b"\x51" + (b"\x21" + PUB) * 4 + b"\x54\xae",
    ],
)
def test_nonstandard_output(workshop, script: bytes) -> None:
    assert workshop.refusal(workshop.tx(workshop.ripe()[:1], [(script, 10_000)])) == "scriptpubkey"


@pytest.mark.parametrize(
    "script",
    [
        b"\x51" + (b"\x21" + PUB) * 3 + b"\x53\xae",
        b"\x21" + PUB + b"\xac",
        b"\x52\x20" + bytes(32),
        op_return(bytes(80)),
    ],
)
def test_unusual_but_standard_output(workshop, script: bytes) -> None:
    workshop.chain.submit(workshop.tx(workshop.ripe()[:1], [(script, 0 if script[:1] == b"\x6a" else 10_000)]))


def test_one_op_return(workshop) -> None:
    coin = workshop.ripe()[0]
    assert workshop.refusal(workshop.tx([coin], [(op_return(b"a"), 0), (op_return(b"b"), 0)])) == "multi-op-return"


def test_script_sig_pushes_only(workshop) -> None:
    tx = workshop.tx(workshop.ripe()[:1])
    bent = Transaction(2, [tx.inputs[0]._replace(script_sig=b"\x75")], tx.outputs)
    assert workshop.refusal(bent) == "scriptsig-not-pushonly"
    long = Transaction(2, [tx.inputs[0]._replace(script_sig=bytes(1651))], tx.outputs)
    assert workshop.refusal(long) == "scriptsig-size"


def test_size(workshop) -> None:
    coin = workshop.ripe()[0]
    big = workshop.tx([coin], [(p2wpkh(bytes(20)), 1000)] * 3300, fee=200_000)
    assert workshop.refusal(big) == "tx-size"
    small = Transaction(2, [TxIn(coin, b"", 0, (b"\x51",))], [TxOut(Sats(50 * COIN - 1000), b"\x51\x02\x4e\x73")])
    assert len(small.serialize(witness=False)) == 64
    assert workshop.refusal(small) == "tx-size-small"


def test_min_relay_fee(workshop) -> None:
    coin = workshop.ripe()[0]
    size = workshop.tx([coin]).vsize
    with pytest.raises(BroadcastRejectedError, match=f"min relay fee not met, {size - 1} < {size}"):
        workshop.chain.submit(workshop.tx([coin], fee=size - 1))
    workshop.chain.submit(workshop.tx([coin], fee=size))


def _pay(workshop, script: bytes, amount: int = 100_000) -> OutPoint:
    """A confirmed coin on any script, standard or not."""
    tx = workshop.tx(workshop.ripe()[:1], [(script, amount)])
    workshop.chain.mine(1, FAUCET, transactions=[tx], fees=1000)
    return OutPoint(tx.txid, 0)


def _spend(coin: OutPoint, script_sig: bytes = b"", witness: tuple[bytes, ...] = ()) -> Transaction:
    return Transaction(2, [TxIn(coin, script_sig, 0xFFFFFFFD, witness)], [TxOut(Sats(90_000), SINK)])


def test_nonstandard_inputs(workshop) -> None:
    assert workshop.refusal(_spend(_pay(workshop, b"\x51"))) == "bad-txns-nonstandard-inputs"
    assert workshop.refusal(_spend(_pay(workshop, b"\x52\x02\1\2"))) == "bad-txns-nonstandard-inputs"
    checks = b"\xac" * 16
    coin = _pay(workshop, scripts.p2sh(hash160(checks)))
    assert workshop.refusal(_spend(coin, scripts.push(checks))) == "bad-txns-nonstandard-inputs"


def test_nonstandard_witness(workshop) -> None:
    drop = b"\x75\x51"
    coin = _pay(workshop, p2wsh(sha256(drop)))
    assert workshop.refusal(_spend(coin, witness=(bytes(81), drop))) == "bad-witness-nonstandard"
    workshop.chain.submit(_spend(coin, witness=(bytes(80), drop)))
    many = b"\x75" * 101 + b"\x51"
    coin = _pay(workshop, p2wsh(sha256(many)))
    assert workshop.refusal(_spend(coin, witness=(*[b"\1"] * 101, many))) == "bad-witness-nonstandard"
    anchor = _pay(workshop, b"\x51\x02\x4e\x73")
    assert workshop.refusal(_spend(anchor, witness=(b"x",))) == "bad-witness-nonstandard"
    workshop.chain.submit(_spend(anchor))
    bare = _pay(workshop, p2pkh(hash160(PUB)))
    assert workshop.refusal(_spend(bare, witness=(b"x",))) == "bad-witness-nonstandard"


def _high_s(der: bytes) -> bytes:
    at = 6 + der[3]
    high = ORDER - int.from_bytes(der[at:], "big")
    s = high.to_bytes(33, "big")
    body = der[2 : 4 + der[3]] + b"\x02\x21" + s
    return b"\x30" + bytes((len(body),)) + body


def test_signed_inputs(workshop) -> None:
    coin = _pay(workshop, p2wpkh(hash160(PUB)))
    draft = _spend(coin)
    cache = SighashCache(draft, [TxOut(Sats(100_000), p2wpkh(hash160(PUB)))])
    digest = cache.segwit_v0(0, p2pkh(hash160(PUB)), Sats(100_000), 1)
    signature = ecdsa_sign_der(KEY, digest)
    bad = signature[:-1] + bytes((signature[-1] ^ 1,))
    assert workshop.refusal(_spend(coin, witness=(bad + b"\1", PUB))).startswith("mandatory-script-verify-flag-failed")
    reason = workshop.refusal(_spend(coin, witness=(_high_s(signature) + b"\1", PUB)))
    assert reason == "non-mandatory-script-verify-flag (Non-canonical signature: S value is unnecessarily high)"
    workshop.chain.submit(_spend(coin, witness=(signature + b"\1", PUB)))
    workshop.chain.mine(1, FAUCET)
    assert [*workshop.chain.index.heights(p2wpkh(hash160(PUB)))][-1] == workshop.chain.height


def test_relay_rules_for_hash_types_and_stacks(workshop) -> None:
    coin = _pay(workshop, p2pkh(hash160(PUB)))
    draft = _spend(coin)
    odd_form = Transaction(2, [draft.inputs[0]._replace(script_sig=p2pkh(hash160(PUB)))], draft.outputs)
    digest = sha256d(odd_form.serialize() + b"\x41\0\0\0")
    odd = scripts.push(ecdsa_sign_der(KEY, digest) + b"\x41") + scripts.push(PUB)
    assert workshop.refusal(_spend(coin, odd)).endswith("(Signature hash type missing or not understood)")
    digest = SighashCache(draft, [TxOut(Sats(100_000), p2pkh(hash160(PUB)))]).legacy(0, p2pkh(hash160(PUB)), 1)
    more = b"\x51" + scripts.push(ecdsa_sign_der(KEY, digest) + b"\1") + scripts.push(PUB)
    assert workshop.refusal(_spend(coin, more)).endswith("(Stack size must be exactly one after execution)")


def test_taproot_key_path(workshop) -> None:
    script = p2tr(taproot_output_key(PUB[1:])[0])
    coin = _pay(workshop, script)
    digest = SighashCache(_spend(coin), [TxOut(Sats(100_000), script)]).taproot(0)
    signature = schnorr_sign(taproot_tweak_secret(KEY), digest)
    assert workshop.refusal(_spend(coin, witness=(bytes(64),))).startswith("mandatory-script")
    assert workshop.refusal(_spend(coin, witness=(signature, b"\x50"))) == "bad-witness-nonstandard"
    workshop.chain.submit(_spend(coin, witness=(signature,)))


def test_too_many_signature_operations(workshop) -> None:
    multisig = b"\x51" + (b"\x21" + PUB) + b"\x51\xae"
    coin = workshop.ripe()[0]
    tx = workshop.tx([coin], [(multisig, 1000)] * 201, fee=100_000)  # 80 each
    assert workshop.refusal(tx) == "bad-txns-too-many-sigops"
    few = workshop.tx([coin], [(multisig, 1000)] * 30, fee=100_000)
    workshop.chain.submit(few)
    assert workshop.chain.mempool.entries[few.txid].vsize == 30 * 80 * 20 // 4 > few.vsize
