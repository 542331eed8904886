"""An unsigned transfer as a PSBT: inputs with what signers check, change with its proof, sequence and locktime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import Psbt, PsbtInput
from bursar.bitcoin.timelocks import common_locktime
from bursar.bitcoin.transaction import SEQUENCE_RBF, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.weight import spending_weight
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin, CoinKey, CoinScript


@dataclass(frozen=True, slots=True)
class ChangeKey:
    """Where change goes: the output script and what will spend it."""

    script: bytes
    key: CoinKey | CoinScript

    @classmethod
    def of(cls, key: CoinKey | CoinScript) -> ChangeKey:
        """The output that ``key`` spends."""
        return cls(key.script, key)


@dataclass(frozen=True, slots=True)
class BuiltTransfer:
    """An unsigned transfer; ``coins`` in input order, ``vsize`` the estimate for the signed transaction.

    ``bump`` is the part of the fee that pays for unconfirmed ancestors of the coins.
    """

    psbt: Psbt
    coins: tuple[Coin, ...]
    fee: Sats
    vsize: int
    change_index: int | None
    bump: Sats = Sats(0)  # noqa: RUF009  (immutable)


def locktime_against_fee_sniping(tip_height: int | None, rng: random.Random) -> int:
    """Core's rule: the tip's height, one time in ten up to 99 blocks back; 0 when the tip is unknown or stale."""
    if tip_height is None:
        return 0
    if rng.randrange(10) == 0:
        return max(0, tip_height - rng.randrange(100))
    return tip_height


def draft(
    coins: Sequence[Coin],
    outputs: Sequence[TxOut],
    *,
    change: ChangeKey | None,
    change_index: int | None,
    locktime: int,
    version: int = 2,
    bump: Sats = Sats(0),  # noqa: B008  (immutable)
) -> BuiltTransfer:
    """The PSBT that spends ``coins`` to ``outputs``, replaceable (BIP-125); output ``change_index`` is change.

    A coin's own timelock sets the sequence of its input; where a coin needs a later locktime than ``locktime``, the
    transaction gets that.
    """
    inputs = []
    for coin in coins:
        sequence = coin.key.sequence
        inputs.append(TxIn(coin.outpoint, sequence=SEQUENCE_RBF if sequence is None else sequence))
    psbt = Psbt(Transaction(version, inputs, outputs, common_locktime(coins, locktime)))
    for coin, target in zip(coins, psbt.inputs, strict=True):
        _describe_input(coin, target)
    if change is not None and change_index is not None:
        if change.key.script != change.script:
            raise InvalidInputError(
                "change does not belong to the key it names: its script is another", code="input.coin.key"
            )
        change.key.describe_output(psbt.outputs[change_index])
    weight = spending_weight(coins, [output.script for output in outputs])
    fee = sum([coin.output.value for coin in coins]) - sum([output.value for output in outputs])
    return BuiltTransfer(psbt, tuple(coins), Sats(fee), -(-weight // 4), change_index, bump)


def _describe_input(coin: Coin, target: PsbtInput) -> None:
    key = coin.key
    if not key.taproot:
        previous = coin.previous
        if previous is None:
            raise InvalidInputError(
                f"coin {coin.outpoint} has no previous transaction: signers check the amount against it, fetch it",
                code="input.coin.previous",
            )
        txid, vout = coin.outpoint
        if previous.txid != txid or vout >= len(previous.outputs) or previous.outputs[vout] != coin.output:
            raise InvalidInputError(
                f"coin {coin.outpoint} is not what its previous transaction says: fetch both again",
                code="input.coin.previous",
            )
        target.non_witness_utxo = previous
    if key.segwit:
        target.witness_utxo = coin.output
    key.describe_input(target, coin)
