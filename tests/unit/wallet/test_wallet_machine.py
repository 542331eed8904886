"""A Bitcoin account under any order of payments, bumps, cancellations, blocks and reorganisations."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bursar.bitcoin.psbt import Psbt
from bursar.errors import BroadcastRejectedError, ConflictError, InsufficientFundsError, InvalidInputError
from bursar.policy.policy import RulePolicy
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState
from bursar.wallet.wallet import Wallet

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def test_nothing_is_lost_or_signed_twice(fakes: SimpleNamespace) -> None:
    class Machine(RuleBasedStateMachine):
        @initialize(values=st.lists(st.integers(100_000, 900_000), min_size=2, max_size=5))
        def start(self, values: list[int]) -> None:
            self.folder = tempfile.TemporaryDirectory()
            self.node = fakes.Bitcoin()
            self.signer = fakes.Signer()
            self.account = fakes.bitcoin_account()
            self.policy = RulePolicy.from_toml('version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n')
            self.wallet = Wallet.open(Path(self.folder.name) / "wallet.db", create=True, rng=Random(1))
            self.wallet.add_account("btc", self.account, signer="x")
            for index, value in enumerate(values):
                self.node.pay(self.account.script(0, index), value)
            self.node.mine()
            self.wallet.sync("btc", self.node)
            self.owners: dict[str, str] = {}
            self.synced = True

        def teardown(self) -> None:
            if hasattr(self, "wallet"):
                self.wallet.journal.verify()
                self.wallet.close()
                self.signer.close()
                self.folder.cleanup()

        def in_state(self, *states: TransferState) -> list[Any]:
            return [one for one in self.wallet.transfers() if one.state in states]

        def root(self, record: Any) -> str:
            while record.replaces is not None:
                record = self.wallet.transfer(record.replaces)
            return str(record.id)

        @rule(amount=st.integers(20_000, 600_000))
        def plan(self, amount: int) -> None:
            order = PaymentOrder(PAYEE, amount, "BTC")
            spendable = self.wallet.balance("btc")[0].spendable
            try:
                self.wallet.plan(Transfer(account="btc", payments=(order,)), self.node)
            except InsufficientFundsError:
                assert spendable < amount + 10_000  # what is called spendable can be spent, but for its fee

        @rule(data=st.data())
        @precondition(lambda self: self.in_state(TransferState.PLANNED, TransferState.APPROVED))
        def sign(self, data: st.DataObject) -> None:
            record = data.draw(st.sampled_from(self.in_state(TransferState.PLANNED, TransferState.APPROVED)))
            plan = self.wallet.plan_of(record.id)
            try:
                self.wallet.sign(self.wallet.approve(plan, self.policy), signer=self.signer)
            except ConflictError:
                # Only a replacement whose target is in a block by now may be refused.
                assert record.replaces is not None
                return
            for item in Psbt.from_text(plan.psbt or "").tx.inputs:
                owner = self.owners.setdefault(str(item.outpoint), self.root(record))
                assert owner == self.root(record), "a coin was signed for two intents"

        @rule(data=st.data())
        @precondition(lambda self: self.in_state(TransferState.SIGNED, TransferState.SENT))
        def send(self, data: st.DataObject) -> None:
            record = data.draw(st.sampled_from(self.in_state(TransferState.SIGNED, TransferState.SENT)))
            signed = self.wallet.signed_of(record.id)
            assert signed is not None
            try:
                self.wallet.send(signed, self.node)
            except BroadcastRejectedError:
                assert record.replaces is not None or self.synced is False

        @rule(data=st.data())
        @precondition(lambda self: self.in_state(TransferState.PLANNED, TransferState.APPROVED))
        def cancel(self, data: st.DataObject) -> None:
            record = data.draw(st.sampled_from(self.in_state(TransferState.PLANNED, TransferState.APPROVED)))
            self.wallet.cancel(record.id)

        @rule(data=st.data(), cancel=st.booleans())
        @precondition(lambda self: self.in_state(TransferState.SIGNED, TransferState.SENT))
        def bump(self, data: st.DataObject, cancel: bool) -> None:
            record = data.draw(st.sampled_from(self.in_state(TransferState.SIGNED, TransferState.SENT)))
            try:
                self.wallet.bump(record.id, self.node, fee=FeeChoice(), cancel=cancel)
            except (ConflictError, InsufficientFundsError, InvalidInputError):
                return

        @rule()
        def mine(self) -> None:
            self.node.mine()
            self.synced = False

        @rule(depth=st.integers(1, 2))
        def reorganise(self, depth: int) -> None:
            if len(self.node.blocks) > depth + 2:
                self.node.reorganise(depth)
                self.synced = False

        @rule()
        def refresh(self) -> None:
            self.wallet.refresh("btc", self.node)

        @rule()
        def sync(self) -> None:
            self.wallet.sync("btc", self.node)
            self.wallet.sync("btc", self.node)
            self.synced = True
            scripts = set(self.account.scripts(0, 0, 60) + self.account.scripts(1, 0, 60))
            truth = sum(int(output.value) for output, _, _ in self.node._unspent().values() if output.script in scripts)
            balance = self.wallet.balance("btc")[0]
            assert balance.confirmed + balance.immature == truth

        @invariant()
        def figures_are_sane(self) -> None:
            if not hasattr(self, "wallet"):
                return
            balance = self.wallet.balance("btc")[0]
            assert min(balance.confirmed, balance.reserved, balance.spendable) >= 0
            assert balance.spendable + balance.reserved <= balance.confirmed + max(0, balance.pending) + sum(
                change.amount
                for one in self.in_state(TransferState.SENT)
                for change in self.wallet.plan_of(one.id).review.change
            )

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
