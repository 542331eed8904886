"""The software signer, every signature of it judged by a second implementation."""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from typing import Any

import ecdsa
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.software import SoftwareSigner, checked, psbt_inputs
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.message import message_digest
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.script import p2sh, p2tr, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import taproot_output_key
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, SignerError, SignerUnavailableError, UnsupportedError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.conformance.questions import Spend, question
from bursar.signing.protocols import (
    AddressDisplay,
    EthereumSigner,
    MessageSigner,
    PersonalMessageSigner,
    PsbtSigner,
)

Accounts = Callable[..., BitcoinAccount]
SOMEBODY = Address(b"\x11" * 20)
ETHEREUM = DerivationPath.from_text("m/44h/60h/0h")
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"


def spent_by(psbt: Psbt) -> list[TxOut]:
    return [psbt.utxo(index) for index in range(len(psbt.inputs))]


def test_it_is_every_kind_of_signer_but_has_no_display(signer: SoftwareSigner) -> None:
    for kind in (PsbtSigner, EthereumSigner, MessageSigner, PersonalMessageSigner):
        assert isinstance(signer, kind)
    assert not isinstance(signer, AddressDisplay)


@pytest.mark.parametrize("low_r", [True, False])
def test_libbitcoinkernel_accepts_every_kind_of_input(
    make: Callable[..., SoftwareSigner], account: Accounts, kernel_verify: Callable[..., None], low_r: bool
) -> None:
    spends = [Spend(account(scheme), branch, index) for scheme in Scheme for branch in (0, 1) for index in range(3)]
    psbt = question(spends, change=account())
    tx = extract(finalize(make(low_r=low_r).sign_psbt(psbt)))
    kernel_verify(tx, spent_by(psbt))


def test_ecdsa_verifies_every_ecdsa_signature(signer: SoftwareSigner, account: Accounts) -> None:
    psbt = question([Spend(account(scheme), 0, index) for scheme in list(Scheme)[:3] for index in range(5)])
    digests = InputDigests(psbt)
    for index, one in enumerate(signer.sign_psbt(psbt).inputs):
        ((key, value),) = one.partial_sigs.items()
        verifier = ecdsa.VerifyingKey.from_string(key, curve=ecdsa.SECP256k1)
        assert verifier.verify_digest(value[:-1], digests.digest(index).digest, sigdecode=ecdsa.util.sigdecode_der)
        r, s = ecdsa.util.sigdecode_der(value[:-1], ecdsa.SECP256k1.order)
        assert s <= ecdsa.SECP256k1.order // 2
        assert r < 1 << 255


def test_embit_makes_the_same_signatures(signer: SoftwareSigner, account: Accounts) -> None:
    from embit import bip32, bip39
    from embit.psbt import PSBT

    psbt = question([Spend(account(scheme), 0, index) for scheme in list(Scheme)[:3] for index in range(3)])
    theirs = PSBT.parse(psbt.serialize())
    assert theirs.sign_with(bip32.HDKey.from_seed(bip39.mnemonic_to_seed(WORDS))) == len(psbt.inputs)
    for mine, other in zip(signer.sign_psbt(psbt).inputs, theirs.inputs, strict=True):
        assert dict(mine.partial_sigs) == {key.sec(): value for key, value in other.partial_sigs.items()}


def test_low_r_is_the_default_and_can_be_left_off(make: Callable[..., SoftwareSigner], account: Accounts) -> None:
    psbt = question([Spend(account(), 0, index) for index in range(20)])
    ground, plain = make().sign_psbt(psbt), make(low_r=False).sign_psbt(psbt)
    sizes = [[len(value) for one in signed.inputs for value in one.partial_sigs.values()] for signed in (ground, plain)]
    assert max(sizes[0]) == 71
    assert max(sizes[1]) == 72


def test_ecdsa_is_deterministic_and_schnorr_is_hedged(make: Callable[..., SoftwareSigner], account: Accounts) -> None:
    psbt = question([Spend(account(scheme)) for scheme in (Scheme.BIP84, Scheme.BIP86)])
    first, second = make().sign_psbt(psbt), make().sign_psbt(psbt)
    assert first.inputs[0] == second.inputs[0]
    assert first.inputs[1] != second.inputs[1]


