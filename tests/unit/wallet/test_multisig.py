"""Accounts of several signers and of any descriptor: kept, planned, signed in any order, never lost."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.accounts import DescriptorAccount, account_of_descriptor
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import FeeRate
from bursar.errors import (
    ConflictError,
    InvalidInputError,
    SignerMisbehavedError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import MultisigScript, multisig_path
from bursar.wallet import FeeChoice, PaymentOrder, SpendWith, Transfer, TransferState
from bursar.wallet.wallet import Wallet

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
WORDS = (
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
)
HOME = multisig_path(MultisigScript.WSH, 1, 0)


class Killed(BaseException):
    """What a kill looks like from inside."""


@pytest.fixture
def signers() -> Iterator[list[Any]]:
    with ExitStack() as stack:
        made = [SoftwareSigner.from_mnemonic(Mnemonic.from_text(words)) for words in WORDS]
        for one in made:
            stack.callback(one.close)
        yield made


def keys(signers: list[Any]) -> list[tuple[KeyOrigin, Any]]:
    return [
        (KeyOrigin(one.info.fingerprint, HOME), dataclasses.replace(one.xpub(HOME), testnet=True)) for one in signers
    ]


def texts(signers: list[Any]) -> list[str]:
    return [f"[{origin}]{xpub}/<0;1>/*" for origin, xpub in keys(signers)]


def names(signers: list[Any]) -> list[str]:
    return [str(one.info.fingerprint) for one in signers]


def judge(raw: bytes, psbt: Psbt) -> None:
    """libbitcoinkernel runs every input's script with all its rules."""
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
    outputs = [psbt.utxo(place) for place in range(len(psbt.inputs))]
    known = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in outputs]
    transaction = pbk.Transaction(raw)
    shared = pbk.script.PrecomputedTransactionData(transaction, known)
    for place, one in enumerate(outputs):
        flags = pbk.ScriptVerificationFlags.ALL
        assert pbk.ScriptPubkey(one.script).verify(int(one.value), transaction, shared, place, flags)


def fund(wallet: Any, node: Any, account: Any, *, name: str = "vault", blocks: int = 1) -> None:
    wallet.add_account(name, account)
    for index, value in enumerate((1_000_000, 2_000_000)):
        node.pay(account.script(0, index if account.ranged else 0), value)
    node.mine(blocks)
    wallet.sync(name, node)


def order(amount: int = 400_000) -> tuple[PaymentOrder, ...]:
    return (PaymentOrder(PAYEE, amount, "BTC"),)


@pytest.fixture
def vault(wallet: Any, bitcoin: Any, signers: list[Any], policy: Any) -> SimpleNamespace:
    account = MultisigAccount(Network.REGTEST, MultisigKind.WSH, 2, tuple(keys(signers)))
    fund(wallet, bitcoin, account)
    return SimpleNamespace(wallet=wallet, node=bitcoin, account=account, signers=signers, policy=policy)


def approved(vault: SimpleNamespace, **more: Any) -> Any:
    plan = vault.wallet.plan(Transfer(account="vault", payments=order(), **more), vault.node)
    vault.wallet.approve(plan, vault.policy)
    return plan


def test_any_two_of_three_in_any_order(vault: SimpleNamespace) -> None:
    wallet, signers = vault.wallet, vault.signers
    prints = names(signers)
    for first, second in itertools.permutations(range(3), 2):
        plan = approved(vault)
        assert plan.review.extra["signatures"] == f"2 of 3: {', '.join(prints)}"
        assert plan.review.change[0].path.startswith("1/")
        half = wallet.add_signatures(plan.id, signer=signers[first], policy=vault.policy)
        assert (half.have, half.count, half.need, half.complete) == ((prints[first],), 1, 2, False)
        assert set(half.missing) == set(prints) - {prints[first]}
        assert wallet.signing_progress(plan.id) == half
        whole = wallet.add_signatures(plan.id, signer=signers[second], policy=vault.policy)
        assert whole.complete
        assert whole.missing == ()
        assert wallet.add_signatures(plan.id, signer=signers[first]) == whole
        judge(whole.signed.raw, Psbt.from_text(plan.psbt))
        wallet.send(whole.signed, vault.node)
        vault.node.mine()
        wallet.sync("vault", vault.node)
        assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    kinds = [record.kind for record in wallet.journal.records()]
    assert kinds.count("transfer.signature") == 12
    wallet.journal.verify()


