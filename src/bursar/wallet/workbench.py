"""What every plan of a Bitcoin transfer is made with: an account's view, its ways to spend, the node, the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.accounts import change_branch
from bursar.bitcoin.coins import Coin
from bursar.bitcoin.multisig import MultisigAccount
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import FeeRate
from bursar.chain.estimates import cross_checked
from bursar.chain.fees import TARGET_BLOCKS, bitcoin_fee_rate
from bursar.errors import ChainError, ConflictError, InvalidInputError
from bursar.wallet.ancestors import Ancestry
from bursar.wallet.bitcoin_sync import check_bitcoin_node
from bursar.wallet.bitcoin_view import BitcoinView, load_view, raw_transactions
from bursar.wallet.spend_paths import SpendPaths
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.places import address_at, find_places, first_free
from bursar.wallet.store.reservations import hold_coins
from bursar.wallet.windows import extend_windows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.draft import BuiltTransfer, ChangeKey
    from bursar.bitcoin.psbt import Psbt
    from bursar.chain.protocols import BitcoinBackend, BlockRef
    from bursar.wallet.balances import Output
    from bursar.wallet.coin_control import SpendWith
    from bursar.wallet.context import Context
    from bursar.wallet.plan import Plan
    from bursar.wallet.signature_needs import SignatureNeeds
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.transfer import FeeChoice

MOST_EXTRA = 50


@dataclass(frozen=True, slots=True)
class Workbench:
    """One account at one moment; ``change_index`` is the next free place of change."""

    context: Context
    row: AccountRow
    account: ScriptAccount
    backend: BitcoinBackend
    tip: BlockRef
    view: BitcoinView
    paths: SpendPaths
    change_index: int

    @classmethod
    def open(
        cls, context: Context, row: AccountRow, account: ScriptAccount, backend: BitcoinBackend, choice: SpendWith
    ) -> Workbench:
        """Ask the node for its tip and read the account; ``WrongChainError``, or unsynced ``InvalidInputError``."""
        if row.tip is None:
            raise InvalidInputError(
                f"account {row.name!r} was never synced: sync it first", code="input.account.unsynced"
            )
        tip = check_bitcoin_node(account, backend)
        with context.store.read() as connection:
            view = load_view(connection, row)
            index = _change_index(connection, row, account)
        return cls(context, row, account, backend, tip, view, SpendPaths(account, choice, tip), index)

    def fee_rate(self, fee: FeeChoice) -> FeeRate:
        """The explicit rate, or the node's estimate for the speed, both within the wallet's caps.

        Where other estimators are given the node's is one voice among theirs.
        """
        caps = self.context.caps
        if fee.rate is not None:
            if not isinstance(fee.rate, FeeRate):
                raise InvalidInputError("a bitcoin fee is a rate in sat/vB", code="input.fee")
            return caps.check_bitcoin(fee.rate)
        blocks = TARGET_BLOCKS[fee.speed]
        others = self.context.fee_estimators.get(self.account.network)
        if others:
            estimate: FeeRate | None = cross_checked(
                {"the node": self.backend, **others}, target_blocks=blocks, caps=caps
            ).rate
        else:
            estimate = self.backend.fee_rate(target_blocks=blocks)
        return bitcoin_fee_rate(estimate, self.backend.min_fee_rate(), network=self.account.network, caps=caps)

    def change(self, index: int | None = None) -> ChangeKey:
        """Where change goes."""
        return self.paths.change(self.change_index if index is None else index)

    def change_place(self, index: int | None = None) -> tuple[bytes, str]:
        """The script of the change and how reviews name its place."""
        index = self.change_index if index is None else index
        branch = change_branch(self.account)
        return self.account.script(branch, index), self.account.place(branch, index)

    def sketches(self, outputs: Iterable[Output]) -> tuple[Coin, ...]:
        """The outputs that some way to spend is open for, as coins to choose among."""
        made = (self.paths.sketch(output) for output in outputs)
        return self.ancestry().packages(coin for coin in made if coin is not None)

    def ancestry(self) -> Ancestry:
        """What unconfirmed coins stand on."""
        return Ancestry(self.context, self.row, self.view, self.backend)

    def largest(self) -> tuple[Coin, ...]:
        """The confirmed coins a bump may add, completed: it takes the largest first and needs few."""
        mature, _ = self.view.free()
        return self.completed(self.sketches(sorted(mature, key=lambda item: -item.value)[:MOST_EXTRA]))

    def completed(self, coins: Iterable[Coin]) -> tuple[Coin, ...]:
        """Coins with their keys and previous transactions, which the node is asked for where the store lacks them."""
        wanted = list(coins)
        with self.context.store.read() as connection:
            raws = raw_transactions(connection, self.row, {str(coin.outpoint.txid) for coin in wanted})
        known = {txid: Transaction.parse(raw) for txid, raw in raws.items()}
        result: list[Coin] = []
        for sketch in wanted:
            txid = sketch.outpoint.txid
            if str(txid) not in known and not sketch.key.taproot:
                found = self.backend.transaction(txid)
                if found is None:
                    raise ChainError(
                        f"the node does not know transaction {txid}, whose output it listed: sync again",
                        code="chain.previous",
                    )
                known[str(txid)] = found.tx
            place = self.view.places[sketch.output.script]
            result.append(self.paths.complete(sketch, place, known.get(str(txid))))
        return tuple(result)

    def spent(self, psbt: Psbt) -> list[Coin]:
        """The coins of a stored plan, as its PSBT describes them."""
        outputs = [psbt.utxo(number) for number in range(len(psbt.inputs))]
        with self.context.store.read() as connection:
            places = find_places(connection, self.row.id, {output.script for output in outputs})
        coins: list[Coin] = []
        for number, (item, output) in enumerate(zip(psbt.tx.inputs, outputs, strict=True)):
            known = self.view.outputs.get((str(item.outpoint.txid), item.outpoint.vout))
            height = None if known is None else known.height
            key = self.paths.key(*places[output.script], height)
            previous = psbt.inputs[number].non_witness_utxo
            coins.append(Coin(outpoint=item.outpoint, output=output, key=key, height=height, previous=previous))
        return coins

    def finish(self, built: BuiltTransfer) -> SignatureNeeds | None:
        """Write into the PSBT what several signers need to know; what it takes to sign it."""
        account, psbt = self.account, built.psbt
        if isinstance(account, MultisigAccount):
            account.describe_xpubs(psbt)
        places = {
            number: (*self.view.places[coin.output.script], coin.height)
            for number, coin in enumerate(built.coins)
            if coin.output.script in self.view.places
        }
        self.paths.reveal(psbt, places)
        return self.paths.needs(psbt)

    def reserve(self, connection: Connection, built: BuiltTransfer, plan: Plan, *, root: str, index: int) -> None:
        """Hold the coins and the change address at ``index``; ``ConflictError`` where another transfer was quicker."""
        row = self.row
        keys = [(str(coin.outpoint.txid), coin.outpoint.vout) for coin in built.coins]
        hold_coins(connection, row.network, keys, root=root, transfer_id=plan.id)
        if built.change_index is not None:
            branch = change_branch(self.account)
            found = address_at(connection, row.id, branch, index)
            fresh = index == self.change_index and self.account.ranged
            if fresh and found is not None and found.issued:
                raise ConflictError("the change address was taken by another transfer: plan again")
            account_rows.mark_issued(connection, row.id, branch, index)
            extend_windows(connection, row, self.account)


def _change_index(connection: Connection, row: AccountRow, account: ScriptAccount) -> int:
    if not account.ranged:
        return 0
    free = first_free(connection, row.id, change_branch(account))
    if free is None:
        raise ChainError(f"account {row.name!r} has no change address derived: sync it first", code="chain.unsynced")
    return free
