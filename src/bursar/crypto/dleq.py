"""Proofs that two points share their discrete logarithm (BIP-374): A = a*G and C = a*B, without showing a."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bursar.crypto.curve import ORDER, check_length
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.payment_points import shared_point
from bursar.crypto.points import (
    add_points,
    multiply_point,
    multiply_secret_key,
    negate_point,
    parse_point,
    serialize_point,
)
from bursar.crypto.secp256k1 import check_secret_key, public_key, tweak_add_secret
from bursar.crypto.secret import Secret
from bursar.errors import InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Callable

GENERATOR = public_key((1).to_bytes(32, "big"))
PROOF_SIZE = 64


def prove_equality(
    secret: Secret,
    base: bytes,
    *,
    randomness: bytes | None = None,
    message: bytes = b"",
    generator: bytes = GENERATOR,
) -> tuple[bytes, bytes]:
    """The point ``secret * base`` (33 bytes) and the proof (64 bytes) that it is made with the key of ``secret``.

    ``randomness`` is 32 bytes, fresh when ``None``; ``message`` is empty or 32 bytes that the proof commits to.
    """
    seckey = secret.expose()
    check_secret_key(seckey)
    randomness = os.urandom(32) if randomness is None else randomness
    check_length(randomness, 32, "auxiliary randomness")
    _check_message(message)
    parse_point(base)
    times = _multiplier(generator)
    own, product = times(seckey), shared_point(base, seckey)
    mask = tagged_hash("BIP0374/aux", randomness)
    hidden = bytes([one ^ other for one, other in zip(seckey, mask, strict=True)])
    number = int.from_bytes(tagged_hash("BIP0374/nonce", hidden + own + product + message), "big") % ORDER
    with Secret(number.to_bytes(32, "big")) as nonce:
        check_secret_key(nonce.expose())
        challenge = _challenge(
            own, base, product, generator, times(nonce.expose()), shared_point(base, nonce.expose()), message
        )
        reduced = (int.from_bytes(challenge, "big") % ORDER).to_bytes(32, "big")
        response = tweak_add_secret(nonce.expose(), multiply_secret_key(seckey, reduced))
    proof = challenge + response
    verify_equality(own, base, product, proof, message=message, generator=generator)
    return product, proof


def verify_equality(
    own: bytes, base: bytes, product: bytes, proof: bytes, *, message: bytes = b"", generator: bytes = GENERATOR
) -> None:
    """Raise ``InvalidSignatureError`` unless the proof shows that ``product`` is ``base`` times the secret of ``own``.

    ``InvalidInputError`` for anything that is no compressed public key.
    """
    for point in (own, base, product, generator):
        parse_point(point)
    _check_message(message)
    if type(proof) is not bytes or len(proof) != PROOF_SIZE:
        raise InvalidSignatureError(f"a proof of equal logarithms has {PROOF_SIZE} bytes")
    challenge, response = int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:], "big")
    if response >= ORDER:
        raise _wrong()
    first = _difference(generator, response, own, challenge)
    second = _difference(base, response, product, challenge)
    if first is None or second is None:
        raise _wrong()
    if _challenge(own, base, product, generator, first, second, message) != proof[:32]:
        raise _wrong()


def _multiplier(generator: bytes) -> Callable[[bytes], bytes]:
    """Secret scalars times the generator, in constant time."""
    if generator == GENERATOR:
        return public_key
    parse_point(generator)
    return lambda scalar: shared_point(generator, scalar)


def _difference(plus: bytes, by: int, minus: bytes, times: int) -> bytes | None:
    """by*plus - times*minus, ``None`` for infinity; both factors are public."""
    points: list[Any] = []
    for public, factor, negative in ((plus, by, False), (minus, times % ORDER, True)):
        if not factor:
            continue
        point = parse_point(public)
        multiply_point(point, factor)
        if negative:
            negate_point(point)
        points.append(point)
    total = add_points(points)
    return None if total is None else serialize_point(total)


def _challenge(*parts: bytes) -> bytes:
    return tagged_hash("BIP0374/challenge", b"".join(parts))


def _check_message(message: bytes) -> None:
    if message:
        check_length(message, 32, "the message of a proof")


def _wrong() -> InvalidSignatureError:
    return InvalidSignatureError("the proof of equal logarithms does not hold: distrust the point it came with")
