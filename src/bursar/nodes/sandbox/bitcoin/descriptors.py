"""Descriptors as a node's scans take them: addr, raw, pk, pkh, wpkh, sh(wpkh), tr, rawtr, combo (BIP-380 to 386)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bursar.bitcoin import script as scripts
from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptor import add_checksum, strip_checksum
from bursar.bitcoin.network import Network
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import parse_public_key, taproot_output_key
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import HARDENED

MAX_RANGE: Final = 1_000_000
DEFAULT_RANGE: Final = (0, 1000)
_SHAPE: Final = re.compile(r"(addr|raw|pk|pkh|wpkh|tr|rawtr|combo)\(([^()]*)\)|sh\(wpkh\(([^()]*)\)\)")
_KEY: Final = re.compile(r"(?:\[([^\]]*)\])?([0-9a-zA-Z]+)((?:/[0-9]+)*)(/\*)?")


@dataclass(frozen=True, slots=True)
class _Key:
    """A key expression: one public key, or an extended key with steps below it and perhaps ``/*`` at the end."""

    origin: str
    key: bytes | None
    xpub: ExtendedPublicKey | None
    steps: tuple[int, ...]
    ranged: bool

    @property
    def uncompressed(self) -> bool:
        """Whether it is one key of 65 bytes."""
        return self.key is not None and len(self.key) == 65

    def at(self, index: int) -> tuple[bytes, str]:
        """The public key at ``index``, and its expression with origin."""
        if self.xpub is None:
            assert self.key is not None
            origin = self.origin or hash160(self.key)[:4].hex()  # Core: a key alone is its own master
            return self.key, f"[{origin}]{self.key.hex()}"
        path = (*self.steps, index) if self.ranged else self.steps
        key = self.xpub.derive(path).key
        origin = self.origin or str(self.xpub.fingerprint)
        return key, f"[{'/'.join([origin, *map(str, path)])}]{key.hex()}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A parsed descriptor: ``text`` without checksum, ``function`` the outermost word, and what is in it."""

    text: str
    function: str
    fixed: bytes | None
    key: _Key | None

    @property
    def ranged(self) -> bool:
        """Whether it stands for a series of scripts."""
        return self.key is not None and self.key.ranged

    @property
    def solvable(self) -> bool:
        """Whether it says how to spend."""
        return self.key is not None

    @classmethod
    def parse(cls, text: str) -> Descriptor:
        """With or without checksum; ``InvalidInputError`` (``input.descriptor``) for what this node cannot scan."""
        bare = strip_checksum(text, required=False)
        match = _SHAPE.fullmatch(bare)
        if match is None:
            raise InvalidInputError(f"'{bare[:60]}' is not a descriptor this node understands", code="input.descriptor")
        function, inside = (match[1], match[2]) if match[1] else ("sh", match[3])
        if function == "addr":
            return cls(bare, function, Address.from_text(inside, Network.REGTEST).script, None)
        if function == "raw":
            return cls(bare, function, _hex(inside), None)
        key = _parse_key(inside, x_only=function in ("tr", "rawtr"))
        if key.uncompressed and function not in ("pk", "pkh", "combo"):
            inner = {"tr": "tr(): ", "rawtr": ""}.get(function, "wpkh(): ")
            raise InvalidInputError(f"{inner}Uncompressed keys are not allowed", code="input.descriptor")
        return cls(bare, function, None, key)

    def scripts(self, begin: int = 0, end: int = 0) -> list[tuple[bytes, str | None]]:
        """Each script with the descriptor of just that one (``None``: what the script alone tells)."""
        if self.fixed is not None:
            return [(self.fixed, None)]
        assert self.key is not None
        found: list[tuple[bytes, str | None]] = []
        for index in range(begin, end + 1) if self.ranged else (0,):
            key, expression = self.key.at(index)
            if self.function == "combo":
                forms = _COMBO[:2] if self.key.uncompressed else _COMBO
                found += [(make(key), add_checksum(form.format(expression))) for make, form in forms]
            else:
                make, form = _FORMS[self.function]
                shown = expression if self.function not in ("tr", "rawtr") else _x_only_expression(expression)
                found.append((make(key), add_checksum(form.format(shown))))
        return found


def _x_only_expression(expression: str) -> str:
    head, bracket, key = expression.rpartition("]")
    return f"{head}{bracket}{key[2:]}"


def _pk(key: bytes) -> bytes:
    return scripts.push(key) + b"\xac"


def _pkh(key: bytes) -> bytes:
    return scripts.p2pkh(hash160(key))


def _wpkh(key: bytes) -> bytes:
    return scripts.p2wpkh(hash160(key))


def _sh_wpkh(key: bytes) -> bytes:
    return scripts.p2sh(hash160(_wpkh(key)))


def _tr(key: bytes) -> bytes:
    return scripts.p2tr(taproot_output_key(key[1:])[0])


def _rawtr(key: bytes) -> bytes:
    return scripts.p2tr(key[1:])


_Maker = Callable[[bytes], bytes]
_FORMS: Final[dict[str, tuple[_Maker, str]]] = {
    "pk": (_pk, "pk({})"),
    "pkh": (_pkh, "pkh({})"),
    "wpkh": (_wpkh, "wpkh({})"),
    "sh": (_sh_wpkh, "sh(wpkh({}))"),
    "tr": (_tr, "tr({})"),
    "rawtr": (_rawtr, "rawtr({})"),
}
_COMBO: Final = tuple(_FORMS[name] for name in ("pk", "pkh", "wpkh", "sh"))


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidInputError(f"'{text[:60]}' is not hexadecimal", code="input.descriptor") from None


def _parse_key(text: str, *, x_only: bool) -> _Key:
    match = _KEY.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            f"key expression '{text[:120]}' is not [origin]key or [origin]xpub/…: hardened steps need a private key",
            code="input.descriptor",
        )
    origin = str(KeyOrigin.from_text(match[1])) if match[1] else ""
    steps = tuple(int(step) for step in match[3].split("/")[1:])
    if any(step >= HARDENED for step in steps):
        raise InvalidInputError("a step of a key expression is 2^31 or more", code="input.descriptor")
    if len(match[2]) in (64, 66, 130) and not match[3] and not match[4]:
        if len(match[2]) == 64 and not x_only:
            raise InvalidInputError(f"key '{match[2]}' is x-only outside tr()", code="input.descriptor")
        raw = _hex(match[2])
        parse_public_key(b"\x02" + raw if len(raw) == 32 else raw)
        return _Key(origin, b"\x02" + raw if len(raw) == 32 else raw, None, (), False)
    return _Key(origin, None, ExtendedPublicKey.from_text(match[2]), steps, match[4] is not None)
