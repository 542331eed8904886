"""What a transaction's inputs say to a silent payment's receiver (BIP-352, inputs for shared secret derivation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.script import ScriptType, classify
from bursar.crypto.hashes import hash160, tagged_hash
from bursar.crypto.payment_points import check_tweak
from bursar.crypto.points import add_points, multiply_point, parse_point, serialize_point
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bursar.bitcoin.transaction import OutPoint, Transaction

UNSPENDABLE_KEY: Final = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
"""BIP-341's point whose secret nobody knows."""
_ANNEX: Final = 0x50


@dataclass(frozen=True, slots=True)
class PublicInputs:
    """The sum of the inputs' public keys (33 bytes) and the hash that ties it to their smallest outpoint (32 bytes)."""

    key: bytes
    hash: bytes

    @property
    def tweak(self) -> bytes:
        """The tweak data (33 bytes), hash times key: all a receiver needs of the inputs, and what indexes serve."""
        point = parse_point(self.key)
        multiply_point(point, int.from_bytes(self.hash, "big"))
        return serialize_point(point)


def input_hash(outpoints: Iterable[OutPoint], key: bytes) -> bytes:
    """The hash of the smallest outpoint, as serialised, and the sum of the inputs' public keys (32 bytes)."""
    smallest = min([txid + vout.to_bytes(4, "little") for txid, vout in outpoints])
    value = tagged_hash("BIP0352/Inputs", smallest + key)
    check_tweak(value)
    return value


def input_key(script: bytes, script_sig: bytes, witness: Sequence[bytes]) -> bytes | None:
    """The public key (33 bytes) of an input that spends ``script``, or ``None`` if it takes no part."""
    kind = classify(script)
    if kind is ScriptType.P2TR:
        return _taproot_key(script, witness)
    if kind is ScriptType.P2PKH:
        return _key_in(script_sig, script[3:23])
    if kind is ScriptType.P2SH:
        if len(script_sig) != 23 or script_sig[:3] != b"\x16\x00\x14" or hash160(script_sig[1:]) != script[2:22]:
            return None
    elif kind is not ScriptType.P2WPKH:
        return None
    last = witness[-1] if witness else b""
    return last if len(last) == 33 and last[0] in (2, 3) else None


def _taproot_key(script: bytes, witness: Sequence[bytes]) -> bytes | None:
    if not witness:
        return None
    items = len(witness)
    if items > 1 and witness[-1][:1] == bytes((_ANNEX,)):
        items -= 1
    if items > 1 and witness[items - 1][1:33] == UNSPENDABLE_KEY:
        return None
    return b"\x02" + script[2:]


def _key_in(script_sig: bytes, key_hash: bytes) -> bytes | None:
    """The last compressed key of that hash, wherever it stands: others may have put more into the script signature."""
    for end in range(len(script_sig), 32, -1):
        if script_sig[end - 33] in (2, 3):
            key = script_sig[end - 33 : end]
            if hash160(key) == key_hash:
                return key
    return None


def is_future_segwit(script: bytes) -> bool:
    """Whether it is a witness program of a version above 1: no input of a version 0 silent payment may spend one."""
    return 4 <= len(script) <= 42 and 0x52 <= script[0] <= 0x60 and script[1] == len(script) - 2


def public_inputs(tx: Transaction, spent: Sequence[bytes]) -> PublicInputs | None:
    """What ``tx`` tells receivers, or ``None`` if it cannot hold a silent payment.

    ``spent`` are the output scripts its inputs spend, in order; ``InvalidInputError`` if their number differs.
    """
    found = point_and_hash(tx, spent)
    return None if found is None else PublicInputs(serialize_point(found[0]), found[1])


def point_and_hash(tx: Transaction, spent: Sequence[bytes]) -> tuple[Any, bytes] | None:
    """As :func:`public_inputs`, the sum as a point of the library."""
    if len(spent) != len(tx.inputs):
        raise InvalidInputError(
            f"the scripts spent by all {len(tx.inputs)} inputs are needed, not {len(spent)}", code="input.transaction"
        )
    if not any(output.script[:2] == b"\x51\x20" and len(output.script) == 34 for output in tx.outputs):
        return None
    if any(map(is_future_segwit, spent)):
        return None
    points = []
    for script, (_, script_sig, _, witness) in zip(spent, tx.inputs, strict=True):
        key = input_key(script, script_sig, witness)
        if key is not None:
            try:
                points.append(parse_point(key))
            except InvalidInputError:
                continue  # no such point: nobody can have spent with it
    total = points[0] if len(points) == 1 else add_points(points)
    if total is None:
        return None
    return total, input_hash([one.outpoint for one in tx.inputs], serialize_point(total))
