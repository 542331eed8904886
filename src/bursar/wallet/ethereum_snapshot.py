"""What a node says of an Ethereum account at one block: balances, nonces, and the fate of its open transfers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from bursar.chain.ethereum_reading import BalanceReader
from bursar.chain.protocols import EthereumBackend
from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.token import decode_uint256, encode_balance_of
from bursar.ethereum.transaction import SignedTransaction
from bursar.wallet.ethereum_view import ETHER, costs
from bursar.wallet.fate import Fate, settle, wants_fate
from bursar.wallet.records import TransferState
from bursar.wallet.settling import by_root
from bursar.wallet.store.transfers import stored_plan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from bursar.chain.protocols import BlockRef
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.chainstate import Holding
    from bursar.wallet.store.transfers import TransferRow

ATTEMPTS = 5
MULTI_TOKEN = bytes.fromhex("01ffc9a7d9b67a26" + "00" * 28)  # supportsInterface (ERC-165) of ERC-1155

Amounts = dict[tuple[str, str], int]  # by address and contract; empty for the chain's own coin


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the node said at one tip."""

    tip: BlockRef
    holdings: tuple[Holding, ...]
    nonces: dict[str, int]
    fates: dict[str, Fate]


def watched_transfers(
    rows: Sequence[TransferRow], row: AccountRow, *, reorged: int | None = None
) -> dict[str, list[TransferRow]]:
    """The transfers whose fate is to be asked, by intent."""
    height = None if row.tip is None else row.tip.height
    return {
        root: variants
        for root, variants in by_root(rows).items()
        if wants_fate(variants, tip_height=height, reorged=reorged)
    }


def read_balances(
    backend: EthereumBackend, owners: Sequence[str], contracts: Sequence[str]
) -> tuple[BlockRef, Amounts, dict[str, int]]:
    """What each of ``owners`` holds at one block, and their nonces then or later."""
    if isinstance(backend, BalanceReader):
        try:
            return _read_table(backend, owners, contracts)
        except ChainError as error:
            if error.code != "chain.refused":
                raise  # too few of several sources can: one by one then
    for _ in range(ATTEMPTS):
        tip = backend.check_chain()
        nonces = {owner: backend.nonce(Address.from_text(owner)) for owner in owners}
        amounts = {}
        for owner in owners:
            address = Address.from_text(owner)
            amounts[owner, ETHER] = int(backend.balance(address))
            for contract in contracts:
                amounts[owner, contract] = token_balance(backend, contract, address)
        if backend.check_chain().hash == tip.hash:
            return tip, amounts, nonces
    raise ChainUnavailableError("the chain moved during every attempt to sync: try again", code="chain.moved")


class _TableReader(EthereumBackend, BalanceReader, Protocol):
    """A source of many balances at once."""


def _read_table(
    backend: _TableReader, owners: Sequence[str], contracts: Sequence[str]
) -> tuple[BlockRef, Amounts, dict[str, int]]:
    asked = {Address.from_text(one): one for one in owners}
    tokens = {Address.from_text(one): one for one in contracts}
    tip, found = backend.balances(list(asked), list(tokens))
    amounts: Amounts = {}
    for (address, token), balance in found.items():
        if balance is not None:
            amounts[asked[address], ETHER if token is None else tokens[token]] = balance
    for contract in contracts:
        if any((owner, contract) not in amounts for owner in owners) and not _holds_many(backend, contract):
            raise _no_token(contract)
    if any((owner, ETHER) not in amounts for owner in owners):
        raise ChainError("the node left balances out: ask another node", code="chain.contradiction")
    return tip, amounts, {asked[address]: count for address, count in backend.nonces(list(asked)).items()}


def token_balance(backend: EthereumBackend, contract: str, owner: Address) -> int:
    """Base units of a token; ``ChainError`` (``chain.token``) where its contract gives no number."""
    answer = backend.call(Address.from_text(contract), encode_balance_of(owner))
    try:
        return decode_uint256(answer)
    except InvalidInputError as error:
        raise _no_token(contract) from error


