"""The ten official BIP-39 word lists, taken from the ``mnemonic`` package and held to their published digests."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from unicodedata import normalize

from bursar.errors import BursarError, InvalidInputError

# SHA-256 of the list's words in NFKD, UTF-8, each followed by a line feed
_DIGESTS = {
    "chinese_simplified": "5c5942792bd8340cb8b27cd592f1015edf56a8c5b26276ee18a482428e7c5726",
    "chinese_traditional": "417b26b3d8500a4ae3d59717d7011952db6fc2fb84b807f3f94ac734e89c1b5f",
    "czech": "7e80e161c3e93d9554c2efb78d4e3cebf8fc727e9c52e03b83b94406bdcc95fc",
    "english": "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda",
    "french": "ebc3959ab7801a1df6bac4fa7d970652f1df76b683cd2f4003c941c63d517e59",
    "italian": "d392c49fdb700a24cd1fceb237c1f65dcc128f6b34a8aacb58b59384b5c648c2",
    "japanese": "2eed0aef492291e061633d7ad8117f1a2b03eb80a29d0e4e3117ac2528d05ffd",
    "korean": "9e95f86c167de88f450f0aaf89e87f6624a57f973c67b516e338e8e8b8897f60",
    "portuguese": "2685e9c194c82ae67e10ba59d9ea5345a23dc093e92276fc5361f6667d79cd3f",
    "spanish": "46846a5a0139d1e3cb77293e521c2865f7bcdb82c44e8d0a06a2cd0ecba48c0b",
}

LANGUAGES: tuple[str, ...] = tuple(_DIGESTS)
"""The languages of BIP-39, sorted."""


def _check_language(language: str) -> None:
    if language not in _DIGESTS:
        raise InvalidInputError(
            f"{language!r} is not a language of bip-39: choose one of {', '.join(LANGUAGES)}", code="input.mnemonic"
        )


def _from_library(language: str) -> list[str]:
    from mnemonic import Mnemonic

    return Mnemonic(language).wordlist


@lru_cache(maxsize=len(_DIGESTS))
def words(language: str) -> tuple[str, ...]:
    """The 2,048 words of ``language`` in NFKD, in order."""
    _check_language(language)
    found = tuple([normalize("NFKD", word) for word in _from_library(language)])
    digest = hashlib.sha256("".join([word + "\n" for word in found]).encode()).hexdigest()
    if digest != _DIGESTS[language]:
        raise BursarError(
            f"the installed {language} word list is not the one of bip-39: reinstall the mnemonic package",
            code="crypto.self-test",
        )
    return found


@lru_cache(maxsize=len(_DIGESTS))
def places(language: str) -> dict[str, int]:
    """Where each word of ``language`` (NFKD) stands in its list, from 0."""
    return {word: place for place, word in enumerate(words(language))}
