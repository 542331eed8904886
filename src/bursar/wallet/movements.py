"""History: what moved in and out of an account, told from its transactions and transfers. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.address import Address
from bursar.bitcoin.transaction import Transaction
from bursar.errors import InvalidInputError
from bursar.wallet.accounts import native_asset, token_asset
from bursar.wallet.ethereum_deposits_shown import Sieve
from bursar.wallet.records import HistoryRow, TransferState
from bursar.wallet.rivals import lost
from bursar.wallet.store.transfers import stored_plan

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.transaction import TxOut
    from bursar.policy.review import Asset
    from bursar.wallet.store.accounts import TokenRow
    from bursar.wallet.store.chainstate import TransactionRow
    from bursar.wallet.store.deposits import Deposit
    from bursar.wallet.store.transfers import TransferRow

_GONE = (TransferState.REPLACED, TransferState.FAILED)
_ON_CHAIN = (TransferState.SENT, TransferState.CONFIRMED, TransferState.FAILED)


def depth(height: int | None, tip_height: int | None) -> int:
    """Confirmations at ``tip_height``."""
    return 0 if height is None or tip_height is None else max(0, tip_height - height + 1)


def bitcoin_history(
    name: str,
    account: ScriptAccount,
    rows: Sequence[TransactionRow],
    transfers: Sequence[TransferRow],
    scripts: Collection[bytes],
    *,
    tip_height: int | None,
) -> list[HistoryRow]:
    """One row per transaction: what came in, or what went to others, or only the fee."""
    gone = {row.txid for row in transfers if row.state in _GONE} | lost(rows)
    by_txid = {row.txid: row for row in transfers if row.txid is not None}
    parsed = {row.txid: Transaction.parse(row.raw) for row in rows}
    result: list[HistoryRow] = []
    for row in rows:
        if row.txid in gone or (row.state == "missing" and row.txid not in by_txid):
            continue
        tx = parsed[row.txid]
        spent = [_spent(parsed, str(item.outpoint.txid), item.outpoint.vout) for item in tx.inputs]
        ours = [output for output in spent if output is not None and output.script in scripts]
        back = sum(int(output.value) for output in tx.outputs if output.script in scripts)
        foreign = [output for output in tx.outputs if output.script not in scripts]
        if not ours and not back:
            continue
        fee = 0
        if not ours:
            direction, amount, parties = "in", back, []
        else:
            brought = sum(int(output.value) for output in ours)
            if len(ours) == len(spent):
                fee = brought - sum(int(output.value) for output in tx.outputs)
            amount = back - brought + fee
            direction = "out" if foreign else "self"
            parties = [_address(output, account) for output in foreign]
        transfer = by_txid.get(row.txid)
        result.append(
            HistoryRow(
                account=name,
                direction=direction,
                asset=native_asset(account),
                amount=amount,
                fee=fee,
                txid=row.txid,
                height=row.height,
                time=row.seen if row.block_time is None else row.block_time,
                confirmations=depth(row.height, tip_height),
                counterparties=tuple(parties),
                transfer_id=None if transfer is None else transfer.id,
            )
        )
    return result


def _spent(parsed: Mapping[str, Transaction], txid: str, vout: int) -> TxOut | None:
    tx = parsed.get(txid)
    return tx.outputs[vout] if tx is not None and vout < len(tx.outputs) else None


def _address(output: TxOut, account: ScriptAccount) -> str:
    try:
        return str(Address.from_script(output.script, account.network))
    except InvalidInputError:
        return f"script {output.script.hex()[:80]}"


def ethereum_history(
    name: str,
    transfers: Sequence[TransferRow],
    deposits: Sequence[Deposit],
    tokens: Sequence[TokenRow],
    own: set[str],
    *,
    native: Asset,
    tip_height: int | None,
    paid: Collection[str] = (),
) -> list[HistoryRow]:
    """Our own transfers, and what else moved: neither what was reversed, nor what people are not to be shown.

    ``paid`` are the addresses we paid.
    """
    result: list[HistoryRow] = []
    numbered: set[tuple[str | None, str, str | None, int | None]] = set()
    for row in transfers:
        if row.state not in _ON_CHAIN or (row.state is TransferState.FAILED and row.height is None):
            continue
        plan = stored_plan(row)
        worked = row.state is not TransferState.FAILED
        payments = [one for one in plan.review.payments if one.owner is None]
        fee_asset = plan.review.fee_asset
        moved: list[tuple[Asset, int, str | None, int | None]] = [
            (one.asset, -one.amount, one.to, one.token_id) for one in payments if worked
        ]
        for number, (asset, amount, payee, token_id) in enumerate(moved or [(fee_asset, 0, None, None)]):
            if token_id is not None:
                numbered.add((row.txid, asset.contract or "", payee, token_id))
            result.append(
                HistoryRow(
                    account=name,
                    direction="self" if payee is None or payee in own else "out",
                    asset=asset,
                    amount=0 if payee in own else amount,
                    fee=row.fee if number == 0 else 0,
                    txid=row.txid,
                    height=row.height,
                    time=row.created if row.block_time is None else row.block_time,
                    confirmations=depth(row.height, tip_height),
                    counterparties=() if payee is None else (payee,),
                    transfer_id=row.id,
                    token_id=token_id,
                )
            )
    assets = {"": native} | {token.contract: token_asset(token) for token in tokens}
    sieve = Sieve(assets, {*own, *paid})
    for item in deposits:
        if item.state == "reversed" or sieve.hides(item) is not None:
            continue
        if item.amount < 0 and (item.txid, item.contract, item.sender, item.token_id) in numbered:
            continue  # a transfer of ours says so already
        known = assets[item.contract]
        result.append(
            HistoryRow(
                account=name,
                direction="in" if item.amount > 0 else "out",
                asset=known,
                amount=item.amount,
                fee=0,
                txid=item.txid,
                height=item.height,
                time=item.block_time,
                confirmations=depth(item.height, tip_height),
                counterparties=() if item.sender is None else (item.sender,),
                deposit=item.kind,
                state=item.state,
                token_id=item.token_id,
            )
        )
    return result


def newest_first(rows: list[HistoryRow]) -> tuple[HistoryRow, ...]:
    """Unconfirmed ones on top, then by the time of their block: heights of two chains do not compare."""
    return tuple(
        sorted(rows, key=lambda row: (row.height is None, row.time, row.height or 0, row.txid or ""), reverse=True)
    )
