"""What a label may point at (BIP-329), each kind of reference checked, and the origin that names its wallet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.crypto import bech32
from bursar.crypto.secp256k1 import parse_public_key
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor
    from bursar.bitcoin.descriptors.keys import Key

_TXID: Final = re.compile(r"[0-9a-f]{64}")
_PLACE: Final = re.compile(r"([0-9a-f]{64}):(0|[1-9][0-9]{0,9})")
_HEX: Final = re.compile(r"[0-9a-f]+")
_ORIGIN: Final = re.compile(r"\[([0-9a-fA-F]{8}(?:/[0-9]{1,10}[hH']?)*)\]")
_SCRIPT: Final = re.compile(r"[0-9a-z_(){},:@]+")
_NETWORKS: Final = (Network.MAIN, Network.TESTNET, Network.REGTEST)
_LONGEST_ORIGIN: Final = 8192
_SCAN_PREFIXES: Final = ("spscan", "tspscan")
_SCAN_LONGEST: Final = 200


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(f"this label cannot be used: {reason}", code="input.labels.reference")


def checked_reference(kind: str, text: str) -> str:
    """``text`` in its canonical form if it is a reference of the kind (``tx``, ``addr`` …).

    ``InvalidInputError`` (``input.labels.reference``) if it is not.
    """
    if not isinstance(text, str) or not text.isascii() or not 0 < len(text) <= _SCAN_LONGEST:
        raise _invalid("what it refers to is a short text")
    if kind == "tx":
        if not _TXID.fullmatch(text.lower()):
            raise _invalid(f"{text[:80]!r} is not a transaction id of 64 hex digits")
        return text.lower()
    if kind in ("input", "output"):
        match = _PLACE.fullmatch(text.lower())
        if match is None or int(match[2]) > 0xFFFFFFFF:
            raise _invalid(f"{text[:80]!r} is not a transaction id, a colon and a number")
        return text.lower()
    if kind == "pubkey":
        return _public_key(text.lower())
    if kind == "addr":
        return _address(text)
    try:
        if kind == "xpub":
            return str(ExtendedPublicKey.from_text(text))
        prefix, values, variant = bech32.decode_raw(text, limit=_SCAN_LONGEST)
    except InvalidInputError as error:
        raise _invalid(error.message) from error
    if prefix not in _SCAN_PREFIXES or variant is not bech32.Variant.BECH32M or not values:
        raise _invalid("a scan key begins with spscan1 or tspscan1; one that begins otherwise may hold secrets")
    return text.lower()


def _public_key(text: str) -> str:
    if not _HEX.fullmatch(text) or len(text) not in (64, 66, 130):
        raise _invalid("a public key has 32, 33 or 65 bytes of hex")
    raw = bytes.fromhex(text)
    try:
        parse_public_key(b"\x02" + raw if len(raw) == 32 else raw)
    except InvalidInputError as error:
        raise _invalid(f"{text[:16]}… is not a public key") from error
    return text


def _address(text: str) -> str:
    problem = None
    for network in _NETWORKS:
        try:
            return Address.from_text(text, network).text
        except InvalidInputError as error:
            if error.code != "input.address.network":
                problem = error
    raise _invalid(problem.message if problem else f"{text[:90]!r} is no address") from problem


def check_origin(text: str) -> None:
    """Raise unless ``text`` is an abbreviated descriptor: script expressions over bare ``[fingerprint/path]``."""
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_ORIGIN:
        raise _invalid("an origin is an abbreviated descriptor")
    origins = _ORIGIN.findall(text)
    rest = _ORIGIN.sub("@", text)
    if not origins or not _SCRIPT.fullmatch(rest) or rest.count("(") != rest.count(")") or "(" not in rest:
        raise _invalid(
            f"the origin {text[:60]!r} is no abbreviated descriptor such as wpkh([d34db33f/84h/0h/0h]), without keys"
        )
    try:
        for one in origins:
            KeyOrigin.from_text(one)
    except InvalidInputError as error:
        raise _invalid(f"its origin: {error.message}") from error


def same_origin(text: str) -> str:
    """The origin in one spelling, for comparing: ``h`` for hardened steps, lower case."""
    return _ORIGIN.sub(lambda match: f"[{KeyOrigin.from_text(match[1])}]", text)


def origin_of(descriptor: Descriptor) -> str | None:
    """The abbreviated descriptor of a wallet; ``None`` where a key has no origin: it would tell nothing apart."""
    missing = [key for key in descriptor.keys if key.origin is None]
    if missing or not descriptor.keys:
        return None

    def write(key: Key) -> str:
        names = ",".join([f"[{one.origin}]" for one in key.single])
        return names if len(key.single) == 1 else f"musig({names})"

    return descriptor.node.text(write)
