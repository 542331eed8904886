"""Coin selection: a transfer of one percent of all coins, timed between two of a peer's; waste beside time."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pairing import Measured
from peers import load
from workload import bitcoin_account

from bursar.bitcoin.address import Address
from bursar.bitcoin.build import ChangeKey, build_transfer
from bursar.bitcoin.coins import LONG_TERM_RATE, Coin, CoinKey, Target
from bursar.bitcoin.network import Network
from bursar.bitcoin.selection import select
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.bitcoin.weight import output_weight, spending_weight
from bursar.keys.scheme import Scheme

SIZES, RATES, TARGET = (10_000, 100_000), (5_000, 12_500, 40_000), 0.5
CURVE = (1_000, 10_000, 100_000, 1_000_000)
PAYEE = Address.from_text("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", Network.MAIN)
ACCOUNT = bitcoin_account(Scheme.BIP86)


@dataclass(frozen=True)
class Answer:
    """What a selection cost: nanoseconds, and Core's waste in satoshi."""

    ns: int
    waste: int


def clock(run: Callable[[], object]) -> tuple[int, object]:
    """Nanoseconds of this thread on a processor: both sides use one, and other programs do not count."""
    gc.collect()
    start = time.thread_time_ns()
    produced = run()
    return time.thread_time_ns() - start, produced


def key(branch: int, index: int) -> CoinKey:
    return CoinKey(ACCOUNT.key(branch, index), ACCOUNT.key_origin(branch, index), ACCOUNT.script_type)


