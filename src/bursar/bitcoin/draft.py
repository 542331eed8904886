"""An unsigned transfer as a PSBT: inputs with what signers check, change with its proof, sequence and locktime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.account import single_key_script
from bursar.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput
from bursar.bitcoin.script import ScriptType, p2wpkh
from bursar.bitcoin.transaction import SEQUENCE_RBF, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.weight import transaction_weight
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin, CoinKey

COINBASE_MATURITY: Final = 100


@dataclass(frozen=True, slots=True)
class ChangeKey:
    """Where change goes: the output script and the key that will spend it."""

    script: bytes
    key: CoinKey


@dataclass(frozen=True, slots=True)
class BuiltTransfer:
    """An unsigned transfer; ``coins`` in input order, ``vsize`` the estimate for the signed transaction."""

    psbt: Psbt
    coins: tuple[Coin, ...]
    fee: Sats
    vsize: int
    change_index: int | None


def locktime_against_fee_sniping(tip_height: int | None, rng: random.Random) -> int:
    """Core's rule: the tip's height, one time in ten up to 99 blocks back; 0 when the tip is unknown or stale."""
    if tip_height is None:
        return 0
    if rng.randrange(10) == 0:
        return max(0, tip_height - rng.randrange(100))
    return tip_height


def is_mature(coin: Coin, tip_height: int | None) -> bool:
    """Whether consensus lets the next block spend it: a coinbase output waits 100 blocks."""
    if not coin.coinbase:
        return True
    return coin.height is not None and tip_height is not None and tip_height + 1 - coin.height >= COINBASE_MATURITY


def refuse_duplicates(coins: Sequence[Coin]) -> None:
    """``InvalidInputError`` (``input.coin.duplicate``) if two coins are the same output."""
    if len({coin.outpoint for coin in coins}) != len(coins):
        raise InvalidInputError("the same coin is listed twice: list each output once", code="input.coin.duplicate")


def draft(
    coins: Sequence[Coin],
    outputs: Sequence[TxOut],
    *,
    change: ChangeKey | None,
    change_index: int | None,
    locktime: int,
    version: int = 2,
) -> BuiltTransfer:
    """The PSBT that spends ``coins`` to ``outputs``, replaceable (BIP-125); output ``change_index`` is change."""
    inputs = [TxIn(coin.outpoint, sequence=SEQUENCE_RBF) for coin in coins]
    psbt = Psbt(Transaction(version, inputs, outputs, locktime))
    for coin, target in zip(coins, psbt.inputs, strict=True):
        _describe_input(coin, target)
    if change is not None and change_index is not None:
        _describe_change(change, psbt.outputs[change_index])
    weight = transaction_weight([coin.key.script_type for coin in coins], [output.script for output in outputs])
    fee = sum([coin.output.value for coin in coins]) - sum([output.value for output in outputs])
    return BuiltTransfer(psbt, tuple(coins), Sats(fee), -(-weight // 4), change_index)


def _check_key(key: CoinKey, script: bytes, what: str) -> None:
    if single_key_script(key.script_type, key.public_key) != script:
        raise InvalidInputError(
            f"{what} does not belong to the key {key.origin}: its script is another", code="input.coin.key"
        )


def _describe_input(coin: Coin, target: PsbtInput) -> None:
    key = coin.key
    kind = key.script_type
    _check_key(key, coin.output.script, f"coin {coin.outpoint}")
    if kind is not ScriptType.P2TR:
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
    if kind.segwit:
        target.witness_utxo = coin.output
    if kind is ScriptType.P2TR:
        internal = key.public_key[1:]
        target.tap_bip32_derivations[internal] = ((), key.origin)
        target.tap_internal_key = internal
        return
    if kind is ScriptType.P2SH_P2WPKH:
        target.redeem_script = p2wpkh(hash160(key.public_key))
    target.bip32_derivations[key.public_key] = key.origin


def _describe_change(change: ChangeKey, target: PsbtOutput) -> None:
    key = change.key
    _check_key(key, change.script, "change")
    if key.script_type is ScriptType.P2TR:
        internal = key.public_key[1:]
        target.tap_internal_key = internal
        target.tap_bip32_derivations[internal] = ((), key.origin)
        return
    if key.script_type is ScriptType.P2SH_P2WPKH:
        target.redeem_script = p2wpkh(hash160(key.public_key))
    target.bip32_derivations[key.public_key] = key.origin
