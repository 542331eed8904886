"""Extended public keys whose prefix tells their script, ``zpub`` and the like (SLIP-132): read and converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bursar.crypto import base58
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.scheme import MultisigScript, Scheme

_PLAIN: Final = {False: "0488b21e", True: "043587cf"}
_PUBLIC: Final[dict[str, tuple[str, bool, Scheme | MultisigScript]]] = {
    "049d7cb2": ("ypub", False, Scheme.BIP49),
    "04b24746": ("zpub", False, Scheme.BIP84),
    "0295b43f": ("Ypub", False, MultisigScript.SH_WSH),
    "02aa7ed3": ("Zpub", False, MultisigScript.WSH),
    "044a5262": ("upub", True, Scheme.BIP49),
    "045f1cf6": ("vpub", True, Scheme.BIP84),
    "024289ef": ("Upub", True, MultisigScript.SH_WSH),
    "02575483": ("Vpub", True, MultisigScript.WSH),
}
_PRIVATE_MAIN: Final = ("0488ade4", "049d7878", "04b2430c", "0295b005", "02aa7a99")
_PRIVATE_TEST: Final = ("04358394", "044a4e28", "045f18bc", "024285b5", "02575048")
_LONGEST: Final = 120


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(reason, code="input.extended-key")


@dataclass(frozen=True, slots=True)
class PrefixedKey:
    """An extended key and the script its prefix promised; ``None`` for ``xpub`` and ``tpub``, which promise none."""

    xpub: ExtendedPublicKey
    script: Scheme | MultisigScript | None

    def __str__(self) -> str:
        return str(self.xpub)


def read_extended_key(text: str) -> PrefixedKey:
    """An ``xpub``, ``ypub``, ``zpub``, ``Ypub``, ``Zpub``, or ``tpub``, ``upub``, ``vpub``, ``Upub``, ``Vpub``.

    ``InvalidInputError`` (``input.extended-key``) for anything else; a private key is refused and not repeated.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise _invalid("the text is too long for an extended key")
    data = base58.decode_check(text)
    version = data[:4].hex()
    if version in _PRIVATE_MAIN or version in _PRIVATE_TEST:
        raise _invalid("this is an extended private key: give the public one, whose prefix ends in pub")
    if version not in _PUBLIC or len(data) != 78:
        return PrefixedKey(ExtendedPublicKey.from_text(text), None)
    _, testnet, script = _PUBLIC[version]
    plain = base58.encode_check(bytes.fromhex(_PLAIN[testnet]) + data[4:])
    return PrefixedKey(ExtendedPublicKey.from_text(plain), script)


def prefixed_text(key: ExtendedPublicKey, script: Scheme | MultisigScript) -> str:
    """The text with a prefix, for files of programs that tell scripts by it: nothing else should be given one.

    ``xpub`` and ``tpub`` for BIP-44 and plain ``sh``; taproot has no prefix (``input.scheme``).
    """
    if script in (Scheme.BIP44, MultisigScript.SH):
        return str(key)
    for version, (_, testnet, meant) in _PUBLIC.items():
        if testnet == key.testnet and meant is script:
            return base58.encode_check(bytes.fromhex(version) + base58.decode_check(str(key))[4:])
    raise InvalidInputError(f"SLIP-132 has no prefix for {script.name}", code="input.scheme")