class Coins:
    """``count`` taproot coins of one previous transaction, amounts spread evenly; one percent of them is paid.

    Of a million coins it is a thousandth: a hundredth would be heavier than nodes relay.
    """

    def __init__(self, count: int) -> None:
        rng = random.Random(7)
        script, owner = ACCOUNT.script(0, 0), key(0, 0)
        outputs = [TxOut(Sats(rng.randrange(1_000, 10**7)), script) for _ in range(count)]
        self.previous = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0), witness=(b"x",))], outputs)
        txid = self.previous.txid
        self.coins = [Coin(OutPoint(txid, vout), output, owner, 100) for vout, output in enumerate(outputs)]
        self.amount = Sats(sum([output.value for output in outputs]) // max(100, count // 1000))
        self.change = ChangeKey.of(key(1, 0))
        self.target = Target(self.amount, (PAYEE.script,), self.change.script, self.change.key.input_weight)

    def waste(self, inputs: int, fee: int, rate: int, *, change: bool) -> int:
        """By one formula for everybody, from what a transaction shows."""
        outputs = [PAYEE.script, *([self.change.script] if change else [])]
        vsize = -(-spending_weight(self.coins[:inputs], outputs) // 4)
        each = self.coins[0].input_weight
        total = inputs * each * (rate - LONG_TERM_RATE.sat_per_kvb)
        if change:
            total += output_weight(self.change.script) * rate + each * LONG_TERM_RATE.sat_per_kvb
        return total // 4000 + fee - int(FeeRate(rate).fee(vsize))


def bursar(coins: Coins) -> Callable[[int], Answer]:
    def transfer(rate: int) -> Answer:
        taken, built = clock(
            lambda: build_transfer(
                Network.MAIN,
                coins.coins,
                [(PAYEE, coins.amount)],
                change=coins.change,
                fee_rate=FeeRate(rate),
                tip_height=900_000,
            )
        )
        one: Any = built
        return Answer(taken, coins.waste(len(one.coins), one.fee, rate, change=one.change_index is not None))

    return transfer


def bursar_alone(coins: Coins) -> Callable[[int], Answer]:
    def choose(rate: int) -> Answer:
        taken, found = clock(lambda: select(coins.coins, target=coins.target, fee_rate=FeeRate(rate)))
        one: Any = found
        return Answer(taken, one.waste)

    return choose


def bdkpython(coins: Coins) -> Callable[[int], Answer] | None:
    """`TxBuilder.finish`, which ends in a PSBT as `build_transfer` does."""
    b: Any = load("bdkpython")
    if b is None:
        return None
    texts = [ACCOUNT.descriptor(branch).partition("#")[0] for branch in (0, 1)]
    external, internal = [b.Descriptor(text, b.NetworkKind.MAIN) for text in texts]
    wallet = b.Wallet(external, internal, b.Network.BITCOIN, b.Persister.new_in_memory())
    wallet.reveal_next_address(b.KeychainKind.EXTERNAL)
    wallet.apply_unconfirmed_txs([b.UnconfirmedTx(tx=b.Transaction(coins.previous.serialize()), last_seen=1)])
    payee = b.Address(PAYEE.text, b.Network.BITCOIN).script_pubkey()

    def transfer(rate: int) -> Answer:
        taken, psbt = clock(
            lambda: (
                b.TxBuilder()
                .add_recipient(payee, b.Amount.from_sat(int(coins.amount)))
                .fee_rate(b.FeeRate.from_sat_per_kwu(rate // 4))
                .only_witness_utxo()
                .finish(wallet)
            )
        )
        one: Any = psbt
        tx = one.extract_tx()
        return Answer(taken, coins.waste(len(tx.input()), one.fee(), rate, change=len(tx.output()) > 1))

    return transfer


def btclib_wallet(coins: Coins) -> Callable[[int], Answer] | None:
    """`select_coins`, which ends in a selection as `select` does."""
    if load("btclib_wallet") is None or len(coins.coins) > SIZES[0]:
        return None  # seconds for a hundred thousand
    selection: Any = load("btclib_wallet.coin_selection")
    fee: Any = load("btclib.fee")
    tx: Any = load("btclib.tx")
    script = coins.coins[0].output.script
    candidates = [
        selection.Candidate(
            tx.OutPoint(bytes(coin.outpoint.txid)[::-1], coin.outpoint.vout),
            tx.TxOut(int(coin.output.value), script),
            coin.input_weight,
        )
        for coin in coins.coins
    ]
    outputs = [tx.TxOut(int(coins.amount), PAYEE.script)]

    def choose(rate: int) -> Answer:
        taken, found = clock(
            lambda: selection.select_coins(
                candidates,
                outputs,
                fee.FeeRate(sats_per_kvbyte=rate),
                fee.FeeRate(sats_per_kvbyte=LONG_TERM_RATE.sat_per_kvb),
                coins.change.script,
                coins.change.key.input_weight,
            )
        )
        one: Any = found
        return Answer(taken, one.waste)

    return choose


def compared(
    name: str, mine: Callable[[int], Answer], peer: Callable[[int], Answer], rate: int, rounds: int
) -> Measured:
    """The median of ours over the mean of the peer's before and behind it."""
    ratios, times, ours, theirs = [], [], [], []
    mine(rate)
    before = peer(rate)
    for _ in range(rounds):
        own, after = mine(rate), peer(rate)
        ratios.append(2 * own.ns / (before.ns + after.ns))
        times.append((before.ns + after.ns) / 2)
        ours.append(own.waste)
        theirs.append(after.waste)
        before = after
    waste, other = int(statistics.median(ours)), int(statistics.median(theirs))
    judged = "no worse" if waste <= other else "WORSE"
    note = f"peer {statistics.median(times) / 1e6:,.1f} ms; waste {waste:,} and {other:,} sat: {judged}"
    return Measured(name, statistics.median(ratios), min(ratios), max(ratios), statistics.median(times), TARGET, note)


def rows(rounds: int) -> list[Measured]:
    found = []
    for size in SIZES:
        coins = Coins(size)
        for peer_name, peer, mine in (
            ("bdkpython", bdkpython(coins), bursar(coins)),
            ("btclib-wallet", btclib_wallet(coins), bursar_alone(coins)),
        ):
            if peer is None:
                print(f"  {peer_name} is not measured here")
                continue
            for rate in RATES:
                name = f"{size:,} coins at {FeeRate(rate)}, over {peer_name}"
                found.append(compared(name, mine, peer, rate, rounds))
    return found


def curve(rounds: int) -> list[tuple[int, float, float]]:
    """Coins, and the median milliseconds of a selection and of a whole transfer at 12.5 sat/vB."""
    points = []
    for size in CURVE:
        coins = Coins(size)
        alone, whole = bursar_alone(coins), bursar(coins)
        times = [
            statistics.median([one(12_500).ns for _ in range(min(rounds, 3) if size > SIZES[1] else rounds)]) / 1e6
            for one in (alone, whole)
        ]
        points.append((size, times[0], times[1]))
    return points


if __name__ == "__main__":
    for measured in rows(7):
        print(f"{measured.name:<52}{measured.ratio:6.2f}  ({measured.low:.2f}-{measured.high:.2f})  {measured.note}")
    for size, alone, whole in curve(5):
        print(f"{size:>9,} coins: selection {alone:9.2f} ms, transfer {whole:9.2f} ms")
