"""Spending silent payments (BIP-352): a PSBT that names, for each input, the spend key and its tweak (BIP-376)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.build import build_transfer
from bursar.bitcoin.coins import Coin, CoinScript
from bursar.bitcoin.descriptors.spending import Spending
from bursar.bitcoin.draft import BuiltTransfer, ChangeKey
from bursar.bitcoin.psbt.fields import decode_origin, encode_origin
from bursar.bitcoin.script import ScriptType, p2tr
from bursar.bitcoin.units import Sats
from bursar.bitcoin.weight import input_weight
from bursar.crypto.payment_points import check_tweak
from bursar.crypto.secp256k1 import tweak_add_public
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from bursar.bitcoin.address import Address
    from bursar.bitcoin.psbt import Psbt, PsbtInput
    from bursar.bitcoin.transaction import OutPoint, TxOut
    from bursar.bitcoin.units import FeeRate
    from bursar.keys.origin import KeyOrigin

_SPEND_ORIGIN: Final = b"\x1f"
_TWEAK: Final = b"\x20"


@dataclass(frozen=True, slots=True)
class SilentCoin:
    """A silent payment that was found: ``tweak`` and the secret spend key make the key of its output."""

    outpoint: OutPoint
    output: TxOut
    tweak: Secret
    height: int | None = None

    def check_key(self, spend: bytes) -> None:
        """``InvalidInputError`` (``input.coin.key``) unless the output's key is ``spend`` (33 bytes) plus the tweak."""
        tweak = self.tweak.expose()
        check_tweak(tweak)
        if self.output.script != p2tr(tweak_add_public(spend, tweak)[1:]):
            raise InvalidInputError(
                f"coin {self.outpoint} is no silent payment to this spend key: scan its block again",
                code="input.coin.key",
            )


@dataclass(frozen=True, slots=True)
class SilentSpend:
    """What an input says of the silent payment it spends (BIP-376)."""

    spend: bytes
    origin: KeyOrigin
    tweak: Secret


def build_sweep(
    coins: Sequence[SilentCoin],
    to: Address,
    *,
    spend: bytes,
    origin: KeyOrigin,
    fee_rate: FeeRate,
    tip_height: int | None,
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """All of ``coins`` that are worth their fee, less the fee, to one address, as a PSBT of version 2.

    ``spend`` is the public spend key (33 bytes) and ``origin`` where it comes from. Raises what ``build_transfer``
    does, and ``input.coin.key`` for a coin whose key is another.
    """
    if not coins:
        raise InvalidInputError("no silent payment is named: there is nothing to sweep", code="input.payments")
    made = []
    for one in coins:
        one.check_key(spend)
        key = CoinScript(Spending(one.output.script), input_weight(ScriptType.P2TR))
        made.append(Coin(one.outpoint, one.output, key, one.height))
    built = build_transfer(
        to.network,
        made,
        [(to, Sats(0))],
        change=ChangeKey.of(made[0].key),  # none is made: everything is paid
        fee_rate=fee_rate,
        tip_height=tip_height,
        rng=rng,
        send_max=True,
    )
    tweaks = {one.outpoint: one.tweak for one in coins}
    psbt = built.psbt.to_version(2)
    for coin, target in zip(built.coins, psbt.inputs, strict=True):
        target.fields[_SPEND_ORIGIN + spend] = encode_origin(origin)
        target.fields[_TWEAK] = tweaks[coin.outpoint].expose()
    return replace(built, psbt=psbt)


def silent_spend(psbt: Psbt, place: int) -> SilentSpend:
    """What input ``place`` says; ``InvalidInputError`` (``input.psbt.silent-payment``) where it lacks or is malformed.

    Nothing of it is proven: whoever signs compares spend key and tweak with the output spent.
    """
    one: PsbtInput = psbt.inputs[place]
    named = [key for key in one.fields if key[:1] == _SPEND_ORIGIN]
    tweak = one.fields.get(_TWEAK)
    if psbt.version != 2:
        raise _refused("spends of silent payments are told in version 2 (BIP-370): convert it")
    if len(named) != 1 or len(named[0]) != 34 or tweak is None or len(tweak) != 32:
        raise _refused(f"input {place} does not name one spend key and one tweak of a silent payment")
    return SilentSpend(named[0][1:], decode_origin(one.fields[named[0]]), Secret(tweak))


def _refused(why: str) -> InvalidInputError:
    return InvalidInputError(f"psbt refused: {why}", code="input.psbt.silent-payment")
