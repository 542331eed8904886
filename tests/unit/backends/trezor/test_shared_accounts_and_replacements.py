"""Multisig addresses on a Trezor's screen, and replacements shown as such, on simulated Trezors old and new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("bursar_devices.trezor")

from bursar_devices.humans import approve
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.software.signer import SoftwareSigner
from bursar.backends.trezor import TrezorBackend
from bursar.backends.trezor.conversation import Patience
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import MultisigScript, Scheme, account_path, multisig_path
from bursar.signing.checks import confirm_address, request_signatures
from bursar.signing.conformance.questions import Spend, question
from bursar.signing.preflight import PreflightLimits
from bursar.signing.replacements import check_replacement, original_of

if TYPE_CHECKING:
    from bursar.keys.path import DerivationPath

PATHS = {
    MultisigKind.SH: MultisigScript.SH,
    MultisigKind.SH_WSH: MultisigScript.SH_WSH,
    MultisigKind.WSH: MultisigScript.WSH,
}
Open = Callable[..., tuple[Any, TrezorSimulator, BenchPrompt]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    started: list[Any] = []

    def start(model: str, **options: Any) -> tuple[Any, TrezorSimulator, BenchPrompt]:
        simulator = TrezorSimulator(model=model, human=approve(), **options).start()
        started.append(simulator)
        backend = TrezorBackend(locks=tmp_path / "locks", patience=Patience(device=5, human=5, whole=60))
        found = backend.locate(simulator.location)
        assert found is not None
        prompt = BenchPrompt()
        signer = backend.open(found, prompt)
        started.append(signer)
        return signer, simulator, prompt

    yield start
    for one in reversed(started):
        one.close()


def cosigner(number: int, path: DerivationPath) -> tuple[KeyOrigin, Any]:
    with (
        ExtendedPrivateKey.from_seed(b"cosigner %02d of a trezor" % number, testnet=True) as root,
        root.derive(path) as key,
    ):
        return KeyOrigin(root.fingerprint, path), key.public()


def shared(signer: Any, kind: MultisigKind, *, sort: bool) -> MultisigAccount:
    path = multisig_path(PATHS[kind], 1, 0)
    own = (KeyOrigin(signer.info.fingerprint, path), signer.xpub(path))
    return MultisigAccount(Network.REGTEST, kind, 2, (cosigner(1, path), own, cosigner(2, path)), sort)


def texts(simulator: TrezorSimulator, *, since: int = 0) -> str:
    return "".join("".join((page.title, *page.lines)).replace(" ", "") for page in simulator.pages[since:])


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
def test_addresses_of_every_kind_of_multisig(opened: Open, model: str) -> None:
    signer, simulator, _ = opened(model)
    for kind in MultisigKind:
        for sort in (True, False):
            account = shared(signer, kind, sort=sort)
            for branch, index in ((0, 0), (1, 7)):
                shown = confirm_address(signer, account, index, branch=branch)
                assert shown == account.address(branch, index)
                assert shown.text in texts(simulator)
    as_descriptor = DescriptorAccount.from_text(account.descriptor(), Network.REGTEST)
    assert confirm_address(signer, as_descriptor, 3) == account.address(0, 3)


def test_old_firmware_is_given_sorted_keys(opened: Open) -> None:
    signer, _, _ = opened("T1B1", firmware="1.12.1")
    account = shared(signer, MultisigKind.WSH, sort=True)
    assert [confirm_address(signer, account, index) for index in range(3)] == [
        account.address(0, at) for at in range(3)
    ]


def test_addresses_a_trezor_does_not_show(opened: Open) -> None:
    signer, simulator, _ = opened("T1B1")
    account = shared(signer, MultisigKind.WSH, sort=True)
    (one, other, third) = (f"[{origin}]{xpub}/<0;1>/*" for origin, xpub in account.cosigners)
    policy = DescriptorAccount.from_text(f"wsh(or_d(pk({one}),and_v(v:pkh({other}),older(144))))", Network.REGTEST)
    before = len(simulator.pages)
    with pytest.raises(UnsupportedError, match="compare this address on another"):
        confirm_address(signer, policy, 0)
    strangers = DescriptorAccount.from_text(f"wsh(sortedmulti(2,{one},{third}))", Network.REGTEST)
    with pytest.raises(InvalidInputError) as caught:
        confirm_address(signer, strangers, 0)
    assert caught.value.code == "input.signer.other"
    far = multisig_path(MultisigScript.WSH, 1, 101)
    own = (KeyOrigin(signer.info.fingerprint, far), signer.xpub(far))
    with pytest.raises(InvalidInputError, match="100h") as caught:
        confirm_address(signer, MultisigAccount(Network.REGTEST, MultisigKind.WSH, 1, (own, cosigner(1, far))), 0)
    assert caught.value.code == "input.path"
    assert len(simulator.pages) == before


def replaced(psbt: Psbt, *, less: int, locktime: int | None = None) -> Psbt:
    """The same with so much less change, which is its second output."""
    tx = psbt.tx
    outputs = (tx.outputs[0], TxOut(Sats(tx.outputs[1].value - less), tx.outputs[1].script))
    made = Psbt(Transaction(tx.version, tx.inputs, outputs, tx.locktime if locktime is None else locktime))
    for ours, theirs in zip((*made.inputs, *made.outputs), (*psbt.inputs, *psbt.outputs), strict=True):
        ours.fields.update(theirs.fields)
    made.xpubs.update(psbt.xpubs)
    return made


def single(signer: Any, scheme: Scheme) -> tuple[BitcoinAccount, Psbt]:
    path = account_path(scheme, 1, 0)
    account = BitcoinAccount(Network.REGTEST, scheme, KeyOrigin(signer.info.fingerprint, path), signer.xpub(path))
    return account, question([Spend(account, 0, 0), Spend(account, 0, 1)], change=account)


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
@pytest.mark.parametrize("scheme", list(Scheme), ids=lambda one: one.name)
def test_a_replacement_is_shown_as_one(opened: Open, model: str, scheme: Scheme) -> None:
    signer, simulator, prompt = opened(model)
    account, first = single(signer, scheme)
    signed = extract(finalize(request_signatures(signer, first, account=account)))
    payee = Address.from_script(first.tx.outputs[0].script, Network.REGTEST).text
    assert payee in texts(simulator)
    before = len(simulator.pages)
    second = replaced(first, less=5_000)
    answer = request_signatures(signer, second, account=account, original=original_of(first, signed))
    assert extract(finalize(answer)).outputs == second.tx.outputs
    shown = texts(simulator, since=before)
    assert str(signed.txid)[:16].upper() in shown.upper()
    assert "Increaseyourfeeby" in shown
    assert payee not in shown
    assert not [event for event in prompt.heard if "new payment" in event.text]


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
@pytest.mark.parametrize("kind", list(MultisigKind), ids=lambda kind: kind.value)
def test_a_multisig_replacement(opened: Open, model: str, kind: MultisigKind) -> None:
    """A Trezor One reads no multisig signatures: there it is a new payment."""
    signer, simulator, prompt = opened(model)
    path = multisig_path(PATHS[kind], 1, 0)
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text("zoo " * 11 + "wrong")) as other:
        keys = tuple(
            (KeyOrigin(one.info.fingerprint, path), replace(one.xpub(path), testnet=True)) for one in (signer, other)
        )
        account = MultisigAccount(Network.REGTEST, kind, 2, keys)
        first = spending(account)
        both = combine([request_signatures(one, first, account=account) for one in (signer, other)])
        original = original_of(first, extract(finalize(both)))
        before = len(simulator.pages)
        second = replaced(first, less=5_000)
        answers = [request_signatures(one, second, account=account, original=original) for one in (signer, other)]
        extract(finalize(combine(answers)))
    assert ("Increaseyourfeeby" in texts(simulator, since=before)) is (model == "T3T1")
    assert any("no multisig signatures" in event.text for event in prompt.heard) is (model == "T1B1")


def spending(account: MultisigAccount) -> Psbt:
    funding = TxIn(OutPoint(Txid(bytes(32)), 0))
    before = Transaction(2, (funding,), (TxOut(Sats(90_000), account.script(0, 0)),), 0)
    outputs = (TxOut(Sats(50_000), account.script(0, 9)), TxOut(Sats(39_000), account.script(1, 4)))
    psbt = Psbt(Transaction(2, (TxIn(OutPoint(before.txid, 0), sequence=0xFFFFFFFD),), outputs, 0))
    psbt.inputs[0].non_witness_utxo = before
    if account.kind is not MultisigKind.SH:
        psbt.inputs[0].witness_utxo = before.outputs[0]
    account.spending(0, 0).describe_input(psbt.inputs[0])
    account.spending(1, 4).describe_output(psbt.outputs[1])
    account.describe_xpubs(psbt)
    return psbt


def test_the_change_may_be_spent_whole(opened: Open) -> None:
    signer, simulator, _ = opened("T1B1")
    account, first = single(signer, Scheme.BIP84)
    signed = extract(finalize(request_signatures(signer, first, account=account)))
    tx = first.tx
    second = Psbt(Transaction(tx.version, tx.inputs, tx.outputs[:1], tx.locktime))
    second.inputs[0].fields.update(first.inputs[0].fields)
    second.inputs[1].fields.update(first.inputs[1].fields)
    before = len(simulator.pages)
    limits = PreflightLimits(max_fee_percent=90)
    request_signatures(signer, second, account=account, original=original_of(first, signed), limits=limits)
    assert "Increaseyourfeeby" in texts(simulator, since=before)


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
def test_what_is_no_mere_replacement_is_shown_as_a_payment(opened: Open, model: str) -> None:
    signer, simulator, prompt = opened(model)
    account, first = single(signer, Scheme.BIP84)
    original = original_of(first, extract(finalize(request_signatures(signer, first, account=account))))
    other = replaced(first, less=5_000, locktime=7)
    before = len(simulator.pages)
    request_signatures(signer, other, account=account, original=original)
    assert "Increaseyourfeeby" not in texts(simulator, since=before)
    assert any("as a new payment: its lock time" in event.text for event in prompt.heard)
    tx = first.tx
    outputs = (TxOut(Sats(tx.outputs[0].value + 1), tx.outputs[0].script), tx.outputs[1])
    more = replaced(first, less=5_000)
    more = Psbt(Transaction(tx.version, tx.inputs, (outputs[0], more.tx.outputs[1]), tx.locktime))
    for ours, theirs in zip((*more.inputs, *more.outputs), (*first.inputs, *first.outputs), strict=True):
        ours.fields.update(theirs.fields)
    request_signatures(signer, more, account=account, original=original)
    assert any("output 0 is not one of the original's" in event.text for event in prompt.heard)


def test_an_original_that_is_none_is_refused(opened: Open) -> None:
    signer, _, _ = opened("T1B1")
    account, first = single(signer, Scheme.BIP84)
    signed = extract(finalize(request_signatures(signer, first, account=account)))
    elsewhere = question([Spend(account, 0, 5)], change=account)
    with pytest.raises(InvalidInputError, match="does not replace"):
        request_signatures(signer, elsewhere, account=account, original=original_of(first, signed))
    with pytest.raises(InvalidInputError, match="not signed"):
        check_replacement(first, first)
    with pytest.raises(InvalidInputError, match="not that of the transaction"):
        original_of(elsewhere, signed)


def test_firmware_without_replacements_shows_a_payment(opened: Open) -> None:
    signer, _, prompt = opened("T1B1", firmware="1.9.3")
    account, first = single(signer, Scheme.BIP84)
    original = original_of(first, extract(finalize(request_signatures(signer, first, account=account))))
    request_signatures(signer, replaced(first, less=5_000), account=account, original=original)
    assert any("knows no replacements" in event.text for event in prompt.heard)


def test_addresses_are_of_the_accounts_network(opened: Open) -> None:
    signer, simulator, _ = opened("T1B1")
    account, psbt = single(signer, Scheme.BIP84)
    request_signatures(signer, psbt, account=account)
    assert "bcrt1" in texts(simulator)
    before = len(simulator.pages)
    request_signatures(signer, psbt, network=Network.TESTNET)
    assert "tb1" in texts(simulator, since=before)
