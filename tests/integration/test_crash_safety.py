"""Real processes killed at every step of a transfer, on real chains: restart converges, nothing is signed twice."""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.network import Network
from bursar.ethereum.account import EthereumAccount
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.wallet import TransferState
from bursar.wallet.wallet import Wallet

STEPS = (
    "plan.reserved",
    "approve.recorded",
    "sign.begun",
    "signer.signed",
    "sign.answered",
    "sign.stored",
    "send.begun",
    "send.broadcast",
    "send.recorded",
)
ETHER_PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
_payees = itertools.count()
_numbers = itertools.count()  # an account of its own for every test


class House:
    """A store with one account of each chain, funded, and the nodes it is on."""

    def __init__(self, sandbox: Any, payers: Callable[[dict[str, Any]], dict[str, Any]], folder: Path) -> None:
        self.sandbox, self.payers = sandbox, payers
        self.store, self.log = folder / "wallet.db", folder / "signatures.log"
        self.log.touch()
        number = next(_numbers)
        cookie = sandbox.bitcoin_cookie
        self.bitcoin = BitcoindBackend(sandbox.bitcoin_url, network=Network.REGTEST, cookie=cookie)
        self.ethereum = EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)
        with contextlib.closing(SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))) as signer:
            path = account_path(Scheme.BIP84, 1, number)
            origin = KeyOrigin(signer.info.fingerprint, path)
            xpub = type(signer.xpub(path)).from_text(tpub(signer.xpub(path)))
            self.account = BitcoinAccount(Network.REGTEST, Scheme.BIP84, origin, xpub)
            path = account_path(Scheme.BIP44, 60, number)
            origin = KeyOrigin(signer.info.fingerprint, path)
            self.purse = EthereumAccount(sandbox.ethereum_chain_id, origin, signer.xpub(path))
        with Wallet.open(self.store, create=True) as wallet:
            wallet.add_account("bitcoin", self.account, signer="test")
            wallet.add_account("ethereum", self.purse, signer="test")

    def close(self) -> None:
        self.bitcoin.close()
        self.ethereum.close()

    def fund(self, chain: str) -> None:
        if chain == "bitcoin":
            for index in range(4):
                self.sandbox.fund_bitcoin(str(self.account.address(0, index)), 1_000_000)
        else:
            self.sandbox.fund_ether(str(self.purse.address(0)), 2 * 10**18)

    def run(
        self, chain: str, key: str, *, to: str, amount: int, stop: str = "", bump: str = "", within: float | None = None
    ) -> dict[str, Any] | None:
        """Have a process make the transfer; its record, or ``None`` when it was killed (``stop``, ``within``)."""
        done = self.payers(
            {
                "store": str(self.store),
                "log": str(self.log),
                "bitcoin_url": self.sandbox.bitcoin_url,
                "cookie": str(self.sandbox.bitcoin_cookie),
                "ethereum_url": self.sandbox.ethereum_url,
                "chain_id": self.sandbox.ethereum_chain_id,
                "chain": chain,
                "key": key,
                "amount": amount,
                "stop": stop,
                "to": to,
                "bump": bump,
                "kill_after": within,
            }
        )
        if stop:
            assert done["signal"] == signal.SIGKILL, done["error"]
        if within is None and not stop:
            assert done["signal"] == 0
            assert done["record"] is not None, done["error"]
        found: dict[str, Any] | None = done["record"]
        return found

    def backend(self, chain: str) -> Any:
        return self.bitcoin if chain == "bitcoin" else self.ethereum

    def mine(self, chain: str) -> None:
        if chain == "bitcoin":
            self.sandbox.mine(1)
        else:
            self.sandbox.mine_ethereum(1)

    def received(self, chain: str, to: str) -> int:
        if chain == "ethereum":
            from bursar.ethereum.address import Address

            return int(self.ethereum.balance(Address.from_text(to)))
        from bursar.bitcoin.address import Address as BitcoinAddress
        from bursar.chain.protocols import SyncRequest

        script = BitcoinAddress.from_text(to, Network.REGTEST).script
        return sum(int(coin.output.value) for coin in self.bitcoin.sync(SyncRequest((script,))).coins)

    def signed(self) -> dict[str, set[str]]:
        """By coin or nonce: the distinct things signed for it."""
        found = defaultdict(set)
        for line in self.log.read_text().splitlines():
            subject, _, what = line.partition("\t")
            found[subject].add(what)
        return dict(found)


def tpub(key: Any) -> str:
    import dataclasses

    return str(dataclasses.replace(key, testnet=True))


def payee(chain: str) -> str:
    """A fresh address nobody has paid."""
    number = next(_payees)
    if chain == "ethereum":
        from bursar.ethereum.address import Address

        return str(Address((0xB0 << 152 | number).to_bytes(20, "big")))
    from bursar.bitcoin.address import Address as BitcoinAddress

    return str(BitcoinAddress.from_script(b"\x00\x14" + (0xB0 << 152 | number).to_bytes(20, "big"), Network.REGTEST))


