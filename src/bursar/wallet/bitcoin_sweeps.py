"""Plans that pay ourselves: a child that lifts stuck transactions (CPFP), and small coins joined while fees are low."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from bursar.bitcoin.build import build_consolidation, build_cpfp
from bursar.errors import ConflictError, InvalidInputError
from bursar.wallet import bitcoin_planning as planning
from bursar.wallet.canonical import digest
from bursar.wallet.plan import Plan
from bursar.wallet.reserving import gather_facts, known_plan, store_plan
from bursar.wallet.transfer import PaymentOrder, Transfer
from bursar.wallet.workbench import Workbench

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.draft import BuiltTransfer
    from bursar.chain.protocols import BitcoinBackend
    from bursar.wallet.balances import Output
    from bursar.wallet.coin_control import SpendWith
    from bursar.wallet.context import Context
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.transfer import FeeChoice


def cpfp_bitcoin(
    context: Context,
    row: AccountRow,
    account: ScriptAccount,
    txid: str,
    backend: BitcoinBackend,
    *,
    fee: FeeChoice,
    spend_with: SpendWith,
    idempotency_key: str | None,
) -> Plan:
    """See ``Wallet.cpfp``."""
    bench = Workbench.open(context, row, account, backend, spend_with)
    rate = bench.fee_rate(fee)
    coins = bench.sketches(_outputs_of(bench, txid))
    built = build_cpfp(
        bench.completed(coins),
        change=bench.change(),
        fee_rate=rate,
        tip_height=bench.tip.height,
        parents=bench.ancestry().of([txid]),
        extra_coins=bench.largest(),
        rng=context.rng,
    )
    body = cpfp_digest(row.name, txid, fee)
    return _store(bench, built, fee, body, idempotency_key, spend_with, memo=f"speeds up {txid}")


def consolidate_bitcoin(
    context: Context,
    row: AccountRow,
    account: ScriptAccount,
    backend: BitcoinBackend,
    *,
    fee: FeeChoice,
    most: int | None,
    spend_with: SpendWith,
    idempotency_key: str | None,
) -> Plan:
    """See ``Wallet.consolidate``."""
    bench = Workbench.open(context, row, account, backend, spend_with)
    rate = bench.fee_rate(fee)
    mature, _ = bench.view.free()
    smallest = sorted(mature, key=lambda one: one.value)[: None if most is None else 2 * most + 100]
    built = build_consolidation(
        bench.completed(bench.sketches(smallest)),
        change=bench.change(),
        fee_rate=rate,
        tip_height=bench.tip.height,
        most=most,
        rng=context.rng,
    )
    body = consolidation_digest(row.name, most, fee)
    return _store(bench, built, fee, body, idempotency_key, spend_with, memo="joins small coins")


def cpfp_digest(name: str, txid: str, fee: FeeChoice) -> str:
    """What an idempotency key given to a child is bound to."""
    return digest(["cpfp", name, txid, fee.to_json()])


def consolidation_digest(name: str, most: int | None, fee: FeeChoice) -> str:
    """What an idempotency key given to a consolidation is bound to."""
    return digest(["consolidate", name, most, fee.to_json()])


def _outputs_of(bench: Workbench, txid: str) -> list[Output]:
    """Our unspent outputs of an unconfirmed transaction."""
    view = bench.view
    if txid not in view.pending:
        raise InvalidInputError(
            f"transaction {txid} is not waiting for a block with this account: sync again", code="input.cpfp"
        )
    found = [one for one in (*view.coins.change, *view.coins.incoming) if one.txid == txid]
    free = [one for one in found if one.key not in view.held and one.key not in view.frozen]
    if free:
        return free
    held = next((root for (made_by, _), root in view.held.items() if made_by == txid), None)
    if held is not None:
        raise ConflictError(f"transfer {held} spends what transaction {txid} pays us: replace that one instead")
    if found:
        raise InvalidInputError(f"what {txid} pays us is frozen: unfreeze it first", code="input.coin.frozen")
    raise InvalidInputError(f"transaction {txid} leaves us nothing to spend: nothing lifts it", code="input.cpfp")


def _store(
    bench: Workbench,
    built: BuiltTransfer,
    fee: FeeChoice,
    body: str,
    idempotency_key: str | None,
    spend_with: SpendWith,
    *,
    memo: str,
) -> Plan:
    context, row = bench.context, bench.row
    planning.check_cap(int(built.fee), fee.max_fee, "sat")
    needs = bench.finish(built)
    with context.store.write() as connection:
        review = planning.review_of(
            bench.account,
            row.name,
            built,
            change_path=bench.change_place(),
            facts=gather_facts(connection, row.network, []),
            replaces=None,
            needs=needs,
        )
        back = PaymentOrder(review.change[0].address, review.change[0].amount, "BTC")
        transfer = Transfer(
            account=row.name,
            payments=(back,),
            fee=fee,
            idempotency_key=idempotency_key,
            memo=memo,
            spend_with=spend_with,
            id=str(uuid4()),
        )
        known = known_plan(connection, transfer, body)
        if known is not None:
            return known
        plan = Plan(id=transfer.id, transfer=transfer, review=review, created=context.now(), psbt=str(built.psbt))
        store_plan(context, connection, plan, account_id=row.id, root=plan.id, body=body)
        bench.reserve(connection, built, plan, root=plan.id, index=bench.change_index)
    context.passed("plan.reserved")
    return plan
