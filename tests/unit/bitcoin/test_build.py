"""Transfers built, signed, finalised and judged by libbitcoinkernel; every refusal with its code."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from embit.psbt import PSBT as EmbitPsbt
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.address import Address
from bursar.bitcoin.build import build_transfer
from bursar.bitcoin.coins import Coin, Selection, Target
from bursar.bitcoin.draft import ChangeKey, locktime_against_fee_sniping
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import ScriptType, dust_threshold
from bursar.bitcoin.transaction import SEQUENCE_RBF, OutPoint, Transaction, Txid, TxOut
from bursar.bitcoin.units import MAX_MONEY, FeeRate, Sats
from bursar.errors import InsufficientFundsError, InvalidInputError
from bursar.keys.scheme import Scheme

Verify = Callable[[Transaction, Sequence[TxOut]], None]
RATE = FeeRate(12_500)


def pay(wallet: Any, scheme: Scheme = Scheme.BIP84, index: int = 77) -> Address:
    return wallet.account(scheme, 1).address(0, index)


def build(wallet: Any, coins: list[Coin], amount: int, **options: Any) -> Any:
    options = {
        "change": wallet.change(wallet.account(Scheme.BIP84)),
        "fee_rate": RATE,
        "tip_height": 250,
        "rng": random.Random(1),
        **options,
    }
    return build_transfer(wallet.network, coins, [(pay(wallet), Sats(amount))], **options)


@pytest.mark.parametrize("low_r", [False, True])
@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_kind_is_signed_and_accepted_by_the_kernel(
    scheme: Scheme, low_r: bool, wallet: Any, kernel_verify: Verify
) -> None:
    account = wallet.account(scheme)
    coins = [wallet.coin(account, 60_000 + index, index=index) for index in range(12)]
    built = build(wallet, coins, 250_000, change=wallet.change(account))
    psbt = Psbt.parse(built.psbt.serialize())
    signed = wallet.sign(psbt, low_r=low_r)
    tx = extract(finalize(signed))
    assert tx == extract(finalize(signed, verify=False))
    assert Transaction.parse(tx.serialize()) == tx
    spent = [psbt.utxo(place) for place in range(len(psbt.inputs))]
    kernel_verify(tx, spent)
    assert built.fee == psbt.fee() == sum(one.value for one in spent) - sum(one.value for one in tx.outputs)
    assert built.fee >= RATE.fee(tx.vsize)
    lighter = 4 * len(tx.inputs) if scheme is Scheme.BIP44 else len(tx.inputs)
    assert 0 <= 4 * built.vsize + 3 - tx.weight <= 4 * lighter + 6


def test_mixed_inputs_are_accepted_by_the_kernel(wallet: Any, kernel_verify: Verify) -> None:
    coins = [wallet.coin(wallet.account(scheme), 50_000, index=index) for scheme in Scheme for index in range(3)]
    taproot = wallet.change(wallet.account(Scheme.BIP86))
    built = build(wallet, coins, 590_000, change=taproot, fee_rate=FeeRate(1000))
    tx = extract(finalize(wallet.sign(built.psbt)))
    assert len(tx.inputs) == 12
    kernel_verify(tx, [coin.output for coin in built.coins])
    assert built.fee >= FeeRate(1000).fee(tx.vsize)


def test_the_psbt_holds_what_signers_check(wallet: Any) -> None:
    for scheme in Scheme:
        account = wallet.account(scheme)
        change = wallet.change(account, 5)
        built = build(wallet, [wallet.coin(account, 900_000, index=3)], 100_000, change=change)
        one = built.psbt.inputs[0]
        segwit = account.script_type.segwit
        taproot = scheme is Scheme.BIP86
        assert (one.witness_utxo is not None) == segwit
        assert (one.non_witness_utxo is not None) == (not taproot)
        assert (one.redeem_script is not None) == (scheme is Scheme.BIP49)
        output = built.psbt.outputs[built.change_index]
        if taproot:
            internal = account.key(0, 3)[1:]
            assert one.tap_internal_key == internal
            assert one.tap_bip32_derivations == {internal: ((), account.key_origin(0, 3))}
            assert output.tap_internal_key == account.key(1, 5)[1:]
            assert output.tap_bip32_derivations == {account.key(1, 5)[1:]: ((), account.key_origin(1, 5))}
        else:
            assert one.bip32_derivations == {account.key(0, 3): account.key_origin(0, 3)}
            assert output.bip32_derivations == {account.key(1, 5): account.key_origin(1, 5)}
            assert (output.redeem_script is not None) == (scheme is Scheme.BIP49)
        assert built.psbt.tx.outputs[built.change_index].script == change.script
        other = EmbitPsbt.parse(built.psbt.serialize())
        assert other.fee() == built.fee
        assert all(place == built.change_index or not one.fields for place, one in enumerate(built.psbt.outputs))


def test_sequence_version_and_locktime(wallet: Any) -> None:
    coins = [wallet.coin(wallet.account(Scheme.BIP84), 900_000)]
    tx = build(wallet, coins, 100_000).psbt.tx
    assert tx.version == 2
    assert {one.sequence for one in tx.inputs} == {SEQUENCE_RBF}
    assert tx.replaceable
    assert 150 < tx.locktime <= 250
    assert build(wallet, coins, 100_000, tip_height=None).psbt.tx.locktime == 0


def test_locktime_is_sometimes_a_little_back() -> None:
    rng = random.Random(1)
    draws = [locktime_against_fee_sniping(800_000, rng) for _ in range(3000)]
    back = [draw for draw in draws if draw != 800_000]
    assert min(draws) >= 800_000 - 99
    assert max(draws) == 800_000
    assert 200 < len(back) < 400
    assert {locktime_against_fee_sniping(5, rng) for _ in range(500)} <= set(range(6))


def test_change_and_payments_are_in_no_fixed_order(wallet: Any) -> None:
    coins = [wallet.coin(wallet.account(Scheme.BIP84), 900_000)]
    places = {build(wallet, coins, 100_000, rng=random.Random(seed)).change_index for seed in range(20)}
    assert places == {0, 1}


def test_immature_coins_are_left_alone(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    mined = wallet.coin(account, 900_000, coinbase=True, height=151)
    assert build(wallet, [mined], 100_000, tip_height=250).coins == (mined,)
    for tip in (249, None):
        with pytest.raises(InsufficientFundsError) as caught:
            build(wallet, [mined], 100_000, tip_height=tip)
        assert caught.value.available == 0


def test_send_max_spends_everything_worth_it(wallet: Any, kernel_verify: Verify) -> None:
    account = wallet.account(Scheme.BIP86)
    coins = [wallet.coin(account, value, index=index) for index, value in enumerate((500, 60_000, 70_000))]
    built = build(wallet, coins, 0, send_max=True)
    assert built.change_index is None
    assert len(built.coins) == 2
    tx = extract(finalize(wallet.sign(built.psbt)))
    kernel_verify(tx, [coin.output for coin in built.coins])
    assert built.fee == RATE.fee(built.vsize)
    two = build_transfer(
        wallet.network,
        coins,
        [(pay(wallet), Sats(20_000)), (pay(wallet, Scheme.BIP44), Sats(0))],
        change=wallet.change(account),
        fee_rate=RATE,
        tip_height=9,
        send_max=True,
    )
    assert two.psbt.tx.outputs[0].value == 20_000
    assert sum(one.value for one in two.psbt.tx.outputs) + two.fee == 130_000
    for amount in (1, 129_900):
        with pytest.raises(InvalidInputError if amount == 1 else InsufficientFundsError):
            build_transfer(
                wallet.network,
                coins,
                [(pay(wallet), Sats(amount)), (pay(wallet), Sats(0))],
                change=wallet.change(account),
                fee_rate=RATE,
                tip_height=9,
                send_max=True,
            )
    with pytest.raises(InvalidInputError):
        build(wallet, coins, 5_000, send_max=True)
    with pytest.raises(InsufficientFundsError):
        build(wallet, coins[:1], 0, send_max=True)


def refused(wallet: Any, code: str, coins: list[Coin] | None = None, **options: Any) -> InvalidInputError:
    account = wallet.account(Scheme.BIP84)
    payments = options.pop("payments", [(pay(wallet), Sats(10_000))])
    options = {"change": wallet.change(account), "fee_rate": RATE, "tip_height": 9, **options}
    with pytest.raises(InvalidInputError) as caught:
        build_transfer(wallet.network, coins or [wallet.coin(account, 900_000)], payments, **options)
    assert caught.value.code == code
    return caught.value


def test_refusals_name_their_cause(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    coin = wallet.coin(account, 900_000)
    refused(wallet, "input.payments", payments=[])
    refused(wallet, "input.amount.dust", payments=[(pay(wallet), Sats(293))])
    refused(wallet, "input.amount.dust", payments=[(pay(wallet, Scheme.BIP44), Sats(545))])
    refused(wallet, "input.amount.dust", payments=[(pay(wallet), Sats(0))])
    refused(wallet, "input.amount.range", payments=[(pay(wallet), Sats(MAX_MONEY)), (pay(wallet), Sats(MAX_MONEY))])
    main = Address.from_text("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", Network.MAIN)
    refused(wallet, "input.address.network", payments=[(main, Sats(10_000))])
    refused(wallet, "input.coin.duplicate", coins=[coin, coin])
    lost = Coin(coin.outpoint, coin.output, coin.key, 1)
    refused(wallet, "input.coin.previous", coins=[lost])
    lying = Coin(coin.outpoint, TxOut(Sats(950_000), coin.output.script), coin.key, 1, previous=coin.previous)
    refused(wallet, "input.coin.previous", coins=[lying])
    other = Coin(OutPoint(Txid(bytes(32)), 0), coin.output, coin.key, 1, previous=coin.previous)
    refused(wallet, "input.coin.previous", coins=[other])
    foreign = Coin(coin.outpoint, coin.output, wallet.key(account, 0, 9), 1, previous=coin.previous)
    refused(wallet, "input.coin.key", coins=[foreign])
    stray = ChangeKey(account.script(1, 1), wallet.key(account, 1, 2))
    refused(wallet, "input.coin.key", change=stray)


def test_insufficient_funds_say_how_much(wallet: Any) -> None:
    coins = [wallet.coin(wallet.account(Scheme.BIP84), 50_000)]
    with pytest.raises(InsufficientFundsError) as caught:
        build(wallet, coins, 50_000)
    assert caught.value.available == 50_000
    assert caught.value.needed == 50_000 + RATE.fee(-(-(42 + 272 + 124) // 4))
    assert f"0.000{caught.value.needed} BTC are needed with the fee and 0.00050000 BTC are available" in str(
        caught.value
    )


def test_insufficient_funds_are_told_also_above_all_the_money_there_is(wallet: Any) -> None:
    coins = [wallet.coin(wallet.account(Scheme.BIP84), 50_000)]
    with pytest.raises(InsufficientFundsError, match=r"^2100000[01]\.\d{8} BTC are needed"):
        build(wallet, coins, 21_000_000 * 100_000_000)


def test_a_selector_that_pays_too_little_is_refused(wallet: Any) -> None:
    class Stingy:
        def select(self, coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate) -> Selection:
            total = sum(coin.output.value for coin in coins)
            return Selection(tuple(coins), Sats(1), Sats(total - target.amount - 1), 0, 0, "stingy")

    refused(wallet, "input.selector", selector=Stingy())


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(1_000, 5_000_000), min_size=1, max_size=8),
    share=st.floats(0.05, 1.0),
    rate=st.sampled_from([0, 1_000, 3_210, 40_000]),
    seed=st.integers(0, 99),
    scheme=st.sampled_from(list(Scheme)),
)
def test_what_is_built_always_adds_up(
    values: list[int], share: float, rate: int, seed: int, scheme: Scheme, wallet: Any
) -> None:
    account = wallet.account(scheme)
    coins = [wallet.coin(account, value, index=index) for index, value in enumerate(values)]
    amount = max(int(sum(values) * share), 600)
    try:
        built = build(
            wallet, coins, amount, fee_rate=FeeRate(rate), rng=random.Random(seed), change=wallet.change(account)
        )
    except InsufficientFundsError:
        return
    tx = built.psbt.tx
    outpoints = [one.outpoint for one in tx.inputs]
    assert len(set(outpoints)) == len(outpoints)
    assert sum(coin.output.value for coin in built.coins) == sum(one.value for one in tx.outputs) + built.fee
    assert sum(one == TxOut(Sats(amount), pay(wallet).script) for one in tx.outputs) >= 1
    assert len(tx.outputs) == 1 + (built.change_index is not None)
    if built.change_index is not None:
        change = tx.outputs[built.change_index]
        assert change.value >= dust_threshold(change.script)
    signed = extract(finalize(wallet.sign(built.psbt), verify=False))
    assert built.fee >= FeeRate(rate).fee(signed.vsize)
    assert built.vsize >= signed.vsize


def test_change_of_another_type_is_allowed(wallet: Any) -> None:
    taproot = wallet.change(wallet.account(Scheme.BIP86))
    built = build(wallet, [wallet.coin(wallet.account(Scheme.BIP44), 900_000)], 100_000, change=taproot)
    assert built.psbt.outputs[built.change_index].tap_internal_key is not None
    assert taproot.key.script_type is ScriptType.P2TR


def test_several_payments_and_data(wallet: Any, kernel_verify: Verify) -> None:
    account = wallet.account(Scheme.BIP84)
    payments = [(pay(wallet, scheme, index), Sats(20_000 + index)) for index, scheme in enumerate(Scheme)]
    coins = [wallet.coin(account, 300_000)]
    options = {"change": wallet.change(account), "fee_rate": RATE, "tip_height": 9, "rng": random.Random(1)}
    built = build_transfer(wallet.network, coins, payments, data=b"hello", **options)
    tx = extract(finalize(wallet.sign(built.psbt)))
    kernel_verify(tx, [coin.output for coin in built.coins])
    others = [one for place, one in enumerate(tx.outputs) if place != built.change_index]
    assert others == [*[TxOut(amount, address.script) for address, amount in payments], TxOut(Sats(0), b"j\x05hello")]
    assert RATE.fee(tx.vsize) <= built.fee <= RATE.fee(tx.vsize + 1)
    only = build_transfer(wallet.network, coins, [], data=b"", **options)
    assert sorted(one.value for one in only.psbt.tx.outputs)[0] == 0
    assert only.fee == RATE.fee(only.vsize)
    with pytest.raises(InvalidInputError):
        build_transfer(wallet.network, coins, [], data=bytes(81), **options)


def test_the_fee_is_taken_from_those_named(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    coins = [wallet.coin(account, value, index=value) for value in (100_000, 60_000, 40_001)]
    payments = [(pay(wallet, index=index), Sats(amount)) for index, amount in enumerate((90_001, 70_000, 40_000))]
    built = build_transfer(
        wallet.network,
        coins,
        payments,
        change=wallet.change(account),
        fee_rate=RATE,
        tip_height=9,
        subtract_fee=(2, 0),
    )
    values = [one.value for one in built.psbt.tx.outputs]
    assert built.change_index is None
    assert built.fee == RATE.fee(built.vsize)
    assert values[1] == 70_000
    assert sum(values) + built.fee == 200_001
    taken = (40_000 - values[2], 90_001 - values[0])
    assert taken[0] - taken[1] in (0, 1)
    some = build(wallet, coins, 50_000, subtract_fee=(0,))
    assert some.change_index is not None
    assert 50_000 - some.psbt.tx.outputs[1 - some.change_index].value == some.fee == RATE.fee(some.vsize)
    refused(wallet, "input.amount.dust", payments=[(pay(wallet), Sats(1_000))], subtract_fee=(0,))
    refused(wallet, "input.payments", subtract_fee=(1,))
    refused(wallet, "input.payments", subtract_fee=(0, 0))
    refused(wallet, "input.payments", payments=[(pay(wallet), Sats(0))], send_max=True, subtract_fee=(0,))


def test_coins_are_fixed_excluded_or_too_young(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    coins = [wallet.coin(account, 100_000, index=at, height=height) for at, height in enumerate((10, 200, 250, None))]
    points = [coin.outpoint for coin in coins]
    assert set(build(wallet, coins, 90_000, fixed=points[3:]).coins) == {coins[3]}
    assert set(build(wallet, coins, 290_000, fixed=points[3:], exclude=points[:1]).coins) == set(coins[1:])
    assert set(build(wallet, coins, 90_000, min_confirmations=100).coins) == {coins[0]}
    assert set(build(wallet, coins, 90_000, min_confirmations=51, exclude=points[:1]).coins) == {coins[1]}
    assert set(build(wallet, coins, 0, send_max=True, exclude=points[:2]).coins) == set(coins[2:])
    for options in ({"min_confirmations": 242}, {"min_confirmations": 1, "exclude": points[:3]}, {"exclude": points}):
        with pytest.raises(InsufficientFundsError):
            build(wallet, coins, 90_000, **options)
    lost = OutPoint(Txid(bytes(32)), 0)
    young = wallet.coin(account, 900_000, coinbase=True, height=200)
    for code, options in (
        ("input.coin.fixed", {"fixed": [lost]}),
        ("input.coin.fixed", {"fixed": points[:1], "exclude": points[:1]}),
        ("input.coin.fixed", {"fixed": [young.outpoint]}),
        ("input.confirmations", {"min_confirmations": 2, "tip_height": None}),
    ):
        refused(wallet, code, coins=[*coins, young], **{"tip_height": 250, **options})


def test_an_explicit_locktime_is_kept(wallet: Any) -> None:
    coins = [wallet.coin(wallet.account(Scheme.BIP84), 900_000)]
    for locktime in (0, 77, 300, 1_800_000_000):
        assert build(wallet, coins, 100_000, locktime=locktime).psbt.tx.locktime == locktime
    mined = wallet.coin(wallet.account(Scheme.BIP84), 900_000, coinbase=True, height=250)
    assert build(wallet, [mined], 100_000, locktime=349).psbt.tx.locktime == 349
    refused(wallet, "input.transaction", locktime=1 << 32)


def test_a_selector_that_forgets_a_fixed_coin_is_refused(wallet: Any) -> None:
    coins = [wallet.coin(wallet.account(Scheme.BIP84), 900_000, index=at) for at in range(2)]

    class Forgetful:
        def select(self, coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate) -> Selection:
            return Selection(tuple(coins), Sats(900_000 - target.amount), Sats(0), 0, 0, "forgetful")

    refused(wallet, "input.selector", coins=coins, fixed=[coins[0].outpoint], selector=Forgetful())
