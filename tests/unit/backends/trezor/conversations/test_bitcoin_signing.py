"""A PSBT told to a Trezor: what is expressed, what is change, and everything that is refused before it is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from trezorlib import messages as m

from bursar.backends.trezor.abilities import Firmware
from bursar.bitcoin import script as scripts
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.sighash import ALL, NONE
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import public_key
from bursar.errors import BursarError, InvalidInputError, UnsupportedError
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, question, stranger

GET_PUBLIC_KEY = m.GetPublicKey.MESSAGE_WIRE_TYPE


def kernel(psbt: Psbt, signed: Psbt) -> None:
    """Every input under libbitcoinkernel with all its rules."""
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
    spent = [psbt.utxo(index) for index in range(len(psbt.inputs))]
    outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in spent]
    tx = pbk.Transaction(extract(finalize(signed)).serialize())
    shared = pbk.script.PrecomputedTransactionData(tx, outputs)
    for place, one in enumerate(spent):
        flags = pbk.ScriptVerificationFlags.ALL
        assert pbk.ScriptPubkey(one.script).verify(int(one.value), tx, shared, place, flags)


def paying(psbt: Psbt, *outputs: tuple[int, bytes]) -> Psbt:
    """The same inputs, other outputs."""
    tx = psbt.tx
    rebuilt = Psbt(Transaction(tx.version, tx.inputs, [TxOut(Sats(value), one) for value, one in outputs], tx.locktime))
    for one, before in zip(rebuilt.inputs, psbt.inputs, strict=True):
        one.fields.update(before.fields)
    return rebuilt


def refused(signer: Any, psbt: Psbt, code: str, *words: str) -> BursarError:
    """It is refused, and the device saw nothing but questions for public keys."""
    before = len(signer.device.heard)
    with pytest.raises((InvalidInputError, UnsupportedError)) as caught:
        signer.sign_psbt(psbt)
    assert caught.value.code == code
    assert all(word in caught.value.message for word in words), caught.value.message
    assert {kind for kind, _ in signer.device.heard[before:]} <= {GET_PUBLIC_KEY}
    return caught.value


@pytest.fixture
def signer(trezor: SimpleNamespace) -> Any:
    return trezor.signer()


@pytest.mark.parametrize("scheme", list(Scheme), ids=lambda one: one.name)
@pytest.mark.parametrize("network", [Network.MAIN, Network.REGTEST], ids=str)
def test_each_scheme_signs_for_the_kernel(trezor: SimpleNamespace, scheme: Scheme, network: Network) -> None:
    account = trezor.account(scheme, network=network)
    psbt = question([Spend(account, number % 2, number) for number in range(4)], change=account)
    signer = trezor.signer(network=network)
    kernel(psbt, request_signatures(signer, psbt, account=account))
    assert [list(one.address_n) for one in signer.device.outputs] == [[], list(account.path(1, 3))]


def test_accounts_and_script_types_mix(trezor: SimpleNamespace, signer: Any) -> None:
    accounts = [trezor.account(scheme, number) for scheme in Scheme for number in (0, 1, 100)]
    psbt = question([Spend(account, 1, 5) for account in accounts], change=accounts[4])
    kernel(psbt, request_signatures(signer, psbt))


@pytest.mark.parametrize(
    ("network", "firmware", "coin"),
    [
        (Network.MAIN, "modern", "Bitcoin"),
        (Network.TESTNET, "modern", "Testnet"),
        (Network.TESTNET4, "modern", "Testnet"),
        (Network.SIGNET, "modern", "Testnet"),
        (Network.SIGNET, (2, 12, 1), "Signet"),
        (Network.REGTEST, "one", "Regtest"),
        (None, "modern", "Testnet"),
    ],
)
def test_coin_names(trezor: SimpleNamespace, network: Network | None, firmware: Any, coin: str) -> None:
    made = Firmware("T3T1", firmware) if isinstance(firmware, tuple) else getattr(trezor, firmware)
    signer = trezor.signer(made, network)
    account = trezor.account(network=network or Network.TESTNET)
    request_signatures(signer, question([Spend(account)]))
    (asked,) = [data for kind, data in signer.device.heard if kind == m.SignTx.MESSAGE_WIRE_TYPE]
    assert coin.encode() in asked


def test_taproot_alone_needs_no_previous_transaction(trezor: SimpleNamespace, signer: Any) -> None:
    account = trezor.account(Scheme.BIP86)
    psbt = question([Spend(account), Spend(account, 1, 1)])
    for one in psbt.inputs:
        one.non_witness_utxo = None
    kernel(psbt, request_signatures(signer, psbt))


def test_taproot_beside_another_needs_every_previous_transaction(trezor: SimpleNamespace, signer: Any) -> None:
    psbt = question([Spend(trezor.account(Scheme.BIP86)), Spend(trezor.account())])
    psbt.inputs[0].non_witness_utxo = None
    refused(signer, psbt, "input.psbt.utxo", "input 0", "previous transaction")


def test_two_coins_of_one_transaction(trezor: SimpleNamespace, signer: Any) -> None:
    account = trezor.account()
    funding = question([Spend(account)]).inputs[0].non_witness_utxo
    assert funding is not None
    script = account.script(0, 0)
    before = Transaction(1, funding.inputs, [TxOut(Sats(50_000), script), TxOut(Sats(60_000), script)], 9)
    inputs = [TxIn(OutPoint(before.txid, vout), b"", 0xFFFFFFFF) for vout in (1, 0)]
    psbt = Psbt(Transaction(1, inputs, [TxOut(Sats(109_000), scripts.p2wsh(bytes(32)))], 0))
    for one, vout in zip(psbt.inputs, (1, 0), strict=True):
        one.non_witness_utxo, one.witness_utxo = before, before.outputs[vout]
        one.bip32_derivations[account.key(0, 0)] = account.key_origin(0, 0)
    kernel(psbt, request_signatures(signer, psbt))


def test_every_address_type_is_paid(trezor: SimpleNamespace, signer: Any) -> None:
    paid = (
        scripts.p2pkh(b"\1" * 20),
        scripts.p2sh(b"\2" * 20),
        scripts.p2wpkh(b"\3" * 20),
        scripts.p2wsh(b"\4" * 32),
        scripts.p2tr(public_key(b"\5" * 32)[1:]),
    )
    psbt = paying(question([Spend(trezor.account())]), *[(10_000, one) for one in paid])
    kernel(psbt, request_signatures(signer, psbt))


@pytest.mark.parametrize("data", [b"", b"\x01", b"hello", b"x" * 75, b"y" * 76, b"z" * 80])
def test_op_return(trezor: SimpleNamespace, signer: Any, data: bytes) -> None:
    psbt = paying(question([Spend(trezor.account())]), (0, scripts.op_return(data)), (99_000, scripts.p2wsh(bytes(32))))
    kernel(psbt, request_signatures(signer, psbt))


@pytest.mark.parametrize(
    "script",
    [
        b"\x6a",
        b"\x6a\x51",
        b"\x6a\x4c\x01a",
        b"\x6a\x01a\x01b",
        b"\x6a\x05abc",
        b"\x51\x02\x4e\x73",
        b"\x52\x20" + bytes(32),
        b"\x00\x15" + bytes(21),
        b"\x21" + public_key(b"\5" * 32) + b"\xac",
        b"\x51",
        b"",
    ],
    ids=bytes.hex,
)
def test_scripts_without_an_address_are_refused(trezor: SimpleNamespace, signer: Any, script: bytes) -> None:
    psbt = paying(question([Spend(trezor.account())]), (0, script), (99_000, scripts.p2wsh(bytes(32))))
    refused(signer, psbt, "signer.unsupported", "output 0")


def test_op_return_burns_nothing(trezor: SimpleNamespace, signer: Any) -> None:
    psbt = paying(question([Spend(trezor.account())]), (1, scripts.op_return(b"x")))
    refused(signer, psbt, "input.psbt.output", "burns 1 sat")


# --- change ---


def changed(trezor: SimpleNamespace, account: Any, branch: int, index: int) -> Psbt:
    """One input of the first account; the second output names ``branch/index`` of ``account`` and pays it."""
    psbt = question([Spend(trezor.account())])
    psbt = paying(psbt, (50_000, scripts.p2wsh(bytes(32))), (49_000, account.script(branch, index)))
    key, origin = account.key(branch, index), account.key_origin(branch, index)
    if account.scheme is Scheme.BIP86:
        psbt.outputs[1].tap_internal_key = key[1:]
        psbt.outputs[1].tap_bip32_derivations[key[1:]] = ((), origin)
    else:
        psbt.outputs[1].bip32_derivations[key] = origin
        if account.scheme is Scheme.BIP49:
            psbt.outputs[1].redeem_script = scripts.p2wpkh(hash160(key))
    return psbt


@pytest.mark.parametrize("index", [0, 3, 100_000])
def test_change_is_told_by_its_path(trezor: SimpleNamespace, signer: Any, index: int) -> None:
    account = trezor.account()
    psbt = changed(trezor, account, 1, index)
    kernel(psbt, request_signatures(signer, psbt))
    assert list(signer.device.outputs[1].address_n) == list(account.path(1, index))
    assert signer.device.outputs[1].script_type == m.OutputScriptType.PAYTOWITNESS


@pytest.mark.parametrize(
    ("scheme", "number", "branch", "index"),
    [
        (Scheme.BIP84, 0, 0, 3),
        (Scheme.BIP84, 0, 7, 3),
        (Scheme.BIP84, 0, 1, 100_001),
        (Scheme.BIP84, 0, 1, 2**31 - 1),
        (Scheme.BIP84, 1, 1, 3),
        (Scheme.BIP84, 150, 1, 3),
        (Scheme.BIP86, 0, 1, 3),
        (Scheme.BIP49, 0, 1, 3),
    ],
)
def test_what_is_no_change_is_shown(
    trezor: SimpleNamespace, signer: Any, scheme: Scheme, number: int, branch: int, index: int
) -> None:
    """The receiving branch, odd places, other accounts: the device shows the address, whoever may own it."""
    psbt = changed(trezor, trezor.account(scheme, number), branch, index)
    kernel(psbt, request_signatures(signer, psbt))
    assert not signer.device.outputs[1].address_n
    assert signer.device.outputs[1].address.startswith(("bcrt1", "2"))


def test_change_of_a_strangers_key_is_shown(trezor: SimpleNamespace, signer: Any) -> None:
    psbt = changed(trezor, stranger(Profile(), Scheme.BIP84), 1, 3)
    kernel(psbt, request_signatures(signer, psbt))
    assert signer.device.outputs[1].address.startswith("bcrt1")


def test_change_that_lies_is_refused(trezor: SimpleNamespace, signer: Any) -> None:
    account = trezor.account()
    psbt = changed(trezor, account, 1, 3)
    psbt.outputs[1].bip32_derivations[account.key(1, 3)] = account.key_origin(1, 4)
    refused(signer, psbt, "input.psbt.change", "output 1", "m/84h/1h/0h/1/4")


def test_change_of_another_script_type_of_the_account_is_refused(trezor: SimpleNamespace, signer: Any) -> None:
    account = trezor.account()
    psbt = changed(trezor, account, 1, 3)
    twisted = paying(psbt, (50_000, scripts.p2wsh(bytes(32))), (49_000, scripts.p2pkh(hash160(account.key(1, 3)))))
    twisted.outputs[1].fields.update(psbt.outputs[1].fields)
    refused(signer, twisted, "input.psbt.change", "output 1")


# --- inputs ---


def test_an_input_of_nobody_is_refused(trezor: SimpleNamespace, signer: Any) -> None:
    psbt = question([Spend(trezor.account()), Spend(stranger(Profile(), Scheme.BIP84))])
    refused(signer, psbt, "input.psbt.external", "input 1", "sign and finalize")
    psbt = question([Spend(stranger(Profile(), Scheme.BIP84))])
    refused(signer, psbt, "input.psbt.nothing-to-sign", str(trezor.fingerprint))


def presigned(trezor: SimpleNamespace, scheme: Scheme = Scheme.BIP84) -> Psbt:
    """Two inputs of ours, the first of which is signed already and final."""
    account = trezor.account(scheme)
    psbt = question([Spend(account, 0, 0), Spend(account, 0, 1)])
    final = finalize(request_signatures(trezor.signer(), psbt))
    psbt.inputs[0] = final.inputs[0]
    return psbt


@pytest.mark.parametrize("scheme", list(Scheme), ids=lambda one: one.name)
def test_an_input_signed_already_needs_leave(trezor: SimpleNamespace, scheme: Scheme) -> None:
    psbt = presigned(trezor, scheme)
    refused(trezor.signer(), psbt, "input.psbt.external", "input 0", "allow external inputs")
    signer = trezor.signer(external_inputs=True)
    kernel(psbt, request_signatures(signer, psbt))
    told = signer.device.inputs[0]
    assert told.script_type == m.InputScriptType.EXTERNAL
    assert told.script_pubkey == psbt.utxo(0).script
    assert bool(told.script_sig) == (scheme in (Scheme.BIP44, Scheme.BIP49))
    assert bool(told.witness) == (scheme is not Scheme.BIP44)


def test_a_trezor_one_takes_no_external_input(trezor: SimpleNamespace) -> None:
    signer = trezor.signer(trezor.one, external_inputs=True)
    refused(signer, presigned(trezor), "signer.unsupported", "input 0 is external")
    lax = trezor.signer(trezor.one, external_inputs=True, strict=False)
    psbt = presigned(trezor)
    kernel(psbt, request_signatures(lax, psbt))
    psbt.inputs[0].final_witness = (bytes(72), bytes(37))
    refused(lax, psbt, "signer.unsupported", "longer witness")


def test_everything_signed_is_nothing_to_sign(trezor: SimpleNamespace, signer: Any) -> None:
    psbt = question([Spend(trezor.account())])
    refused(signer, signer.sign_psbt(psbt), "input.psbt.nothing-to-sign", "signed already")


def test_a_path_that_lies_is_refused(trezor: SimpleNamespace, signer: Any) -> None:
    account = trezor.account()
    psbt = question([Spend(account)])
    (key,) = psbt.inputs[0].bip32_derivations
    psbt.inputs[0].bip32_derivations[key] = account.key_origin(0, 1)
    refused(signer, psbt, "input.psbt.key", "not this trezor's at m/84h/1h/0h/0/1")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("m", "like m/84h"),
        ("m/0", "like m/84h"),
        ("m/84h/1h/0h", "like m/84h"),
        ("m/84h/1h/0h/0", "like m/84h"),
        ("m/84/1h/0h/0/0", "like m/84h"),
        ("m/44h/60h/0h/0/0", "coin type"),
        ("m/84h/0h/0h/0/0", "coin type"),
        ("m/84h/1h/101h/0/0", "account"),
        ("m/84h/1h/0/0/0", "account"),
        ("m/84h/1h/0h/2/0", "branch"),
        ("m/84h/1h/0h/0h/0", "branch"),
        ("m/84h/1h/0h/0/1000001", "index"),
        ("m/84h/1h/0h/0/0h", "index"),
        ("m/85h/1h/0h/0/0", "like m/84h"),
        ("m/10025h/1h/0h/1h/0/0", "like m/84h"),
    ],
)
def test_forbidden_paths_are_refused_without_a_question(
    trezor: SimpleNamespace, signer: Any, path: str, word: str
) -> None:
    psbt = question([Spend(trezor.account())])
    (key,) = psbt.inputs[0].bip32_derivations
    origin = KeyOrigin(trezor.fingerprint, DerivationPath.from_text(path))
    psbt.inputs[0].bip32_derivations[key] = origin
    before = len(signer.device.heard)
    refused(signer, psbt, "input.path", word)
    assert len(signer.device.heard) == before


def test_lax_safety_checks_allow_odd_paths(trezor: SimpleNamespace) -> None:
    signer = trezor.signer(strict=False)
    account = trezor.account(number=4242)
    psbt = question([Spend(account, 5, 2_000_000)], change=account)
    kernel(psbt, request_signatures(signer, psbt))


def test_known_keys_are_not_asked_again(trezor: SimpleNamespace) -> None:
    account = trezor.account()
    signer = trezor.signer(known={account.origin.path.indexes: account.xpub})
    before = len(signer.device.heard)
    request_signatures(signer, question([Spend(account)], change=account))
    assert GET_PUBLIC_KEY not in {kind for kind, _ in signer.device.heard[before:]}


def break_sighash(psbt: Psbt) -> None:
    psbt.inputs[0].sighash_type = NONE


def break_redeem(psbt: Psbt) -> None:
    psbt.inputs[0].redeem_script = scripts.p2wpkh(bytes(20))


def break_tree(psbt: Psbt) -> None:
    psbt.inputs[0].tap_merkle_root = bytes(32)


def break_taproot_all(psbt: Psbt) -> None:
    psbt.inputs[0].sighash_type = ALL


def break_leaf(psbt: Psbt) -> None:
    one = psbt.inputs[0]
    ((key, (_, origin)),) = one.tap_bip32_derivations.items()
    one.tap_bip32_derivations[key] = ((bytes(32),), origin)


@pytest.mark.parametrize(
    ("scheme", "spoil", "code", "word"),
    [
        (Scheme.BIP84, break_sighash, "input.psbt.sighash", "0x02"),
        (Scheme.BIP86, break_sighash, "input.psbt.sighash", "0x02"),
        (Scheme.BIP86, break_taproot_all, "input.psbt.sighash", "DEFAULT"),
        (Scheme.BIP84, break_redeem, "input.psbt.script", "redeem script"),
        (Scheme.BIP49, break_redeem, "input.psbt.script", "redeem script"),
        (Scheme.BIP86, break_tree, "input.psbt.script", "script tree"),
        (Scheme.BIP86, break_leaf, "input.psbt.nothing-to-sign", "names a key"),
    ],
)
def test_inputs_it_cannot_express(
    trezor: SimpleNamespace, signer: Any, scheme: Scheme, spoil: Callable[[Psbt], None], code: str, word: str
) -> None:
    psbt = question([Spend(trezor.account(scheme))])
    spoil(psbt)
    refused(signer, psbt, code, word)


def test_old_firmware_knows_no_taproot(trezor: SimpleNamespace) -> None:
    old = trezor.signer(Firmware("T2T1", (2, 4, 2)))
    refused(old, question([Spend(trezor.account(Scheme.BIP86))]), "signer.unsupported", "input 0 is taproot")
    paid = paying(question([Spend(trezor.account())]), (1000, scripts.p2tr(public_key(b"\5" * 32)[1:])))
    refused(old, paid, "signer.unsupported", "output 0")


def test_limits_of_a_trezor_one(trezor: SimpleNamespace) -> None:
    account = trezor.account()
    signer = trezor.signer(trezor.one)
    psbt = question([Spend(account, 0, 0)] * 513)
    refused(signer, psbt, "signer.unsupported", "513 inputs")
    with_long = with_previous(
        question([Spend(account)]), lambda before: (*before.outputs, TxOut(Sats(0), b"\x51" * 521))
    )
    refused(signer, with_long, "signer.unsupported", "script longer")
    request_signatures(trezor.signer(), with_long)


def with_previous(psbt: Psbt, outputs: Callable[[Transaction], Sequence[TxOut]]) -> Psbt:
    """The only input's previous transaction with other outputs, and the PSBT that spends it."""
    one = psbt.inputs[0]
    before = one.non_witness_utxo
    assert before is not None
    other = Transaction(before.version, before.inputs, outputs(before), before.locktime)
    spending = TxIn(OutPoint(other.txid, 1), b"", psbt.tx.inputs[0].sequence)
    rebuilt = Psbt(Transaction(2, [spending], psbt.tx.outputs, 0))
    rebuilt.inputs[0].fields.update(one.fields)
    rebuilt.inputs[0].non_witness_utxo = other
    return rebuilt


def test_networks_do_not_mix(trezor: SimpleNamespace) -> None:
    refused(trezor.signer(network=Network.MAIN), question([Spend(trezor.account())]), "input.path", "coin type is 0h")
    mixed = question([Spend(trezor.account()), Spend(trezor.account(network=Network.MAIN))])
    refused(trezor.signer(network=None), mixed, "input.path", "coin type is 1h")
