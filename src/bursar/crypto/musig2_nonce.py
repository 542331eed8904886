"""Nonces of MuSig2 (BIP-327, ``NonceGen`` and ``NonceAgg``): secret ones are used once and go nowhere else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

from bursar.crypto.curve import ORDER, check_length
from bursar.crypto.points import INFINITY, add_points, base_point, parse_point, serialize_point
from bursar.crypto.secp256k1 import check_secret_key, context, ffi, lib, wipe_buffer
from bursar.errors import InvalidContributionError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.crypto.key_aggregation import AggregateKey
    from bursar.crypto.secret import Secret

PUBLIC_NONCE_SIZE = 66


class SecretNonce:
    """A nonce for one partial signature by ``public_key``; ``public`` is what the cosigners get (66 bytes).

    Two signatures from one nonce give the key away. So it cannot be copied, pickled, compared, shown or written down,
    works in the process that made it only, and is gone, wiped, with its first use. Lost nonces cost a new round.
    """

    __slots__ = ("_aggregate", "_message", "_process", "_scalars", "public", "public_key")

    public_key: bytes
    public: bytes
    _scalars: list[Any]
    _process: int
    _aggregate: bytes | None
    _message: bytes | None

    def __init__(self) -> None:
        raise TypeError("a secret nonce comes from generate_nonce")

    @property
    def used(self) -> bool:
        """Whether it is gone."""
        return not self._scalars

    def check(self, aggregate: AggregateKey, message: bytes) -> None:
        """Refuse a session that it was not made for; ``InvalidInputError``."""
        if self._aggregate is not None and self._aggregate != aggregate.x_only:
            raise InvalidInputError("this nonce was made for another aggregate key: make one for this session")
        if self._message is not None and self._message != message:
            raise InvalidInputError("this nonce was made for another message: make one for this session")

    def take(self) -> Any:
        """Both scalars, out of this object for good: a buffer of 64 bytes that the taker wipes."""
        if os.getpid() != self._process:
            raise InvalidInputError("this nonce belongs to another process: a fork must not use it a second time")
        try:
            return self._scalars.pop()  # one step, so of two threads only one gets it
        except IndexError:
            raise InvalidInputError("this nonce was used or wiped: make a new one, never sign with one twice") from None

    def wipe(self) -> None:
        """Overwrite it unused; idempotent."""
        while self._scalars:
            wipe_buffer(self._scalars.pop())

    def __del__(self) -> None:
        if hasattr(self, "_scalars"):
            self.wipe()

    def __repr__(self) -> str:
        return f"SecretNonce({'used' if self.used else '<redacted>'})"

    def _refuse(self, *_arguments: object) -> NoReturn:
        raise TypeError("a SecretNonce cannot be copied, pickled, hashed or converted: it is for one signature only")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self._refuse(protocol)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]
    __bytes__ = _refuse
    __iter__ = _refuse
    __copy__ = _refuse
    __deepcopy__ = _refuse
    __getstate__ = _refuse


def secret_nonce(
    scalars: Any, public_key: bytes, *, aggregate: bytes | None = None, message: bytes | None = None
) -> SecretNonce:
    """The nonce of a C buffer of two scalars, which becomes its own; ``InvalidInputError`` if one is out of range."""
    nonce = object.__new__(SecretNonce)
    nonce._scalars = [scalars]
    nonce._process = os.getpid()
    nonce._aggregate = aggregate
    nonce._message = message
    nonce.public_key = public_key
    try:
        nonce.public = serialize_point(base_point(scalars)) + serialize_point(base_point(scalars + 32))
    except InvalidInputError:
        nonce.wipe()
        raise
    return nonce


def generate_nonce(
    public_key: bytes,
    *,
    secret: Secret | None = None,
    aggregate: AggregateKey | None = None,
    message: bytes | None = None,
    extra: bytes = b"",
) -> SecretNonce:
    """A fresh nonce for the cosigner with ``public_key`` (33 bytes).

    Whatever is known already should be given: ``secret`` makes it good even where the system's randomness is not,
    ``aggregate`` and ``message`` bind it to the one session they name.
    """
    from_secret = None if secret is None else secret.expose()
    return nonce_from(
        os.urandom(32),
        public_key,
        secret=from_secret,
        aggregate=None if aggregate is None else aggregate.x_only,
        message=message,
        extra=extra,
    )


def nonce_from(
    randomness: bytes,
    public_key: bytes,
    *,
    secret: bytes | None,
    aggregate: bytes | None,
    message: bytes | None,
    extra: bytes,
) -> SecretNonce:
    """As :func:`generate_nonce`, from given randomness (32 bytes): for known answers only."""
    check_length(randomness, 32, "the randomness of a nonce")
    parse_point(public_key)
    if aggregate is not None:
        check_length(aggregate, 32, "an x-only aggregate key")
    source = bytearray(randomness)
    if secret is not None:
        check_secret_key(secret)
        blind(source, secret)
    tail = (
        bytes((33,))
        + public_key
        + bytes((32 if aggregate is not None else 0,))
        + (aggregate or b"")
        + (b"\0" if message is None else b"\x01" + len(message).to_bytes(8, "big") + message)
        + len(extra).to_bytes(4, "big")
        + extra
    )
    try:
        return secret_nonce(scalars_of("MuSig/nonce", source, tail), public_key, aggregate=aggregate, message=message)
    finally:
        source[:] = bytes(32)


def blind(source: bytearray, secret: bytes) -> None:
    """Turn randomness in place into the secret xor its hash (``MuSig/aux``)."""
    mask = ffi.new("unsigned char[32]")
    try:
        _tagged(mask, "MuSig/aux", source)
        source[:] = bytes([one ^ other for one, other in zip(secret, mask, strict=True)])
    finally:
        wipe_buffer(mask)


def scalars_of(tag: str, source: bytearray, tail: bytes) -> Any:
    """Two scalars from the hashes of source, tail and the numbers 0 and 1, in a fresh buffer of 64 bytes."""
    scalars = ffi.new("unsigned char[64]")
    preimage = source + tail + b"\0"
    try:
        for place in (0, 1):
            preimage[-1] = place
            _tagged(scalars + 32 * place, tag, preimage)
            if not lib.secp256k1_ec_seckey_verify(context, scalars + 32 * place):  # once in 2**128
                view = ffi.buffer(scalars + 32 * place, 32)
                view[:] = (int.from_bytes(view, "big") % ORDER).to_bytes(32, "big")
    finally:
        preimage[:] = bytes(len(preimage))
    return scalars


def _tagged(output: Any, tag: str, data: bytearray) -> None:
    """A BIP-340 tagged hash written into a C buffer, so that no Python object ever holds it."""
    name = tag.encode()
    lib.secp256k1_tagged_sha256(context, output, name, len(name), ffi.from_buffer(data), len(data))


def aggregate_nonces(nonces: Sequence[bytes]) -> bytes:
    """The aggregate (66 bytes) of public nonces; ``InvalidContributionError`` names the first that is malformed."""
    halves = []
    for start in (0, 33):
        points = []
        for place, nonce in enumerate(nonces):
            try:
                check_length(nonce, PUBLIC_NONCE_SIZE, "a public nonce")
                points.append(parse_point(nonce[start : start + 33]))
            except InvalidInputError as error:
                raise InvalidContributionError(
                    f"the public nonce of cosigner {place + 1} is not two points of the curve",
                    signer=place,
                    contribution="public nonce",
                ) from error
        total = add_points(points)
        halves.append(INFINITY if total is None else serialize_point(total))
    return b"".join(halves)
