"""Signature hashes against BIP-143's and BIP-341's own numbers, embit, and for cost."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from embit.script import Script
from embit.transaction import Transaction as EmbitTransaction

from bursar.bitcoin import sighash as hashing
from bursar.bitcoin.psbt.taproot import leaf_hash
from bursar.bitcoin.script import p2pkh, p2tr, p2wpkh, push
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import stack
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import (
    ecdsa_sign_der,
    ecdsa_verify_der,
    public_key,
    schnorr_sign,
    taproot_output_key,
    taproot_tweak_secret,
    x_only,
)
from bursar.errors import InvalidInputError

TYPES = [0x01, 0x02, 0x03, 0x81, 0x82, 0x83]


def test_examples_of_bip_143(vectors: Callable[[str], Any]) -> None:
    for case in vectors("bitcoin_sighash.json")["segwit_v0"]:
        tx = Transaction.parse(bytes.fromhex(case["unsigned"]))
        code = bytes.fromhex(case["script_code"])
        digest = SighashCache(tx).segwit_v0(case["input"], code, case["value"], case["sighash"])
        assert digest.hex() == case["digest"], case["name"]
        if case["signature"]:
            ecdsa_verify_der(bytes.fromhex(case["public_key"]), digest, bytes.fromhex(case["signature"]))


def random_transaction(rng: random.Random, inputs: int = 4, outputs: int = 3) -> Transaction:
    return Transaction(
        rng.randrange(2**32),
        [TxIn(OutPoint(Txid(rng.randbytes(32)), rng.randrange(9)), b"", rng.randrange(2**32)) for _ in range(inputs)],
        [TxOut(Sats(rng.randrange(10**12)), rng.randbytes(rng.randrange(300))) for _ in range(outputs)],
        rng.randrange(2**32),
    )


@pytest.mark.parametrize("sighash", TYPES)
def test_digests_agree_with_embit(sighash: int) -> None:
    rng = random.Random(sighash)
    for _ in range(20):
        tx = random_transaction(rng)
        other = EmbitTransaction.parse(tx.serialize())
        spent = [TxOut(Sats(rng.randrange(10**12)), p2tr(rng.randbytes(32))) for _ in tx.inputs]
        cache = SighashCache(tx, spent)
        for index in rng.sample(range(3), 3):
            code = p2pkh(rng.randbytes(20))
            value = rng.randrange(10**12)
            assert cache.segwit_v0(index, code, value, sighash) == other.sighash_segwit(
                index, Script(code), value, sighash
            )
            if index == 0 or sighash & 3 != hashing.SINGLE:  # embit blanks skipped outputs wrongly
                assert cache.legacy(index, code, sighash) == other.sighash_legacy(index, Script(code), sighash)


@pytest.mark.parametrize("sighash", [0, *TYPES])
def test_the_kernel_accepts_signatures_of_every_hash_type(
    sighash: int, kernel_verify: Callable[[Transaction, Sequence[TxOut]], None]
) -> None:
    rng = random.Random(sighash)
    secrets = [rng.randbytes(32) for _ in range(3)]
    keys = [public_key(secret) for secret in secrets]
    scripts = [p2pkh(hash160(keys[0])), p2wpkh(hash160(keys[1])), p2tr(taproot_output_key(x_only(keys[2]))[0])]
    spent = [TxOut(Sats(rng.randrange(10**10)), script) for script in scripts]
    tx = random_transaction(rng, inputs=3, outputs=3)
    cache = SighashCache(tx, spent)
    ecdsa = sighash or hashing.ALL
    mark = bytes((ecdsa,))
    legacy = ecdsa_sign_der(secrets[0], cache.legacy(0, scripts[0], ecdsa)) + mark
    code = p2pkh(scripts[1][2:])
    segwit = ecdsa_sign_der(secrets[1], cache.segwit_v0(1, code, spent[1].value, ecdsa)) + mark
    schnorr = schnorr_sign(taproot_tweak_secret(secrets[2]), cache.taproot(2, sighash)) + bytes(
        [sighash] * (sighash > 0)
    )
    signed = tx.with_proofs(
        [push(legacy) + push(keys[0]), b"", b""], [b"", stack((segwit, keys[1])), stack((schnorr,))]
    )
    kernel_verify(signed, spent)


def test_legacy_digest_of_the_first_payment() -> None:
    """Block 170: the first transaction between people; its signature verifies over our digest."""
    raw = (
        "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961"
        "a1d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901"
        "ffffffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df"
        "5f142c21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1"
        "482ecad7b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000"
    )
    tx = Transaction.parse(bytes.fromhex(raw))
    assert str(tx.txid) == "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
    script = tx.outputs[1].script
    signature = tx.inputs[0].script_sig[1:]
    digest = SighashCache(tx).legacy(0, script, signature[-1])
    ecdsa_verify_der(script[1:66], digest, signature[:-1], allow_high_s=True)


def test_key_path_examples_of_bip_341(official_vectors: Callable[[str], Path]) -> None:
    case = json.loads(official_vectors("bip/bip0341.json").read_text())["keyPathSpending"][0]
    given = case["given"]
    tx = Transaction.parse(bytes.fromhex(given["rawUnsignedTx"]))
    spent = [TxOut(Sats(one["amountSats"]), bytes.fromhex(one["scriptPubKey"])) for one in given["utxosSpent"]]
    cache = SighashCache(tx, spent)
    stacks = [b""] * len(tx.inputs)
    for one in case["inputSpending"]:
        index, sighash = one["given"]["txinIndex"], one["given"]["hashType"]
        secret = bytes.fromhex(one["given"]["internalPrivkey"])
        root = bytes.fromhex(one["given"]["merkleRoot"] or "")
        digest = cache.taproot(index, sighash)
        assert digest.hex() == one["intermediary"]["sigHash"]
        assert x_only(public_key(secret)).hex() == one["intermediary"]["internalPubkey"]
        signature = schnorr_sign(taproot_tweak_secret(secret, root), digest, bytes(32))
        signature += bytes((sighash,)) if sighash else b""
        assert signature.hex() == one["expected"]["witness"][0]
        stacks[index] = b"\x01" + bytes((len(signature),)) + signature
    full = Transaction.parse(bytes.fromhex(case["auxiliary"]["fullySignedTx"]))
    ours = tx.with_proofs([one.script_sig for one in full.inputs], stacks)
    for one in case["inputSpending"]:
        index = one["given"]["txinIndex"]
        assert ours.inputs[index].witness == full.inputs[index].witness


def test_bad_requests_are_refused() -> None:
    tx = random_transaction(random.Random(1), inputs=2, outputs=1)
    cache = SighashCache(tx)
    for index, sighash in ((2, 1), (-1, 1), (0, 0), (0, 4), (0, 0x80), (1, hashing.SINGLE), (1, 0x83), (0, 0x101)):
        with pytest.raises(InvalidInputError):
            cache.segwit_v0(index, b"", 0, sighash)
        with pytest.raises(InvalidInputError):
            cache.legacy(index, b"", sighash)
    with pytest.raises(InvalidInputError):
        cache.taproot(0)  # spent outputs unknown
    spent = [TxOut(Sats(1), b""), TxOut(Sats(2), b"")]
    cache = SighashCache(tx, spent)
    for index, sighash in ((2, 0), (-1, 0), (0, 4), (0, 0x80), (1, hashing.SINGLE)):
        with pytest.raises(InvalidInputError):
            cache.taproot(index, sighash)


def test_legacy_digests_do_not_depend_on_the_order_they_are_asked_in() -> None:
    tx = random_transaction(random.Random(2), inputs=6)
    straight = SighashCache(tx)
    expected = [straight.legacy(index, b"\x51") for index in range(6)]
    shuffled = SighashCache(tx)
    for index in (3, 1, 5, 5, 0, 2, 4):
        assert shuffled.legacy(index, b"\x51") == expected[index]


def test_segwit_digests_hash_the_shared_parts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of bytes hashed for each input does not grow with the number of inputs."""
    import hashlib

    hashed: list[int] = []

    def counting(data: bytes = b"") -> Any:
        hashed.append(len(data))
        return hashlib.sha256(data)

    tx = random_transaction(random.Random(3), inputs=500)
    spent = [TxOut(Sats(1000), p2tr(bytes(32))) for _ in tx.inputs]
    cache = SighashCache(tx, spent)
    cache.segwit_v0(0, p2pkh(bytes(20)), 1)
    cache.taproot(0)
    monkeypatch.setattr(hashing, "_sha256", counting)
    for index in range(500):
        cache.segwit_v0(index, p2pkh(bytes(20)), 1)
        cache.taproot(index)
    assert sum(hashed) == 0


