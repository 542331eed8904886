"""One share of SLIP-39: its fields, its words and their RS1024 checksum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import shamir_words

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST = 16
"""Groups there may be, and members of each."""

LARGEST_SECRET = 64
"""Bytes: the longest BIP-32 seed. The smallest secret has 16, and the number of bytes is even."""

_HEADER_WORDS, _CHECKSUM_WORDS = 4, 3
_SHORTEST, _LONGEST = 20, 59  # words, of 16 and of 64 bytes
_LONGEST_TEXT = 1024
_GENERATORS = (
    0xE0E040,
    0x1C1C080,
    0x3838100,
    0x7070200,
    0xE0E0009,
    0x1C0C2412,
    0x38086C24,
    0x3090FC48,
    0x21B1F890,
    0x3F3F120,
)


def invalid(message: str, kind: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.shamir." + kind)


def _polymod(values: Iterable[int]) -> int:
    state = 1
    for value in values:
        top = state >> 20
        state = (state & 0xFFFFF) << 10 ^ value
        for bit, generator in enumerate(_GENERATORS):
            state ^= generator * (top >> bit & 1)
    return state


def _checked(extendable: bool, values: list[int]) -> int:
    return _polymod([*(b"shamir_extendable" if extendable else b"shamir"), *values])


def check_secret_size(size: int) -> None:
    if not 16 <= size <= LARGEST_SECRET or size % 2:
        raise invalid(f"a secret of slip-39 has an even number of bytes from 16 to 64, not {size}", "length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A member's share of a group's share of an encrypted secret.

    Indexes count from 0, as the standard's do; ``name`` counts from 1, as people do.
    """

    identifier: int
    extendable: bool
    iteration_exponent: int
    group_index: int
    group_threshold: int
    group_count: int
    member_index: int
    member_threshold: int
    value: Secret

    def __post_init__(self) -> None:
        _check_range("identifier", self.identifier, 0, (1 << 15) - 1)
        _check_range("iteration exponent", self.iteration_exponent, 0, 15)
        _check_range("number of groups", self.group_count, 1, MOST)
        _check_range("member's index", self.member_index, 0, MOST - 1)
        _check_range("member threshold", self.member_threshold, 1, MOST)
        _check_range("group's index", self.group_index, 0, MOST - 1)
        _check_range("group threshold", self.group_threshold, 1, MOST)
        if self.group_threshold > self.group_count:
            raise invalid(f"{self.group_threshold} groups of {self.group_count} cannot be needed", "threshold")
        if self.group_index >= self.group_count:
            raise invalid(f"there is no group {self.group_index + 1} of {self.group_count}", "threshold")
        check_secret_size(len(self.value))

    @property
    def name(self) -> str:
        """``share 2``, or ``share 2 of group 1`` where there are several groups."""
        return f"share {self.member_index + 1}" + (f" of group {self.group_index + 1}" if self.group_count > 1 else "")

    @property
    def family(self) -> tuple[int, bool, int, int, int, int]:
        """What all shares of one secret agree in."""
        return (
            self.identifier,
            self.extendable,
            self.iteration_exponent,
            self.group_threshold,
            self.group_count,
            len(self.value),
        )

    @classmethod
    def from_text(cls, text: Secret | str) -> Self:
        """Parse 20 to 59 words, in any case; a word may be cut to its first four letters, which name it.

        InvalidInputError says what is wrong (``input.shamir.word``, ``.checksum``, ``.length``, ``.padding``,
        ``.threshold``), naming words by position only. Nothing is corrected: the standard advises against it.
        """
        values = _values(text)
        extendable = bool(values[1] >> 4 & 1)
        if _checked(extendable, values) != 1:
            raise invalid("the words' checksum does not match: a word is wrong or two are swapped", "checksum")
        header = 0
        for value in values[:_HEADER_WORDS]:
            header = header << 10 | value
        fields = [header >> shift & 15 for shift in (20, 16, 12, 8, 4, 0)]
        exponent, group_index, group_threshold, group_count, member_index, member_threshold = fields
        return cls(
            identifier=header >> 25,
            extendable=extendable,
            iteration_exponent=exponent,
            group_index=group_index,
            group_threshold=group_threshold + 1,
            group_count=group_count + 1,
            member_index=member_index,
            member_threshold=member_threshold + 1,
            value=_value(values[_HEADER_WORDS:-_CHECKSUM_WORDS]),
        )

    def text(self) -> Secret:
        """The words, in lower case, one space between two."""
        header = self.identifier << 1 | self.extendable
        for field in (
            self.iteration_exponent,
            self.group_index,
            self.group_threshold - 1,
            self.group_count - 1,
            self.member_index,
            self.member_threshold - 1,
        ):
            header = header << 4 | field
        count = -(-len(self.value) * 8 // 10)
        number = header << 10 * count | int.from_bytes(self.value.expose(), "big")
        values = [number >> shift & 1023 for shift in range(10 * (count + _HEADER_WORDS - 1), -1, -10)]
        checksum = _checked(self.extendable, [*values, 0, 0, 0]) ^ 1
        listed = shamir_words.words()
        return Secret.from_text(" ".join([listed[one] for one in (*values, *_three(checksum))]))

    def __reduce__(self) -> str:
        raise TypeError("a Share cannot be copied or pickled")


def _three(checksum: int) -> tuple[int, int, int]:
    return checksum >> 20, checksum >> 10 & 1023, checksum & 1023


def _check_range(what: str, value: int, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise invalid(f"the {what} is from {least} to {most}, not {value!r}", "threshold")


def _values(text: Secret | str) -> list[int]:
    if len(text) > _LONGEST_TEXT:
        raise invalid("the text is too long for a share", "length")
    try:
        plain = text if isinstance(text, str) else text.expose().decode("ascii")
    except UnicodeDecodeError:
        # the original error holds the text
        raise invalid("a share is written in plain english letters", "word") from None
    sentence = plain.lower().split()
    if not _SHORTEST <= len(sentence) <= _LONGEST:
        raise invalid(
            f"a share has {_SHORTEST} to {_LONGEST} words, most often 20 or 33, not {len(sentence)}", "length"
        )
    known = shamir_words.places()
    wrong = [str(position) for position, word in enumerate(sentence, 1) if word not in known]
    if wrong:
        subject = f"word {wrong[0]} is" if len(wrong) == 1 else f"words {', '.join(wrong)} are"
        raise invalid(f"{subject} not in the list of slip-39: write words whole, or their first four letters", "word")
    return [known[word] for word in sentence]


def _value(values: list[int]) -> Secret:
    bits = 10 * len(values)
    padding = bits % 16
    if padding > 8:
        raise invalid("no secret of whole bytes gives this number of words: a word is missing or added", "length")
    number = 0
    for value in values:
        number = number << 10 | value
    if number >> bits - padding:
        raise invalid("the bits that fill the first word up are not zero: this is no share of slip-39", "padding")
    return Secret(number.to_bytes((bits - padding) // 8, "big"))
