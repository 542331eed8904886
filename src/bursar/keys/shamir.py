"""Shares of a secret (SLIP-39): split it among groups of members, combine enough of them again."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from bursar.crypto.secret import Secret
from bursar.keys.shamir_cipher import (
    LARGEST_EXPONENT,
    check_exponent,
    check_passphrase,
    decrypt,
    encrypt,
)
from bursar.keys.shamir_field import GF256
from bursar.keys.shamir_share import MOST, Share, check_secret_size, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_EXPONENT: Final = 1
"""20,000 iterations, as the reference implementation and Trezor choose."""

_DIGEST_SIZE = 4
_SECRET_PLACE, _DIGEST_PLACE = 255, 254
_RULE: Final = re.compile(r"([1-9][0-9]?)of([1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class Group:
    """So many members, of whom ``threshold`` are needed; one is enough only in a group of one (SLIP-39)."""

    threshold: int
    members: int

    def __post_init__(self) -> None:
        for value in (self.threshold, self.members):
            if type(value) is not int or not 1 <= value <= MOST:
                raise invalid(f"a group has 1 to {MOST} members and needs as many or fewer, not {value!r}", "threshold")
        if self.threshold > self.members:
            raise invalid(f"{self.threshold} members of {self.members} cannot be needed", "threshold")
        if self.threshold == 1 < self.members:
            raise invalid(
                f"1 of {self.members} gives every member the whole secret: make one share and copy it", "threshold"
            )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """``2of3``: two of three members are needed."""
        found = _RULE.fullmatch(text)
        if found is None:
            raise invalid(f"{text!r} is no rule for shares: write 2of3 where two of three are needed", "threshold")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.threshold}of{self.members}"


def split(
    secret: Secret,
    groups: Sequence[Group],
    *,
    group_threshold: int = 1,
    passphrase: Secret | None = None,
    iteration_exponent: int = DEFAULT_EXPONENT,
) -> tuple[tuple[Share, ...], ...]:
    """Split ``secret`` (16 to 64 bytes, an even number) into shares, a tuple for each group.

    For a wallet the standard demands that the secret is its BIP-32 seed. ``group_threshold`` groups are needed,
    and in each as many members as the group says. Fewer tell nothing about the secret but its length. The passphrase
    is printable ASCII. The shares are extendable: the same seed split again under the same passphrase belongs to
    another set, which cannot be mixed with this one. InvalidInputError (``input.shamir…``) for anything out of bounds.
    """
    check_secret_size(len(secret))
    if not 1 <= len(groups) <= MOST:
        raise invalid(f"there are 1 to {MOST} groups, not {len(groups)}", "threshold")
    if type(group_threshold) is not int or not 1 <= group_threshold <= len(groups):
        raise invalid(f"{group_threshold!r} groups of {len(groups)} cannot be needed", "threshold")
    if type(iteration_exponent) is not int or iteration_exponent < 0:
        raise invalid(f"the iteration exponent is from 0 to {LARGEST_EXPONENT}", "exponent")
    check_exponent(iteration_exponent)
    identifier = secrets.randbits(15)
    with encrypt(secret, passphrase, exponent=iteration_exponent, identifier=identifier, extendable=True) as encrypted:
        values = _split(encrypted.expose(), group_threshold, len(groups))
    return tuple(
        tuple(
            Share(
                identifier=identifier,
                extendable=True,
                iteration_exponent=iteration_exponent,
                group_index=place,
                group_threshold=group_threshold,
                group_count=len(groups),
                member_index=member,
                member_threshold=group.threshold,
                value=Secret(value),
            )
            for member, value in enumerate(_split(values[place], group.threshold, group.members))
        )
        for place, group in enumerate(groups)
    )


class ShareSet:
    """Shares of one secret as they come in, and what still lacks."""

    def __init__(self, shares: Iterable[Share] = ()) -> None:
        self._groups: dict[int, dict[int, Share]] = {}
        self._first: Share | None = None
        for share in shares:
            self.add(share)

    def add(self, share: Share) -> None:
        """Take a share in.

        InvalidInputError for one of another set (``input.shamir.mixed``), one that is here already (``.duplicate``)
        and one more than its group needs (``.surplus``).
        """
        first = self._first or share
        _check_family(first, share)
        members = self._groups.get(share.group_index, {})
        for known in members.values():
            if known.member_threshold != share.member_threshold:
                raise invalid(
                    f"{share.name} says that {share.member_threshold} of its group are needed, "
                    f"{known.name} says {known.member_threshold}: one is forged or of another set",
                    "mixed",
                )
        twin = members.get(share.member_index)
        if twin is not None:
            same = twin.value == share.value
            reason = "was given before: take another" if same else "was given before with other words: one is forged"
            raise invalid(f"{share.name} {reason}", "duplicate")
        if len(members) == share.member_threshold:
            raise invalid(
                f"{share.name} is one too many: {_count(share.member_threshold, 'share')} of its group are enough",
                "surplus",
            )
        self._first = first
        self._groups.setdefault(share.group_index, members)[share.member_index] = share

    def _complete(self) -> list[dict[int, Share]]:
        return [
            members
            for _, members in sorted(self._groups.items())
            if len(members) == next(iter(members.values())).member_threshold
        ]

    @property
    def complete(self) -> bool:
        """Whether the secret can be recovered."""
        return self._first is not None and len(self._complete()) >= self._first.group_threshold

    def lacking(self) -> str:
        """What still lacks, in words; an empty text when nothing does."""
        if self._first is None:
            return "any share"
        wanting = self._first.group_threshold - len(self._complete())
        if wanting <= 0:
            return ""
        begun = []
        for place, members in sorted(self._groups.items()):
            more = next(iter(members.values())).member_threshold - len(members)
            of_group = f" of group {place + 1}" if self._first.group_count > 1 else ""
            if more:
                begun.append(f"{more} more share{'s' if more > 1 else ''}{of_group}")
        others = wanting - len(begun)
        if others > 0:
            begun.append(f"enough shares of {_count(others, 'other group')}")
        if others < 0:
            return ("" if wanting == 1 else f"{wanting} of these: ") + " or ".join(begun)
        return " and ".join(begun)

    def secret(self, passphrase: Secret | None = None, *, largest_exponent: int = LARGEST_EXPONENT) -> Secret:
        """The secret that was split; another passphrase gives another secret, and nothing tells which is right.

        InvalidInputError: ``input.shamir.missing`` names what lacks, ``.digest`` says that a share is forged,
        ``.exponent`` and ``.passphrase`` are refused before any work.
        """
        check_passphrase(passphrase)
        if self._first is None or not self.complete:
            raise invalid(f"the secret cannot be recovered yet: {self.lacking()} needed", "missing")
        first = self._first
        check_exponent(first.iteration_exponent, largest_exponent)
        points = []
        for members in self._complete()[: first.group_threshold]:
            one = next(iter(members.values()))
            shares = [(place, share.value.expose()) for place, share in members.items()]
            points.append((one.group_index, _join(one.member_threshold, shares, f"group {one.group_index + 1}")))
        with Secret(_join(first.group_threshold, points, "the groups")) as encrypted:
            return decrypt(
                encrypted,
                passphrase,
                exponent=first.iteration_exponent,
                identifier=first.identifier,
                extendable=first.extendable,
            )


def combine(
    shares: Iterable[Share], passphrase: Secret | None = None, *, largest_exponent: int = LARGEST_EXPONENT
) -> Secret:
    """The secret of exactly as many shares as are needed: the standard refuses more as it refuses fewer.

    As ``ShareSet.secret``, and ``ShareSet.add`` for shares that do not belong together.
    """
    given = list(shares)
    found = ShareSet(given)
    if given and len({share.group_index for share in given}) > given[0].group_threshold:
        raise invalid("the shares are of more groups than are needed: leave one group out", "surplus")
    return found.secret(passphrase, largest_exponent=largest_exponent)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


_FAMILY: Final = (
    "another identifier (the first two words)",
    "another extendable flag",
    "another iteration exponent",
    "another group threshold",
    "another number of groups",
    "another length",
)


def _check_family(first: Share, share: Share) -> None:
    for difference, known, given in zip(_FAMILY, first.family, share.family, strict=True):
        if known != given:
            raise invalid(f"{share.name} belongs to another set of shares: it has {difference}", "mixed")


def _split(secret: bytes, threshold: int, count: int) -> list[bytes]:
    """The values of ``count`` shares, at places from 0 up."""
    if threshold == 1:
        return [secret] * count
    values = [secrets.token_bytes(len(secret)) for _ in range(threshold - 2)]
    digest = _with_digest(secret, secrets.token_bytes(len(secret) - _DIGEST_SIZE))
    points = [*enumerate(values), (_DIGEST_PLACE, digest), (_SECRET_PLACE, secret)]
    return values + [GF256.interpolate(points, place) for place in range(threshold - 2, count)]


def _join(threshold: int, points: Sequence[tuple[int, bytes]], where: str) -> bytes:
    if threshold == 1:
        return points[0][1]
    secret = GF256.interpolate(points, _SECRET_PLACE)
    digest = GF256.interpolate(points, _DIGEST_PLACE)
    if not hmac.compare_digest(digest, _with_digest(secret, digest[_DIGEST_SIZE:])):
        raise invalid(f"the shares of {where} do not fit one another: at least one was forged", "digest")
    return secret


def _with_digest(secret: bytes, filling: bytes) -> bytes:
    return hmac.digest(filling, secret, "sha256")[:_DIGEST_SIZE] + filling