@pytest.fixture
def bip174() -> SoftwareSigner:
    """BIP-174's master key; its signatures are not ground for a low R."""
    text = (
        "tprv8ZgxMBicQKsPd9TeAdPADNnSyH9SSUUbTVeFszDE23Ki6TBB5nCefAdHkK8"
        "Fm3qMQR6sHwA56zqRmKmxnHk37JkiFzvncDqoKmPWubu7hDF"
    )
    return SoftwareSigner(ExtendedPrivateKey.from_text(Secret.from_text(text)), low_r=False)


@pytest.fixture
def bip174_cases(official_vectors: Callable[[str], Any]) -> list[dict[str, str]]:
    cases: list[dict[str, str]] = json.loads(official_vectors("bip/bip0174.json").read_text())["vectors"]
    return cases


def test_bip174s_signers_together(bip174: SoftwareSigner, bip174_cases: list[dict[str, str]]) -> None:
    def case(section: str) -> Psbt:
        return Psbt.from_text(next(case["psbt"] for case in bip174_cases if case["section"].startswith(section)))

    updated, combined = case("An updater which adds SIGHASH_ALL"), case("Given both of the above PSBTs")
    assert bip174.sign_psbt(updated) == combined


def test_bip174s_cases_a_signer_must_refuse(bip174: SoftwareSigner, bip174_cases: list[dict[str, str]]) -> None:
    failing = [case for case in bip174_cases if case["section"] == "Fails Signer checks"]
    assert len(failing) == 4
    refused = 0
    for case in failing:
        psbt = Psbt.from_text(case["psbt"])
        for one in psbt.inputs:  # make every key named ours, so that nothing is refused for being somebody else's
            for key, origin in list(one.bip32_derivations.items()):
                one.bip32_derivations[key] = KeyOrigin(bip174.info.fingerprint or origin.fingerprint, origin.path)
        if not any(len(one.bip32_derivations) for one in psbt.inputs):
            key = bip174.xpub(DerivationPath.from_text("m/0")).key
            psbt.inputs[0].bip32_derivations[key] = KeyOrigin.from_text(f"{bip174.info.fingerprint}/0")
        with pytest.raises(InvalidInputError) as caught:
            bip174.sign_psbt(psbt)
        refused += caught.value.code in ("input.psbt.script", "input.psbt.utxo")
    assert refused == 4


def multisig_question(account: Accounts, wrap: str) -> tuple[Psbt, bytes]:
    """One input of 2-of-2: a key of ours, and another of ours."""
    ours = account()
    keys = [ours.key(0, 0), ours.key(0, 1)]
    script = b"\x52" + b"".join(b"\x21" + key for key in keys) + b"\x52\xae"
    redeem = p2wsh(sha256(script)) if wrap != "p2sh" else script
    locking = redeem if wrap == "p2wsh" else p2sh(hash160(redeem))
    psbt = question([Spend(ours)])
    before = psbt.inputs[0].non_witness_utxo
    assert before is not None
    previous = Transaction(2, before.inputs, (TxOut(before.outputs[1].value, locking),), 0)
    made = Psbt(Transaction(2, (TxIn(OutPoint(previous.txid, 0)),), psbt.tx.outputs, 0))
    one = made.inputs[0]
    one.non_witness_utxo = previous
    if wrap != "p2wsh":
        one.redeem_script = redeem
    if wrap != "p2sh":
        one.witness_script = script
    for index, key in enumerate(keys):
        one.bip32_derivations[key] = ours.key_origin(0, index)
    return made, script


@pytest.mark.parametrize("wrap", ["p2sh", "p2wsh", "p2sh-p2wsh"])
def test_plain_multisig_is_signed_with_every_key_of_ours(
    signer: SoftwareSigner, account: Accounts, wrap: str, kernel_verify: Callable[..., None]
) -> None:
    psbt, _ = multisig_question(account, wrap)
    kernel_verify(extract(finalize(signer.sign_psbt(psbt))), spent_by(psbt))


