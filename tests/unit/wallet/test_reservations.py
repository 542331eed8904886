"""The reservation ledger under any order of events: no coin and no nonce ever belongs to two intents."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from sqlalchemy import insert

from bursar.errors import ConflictError
from bursar.wallet.store import reservations as ledger
from bursar.wallet.store.engine import Store
from bursar.wallet.store.schema import accounts, transfers

COINS = [(f"{number:064x}", number % 3) for number in range(8)]
SENDER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
CHAIN = 31337


def add_intent(connection: Any, name: str, root: str) -> None:
    """The least of a transfer's row that reservations may point to."""
    connection.execute(
        insert(transfers).values(
            id=name,
            account_id=1,
            root=root,
            state="planned",
            body_digest="",
            plan="{}",
            plan_digest="",
            signing=0,
            fee="0",
            created=0,
        )
    )


def fresh_store(folder: Path) -> Store:
    store = Store.create(folder / "wallet.db")
    with store.write() as connection:
        connection.execute(
            insert(accounts).values(
                id=1, name="a", chain="ethereum", network="x", identity="i", body="{}", signer="s", created=0
            )
        )
    return store


class LedgerMachine(RuleBasedStateMachine):
    """Compared with a dictionary; every step its own transaction, as processes would take them."""

    intents = Bundle("intents")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = fresh_store(Path(self.folder.name))
        self.count = 0
        self.coins: dict[tuple[str, int], tuple[str, str]] = {}
        self.nonces: dict[int, str] = {}
        self.signed: set[int] = set()
        self.floor = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    @rule(target=intents)
    def plan(self) -> str:
        self.count += 1
        name = f"t{self.count}"
        with self.store.write() as connection:
            add_intent(connection, name, name)
        return name

    @rule(root=intents, wanted=st.sets(st.sampled_from(COINS), min_size=1, max_size=4))
    def hold_coins(self, root: str, wanted: set[tuple[str, int]]) -> None:
        taken = any(self.coins.get(coin, (root, ""))[0] != root for coin in wanted)

        def act() -> None:
            with self.store.write() as connection:
                ledger.hold_coins(connection, "regtest", sorted(wanted), root=root, transfer_id=root)

        if taken:
            with pytest.raises(ConflictError):
                act()  # nothing of it may remain, the free coins neither: the invariant sees that
        else:
            act()
            for coin in wanted:
                self.coins.setdefault(coin, (root, root))

    @rule(root=intents, extra=st.sets(st.sampled_from(COINS), max_size=2))
    def bump(self, root: str, extra: set[tuple[str, int]]) -> None:
        free = {coin for coin in extra if coin not in self.coins}
        self.count += 1
        name = f"t{self.count}"
        with self.store.write() as connection:
            add_intent(connection, name, root)
            ledger.hold_coins(connection, "regtest", sorted(free), root=root, transfer_id=name)
            if self.count % 2:  # an abandoned bump gives back what it took, and nothing else
                ledger.release_transfer(connection, name)
                free = set()
        self.coins.update(dict.fromkeys(free, (root, name)))

    @rule(root=intents, reported=st.integers(0, 6))
    def hold_nonce(self, root: str, reported: int) -> None:
        if root in self.nonces.values():
            return
        with self.store.write() as connection:
            given = ledger.next_nonce(connection, CHAIN, SENDER, least=reported)
            ledger.hold_nonce(connection, CHAIN, SENDER, given, root=root, transfer_id=root)
        assert given >= max(reported, self.floor)
        assert given not in self.nonces
        assert all(number in self.nonces for number in range(max(reported, self.floor), given))
        self.nonces[given] = root

    @rule(nonce=st.integers(0, 8))
    def raise_floor(self, nonce: int) -> None:
        with self.store.write() as connection:
            ledger.raise_nonce_floor(connection, CHAIN, SENDER, nonce)
        self.floor = max(self.floor, nonce)

    @rule(root=consumes(intents))
    def release(self, root: str) -> None:
        with self.store.write() as connection:
            ledger.release_transfer(connection, root)
        self.coins = {coin: owner for coin, owner in self.coins.items() if owner[1] != root}
        self.nonces = {number: owner for number, owner in self.nonces.items() if owner != root}

    @rule(root=intents, keep=st.sets(st.sampled_from(COINS), max_size=3))
    def bury(self, root: str, keep: set[tuple[str, int]]) -> None:
        with self.store.write() as connection:
            ledger.release_coins(connection, root, keep=keep)
        self.coins = {coin: owner for coin, owner in self.coins.items() if owner[0] != root or coin in keep}

    @invariant()
    def same_as_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.store.read() as connection:
            held = ledger.held_coin_roots(connection, "regtest")
            assert held == {coin: owner[0] for coin, owner in self.coins.items()}
            assert ledger.held_coin_roots(connection, "main") == {}
            for number in range(20):
                owner = ledger.nonce_owner(connection, CHAIN, SENDER, number)
                assert owner == self.nonces.get(number)
            assert (ledger.nonce_floor(connection, CHAIN, SENDER) or 0) == self.floor


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_database_refuses_a_second_owner(tmp_path: Path) -> None:
    """Even code that forgets to look cannot bind a nonce twice: the key is unique."""
    from bursar.wallet.store.schema import held_nonces

    store = fresh_store(tmp_path)

    def bind(root: str) -> None:
        with store.write() as connection:
            connection.execute(
                insert(held_nonces).values(chain_id=CHAIN, sender=SENDER, nonce=7, root=root, transfer_id=root)
            )

    with store.write() as connection:
        add_intent(connection, "a", "a")
        add_intent(connection, "b", "b")
    bind("a")
    with pytest.raises(ConflictError):
        bind("b")
    store.close()
