"""What the firmware refuses, hides or signs without a word, as measured on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.trezor import TrezorSimulator
from trezor_host import KINDS, MODELS, PAYEE, path, session_of
from trezorlib import btc, device, exceptions, messages
from trezorlib.messages import InputScriptType

Start = Callable[..., TrezorSimulator]
Spend = Callable[[Any], Any]


@pytest.fixture(params=MODELS)
def job(request: pytest.FixtureRequest, trezor: Start, spending: Spend) -> Any:
    """One coin of 100000 sat, and a payment of 50000."""
    simulator = trezor(request.param)
    made = spending(session_of(simulator))
    made.simulator = simulator
    made.legacy = request.param == "T1B1"
    made.coin("p2wpkh")
    made.pay(50_000)
    return made


def refused(job: Any, text: str, code: str = "DataError") -> None:
    with pytest.raises(exceptions.TrezorFailure) as caught:
        job.sign()
    assert caught.value.message == text
    assert caught.value.code == messages.FailureType[code]


def screens(job: Any) -> int:
    """How many pages it took to sign."""
    before = len(job.simulator.pages)
    job.accepted(job.sign()[1])
    return len(job.simulator.pages) - before


@pytest.mark.parametrize("where", ["1/2147483647", "1/1000001", "7/3"])
def test_change_where_no_wallet_finds_it_is_forbidden(job: Any, where: str) -> None:
    job.change("p2wpkh", 49_000, f"m/84h/1h/0h/{where}")
    refused(job, "Forbidden key path")


def test_change_of_an_account_too_high_is_forbidden(job: Any) -> None:
    job.change("p2wpkh", 49_000, "m/84h/1h/150h/1/0")
    refused(job, "Forbidden key path")


@pytest.mark.parametrize("where", ["0/3", "1/1000000"])
def test_change_on_either_branch_is_silent(job: Any, where: str) -> None:
    job.change("p2wpkh", 49_000, "m/84h/1h/0h/1/0")
    usual = screens(job)
    job.outputs.pop()
    job.change("p2wpkh", 49_000, f"m/84h/1h/0h/{where}")
    assert screens(job) == usual


@pytest.mark.parametrize(("kind", "where"), [("p2wpkh", "m/84h/1h/1h/1/0"), ("p2sh-p2wpkh", "m/49h/1h/0h/1/0")])
def test_change_of_another_account_or_type_is_shown(job: Any, kind: str, where: str) -> None:
    job.change("p2wpkh", 49_000)
    usual = screens(job)
    job.outputs.pop()
    job.change(kind, 49_000, where)
    assert screens(job) == usual + (1 if job.legacy else 2)


def test_two_changes_are_silent_and_three_are_not(job: Any) -> None:
    job.change("p2wpkh", 20_000, "m/84h/1h/0h/1/0")
    one = screens(job)
    job.change("p2wpkh", 20_000, "m/84h/1h/0h/1/1")
    assert screens(job) == one
    job.change("p2wpkh", 9_000, "m/84h/1h/0h/1/2")
    assert screens(job) == one + 1


def test_one_outpoint_twice_is_signed_without_a_word(job: Any) -> None:
    usual = screens(job)
    job.coins.append(job.coins[0])
    before = len(job.simulator.pages)
    signatures, _ = job.sign()
    assert len(signatures) == 2
    assert all(signatures)
    assert len(job.simulator.pages) - before == usual


@pytest.mark.parametrize("claimed", [99_999, 100_001])
def test_a_lie_about_an_amount_is_found(job: Any, claimed: int) -> None:
    job.coins[0][0].amount = claimed
    refused(job, "Invalid amount specified")


def test_a_changed_previous_transaction_is_found(job: Any) -> None:
    next(iter(job.previous.values())).lock_time = 8
    if job.legacy:
        refused(job, "Encountered invalid prevhash")
    else:
        refused(job, "Encountered invalid prev_hash", "ProcessError")


def test_an_output_the_previous_transaction_does_not_have(job: Any) -> None:
    job.coins[0][0].prev_index = 2
    refused(job, "Not enough outputs in previous transaction.", "DataError" if job.legacy else "ProcessError")


def test_a_coin_of_another_key_is_found(job: Any) -> None:
    job.coins[0][0].address_n = path("m/84h/1h/0h/0/1")
    refused(job, "Input does not match scriptPubKey")


def test_more_out_than_in(job: Any) -> None:
    job.pay(50_001)
    refused(job, "Not enough funds", "NotEnoughFunds")


def test_an_external_input_needs_a_proof(job: Any) -> None:
    script = b"\x00\x14" + bytes(20)
    job.add(script, 30_000, {"script_type": InputScriptType.EXTERNAL, "script_pubkey": script})
    refused(job, "Unverifiable external input.", "ProcessError")
    device.apply_settings(job.session, safety_checks=messages.SafetyCheckLevel.PromptTemporarily)
    signatures, _ = job.sign()
    assert signatures[0] is not None
    assert signatures[1] is None


def test_the_previous_transactions_of_taproot_coins_are_not_asked_for(trezor: Start, spending: Spend) -> None:
    for model in MODELS:
        made = spending(session_of(trezor(model)))
        made.coin("p2tr")
        made.pay(50_000)
        made.previous.clear()
        made.accepted(made.sign()[1])


def test_a_high_fee_is_warned_of(job: Any) -> None:
    job.coin("p2wpkh", 5_000_000, 1)
    job.sign()
    assert "unexpectedly high" in humans.told(job.simulator.pages)


def test_later_models_refuse_ten_times_too_high_a_fee(trezor: Start, spending: Spend) -> None:
    made = spending(session_of(trezor("T3T1")))
    made.coin("p2wpkh", 10 * 100_000_000)
    made.pay(50_000)
    with pytest.raises(exceptions.TrezorFailure, match="The fee is unexpectedly large"):
        made.sign()


@pytest.mark.parametrize("model", MODELS)
def test_paths_of_other_coins_are_forbidden(model: str, trezor: Start) -> None:
    session = session_of(trezor(model))
    witness = InputScriptType.SPENDWITNESS
    wrong = (("Bitcoin", "m/84h/1h/0h/0/0"), ("Regtest", "m/84h/0h/0h/0/0"), ("Bitcoin", "m/44h/60h/0h/0/0"))
    for coin, where in wrong:
        with pytest.raises(exceptions.TrezorFailure, match="Forbidden key path"):
            btc.get_address(session, coin, path(where), script_type=witness)
    with pytest.raises(exceptions.TrezorFailure, match=r"Invalid coin name|Unsupported coin type"):
        btc.get_address(session, "Signet", path("m/84h/1h/0h/0/0"), script_type=witness)


@pytest.mark.parametrize("model", MODELS)
def test_a_path_of_another_script_type_is_warned_of(model: str, trezor: Start) -> None:
    simulator = trezor(model, human=humans.reject())
    with pytest.raises(exceptions.Cancelled):
        btc.get_address(session_of(simulator), "Bitcoin", path("m/84h/0h/0h/0/0"), show_display=True)
    assert "path" in humans.told(simulator.pages)
    silent = btc.get_address(session_of(simulator), "Bitcoin", path("m/84h/0h/0h/0/0"))
    assert silent.startswith("1")


def test_a_trezor_one_has_no_place_for_long_fields(trezor: Start) -> None:
    """Where later models take any length."""
    long = [0] * 9
    with pytest.raises(exceptions.TrezorFailure, match="array overflow"):
        btc.get_public_node(session_of(trezor("T1B1")), long)
    assert btc.get_public_node(session_of(trezor("T3T1")), long).node.depth == 9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_a_host_that_changes_its_mind_gets_no_signature(
    model: str, kind: str, trezor: Start, wire: Any, spending: Spend
) -> None:
    """At every request for an input, tell of an account it was not before: refused, or of no consequence."""
    simulator = trezor(model)
    made = spending(session_of(simulator))
    made.coin(kind)
    made.pay(50_000)
    line = wire(simulator)
    for turn in range(1, 6):
        line.call(messages.Initialize())
        reply = line.call(messages.SignTx(coin_name="Regtest", inputs_count=1, outputs_count=1, version=2))
        asked, raw = 0, b""
        while isinstance(reply, messages.TxRequest) and reply.request_type != messages.RequestType.TXFINISHED:
            told, asked = _part(made, reply, asked, turn)
            reply = line.call(messages.TxAck(tx=told))
            if isinstance(reply, messages.TxRequest) and reply.serialized is not None:
                raw += reply.serialized.serialized_tx or b""
        if isinstance(reply, messages.TxRequest):
            made.accepted(raw)
        else:
            assert isinstance(reply, messages.Failure)
            assert turn == 1 or "changed during signing" in reply.message or "does not match" in reply.message


def _part(made: Any, request: messages.TxRequest, asked: int, turn: int) -> tuple[messages.TransactionType, int]:
    details = request.details
    assert details is not None
    if details.tx_hash:
        past = made.previous[bytes(details.tx_hash)]
        if request.request_type == messages.RequestType.TXMETA:
            counts = {"inputs_cnt": len(past.inputs), "outputs_cnt": len(past.bin_outputs)}
            return messages.TransactionType(version=past.version, lock_time=past.lock_time, **counts), asked
        if request.request_type == messages.RequestType.TXINPUT:
            return messages.TransactionType(inputs=[past.inputs[details.request_index or 0]]), asked
        return messages.TransactionType(bin_outputs=[past.bin_outputs[details.request_index or 0]]), asked
    if request.request_type == messages.RequestType.TXOUTPUT:
        return messages.TransactionType(outputs=[made.outputs[0]]), asked
    asked += 1
    told = messages.TxInputType(**vars(made.coins[0][0]))
    if asked == turn:
        told.address_n = [*told.address_n[:2], told.address_n[2] + 1, *told.address_n[3:]]
    return messages.TransactionType(inputs=[told]), asked


def test_the_payee_is_of_the_right_network(job: Any) -> None:
    job.outputs[0].address = "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"
    assert job.outputs[0].address != PAYEE
    if job.legacy:
        refused(job, "Failed to compile output", "ProcessError")
    else:
        refused(job, "Invalid address")