def test_scripts_nobody_here_understands_are_not_signed(signer: SoftwareSigner, account: Accounts) -> None:
    psbt, script = multisig_question(account, "p2wsh")
    odd = b"\x61" + script
    before = psbt.inputs[0].non_witness_utxo
    assert before is not None
    previous = Transaction(2, before.inputs, (TxOut(before.outputs[0].value, p2wsh(sha256(odd))),), 0)
    made = Psbt(Transaction(2, (TxIn(OutPoint(previous.txid, 0)),), psbt.tx.outputs, 0))
    made.inputs[0].fields.update(psbt.inputs[0].fields)
    made.inputs[0].non_witness_utxo, made.inputs[0].witness_script = previous, odd
    with pytest.raises(UnsupportedError, match="no miniscript"):
        signer.sign_psbt(made)


def test_a_leaf_that_is_named_and_not_shown_gets_no_signature(signer: SoftwareSigner, account: Accounts) -> None:
    ours = account(Scheme.BIP86)
    psbt = question([Spend(ours)])
    psbt.inputs[0].tap_bip32_derivations.clear()
    psbt.inputs[0].tap_bip32_derivations[ours.key(0, 5)[1:]] = ((bytes(32),), ours.key_origin(0, 5))
    with pytest.raises(InvalidInputError) as caught:
        signer.sign_psbt(psbt)
    assert caught.value.code == "input.psbt.nothing-to-sign"


@pytest.mark.parametrize("verify", [True, False])
def test_a_taproot_key_path_with_a_script_tree(
    make: Callable[..., SoftwareSigner], account: Accounts, kernel_verify: Callable[..., None], verify: bool
) -> None:
    ours, root = account(Scheme.BIP86), b"\x07" * 32
    psbt = question([Spend(ours)])
    output_key, _ = taproot_output_key(ours.key(0, 0)[1:], root)
    spent = TxOut(psbt.utxo(0).value, p2tr(output_key))
    psbt.inputs[0].non_witness_utxo = None
    psbt.inputs[0].witness_utxo = spent
    psbt.inputs[0].tap_merkle_root = root
    signer = make(verify_after_sign=verify)
    kernel_verify(extract(finalize(signer.sign_psbt(psbt))), [spent])
    psbt.inputs[0].tap_merkle_root = b"\x08" * 32
    with pytest.raises(InvalidInputError, match="its script does not contain"):
        signer.sign_psbt(psbt)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("scheme", list(Scheme))
def test_a_key_that_is_not_the_one_at_its_path_is_refused(
    make: Callable[..., SoftwareSigner], account: Accounts, scheme: Scheme, verify: bool
) -> None:
    ours = account(scheme)
    psbt = question([Spend(ours)])
    one = psbt.inputs[0]
    for key in one.bip32_derivations:
        one.bip32_derivations[key] = ours.key_origin(0, 1)
    for key in one.tap_bip32_derivations:
        one.tap_bip32_derivations[key] = ((), ours.key_origin(0, 1))
    with pytest.raises(InvalidInputError, match="not ours at its path") as caught:
        make(verify_after_sign=verify).sign_psbt(psbt)
    assert caught.value.code == "input.psbt.key"


def test_more_branches_than_are_kept_open_sign_all_the_same(
    make: Callable[..., SoftwareSigner], account: Accounts
) -> None:
    spends = [Spend(account(), branch, 1) for branch in range(70)]
    psbt = question([*spends, *(Spend(account(), branch, 2) for branch in range(70))])
    signed = make().sign_psbt(psbt)
    finalize(signed)


def test_hardened_and_short_paths_sign(signer: SoftwareSigner, account: Accounts) -> None:
    for text in ("m", "m/5", "m/5h", "m/1/2h"):
        path = DerivationPath.from_text(text)
        digest = hashlib.sha256(text.encode()).digest()
        signature = signer.unsafe_sign_digest(path, digest)
        verifier = ecdsa.VerifyingKey.from_string(signer.xpub(path).key, curve=ecdsa.SECP256k1)
        assert verifier.verify_digest(signature.compact(), digest)


def test_signing_again_adds_nothing_and_says_so(signer: SoftwareSigner, account: Accounts) -> None:
    psbt = question([Spend(account(scheme)) for scheme in Scheme])
    signed = signer.sign_psbt(psbt)
    with pytest.raises(InvalidInputError) as caught:
        signer.sign_psbt(signed)
    assert caught.value.code == "input.psbt.nothing-to-sign"
    with pytest.raises(InvalidInputError, match="names a key of 73c5da0a"):
        signer.sign_psbt(finalize(signed))