def test_a_kill_between_any_two_steps_loses_no_signature(
    tmp_path: Path, vault: SimpleNamespace, signers: list[Any], policy: Any
) -> None:
    plan = approved(vault)
    for number, step in enumerate(("sign.begun", "sign.answered", "sign.collected", "sign.exported")):

        def die(passed: str, step: str = step) -> None:
            if passed == step:
                raise Killed

        with Wallet.open(tmp_path / "wallet.db", on_step=die) as dying, pytest.raises(Killed):
            _ = dying.export_psbt(plan.id) if number == 3 else dying.add_signatures(plan.id, signer=signers[0])
        with Wallet.open(tmp_path / "wallet.db") as after:
            # From "collected" on the signature is stored; before, asking again is all it takes.
            assert after.signing_progress(plan.id).count == (1 if number >= 2 else 0)
            with pytest.raises(ConflictError):
                after.cancel(plan.id)
            after.journal.verify()

    def die_complete(passed: str) -> None:
        if passed == "sign.stored":
            raise Killed

    with Wallet.open(tmp_path / "wallet.db", on_step=die_complete) as dying, pytest.raises(Killed):
        dying.add_signatures(plan.id, signer=signers[2], policy=policy)
    with Wallet.open(tmp_path / "wallet.db") as after:
        (done,) = after.recover(vault.node)
        assert (done.id, done.action) == (plan.id, "rebroadcast")


def test_sign_adds_and_says_what_lacks(vault: SimpleNamespace) -> None:
    wallet = vault.wallet
    plan = wallet.plan(Transfer(account="vault", payments=order()), vault.node)
    with pytest.raises(ConflictError, match="not approved"):
        wallet.add_signatures(plan.id, signer=vault.signers[0])
    held = wallet.approve(plan, vault.policy)
    with pytest.raises(ConflictError) as caught:
        wallet.sign(held, signer=vault.signers[1])
    assert caught.value.code == "conflict.signatures"
    assert "1 of 2" in caught.value.message
    with pytest.raises(ConflictError):
        wallet.sign(held, signer=vault.signers[1])  # the same one again is no second
    signed = wallet.sign(held, signer=vault.signers[0])
    assert wallet.sign(held, signer=vault.signers[2]) == signed


def test_a_stranger_and_a_refusal_leave_no_trace(vault: SimpleNamespace, fakes: SimpleNamespace) -> None:
    wallet = vault.wallet
    plan = approved(vault)
    stranger = SoftwareSigner.from_mnemonic(Mnemonic.from_text("zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"))
    with pytest.raises(InvalidInputError) as caught:
        wallet.add_signatures(plan.id, signer=stranger)
    assert caught.value.code == "input.signer.other"
    stranger.close()
    refusing = fakes.Signer(WORDS[0])
    refusing.refuse = UserCancelledError("no")
    with pytest.raises(UserCancelledError):
        wallet.add_signatures(plan.id, signer=refusing)
    refusing.close()
    assert wallet.cancel(plan.id).state is TransferState.CANCELLED
    assert wallet.balance("vault")[0].reserved == 0


def test_signatures_from_elsewhere_are_checked_like_any(vault: SimpleNamespace) -> None:
    wallet, signers = vault.wallet, vault.signers
    plan = approved(vault)
    paper = wallet.export_psbt(plan.id)
    with pytest.raises(InvalidInputError) as caught:
        wallet.import_signatures(plan.id, paper)
    assert caught.value.code == "input.psbt.unsigned"
    answer = signers[1].sign_psbt(paper.copy())
    forged = Psbt.parse(answer.serialize())
    for one in forged.inputs:
        for key, value in list(one.partial_sigs.items()):
            one.partial_sigs[key] = value[:10] + bytes((value[10] ^ 1,)) + value[11:]
    with pytest.raises((SignerMisbehavedError, InvalidInputError)):
        wallet.import_signatures(plan.id, forged)
    other = approved(vault)
    with pytest.raises((SignerMisbehavedError, InvalidInputError)):
        wallet.import_signatures(other.id, answer)
    # Other programs drop what they do not need, and write whatever else they like.
    bare = Psbt(answer.tx)
    for ours, theirs in zip(bare.inputs, answer.inputs, strict=True):
        for key, value in theirs.partial_sigs.items():
            ours.partial_sigs[key] = value
    half = wallet.import_signatures(plan.id, bare, name="paper")
    assert (half.count, half.have) == (1, (names(signers)[1],))
    both = signers[2].sign_psbt(wallet.export_psbt(plan.id))
    whole = wallet.import_signatures(plan.id, both, name="paper")
    assert whole.complete
    judge(whole.signed.raw, both)


def test_a_changed_policy_stops_the_second_signer(vault: SimpleNamespace) -> None:
    from bursar.policy.policy import RulePolicy

    plan = approved(vault)
    vault.wallet.add_signatures(plan.id, signer=vault.signers[0], policy=vault.policy)
    other = RulePolicy.from_toml('version = 1\n[[rule]]\nname = "all"\nkind = "allow-any"\n')
    with pytest.raises(ConflictError) as caught:
        vault.wallet.add_signatures(plan.id, signer=vault.signers[1], policy=other)
    assert caught.value.code == "conflict.policy"
    assert vault.wallet.signing_progress(plan.id).count == 1


