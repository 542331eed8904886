"""Accounts of several keys on devices: registered, shown, signed for in every order, and what must be refused."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bursar_devices.humans import approve, reject
from bursar_devices.prompting import BenchPrompt
from hil_faces import POLICY, node_for

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.policies import FilePolicyStore
from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.units import FeeRate
from bursar.errors import UnsupportedError, UserCancelledError
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import MultisigScript, multisig_path
from bursar.policy.policy import RulePolicy
from bursar.signing.checks import confirm_address
from bursar.signing.policies import register_policy, registrations
from bursar.signing.protocols import WalletPolicyRegistry
from bursar.signing.registry import Registry
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState
from bursar.wallet.wallet import Wallet

SOFTWARE = (
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
)
LEAVES = {
    MultisigKind.SH: MultisigScript.SH,
    MultisigKind.WSH: MultisigScript.WSH,
    MultisigKind.SH_WSH: MultisigScript.SH_WSH,
}
PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
RULES = RulePolicy.from_toml(POLICY)
FAMILIES = ("trezor", "ledger")


def registry(folder: Path) -> Registry:
    """The installed backends, Ledger's with a file for what it registers."""
    return Registry.installed([LedgerBackend(policies=FilePolicyStore(folder / "ledger" / "policies.json"))])


def software(words: str) -> SoftwareSigner:
    return SoftwareSigner.from_mnemonic(Mnemonic.from_text(words))


def shared(kind: MultisigKind, signers: list[Any], *, number: int = 0) -> MultisigAccount:
    """2 of these signers."""
    path = multisig_path(LEAVES[kind], 1, number)
    keys = tuple((KeyOrigin(one.info.fingerprint, path), replace(one.xpub(path), testnet=True)) for one in signers)
    return MultisigAccount(Network.REGTEST, kind, 2, keys)


@pytest.fixture
def on_device(bench_device: Any, tmp_path: Path, attend: Callable[..., Any]) -> Iterator[Any]:
    """The device as a signer, its store of registrations in a fresh folder."""
    from bursar_devices.device import selector_of

    with (
        contextlib.closing(registry(tmp_path).open(selector_of(bench_device), BenchPrompt())) as signer,
        attend(approve()),
    ):
        yield signer


def register(signer: Any, account: MultisigAccount, name: str = "Vault") -> None:
    if isinstance(signer, WalletPolicyRegistry):
        register_policy(signer, account, name)


def pay(wallet: Wallet, node: Any, name: str, amount: int) -> Any:
    plan = wallet.plan(Transfer(account=name, payments=(PaymentOrder(PAYEE, amount, "BTC"),)), node)
    wallet.approve(plan, RULES)
    return plan


@pytest.mark.needs("bitcoin", "multisig")
@pytest.mark.parametrize("kind", list(MultisigKind), ids=lambda kind: kind.value)
def test_two_keys_spend_together(on_device: Any, kind: MultisigKind, sandbox: Any, tmp_path: Path) -> None:
    """Address compared on the device, then coins from both branches, the change not shown, confirmed by a block."""
    with software(SOFTWARE[0]) as other:
        account = shared(kind, [other, on_device])
        register(on_device, account)
        assert confirm_address(on_device, account, 3) == account.address(0, 3)
        with (
            Wallet.open(tmp_path / "wallet.db", create=True) as wallet,
            contextlib.closing(node_for(sandbox, "")) as node,
        ):
            wallet.add_account("vault", account)
            sandbox.fund_bitcoin(wallet.new_address("vault").address, 200_000)
            sandbox.fund_bitcoin(str(account.address(1, 0)), 100_000)
            wallet.sync("vault", node)
            plan = pay(wallet, node, "vault", 250_000)
            first = wallet.add_signatures(plan.id, signer=on_device)
            assert (first.count, first.need) == (1, 2)
            done = wallet.add_signatures(plan.id, signer=other)
            assert done.signed is not None
            wallet.send(done.signed, node)
            sandbox.mine(1)
            wallet.refresh("vault", node)
            assert wallet.transfer(plan.id).state is TransferState.CONFIRMED


@pytest.mark.needs("bitcoin", "registration")
def test_a_registration_is_for_one_policy_and_one_device(
    on_device: Any, attend: Callable[..., Any], tmp_path: Path
) -> None:
    with software(SOFTWARE[0]) as other, software(SOFTWARE[1]) as third:
        account = shared(MultisigKind.WSH, [other, on_device])
        with pytest.raises(UnsupportedError, match="bursar device register"):
            confirm_address(on_device, account, 0)
        with attend(reject()), pytest.raises(UserCancelledError):
            register(on_device, account)
        assert not registrations(on_device)
        with attend(approve()):
            register(on_device, account)
        (made,) = registrations(on_device)
        swapped = shared(MultisigKind.WSH, [third, on_device])
        with pytest.raises(UnsupportedError, match="not registered"):
            confirm_address(on_device, swapped, 0)
        keys = ((swapped.cosigners[0]), (made.policy.keys[1]))
        for forged in (
            replace(made, identity=bytes(32), hmac=bytes([1]) * 32),
            replace(made, identity=bytes(32), policy=replace(made.policy, keys=keys)),
        ):
            with pytest.raises(UnsupportedError, match="register the policy again") as caught:
                on_device.policy_address(forged, 0, 0)
            assert caught.value.code == "signer.registration"
        FilePolicyStore(tmp_path / "ledger" / "policies.json").retire(made.identity)
        with pytest.raises(UnsupportedError, match="was retired"):
            confirm_address(on_device, account, 0)