def test_xpubs_of_the_specifications(signer: SoftwareSigner) -> None:
    """BIP-84's and BIP-86's own test vectors (zpub written as xpub), same mnemonic."""
    xpub = signer.xpub(DerivationPath.from_text("m/86h/0h/0h"))
    assert str(xpub) == (
        "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ"
    )
    assert str(signer.xpub(DerivationPath.from_text("m/84h/1h/0h"))).startswith("tpub")
    assert str(signer.xpub(ETHEREUM)).startswith("xpub")
    assert str(signer.xpub(DerivationPath.from_text("m/0/1"))).startswith("xpub")


@pytest.fixture
def ethereum(signer: SoftwareSigner) -> EthereumAccount:
    assert signer.info.fingerprint is not None
    return EthereumAccount(1, KeyOrigin(signer.info.fingerprint, ETHEREUM), signer.xpub(ETHEREUM))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.integers(0, 2),
    chain=st.one_of(st.integers(1, 300), st.integers(2**31, 2**53)),
    nonce=st.integers(0, 2**64 - 2),
    value=st.integers(0, 2**255),
    gas=st.integers(29000, 2**32),
    data=st.binary(max_size=200),
)
def test_eth_account_recovers_the_sender(kind: int, chain: int, nonce: int, value: int, gas: int, data: bytes) -> None:
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS)) as signer:
        fees: dict[str, Wei] = {"gas_price": Wei(10**9)}
        if kind == 2:
            fees = {"max_fee_per_gas": Wei(10**10), "max_priority_fee_per_gas": Wei(1)}
        tx = UnsignedTransaction(
            type=kind,
            chain_id=chain,
            nonce=nonce,
            to=SOMEBODY,
            value=Wei(value),
            data=data,
            gas_limit=gas,
            **fees,
        )
        raw = tx.sign_with(signer.sign_transaction(ETHEREUM / 0 / 0, tx)).serialize()
    # the first account of this mnemonic, as every Ethereum wallet derives it
    assert Account.recover_transaction(raw) == "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"