def test_bump_and_cancel_take_signatures_anew(vault: SimpleNamespace) -> None:
    wallet, signers, node = vault.wallet, vault.signers, vault.node

    def go(plan: Any) -> Any:
        wallet.approve(plan, vault.policy)
        wallet.add_signatures(plan.id, signer=signers[2])
        done = wallet.add_signatures(plan.id, signer=signers[0])
        judge(done.signed.raw, Psbt.from_text(plan.psbt))
        wallet.send(done.signed, node)
        return done.signed

    plan = wallet.plan(Transfer(account="vault", payments=order()), node)
    first = go(plan)
    bump = wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(20_000)))
    assert bump.review.payments[0].amount == 400_000
    assert bump.review.replaces == first.txid
    second = go(bump)
    back = wallet.bump(bump.id, node, fee=FeeChoice(rate=FeeRate(40_000)), cancel=True)
    assert back.review.payments == ()
    go(back)
    node.mine()
    wallet.sync("vault", node)
    states = {one.id: one.state for one in wallet.transfers("vault")}
    assert (states[plan.id], states[bump.id], states[back.id]) == (
        TransferState.REPLACED,
        TransferState.REPLACED,
        TransferState.CONFIRMED,
    )
    assert wallet.balance("vault")[0].confirmed == 3_000_000 - back.review.fee
    assert second.txid != first.txid


def kinds(signers: list[Any]) -> dict[str, tuple[str, Any, list[int], int]]:
    """Descriptor, what to spend with, who signs, and how many blocks the coins wait, by name."""
    a, b, c = texts(signers)
    one, two, _ = names(signers)
    nums = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
    return {
        "sh": (f"sh(sortedmulti(2,{a},{b},{c}))", SpendWith(), [0, 2], 1),
        "sh-wsh": (f"sh(wsh(multi(2,{a},{b},{c})))", SpendWith(), [2, 1], 1),
        "decaying, now": (f"wsh(thresh(2,pk({a}),s:pk({b}),sln:older(10)))", SpendWith(), [0, 1], 1),
        "decaying, later": (
            f"wsh(thresh(2,pk({a}),s:pk({b}),sln:older(10)))",
            SpendWith(signers=(one,), locks=True),
            [0],
            12,
        ),
        "after a height": (f"wsh(and_v(v:pk({a}),after(20)))", SpendWith(), [0], 30),
        "tr key": (f"tr({a},pk({b}))", SpendWith(), [0], 1),
        "tr leaf": (f"tr({a},pk({b}))", SpendWith(signers=(two,)), [1], 1),
        "tr multi_a": (f"tr({nums},multi_a(2,{a},{b},{c}))", SpendWith(), [1, 2], 1),
        "hash lock": (
            f"wsh(and_v(v:pk({a}),sha256(66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925)))",
            SpendWith(preimages=("00" * 32,)),
            [0],
            1,
        ),
        "one branch": (f"wsh(multi(1,{a.replace('<0;1>', '7')},{b.replace('<0;1>', '7')}))", SpendWith(), [1], 1),
        "one address": (f"wpkh({a.replace('/<0;1>/*', '/0/5')})", SpendWith(), [0], 1),
    }


