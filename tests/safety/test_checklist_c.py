"""Checklist C, scripts and coins (rows 24 to 32): what a PSBT shows must be what its hashes and keys commit to."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.script import p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import ecdsa_sign_der, public_key, schnorr_sign, uncompressed
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures

Refused = Callable[..., str]
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
P2SH = ("sh(sortedmulti(2,@A,@B,@C))", "sh(wsh(multi(2,@A,@B,@C)))")
P2WSH = ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(or_d(pk(@A),and_v(v:pk(@B),older(100))))", "sh(wsh(multi(2,@A,@B,@C)))")


def spending(psbt: Psbt, script: bytes) -> Psbt:
    """The question about a coin of ``script`` in place of its first."""
    coin = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0), b"\x51")], [TxOut(Sats(100_000), script)])
    made = Psbt(Transaction(2, [TxIn(OutPoint(coin.txid, 0), b"", 0xFFFFFFFD)], psbt.tx.outputs[:1]))
    made.inputs[0].fields.update(psbt.inputs[0].fields)
    made.inputs[0].non_witness_utxo, made.inputs[0].witness_utxo = coin, coin.outputs[0]
    return made


@pytest.mark.parametrize("template", P2SH)
def test_row_24_a_redeem_script_of_another_hash(template: str, party: Any, refused: Refused) -> None:
    account = party.account(template)
    for wrong in (None, b"", b"\x51", b"\x00\x14" + bytes(20), b"\x00\x20" + bytes(32)):
        psbt = party.question(account)
        psbt.inputs[1].redeem_script = wrong
        refused(psbt, "script", by=party.signers["A"], account=account)
    single = party.question(account)
    single.inputs[0].redeem_script = (single.inputs[0].redeem_script or b"") + b"\x61"
    refused(single, "script", by=party.signers["A"], account=account)


def test_row_24_of_a_single_key_too(ask: SimpleNamespace, refused: Refused, account: Any) -> None:
    psbt = ask.one(Scheme.BIP49)
    psbt.inputs[0].redeem_script = p2wpkh(bytes(20))
    refused(psbt, "script", account=account(Scheme.BIP49))


@pytest.mark.parametrize("template", P2WSH)
def test_row_25_a_witness_script_of_another_hash(template: str, party: Any, refused: Refused) -> None:
    account = party.account(template)
    right = party.question(account).inputs[0].witness_script
    other = party.account(template.replace("@B", "@X")).spending(0, 0).witness_script
    for wrong in (None, b"", b"\x51", right + b"\x61", right[:-1], other):
        psbt = party.question(account)
        psbt.inputs[0].witness_script = wrong
        refused(psbt, "script", by=party.signers["A"], account=account)


def test_row_26_what_bip_174_tells_signers_to_refuse(official_vectors: Callable[[str], Any]) -> None:
    cases = json.loads(official_vectors("bip/bip0174.json").read_text())["vectors"]
    failing = [case for case in cases if "signer checks" in case["section"].lower()]
    assert len(failing) == 4
    for case in failing:
        asked = SimpleNamespace(info=SimpleNamespace(fingerprint=None, backend="x", label="x", location="x"))
        asked.sign_psbt = lambda _psbt, name=case["case"]: pytest.fail(f"asked to sign: {name}")
        with pytest.raises(InvalidInputError) as caught:
            request_signatures(asked, Psbt.from_text(case["psbt"]))
        assert caught.value.code in ("input.psbt.utxo", "input.psbt.script")


def test_row_27_three_levels_that_must_agree(party: Any, refused: Refused) -> None:
    account = party.account("sh(wsh(multi(2,@A,@B,@C)))")
    other = party.account("sh(wsh(multi(2,@A,@B,@X)))").spending(0, 0)
    for redeem, witness in ((True, False), (False, True), (True, True)):
        psbt = party.question(account)
        if redeem:
            psbt.inputs[0].redeem_script = other.redeem_script
        if witness:
            psbt.inputs[0].witness_script = other.witness_script
        refused(psbt, "script", by=party.signers["A"], account=account)


def test_row_28_a_key_the_script_does_not_hold_signs_nothing(
    ask: SimpleNamespace, refused: Refused, account: Any, party: Any
) -> None:
    for scheme in Scheme:
        psbt = ask.one(scheme)
        ours = account(scheme)
        key, origin = ours.key(0, 8), ours.key_origin(0, 8)
        if scheme is Scheme.BIP86:
            psbt.inputs[0].tap_bip32_derivations.clear()
            psbt.inputs[0].tap_bip32_derivations[key[1:]] = ((), origin)
            psbt.inputs[0].tap_internal_key = key[1:]
        else:
            psbt.inputs[0].bip32_derivations.clear()
            psbt.inputs[0].bip32_derivations[key] = origin
        refused(psbt, "key", account=ours)
    vault = party.account("wsh(sortedmulti(2,@A,@B,@C))")
    psbt = party.question(vault)
    stranger = party.account("wsh(pk(@X))").spending(0, 0)
    psbt.inputs[0].bip32_derivations.update(stranger.origins)
    refused(psbt, "key", by=party.signers["X"], account=None)


def test_row_29_what_a_taproot_output_does_not_commit_to(party: Any, refused: Refused, ask: SimpleNamespace) -> None:
    account = party.account("tr(@C,{pk(@A),pk(@B)})")

    def lie(change: Callable[[Any], object], code: str) -> None:
        psbt = party.question(account)
        change(psbt.inputs[0])
        refused(psbt, code, by=party.signers["A"], account=None)

    control, leaf = next(iter(party.question(account).inputs[0].tap_leaf_scripts.pairs()))
    other_key = public_key(b"\x05" * 32)[1:]

    def replaced(control: bytes, leaf: bytes) -> Callable[[Any], object]:
        def change(one: Any) -> None:
            one.tap_leaf_scripts.clear()
            one.tap_leaf_scripts[control] = leaf

        return change

    lie(lambda one: setattr(one, "tap_internal_key", other_key), "key")
    lie(lambda one: setattr(one, "tap_merkle_root", bytes(32)), "key")
    lie(replaced(control, b"\x51\xc0"), "script")
    lie(replaced(control[:33], leaf), "script")
    lie(replaced(control + bytes(32), leaf), "script")
    lie(replaced(bytes((control[0] ^ 1,)) + control[1:], leaf), "script")
    lie(replaced(control[:1] + other_key + control[33:], leaf), "script")
    single = ask.one(Scheme.BIP86)
    single.inputs[0].tap_internal_key = other_key
    refused(single, "key", account=None)


def test_row_29_an_empty_tap_tree_is_no_tree(ask: SimpleNamespace) -> None:
    psbt = ask.one(Scheme.BIP86)
    for wrong in (b"", b"\x00", b"\x00\xc0", b"\x01\xc0\x01\x51", b"\xff\xc0\x01\x51", b"\x00\xc1\x01\x51"):
        psbt.outputs[1].fields[b"\x06"] = wrong
        with pytest.raises(InvalidInputError):
            Psbt.parse(psbt.serialize())


def test_row_30_a_key_nobody_holds_signs_no_key_path(party: Any, refused: Refused) -> None:
    """Whoever claims the unspendable internal key, gets no signature by it and is believed none."""
    account = party.account(f"tr({NUMS},{{pk(@A),pk(@B)}})")
    psbt = party.question(account)
    signed = request_signatures(party.signers["A"], psbt, account=account)
    assert all(one.tap_key_sig is None and len(one.tap_script_sigs) == 1 for one in signed.inputs)
    lying = party.question(account)
    origin = party.account("wsh(pk(@A))").spending(0, 0).origins
    lying.inputs[0].tap_bip32_derivations.clear()
    lying.inputs[0].tap_bip32_derivations[bytes.fromhex(NUMS)] = ((), next(iter(origin.values())))
    with pytest.raises(InvalidInputError) as caught:
        request_signatures(party.signers["A"], lying)
    assert caught.value.code == "input.psbt.key"

    def forge(asked: Psbt) -> Psbt:
        digest = InputDigests(asked).digest(0).digest
        asked.inputs[0].tap_key_sig = schnorr_sign(b"\x05" * 32, digest)
        return asked

    forger = SimpleNamespace(info=party.signers["A"].info, sign_psbt=forge)
    with pytest.raises(SignerMisbehavedError):
        request_signatures(forger, psbt, account=account)


def test_row_31_an_annex_is_refused(ask: SimpleNamespace, refused: Refused, account: Any, signer: Any) -> None:
    ours = account(Scheme.BIP86)
    psbt = ask.question([ask.spend(Scheme.BIP86), ask.spend(Scheme.BIP86, index=1)], change=ours)
    psbt.inputs[0].final_witness = (bytes(64), b"\x50annex")
    refused(psbt, "annex", account=ours)
    psbt.inputs[0].final_witness = (bytes(64), b"\x50")
    refused(psbt, "annex", account=ours)

    def annexed(asked: Psbt) -> Psbt:
        answer = signer.sign_psbt(asked)
        answer.inputs[1].final_witness = (answer.inputs[1].tap_key_sig, b"\x50annex")
        return answer

    psbt.inputs[0].final_witness = (bytes(64),)
    with pytest.raises(SignerMisbehavedError):
        request_signatures(SimpleNamespace(info=signer.info, sign_psbt=annexed), psbt, account=ours)


def test_row_32_an_uncompressed_key_in_segwit(ask: SimpleNamespace, refused: Refused, signer: Any) -> None:
    secret = b"\x01" * 32
    long = uncompressed(public_key(secret))
    origin = KeyOrigin.from_text(f"{signer.info.fingerprint}/84h/1h/0h/0/0")
    for script in (b"\x51\x41" + long + b"\x51\xae", b"\x41" + long + b"\xac"):
        psbt = spending(ask.one(), p2wsh(sha256(script)))
        psbt.inputs[0].witness_script = script
        psbt.inputs[0].bip32_derivations.clear()
        psbt.inputs[0].bip32_derivations[long] = origin
        refused(psbt, "key", account=None)
    psbt = spending(ask.one(), p2wpkh(hash160(long)))
    psbt.inputs[0].bip32_derivations.clear()
    psbt.inputs[0].bip32_derivations[long] = origin
    refused(psbt, "key", account=None)
    psbt.inputs[0].bip32_derivations.clear()
    from bursar.bitcoin.finalize import finalize

    psbt.inputs[0].partial_sigs[long] = ecdsa_sign_der(secret, InputDigests(psbt).digest(0).digest) + b"\x01"
    with pytest.raises(InvalidInputError):
        finalize(psbt)