def test_eth_account_makes_the_same_transaction(signer: SoftwareSigner, ethereum: EthereumAccount) -> None:
    Account.enable_unaudited_hdwallet_features()
    other = Account.from_mnemonic(WORDS)
    tx = UnsignedTransaction(
        chain_id=1, nonce=7, to=SOMEBODY, value=Wei(10**18), gas_limit=21000,
        max_fee_per_gas=Wei(3 * 10**9), max_priority_fee_per_gas=Wei(10**9),
    )  # fmt: skip
    fields = {
        "type": 2, "chainId": 1, "nonce": 7, "to": str(tx.to), "value": 10**18, "gas": 21000,
        "maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip
    theirs = other.sign_transaction(fields).raw_transaction
    assert tx.sign_with(signer.sign_transaction(ethereum.path(0), tx)).serialize() == bytes(theirs)


def test_bitcoin_paths_sign_no_ethereum_transaction(signer: SoftwareSigner) -> None:
    tx = UnsignedTransaction(type=0, chain_id=1, nonce=0, to=SOMEBODY, value=Wei(1), gas_limit=21000, gas_price=Wei(1))
    for text in ("m/44h/0h/0h/0/0", "m/84h/0h/0h/0/0"):
        with pytest.raises(InvalidInputError, match="bitcoin keys"):
            signer.sign_transaction(DerivationPath.from_text(text), tx)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_ethereum_paths_sign_no_bitcoin_input(signer: SoftwareSigner, scheme: Scheme) -> None:
    from dataclasses import replace

    from bursar.bitcoin.network import Network
    from bursar.keys.scheme import account_path

    path = account_path(Scheme.BIP44, 60, 0)
    xpub = replace(signer.xpub(path), testnet=True)
    assert signer.info.fingerprint is not None
    odd = BitcoinAccount(Network.REGTEST, scheme, KeyOrigin(signer.info.fingerprint, path), xpub)
    with pytest.raises(InvalidInputError, match="ethereum keys") as caught:
        signer.sign_psbt(question([Spend(odd)]))
    assert caught.value.code == "input.path"


def test_personal_messages_recover_under_eth_account(signer: SoftwareSigner, ethereum: EthereumAccount) -> None:
    from bursar.ethereum.message import encode_signature

    for message in (b"", b"hello", bytes(range(256))):
        signature = encode_signature(signer.sign_personal_message(ethereum.path(1), message))
        recovered = Account.recover_message(encode_defunct(primitive=message), signature=signature)
        assert recovered == str(ethereum.address(1))


def test_bitcoin_messages_verify_under_ecdsa(signer: SoftwareSigner, account: Accounts) -> None:
    for message in (b"", b"hello", b"x" * 300):
        signature = signer.sign_message(account().path(0, 3), message)
        verifier = ecdsa.VerifyingKey.from_string(account().key(0, 3), curve=ecdsa.SECP256k1)
        assert verifier.verify_digest(signature.compact(), message_digest(message))


def broken_sign(*_: object, **__: object) -> bytes:
    return bytes.fromhex("3006020101020101")


def test_f77_a_fault_while_signing_gives_no_signature(
    signer: SoftwareSigner, account: Accounts, ethereum: EthereumAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psbt_inputs, "ecdsa_sign_der", broken_sign)
    monkeypatch.setattr(psbt_inputs, "schnorr_sign", lambda *_, **__: b"\x01" * 64)
    for scheme in Scheme:
        with pytest.raises(SignerError, match="computes wrongly") as caught:
            signer.sign_psbt(question([Spend(account(scheme))]))
        assert caught.value.code == "signer.fault"
    honest = signer.unsafe_sign_digest(ethereum.path(0), bytes(32))
    monkeypatch.setattr(checked, "ecdsa_sign_recoverable", lambda *_: honest)
    with pytest.raises(SignerError, match="computes wrongly"):
        signer.sign_message(ethereum.path(0), b"hello")


def test_closing_wipes_and_ends_everything(make: Callable[..., SoftwareSigner], account: Accounts) -> None:
    signer = make()
    psbt = question([Spend(account())])
    signer.sign_psbt(psbt)
    root = signer._keys.root
    signer.close()
    assert root is not None
    with pytest.raises(InvalidInputError, match="wiped"):
        root.secret()
    path = ETHEREUM / 0 / 0
    for attempt in (
        lambda: signer.xpub(path),
        lambda: signer.sign_psbt(psbt),
        lambda: signer.sign_message(path, b""),
        lambda: signer.sign_personal_message(path, b""),
        lambda: signer.unsafe_sign_digest(path, bytes(32)),
    ):
        with pytest.raises(SignerUnavailableError, match="closed"):
            attempt()
    assert str(signer.info.fingerprint) == "73c5da0a"


def test_it_shows_and_gives_away_nothing(signer: SoftwareSigner, account: Accounts) -> None:
    signer.sign_psbt(question([Spend(account())]))
    assert repr(signer) == "SoftwareSigner(73c5da0a)"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(signer)


def test_passphrases_make_other_wallets() -> None:
    words = Mnemonic.from_text(WORDS)
    made = {
        str(SoftwareSigner.from_mnemonic(words, phrase).info.fingerprint)
        for phrase in (None, Secret(b""), Secret(b"TREZOR"), Secret(b"trezor"), Secret(b"TREZOR "))
    }
    assert len(made) == 4
    gc.collect()


def test_a_thousand_inputs_cost_a_thousand_times_one(make: Callable[..., SoftwareSigner], account: Accounts) -> None:
    """Not quadratic: the signature hashes share their parts. Counted in calls, which no other program slows down."""
    signer, calls = make(verify_after_sign=False, low_r=False), []
    for count in (100, 800):
        psbt = question([Spend(account(), 0, index) for index in range(count)])
        seen = [0]

        def count_call(_frame: object, event: str, _arg: object, seen: list[int] = seen) -> None:
            seen[0] += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count_call)
        try:
            signer.sign_psbt(psbt)
        finally:
            sys.setprofile(before)
        calls.append(seen[0] / count)
    assert calls[1] < 1.2 * calls[0]
