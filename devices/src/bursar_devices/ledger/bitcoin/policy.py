"""Wallet policies as the app takes them from the host: header, template and keys (BIP-388), and their HMAC."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.path import HARDENED
from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.bitcoin.miniscript import check_types
from bursar_devices.ledger.bitcoin.scripts import output_script
from bursar_devices.ledger.bitcoin.template import LONGEST, KeyExpression, Node, TemplateError, Tree, leaves, parse

if TYPE_CHECKING:
    from bursar_devices.ledger.bitcoin.host import Asking, Host
    from bursar_devices.ledger.bitcoin.paths import Keyring

LONGEST_NAME: Final = 64
LONGEST_SERIALIZED: Final = 148
LONGEST_KEY: Final = 162
HIGHEST_ACCOUNT: Final = 100
_SLIP21_LABEL: Final = b"LEDGER-Wallet policy"
_KEY: Final = re.compile(r"(?:\[([0-9a-f]{8})((?:/(?:0|[1-9][0-9]{0,9})'?){0,8})\])?([0-9A-Za-z]{111,112})(/\*\*)?")
_PURPOSES: Final = {"pkh": 44, "wpkh": 84, "tr": 86}


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One key of a policy: its origin, if told, and the extended key."""

    fingerprint: bytes | None
    path: tuple[int, ...]
    text: str
    xpub: ExtendedPublicKey

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(raw: bytes, version: int) -> KeyInfo | None:
        """As the app reads it: origin steps marked by ' only, no wildcard in version 2, one in version 1."""
        match = _KEY.fullmatch(raw.decode("latin-1"))
        if match is None or (match[4] is None) != (version == 2):
            return None
        steps = []
        for step in (match[2] or "").split("/")[1:]:
            number = int(step.rstrip("'"))
            if number >= HARDENED:
                return None
            steps.append(number + (HARDENED if step.endswith("'") else 0))
        try:
            xpub = ExtendedPublicKey.from_text(match[3])
        except InvalidInputError:
            return None
        return KeyInfo(bytes.fromhex(match[1]) if match[1] else None, tuple(steps), match[3], xpub)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy's header and its template, as read; the keys are fetched when they are needed."""

    version: int
    name: bytes
    text: str
    template: Node
    key_count: int
    keys_root: bytes
    serialized: bytes

    @property
    def id(self) -> bytes:
        """What the HMAC is over."""
        return sha256(self.serialized).digest()

    @classmethod
    def fetch(cls, host: Host, policy_id: bytes) -> Asking:
        """The policy with this id, or ``None``."""
        serialized = yield from host.preimage(policy_id, LONGEST_SERIALIZED)
        if serialized is None:
            return None
        return (yield from cls.read(host, serialized))

    @classmethod
    def read(cls, host: Host, serialized: bytes) -> Asking:
        """The policy serialized in these bytes, the template fetched in version 2; ``None`` if it is not readable."""
        reader = Reader(serialized)
        try:
            version, name = reader.byte(), reader.take(reader.byte())
            size = reader.varint()
            if version not in (1, 2) or len(name) > LONGEST_NAME or size > (40 if version == 1 else LONGEST):
                return None
            text = reader.take(size if version == 1 else 32)
            key_count, keys_root = reader.varint(), reader.take(32)
        except EOFError:
            return None
        if key_count > 252:
            return None
        serialized = serialized[: len(serialized) - reader.left]
        if version == 2:
            text = yield from host.preimage(text, LONGEST)
            if text is None:
                return None
            text = text[:size]
        try:
            decoded = text.decode("latin-1")
            template = parse(decoded if version == 2 else re.sub(r"@(\d+)", r"@\1/**", decoded))
            check_types(template)
        except TemplateError:
            return None
        return cls(version, name, decoded, template, key_count, keys_root, serialized)

    def key_info(self, host: Host, index: int) -> Asking:
        """Key ``index``, or ``None``."""
        raw = yield from host.leaf(self.keys_root, self.key_count, index, LONGEST_KEY)
        return None if raw is None else KeyInfo.parse(raw, self.version)

    def is_standard(self, host: Host, keys: Keyring) -> Asking:
        """Whether it may be used without registration: one own key at its BIP-44, 49, 84 or 86 account."""
        purpose = _purpose(self.template)
        if purpose is None or self.key_count != 1:
            return False
        info = yield from self.key_info(host, 0)
        if info is None or info.fingerprint is None or not keys.owns(info.fingerprint, info.path, info.text):
            return False
        path = info.path
        return (
            len(path) == 3
            and path[0] == HARDENED + purpose
            and path[1] == HARDENED + keys.coin_type
            and HARDENED <= path[2] <= HARDENED + HIGHEST_ACCOUNT
        )


