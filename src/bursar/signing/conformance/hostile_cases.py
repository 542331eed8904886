"""Hostile PSBTs put straight to a signer, past our own preflight: it must refuse, or at least not sign."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.sighash import ALL, ANYONECANPAY, NONE, SINGLE
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160
from bursar.errors import BursarError
from bursar.keys.scheme import Scheme
from bursar.signing.conformance.case import Case, Profile, demand
from bursar.signing.conformance.questions import Spend, account_of, question, stranger
from bursar.signing.protocols import PsbtSigner

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount

_SIGNATURES = (0x02, 0x13, 0x14)

Twist = Callable[[Psbt, "BitcoinAccount"], Psbt]


def a_hash_type(sighash: int) -> Twist:
    def twist(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
        psbt.inputs[0].sighash_type = sighash
        return psbt

    return twist


def the_same_outpoint_twice(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    tx = psbt.tx
    twice = Psbt(Transaction(tx.version, (tx.inputs[0], tx.inputs[0]), tx.outputs, tx.locktime))
    for one in twice.inputs:
        one.fields.update(psbt.inputs[0].fields)
    return twice


def another_previous_transaction(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    before = psbt.inputs[0].non_witness_utxo
    assert before is not None
    psbt.inputs[0].non_witness_utxo = Transaction(1, before.inputs, before.outputs, before.locktime)
    return psbt


def an_output_that_is_not_there(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    tx = psbt.tx
    spent = TxIn(OutPoint(tx.inputs[0].outpoint.txid, 2), b"", tx.inputs[0].sequence)
    beyond = Psbt(Transaction(tx.version, (spent,), tx.outputs, tx.locktime))
    beyond.inputs[0].fields.update(psbt.inputs[0].fields)
    return beyond


def another_amount(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    output = psbt.inputs[0].witness_utxo
    assert output is not None
    psbt.inputs[0].witness_utxo = TxOut(Sats(output.value + 1), output.script)
    return psbt


def another_redeem_script(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    psbt.inputs[0].redeem_script = p2wpkh(hash160(b"not this one"))
    return psbt


def a_witness_utxo_alone(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    before = psbt.inputs[0].non_witness_utxo
    assert before is not None
    psbt.inputs[0].non_witness_utxo = None
    psbt.inputs[0].witness_utxo = before.outputs[1]
    return psbt


def a_path_that_lies(psbt: Psbt, account: BitcoinAccount) -> Psbt:
    one, lie = psbt.inputs[0], account.key_origin(0, 4242)
    for key in one.bip32_derivations:
        one.bip32_derivations[key] = lie
    for key in one.tap_bip32_derivations:
        one.tap_bip32_derivations[key] = ((), lie)
    return psbt


def a_key_not_in_the_script(psbt: Psbt, account: BitcoinAccount) -> Psbt:
    one = psbt.inputs[0]
    key, origin = account.key(0, 4242), account.key_origin(0, 4242)
    if one.tap_bip32_derivations:
        one.tap_bip32_derivations.clear()
        one.tap_bip32_derivations[key[1:]] = ((), origin)
        one.tap_internal_key = key[1:]
    else:
        one.bip32_derivations.clear()
        one.bip32_derivations[key] = origin
    return psbt


def _hostile(scheme: Scheme, twist: Twist) -> Callable[[PsbtSigner, Profile], None]:
    def run(signer: PsbtSigner, profile: Profile) -> None:
        if scheme not in profile.schemes:
            return
        account = account_of(signer, profile, scheme)
        _refused(signer, twist(question([Spend(account)], salt=77), account))

    return run


def _refused(signer: PsbtSigner, asked: Psbt) -> None:
    try:
        answer = signer.sign_psbt(asked.copy())
    except BursarError:
        return
    demand(isinstance(answer, Psbt), f"it answered with {type(answer).__name__}")
    added = [key for one in answer.inputs for key in one.fields if key[0] in _SIGNATURES]
    demand(not added, "it signed a request that it must refuse")


def a_strangers_psbt(signer: PsbtSigner, profile: Profile) -> None:
    """Nothing of ours to sign is an error, not an answer that looks like success."""
    asked = question([Spend(stranger(profile, profile.schemes[0]))])
    try:
        answer = signer.sign_psbt(asked.copy())
    except BursarError:
        return
    demand(answer == asked, "it changed a psbt that has nothing to sign for it")


_SEGWIT = (Scheme.BIP84, Scheme.BIP49)
_ALL_SCHEMES = tuple(Scheme)
_TWISTS: tuple[tuple[str, tuple[Scheme, ...], Twist], ...] = (
    ("hash-type-none", _ALL_SCHEMES, a_hash_type(NONE)),
    ("hash-type-single", _ALL_SCHEMES, a_hash_type(SINGLE)),
    ("hash-type-anyone-can-pay", _ALL_SCHEMES, a_hash_type(ALL | ANYONECANPAY)),
    ("hash-type-unknown", _ALL_SCHEMES, a_hash_type(0x04)),
    ("outpoint-twice", _ALL_SCHEMES, the_same_outpoint_twice),
    ("previous-transaction-of-another", (Scheme.BIP44, *_SEGWIT), another_previous_transaction),
    ("output-not-there", (Scheme.BIP44, *_SEGWIT), an_output_that_is_not_there),
    ("amount-that-lies", _SEGWIT, another_amount),
    ("redeem-script-that-lies", (Scheme.BIP49,), another_redeem_script),
    ("legacy-without-previous-transaction", (Scheme.BIP44,), a_witness_utxo_alone),
    ("path-that-lies", _ALL_SCHEMES, a_path_that_lies),
    ("key-not-in-the-script", _ALL_SCHEMES, a_key_not_in_the_script),
)

CASES = (
    *(
        Case(f"refuses-{name}-{scheme.name.lower()}", PsbtSigner, _hostile(scheme, twist))
        for name, schemes, twist in _TWISTS
        for scheme in schemes
    ),
    Case("refuses-a-strangers-psbt", PsbtSigner, a_strangers_psbt),
)
