"""Key expressions as text (BIP-380, 389, 390): what may stand where, and what is wrong with the rest."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.descriptors.keys import Key, KeyExpression, MusigExpression
from bursar.crypto import base58
from bursar.crypto.secp256k1 import check_secret_key, parse_public_key, public_key, uncompressed
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED, DerivationPath

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.keys import Step
    from bursar.bitcoin.miniscript.reader import Reader

MOST_BRANCHES: Final = 256
_MOST_PARTICIPANTS: Final = 999
_DEEPEST: Final = 255
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_FINGERPRINT: Final = re.compile(r"[0-9a-fA-F]{8}(?![0-9a-zA-Z])")
_WIF_VERSIONS: Final = {0x80: False, 0xEF: True}


class Place(Enum):
    """Where an expression stands; each has rules of its own."""

    TOP = "the top level"
    SH = "sh()"
    WSH = "wsh()"
    TR = "tr()"
    MUSIG = "musig()"


class KeyParser:
    """Reads key expressions, and sees to it that all of one descriptor agree on network and branches."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.testnet: bool | None = None
        self.branches: int | None = None

    def key(self, place: Place, *, compressed: bool = False) -> Key:
        """A key expression; ``compressed`` refuses uncompressed keys where ``place`` alone would not."""
        reader = self._reader
        start = reader.at
        if reader.accept("musig("):
            if place is not Place.TR:
                raise reader.refusal(f"musig() is a key for tr() and rawtr(), not for {place.value}", start)
            return self._musig()
        return self._single(place, compressed or place not in (Place.TOP, Place.SH))

    def _musig(self) -> MusigExpression:
        reader = self._reader
        participants = [self._single(Place.MUSIG, True)]
        while reader.accept(","):
            if len(participants) == _MOST_PARTICIPANTS:
                raise reader.refusal(f"musig() has more than {_MOST_PARTICIPANTS} keys")
            participants.append(self._single(Place.MUSIG, True))
        reader.expect(")", "behind the keys of musig()")
        below = reader.at
        steps, wildcard = self._steps(deepest=_DEEPEST)
        if steps or wildcard is not None:
            hard = any(one >= HARDENED for step in steps for one in (step if isinstance(step, tuple) else (step,)))
            if hard or wildcard:
                raise reader.refusal("an aggregate key has no hardened children", below)
            for one in participants:
                if one.ranged or one.branches:
                    raise reader.refusal("steps stand both inside musig() and behind it", below)
                if not isinstance(one.key, ExtendedPublicKey):
                    raise reader.refusal("steps behind musig() need every key inside to be an extended key", below)
        return MusigExpression(tuple(participants), steps, wildcard)

    def _single(self, place: Place, compressed: bool) -> KeyExpression:
        reader = self._reader
        origin = self._origin()
        start = reader.at
        if reader.next == "[":
            raise reader.refusal("a key has one origin only")
        word = reader.word()
        if not word:
            raise reader.refusal("a key is missing" + (" behind its origin" if origin else ""), start)
        if reader.next == "(":
            raise reader.refusal("a key belongs here, not another expression", start)
        found = self._extended(word, origin, start) or self._plain(word, origin, place, start)
        if found.size == 65 and compressed:
            raise reader.refusal("uncompressed keys do not belong into segwit scripts", start)
        self._agree(found, start)
        return found

    def _agree(self, key: KeyExpression, start: int) -> None:
        if key.testnet is not None:
            if self.testnet is not None and self.testnet is not key.testnet:
                raise self._reader.refusal("this key belongs to another network than those before it", start)
            self.testnet = key.testnet

    def _origin(self) -> KeyOrigin | None:
        reader = self._reader
        if not reader.accept("["):
            return None
        match = _FINGERPRINT.match(reader.text, reader.at)
        if match is None:
            raise reader.refusal("a fingerprint is eight hexadecimal digits")
        reader.at = match.end()
        steps: list[int] = []
        while reader.accept("/"):
            if len(steps) == _DEEPEST:
                raise reader.refusal(f"an origin has at most {_DEEPEST} steps")
            steps.append(reader.step())
        reader.expect("]", "behind the key origin")
        return KeyOrigin(Fingerprint(bytes.fromhex(match[0])), DerivationPath(tuple(steps)))

    def _extended(self, word: str, origin: KeyOrigin | None, start: int) -> KeyExpression | None:
        kind = word[1:4]
        if word[0] not in "xt" or kind not in ("pub", "prv"):
            return None
        private = None
        try:
            if kind == "prv":
                private = ExtendedPrivateKey.from_text(Secret.from_text(word))
                key = private.public()
            else:
                key = ExtendedPublicKey.from_text(word)
        except InvalidInputError as error:
            raise self._reader.refusal(error.message, start) from error
        steps, wildcard = self._steps(deepest=_DEEPEST - key.depth)
        return KeyExpression(key, origin, steps, wildcard, private=private)

    def _plain(self, word: str, origin: KeyOrigin | None, place: Place, start: int) -> KeyExpression:
        reader = self._reader
        if reader.next == "/":
            raise reader.refusal("only an extended key has children")
        if _HEX.fullmatch(word):
            return self._hexadecimal(word, origin, place, start)
        try:
            payload = base58.decode_check(word)
            testnet = _WIF_VERSIONS.get(payload[0]) if payload else None
            if testnet is None or not (len(payload) == 33 or (len(payload) == 34 and payload[33] == 1)):
                raise reader.refusal("this is not a key: neither hexadecimal, nor extended, nor a private key", start)
            check_secret_key(payload[1:33])
        except InvalidInputError as error:
            if error.code == "input.descriptor":
                raise
            raise reader.refusal(f"this is not a key: {error.message}", start) from error
        key = public_key(payload[1:33])
        x_only = place is Place.TR and len(payload) == 34
        if x_only:
            key = b"\x02" + key[1:]
        elif len(payload) == 33:
            key = uncompressed(key)
        return KeyExpression(key, origin, x_only=x_only, private=Secret(payload[1:33]), wif_testnet=testnet)

    def _hexadecimal(self, word: str, origin: KeyOrigin | None, place: Place, start: int) -> KeyExpression:
        reader = self._reader
        if len(word) not in (64, 66, 130):
            raise reader.refusal("a public key has 66 hexadecimal digits, 130 uncompressed, or 64 in tr()", start)
        if len(word) == 64 and place is not Place.TR:
            raise reader.refusal(f"keys of 64 digits stand only inside tr(), not in {place.value}", start)
        raw = bytes.fromhex(word)
        key = b"\x02" + raw if len(raw) == 32 else raw
        try:
            parse_public_key(key)
        except InvalidInputError as error:
            raise reader.refusal(error.message, start) from error
        return KeyExpression(key, origin, x_only=len(raw) == 32)

    def _steps(self, *, deepest: int) -> tuple[tuple[Step, ...], int | None]:
        reader = self._reader
        steps: list[Step] = []
        multipath = False
        while reader.accept("/"):
            start = reader.at
            if len(steps) >= deepest:
                raise reader.refusal(f"the key is deeper than the {_DEEPEST} steps there can be", start)
            if reader.accept("*"):
                return tuple(steps), HARDENED if reader.accept("h") or reader.accept("'") else 0
            if reader.accept("<"):
                if multipath:
                    raise reader.refusal("a key has one multipath step only", start)
                multipath = True
                steps.append(self._alternatives(start))
            else:
                steps.append(reader.step())
        return tuple(steps), None

    def _alternatives(self, start: int) -> tuple[int, ...]:
        reader = self._reader
        found = [reader.step()]
        while reader.accept(";"):
            at = reader.at
            found.append(reader.step())
            if found[-1] in found[:-1]:
                raise reader.refusal("this multipath step has one index twice", at)
            if len(found) > MOST_BRANCHES:
                raise reader.refusal(f"a multipath step has at most {MOST_BRANCHES} indexes", at)
        reader.expect(">", "behind the indexes of a multipath step")
        if len(found) < 2:
            raise reader.refusal("a multipath step has two or more indexes", start)
        if self.branches not in (None, len(found)):
            raise reader.refusal(f"this multipath step has {len(found)} indexes, another one {self.branches}", start)
        self.branches = len(found)
        return tuple(found)