def _purpose(node: Node) -> int | None:
    inner, purpose = node, _PURPOSES.get(node.name)
    if node.name == "sh" and node.children[0].name == "wpkh":
        inner, purpose = node.children[0], 49
    if purpose is None or inner.tree is not None:
        return None
    return purpose if inner.keys[0] == KeyExpression((0,), 0, 1) else None


def hmac_of(keys: Keyring, policy_id: bytes) -> bytes:
    """What the device hands out at registration and wants to see again: HMAC-SHA-256 under a SLIP-21 key."""
    return hmac.digest(keys.symmetric_key(_SLIP21_LABEL), policy_id, "sha256")


@lru_cache(maxsize=1024)
def _branch(xpub: ExtendedPublicKey, step: int) -> ExtendedPublicKey:
    return xpub.child(step)


@dataclass(frozen=True, slots=True)
class Place:
    """A policy's keys at one address: branch and index chosen."""

    policy: Policy
    xpubs: dict[int, ExtendedPublicKey]
    change: bool
    index: int

    @classmethod
    def fetch(cls, host: Host, policy: Policy, change: bool, index: int, *, part: Tree | None = None) -> Asking:
        """The keys of the whole template or of ``part``, asked for as often as the app does; ``None`` if one is bad."""
        place = cls(policy, {}, change, index)
        if part is None:
            found = yield from place._gather(host, policy.template)
        else:
            found = yield from place._gather_leaves(host, part)
        return place if found else None

    def _gather(self, host: Host, node: Node) -> Asking:
        """Ask for the keys of a fragment in the order of its script."""
        for expression in node.keys:
            if not (yield from self._ask(host, expression)):
                return False
        if node.name.startswith("sorted") and not host.remember:
            yield from self._ask_while_sorting(host, node)
        children = node.children
        for child in (children[0], children[2], children[1]) if node.name == "andor" else children:
            if not (yield from self._gather(host, child)):
                return False
        return node.tree is None or (yield from self._gather_leaves(host, node.tree))

    def _gather_leaves(self, host: Host, tree: Tree) -> Asking:
        """Each leaf twice: the app first measures its script, then hashes it."""
        for leaf in leaves(tree):
            for _ in range(1 if host.remember else 2):
                if not (yield from self._gather(host, leaf)):
                    return False
        return True

    def _ask_while_sorting(self, host: Host, node: Node) -> Asking:
        """The app has no room for all keys: it looks for the smallest left, again and again."""
        skip = 1 if node.name.endswith("_a") else 0
        order = sorted(node.keys, key=lambda expression: self.key_at(expression)[skip:])
        for done in range(1, len(order)):
            for expression in node.keys:
                if expression not in order[:done]:
                    yield from self._ask(host, expression)

    def _ask(self, host: Host, expression: KeyExpression) -> Asking:
        for number in expression.indexes:
            info: KeyInfo | None = yield from self.policy.key_info(host, number)
            if info is None:
                return False
            self.xpubs[number] = info.xpub
        return True

    def key_at(self, expression: KeyExpression) -> bytes:
        """The 33-byte key of an expression here."""
        if expression.musig:
            raise RefusalError(Status.BAD_STATE)  # aggregating keys (BIP-327) is not simulated
        xpub = self.xpubs[expression.indexes[0]]
        return _branch(xpub, expression.step(self.change)).child(self.index).key

    def script(self) -> bytes:
        """The output script here; InvalidInputError where BIP-32 has no key."""
        return output_script(self.policy.template, self.key_at)