@pytest.fixture
def house(sandbox: Any, payers: Any, tmp_path: Path) -> Iterator[House]:
    made = House(sandbox, payers, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("stop", STEPS)
@pytest.mark.parametrize("chain", ["bitcoin", "ethereum"])
def test_a_process_killed_at_any_step_converges(house: House, chain: str, stop: str) -> None:
    house.fund(chain)
    to = payee(chain)
    amount = 300_000 if chain == "bitcoin" else 10**17
    house.run(chain, "invoice", stop=stop, to=to, amount=amount)
    with Wallet.open(house.store) as wallet:
        (left,) = wallet.transfers()
        wallet.journal.verify()
        raw = left.raw
    record = house.run(chain, "invoice", to=to, amount=amount)
    assert record is not None
    assert record["state"] == "sent"
    if raw is not None:
        assert record["raw"] == raw.hex()
    if stop != "plan.reserved":
        assert record["id"] == left.id
    assert all(len(things) == 1 for things in house.signed().values()), house.signed()
    house.mine(chain)
    with Wallet.open(house.store) as wallet:
        wallet.sync(chain, house.backend(chain))
        last = wallet.transfers()[-1]
        assert (last.state, last.confirmations) == (TransferState.CONFIRMED, 1)
        assert wallet.balance(chain)[0].reserved == 0
        states = [one.state for one in wallet.transfers()[:-1]]
        assert states == ([TransferState.CANCELLED] if stop == "plan.reserved" else [])
        assert wallet.recover(house.backend(chain)) == ()
        wallet.journal.verify()
    assert house.received(chain, to) == amount
    # Asking again, even now, is the same transfer.
    again = house.run(chain, "invoice", to=to, amount=amount)
    assert again is not None
    assert again["txid"] == record["txid"]
    assert house.received(chain, to) == amount


@pytest.mark.parametrize("stop", ["plan.reserved", "sign.begun", "signer.signed", "sign.stored", "send.broadcast"])
@pytest.mark.parametrize("chain", ["bitcoin", "ethereum"])
def test_a_bump_killed_at_any_step_converges(house: House, chain: str, stop: str) -> None:
    house.fund(chain)
    to = payee(chain)
    amount = 300_000 if chain == "bitcoin" else 10**17
    first = house.run(chain, "invoice", to=to, amount=amount)
    assert first is not None
    house.run(chain, "bump", stop=stop, to=to, amount=amount, bump=first["id"])
    second = house.run(chain, "bump", to=to, amount=amount, bump=first["id"])
    assert second is not None
    assert second["state"] == "sent"
    # The intent's coins or nonce were signed for twice: once by the transfer, once by its bump.
    assert {len(things) for things in house.signed().values()} <= {1, 2}
    house.mine(chain)
    with Wallet.open(house.store) as wallet:
        wallet.sync(chain, house.backend(chain))
        states = {one.id: one.state for one in wallet.transfers()}
        assert states[second["id"]] is TransferState.CONFIRMED
        assert states[first["id"]] is TransferState.REPLACED
        wallet.journal.verify()
    assert house.received(chain, to) == amount


@pytest.mark.parametrize("chain", ["bitcoin", "ethereum"])
def test_two_processes_over_one_store_do_not_collide(house: House, rivals: Any, chain: str) -> None:
    house.fund(chain)
    amount = 300_000 if chain == "bitcoin" else 10**15
    jobs = [(f"{side} {number}", payee(chain), side) for number in range(2) for side in ("left", "right")]
    servers = {"left": house.payers, "right": rivals}

    def work(side: str) -> list[dict[str, Any]]:
        twin = House.__new__(House)
        twin.__dict__.update(house.__dict__, payers=servers[side])
        found = []
        for key, to, owner in jobs:
            if owner == side:
                record = None
                for _ in range(5):  # the other side's restart may release a plan of ours before it is approved
                    with contextlib.suppress(AssertionError):
                        record = twin.run(chain, key, to=to, amount=amount)
                        break
                assert record is not None
                found.append(record)
        return found

    with ThreadPoolExecutor(2) as pool:
        records = [record for found in pool.map(work, servers) for record in found]
    assert len({record["txid"] for record in records}) == len(jobs)
    assert all(len(things) == 1 for things in house.signed().values()), house.signed()
    house.mine(chain)
    with Wallet.open(house.store) as wallet:
        wallet.sync(chain, house.backend(chain))
        assert {wallet.transfer(record["id"]).state for record in records} == {TransferState.CONFIRMED}
        wallet.journal.verify()
    assert [house.received(chain, to) for _, to, _ in jobs] == [amount] * len(jobs)


@pytest.mark.parametrize("chain", ["bitcoin", "ethereum"])
def test_processes_killed_at_random_moments(house: House, chain: str) -> None:
    """Kills that fall between the named steps: inside SQLite, inside the signer, inside a conversation with a node."""
    house.fund(chain)
    amount = 20_000 if chain == "bitcoin" else 10**15
    jobs = [(f"invoice {number}", payee(chain)) for number in range(3)]
    usual = float("inf")
    for key in ("warm up", "measured"):  # the first one is slower than any that follows
        began = time.monotonic()
        house.run(chain, key, to=payee(chain), amount=amount)
        usual = min(usual, time.monotonic() - began)
    kills = 0
    for number, (key, to) in enumerate(jobs * 4):
        kills += house.run(chain, key, to=to, amount=amount, within=usual * (0.05 + 0.07 * number)) is None
        with Wallet.open(house.store) as wallet:
            wallet.journal.verify()
    records = [house.run(chain, key, to=to, amount=amount) for key, to in jobs]
    house.mine(chain)
    with Wallet.open(house.store) as wallet:
        wallet.sync(chain, house.backend(chain))
        assert {wallet.transfer(record["id"]).state for record in records if record} == {TransferState.CONFIRMED}
        assert wallet.balance(chain)[0].reserved == 0
    assert all(len(things) == 1 for things in house.signed().values())
    assert [house.received(chain, to) for _, to in jobs] == [amount] * len(jobs)
    assert kills > 0