def _no_token(contract: str) -> ChainError:
    return ChainError(
        f"{contract} does not answer as a token on this chain: remove the token, or ask another node",
        code="chain.token",
    )


def _holds_many(backend: EthereumBackend, contract: str) -> bool:
    """Whether a contract holds tokens of many numbers, and so has no balance to tell (ERC-1155)."""
    try:
        answer = backend.call(Address.from_text(contract), MULTI_TOKEN)
    except ChainError as error:
        if error.code == "chain.reverted":
            return False
        raise
    return len(answer) == 32 and int.from_bytes(answer, "big") == 1


def read_fates(
    backend: EthereumBackend, watched: Mapping[str, Sequence[TransferRow]], *, tip_height: int | None = None
) -> dict[str, Fate]:
    """What became of these transfers; what was mined above ``tip_height`` still waits there."""
    fates: dict[str, Fate] = {}
    for variants in watched.values():
        for row in variants:
            fate = _fate(backend, row.txid)
            if fate is None or row.txid is None:
                continue
            if fate.block is not None and tip_height is not None and fate.block.height > tip_height:
                fate = Fate(None)
            fates[row.txid] = fate
    return fates


def _fate(backend: EthereumBackend, txid: str | None) -> Fate | None:
    if txid is None:
        return None
    receipt = backend.receipt(txid)
    if receipt is not None:
        return Fate(receipt.block, receipt.succeeded, receipt.fee)
    return None if backend.transaction(txid) is None else Fate(None)


def superseded(
    nonces: Mapping[str, int], fates: Mapping[str, Fate], watched: Mapping[str, Sequence[TransferRow]]
) -> set[str]:
    """Signed transactions whose nonce was used up by something we did not make."""
    gone: set[str] = set()
    for variants in watched.values():
        signed = [row for row in variants if row.raw is not None and row.txid is not None]
        if any(row.txid in fates for row in signed):
            continue
        for row in signed:
            tx = SignedTransaction.parse(row.raw or b"")
            if nonces.get(str(stored_plan(row).sender), 0) > tx.unsigned.nonce:
                gone.add(row.txid or "")
    return gone


def explained(rows: Iterable[TransferRow], *, sign: int) -> Amounts:
    """How mined transfers moved holdings, payees of our own included."""
    result: Amounts = {}
    for row in rows:
        if row.height is None or row.state not in (TransferState.CONFIRMED, TransferState.FAILED):
            continue
        plan = stored_plan(row)
        succeeded = row.state is TransferState.CONFIRMED
        for contract, amount in costs(plan, fee=row.fee, succeeded=succeeded).items():
            key = (str(plan.sender), contract)
            result[key] = result.get(key, 0) + sign * amount
        for payment in plan.review.payments if succeeded else ():
            if payment.token_id is not None:
                continue
            key = (payment.to, payment.asset.contract or ETHER)
            result[key] = result.get(key, 0) - sign * payment.amount
    return result


def explained_change(before: Iterable[TransferRow], after: Iterable[TransferRow]) -> Amounts:
    """How holdings change because transfers went from one standing to another."""
    result = explained(before, sign=1)
    for key, amount in explained(after, sign=-1).items():
        result[key] = result.get(key, 0) + amount
    return result


def foreseen_change(
    watched: Mapping[str, Sequence[TransferRow]], fates: Mapping[str, Fate], gone: Collection[str]
) -> Amounts:
    """The same, before anything is written."""
    before: list[TransferRow] = []
    after: list[TransferRow] = []
    for variants in watched.values():
        for transfer_id, settled in settle(variants, fates, superseded=gone).items():
            row = next(one for one in variants if one.id == transfer_id)
            height = None if settled.block is None else settled.block.height
            fee = row.fee if settled.fee is None else settled.fee
            before.append(row)
            after.append(replace(row, state=settled.state, height=height, fee=fee))
    return explained_change(before, after)