KINDS = (
    "sh",
    "sh-wsh",
    "decaying, now",
    "decaying, later",
    "after a height",
    "tr key",
    "tr leaf",
    "tr multi_a",
    "hash lock",
    "one branch",
    "one address",
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_account_spends(wallet: Any, bitcoin: Any, signers: list[Any], policy: Any, kind: str) -> None:
    text, spend_with, who, blocks = kinds(signers)[kind]
    account = account_of_descriptor(text, Network.REGTEST)
    fund(wallet, bitcoin, account, blocks=blocks)
    assert wallet.account("vault").account == account
    transfer = Transfer(account="vault", payments=order(1_500_000), spend_with=spend_with)
    plan = wallet.plan(transfer, bitcoin)
    assert Transfer.from_json(transfer.to_json()) == transfer
    wallet.approve(plan, policy)
    for number in who[:-1]:
        assert not wallet.add_signatures(plan.id, signer=signers[number]).complete
    done = wallet.add_signatures(plan.id, signer=signers[who[-1]])
    assert done.complete, done
    psbt = Psbt.from_text(plan.psbt)
    judge(done.signed.raw, psbt)
    tx = Transaction.parse(done.signed.raw)
    # The transaction is no larger than was paid for, and hardly smaller.
    rate = plan.review.fee / tx.vsize
    assert 5.0 <= rate < 5.5, (rate, plan.review.extra)
    wallet.send(done.signed, bitcoin)
    bitcoin.mine()
    wallet.sync("vault", bitcoin)
    left = wallet.balance("vault")[0]
    assert left.confirmed == left.spendable == 1_500_000 - plan.review.fee


def test_a_path_that_waits_says_so(wallet: Any, bitcoin: Any, signers: list[Any]) -> None:
    a, b, _ = texts(signers)
    one = names(signers)[0]
    account = DescriptorAccount.from_text(f"wsh(thresh(2,pk({a}),s:pk({b}),sln:older(10)))", Network.REGTEST)
    fund(wallet, bitcoin, account)
    alone = Transfer(account="vault", payments=order(), spend_with=SpendWith(signers=(one,)))
    with pytest.raises(Exception) as caught:
        wallet.plan(alone, bitcoin)
    assert caught.value.code == "funds.insufficient"
    bitcoin.mine(10)
    wallet.sync("vault", bitcoin)
    plan = wallet.plan(alone, bitcoin)
    assert plan.review.extra["signatures"] == f"1 of 2: {one}; coins older than 10 blocks"
    usual = wallet.plan(Transfer(account="vault", payments=order(300_000)), bitcoin, dry_run=True)
    assert "older" not in usual.review.extra["signatures"]


def test_one_account_is_one_account_however_it_is_written(wallet: Any, signers: list[Any], fakes: Any) -> None:
    a, b, c = texts(signers)
    first = account_of_descriptor(f"wsh(sortedmulti(2,{a},{b},{c}))", Network.REGTEST)
    assert isinstance(first, MultisigAccount)
    wallet.add_account("one", first)
    with pytest.raises(ConflictError):
        wallet.add_account("two", account_of_descriptor(f"wsh(sortedmulti(2,{c},{a},{b}))", Network.REGTEST))
    plain = fakes.bitcoin_account()
    wallet.add_account("plain", plain, signer="x")
    twin = DescriptorAccount.from_text(plain.descriptor(), Network.REGTEST)
    assert wallet.add_account("plain", twin, signer="x").account == plain
    half = DescriptorAccount.from_text(plain.descriptor(0), Network.REGTEST)
    with pytest.raises(ConflictError):
        wallet.add_account("half", half)
    watched = wallet.account("one")
    assert (watched.signer, watched.signers) == ("", ())
    several = account_of_descriptor(f"wsh(sortedmulti(1,{a},{b}))", Network.REGTEST)
    assert wallet.add_account("several", several, signer=["left", "right"]).signers == ("left", "right")
    for bad in (
        f"wsh(multi(1,{a.replace('/*', '/*h')}))",
        f"combo({a})",
        "raw(51)",
        f"wpkh({a.replace('<0;1>', '<0;1;2>')})",
    ):
        with pytest.raises(InvalidInputError):
            account_of_descriptor(bad, Network.REGTEST)


@pytest.mark.parametrize("way", ["tr(musig({0},{1})/<0;1>/*)", "tr({2},{{pk(musig({0},{1})/<0;1>/*),pk({2})}})"])
def test_participants_sign_together(
    wallet: Any, bitcoin: Any, signers: list[Any], policy: Any, fakes: SimpleNamespace, way: str
) -> None:
    bare = [f"[{origin}]{xpub}" for origin, xpub in keys(signers)]
    text = way.format(*bare[:2], "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
    fund(wallet, bitcoin, account_of_descriptor(text, Network.REGTEST))
    plan = wallet.plan(Transfer(account="vault", payments=order()), bitcoin)
    assert plan.review.extra["signatures"].startswith("2 of ")
    assert plan.review.extra["signatures"].endswith(f": {names(signers)[0]}, {names(signers)[1]}")
    wallet.approve(plan, policy)
    with pytest.raises(InvalidInputError, match="together") as alone:
        wallet.add_signatures(plan.id, signer=signers[0])
    assert alone.value.code == "input.psbt.together"
    with pytest.raises(UnsupportedError, match="knows no MuSig2"):
        wallet.sign_together(plan.id, signers=[signers[0], fakes.Signer()])
    with pytest.raises(InvalidInputError):
        wallet.sign_together(plan.id, signers=signers)  # the third takes no part
    with pytest.raises(InvalidInputError, match="nonce"):
        wallet.sign_together(plan.id, signers=signers[:1])
    signed = wallet.sign_together(plan.id, signers=signers[:2], policy=policy)
    judge(signed.raw, Psbt.from_text(plan.psbt))
    assert wallet.sign_together(plan.id, signers=signers[:2]) == signed
    assert wallet.transfer(plan.id).state is TransferState.SIGNED
    wallet.send(signed, bitcoin)
