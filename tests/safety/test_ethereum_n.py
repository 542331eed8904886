"""Nonces, duplicates, chains and gas of Ethereum transfers: rows N1 to N5, D1 to D3, C2, C3 and G2, by their ids."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account

from bursar.chain.ethereum_chains import EthereumChain, EthereumChains, FinalityRule
from bursar.chain.fees import FeeCaps
from bursar.crypto import rlp
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import (
    BroadcastRejectedError,
    BursarError,
    ChainError,
    ChainUnavailableError,
    ConflictError,
    InvalidInputError,
    PolicyDeniedError,
    SignerMisbehavedError,
    WrongChainError,
)
from bursar.ethereum.fees import Eip1559Fees
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.policy.policy import RulePolicy
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState
from bursar.wallet.actions import ContractCall, FillNonce
from bursar.wallet.ethereum_fees import bumped_fees, replacement
from bursar.wallet.plan import ApprovedPlan, Plan, SignedTransfer
from bursar.wallet.wallet import Wallet

_wallets: Any = sys.modules["bursar_safety_wallets"]
rich, ethereum, signer = _wallets.rich, _wallets.ethereum, _wallets.signer
HERE = Path(__file__).resolve().parent
PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ETHER = 10**18
GWEI = 10**9


def pay(amount: int = ETHER // 100, **more: Any) -> Transfer:
    return Transfer(account="eth", payments=(PaymentOrder(PAYEE, amount, "ETH"),), **more)


def signed(rich: SimpleNamespace, policy: Any, signer: Any, plan: Plan) -> SignedTransfer:
    made: SignedTransfer = rich.wallet.sign(rich.wallet.approve(plan, policy), signer=signer)
    return made


def go(rich: SimpleNamespace, policy: Any, signer: Any, plan: Plan) -> SignedTransfer:
    made = signed(rich, policy, signer, plan)
    rich.wallet.send(made, rich.node)
    return made


def nonce_of(plan: Plan) -> int:
    nonce = plan.review.extra["nonce"]
    assert isinstance(nonce, int)
    return nonce


def gaps(rich: SimpleNamespace, *, ask: bool = True) -> list[tuple[int, str]]:
    (record,) = rich.wallet.nonces("eth", rich.node if ask else None)
    assert (record.alarm is None) == (record.gaps == ())
    return [(one.nonce, one.reason) for one in record.gaps]


class Moody:
    """The node of ``rich``, which does with the next broadcast what it is told."""

    def __init__(self, node: Any) -> None:
        self.node, self.mood, self._broadcast = node, "", node.broadcast
        node.broadcast = self.broadcast

    def broadcast(self, raw: bytes) -> str:
        mood, self.mood = self.mood, ""
        if mood == "refuse":
            raise BroadcastRejectedError("gas price too low", node_code=-32000, reason="gas price too low")
        if mood == "down":
            raise ChainUnavailableError("the node answers 500")
        answer: str = self._broadcast(raw)
        if mood == "late":
            raise ChainUnavailableError("the node did not answer in time")
        return answer


# N1


def test_N1_fifty_threads_sign_with_fifty_nonces(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    rich.wallet.plan(pay(dry := 1), rich.node, dry_run=True)
    with ThreadPoolExecutor(50) as pool:
        jobs = [
            pool.submit(lambda n: signed(rich, policy, signer, rich.wallet.plan(pay(1000 + n), rich.node)), number)
            for number in range(50)
        ]
        made = [job.result() for job in jobs]
    nonces = sorted(SignedTransaction.parse(one.raw).unsigned.nonce for one in made)
    assert nonces == list(range(50)), dry
    by_nonce = defaultdict(set)
    for place, digest in signer.asked:
        by_nonce[place].add(digest)
    assert len(by_nonce) == 50
    assert all(len(found) == 1 for found in by_nonce.values())
    (record,) = rich.wallet.nonces("eth", rich.node)
    assert (record.next, [one.nonce for one in record.held]) == (50, list(range(50)))


def test_N1_one_plan_signed_by_many_threads_gives_one_signature(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    approved = rich.wallet.approve(rich.wallet.plan(pay(), rich.node), policy)
    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(lambda _: rich.wallet.sign(approved, signer=signer), range(12)))
    assert len({one.raw for one in made}) == 1
    assert len(set(signer.asked)) == 1


def test_N1_processes_race_and_one_is_killed_between_sign_and_store(
    rich: SimpleNamespace, policy: Any, signer: Any, tmp_path: Path
) -> None:
    rich.wallet.close()
    store, log = tmp_path / "wallet.db", tmp_path / "signatures.log"
    command = [sys.executable, str(HERE / "nonce_racers.py"), str(HERE.parent / "unit" / "wallet" / "conftest.py")]
    done = subprocess.run(
        [*command, str(store), str(log), "4", "3"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = defaultdict(set)
    for line in log.read_text().splitlines():
        nonce, digest, racer = line.split()
        seen[int(nonce)].add((digest, int(racer)))
    assert sorted(seen) == list(range(10))  # three of each, and one of the killed
    assert all(len(found) == 1 for found in seen.values()), "a nonce was signed twice"
    with Wallet.open(store) as wallet:
        (lost,) = [one for one in wallet.transfers("eth") if one.state is TransferState.APPROVED]
        assert lost.raw is None
        with pytest.raises(ConflictError, match="signature of it may exist"):
            wallet.cancel(lost.id)
        wallet.recover(rich.node)
        approved = wallet.approval_of(lost.id)
        assert approved is not None
        again = wallet.sign(approved, signer=signer)
        tx = SignedTransaction.parse(again.raw).unsigned
        assert {digest for digest, _ in seen[tx.nonce]} == {tx.digest().hex()}, "replay signs the same bytes"
        assert wallet.plan(pay(), rich.node).review.extra["nonce"] == 10
        wallet.journal.verify()


def test_N1_a_signature_that_may_exist_keeps_its_nonce(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    plan = rich.wallet.plan(pay(), rich.node)
    approved = rich.wallet.approve(plan, policy)
    signer.refuse = ChainUnavailableError("the cable was pulled after the device had signed")
    with pytest.raises(ChainUnavailableError):
        rich.wallet.sign(approved, signer=signer)
    signer.refuse = None
    with pytest.raises(ConflictError):
        rich.wallet.cancel(plan.id)
    assert nonce_of(rich.wallet.plan(pay(), rich.node)) == nonce_of(plan) + 1


# N2


def test_N2_a_signed_transfer_no_node_takes_is_a_gap_with_an_alarm(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = rich.wallet, rich.node
    stuck, *queued = [wallet.plan(pay(1000 + number), node) for number in range(3)]
    first = signed(rich, policy, signer, stuck)
    Moody(node).mood = "refuse"
    with pytest.raises(BroadcastRejectedError):
        wallet.send(first, node)
    assert gaps(rich) == []  # nothing waits for it yet
    for plan in queued:
        go(rich, policy, signer, plan)
    assert gaps(rich) == gaps(rich, ask=False) == [(0, "unsent")]
    (record,) = wallet.nonces("eth", node)
    assert "nonce 0" in record.alarm
    assert "2 after it wait" in record.alarm
    assert (record.mined, record.pending, record.next) == (0, 0, 3)
    late = wallet.plan(pay(), node)
    assert "nonce-gap" in {one.code for one in late.review.warnings}
    node.mine()
    assert not node.mined

    filler = wallet.fill_gap("eth", 0, node)
    tx = UnsignedTransaction.parse(bytes.fromhex(filler.unsigned))
    assert (tx.nonce, str(tx.to), tx.value, tx.data) == (0, filler.sender, 0, b"")
    assert filler.review.payments == filler.review.allowances == filler.review.calls == ()
    with pytest.raises(ConflictError):  # no approval, no signature
        wallet.sign(ApprovedPlan(filler, filler.digest(), policy.digest(), "made up", 0), signer=signer)
    go(rich, policy, signer, filler)
    assert gaps(rich) == []
    node.mine()
    wallet.sync("eth", node)
    states = {one.id: one.state for one in wallet.transfers("eth")}
    assert states[filler.id] is states[queued[0].id] is states[queued[1].id] is TransferState.CONFIRMED
    assert states[stuck.id] is TransferState.REPLACED
    with pytest.raises(ConflictError):
        wallet.send(first, node)
    assert node.balances[PAYEE] == 1001 + 1002


def test_N2_a_free_nonce_is_filled_by_a_self_send_at_that_nonce_only(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = rich.wallet, rich.node
    plans = [wallet.plan(pay(1000 + number), node) for number in range(3)]
    with pytest.raises(InvalidInputError) as caught:
        wallet.fill_gap("eth", 0, node)
    assert caught.value.code == "input.nonce"
    go(rich, policy, signer, plans[2])
    assert gaps(rich) == [(0, "unsigned"), (1, "unsigned")]
    with pytest.raises(ConflictError, match=plans[1].id):
        wallet.fill_gap("eth", 1, node)
    wallet.cancel(plans[1].id)
    assert gaps(rich) == [(0, "unsigned"), (1, "free")]
    for bad in (2, 3, 100):
        with pytest.raises((InvalidInputError, ConflictError)):
            wallet.plan(Transfer(account="eth", action=FillNonce(bad), source=plans[0].sender), node)
    filler = wallet.fill_gap("eth", 1, node, idempotency_key="gap 1")
    assert wallet.fill_gap("eth", 1, node, idempotency_key="gap 1") == filler
    with pytest.raises(ConflictError):
        wallet.fill_gap("eth", 0, node, idempotency_key="gap 1")
    narrow = RulePolicy.from_toml(
        f'version = 1\n[[rule]]\nname = "known"\nkind = "allow-list"\naddresses = ["{PAYEE}"]\n'
    )
    with pytest.raises(PolicyDeniedError):
        wallet.approve(filler, narrow)
    assert gaps(rich) == [(0, "unsigned"), (1, "free")]
    filler = wallet.fill_gap("eth", 1, node)
    for plan in (plans[0], filler):
        go(rich, policy, signer, plan)
    node.mine()
    wallet.sync("eth", node)
    assert node.counts[str(filler.sender)] == 3
    assert gaps(rich) == []


def test_N2_what_the_node_forgot_is_told_and_sent_again(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    plans = [wallet.plan(pay(1000 + number), node) for number in range(2)]
    lost = go(rich, policy, signer, plans[0])
    go(rich, policy, signer, plans[1])
    del node.pool[lost.txid]
    assert gaps(rich, ask=False) == []
    assert gaps(rich) == [(0, "dropped")]
    wallet.recover(node)
    assert gaps(rich) == []
    assert node.broadcasts.count(lost.raw) == 2


# N3


def fees(most: int, tip: int) -> FeeChoice:
    return FeeChoice(rate=Eip1559Fees(max_fee_per_gas=Wei(most), max_priority_fee_per_gas=Wei(tip)))


def test_N3_both_fields_rise_by_ten_percent(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    plan = rich.wallet.plan(pay(fee=fees(10 * GWEI, GWEI)), rich.node)
    go(rich, policy, signer, plan)
    for most, tip in (
        (10_900_000_000, 1_090_000_000),
        (11_000_000_000, 1_000_000_000),
        (10_000_000_000, 1_100_000_000),
        (10_999_999_999, 1_100_000_000),
    ):
        with pytest.raises(InvalidInputError) as caught:
            rich.wallet.bump(plan.id, rich.node, fee=fees(most, tip))
        assert caught.value.code == "input.fee"
    bump = rich.wallet.bump(plan.id, rich.node, fee=fees(11_000_000_000, 1_100_000_000))
    go(rich, policy, signer, bump)
    rich.node.mine()
    assert rich.node.balances[PAYEE] == ETHER // 100


def test_N3_caps_are_honoured(rich: SimpleNamespace, policy: Any, signer: Any, tmp_path: Path) -> None:
    plan = rich.wallet.plan(pay(fee=fees(10 * GWEI, GWEI)), rich.node)
    go(rich, policy, signer, plan)
    rich.wallet.close()
    with Wallet.open(tmp_path / "wallet.db", caps=FeeCaps(ethereum=Wei(10_500_000_000))) as wallet:
        for fee in (FeeChoice(), fees(11 * GWEI, 2 * GWEI)):
            with pytest.raises(InvalidInputError) as caught:
                wallet.bump(plan.id, rich.node, fee=fee)
            assert caught.value.code == "input.fee"
    with Wallet.open(tmp_path / "wallet.db") as wallet:
        with pytest.raises(InvalidInputError) as caught:
            wallet.bump(plan.id, rich.node, fee=FeeChoice(max_fee=21_000 * 10 * GWEI))
        assert caught.value.code == "input.fee.cap"
        assert wallet.bump(plan.id, rich.node, fee=FeeChoice(max_fee=21_000 * 11 * GWEI)).review.max_fee == (
            21_000 * 11 * GWEI
        )


def test_N3_blobs_rise_by_a_hundred_percent(rich: SimpleNamespace) -> None:
    before = UnsignedTransaction(
        type=3,
        chain_id=1,
        nonce=7,
        to=rich.account.address(0),
        value=Wei(0),
        gas_limit=21_000,
        max_fee_per_gas=Wei(10 * GWEI),
        max_priority_fee_per_gas=Wei(GWEI),
        max_fee_per_blob_gas=Wei(100),
        blob_versioned_hashes=(b"\x01" * 32,),
    )
    quote = rich.node.quote
    for bad in (fees(19_900_000_000, 1_990_000_000), fees(20 * GWEI, GWEI), fees(19 * GWEI, 2 * GWEI)):
        with pytest.raises(InvalidInputError):
            bumped_fees(FeeCaps(), before, bad, quote)
    chosen = bumped_fees(FeeCaps(), before, fees(20 * GWEI, 2 * GWEI), quote)
    with pytest.raises(InvalidInputError):
        replacement(before, chosen, blob_fee=Wei(199))
    assert replacement(before, chosen, blob_fee=Wei(200)) == replacement(before, chosen)
    after = replacement(before, bumped_fees(FeeCaps(), before, FeeChoice(), quote))
    assert (after.max_fee_per_gas, after.max_priority_fee_per_gas, after.max_fee_per_blob_gas) == (
        20 * GWEI,
        2 * GWEI,
        200,
    )
    assert (after.nonce, after.to, after.blob_versioned_hashes) == (7, before.to, before.blob_versioned_hashes)


# N4


def test_N4_to_bump_after_a_cancel_is_to_bump_the_cancel(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    payment = wallet.plan(pay(), node)
    go(rich, policy, signer, payment)
    undo = wallet.bump(payment.id, node, fee=FeeChoice(), cancel=True)
    go(rich, policy, signer, undo)
    with pytest.raises(ConflictError, match=undo.id):
        wallet.bump(payment.id, node, fee=FeeChoice(speed="fast"))
    faster = wallet.bump(undo.id, node, fee=FeeChoice(speed="fast"))
    tx = UnsignedTransaction.parse(bytes.fromhex(faster.unsigned))
    assert (str(tx.to), tx.value, tx.data, tx.nonce) == (undo.sender, 0, b"", 0)
    assert faster.review.payments == ()
    go(rich, policy, signer, faster)
    node.mine()
    wallet.sync("eth", node)
    assert node.balances.get(PAYEE, 0) == 0
    assert {one.id: one.state for one in wallet.transfers("eth")} == {
        payment.id: TransferState.REPLACED,
        undo.id: TransferState.REPLACED,
        faster.id: TransferState.CONFIRMED,
    }


# N5


def test_N5_a_nonce_used_elsewhere_supersedes_and_nothing_is_sent_again(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = rich.wallet, rich.node
    plan = wallet.plan(pay(ETHER), node)
    ours = go(rich, policy, signer, plan)
    node.pool.clear()
    node.counts[str(plan.sender)] = 1
    node.balances[str(plan.sender)] = 7 * ETHER
    with pytest.raises(ConflictError):  # a bump looks, and finds the nonce gone
        wallet.bump(plan.id, node, fee=FeeChoice())
    assert wallet.transfer(plan.id).state is TransferState.SUPERSEDED
    assert wallet.recover(node) == ()
    for attempt in (lambda: wallet.send(ours, node), lambda: wallet.bump(plan.id, node, fee=FeeChoice(), cancel=True)):
        with pytest.raises(ConflictError):
            attempt()
    assert node.broadcasts == [ours.raw]
    balance = wallet.balance("eth")[0]
    assert (balance.confirmed, balance.pending, balance.spendable) == (7 * ETHER, 0, 7 * ETHER)
    assert nonce_of(wallet.plan(pay(), node)) == 1
    assert gaps(rich) == []
    # A node that takes its count back does not bring it to life again: it may have been paid anew by now.
    node.counts[str(plan.sender)] = 0
    wallet.sync("eth", node)
    assert wallet.transfer(plan.id).state is TransferState.SUPERSEDED
    wallet.recover(node)
    assert node.broadcasts == [ours.raw]
    # Only the chain itself does, and then the store says so.
    node.pool[ours.txid] = ours.raw
    node.mine()
    wallet.sync("eth", node)
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    wallet.journal.verify()


# D1, D2, D3


def test_D1_a_timeout_after_the_node_took_it_ends_in_one_transfer(
    rich: SimpleNamespace, policy: Any, signer: Any
) -> None:
    wallet, node = rich.wallet, rich.node
    wanted = pay(idempotency_key="invoice 7")
    made = signed(rich, policy, signer, wallet.plan(wanted, node))
    Moody(node).mood = "late"
    with pytest.raises(ChainUnavailableError):
        wallet.send(made, node)
    again = wallet.plan(pay(idempotency_key="invoice 7"), node)
    assert again.id == made.id
    assert wallet.sign(wallet.approve(again, policy), signer=signer) == made
    assert wallet.send(made, node) == made.txid
    assert [done.action for done in wallet.recover(node)] == []
    assert node.broadcasts == [made.raw]
    assert len(signer.asked) == len(wallet.transfers("eth")) == 1
    node.mine()
    wallet.sync("eth", node)
    assert node.balances[PAYEE] == ETHER // 100


def test_D2_a_key_with_another_body_is_a_conflict(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    rich.wallet.plan(pay(1000, idempotency_key="invoice 7"), rich.node)
    call = Transfer(account="eth", action=ContractCall(PAYEE, b"\x01"), idempotency_key="invoice 7")
    for other in (pay(1001, idempotency_key="invoice 7"), call):
        with pytest.raises(ConflictError) as caught:
            rich.wallet.plan(other, rich.node)
        assert caught.value.code == "conflict.idempotency"
    assert signer.asked == []


def test_D3_a_failure_before_acceptance_burns_no_key(rich: SimpleNamespace, policy: Any, signer: Any) -> None:
    wallet, node = rich.wallet, rich.node
    node.down = True
    with pytest.raises(ChainUnavailableError):
        wallet.plan(pay(1000, idempotency_key="invoice 7"), node)
    node.down = False
    assert wallet.transfers("eth") == ()
    plan = wallet.plan(pay(2000, idempotency_key="invoice 7"), node)  # nothing was bound to the key
    made = signed(rich, policy, signer, plan)
    Moody(node).mood = "down"
    with pytest.raises(ChainUnavailableError):
        wallet.send(made, node)
    assert wallet.transfer(plan.id).state is TransferState.SIGNED  # signed, and not accepted
    assert node.broadcasts == []
    again = wallet.plan(pay(2000, idempotency_key="invoice 7"), node)
    assert go(rich, policy, signer, again) == made
    assert node.broadcasts == [made.raw]


# C2, C3


def test_C2_a_node_of_another_chain_is_refused_at_once_and_midway(
    rich: SimpleNamespace, policy: Any, signer: Any, fakes: SimpleNamespace
) -> None:
    wallet, node = rich.wallet, rich.node
    with pytest.raises(WrongChainError):
        wallet.plan(pay(), fakes.Ethereum(137))
    plan = wallet.plan(pay(), node)
    node.chain_id = 137
    for step in (
        lambda: wallet.plan(pay(), node),
        lambda: wallet.nonces("eth", node),
        lambda: wallet.fill_gap("eth", 0, node, sender=plan.sender),
        lambda: wallet.sync("eth", node),
    ):
        with pytest.raises((WrongChainError, ConflictError)):
            step()
    made = signed(rich, policy, signer, plan)
    assert SignedTransaction.parse(made.raw).unsigned.chain_id == 31337  # the account's, whatever a node says
    with pytest.raises(WrongChainError):
        wallet.send(made, node)
    with pytest.raises(WrongChainError):
        wallet.bump(plan.id, node, fee=FeeChoice())
    assert node.broadcasts == []
    node.chain_id = 31337
    wallet.send(made, node)


def legacy_chain(chain_id: int) -> EthereumChain:
    return EthereumChain(
        id=chain_id,
        name="Old chain",
        short_name=f"old-{chain_id}",
        currency_name="Old coin",
        currency_symbol="OLD",
        testnet=True,
        finality=FinalityRule.CONFIRMATIONS,
        confirmations=12,
        eip1559=False,
    )


@pytest.mark.parametrize("chain_id", [111, 1 << 31, (1 << 53) - 1])
def test_C3_v_is_made_by_us_and_the_sender_recovered(
    fakes: SimpleNamespace, policy: Any, signer: Any, tmp_path: Path, chain_id: int
) -> None:
    node, account = fakes.Ethereum(chain_id), fakes.ethereum_account(chain_id)
    sender = str(account.address(0))
    node.balances[sender] = ETHER
    chains = EthereumChains.built_in().adding([legacy_chain(chain_id)])
    with Wallet.open(tmp_path / "old.db", create=True, chains=chains) as wallet:
        wallet.add_account("eth", account, signer="test")
        plan = wallet.plan(Transfer(account="eth", payments=(PaymentOrder(PAYEE, 1000, "OLD"),)), node)
        assert plan.review.fee_asset.symbol == plan.review.payments[0].asset.symbol == "OLD"
        approved = wallet.approve(plan, policy)

        class OneByte:
            """A device whose answer has lost the parity of its signature, as one byte of v does on such chains."""

            info, xpub = signer.info, signer.xpub

            def close(self) -> None: ...

            def sign_transaction(self, path: Any, tx: Any) -> EcdsaSignature:
                right = signer.sign_transaction(path, tx)
                return EcdsaSignature(right.r, right.s, 1 - right.y_parity)

        with pytest.raises(SignerMisbehavedError):
            wallet.sign(approved, signer=OneByte())
        made = wallet.sign(approved, signer=signer)
        fields = rlp.decode(made.raw)
        assert int.from_bytes(fields[6], "big") in (35 + 2 * chain_id, 36 + 2 * chain_id)
        assert Account.recover_transaction(made.raw) == sender
        assert wallet.send(made, node) == made.txid
        bump = wallet.bump(plan.id, node, fee=FeeChoice())
        raw = wallet.sign(wallet.approve(bump, policy), signer=signer).raw
        old, new = (SignedTransaction.parse(one).unsigned for one in (made.raw, raw))
        assert (old.type, new.type, old.nonce) == (0, 0, new.nonce)
        assert new.gas_price * 10 >= old.gas_price * 11
        node.pool.clear()


def test_C3_chain_id_zero_is_no_chain(fakes: SimpleNamespace) -> None:
    for bad in (0, -1, 1 << 64):
        with pytest.raises(InvalidInputError):
            fakes.ethereum_account(bad)


# G2


def test_G2_gas_no_block_would_take_is_refused_here(rich: SimpleNamespace, tmp_path: Path) -> None:
    rich.wallet.close()
    rich.node.balances[str(rich.account.address(0))] = 10**6 * ETHER
    usual = rich.node.gas
    with Wallet.open(tmp_path / "wallet.db", caps=FeeCaps(gas=1 << 25)) as wallet:
        for call, estimate, words in (
            (ContractCall(PAYEE, b"", 1000, gas_limit=20_999), usual, "below the 21000"),
            (ContractCall(PAYEE, b"\x01" * 100, gas_limit=21_000), usual, "before it runs"),
            (ContractCall(None, b"\x00" * 49_153, gas_limit=16_000_000), usual, "EIP-3860"),
            (ContractCall(PAYEE, b"\x01", gas_limit=(1 << 24) + 1), usual, "EIP-7825"),
            (ContractCall(PAYEE, b"\x01"), (1 << 24) + 1, "EIP-7825"),
        ):
            rich.node.gas = estimate
            with pytest.raises(InvalidInputError, match=words):
                wallet.plan(Transfer(account="eth", action=call), rich.node)
        assert wallet.transfers("eth") == ()
        assert wallet.nonces("eth")[0].held == ()


def test_G2_the_wallets_own_cap_comes_first(rich: SimpleNamespace) -> None:
    rich.node.gas = 30_000_000
    with pytest.raises(ChainError) as caught:
        rich.wallet.plan(Transfer(account="eth", action=ContractCall(PAYEE, b"\x01")), rich.node)
    assert caught.value.code == "chain.gas-absurd"
    with pytest.raises(BursarError):
        rich.wallet.plan(Transfer(account="eth", action=ContractCall(PAYEE, b"\x01", gas_limit=1_000_001)), rich.node)
