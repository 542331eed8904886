"""Checklist A, amounts and fees (rows 1 to 12): lies and blunders are refused before a signer hears of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import op_return, p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import InvalidInputError
from bursar.keys.scheme import Scheme
from bursar.policy.render import review_text
from bursar.signing.amounts import SeenAmounts
from bursar.signing.checks import request_signatures
from bursar.signing.preflight import PreflightLimits
from bursar.wallet import PaymentOrder, Transfer

Refused = Callable[..., str]
V0 = (Scheme.BIP84, Scheme.BIP49)
PAYEE = p2wpkh(b"\x07" * 20)


@pytest.mark.parametrize("scheme", V0)
def test_row_01_an_amount_without_its_previous_transaction(
    ask: SimpleNamespace, refused: Refused, account: Any, signer: Any, scheme: Scheme
) -> None:
    psbt = ask.one(scheme)
    psbt.inputs[0].non_witness_utxo = None
    refused(psbt, "utxo", account=account(scheme))
    assert psbt.inputs[0].witness_utxo is not None
    allowed = PreflightLimits(previous_required=False)
    assert request_signatures(signer, psbt, account=account(scheme), limits=allowed).inputs[0].partial_sigs


def test_row_01_the_attack_in_two_sessions_ends_in_the_first(ask: SimpleNamespace, refused: Refused) -> None:
    """Each session understates the other input; together the two signatures would pay 60,000 sat of fee."""
    honest = ask.question([ask.spend(), ask.spend(index=1)], fee=60_000)
    for number in (0, 1):
        lying = honest.copy()
        output = honest.utxo(number)
        lying.inputs[number].non_witness_utxo = None
        lying.inputs[number].witness_utxo = TxOut(Sats(output.value - 59_000), output.script)
        assert lying.fee() == 1_000
        refused(lying, "utxo")


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_02_another_previous_transaction(ask: SimpleNamespace, refused: Refused, scheme: Scheme) -> None:
    psbt = ask.one(scheme)
    before = psbt.inputs[0].non_witness_utxo
    psbt.inputs[0].non_witness_utxo = Transaction(before.version, before.inputs, before.outputs, before.locktime + 1)
    refused(psbt, "utxo")


@pytest.mark.parametrize("scheme", [*V0, Scheme.BIP86])
def test_row_03_two_accounts_of_one_coin_that_differ(ask: SimpleNamespace, refused: Refused, scheme: Scheme) -> None:
    psbt = ask.one(scheme)
    output = psbt.inputs[0].witness_utxo
    for lie in (
        TxOut(Sats(output.value + 1), output.script),
        TxOut(Sats(output.value - 1), output.script),
        TxOut(output.value, PAYEE),
    ):
        psbt.inputs[0].witness_utxo = lie
        refused(psbt, "utxo")


def test_row_04_a_legacy_coin_shows_its_transaction_and_nothing_else(ask: SimpleNamespace, refused: Refused) -> None:
    psbt = ask.one(Scheme.BIP44)
    output = psbt.utxo(0)
    psbt.inputs[0].witness_utxo = output
    refused(psbt, "utxo")
    psbt.inputs[0].non_witness_utxo = None
    refused(psbt, "utxo")
    psbt.inputs[0].witness_utxo = None
    refused(psbt, "utxo")


@pytest.mark.parametrize("vout", [2, 3, 0xFFFFFFFE, 0xFFFFFFFF])
def test_row_05_an_output_the_previous_transaction_does_not_have(
    ask: SimpleNamespace, refused: Refused, rebuilt: Callable[..., Psbt], vout: int
) -> None:
    psbt = ask.one()
    outpoint = OutPoint(psbt.tx.inputs[0].outpoint.txid, vout)
    for keep in (True, False):
        lying = rebuilt(psbt, inputs=[TxIn(outpoint, b"", 0xFFFFFFFD)])
        if not keep:
            lying.inputs[0].witness_utxo = None
        refused(lying, "utxo")


def test_row_06_taproot_alone_needs_no_previous_transaction_and_its_neighbour_does(
    ask: SimpleNamespace, refused: Refused, account: Any, signer: Any
) -> None:
    both = ask.question([ask.spend(Scheme.BIP86), ask.spend(Scheme.BIP86, index=1)])
    for one in both.inputs:
        one.non_witness_utxo = None
    assert request_signatures(signer, both, account=account(Scheme.BIP86)).inputs[1].tap_key_sig
    mixed = ask.question([ask.spend(Scheme.BIP86), ask.spend(Scheme.BIP84)])
    mixed.inputs[0].non_witness_utxo = None
    assert all(
        one.fields != other.fields
        for one, other in zip(request_signatures(signer, mixed).inputs, mixed.inputs, strict=True)
    )
    mixed.inputs[1].non_witness_utxo = None
    refused(mixed, "utxo", account=None)


def test_row_07_more_goes_out_than_comes_in(
    ask: SimpleNamespace, refused: Refused, rebuilt: Callable[..., Psbt]
) -> None:
    psbt = ask.one()
    refused(rebuilt(psbt, outputs=[TxOut(Sats(100_001), PAYEE)]), "fee")
    assert "the outputs pay 100001 sat and the inputs bring 100000 sat" in refused(
        rebuilt(psbt, outputs=[TxOut(Sats(100_001), PAYEE)]), "fee", limits=PreflightLimits(any_fee=True)
    )


def test_row_08_amounts_that_no_coin_can_have(
    ask: SimpleNamespace, refused: Refused, rebuilt: Callable[..., Psbt]
) -> None:
    psbt = ask.one()
    most = 21_000_000 * 10**8
    refused(rebuilt(psbt, outputs=[TxOut(Sats(most), PAYEE), TxOut(Sats(most), PAYEE)]), "amount")
    raw = psbt.serialize()
    value = int(psbt.tx.outputs[0].value).to_bytes(8, "little")
    assert raw.count(value) == 1
    for wrong in (-1, -(2**63), most + 1, 2**63 - 1):
        with pytest.raises(InvalidInputError) as caught:
            Psbt.parse(raw.replace(value, wrong.to_bytes(8, "little", signed=True)))
        assert caught.value.code == "input.amount.range"
        with pytest.raises(InvalidInputError):
            Sats(wrong)


def test_row_09_fees_over_the_caps(
    ask: SimpleNamespace, refused: Refused, signer: Any, account: Any, rebuilt: Callable[..., Psbt]
) -> None:
    """Absolute, relative and by rate; each is loosened for one job by name, and only that one."""
    psbt = ask.one(fee=40_000)
    assert request_signatures(signer, psbt, account=account()).inputs[0].partial_sigs
    tight = PreflightLimits(max_fee=Sats(39_999))
    assert "over the limit" in refused(psbt, "fee", limits=tight)
    assert "40 %" in refused(psbt, "fee", limits=PreflightLimits(max_fee_percent=39))
    assert "over the rate" in refused(psbt, "fee", limits=PreflightLimits(max_fee_rate=FeeRate(200_000)))
    most = ask.question([ask.spend(index=index) for index in range(4)], change=account(), fee=199_000)
    assert request_signatures(signer, most, account=account()).inputs[3].partial_sigs
    blunder = ask.question([ask.spend()], change=None, fee=49_000)
    lost = rebuilt(blunder, outputs=blunder.tx.outputs[1:])
    assert "99 %" in refused(lost, "fee")


def test_row_09_the_caps_hold_on_the_command_line(line: Any, ask: SimpleNamespace, tmp_path: Any) -> None:
    file = tmp_path / "dear.psbt"
    psbt = ask.one()
    rich = Transaction(2, psbt.inputs[0].non_witness_utxo.inputs, [TxOut(Sats(2 * 10**8), psbt.utxo(0).script)], 0)
    lost = Psbt(Transaction(2, [TxIn(OutPoint(rich.txid, 0), b"", 0xFFFFFFFD)], [TxOut(Sats(10**8), PAYEE)], 0))
    lost.inputs[0].fields.update(psbt.inputs[0].fields)
    lost.inputs[0].non_witness_utxo, lost.inputs[0].witness_utxo = rich, rich.outputs[0]
    file.write_text(str(lost))
    result = line.run("psbt", "sign", str(file), "--account", "savings", "--yes", answers=[])
    assert isinstance(result.exception, InvalidInputError)
    assert result.exception.code == "input.psbt.fee"
    assert "over the limit of 10000000 sat" in line.text("psbt", "inspect", str(file))


def test_row_10_a_fee_no_node_relays_is_said(line: Any, ask: SimpleNamespace, tmp_path: Any) -> None:
    file = tmp_path / "poor.psbt"
    for fee, said in ((0, True), (100, True), (500, False)):
        file.write_text(str(ask.one(fee=fee)))
        line.run("psbt", "sign", str(file), "--account", "savings", answers=["n"])
        assert ("less than nodes relay" in "\n".join(line.answers.heard)) is said
        line.answers.heard.clear()


def test_row_11_the_same_coin_with_another_amount(ask: SimpleNamespace, signer: Any, account: Any) -> None:
    seen, loose = SeenAmounts(), PreflightLimits(previous_required=False)
    psbt = ask.one()
    psbt.inputs[0].non_witness_utxo = None
    assert request_signatures(signer, psbt, account=account(), limits=loose, seen=seen)
    output = psbt.utxo(0)
    psbt.inputs[0].witness_utxo = TxOut(Sats(output.value - 300), output.script)
    with pytest.raises(InvalidInputError, match="one of them lies") as caught:
        request_signatures(signer, psbt, account=account(), limits=loose, seen=seen)
    assert caught.value.code == "input.psbt.utxo"


def test_row_12_dust_and_burnt_money(
    ask: SimpleNamespace, refused: Refused, rebuilt: Callable[..., Psbt], funded: Any
) -> None:
    psbt = ask.one()
    rest = psbt.tx.outputs[0]
    refused(rebuilt(psbt, outputs=[rest, TxOut(Sats(293), PAYEE)]), "output")
    refused(rebuilt(psbt, outputs=[rest, TxOut(Sats(1_000), op_return(b"burnt"))]), "output")
    with pytest.raises(InvalidInputError):
        funded.wallet.plan(
            Transfer(account="btc", payments=(PaymentOrder(str(funded.account.address(0, 9)), 293, "BTC"),)),
            funded.node,
        )


def test_row_12_everything_an_output_carries_is_shown(
    ask: SimpleNamespace, rebuilt: Callable[..., Psbt], account: Any
) -> None:
    """Data behind the first push, a second OP_RETURN, bytes that are no push: none is left out of the review."""
    from bursar.cli.psbt_review import review_of

    psbt = ask.one(change=None)
    scripts = [
        b"\x6a\x04data\x04more",
        b"\x6a\x4c\x50" + b"\xab" * 80 + b"\x08trailing",
        b"\x6a" + b"\xff" * 40,
        b"\x6a",
    ]
    outputs = [psbt.tx.outputs[0], *(TxOut(Sats(0), script) for script in scripts)]
    shown = review_text(review_of(rebuilt(psbt, outputs=outputs), account(), "savings"))
    letters = "".join(shown.split())
    for script in scripts:
        assert f"script{script.hex()}" in letters
