"""MuSig2 sessions (BIP-327): partial signatures, their verification that names a cheater, and their sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.crypto.curve import ORDER, check_length
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.musig2_nonce import PUBLIC_NONCE_SIZE as PUBLIC_NONCE_SIZE
from bursar.crypto.musig2_nonce import SecretNonce as SecretNonce
from bursar.crypto.musig2_nonce import aggregate_nonces, blind, scalars_of, secret_nonce
from bursar.crypto.musig2_nonce import generate_nonce as generate_nonce
from bursar.crypto.points import (
    INFINITY,
    add_points,
    base_point,
    multiply_point,
    negate_point,
    parse_point,
    serialize_point,
)
from bursar.crypto.secp256k1 import check_secret_key, context, ffi, lib, public_key, wipe_buffer
from bursar.errors import InvalidContributionError, InvalidInputError, InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.crypto.key_aggregation import AggregateKey
    from bursar.crypto.secret import Secret

_GENERATOR = public_key((1).to_bytes(32, "big"))


class MusigSession:
    """One message to be signed under one aggregate key with one set of nonces.

    ``aggregate`` carries its tweaks; ``nonces`` are the cosigners' public ones in the order of ``aggregate.keys``, or
    ``aggregate_nonce`` (66 bytes) their sum, with which nobody can be named who cheats. ``InvalidContributionError``
    says who sent a malformed nonce.
    """

    __slots__ = ("_binder", "_challenge", "_flip", "aggregate", "aggregate_nonce", "final_nonce", "message", "nonces")

    def __init__(
        self,
        aggregate: AggregateKey,
        message: bytes,
        *,
        nonces: Sequence[bytes] | None = None,
        aggregate_nonce: bytes | None = None,
    ) -> None:
        if (nonces is None) == (aggregate_nonce is None):
            raise InvalidInputError("a session needs the cosigners' nonces or their aggregate, and not both")
        if nonces is not None and len(nonces) != len(aggregate.keys):
            raise InvalidInputError(
                f"{len(aggregate.keys)} cosigners need as many nonces, not {len(nonces)}: one each, in their order"
            )
        self.aggregate = aggregate
        self.message = message
        self.nonces = None if nonces is None else tuple(nonces)
        self.aggregate_nonce = aggregate_nonces(nonces) if nonces is not None else aggregate_nonce or b""
        if len(self.aggregate_nonce) != PUBLIC_NONCE_SIZE:
            raise _bad_aggregate("aggregate nonce")
        self._binder = (
            int.from_bytes(tagged_hash("MuSig/noncecoef", self.aggregate_nonce + aggregate.x_only + message), "big")
            % ORDER
        )
        self.final_nonce = self._combined(self.aggregate_nonce)
        self._flip = self.final_nonce[0] == 3
        self._challenge = (
            int.from_bytes(
                tagged_hash("BIP0340/challenge", self.final_nonce[1:] + aggregate.x_only + message),
                "big",
            )
            % ORDER
        )

    def _combined(self, nonce: bytes) -> bytes:
        """First half plus binder times second half (33 bytes); the generator where that is infinity."""
        first, second = nonce[:33], nonce[33:]
        points = []
        try:
            if first != INFINITY:
                points.append(parse_point(first))
            if second != INFINITY:
                point = parse_point(second)
                multiply_point(point, self._binder)
                points.append(point)
        except InvalidInputError as error:
            raise _bad_aggregate("aggregate nonce") from error
        total = add_points(points)
        return _GENERATOR if total is None else serialize_point(total)

    def _factor(self, key: bytes) -> int:
        """What the secret behind ``key`` is multiplied by in its partial signature."""
        sign = self.aggregate.sign * (-1 if self.aggregate.key[0] == 3 else 1)
        return sign * self._challenge * self.aggregate.coefficient(key) % ORDER

    def sign(self, secret: Secret, nonce: SecretNonce) -> bytes:
        """The partial signature (32 bytes) of the cosigner with ``secret``, checked; ``nonce`` is gone after it.

        ``InvalidInputError`` before the nonce is touched if it was made for another key or session, or if the key is
        none of the cosigners'; and if the nonce was used.
        """
        seckey = secret.expose()
        check_secret_key(seckey)
        public = public_key(seckey)
        if public != nonce.public_key:
            raise InvalidInputError("the nonce was made for another public key than this secret key's")
        nonce.check(self.aggregate, self.message)
        factor = self._factor(public)
        if self.nonces is not None and nonce.public not in self.nonces:
            raise InvalidInputError("the nonce is none of this session's: its public half was not sent")
        partial = self._partial(seckey, nonce.take(), factor)
        if not self._holds(partial, nonce.public, public):
            raise InvalidSignatureError("the partial signature does not verify: this machine computes wrongly")
        return partial

    def _partial(self, seckey: bytes, scalars: Any, factor: int) -> bytes:
        """(k1 + binder*k2), negated if the final nonce is odd, plus factor*seckey: in the library's constant time."""
        key = ffi.new("unsigned char[32]", seckey)
        first, second = scalars, scalars + 32
        try:
            done = (
                lib.secp256k1_ec_seckey_tweak_mul(context, second, self._binder.to_bytes(32, "big"))
                and lib.secp256k1_ec_seckey_tweak_add(context, first, second)
                and (not self._flip or lib.secp256k1_ec_seckey_negate(context, first))
                and lib.secp256k1_ec_seckey_tweak_mul(context, key, factor.to_bytes(32, "big"))
                and lib.secp256k1_ec_seckey_tweak_add(context, first, key)
            )
            if not done:  # a zero among hashes, or a sum of zero
                raise InvalidInputError("this session gives no signature: begin again with new nonces")
            return bytes(ffi.buffer(first, 32))
        finally:
            wipe_buffer(scalars)
            wipe_buffer(key)

    def verify(self, partial: bytes, *, signer: int) -> None:
        """Raise ``InvalidContributionError``, naming the cosigner, unless its partial signature (32 bytes) holds.

        ``signer`` is the cosigner's place from 0. The session must know the nonces one by one.
        """
        if self.nonces is None:
            raise InvalidInputError("a session of an aggregate nonce cannot judge one cosigner: give it all nonces")
        if not 0 <= signer < len(self.nonces):
            raise InvalidInputError(f"there is no cosigner {signer + 1}: the session has {len(self.nonces)}")
        if type(partial) is not bytes or len(partial) != 32:
            raise _bad_partial(signer, "is not 32 bytes")
        if not self._holds(partial, self.nonces[signer], self.aggregate.keys[signer]):
            raise _bad_partial(signer, "does not verify: do not go on with that cosigner")

    def _holds(self, partial: bytes, nonce: bytes, key: bytes) -> bool:
        number = int.from_bytes(partial, "big")
        if number >= ORDER:
            return False
        first, second, signed = parse_point(nonce[:33]), parse_point(nonce[33:]), parse_point(key)
        multiply_point(second, self._binder)
        multiply_point(signed, self._factor(key))
        effective = add_points((first, second))
        if effective is None:
            return False
        if self._flip:
            negate_point(effective)
        right = add_points((effective, signed))
        if not number or right is None:
            return not number and right is None
        return serialize_point(base_point(partial)) == serialize_point(right)

    def signature(self, partials: Sequence[bytes]) -> bytes:
        """The BIP-340 signature (64 bytes) that the cosigners' partial ones make, verified.

        If the session knows the nonces, ``InvalidContributionError`` names the first cosigner whose part is wrong.
        """
        if len(partials) != len(self.aggregate.keys):
            raise InvalidInputError(
                f"{len(self.aggregate.keys)} cosigners need as many partial signatures, not {len(partials)}"
            )
        total = 0
        for place, partial in enumerate(partials):
            number = int.from_bytes(partial, "big")
            if len(partial) != 32 or number >= ORDER:
                raise _bad_partial(place, "is not a number below the curve order")
            total += number
        if self.nonces is not None:
            for place, partial in enumerate(partials):
                self.verify(partial, signer=place)
        sign = -1 if self.aggregate.key[0] == 3 else 1
        total = (total + sign * self._challenge * self.aggregate.tweak) % ORDER
        signature = self.final_nonce[1:] + total.to_bytes(32, "big")
        key = ffi.new("secp256k1_xonly_pubkey *")
        lib.secp256k1_xonly_pubkey_parse(context, key, self.aggregate.x_only)
        if not lib.secp256k1_schnorrsig_verify(context, signature, self.message, len(self.message), key):
            raise InvalidSignatureError(
                "the partial signatures make no valid signature: verify each to find whose fails"
            )
        return signature


