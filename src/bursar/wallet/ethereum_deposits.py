"""What a block moves to and from an account's addresses: ether, tokens, NFTs, withdrawals (EIP-20, 721, 1155, 4895)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.token import TRANSFER_TOPIC
from bursar.wallet.store.deposits import Deposit
from bursar.wallet.store.transfers import stored_plan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from bursar.chain.ethereum_reading import BlockBody, InternalTransfer
    from bursar.chain.protocols import BlockRef, Log, Receipt
    from bursar.wallet.store.transfers import TransferRow

ETHER: Final = "ether"
TOKEN: Final = "token"  # noqa: S105
NFT: Final = "nft"
INTERNAL: Final = "internal"
WITHDRAWAL: Final = "withdrawal"
UNEXPLAINED: Final = "unexplained"

SINGLE_TOPIC: Final = keccak256(b"TransferSingle(address,address,address,uint256,uint256)")
BATCH_TOPIC: Final = keccak256(b"TransferBatch(address,address,address,uint256[],uint256[])")
MOST_IDS: Final = 1_000  # of one batch; a longer one is left to the difference of balances

Payments = dict[str, tuple[str, list[tuple[str, str, int]]]]  # by txid: the sender, and payee, contract, amount of each


@dataclass(frozen=True, slots=True)
class Move:
    """One movement a block shows. ``log`` is what it was read from, to be found again in the receipt."""

    kind: str
    block: BlockRef
    txid: str | None
    index: int | None
    sender: Address | None
    recipient: Address | None
    contract: str
    amount: int
    token_id: int | None = None
    log: Log | None = None
    fee: int = 0  # what the sender paid beside the amount, where the sender is ours and the transaction is not


def moves_in_log(log: Log) -> list[Move]:
    """What a Transfer event says: none for another event, or for one without its place."""
    place = log.place
    if place is None or not log.topics:
        return []
    parties, pairs = _read_event(log.topics, log.data)
    kind = TOKEN if len(log.topics) == 3 else NFT
    return [
        Move(
            kind=kind,
            block=place.block,
            txid=place.tx_hash,
            index=place.index,
            sender=parties[0],
            recipient=parties[1],
            contract=str(log.address),
            amount=amount,
            token_id=token_id,
            log=log,
        )
        for token_id, amount in pairs
    ]


_Pairs = list[tuple[int | None, int]]
_NOTHING: Final[tuple[tuple[Address | None, Address | None], _Pairs]] = ((None, None), [])


def _read_event(topics: Sequence[bytes], data: bytes) -> tuple[tuple[Address | None, Address | None], _Pairs]:
    kind = topics[0]
    places = topics[1:3] if kind == TRANSFER_TOPIC else topics[2:4]
    if len(places) != 2 or any(len(topic) != 32 or any(topic[:12]) for topic in places):
        return _NOTHING
    pairs: _Pairs = []
    if kind == TRANSFER_TOPIC:
        if len(topics) == 3 and len(data) == 32:
            pairs = [(None, int.from_bytes(data, "big"))]
        elif len(topics) == 4 and not data:
            pairs = [(int.from_bytes(topics[3], "big"), 1)]
    elif len(topics) == 4 and kind == SINGLE_TOPIC and len(data) == 64:
        pairs = [(int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big"))]
    elif len(topics) == 4 and kind == BATCH_TOPIC:
        pairs = _batch(data)
    sender, recipient = (Address(topic[12:]) for topic in places)
    return (sender, recipient), pairs


def _batch(data: bytes) -> _Pairs:
    """Numbers and amounts of a batch, those of one number added up; none where the two lists do not fit."""
    if len(data) > 32 * (2 * MOST_IDS + 4):
        return []
    from bursar.ethereum.abi.codec import decode

    try:
        ids, amounts = decode(("uint256[]", "uint256[]"), data)
    except InvalidInputError:
        return []
    if len(ids) != len(amounts):
        return []
    sums: dict[int, int] = {}
    for token_id, amount in zip(ids, amounts, strict=True):
        sums[token_id] = sums.get(token_id, 0) + amount
    return list(sums.items())


def moves_in_body(body: BlockBody, own: Collection[Address]) -> list[Move]:
    """Plain payments and withdrawals of a block. Whether a payment worked, and what it cost, its receipt tells."""
    found = [
        Move(ETHER, body.block, tx.tx_hash, None, tx.sender, tx.to, "", int(tx.value))
        for tx in body.transactions
        if tx.sender in own or (tx.to in own and tx.value)
    ]
    found += [
        Move(WITHDRAWAL, body.block, None, number, None, address, "", int(amount))
        for number, (address, amount) in enumerate(body.withdrawals)
        if address in own and amount
    ]
    return found


def moves_in_trace(block: BlockRef, inner: Iterable[InternalTransfer], own: Collection[Address]) -> list[Move]:
    """Ether that contracts moved to or from us."""
    return [
        Move(INTERNAL, block, one.tx_hash, one.position, one.sender, one.recipient, "", int(one.value))
        for one in inner
        if one.value and one.sender != one.recipient and (one.sender in own or one.recipient in own)
    ]


def borne_out(move: Move, receipt: Receipt | None) -> bool:
    """Whether the receipt of its transaction, in the same block, shows the same."""
    if receipt is None or receipt.tx_hash != move.txid:
        return False
    if (receipt.block.height, receipt.block.hash) != (move.block.height, move.block.hash):
        return False
    if move.log is None:
        return receipt.succeeded or move.kind == ETHER
    return receipt.succeeded and any(_same(log, move.log) for log in receipt.logs)


def _same(log: Log, other: Log) -> bool:
    said = (log.address, log.topics, log.data) == (other.address, other.topics, other.data)
    return said and log.place is not None and log.place == other.place


def row_borne_out(row: Deposit, receipt: Receipt | None) -> bool:
    """The same for a stored row: its block, its log, its parties and no more than its amount."""
    if receipt is None or receipt.tx_hash != row.txid:
        return False
    if not receipt.succeeded and not (row.kind == ETHER and row.amount < 0):  # what failed cost its sender the fee
        return False
    if (receipt.block.height, receipt.block.hash) != (row.height, row.block_hash):
        return False
    if row.kind not in (TOKEN, NFT):
        return True
    for log in receipt.logs:
        if log.place is None or log.place.index != row.log_index or str(log.address) != row.contract:
            continue
        for move in moves_in_log(log):
            party = move.recipient if row.amount >= 0 else move.sender
            if str(party) == row.address and move.token_id == row.token_id and abs(row.amount) <= move.amount:
                return True
    return False


def settled(move: Move, receipt: Receipt, own: Collection[Address]) -> Move | None:
    """A plain payment as its receipt has it: the fee added for a sender of ours, nothing moved where it failed."""
    fee = receipt.fee if move.sender in own else 0
    amount = move.amount if receipt.succeeded else 0
    if not fee and not amount:
        return None
    return Move(
        move.kind, move.block, move.txid, move.index, move.sender, move.recipient, move.contract, amount, fee=fee
    )


def deposits_of(moves: Iterable[Move], own: Mapping[Address, str], payments: Payments) -> Iterator[Deposit]:
    """The rows of an account: plus what came, minus what left. What our own transfers account for is left out.

    ``payments`` are theirs; each covers one movement of ether or a token.
    """
    left = {txid: list(paid) for txid, (_, paid) in payments.items()}
    for move in moves:
        if move.txid in left:
            if move.kind == ETHER:
                continue
            paid = (str(move.recipient), move.contract, move.amount)
            ours = move.sender is None or own.get(move.sender) in (None, payments[move.txid][0])
            if ours and move.token_id is None and paid in left[move.txid]:
                left[move.txid].remove(paid)
                continue
        incoming = None if move.recipient is None else own.get(move.recipient)
        outgoing = None if move.sender is None else own.get(move.sender)
        if incoming is not None and incoming == outgoing and not move.fee:
            continue
        if incoming is not None:
            yield _row(move, incoming, move.sender, move.amount)
        if outgoing is not None:
            yield _row(move, outgoing, move.recipient, -move.amount - move.fee)


def _row(move: Move, address: str, other: Address | None, amount: int) -> Deposit:
    return Deposit(
        contract=move.contract,
        address=address,
        sender=None if other is None else str(other),
        txid=move.txid,
        amount=amount,
        height=move.block.height,
        block_time=move.block.time,
        block_hash=move.block.hash,
        log_index=move.index,
        kind=move.kind,
        token_id=move.token_id,
    )


def identity(row: Deposit) -> tuple[object, ...]:
    """What makes two rows the same movement, in the same block; the amount may since have been found to be less."""
    return row.block_hash, row.txid, row.kind, row.log_index, row.contract, row.token_id, row.address, row.amount < 0


def payments_of(rows: Iterable[TransferRow]) -> Payments:
    """What signed transfers pay in ether and tokens, by transaction."""
    found: Payments = {}
    for row in rows:
        if row.txid is not None:
            plan = stored_plan(row)
            paid = [
                (one.to, one.asset.contract or "", one.amount) for one in plan.review.payments if one.token_id is None
            ]
            found[row.txid] = (str(plan.sender), paid)
    return found
