"""codex32 (BIP-93): a BIP-32 seed, or shares of one, as checksummed text that can be worked on with pen and paper."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.shamir_field import GF32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHARE_INDEXES: Final = "acdefghjklmnpqrtuvwxyz023456789"
"""The 31 indexes of shares, in the order they are handed out; ``s`` is the secret itself."""

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {character: value for value, character in enumerate(_CHARSET)}
_PREFIX: Final = "ms1"
_HEADER: Final = 6
_SHORTEST, _LONGEST = 48, 127
_START: Final = 0x23181B3
_WHOLE: Final = "s"


def _invalid(message: str, kind: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.codex32." + kind)


@dataclass(frozen=True, slots=True)
class _Code:
    """A BCH code: ``length`` characters of checksum after at most ``most`` of header and payload."""

    length: int
    most: int
    target: int
    generators: tuple[int, ...]

    def residue(self, values: Iterable[int]) -> int:
        state, shift = _START, 5 * (self.length - 1)
        for value in values:
            top = state >> shift
            state = (state & (1 << shift) - 1) << 5 ^ value
            for bit, generator in enumerate(self.generators):
                state ^= generator * (top >> bit & 1)
        return state

    def checksum(self, values: Sequence[int]) -> list[int]:
        found = self.residue([*values, *[0] * self.length]) ^ self.target
        return [found >> 5 * place & 31 for place in reversed(range(self.length))]


_SHORT: Final = _Code(
    13,
    80,
    0x10CE0795C2FD1E62A,
    (0x19DC500CE73FDE210, 0x1BFAE00DEF77FE529, 0x1FBD920FFFE7BEE52, 0x1739640BDEEE3FDAD, 0x07729A039CFC75F5A),
)
_LONG: Final = _Code(
    15,
    109,
    0x43381E570BF4798AB26,
    (
        0x3D59D273535EA62D897,
        0x7A9BECB6361C6C51507,
        0x543F9B7E6C38D8A2A0E,
        0x0C577EAECCF1990D13C,
        0x1887F74F8DC71B10651,
    ),
)


@dataclass(frozen=True, slots=True)
class Codex32:
    """A secret (index ``s``) or a share of one; ``payload`` is its five-bit values, one in each byte."""

    threshold: int
    identifier: str
    index: str
    payload: Secret = field(repr=False)

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)
        _check_identifier(self.identifier)
        if len(self.index) != 1 or self.index not in _VALUES:
            raise _invalid("an index is one bech32 character", "index")
        if self.threshold == 0 and self.index != _WHOLE:
            raise _invalid("a text with threshold 0 is a secret, and its index is s", "index")
        size, rest = divmod(5 * len(self.payload), 8)
        if rest > 4 or not 16 <= size <= 64:
            raise _invalid("the text has a length that no seed of 16 to 64 bytes gives", "length")

    @property
    def is_secret(self) -> bool:
        """Whether this is the whole secret and no share."""
        return self.index == _WHOLE

    @classmethod
    def from_text(cls, text: Secret | str) -> Self:
        """Parse a codex32 text, all in upper or all in lower case.

        InvalidInputError says what is wrong (``input.codex32.case``, ``.character``, ``.checksum``, ``.index``,
        ``.length``, ``.prefix``, ``.threshold``), naming characters by position only. Errors are found, not corrected.
        """
        values = _values(text)
        code = _SHORT if len(values) <= _SHORT.most + _SHORT.length else _LONG
        if code is _LONG and len(values) <= _SHORT.most + _LONG.length:
            raise _invalid("the text has a length between those of short and long codex32", "length")
        if code.residue(values) != code.target:
            raise _invalid("the checksum does not match: a character is wrong or misplaced", "checksum")
        threshold = _CHARSET[values[0]]
        if not threshold.isdigit():
            raise _invalid("the character after ms1 is the threshold: 0, or 2 to 9", "threshold")
        identifier = "".join([_CHARSET[value] for value in values[1:5]])
        payload = Secret(bytes(values[_HEADER : -code.length]))
        return cls(int(threshold), identifier, _CHARSET[values[5]], payload)

    def text(self) -> Secret:
        """The text in lower case; upper case, which is as valid, is better written by hand and put in QR codes."""
        header = [_VALUES[character] for character in f"{self.threshold}{self.identifier}{self.index}"]
        values = [*header, *self.payload.expose()]
        code = _SHORT if len(values) <= _SHORT.most else _LONG
        return Secret.from_text(_PREFIX + "".join([_CHARSET[value] for value in (*values, *code.checksum(values))]))

    def seed(self) -> Secret:
        """The BIP-32 seed (16 to 64 bytes) of a secret; InvalidInputError (``input.codex32.missing``) for a share."""
        if not self.is_secret:
            raise _invalid(f"share {self.index} alone gives no seed: {self.threshold} are needed", "missing")
        number = 0
        for value in self.payload.expose():
            number = number << 5 | value
        size, rest = divmod(5 * len(self.payload), 8)
        return Secret((number >> rest).to_bytes(size, "big"))

    def __reduce__(self) -> str:
        raise TypeError("a Codex32 cannot be copied or pickled")


def encode(seed: Secret, *, identifier: str | None = None, threshold: int = 0) -> Codex32:
    """The secret of a BIP-32 seed of 16 to 64 bytes. ``identifier``: four bech32 characters, at random if not given."""
    plain = seed.expose()
    if not 16 <= len(plain) <= 64:
        raise _invalid(f"a seed has 16 to 64 bytes, not {len(plain)}", "length")
    count = -(-8 * len(plain) // 5)
    number = int.from_bytes(plain, "big") << 5 * count - 8 * len(plain)
    payload = bytes([number >> 5 * place & 31 for place in reversed(range(count))])
    return Codex32(threshold, _random_identifier() if identifier is None else identifier, _WHOLE, Secret(payload))


def split(seed: Secret, threshold: int, count: int, *, identifier: str | None = None) -> tuple[Codex32, ...]:
    """``count`` shares (up to 31) of a seed, of which ``threshold`` (2 to 9) are needed; fewer tell nothing."""
    if threshold == 0:
        raise _invalid("a secret is split with a threshold from 2 to 9", "threshold")
    _check_threshold(threshold)
    if type(count) is not int or not threshold <= count <= len(SHARE_INDEXES):
        raise _invalid(f"there are {threshold} to {len(SHARE_INDEXES)} shares, not {count!r}", "threshold")
    secret = encode(seed, identifier=identifier, threshold=threshold)
    shares = [
        Codex32(threshold, secret.identifier, index, Secret(bytes(map(_five_bits, secret.payload.expose()))))
        for index in SHARE_INDEXES[: threshold - 1]
    ]
    first = (secret, *shares)
    return (*shares, *(derive(first, index) for index in SHARE_INDEXES[threshold - 1 : count]))


def derive(shares: Sequence[Codex32], index: str) -> Codex32:
    """The share ``index`` (or the secret, ``s``) of a set of which exactly the threshold is given.

    InvalidInputError: ``input.codex32.mixed``, ``.duplicate``, ``.missing`` or ``.surplus`` tells what is wrong.
    """
    _check_set(shares)
    if len(index) != 1 or index not in _VALUES:
        raise _invalid("an index is one bech32 character", "index")
    points = [(_VALUES[share.index], share.payload.expose()) for share in shares]
    payload = GF32.interpolate(points, _VALUES[index])
    return Codex32(shares[0].threshold, shares[0].identifier, index, Secret(payload))


def recover(shares: Sequence[Codex32]) -> Codex32:
    """The secret of exactly as many shares as are needed, or of one that is the secret; errors as of ``derive``.

    Every set of shares with good checksums gives some secret: compare the key's fingerprint with what you know.
    """
    if len(shares) == 1 and shares[0].is_secret:
        return shares[0]
    return derive(shares, _WHOLE)


def check_joins(shares: Sequence[Codex32], share: Codex32) -> None:
    """Raise unless ``share`` may stand beside ``shares``: same set (``.mixed``), another index (``.duplicate``)."""
    for other in shares:
        for what in ("threshold", "identifier"):
            if getattr(other, what) != getattr(share, what):
                raise _invalid(f"share {share.index} belongs to another set: it has another {what}", "mixed")
        if len(other.payload) != len(share.payload):
            raise _invalid(f"share {share.index} belongs to another set: it has another length", "mixed")
        if other.index == share.index:
            raise _invalid(f"share {share.index} was given before: take another", "duplicate")


def _check_set(shares: Sequence[Codex32]) -> None:
    if not shares:
        raise _invalid("no share was given", "missing")
    for place, share in enumerate(shares):
        check_joins(shares[:place], share)
    threshold = shares[0].threshold
    if len(shares) < threshold:
        raise _invalid(f"{threshold - len(shares)} more of {threshold} shares are needed", "missing")
    if len(shares) > threshold:
        raise _invalid(f"exactly {threshold} shares are needed: leave {len(shares) - threshold} out", "surplus")


def _check_threshold(threshold: int) -> None:
    if type(threshold) is not int or threshold not in (0, *range(2, 10)):
        raise _invalid(
            f"a threshold is from 2 to 9, or 0 for a secret that is not split, not {threshold!r}", "threshold"
        )


def _check_identifier(identifier: str) -> None:
    if len(identifier) != 4 or any(character not in _VALUES for character in identifier):
        raise _invalid("an identifier is four bech32 characters in lower case: no 1, b, i or o", "identifier")


def _random_identifier() -> str:
    return "".join([secrets.choice(_CHARSET) for _ in range(4)])


def _five_bits(_value: int) -> int:
    return secrets.randbits(5)


def _values(text: Secret | str) -> list[int]:
    if not _SHORTEST <= len(text) <= _LONGEST:
        raise _invalid(f"a codex32 text has {_SHORTEST} to {_LONGEST} characters, not {len(text)}", "length")
    try:
        plain = text if isinstance(text, str) else text.expose().decode("ascii")
    except UnicodeDecodeError:
        # the original error holds the text
        raise _invalid("a codex32 text is ascii", "character") from None
    if plain not in (plain.lower(), plain.upper()):
        raise _invalid("a codex32 text is all in upper case or all in lower case", "case")
    plain = plain.lower()
    if not plain.startswith(_PREFIX):
        raise _invalid(f"a codex32 text begins with {_PREFIX}", "prefix")
    wrong = [str(place) for place, one in enumerate(plain, 1) if place > len(_PREFIX) and one not in _VALUES]
    if wrong:
        subject = f"character {wrong[0]} is" if len(wrong) == 1 else f"characters {', '.join(wrong)} are"
        raise _invalid(f"{subject} not of the bech32 alphabet, which has no 1, b, i and o", "character")
    return [_VALUES[character] for character in plain[len(_PREFIX) :]]
