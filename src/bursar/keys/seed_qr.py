"""SeedQR and CompactSeedQR (SeedSigner's format): what a QR code of a BIP-39 mnemonic says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import wordlist
from bursar.keys.mnemonic import Mnemonic

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS: Final = (12, 24)  # the only lengths the format knows
_DIGITS: Final = 4


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.seed-qr")


def _words(mnemonic: Mnemonic) -> Sequence[str]:
    if len(mnemonic) not in _WORDS:
        raise _invalid(f"a SeedQR holds 12 or 24 words, not {len(mnemonic)}")
    return mnemonic.text().expose().decode().split()


def digits(mnemonic: Mnemonic) -> Secret:
    """The 48 or 96 digits of a SeedQR, to be drawn as a numeric QR code: each word's place in its list, from 0000."""
    places = wordlist.places(mnemonic.language)
    return Secret.from_text("".join([f"{places[word]:0{_DIGITS}}" for word in _words(mnemonic)]))


def compact(mnemonic: Mnemonic) -> Secret:
    """The 16 or 32 bytes of a CompactSeedQR, to be drawn as a binary QR code: the entropy alone."""
    _words(mnemonic)
    return mnemonic.entropy()


def read(scanned: Secret, language: str = "english") -> Mnemonic:
    """The mnemonic of a scanned SeedQR or CompactSeedQR; the number of bytes tells which it is.

    The code does not say the language of the words. A CompactSeedQR has no checksum: whatever 16 or 32 bytes are read
    as one. InvalidInputError: ``input.seed-qr``, or ``input.mnemonic.checksum`` for digits that were misread.
    """
    if len(scanned) in [word * 4 // 3 for word in _WORDS]:
        return Mnemonic(scanned, language)
    if len(scanned) not in [word * _DIGITS for word in _WORDS]:
        raise _invalid(f"a SeedQR holds 48 or 96 digits, or 16 or 32 bytes, not {len(scanned)}")
    return from_digits(scanned, language)


def from_digits(text: Secret | str, language: str = "english") -> Mnemonic:
    """The mnemonic of the 48 or 96 digits of a SeedQR."""
    if len(text) not in [word * _DIGITS for word in _WORDS]:
        raise _invalid(f"a SeedQR has 48 or 96 digits, not {len(text)}")
    plain = text.encode(errors="replace") if isinstance(text, str) else text.expose()
    if not plain.isdigit():
        raise _invalid("a SeedQR of this length has digits only")
    places = [int(plain[at : at + _DIGITS]) for at in range(0, len(plain), _DIGITS)]
    if any(place > 2047 for place in places):
        wrong = ", ".join(str(number) for number, place in enumerate(places, 1) if place > 2047)
        raise _invalid(f"the digits of word {wrong} are above 2047: there is no such word")
    listed = wordlist.words(language)
    return Mnemonic.from_text(Secret.from_text(" ".join([listed[place] for place in places])), language)
