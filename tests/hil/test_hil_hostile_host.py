"""A hostile PSBT, put to our checks with a real wire behind them: it is refused before the device is asked anything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from bursar_devices.humans import approve, shows_address, spellings
from hil_faces import account_of

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.sighash import ALL, ANYONECANPAY, NONE, SINGLE
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import BursarError, InvalidInputError, SignerError
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_signatures
from bursar.signing.conformance.case import Profile
from bursar.signing.conformance.hostile_cases import (
    a_hash_type,
    a_key_not_in_the_script,
    a_path_that_lies,
    an_output_that_is_not_there,
    another_amount,
    another_previous_transaction,
    another_redeem_script,
    the_same_outpoint_twice,
)
from bursar.signing.conformance.questions import STRANGER_SCRIPT, VALUE, Spend, question, stranger

pytestmark = pytest.mark.needs("bitcoin", "p2wpkh")
Twist = Callable[[Psbt, BitcoinAccount], Psbt]


def with_outputs(psbt: Psbt, *outputs: TxOut) -> Psbt:
    """The same inputs, other outputs."""
    tx = psbt.tx
    changed = Psbt(Transaction(tx.version, tx.inputs, outputs, tx.locktime))
    for mine, theirs in zip(changed.inputs, psbt.inputs, strict=True):
        mine.fields.update(theirs.fields)
    return changed


def change_to(script: bytes, key: bytes, origin: KeyOrigin) -> Twist:
    def twist(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
        changed = with_outputs(psbt, psbt.tx.outputs[0], TxOut(Sats(49_000), script))
        changed.outputs[1].bip32_derivations[key] = origin
        return changed

    return twist


def change_at(branch: int, index: int) -> Twist:
    def twist(psbt: Psbt, account: BitcoinAccount) -> Psbt:
        key, origin = account.key(branch, index), account.key_origin(branch, index)
        return change_to(account.script(branch, index), key, origin)(psbt, account)

    return twist


def change_whose_path_lies(psbt: Psbt, account: BitcoinAccount) -> Psbt:
    return change_to(account.script(1, 8), account.key(1, 8), account.key_origin(1, 7))(psbt, account)


def change_whose_script_is_anothers(psbt: Psbt, account: BitcoinAccount) -> Psbt:
    return change_to(STRANGER_SCRIPT, account.key(1, 7), account.key_origin(1, 7))(psbt, account)


def an_amount_too_low(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    output = psbt.inputs[0].witness_utxo
    assert output is not None
    psbt.inputs[0].witness_utxo = TxOut(Sats(output.value - 1), output.script)
    return psbt


def no_previous_transaction(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    psbt.inputs[0].non_witness_utxo = None
    return psbt


def no_utxo_at_all(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    psbt.inputs[0].non_witness_utxo = psbt.inputs[0].witness_utxo = None
    return psbt


def more_out_than_in(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    return with_outputs(psbt, TxOut(Sats(VALUE + 1), STRANGER_SCRIPT))


def ten_coins_of_fee(psbt: Psbt, account: BitcoinAccount) -> Psbt:
    """9.9 of 10 BTC."""
    before = psbt.inputs[0].non_witness_utxo
    assert before is not None
    rich = Transaction(2, before.inputs, (TxOut(Sats(10 * 10**8), account.script(0, 0)),), 0)
    spent = TxIn(OutPoint(rich.txid, 0), b"", 0xFFFFFFFD)
    changed = Psbt(Transaction(2, (spent,), (TxOut(Sats(10**7), STRANGER_SCRIPT),), 0))
    changed.inputs[0].fields.update(psbt.inputs[0].fields)
    changed.inputs[0].non_witness_utxo, changed.inputs[0].witness_utxo = rich, rich.outputs[0]
    return changed


def a_fee_of_almost_all(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    """99 percent of 100,000 sat."""
    return with_outputs(psbt, TxOut(Sats(VALUE // 100), STRANGER_SCRIPT))


def no_key_of_ours(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    psbt.inputs[0].bip32_derivations.clear()
    return psbt


def a_key_of_another_coin(psbt: Psbt, account: BitcoinAccount) -> Psbt:
    """An Ethereum path under our fingerprint."""
    origin = KeyOrigin(account.origin.fingerprint, DerivationPath.from_text("m/44h/60h/0h/0/0"))
    for key in psbt.inputs[0].bip32_derivations:
        psbt.inputs[0].bip32_derivations[key] = origin
    return psbt


def a_stranger_alone(psbt: Psbt, _account: BitcoinAccount) -> Psbt:
    from bursar.keys.scheme import Scheme

    return question([Spend(stranger(Profile(), Scheme.BIP84))])


@dataclass(frozen=True)
class Row:
    """One row of what devices were measured to do, and the code with which we refuse."""

    twist: Twist
    code: str


ROWS = {
    "the same outpoint twice": Row(the_same_outpoint_twice, "input.psbt.duplicate-input"),
    "change at index 2^31-1": Row(change_at(1, 2**31 - 1), "input.psbt.change"),
    "change at index 1000001": Row(change_at(1, 1_000_001), "input.psbt.change"),
    "change whose path lies": Row(change_whose_path_lies, "input.psbt.change"),
    "change whose script is another's": Row(change_whose_script_is_anothers, "input.psbt.change"),
    "an amount too high": Row(another_amount, "input.psbt.utxo"),
    "an amount too low": Row(an_amount_too_low, "input.psbt.utxo"),
    "a previous transaction altered": Row(another_previous_transaction, "input.psbt.utxo"),
    "an output that is not there": Row(an_output_that_is_not_there, "input.psbt.utxo"),
    "no previous transaction": Row(no_previous_transaction, "input.psbt.utxo"),
    "no utxo at all": Row(no_utxo_at_all, "input.psbt.utxo"),
    "outputs above the inputs": Row(more_out_than_in, "input.psbt.fee"),
    "a fee of 99 percent": Row(a_fee_of_almost_all, "input.psbt.fee"),
    "a fee of 9.9 btc": Row(ten_coins_of_fee, "input.psbt.fee"),
    "sighash none": Row(a_hash_type(NONE), "input.psbt.sighash"),
    "sighash single": Row(a_hash_type(SINGLE), "input.psbt.sighash"),
    "sighash single, anyone can pay": Row(a_hash_type(SINGLE | ANYONECANPAY), "input.psbt.sighash"),
    "sighash all, anyone can pay": Row(a_hash_type(ALL | ANYONECANPAY), "input.psbt.sighash"),
    "sighash 4": Row(a_hash_type(4), "input.psbt.sighash"),
    "a redeem script that lies": Row(another_redeem_script, "input.psbt.script"),
    "a key that is not in the script": Row(a_key_not_in_the_script, "input.psbt.key"),
    "a path that lies about its key": Row(a_path_that_lies, "input"),
    "no derivation": Row(no_key_of_ours, "input.psbt.nothing-to-sign"),
    "a path of another coin": Row(a_key_of_another_coin, "input.psbt.key"),
    "only a stranger's input": Row(a_stranger_alone, "input.psbt.nothing-to-sign"),
}


@pytest.fixture
def asked(signer: Any, bench_device: Any, sandbox: Any) -> Any:
    """A function that puts a twisted question to the signer, and the pages it led to."""
    bench_device.human = approve()
    account = account_of(signer, "p2wpkh", 0, sandbox)

    def ask(twist: Twist) -> BursarError:
        before = len(bench_device.pages)
        try:
            request_signatures(
                signer, twist(question([Spend(account)], fee=500, change=account), account), account=account
            )
        except BursarError as error:
            assert bench_device.pages[before:] == [], "the device was asked"
            return error
        raise AssertionError("it was signed")

    return ask


def test_every_row_is_refused_before_the_device_is_asked(asked: Any) -> None:
    found = {name: asked(row.twist) for name, row in ROWS.items()}
    wrong = {
        name: f"{type(error).__name__} {error.code}: {error.message}"
        for name, error in found.items()
        if not error.code.startswith(ROWS[name].code) or not isinstance(error, InvalidInputError)
    }
    assert not wrong


PAYMENTS = {
    "change on the receiving branch": (0, 3, 0),
    "change on branch 7": (7, 3, 0),
    "change of another account": (1, 3, 1),
    "change of account 150": (1, 3, 150),
}


@pytest.mark.parametrize("name", PAYMENTS)
def test_what_is_no_change_is_shown_as_a_payment(
    name: str, signer: Any, bench_device: Any, sandbox: Any, attend: Any
) -> None:
    """However much it may be ours: the human sees its address, whatever the device would hide."""
    branch, index, number = PAYMENTS[name]
    account = account_of(signer, "p2wpkh", 0, sandbox)
    with attend(approve()):  # a ledger asks before it tells the key of an account above 100
        other = account_of(signer, "p2wpkh", number, sandbox)
    script = other.script(branch, index)
    twist = change_to(script, other.key(branch, index), other.key_origin(branch, index))
    address = str(Address.from_script(script, Network.REGTEST))
    with attend(approve()) as pages:
        signed = request_signatures(signer, twist(question([Spend(account)], change=account), account), account=account)
    assert signed.inputs[0].partial_sigs
    assert shows_address(pages, spellings(address)), pages


def test_a_missing_witness_utxo_is_filled_in(signer: Any, sandbox: Any, attend: Any) -> None:
    """The previous transaction says it all: not a reason to refuse, and no device is left to miss it."""
    account = account_of(signer, "p2wpkh", 0, sandbox)
    psbt = question([Spend(account)], change=account)
    psbt.inputs[0].witness_utxo = None
    with attend(approve()):
        assert request_signatures(signer, psbt, account=account).inputs[0].partial_sigs


def test_an_input_of_a_stranger_beside_ours(signer: Any, bench_device: Any, sandbox: Any) -> None:
    """Refused, or signed with the stranger's input untouched: never silently taken for ours."""
    account = account_of(signer, "p2wpkh", 0, sandbox)
    theirs = Spend(stranger(Profile(), account.scheme))
    bench_device.human = approve()
    try:
        signed = request_signatures(signer, question([Spend(account), theirs], change=account), account=account)
    except (InvalidInputError, SignerError):
        return
    assert not signed.inputs[1].partial_sigs
    assert any(humans_warned(page.title + page.text) for page in bench_device.pages)


def humans_warned(text: str) -> bool:
    return "external" in text.lower() or "unverified" in text.lower() or "warning" in text.lower()


@pytest.mark.needs("passphrase")
@pytest.mark.parametrize(
    ("text", "fits"), [("é" * 17, False), ("é" * 16 + "ab", True), ("x" * 51, False), (" a ", True)]
)
def test_a_passphrase_longer_than_the_device_takes(make_device: Any, text: str, fits: bool) -> None:
    """Fifty bytes after NFKD: counted before the device is asked, and never trimmed."""
    from bursar_devices.device import selector_of
    from bursar_devices.prompting import BenchPrompt

    from bursar.signing.registry import Registry

    device = make_device(passphrase_protection=True)
    device.human = approve()
    prompt = BenchPrompt({"passphrase": text})
    if fits:
        with contextlib.closing(Registry.installed().open(selector_of(device), prompt)) as signer:
            assert signer.info.fingerprint is not None
        return
    with pytest.raises(BursarError, match="accepts 50"):
        Registry.installed().open(selector_of(device), prompt)