@pytest.mark.needs("bitcoin", "replacement")
def test_a_fee_is_raised_as_such(
    on_device: Any, attend: Callable[..., Any], number: int, sandbox: Any, tmp_path: Path
) -> None:
    """The human sees the fee grow, and no payee anew; the replacement is mined."""
    from hil_faces import account_of

    account = account_of(on_device, "p2wpkh", number, sandbox)
    with Wallet.open(tmp_path / "wallet.db", create=True) as wallet, contextlib.closing(node_for(sandbox, "")) as node:
        wallet.add_account("savings", account, signer=str(on_device.info.fingerprint))
        sandbox.fund_bitcoin(wallet.new_address("savings").address, 200_000)
        wallet.sync("savings", node)
        plan = pay(wallet, node, "savings", 50_000)
        approved = wallet.approval_of(plan.id)
        assert approved is not None
        signed = wallet.sign(approved, signer=on_device)
        wallet.send(signed, node)
        raised = wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate.from_text("40sat/vb")))
        with attend(approve()) as pages:
            replacement = wallet.sign(wallet.approve(raised, RULES), signer=on_device)
        shown = "".join("".join((page.title, *page.lines)) for page in pages).replace(" ", "")
        assert "Increaseyourfeeby" in shown
        assert PAYEE[:16] not in shown
        wallet.send(replacement, node)
        sandbox.mine(1)
        wallet.refresh("savings", node)
        assert wallet.transfer(raised.id).state is TransferState.CONFIRMED


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A Trezor and a Ledger at once: those that ``--device`` names, else the simulators."""
    from bursar_devices.device import Kind
    from bursar_devices.manifest import load
    from bursar_devices.starting import DeviceAbsentError, Running, make

    known = load([Path(name) for name in request.config.getoption("--bench-manifest")])
    named = [known[word] for word in str(request.config.getoption("--device")).split(",") if word in known]
    with contextlib.ExitStack() as stack:
        found = {}
        for family in FAMILIES:
            usual = known[f"{family}-simulator"]
            spec = next((one for one in named if one.family == family and "multisig" in one.capabilities), usual)
            try:
                found[family] = stack.enter_context(Running(make(spec, needs={"bitcoin", "multisig"})))
            except DeviceAbsentError as error:
                if spec.kind is Kind.SIMULATOR:
                    raise  # a simulator is always here: it is broken
                pytest.skip(str(error))
        yield found


def test_two_of_three_in_every_order(pair: dict[str, Any], sandbox: Any, tmp_path: Path) -> None:
    """A software key, a Trezor and a Ledger: each pair in both orders pays once, all in one block."""
    from bursar_devices.attending import attended
    from bursar_devices.device import selector_of

    with contextlib.ExitStack() as stack:
        known = registry(tmp_path)
        signers: dict[str, Any] = {"software": stack.enter_context(software(SOFTWARE[0]))}
        for family, device in pair.items():
            signers[family] = known.open(selector_of(device), BenchPrompt())
            stack.callback(signers[family].close)
            stack.enter_context(attended(device, approve()))
        account = shared(MultisigKind.WSH, list(signers.values()))
        register(signers["ledger"], account, "2 of 3")
        for family in FAMILIES:
            assert confirm_address(signers[family], account, 0) == account.address(0, 0)
        wallet = stack.enter_context(Wallet.open(tmp_path / "wallet.db", create=True))
        node = stack.enter_context(contextlib.closing(node_for(sandbox, "")))
        wallet.add_account("board", account)
        orders = list(itertools.permutations(signers, 2))
        for _ in orders:
            sandbox.fund_bitcoin(wallet.new_address("board").address, 100_000)
        wallet.sync("board", node)
        paid = []
        for order in orders:
            plan = pay(wallet, node, "board", 60_000)
            for count, name in enumerate(order, 1):
                progress = wallet.add_signatures(plan.id, signer=signers[name])
                assert progress.count == count, order
            assert progress.signed is not None
            wallet.send(progress.signed, node)
            paid.append(plan.id)
        sandbox.mine(1)
        wallet.refresh("board", node)
        assert {wallet.transfer(one).state for one in paid} == {TransferState.CONFIRMED}
