"""Coins and targets made up for selection, and what must hold for every answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bursar.bitcoin import script as s
from bursar.bitcoin.coins import LONG_TERM_RATE, Coin, CoinKey, Selection, Target
from bursar.bitcoin.package import AncestorPackage, lack_of
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.transaction import OutPoint, Txid, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.bitcoin.weight import output_weight, spending_weight
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

ORIGIN = KeyOrigin(Fingerprint(bytes(4)), DerivationPath())
KINDS = (ScriptType.P2WPKH, ScriptType.P2PKH, ScriptType.P2SH_P2WPKH, ScriptType.P2TR)
KEYS = {kind: CoinKey(b"\x02" * 33, ORIGIN, kind) for kind in KINDS}


def _script(kind: ScriptType, number: int) -> bytes:
    data = number.to_bytes(20, "big")
    if kind is ScriptType.P2PKH:
        return s.p2pkh(data)
    if kind is ScriptType.P2SH_P2WPKH:
        return s.p2sh(data)
    return s.p2wpkh(data) if kind is ScriptType.P2WPKH else s.p2tr(data + bytes(12))


def make(
    values: Sequence[int],
    kinds: Sequence[ScriptType] | None = None,
    *,
    scripts: Sequence[int] | None = None,
    heights: Sequence[int | None] | None = None,
    txids: Sequence[Txid] | None = None,
    packages: Sequence[AncestorPackage | None] | None = None,
) -> list[Coin]:
    coins = []
    for number, value in enumerate(values):
        kind = KINDS[0] if kinds is None else kinds[number]
        txid = Txid(number.to_bytes(32, "big")) if txids is None else txids[number]
        script = _script(kind, number if scripts is None else scripts[number])
        coins.append(
            Coin(
                OutPoint(txid, number),
                TxOut(Sats(value), script),
                KEYS[kind],
                1 if heights is None else heights[number],
                package=None if packages is None else packages[number],
            )
        )
    return coins


def aim(amount: int, *, change: ScriptType = ScriptType.P2WPKH, outputs: int = 1, **options: object) -> Target:
    return Target(Sats(amount), (s.p2tr(bytes(32)),) * outputs, _script(change, 0), **options)  # type: ignore[arg-type]


def verify(selection: Selection, coins: Sequence[Coin], target: Target, rate: FeeRate) -> None:
    """What must hold for every selection, whatever made it."""
    chosen = [coin.outpoint for coin in selection.coins]
    assert len(set(chosen)) == len(chosen) > 0
    assert set(chosen) <= {coin.outpoint for coin in coins} | {coin.outpoint for coin in target.fixed}
    assert {coin.outpoint for coin in target.fixed} <= set(chosen)
    total = sum(coin.output.value for coin in selection.coins)
    outputs = [*target.outputs, *([target.change_script] if selection.change else [])]
    assert selection.weight == spending_weight(selection.coins, outputs) <= target.max_weight
    lack = lack_of(selection.coins, rate)
    vsize = -(-selection.weight // 4)
    assert selection.bump == -(-lack // 1000)
    assert selection.fee * 1000 >= vsize * rate.sat_per_kvb + lack
    excess = selection.fee - -(-(vsize * rate.sat_per_kvb + lack) // 1000)
    if target.fee_included:
        assert total - selection.change >= target.amount
    else:
        assert total == target.amount + selection.fee + selection.change
    change_cost = output_weight(target.change_script) * rate.sat_per_kvb
    if selection.change:
        assert selection.change >= max(s.dust_threshold(target.change_script), target.min_change)
        assert excess == 0
    else:
        assert excess < -(-change_cost // 4000) + 9 * rate.sat_per_kvb // 1000 + target.min_change + 1
    weight = sum(coin.input_weight for coin in selection.coins)
    waste = weight * (rate.sat_per_kvb - LONG_TERM_RATE.sat_per_kvb) + 4 * lack
    if selection.change:
        waste += change_cost + target.change_spend_weight * LONG_TERM_RATE.sat_per_kvb
    assert selection.waste == waste // 4000 + excess


@pytest.fixture(scope="session")
def made() -> Callable[..., list[Coin]]:
    return make


@pytest.fixture(scope="session")
def wanted() -> Callable[..., Target]:
    return aim


@pytest.fixture(scope="session")
def check() -> Callable[[Selection, Sequence[Coin], Target, FeeRate], None]:
    return verify