def sign_deterministically(
    secret: Secret,
    aggregate: AggregateKey,
    message: bytes,
    *,
    others: bytes,
    randomness: bytes | None = None,
) -> tuple[bytes, bytes]:
    """The public nonce (66 bytes) and partial signature of the last cosigner, who needs no secret nonce kept.

    ``others`` is the aggregate nonce of all other cosigners, ``randomness`` 32 bytes that need not be good. BIP-327
    allows this to one cosigner of a session at most.
    """
    seckey = secret.expose()
    check_secret_key(seckey)
    public = public_key(seckey)
    aggregate.coefficient(public)
    source = bytearray(seckey)
    if randomness is not None:
        check_length(randomness, 32, "randomness")
        source = bytearray(randomness)
        blind(source, seckey)
    tail = others + aggregate.x_only + len(message).to_bytes(8, "big") + message
    try:
        nonce = secret_nonce(
            scalars_of("MuSig/deterministic/nonce", source, tail), public, aggregate=aggregate.x_only, message=message
        )
    finally:
        source[:] = bytes(32)
    try:
        both = aggregate_nonces((nonce.public, others))
    except InvalidContributionError as error:
        nonce.wipe()
        raise _bad_aggregate("aggregate nonce of the others") from error
    return nonce.public, MusigSession(aggregate, message, aggregate_nonce=both).sign(secret, nonce)


def _bad_aggregate(contribution: str) -> InvalidContributionError:
    return InvalidContributionError(
        f"the {contribution} is not two points of the curve: whoever added the nonces up is to blame",
        signer=None,
        contribution=contribution,
    )


def _bad_partial(signer: int, why: str) -> InvalidContributionError:
    return InvalidContributionError(
        f"the partial signature of cosigner {signer + 1} {why}", signer=signer, contribution="partial signature"
    )
