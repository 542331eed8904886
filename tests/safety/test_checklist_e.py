"""Checklist E, inputs and whose they are (rows 39 to 45): ours, all of ours, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import BursarError, ConflictError, InsufficientFundsError, InvalidInputError
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.preflight import PreflightLimits
from bursar.wallet import FeeChoice, PaymentOrder, Transfer

Refused = Callable[..., str]
PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


def order(amount: int) -> tuple[PaymentOrder, ...]:
    return (PaymentOrder(PAYEE, amount, "BTC"),)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_39_one_coin_spent_twice(
    ask: SimpleNamespace, refused: Refused, rebuilt: Callable[..., Psbt], account: Any, scheme: Scheme
) -> None:
    """Devices sign this without a word."""
    psbt = ask.question([ask.spend(scheme), ask.spend(scheme, index=1)])
    first = psbt.tx.inputs[0]
    for twin in (first, TxIn(first.outpoint, b"", 5)):
        twice = rebuilt(psbt, inputs=[first, twin])
        twice.inputs[1].fields.clear()
        twice.inputs[1].fields.update(psbt.inputs[0].fields)
        refused(twice, "duplicate-input", account=account(scheme))


def test_row_40_nothing_to_sign_is_no_success(
    ask: SimpleNamespace, refused: Refused, rebuilt: Callable[..., Psbt], signer: Any, line: Any, tmp_path: Any
) -> None:
    psbt = ask.one()
    refused(Psbt(Transaction(2, [], psbt.tx.outputs, 0)), "empty")
    refused(rebuilt(psbt, outputs=[]), "empty")
    refused(ask.question([ask.stranger()]), "nothing-to-sign")
    final = psbt.copy()
    final.inputs[0].final_witness = (b"\x30" * 71, b"\x02" * 33)
    refused(final, "nothing-to-sign")
    file = tmp_path / "theirs.psbt"
    file.write_text(str(ask.question([ask.stranger()])))
    result = line.run("psbt", "sign", str(file), "--account", "savings", "--yes")
    assert isinstance(result.exception, InvalidInputError)
    assert result.exit_code != 0
    assert result.stdout == ""


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_41_42_others_pay_along_only_where_that_was_allowed(
    ask: SimpleNamespace, refused: Refused, account: Any, signer: Any, scheme: Scheme
) -> None:
    ours = account(scheme)
    psbt = ask.question([ask.spend(scheme), ask.stranger(scheme)], change=ours)
    refused(psbt, "external", account=ours)
    together = PreflightLimits(external_inputs=True)
    signed = request_signatures(signer, psbt, account=ours, limits=together)
    assert signed.inputs[0] != psbt.inputs[0]
    assert signed.inputs[1] == psbt.inputs[1]
    # the coin thief's trick: ours, said to be a stranger's, in two requests about one transaction
    both = ask.question([ask.spend(scheme), ask.spend(scheme, 1, 4)], change=ours)
    for number in (0, 1):
        for disguise in (None, "00000001/0/0") if number else ("00000000/0/0",):
            lying = both.copy()
            one = lying.inputs[number]
            keys = [*one.bip32_derivations], [*one.tap_bip32_derivations]
            one.bip32_derivations.clear()
            one.tap_bip32_derivations.clear()
            if disguise is not None:
                for key in keys[0]:
                    one.bip32_derivations[key] = KeyOrigin.from_text(disguise)
                for key in keys[1]:
                    one.tap_bip32_derivations[key] = ((), KeyOrigin.from_text(disguise))
            message = refused(lying, "hidden", account=ours, limits=together)
            assert f"input {number} is a coin of this account" in message


def test_row_41_42_for_several_keys(party: Any, refused: Refused) -> None:
    account = party.account("wsh(sortedmulti(2,@A,@B,@C))")
    psbt = party.question(account)
    psbt.inputs[0].bip32_derivations.clear()
    for external in (False, True):
        refused(
            psbt,
            "hidden",
            by=party.signers["A"],
            account=account,
            limits=PreflightLimits(external_inputs=external),
        )


def test_row_43_a_replacement_pays_the_same_people_and_more_fee(funded: Any, policy: Any, fakes: Any) -> None:
    wallet, node, signer = funded.wallet, funded.node, fakes.Signer()
    plan = wallet.plan(Transfer(account="btc", payments=order(400_000)), node)
    approved = wallet.approve(plan, policy)
    wallet.send(wallet.sign(approved, signer=signer), node)
    with pytest.raises(BursarError):
        wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(1_000)))
    bump = wallet.bump(plan.id, node, fee=FeeChoice(rate=FeeRate(25_000)))
    before, after = Psbt.from_text(plan.psbt).tx, Psbt.from_text(bump.psbt).tx
    assert {one.outpoint for one in before.inputs} <= {one.outpoint for one in after.inputs}
    assert [(one.to, one.amount) for one in bump.review.payments] == [(PAYEE, 400_000)]
    assert bump.review.fee > plan.review.fee
    known = {one.script for one in before.outputs}
    assert {one.script for one in after.outputs} <= known
    assert sum(one.amount for one in bump.review.change) < sum(one.amount for one in plan.review.change)
    assert bump.review.replaces == str(before.txid)
    # it is a plan like any: unapproved it signs nothing
    with pytest.raises(ConflictError):
        wallet.sign(replace(approved, plan=bump), signer=signer)
    signed = wallet.sign(wallet.approve(bump, policy), signer=signer)
    assert Transaction.parse(signed.raw).txid == after.txid
    signer.close()


def test_row_44_every_kind_of_input_in_one_transaction(
    ask: SimpleNamespace, account: Any, signer: Any, refused: Refused
) -> None:
    """Each by its own rule; with an account given, its coins alone."""
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
    psbt = ask.question([ask.spend(scheme) for scheme in Scheme], change=account())
    signed = request_signatures(signer, psbt)
    tx = extract(finalize(signed))
    spent = [psbt.utxo(place) for place in range(len(psbt.inputs))]
    known = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in spent]
    transaction = pbk.Transaction(tx.serialize())
    shared = pbk.script.PrecomputedTransactionData(transaction, known)
    for place, one in enumerate(spent):
        flags = pbk.ScriptVerificationFlags.ALL
        assert pbk.ScriptPubkey(one.script).verify(int(one.value), transaction, shared, place, flags)
    assert "sign for each account by itself" in refused(psbt, "account")
    purpose = psbt.copy()
    for key, origin in list(purpose.inputs[0].bip32_derivations.items()):
        del purpose.inputs[0].bip32_derivations[key]
        purpose.inputs[0].bip32_derivations[key] = KeyOrigin(origin.fingerprint, account().key_origin(0, 0).path)
    refused(purpose, "key", account=None)


def test_row_45_young_spent_and_unconfirmed_coins(wallet: Any, bitcoin: Any, policy: Any, fakes: Any) -> None:
    account = fakes.bitcoin_account()
    wallet.add_account("btc", account, signer="test")
    bitcoin.pay(account.script(0, 0), 5_000_000, coinbase=True)
    wallet.sync("btc", bitcoin)
    (balance,) = wallet.balance("btc")
    assert (balance.immature, balance.spendable) == (5_000_000, 0)
    with pytest.raises(InsufficientFundsError):
        wallet.plan(Transfer(account="btc", payments=order(1_000_000)), bitcoin)
    # a stranger's unconfirmed payment is not spent: its sender may take it back
    bitcoin.pay(account.script(0, 1), 3_000_000)
    wallet.sync("btc", bitcoin)
    with pytest.raises(InsufficientFundsError):
        wallet.plan(Transfer(account="btc", payments=order(1_000_000)), bitcoin)
    bitcoin.mine()
    wallet.sync("btc", bitcoin)
    signer = fakes.Signer()
    plan = wallet.plan(Transfer(account="btc", payments=order(1_000_000)), bitcoin)
    with pytest.raises(InsufficientFundsError):  # the coin is spoken for
        wallet.plan(Transfer(account="btc", payments=order(1_000_000)), bitcoin)
    approved = wallet.approve(plan, policy)
    # meanwhile it is spent elsewhere, in a block
    (coin,) = Psbt.from_text(plan.psbt).tx.inputs
    bitcoin.mempool[Txid(bytes(32))] = Transaction(2, [TxIn(coin.outpoint)], [TxOut(Sats(1_000), b"\x51")])
    bitcoin.mine()
    wallet.sync("btc", bitcoin)
    assert wallet.balance("btc")[0].spendable == 0
    with pytest.raises(BursarError):
        wallet.send(wallet.sign(approved, signer=signer), bitcoin)
    signer.close()


def test_row_45_what_is_spent_unconfirmed_is_said(funded: Any, policy: Any, fakes: Any) -> None:
    wallet, node, signer = funded.wallet, funded.node, fakes.Signer()
    first = wallet.plan(Transfer(account="btc", payments=order(5_500_000)), node)
    wallet.send(wallet.sign(wallet.approve(first, policy), signer=signer), node)
    wallet.sync("btc", node)
    second = wallet.plan(Transfer(account="btc", payments=order(100_000)), node)
    (spent,) = Psbt.from_text(second.psbt).tx.inputs
    assert spent.outpoint.txid == Psbt.from_text(first.psbt).tx.txid
    (said,) = [one.text for one in second.review.warnings if one.code == "unverified"]
    assert said == "spends 1 coin of our own not yet in a block"
    signer.close()


def test_row_45_a_child_of_nothing_is_refused_by_its_outpoint(ask: SimpleNamespace, refused: Refused) -> None:
    psbt = ask.one()
    ghost = Psbt(Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0xFFFFFFFF))], psbt.tx.outputs, 0))
    ghost.inputs[0].fields.update(psbt.inputs[0].fields)
    refused(ghost, "utxo")
