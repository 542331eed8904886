"""Sending silent payments (BIP-352): the output scripts that a transaction's own inputs give its recipients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.script import ScriptType, classify, p2sh, p2tr, p2wpkh
from bursar.bitcoin.silent_payments.inputs import input_hash, is_future_segwit
from bursar.crypto.hashes import hash160
from bursar.crypto.payment_points import SpendPoint, payment_tweak, shared_point
from bursar.crypto.points import add_secret_keys, multiply_secret_key, negate_secret_key
from bursar.crypto.secp256k1 import public_key, uncompressed
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.silent_payments.address import SilentPaymentAddress
    from bursar.bitcoin.transaction import OutPoint

MOST: Final = 2323
"""Outputs for one scan key in one transaction: receivers look no further."""

_KEYED: Final = frozenset({ScriptType.P2TR, ScriptType.P2WPKH, ScriptType.P2PKH})


@dataclass(frozen=True, slots=True)
class PayingInput:
    """An input of the transaction to be: the ``script`` it spends and the secret key of that very output.

    For taproot ``secret`` is that of the output key (tweaked). It is ``None`` where the script has no single key
    (multisig, P2WSH), and for taproot outputs whose internal key is BIP-341's unspendable one, marked so.
    """

    outpoint: OutPoint
    script: bytes
    secret: Secret | None = None
    unspendable_key: bool = False

    def contribution(self) -> Secret | None:
        """Its part of the shared secret, or ``None``; ``InvalidInputError`` if the key is missing or another's.

        A payment made with a wrong key would never be found.
        """
        if is_future_segwit(self.script):
            raise _refused(f"input {self.outpoint} spends a segwit version that silent payments do not know")
        kind = classify(self.script)
        if self.secret is None:
            if (kind in _KEYED and not self.unspendable_key) or (kind is not ScriptType.P2TR and self.unspendable_key):
                raise _refused(f"input {self.outpoint} is spent with one key, which is needed here")
            return None
        seckey = self.secret.expose()
        key = public_key(seckey)
        if kind is ScriptType.P2TR and not self.unspendable_key and key[1:] == self.script[2:]:
            return Secret(negate_secret_key(seckey) if key[0] == 3 else seckey)
        if kind in (ScriptType.P2PKH, ScriptType.P2WPKH):
            wanted = self.script[3:23] if kind is ScriptType.P2PKH else self.script[2:]
            if hash160(key) == wanted:
                return Secret(seckey)
            if hash160(uncompressed(key)) == wanted:
                return None  # keys in their long form take no part
        if kind is ScriptType.P2SH and p2sh(hash160(p2wpkh(hash160(key)))) == self.script:
            return Secret(seckey)
        raise _refused(f"the secret key given for input {self.outpoint} is not its output's")


def send_outputs(inputs: Sequence[PayingInput], recipients: Sequence[SilentPaymentAddress]) -> tuple[bytes, ...]:
    """The output script for each recipient, in their order; an address may stand there several times.

    ``inputs`` are all inputs of the transaction. It must then be signed with exactly these inputs (hash type ALL or
    DEFAULT) and hold all these outputs, or the payments are lost. ``InvalidInputError`` (``input.silent-payment``) if
    no input takes part, keys are missing or wrong, or more than 2323 payments share a scan key.
    """
    groups = Counter([one.scan for one in recipients])
    if groups and max(groups.values()) > MOST:
        raise _refused(f"{max(groups.values())} payments to one scan key are more than the {MOST} its owner looks for")
    with total_secret(inputs) as secret:
        factor = input_hash([one.outpoint for one in inputs], public_key(secret.expose()))
        with Secret(multiply_secret_key(secret.expose(), factor)) as tweaked:
            return _outputs(tweaked, recipients)


def total_secret(inputs: Sequence[PayingInput]) -> Secret:
    """The sum of the secret keys that take part; ``InvalidInputError`` where there is none."""
    outpoints = [one.outpoint for one in inputs]
    if len(set(outpoints)) != len(outpoints):
        raise _refused("an outpoint stands there twice")
    parts = [part for part in [one.contribution() for one in inputs] if part is not None]
    if not parts:
        raise _refused("no input is spent with a single compressed key (P2TR, P2WPKH, P2SH-P2WPKH or P2PKH)")
    try:
        total = add_secret_keys([part.expose() for part in parts])
    finally:
        for part in parts:
            part.wipe()
    if total is None:
        raise _refused("the inputs' keys cancel out: choose others")
    return Secret(total)


def _outputs(tweaked: Secret, recipients: Sequence[SilentPaymentAddress]) -> tuple[bytes, ...]:
    shared: dict[bytes, bytes] = {}
    numbers: Counter[bytes] = Counter()
    scripts = []
    for one in recipients:
        if one.scan not in shared:
            shared[one.scan] = shared_point(one.scan, tweaked.expose())
        tweak = payment_tweak(shared[one.scan], numbers[one.scan])
        numbers[one.scan] += 1
        scripts.append(p2tr(SpendPoint(one.spend).key(tweak)[1:]))
    return tuple(scripts)


def _refused(why: str) -> InvalidInputError:
    return InvalidInputError(f"no silent payment can be made: {why}", code="input.silent-payment")
