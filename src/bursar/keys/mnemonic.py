"""Mnemonic sentences (BIP-39) in the ten official languages: entropy, words and seed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Self
from unicodedata import normalize

from bursar.crypto.hashes import pbkdf2_hmac_sha512, sha256
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import wordlist

if TYPE_CHECKING:
    from types import TracebackType

LENGTHS = (12, 15, 18, 21, 24)
"""How many words a sentence may have; a third more words, a third more entropy: 128 to 256 bits."""

_SHARE_LENGTHS = (20, 33)
_ROUNDS = 2048
_LONGEST = 4096  # characters, or bytes: three times the longest sentence


def _invalid(message: str, kind: str = "") -> InvalidInputError:
    return InvalidInputError(message, code="input.mnemonic" + kind)


def _decode(text: Secret | str) -> str:
    if isinstance(text, str):
        return normalize("NFKD", text)
    try:
        return normalize("NFKD", text.expose().decode("utf-8"))
    except UnicodeDecodeError:
        # the original error holds the text
        raise _invalid("the text is not utf-8") from None


def _unknown(sentence: list[str], language: str) -> InvalidInputError:
    known = wordlist.places(language)
    wrong = [str(position) for position, word in enumerate(sentence, 1) if word not in known]
    subject = f"word {wrong[0]} is" if len(wrong) == 1 else f"words {', '.join(wrong)} are"
    return _invalid(f"{subject} not in the {language} list: check the spelling, in lower case", ".word")


def _detect(sentence: list[str]) -> str:
    """The one language whose list holds every word."""
    known = {language: sum([word in wordlist.places(language) for word in sentence]) for language in wordlist.LANGUAGES}
    candidates = [language for language, count in known.items() if count == len(sentence)]
    if len(candidates) > 1:
        raise _invalid(f"the words fit several languages: name one of {', '.join(candidates)}", ".language")
    if candidates:
        return candidates[0]
    nearest = max(known, key=lambda language: (known[language], language == "english"))
    if not known[nearest]:
        raise _invalid("no word is in any bip-39 list: check the spelling, in lower case", ".word")
    raise _unknown(sentence, nearest)


def _entropy(sentence: list[str], language: str) -> bytes:
    known = wordlist.places(language)
    if any(word not in known for word in sentence):
        raise _unknown(sentence, language)
    number = 0
    for word in sentence:
        number = number << 11 | known[word]
    checksum_bits = len(sentence) // 3
    entropy = (number >> checksum_bits).to_bytes(checksum_bits * 4, "big")
    if number & ((1 << checksum_bits) - 1) != sha256(entropy)[0] >> (8 - checksum_bits):
        raise _invalid("the words' checksum does not match: a word is wrong or two are swapped", ".checksum")
    return entropy


def _sentence(entropy: bytes, language: str) -> str:
    checksum_bits = len(entropy) // 4
    number = int.from_bytes(entropy, "big") << checksum_bits | sha256(entropy)[0] >> (8 - checksum_bits)
    listed = wordlist.words(language)
    count = checksum_bits * 3
    chosen = [listed[number >> 11 * (count - 1 - position) & 2047] for position in range(count)]
    return ("\u3000" if language == "japanese" else " ").join(chosen)


class Mnemonic:
    """A valid sentence; ``wipe()`` or leaving the context clears it (best effort, as of any ``Secret``)."""

    __slots__ = ("_entropy", "_text", "language")

    def __init__(self, entropy: Secret | bytes, language: str = "english") -> None:
        exposed = entropy.expose() if isinstance(entropy, Secret) else bytes(entropy)
        if len(exposed) not in (16, 20, 24, 28, 32):
            raise _invalid(f"entropy has 16, 20, 24, 28 or 32 bytes, not {len(exposed)}")
        self.language = language
        self._text = Secret.from_text(_sentence(exposed, language))
        self._entropy = Secret(exposed)

    @classmethod
    def from_text(cls, text: Secret | str, language: str | None = None) -> Self:
        """Parse a sentence; with ``language=None`` the one list that holds every word is found.

        InvalidInputError says what is wrong (``input.mnemonic.word``, ``.checksum``, ``.language``), naming words by
        position only.
        """
        if len(text) > _LONGEST:
            raise _invalid("the text is too long for a mnemonic")
        sentence = _decode(text).split()
        if len(sentence) not in LENGTHS:
            share = len(sentence) in _SHARE_LENGTHS
            hint = ": shares of SLIP-39 are another thing, combine them first" if share else ""
            raise _invalid(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {len(sentence)}{hint}")
        if language is None:
            language = _detect(sentence)
        return cls(_entropy(sentence, language), language)

    def text(self) -> Secret:
        """The sentence in NFKD, UTF-8; words are separated by one space (U+3000 in Japanese)."""
        return Secret(self._text.expose())

    def entropy(self) -> Secret:
        """The 16 to 32 bytes the words stand for."""
        return Secret(self._entropy.expose())

    def to_seed(self, passphrase: Secret | None = None) -> Secret:
        """The 64-byte seed; any passphrase (UTF-8) gives a seed, so a mistyped one gives another wallet."""
        if passphrase is not None and len(passphrase) > _LONGEST:
            raise _invalid(f"the passphrase is longer than {_LONGEST} bytes")
        salt = "mnemonic" + ("" if passphrase is None else _decode(passphrase))
        password = normalize("NFKD", self._text.expose().decode("utf-8"))
        return Secret(pbkdf2_hmac_sha512(password.encode(), salt.encode(), _ROUNDS))

    def __len__(self) -> int:
        return len(self._entropy) * 3 // 4

    def __repr__(self) -> str:
        return "Mnemonic(<redacted>)"

    def __reduce__(self) -> str:
        raise TypeError("a Mnemonic cannot be copied or pickled")

    def wipe(self) -> None:
        """Overwrite words and entropy; idempotent, and every later use raises."""
        self._text.wipe()
        self._entropy.wipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()


def generate(words: int = 24, language: str = "english") -> Mnemonic:
    """A new sentence of 12, 15, 18, 21 or 24 words from the operating system's randomness."""
    if words not in LENGTHS:
        raise _invalid(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {words}")
    return Mnemonic(secrets.token_bytes(words * 4 // 3), language)
