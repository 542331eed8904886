"""Transactions waiting for a block: admission and replacement by the rules and in the words of go-ethereum's pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from bursar.errors import InvalidInputError
from bursar.ethereum.fees import MAX_INIT_CODE, intrinsic_gas
from bursar.ethereum.transaction import BLOB, FEE_MARKET, SignedTransaction
from bursar.nodes.sandbox.ethereum.words import RpcError

LARGEST_TRANSACTION = 128 * 1024
LARGEST_WITH_BLOBS = 1024 * 1024
PRICE_BUMP_PERCENT = 10
BLOB_BUMP_PERCENT = 100
MOST_BLOBS = 9  # of one block
MOST_PER_SENDER = 64
MOST_TRANSACTIONS = 4096


class Accounts(Protocol):
    """What admission asks of the chain's last block."""

    def balance(self, address: bytes) -> int: ...

    def nonce(self, address: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """One transaction of the pool, with what would cost time to compute again."""

    tx: SignedTransaction
    raw: bytes
    hash: bytes
    sender: bytes
    arrival: int

    @property
    def nonce(self) -> int:
        """The nonce it uses."""
        return self.tx.unsigned.nonce

    @property
    def fee_cap(self) -> int:
        """The most it pays for one gas."""
        return self.tx.unsigned.max_gas_price

    @property
    def tip_cap(self) -> int:
        """The most of that which goes to the block's author."""
        unsigned = self.tx.unsigned
        tip = unsigned.max_priority_fee_per_gas if unsigned.type >= FEE_MARKET else unsigned.gas_price
        return int(tip or 0)

    @property
    def blobs(self) -> int:
        """How many blobs it carries."""
        return len(self.tx.unsigned.blob_versioned_hashes)

    @property
    def blob_fee_cap(self) -> int:
        """The most it pays for one gas of blobs."""
        return int(self.tx.unsigned.max_fee_per_blob_gas or 0)

    @property
    def cost(self) -> int:
        """The most it can take from its sender."""
        return self.tx.unsigned.max_fee + self.tx.unsigned.value

    def tip(self, base_fee: int) -> int:
        """What one gas earns the author of a block with this base fee; negative when the block cannot take it."""
        return min(self.fee_cap - base_fee, self.tip_cap)


class TransactionPool:
    """One transaction for each sender and nonce."""

    def __init__(self, accounts: Accounts, *, chain_id: int, gas_limit: int) -> None:
        self._accounts = accounts
        self._chain_id = chain_id
        self._gas_limit = gas_limit
        self._by_sender: dict[bytes, dict[int, Waiting]] = {}
        self._by_hash: dict[bytes, Waiting] = {}
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def get(self, tx_hash: bytes) -> Waiting | None:
        """The transaction with this hash."""
        return self._by_hash.get(tx_hash)

    def raws(self) -> Iterator[bytes]:
        """Every raw transaction, oldest first."""
        return (one.raw for one in sorted(self._by_hash.values(), key=lambda one: one.arrival))

    def next_nonce(self, sender: bytes) -> int:
        """The first nonce of ``sender`` that neither the chain nor the pool uses."""
        nonce = self._accounts.nonce(sender)
        used = self._by_sender.get(sender, {})
        while nonce in used:
            nonce += 1
        return nonce

    def executable(self) -> list[Waiting]:
        """The transactions without a gap before their nonce, in an order that respects nonces."""
        return [one for sender in self._by_sender for one in self._run(sender)]

    def add(self, raw: bytes) -> bytes:
        """Admit a raw transaction and give its hash; :class:`RpcError` says why not."""
        tx = self._parse(raw)
        tx_hash = bytes.fromhex(tx.hash[2:])
        if tx_hash in self._by_hash:
            raise RpcError("already known")
        one = Waiting(tx, raw, tx_hash, self._sender(tx), self._arrivals)
        _check_alone(one, self._gas_limit)
        self._check_account(one)
        self._arrivals += 1
        self._put(one)
        return tx_hash

    def _parse(self, raw: bytes) -> SignedTransaction:
        limit = LARGEST_WITH_BLOBS if raw[:1] == b"\x03" else LARGEST_TRANSACTION
        if len(raw) > limit:
            raise RpcError(f"oversized data: transaction size {len(raw)}, limit {limit}")
        try:
            tx = SignedTransaction.parse(raw)
        except InvalidInputError as error:
            if error.code == "input.chain-id":
                raise RpcError("only replay-protected (EIP-155) transactions allowed over RPC") from error
            if error.code == "input.fee":
                raise RpcError("max priority fee per gas higher than max fee per gas") from error
            raise RpcError(f"rlp: {error.message}") from error
        if tx.unsigned.chain_id != self._chain_id:
            raise RpcError(f"invalid chain id for signer: have {tx.unsigned.chain_id} want {self._chain_id}")
        if tx.unsigned.type == BLOB:
            if tx.sidecar is None:
                raise RpcError("missing sidecar in blob transaction")
            try:
                tx.sidecar.verify()
            except InvalidInputError as error:
                raise RpcError(f"invalid blob proof: {error.message}") from error
        return tx

    @staticmethod
    def _sender(tx: SignedTransaction) -> bytes:
        try:
            return tx.sender.value
        except InvalidInputError as error:
            raise RpcError("invalid sender") from error

    def _check_account(self, one: Waiting) -> None:
        next_nonce = self._accounts.nonce(one.sender)
        if one.nonce < next_nonce:
            raise RpcError(f"nonce too low: next nonce {next_nonce}, tx nonce {one.nonce}")
        mine = self._by_sender.get(one.sender, {})
        replaced = mine.get(one.nonce)
        balance = self._accounts.balance(one.sender)
        if one.cost > balance:
            overshot = f"overshot {one.cost - balance}"
            raise RpcError(
                f"insufficient funds for gas * price + value: balance {balance}, tx cost {one.cost}, {overshot}"
            )
        queued = sum(other.cost for other in mine.values()) - (replaced.cost if replaced else 0)
        if queued + one.cost > balance:
            raise RpcError(
                f"insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, "
                f"tx cost {one.cost}, overshot {queued + one.cost - balance}"
            )
        if replaced is not None:
            percent = BLOB_BUMP_PERCENT if replaced.blobs or one.blobs else PRICE_BUMP_PERCENT
            pairs = [(replaced.fee_cap, one.fee_cap), (replaced.tip_cap, one.tip_cap)]
            if replaced.blobs and one.blobs:
                pairs.append((replaced.blob_fee_cap, one.blob_fee_cap))
            if not all(_bumped(old, new, percent) for old, new in pairs):
                raise RpcError("replacement transaction underpriced")
        elif len(mine) >= MOST_PER_SENDER:
            raise RpcError("account limit exceeded: too many transactions of this sender wait")
        elif len(self._by_hash) >= MOST_TRANSACTIONS:
            raise RpcError("txpool is full")

    def _put(self, one: Waiting) -> None:
        mine = self._by_sender.setdefault(one.sender, {})
        replaced = mine.get(one.nonce)
        if replaced is not None:
            del self._by_hash[replaced.hash]
        mine[one.nonce] = one
        self._by_hash[one.hash] = one

    def _run(self, sender: bytes) -> Iterator[Waiting]:
        used = self._by_sender.get(sender, {})
        nonce = self._accounts.nonce(sender)
        while (one := used.get(nonce)) is not None:
            yield one
            nonce += 1

    def drop(self, one: Waiting) -> None:
        """Forget a transaction."""
        if self._by_hash.pop(one.hash, None) is not None:
            mine = self._by_sender[one.sender]
            del mine[one.nonce]
            if not mine:
                del self._by_sender[one.sender]

    def drop_used(self) -> None:
        """Forget what a block has made impossible: nonces the chain has used."""
        for sender in list(self._by_sender):
            next_nonce = self._accounts.nonce(sender)
            for one in [one for nonce, one in self._by_sender[sender].items() if nonce < next_nonce]:
                self.drop(one)

    def fill(self, *, base_fee: int, blob_fee: int, gas: int, include: Callable[[Waiting], int | None]) -> None:
        """Offer transactions for a block of ``gas``, the best payer first, each sender's in order of nonce.

        ``include`` answers with the gas used, or ``None`` when the transaction cannot be executed: it is dropped.
        """
        blobs = MOST_BLOBS
        heads = {sender: run for sender in list(self._by_sender) if (run := list(self._run(sender)))}
        while heads:
            sender = max(heads, key=lambda one: (heads[one][0].tip(base_fee), -heads[one][0].arrival))
            one = heads[sender].pop(0)
            if (
                one.tip(base_fee) < 0
                or one.tx.unsigned.gas_limit > gas
                or one.blobs > blobs
                or (one.blobs and one.blob_fee_cap < blob_fee)
            ):
                del heads[sender]
                continue
            used = include(one)
            if used is None:
                self.drop(one)
                del heads[sender]
                continue
            gas -= used
            blobs -= one.blobs
            if not heads[sender]:
                del heads[sender]


def _bumped(old: int, new: int, percent: int) -> bool:
    return new > old and new >= old * (100 + percent) // 100


def _check_alone(one: Waiting, gas_limit: int) -> None:
    """What can be said of a transaction without looking at the chain."""
    unsigned = one.tx.unsigned
    if unsigned.to is None and len(unsigned.data) > MAX_INIT_CODE:
        raise RpcError(f"max initcode size exceeded: code size {len(unsigned.data)}, limit {MAX_INIT_CODE}")
    if unsigned.gas_limit > gas_limit:
        raise RpcError("exceeds block gas limit")
    if one.tip_cap < 1:
        raise RpcError("transaction underpriced: gas tip cap 0, minimum needed 1")
    need = intrinsic_gas(unsigned)
    if unsigned.gas_limit < need:
        raise RpcError(f"intrinsic gas too low: gas {unsigned.gas_limit}, minimum needed {need}")
