"""Combining, finalising and extracting refuse what is missing, foreign or false."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bursar.bitcoin import script as s
from bursar.bitcoin.build import build_transfer
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import ecdsa_sign_der, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.keys.scheme import Scheme

Verify = Callable[[Transaction, Sequence[TxOut]], None]


def unsigned(wallet: Any, scheme: Scheme = Scheme.BIP84, coins: int = 2) -> Psbt:
    account = wallet.account(scheme)
    found = [wallet.coin(account, 100_000, index=index) for index in range(coins)]
    payments = [(wallet.account(scheme, 1).address(0, 0), Sats(150_000 if coins == 2 else 50_000))]
    return build_transfer(
        wallet.network,
        found,
        payments,
        change=wallet.change(account),
        fee_rate=FeeRate(1000),
        tip_height=9,
        rng=random.Random(1),
    ).psbt


@pytest.mark.parametrize("scheme", list(Scheme))
def test_final_inputs_keep_only_what_they_spend(scheme: Scheme, wallet: Any) -> None:
    psbt = unsigned(wallet, scheme)
    psbt.inputs[0].unknown[b"\xfcmine"] = b"kept"
    done = finalize(wallet.sign(psbt))
    for one in done.inputs:
        assert one.is_final
        assert not one.partial_sigs
        assert not one.bip32_derivations
        assert not one.tap_bip32_derivations
        assert one.tap_key_sig is one.redeem_script is one.tap_internal_key is None
        assert one.witness_utxo or one.non_witness_utxo
    assert done.inputs[0].unknown == {b"\xfcmine": b"kept"}
    assert done.outputs == psbt.outputs
    assert finalize(done) == done
    assert Psbt.parse(done.serialize()) == done
    assert not psbt.inputs[0].is_final


def test_signatures_of_two_signers_combine(wallet: Any) -> None:
    psbt = unsigned(wallet)
    whole = wallet.sign(psbt)
    first, second = whole.copy(), whole.copy()
    first.inputs[1] = psbt.inputs[1].copy()
    second.inputs[0] = psbt.inputs[0].copy()
    for half in (first, second):
        with pytest.raises(InvalidInputError) as caught:
            finalize(half)
        assert caught.value.code == "input.psbt.unsigned"
        with pytest.raises(InvalidInputError):
            extract(half)
    assert extract(finalize(combine([first, second]))) == extract(finalize(whole))
    assert combine([psbt]) == psbt


def test_combining_refuses_contradictions(wallet: Any) -> None:
    psbt = unsigned(wallet)
    other = psbt.copy()
    psbt.inputs[0].unknown[b"\xf0"] = b"a"
    other.inputs[0].unknown[b"\xf0"] = b"b"
    for psbts in ([psbt, other], [psbt, unsigned(wallet, Scheme.BIP86)], []):
        with pytest.raises(InvalidInputError) as caught:
            combine(psbts)
        assert caught.value.code == "input.psbt.combine"


@pytest.mark.parametrize("scheme", list(Scheme))
def test_false_signatures_are_refused(scheme: Scheme, wallet: Any) -> None:
    signed = wallet.sign(unsigned(wallet, scheme))
    one, two = signed.inputs
    if scheme is Scheme.BIP86:
        one.tap_key_sig, two.tap_key_sig = two.tap_key_sig, one.tap_key_sig
    else:
        ((key, _),) = one.partial_sigs.items()
        ((_, signature),) = two.partial_sigs.items()
        one.partial_sigs[key] = signature
    with pytest.raises(InvalidSignatureError):
        finalize(signed)
    finalize(signed, verify=False)


def test_hash_types_must_be_those_asked_for(wallet: Any) -> None:
    signed = wallet.sign(unsigned(wallet))
    ((key, signature),) = signed.inputs[0].partial_sigs.items()
    signed.inputs[0].partial_sigs[key] = signature[:-1] + b"\x02"
    with pytest.raises(InvalidInputError):
        finalize(signed)
    taproot = wallet.sign(unsigned(wallet, Scheme.BIP86))
    schnorr = taproot.inputs[0].tap_key_sig
    taproot.inputs[0].tap_key_sig = schnorr + b"\x00"
    with pytest.raises(InvalidInputError):
        finalize(taproot)
    taproot.inputs[0].tap_key_sig = schnorr
    taproot.inputs[0].sighash_type = 1
    with pytest.raises(InvalidInputError):
        finalize(taproot)


def test_a_signature_of_a_key_that_is_not_there_is_no_signature(wallet: Any) -> None:
    psbt = unsigned(wallet)
    psbt.inputs[0].partial_sigs[public_key(b"\x07" * 32)] = b"\x30" * 70 + b"\x01"
    with pytest.raises(InvalidInputError) as caught:
        finalize(psbt)
    assert caught.value.code == "input.psbt.unsigned"


@pytest.mark.parametrize("form", ["sh", "wsh", "sh-wsh"])
def test_plain_multisig_is_finalised_and_accepted_by_the_kernel(form: str, wallet: Any, kernel_verify: Verify) -> None:
    secrets = [bytes([number]) * 32 for number in (1, 2, 3)]
    keys = [public_key(secret) for secret in secrets]
    script = b"\x52" + b"".join(b"\x21" + key for key in keys) + b"\x53\xae"
    program = s.p2wsh(sha256(script))
    output = {"sh": s.p2sh(hash160(script)), "wsh": program, "sh-wsh": s.p2sh(hash160(program))}[form]
    spent = TxOut(Sats(80_000), output)
    previous = Transaction(2, [TxIn(wallet.coin(wallet.account(Scheme.BIP84), 5).outpoint)], [spent])
    psbt = Psbt(Transaction(2, [TxIn(OutPoint(previous.txid, 0))], [TxOut(Sats(70_000), s.p2wpkh(bytes(20)))]))
    one = psbt.inputs[0]
    one.non_witness_utxo = previous
    if form != "sh":
        one.witness_utxo = spent
        one.witness_script = script
    if form != "wsh":
        one.redeem_script = script if form == "sh" else program
    digest = InputDigests(psbt).digest(0)
    with pytest.raises(InvalidInputError):
        finalize(psbt)
    for place in (2, 0):
        one.partial_sigs[keys[place]] = ecdsa_sign_der(secrets[place], digest.digest) + b"\x01"
    kernel_verify(extract(finalize(psbt)), [spent])
    good = one.partial_sigs[keys[2]]
    one.partial_sigs[keys[2]] = ecdsa_sign_der(secrets[2], bytes(32)) + b"\x01"
    with pytest.raises(InvalidSignatureError):
        finalize(psbt)
    one.partial_sigs[keys[2]] = good[:-1] + b"\x02"
    with pytest.raises(InvalidInputError, match="hash type 0x02"):
        finalize(psbt, verify=False)
    one.partial_sigs[keys[2]] = good
    if form != "wsh":
        one.redeem_script = b"\x51"
    else:
        one.witness_script = b"\x51"
    with pytest.raises(InvalidInputError):
        finalize(psbt, verify=False)


def test_outputs_nobody_here_can_spend_are_refused() -> None:
    for output in (b"\x51", b"\x00\x20" + bytes(32), s.p2sh(hash160(b"\x51"))):
        spent = TxOut(Sats(80_000), output)
        previous = Transaction(2, [], [spent])
        psbt = Psbt(Transaction(2, [TxIn(OutPoint(previous.txid, 0))], [TxOut(Sats(70_000), b"\x51")]))
        psbt.inputs[0].non_witness_utxo = previous
        psbt.inputs[0].redeem_script = b"\x51"
        with pytest.raises(InvalidInputError) as caught:
            finalize(psbt, verify=False)
        assert caught.value.code in ("input.psbt.script", "input.transaction")


def test_a_psbt_that_spends_nothing_gives_no_transaction() -> None:
    psbt = Psbt(Transaction(2, [], [TxOut(Sats(1000), b"\x51")], 0))
    with pytest.raises(InvalidInputError) as caught:
        extract(finalize(psbt))
    assert caught.value.code == "input.psbt.unsigned"
