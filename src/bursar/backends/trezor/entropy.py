"""Making keys on a Trezor with randomness of both sides, and its proof, round by round, that it used ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bursar.backends.trezor.exchange import Exchange, expect, one
from bursar.backends.trezor.public_keys import public_key
from bursar.errors import SignerMisbehavedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath

if TYPE_CHECKING:
    from bursar.keys.bip32 import ExtendedPublicKey

Keys = Mapping[DerivationPath, "ExtendedPublicKey"]

PATHS = tuple(map(DerivationPath.from_text, ("m/84h/0h/0h", "m/44h/60h/0h")))
FEWEST_ROUNDS, MOST_ROUNDS = 2, 8
_BYTES = 32


def reset(
    messages: Any, request: Any, *, rounds: int, random: Callable[[int], bytes] = secrets.token_bytes
) -> Exchange[Keys]:
    """Run ``request`` (a ``ResetDevice``); with ``rounds`` each throws away a seed that the device proved.

    Returns the extended keys of the seed that was kept, none without rounds. ``SignerMisbehavedError`` when a proof
    fails: what the device made is not to be used.
    """
    asked = yield from one(request, messages.EntropyRequest)
    if not request.entropy_check:
        yield from one(messages.EntropyAck(entropy=random(_BYTES)), messages.Success)
        return {}
    while True:
        ours = random(_BYTES)
        yield from one(messages.EntropyAck(entropy=ours), messages.EntropyCheckReady)
        keys = yield from public_keys(messages)
        if rounds == 0:
            yield from one(messages.EntropyCheckContinue(finish=True), messages.Success)
            return keys
        rounds -= 1
        commitment = asked.entropy_commitment
        asked = expect((yield messages.EntropyCheckContinue(finish=False)), messages.EntropyRequest)
        check_round(commitment, asked.prev_entropy, ours, keys, strength=request.strength)


def public_keys(messages: Any) -> Exchange[Keys]:
    """The extended keys that tell one seed from another: the first accounts of Bitcoin and Ethereum."""
    keys: dict[DerivationPath, ExtendedPublicKey] = {}
    for path in PATHS:
        keys[path] = yield from public_key(messages, path)
    return keys


def check_round(commitment: bytes | None, theirs: bytes | None, ours: bytes, keys: Keys, *, strength: int) -> None:
    """Whether the seed of ``keys`` was made of the randomness committed to before ours was known, and of ours."""
    if commitment is None or theirs is None:
        raise _unproved("it revealed nothing")
    if not hmac.compare_digest(hmac.new(theirs, b"", hashlib.sha256).digest(), commitment):
        raise _unproved("its randomness is not what it had committed to")
    entropy = hashlib.sha256(theirs + ours).digest()[: strength // 8]
    with Mnemonic(entropy) as words, words.to_seed() as seed, ExtendedPrivateKey.from_seed(seed) as root:
        for path, key in keys.items():
            with root.derive(path) as derived:
                if derived.public() != key:
                    raise _unproved(f"its key at {path} is of another seed")


def _unproved(reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(
        f"the trezor did not prove that it used this computer's randomness ({reason}): use no keys of it, wipe it and "
        "ask its vendor"
    )