@pytest.mark.parametrize("sighash", [0, *TYPES])
def test_leaf_digests_agree_with_embit_and_the_kernel(
    sighash: int, kernel_verify: Callable[[Transaction, Sequence[TxOut]], None]
) -> None:
    """BIP-342: a leaf that runs ``OP_CODESEPARATOR`` before its second signature, so that two digests are asked."""
    secret = b"\x07" * 32
    key = x_only(public_key(secret))
    leaf = b"\x20" + key + b"\xad\xab\x20" + key + b"\xac"  # <key> CHECKSIGVERIFY CODESEPARATOR <key> CHECKSIG
    hashed = leaf_hash(leaf)
    output_key, parity = taproot_output_key(key, hashed)
    spent = [TxOut(Sats(50_000 + place), p2tr(output_key)) for place in range(3)]
    rng = random.Random(sighash)
    unsigned = Transaction(
        2,
        [TxIn(OutPoint(Txid(rng.randbytes(32)), place), b"", 0xFFFFFFFD) for place in range(3)],
        [TxOut(Sats(1000), p2wpkh(bytes(20)))] * 3,
    )
    cache = SighashCache(unsigned, spent)
    other = EmbitTransaction.parse(unsigned.serialize())
    stacks = []
    for index in range(3):
        before = cache.tapscript(index, hashed, sighash)
        after = cache.tapscript(index, hashed, sighash, code_separator=2)
        theirs = [
            other.sighash_taproot(
                index,
                [Script(one.script) for one in spent],
                [int(one.value) for one in spent],
                sighash=sighash,
                ext_flag=1,
                script=Script(leaf),
                codeseparator_pos=position,
            )
            for position in (0xFFFFFFFF, 2)
        ]
        if sighash in (
            0,
            1,
            2,
        ):  # of other types embit hashes other bytes than BIP-341 says: the kernel judges
            assert [before, after] == theirs
        assert len({before, after, cache.taproot(index, sighash)}) == 3
        tail = bytes((sighash,)) if sighash else b""
        signatures = [schnorr_sign(secret, digest, bytes(32)) + tail for digest in (after, before)]
        stacks.append(stack((*signatures, leaf, bytes((0xC0 | parity,)) + key)))
    kernel_verify(unsigned.with_proofs([b""] * 3, stacks), spent)
