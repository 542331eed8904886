"""A 2-of-3 account of a software keystore, a simulated Trezor and a simulated Ledger: any two, in any order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.trezor")

from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.policies import FilePolicyStore
from bursar.backends.software.signer import SoftwareSigner
from bursar.backends.trezor import TrezorBackend
from bursar.backends.trezor.conversation import Patience
from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.descriptors.inference import infer_input
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import MultisigScript, multisig_path
from bursar.signing.checks import request_signatures

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
LEAVES = {
    MultisigKind.SH: MultisigScript.SH,
    MultisigKind.SH_WSH: MultisigScript.SH_WSH,
    MultisigKind.WSH: MultisigScript.WSH,
}
PAYEE = p2wpkh(bytes(range(20)))


@dataclass
class Bench:
    """The signers, the machines behind two of them, and what a human was shown."""

    signers: dict[str, Any]
    trezor: TrezorSimulator
    ledger: LedgerSimulator

    def account(self, kind: MultisigKind, *, sort: bool, names: tuple[str, ...]) -> MultisigAccount:
        home = multisig_path(LEAVES[kind], 1, 0)
        cosigners = tuple(
            (KeyOrigin(self.signers[name].info.fingerprint, home), on_testnet(self.signers[name].xpub(home)))
            for name in names
        )
        account = MultisigAccount(Network.TESTNET, kind, 2, cosigners, sort)
        for name in names:
            signer = self.signers[name]
            account.check_own_key(signer.info.fingerprint, on_testnet(signer.xpub(home)))
        return account


def on_testnet(xpub: Any) -> Any:
    return replace(xpub, testnet=True)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        trezor = TrezorSimulator(human=approve()).start()
        stack.callback(trezor.close)
        ledger = stack.enter_context(LedgerSimulator(app="Bitcoin Test", human=approve()))
        store = FilePolicyStore(tmp_path / "ledger" / "policies.json")
        backends: dict[str, tuple[Any, str]] = {
            "trezor": (
                TrezorBackend(locks=tmp_path / "locks", patience=Patience(device=10, human=10, whole=120)),
                trezor.location,
            ),
            "ledger": (
                LedgerBackend(locks=tmp_path / "locks", human_seconds=60, device_seconds=20, policies=store),
                ledger.location,
            ),
        }
        signers: dict[str, Any] = {"software": SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))}
        for name, (backend, location) in backends.items():
            info = backend.locate(location)
            assert info is not None
            signers[name] = backend.open(info, BenchPrompt())
        for signer in signers.values():
            stack.callback(signer.close)
        yield Bench(signers, trezor, ledger)


def question(home: MultisigAccount) -> Psbt:
    places = ((0, 0), (1, 3))
    before = [
        Transaction(
            2, (TxIn(OutPoint(Txid(bytes((number,)) * 32), 0)),), (TxOut(Sats(90_000), home.script(*place)),), 0
        )
        for number, place in enumerate(places, 1)
    ]
    outputs = (TxOut(Sats(120_000), PAYEE), TxOut(Sats(59_000), home.script(1, 4)))
    psbt = Psbt(Transaction(2, tuple(TxIn(OutPoint(one.txid, 0), sequence=0xFFFFFFFD) for one in before), outputs, 0))
    for one, place, previous in zip(psbt.inputs, places, before, strict=True):
        one.non_witness_utxo = previous
        if home.kind is not MultisigKind.SH:
            one.witness_utxo = previous.outputs[0]
        home.spending(*place).describe_input(one)
    home.spending(1, 4).describe_output(psbt.outputs[1])
    home.describe_xpubs(psbt)
    return Psbt.parse(psbt.serialize())


def judge(psbt: Psbt) -> None:
    """libbitcoinkernel runs every input's script with all its rules."""
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
    raw = extract(finalize(psbt)).serialize()
    outputs = [
        pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value))
        for one in (psbt.utxo(place) for place in range(len(psbt.inputs)))
    ]
    transaction = pbk.Transaction(raw)
    shared = pbk.script.PrecomputedTransactionData(transaction, outputs)
    for place in range(len(outputs)):
        one = psbt.utxo(place)
        flags = pbk.ScriptVerificationFlags.ALL
        assert pbk.ScriptPubkey(one.script).verify(int(one.value), transaction, shared, place, flags)


@pytest.mark.parametrize("sort", [True, False], ids=["sorted", "in-order"])
def test_any_two_of_three_spend(bench: Bench, sort: bool) -> None:
    names = ("software", "trezor", "ledger")
    home = bench.account(MultisigKind.WSH, sort=sort, names=names)
    policy = WalletPolicy.from_descriptor("Vault", Descriptor.parse(home.descriptor()))
    ledger = bench.signers["ledger"]
    registration = ledger.register_policy(policy)
    assert registration.policy == policy
    for branch, index in ((0, 0), (1, 7)):
        shown = ledger.display_policy_address(registration, branch, index)
        assert Address.from_text(shown, Network.TESTNET) == home.address(branch, index)
    psbt = question(home)
    assert infer_input(psbt, 0).script() == home.script(0, 0)
    answers = {name: request_signatures(bench.signers[name], psbt) for name in names}
    for name in names:
        assert all(len(one.partial_sigs) == 1 for one in answers[name].inputs), name
    for order in itertools.permutations(names, 2):
        judge(combine([answers[name] for name in order]))
    judge_in_turn(bench, psbt, ("ledger", "trezor"))
    judge_in_turn(bench, psbt, ("trezor", "software"))
    change = home.address(1, 4).text
    assert change not in "".join(page.text.replace(" ", "").replace("\n", "") for page in bench.trezor.pages)


def judge_in_turn(bench: Bench, psbt: Psbt, names: tuple[str, ...]) -> None:
    """The PSBT goes from one signer to the next."""
    for number, name in enumerate(names, 1):
        psbt = request_signatures(bench.signers[name], psbt)
        assert all(len(one.partial_sigs) == number for one in psbt.inputs)
    judge(psbt)


@pytest.mark.parametrize("kind", [MultisigKind.SH, MultisigKind.SH_WSH], ids=lambda kind: kind.value)
def test_other_kinds_with_a_trezor(bench: Bench, kind: MultisigKind) -> None:
    home = bench.account(kind, sort=True, names=("trezor", "software"))
    judge_in_turn(bench, question(home), ("trezor", "software"))
    judge_in_turn(bench, question(home), ("software", "trezor"))
