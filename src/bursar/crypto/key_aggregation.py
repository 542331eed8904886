"""Plain and tweaked aggregates of public keys (BIP-327, ``KeyAgg`` and ``ApplyTweak``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bursar.crypto.curve import ORDER, check_length
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.points import add_points, multiply_point, parse_point, serialize_point, tweak_point
from bursar.errors import InvalidContributionError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def sort_keys(keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """The keys in BIP-327's order (``KeySort``): by their bytes."""
    return tuple(sorted(keys))


def aggregate_keys(keys: Sequence[bytes]) -> bytes:
    """The plain aggregate (33 bytes) of compressed public keys in the order given; a key may stand there twice.

    ``InvalidInputError`` names the first key that is no point of the curve. Sort first where BIP-327's ``KeySort`` is
    asked for.
    """
    return AggregateKey.of(keys).key


@dataclass(frozen=True, slots=True)
class AggregateKey:
    """The aggregate of ``keys`` in their order, with the tweaks put on it since.

    ``key`` is its compressed form (33 bytes) as it now is. The secret behind it is ``sign`` times the plain
    aggregate's, plus ``tweak`` (BIP-327's gacc and tacc).
    """

    keys: tuple[bytes, ...]
    key: bytes
    sign: int = 1
    tweak: int = 0

    @classmethod
    def of(cls, keys: Sequence[bytes]) -> AggregateKey:
        """From compressed public keys; ``InvalidContributionError`` names the first that is no point of the curve."""
        keys = tuple(keys)
        if not keys:
            raise InvalidInputError("an aggregate needs at least one public key")
        points = []
        listed = tagged_hash("KeyAgg list", b"".join(keys))
        second = _second(keys)
        for place, key in enumerate(keys):
            try:
                point = parse_point(key)
            except InvalidInputError as error:
                raise InvalidContributionError(
                    f"public key {place + 1} of the aggregate is not a compressed point of the curve",
                    signer=place,
                    contribution="public key",
                ) from error
            if key != second:
                multiply_point(point, _coefficient(listed, key))
            points.append(point)
        total = add_points(points)
        if total is None:
            raise InvalidInputError("these public keys have no aggregate")
        return cls(keys, serialize_point(total))

    @property
    def x_only(self) -> bytes:
        """The 32 bytes under which signatures verify."""
        return self.key[1:]

    def tweaked(self, tweak: bytes, *, x_only: bool) -> AggregateKey:
        """This key plus ``tweak`` times G; ``x_only`` as taproot does it (an odd key is negated first), else as BIP-32.

        ``InvalidInputError`` if the tweak is not below the curve order or the sum is no point.
        """
        check_length(tweak, 32, "a tweak")
        number = int.from_bytes(tweak, "big")
        if number >= ORDER:
            raise InvalidInputError("the tweak must be less than the curve order")
        sign = -1 if x_only and self.key[0] == 3 else 1
        start = b"\x02" + self.key[1:] if sign < 0 else self.key
        total = tweak_point(parse_point(start), tweak)
        if total is None:
            raise InvalidInputError("the result of tweaking cannot be infinity")
        return replace(
            self, key=serialize_point(total), sign=sign * self.sign, tweak=(number + sign * self.tweak) % ORDER
        )

    def coefficient(self, key: bytes) -> int:
        """The factor of one of ``keys`` in the sum; ``InvalidInputError`` for any other key."""
        if key not in self.keys:
            raise InvalidInputError(f"the public key {key.hex()} is none of the {len(self.keys)} that were aggregated")
        if key == _second(self.keys):
            return 1
        return _coefficient(tagged_hash("KeyAgg list", b"".join(self.keys)), key)


def _second(keys: tuple[bytes, ...]) -> bytes:
    """The first key that differs from the first one: its factor is 1."""
    return next((key for key in keys if key != keys[0]), b"")


def _coefficient(listed: bytes, key: bytes) -> int:
    return int.from_bytes(tagged_hash("KeyAgg coefficient", listed + key), "big") % ORDER
