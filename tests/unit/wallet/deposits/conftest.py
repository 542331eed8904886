"""A chain of blocks in memory that reorganises, forgets and lies on demand, and a wallet that watches it."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.chain.ethereum_chains import EthereumChain, EthereumChains, FinalityRule
from bursar.chain.ethereum_reading import BlockBody, BlockTransaction, Heads, InternalTransfer
from bursar.chain.protocols import BlockRef, FeeQuote, Log, LogPlace, Receipt
from bursar.crypto.hashes import keccak256
from bursar.errors import ChainUnavailableError
from bursar.ethereum.address import Address
from bursar.ethereum.token import CALL_DECIMALS, TRANSFER_TOPIC, address_topic, decode_call
from bursar.ethereum.transaction import SignedTransaction
from bursar.ethereum.units import Wei
from bursar.wallet.ethereum_deposits import BATCH_TOPIC, SINGLE_TOPIC
from bursar.wallet.wallet import Wallet


@cache
def _borrowed() -> Any:
    path = Path(__file__).resolve().parents[1] / "conftest.py"
    spec = importlib.util.spec_from_file_location("bursar_wallet_fixtures_for_deposits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _account() -> Any:
    return _borrowed().ethereum_account()


ETHER = 10**18
TIME = 1_700_000_000
STRANGER = Address(bytes.fromhex("c0ffee" + "11" * 17))
CONTRACT = Address(bytes.fromhex("decade" + "22" * 17))
COIN = Address.from_text("0x5FbDB2315678afecb367f032d93F642f64180aa3")
ART = Address(bytes.fromhex("a17a17" + "33" * 17))
GAS, PRICE = 21_000, 10**9
Moved = tuple[Address | None, Address | None, Address | None, int]  # contract or ether, from, to, amount


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@dataclass
class Tx:
    """What a transaction says (``logs``, ``inner``) and what it does (``moves``)."""

    hash: str
    sender: Address
    to: Address | None
    value: int = 0
    logs: list[tuple[Address, tuple[bytes, ...], bytes]] = field(default_factory=list)
    inner: list[tuple[Address, Address, int]] = field(default_factory=list)
    moves: list[Moved] = field(default_factory=list)
    succeeded: bool = True
    nonce: int = 0
    raw: bytes | None = None


@dataclass
class Block:
    ref: BlockRef
    parent: str
    txs: list[Tx]
    withdrawals: list[tuple[Address, int]]


class ScriptedChain:
    """Fulfils EthereumBackend, HeadReader, BlockReader, Tracer and BalanceReader."""

    def __init__(self, chain_id: int = 31337) -> None:
        self.chain_id = chain_id
        self.serial = itertools.count(1)
        self.blocks = [Block(BlockRef(0, "0x" + "11" * 32, TIME), "0x" + "00" * 32, [], [])]
        self.pool: list[Tx] = []
        self.withdrawn: list[tuple[Address, int]] = []
        self.final_depth: int | None = None
        self.traces = True
        self.asked: Counter[str] = Counter()
        self.contracts: set[Address] = {COIN}
        self.down = False
        self.bend_receipt: Callable[[Receipt | None], Receipt | None] = lambda receipt: receipt
        self.bend_logs: Callable[[list[Log]], list[Log]] = lambda logs: logs
        self.before: Callable[[str], None] = lambda name: None

    # what a test does to the chain

    def pay(self, to: Address, wei: int, *, sender: Address = STRANGER, succeeded: bool = True) -> Tx:
        moves: list[Moved] = [(None, sender, to, wei)] if succeeded else []
        return self._wait(Tx(self._name(), sender, to, wei, moves=moves, succeeded=succeeded))

    def send_token(
        self,
        to: Address,
        amount: int,
        *,
        came: int | None = None,
        contract: Address = COIN,
        sender: Address = STRANGER,
        by: Address | None = None,
    ) -> Tx:
        """A Transfer event of ``amount``, of which ``came`` really moves; ``by``: in a transaction of somebody else."""
        log = (contract, (TRANSFER_TOPIC, address_topic(sender), address_topic(to)), word(amount))
        moves: list[Moved] = [(contract, sender, to, amount if came is None else came)]
        return self._wait(Tx(self._name(), by or sender, contract, logs=[log], moves=moves))

    def send_art(self, to: Address, token_id: int, *, sender: Address = STRANGER) -> Tx:
        topics = (TRANSFER_TOPIC, address_topic(sender), address_topic(to), word(token_id))
        return self._wait(Tx(self._name(), sender, ART, logs=[(ART, topics, b"")], moves=[(ART, sender, to, 1)]))

    def send_many(self, to: Address, amounts: Mapping[int, int], *, batch: bool, sender: Address = STRANGER) -> Tx:
        topics = (BATCH_TOPIC if batch else SINGLE_TOPIC, *map(address_topic, (sender, sender, to)))
        if batch:
            ids, sums = list(amounts), list(amounts.values())
            data = b"".join(map(word, (64, 96 + 32 * len(ids), len(ids), *ids, len(sums), *sums)))
        else:
            ((token_id, amount),) = amounts.items()
            data = word(token_id) + word(amount)
        return self._wait(Tx(self._name(), sender, ART, logs=[(ART, topics, data)]))

    def pay_inside(self, to: Address, wei: int) -> Tx:
        return self._wait(
            Tx(self._name(), STRANGER, CONTRACT, inner=[(CONTRACT, to, wei)], moves=[(None, CONTRACT, to, wei)])
        )

    def withdraw(self, to: Address, wei: int) -> None:
        self.withdrawn.append((to, wei))

    def _name(self) -> str:
        return "0x" + keccak256(b"transaction %d" % next(self.serial)).hex()

    def _wait(self, tx: Tx) -> Tx:
        self.pool.append(tx)
        return tx

    def mine(self, count: int = 1) -> BlockRef:
        for _ in range(count):
            last = self.blocks[-1].ref
            name = "0x" + keccak256(b"block %d" % next(self.serial)).hex()
            ref = BlockRef(last.height + 1, name, last.time + 12)
            self.blocks.append(Block(ref, last.hash, self.pool, self.withdrawn))
            self.pool, self.withdrawn = [], []
        return self.blocks[-1].ref

    def reorganise(self, depth: int, *, again: bool) -> None:
        """Replace the last ``depth`` blocks by one more; their transactions come ``again`` in the last, or never."""
        lost = self.blocks[-depth:]
        del self.blocks[-depth:]
        waiting, self.pool = self.pool, []
        self.mine(depth)
        self.pool = waiting
        if again:
            self.pool += [tx for block in lost for tx in block.txs]
            self.withdrawn += [one for block in lost for one in block.withdrawals]
        self.mine()

    # what a wallet asks

    def _count(self, name: str) -> None:
        self.before(name)
        if self.down:
            raise ChainUnavailableError("the node does not answer")
        self.asked[name] += 1

    @property
    def tip(self) -> BlockRef:
        return self.blocks[-1].ref

    def _sums(self) -> dict[tuple[Address, Address | None], int]:
        sums: dict[tuple[Address, Address | None], int] = {}
        for block in self.blocks:
            for tx in block.txs:
                effects: list[Moved] = [*tx.moves, (None, tx.sender, None, GAS * PRICE)]
                for contract, source, target, amount in effects:
                    for party, change in ((source, -amount), (target, amount)):
                        if party is not None:
                            sums[party, contract] = sums.get((party, contract), 0) + change
            for address, amount in block.withdrawals:
                sums[address, None] = sums.get((address, None), 0) + amount
        return sums

    def check_chain(self) -> BlockRef:
        self._count("check_chain")
        return self.tip

    def genesis_hash(self) -> str:
        return self.blocks[0].ref.hash

    def balances(
        self, owners: Sequence[Address], contracts: Sequence[Address]
    ) -> tuple[BlockRef, dict[tuple[Address, Address | None], int | None]]:
        self._count("balances")
        sums = self._sums()
        found: dict[tuple[Address, Address | None], int | None] = {}
        for owner in owners:
            found[owner, None] = sums.get((owner, None), 0)
            for contract in contracts:
                known = contract in self.contracts
                found[owner, contract] = sums.get((owner, contract), 0) if known else None
        return self.tip, found

    def balance(self, address: Address, *, pending: bool = False) -> Wei:
        return Wei(self._sums().get((address, None), 0))

    def nonce(self, address: Address, *, pending: bool = False) -> int:
        mined = sum(tx.sender == address for block in self.blocks for tx in block.txs)
        return mined + (sum(tx.sender == address for tx in self.pool) if pending else 0)

    def nonces(self, owners: Sequence[Address]) -> dict[Address, int]:
        self._count("nonces")
        return {owner: self.nonce(owner) for owner in owners}

    def fees(self) -> FeeQuote:
        return FeeQuote(Wei(PRICE), Wei(0), Wei(0), Wei(0))

    def estimate_gas(self, sender: Address, tx: object) -> int:
        return 60_000

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        if data == CALL_DECIMALS:
            return word(6)
        if len(data) == 36 and data[:4] == bytes.fromhex("70a08231"):
            return word(self._sums().get((Address(data[16:36]), to), 0)) if to in self.contracts else b""
        return word(to == ART)  # supportsInterface

    def code(self, address: Address) -> bytes:
        return b"\x60" if address in self.contracts else b""

    def broadcast(self, raw: bytes) -> str:
        signed = SignedTransaction.parse(raw)
        tx = signed.unsigned
        made = Tx(signed.hash, signed.sender, tx.to, int(tx.value), raw=raw, nonce=tx.nonce)
        call = decode_call(tx.data) if tx.data else None
        if call is None:
            made.moves.append((None, signed.sender, tx.to, int(tx.value)))
        else:
            assert tx.to is not None
            topics = (TRANSFER_TOPIC, address_topic(signed.sender), address_topic(call.recipient))
            made.logs.append((tx.to, topics, word(call.amount)))
            made.moves.append((tx.to, signed.sender, call.recipient, call.amount))
        if all(one.hash != made.hash for one in self.pool):
            self.pool.append(made)
        return signed.hash

    def _receipts(self, block: Block) -> list[Receipt]:
        numbers = itertools.count()
        made = []
        for tx in block.txs:
            logs = tuple(
                Log(address, topics, data, LogPlace(block.ref, tx.hash, next(numbers)))
                for address, topics, data in tx.logs
            )
            made.append(Receipt(tx.hash, block.ref, tx.succeeded, GAS, Wei(PRICE), logs))
        return made

    def receipt(self, tx_hash: str) -> Receipt | None:
        self._count("receipt")
        everything = [one for block in self.blocks for one in self._receipts(block)]
        return self.bend_receipt(next((one for one in everything if one.tx_hash == tx_hash), None))

    def block_receipts(self, block: BlockRef) -> tuple[Receipt, ...] | None:
        self._count("block_receipts")
        return tuple(self._receipts(self.blocks[block.height]))

    def transaction(self, tx_hash: str) -> bytes | None:
        everything = [*self.pool, *[tx for block in self.blocks for tx in block.txs]]
        return next((tx.raw for tx in everything if tx.hash == tx_hash), None)

    def logs(
        self,
        *,
        addresses: Sequence[Address],
        topics: Sequence[bytes | Sequence[bytes] | None],
        from_block: int,
        to_block: int,
    ) -> tuple[Log, ...]:
        self._count("logs")
        found = [
            log
            for block in self.blocks[from_block : to_block + 1]
            for receipt in self._receipts(block)
            for log in receipt.logs
            if len(log.topics) >= len(topics)
            and all(
                want is None or (got == want if isinstance(want, bytes) else got in want)
                for want, got in zip(topics, log.topics, strict=False)
            )
        ]
        return tuple(self.bend_logs(found))

    def heads(self) -> Heads:
        self._count("heads")
        final = None
        if self.final_depth is not None and self.tip.height >= self.final_depth:
            final = self.blocks[-1 - self.final_depth].ref
        return Heads(self.tip, final, final)

    def block_at(self, height: int) -> BlockRef | None:
        self._count("block_at")
        return self.blocks[height].ref if height < len(self.blocks) else None

    def block_body(self, height: int) -> BlockBody:
        self._count("block_body")
        block = self.blocks[height]
        return BlockBody(
            block.ref,
            block.parent,
            tuple(
                BlockTransaction(tx.hash, tx.sender, tx.to, Wei(tx.value), tx.nonce, index)
                for index, tx in enumerate(block.txs)
            ),
            tuple((address, Wei(amount)) for address, amount in block.withdrawals),
        )

    def internal_transfers(self, block: BlockRef) -> tuple[InternalTransfer, ...] | None:
        self._count("internal_transfers")
        if not self.traces:
            return None
        return tuple(
            InternalTransfer(tx.hash, position, source, target, Wei(amount))
            for tx in self.blocks[block.height].txs
            for position, (source, target, amount) in enumerate(tx.inner)
        )

    def close(self) -> None: ...


def chains(rule: FinalityRule = FinalityRule.CONFIRMATIONS, confirmations: int = 3) -> EthereumChains:
    """A chain 31337 with this rule of finality."""
    made = EthereumChain(
        id=31337,
        name="Scripted",
        short_name="scripted",
        currency_name="Ether",
        currency_symbol="ETH",
        testnet=True,
        finality=rule,
        confirmations=confirmations if rule is FinalityRule.CONFIRMATIONS else 0,
        eip1559=True,
    )
    return EthereumChains.built_in().adding([made])


class Watched:
    """A wallet with the account ``eth``, synced with the chain at its first block; ``ours`` are its addresses."""

    _furnished = b""

    def __init__(
        self,
        path: Path,
        *,
        rule: FinalityRule = FinalityRule.CONFIRMATIONS,
        confirmations: int = 3,
        node: ScriptedChain | None = None,
    ) -> None:
        self.path = path
        self.fixtures = _borrowed()
        self.step: Callable[[str], None] = lambda name: None
        self._chains = chains(rule, confirmations)
        self.node = node or ScriptedChain()
        self.account = _account()
        self.ours = [self.account.address(number) for number in range(6)]
        if not Watched._furnished:  # making a store takes longer than most tests
            with self.open(create=True) as wallet:
                wallet.add_account("eth", self.account, signer="test")
                wallet.add_token(31337, str(COIN), "TST", 6)
            Watched._furnished = path.read_bytes()
        path.write_bytes(Watched._furnished)
        path.chmod(0o600)
        self.open()
        if node is None:
            self.node.mine()
            self.sync()

    def open(self, *, create: bool = False) -> Wallet:
        self.wallet = Wallet.open(self.path, create=create, chains=self._chains, on_step=lambda name: self.step(name))
        return self.wallet

    def sync(self) -> Any:
        return self.wallet.sync("eth", self.node)

    def rows(self, *, hidden: bool = False, reversed_too: bool = False) -> list[tuple[str, str, int]]:
        return [
            (one.kind, one.state, one.amount)
            for one in self.wallet.deposits("eth", hidden=hidden)
            if reversed_too or one.state != "reversed"
        ]

    def credited(self) -> dict[str, int]:
        """What a ledger would credit: confirmed movements only, by asset."""
        sums: dict[str, int] = {}
        for one in self.wallet.deposits("eth", hidden=True):
            if one.state == "confirmed" and one.asset is not None:
                sums[one.asset.symbol] = sums.get(one.asset.symbol, 0) + one.amount
        return sums

    def held(self) -> dict[str, int]:
        return {one.asset.symbol: one.confirmed for one in self.wallet.balance("eth")}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "deposits.db")
    yield made
    made.wallet.journal.verify()
    made.wallet.close()


@pytest.fixture
def names() -> SimpleNamespace:
    """Addresses and makers for tests: a test folder has no modules to import."""
    return SimpleNamespace(
        ETHER=ETHER,
        STRANGER=STRANGER,
        CONTRACT=CONTRACT,
        COIN=COIN,
        ART=ART,
        FEE=GAS * PRICE,
        Watched=Watched,
        Chain=ScriptedChain,
        replace=replace,
        word=word,
    )
