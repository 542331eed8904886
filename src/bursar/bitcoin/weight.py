"""How heavy inputs and outputs are before they are signed (BIP-141 weight units)."""

# ECDSA signatures are counted at 72 bytes: 71 of DER, as a low-S signature with a high R has, and the hash type. A
# signer that grinds a low R makes 71 of them, so a transaction is never heavier than estimated, and at most one unit
# per segwit input (four per legacy input) lighter, two where R is a byte shorter still. Taproot signatures are 64
# bytes (hash type DEFAULT).

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.wire import compact_size
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ECDSA_BYTES: Final = 72
_BARE_INPUT: Final = 4 * (32 + 4 + 1 + 4)
_KEY_WITNESS: Final = 1 + 1 + ECDSA_BYTES + 1 + 33

INPUT_WEIGHTS: Final = {
    ScriptType.P2PKH: _BARE_INPUT + 4 * (1 + ECDSA_BYTES + 1 + 33),
    ScriptType.P2SH_P2WPKH: _BARE_INPUT + 4 * 23 + _KEY_WITNESS,
    ScriptType.P2WPKH: _BARE_INPUT + _KEY_WITNESS,
    ScriptType.P2TR: _BARE_INPUT + 1 + 1 + 64,
}


def input_weight(script_type: ScriptType) -> int:
    """The weight of a signed input; without the one unit a legacy input costs among segwit ones."""
    try:
        return INPUT_WEIGHTS[script_type]
    except KeyError:
        raise InvalidInputError(
            f"the size of a {script_type.value} input is not known: only single-key types are spent",
            code="input.script",
        ) from None


def output_weight(script: bytes) -> int:
    """The weight of an output."""
    return 4 * (8 + len(compact_size(len(script))) + len(script))


def frame_weight(inputs: int, outputs: int, *, segwit: bool) -> int:
    """Version, locktime, counts, and the two units of the segwit marker."""
    return 4 * (8 + len(compact_size(inputs)) + len(compact_size(outputs))) + (2 if segwit else 0)


def transaction_weight(inputs: Sequence[ScriptType], outputs: Sequence[bytes]) -> int:
    """The estimated weight of a signed transaction from its input types and output scripts."""
    segwit = any(kind.segwit for kind in inputs)
    legacy = sum([not kind.segwit for kind in inputs]) if segwit else 0
    return (
        frame_weight(len(inputs), len(outputs), segwit=segwit)
        + sum([input_weight(kind) for kind in inputs])
        + legacy
        + sum([output_weight(script) for script in outputs])
    )


class Weighed(Protocol):
    """Anything that knows what spending it weighs: a coin."""

    @property
    def input_weight(self) -> int: ...

    @property
    def segwit(self) -> bool: ...


def spending_weight(coins: Sequence[Weighed], outputs: Iterable[bytes]) -> int:
    """The estimated weight of a signed transaction that spends ``coins`` to output scripts."""
    scripts = list(outputs)
    legacy = [coin.segwit for coin in coins].count(False)
    segwit = legacy < len(coins)
    return (
        frame_weight(len(coins), len(scripts), segwit=segwit)
        + sum([coin.input_weight for coin in coins])
        + (legacy if segwit else 0)
        + sum([output_weight(script) for script in scripts])
    )
