"""Wallet policies (BIP-388): a descriptor template with ``@0/**`` in the place of keys, the keys, and a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.descriptor_checksum import add_checksum
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.keys import KeyExpression, MusigExpression
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.keys import Key

MOST_NAME: Final = 64
_LONGEST: Final = 8192  # characters of a template
_KEY_INFO: Final = re.compile(r"(?:\[([0-9a-fA-F]{8}(?:/[0-9]+[h']?)*)\])?([xt]pub[0-9a-zA-Z]{107,108})")
_ONE: Final = r"@(?:0|[1-9][0-9]{0,3})"
_PLACEHOLDER: Final = re.compile(
    rf"(?:({_ONE})|musig\(({_ONE}(?:,{_ONE})*)\))/(?:\*\*|<(0|[1-9][0-9]{{0,9}});(0|[1-9][0-9]{{0,9}})>/\*)"
)
_TEMPLATE: Final = re.compile(r"[0-9a-z_(){},:K]*")
_HASH: Final = re.compile(r"(?:sha256|hash256)\([0-9a-f]{64}\)|(?:ripemd160|hash160)\([0-9a-f]{40}\)")
_LONG_HEX: Final = re.compile(r"[0-9a-f]{40,}")


def _invalid(reason: str, at: int | None = None) -> InvalidInputError:
    place = "" if at is None else f", character {at + 1} of its template"
    return InvalidInputError(f"this wallet policy is not possible{place}: {reason}", code="input.wallet-policy")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """``@i/<receive;change>/*``, or the same of a ``musig()`` of several; ``start`` and ``end`` in the template."""

    keys: tuple[int, ...]
    musig: bool
    receive: int
    change: int
    start: int
    end: int


def check_name(name: str) -> None:
    """Raise unless ``name`` has 1 to 64 printable ASCII characters and no spaces at its ends or side by side."""
    if not isinstance(name, str) or not name.isascii() or not name.isprintable() or not 0 < len(name) <= MOST_NAME:
        raise _invalid(f"its name has 1 to {MOST_NAME} printable ASCII characters")
    if name != name.strip() or "  " in name:
        raise _invalid("its name has no spaces at its ends and no two side by side: such names look alike")


@dataclass(frozen=True, slots=True)
class WalletPolicy:
    """``template`` over ``keys``, each an extended public key with its origin, if that is known.

    Checked when made: placeholders in order and without gaps, distinct keys, disjoint branches (BIP-388). What the
    script means is checked by :meth:`descriptor`.
    """

    name: str
    template: str
    keys: tuple[tuple[KeyOrigin | None, ExtendedPublicKey], ...]

    def __post_init__(self) -> None:
        check_name(self.name)
        found = placeholders(self.template)
        _check_rules(found, len(self.keys))
        if len({xpub.key for _, xpub in self.keys}) != len(self.keys):
            raise _invalid("a key stands in it twice")
        if len({xpub.testnet for _, xpub in self.keys}) != 1:
            raise _invalid("its keys belong to different networks")

    @classmethod
    def from_text(cls, name: str, template: str, keys: tuple[str, ...] | list[str]) -> WalletPolicy:
        """From a template and the texts of the key information vector."""
        return cls(name, template, tuple(_parse_key(key, place) for place, key in enumerate(keys)))

    @property
    def key_texts(self) -> tuple[str, ...]:
        """The key information vector as text, hardened steps with ``'`` as devices demand."""
        return tuple(_key_text(origin, xpub, mark="'") for origin, xpub in self.keys)

    def descriptor_text(self) -> str:
        """The multipath descriptor (BIP-389) as text with its checksum, also where it holds miniscript."""
        texts = [_key_text(origin, xpub) for origin, xpub in self.keys]
        parts, last = [], 0
        for one in placeholders(self.template):
            inside = ",".join([texts[key] for key in one.keys])
            parts += [self.template[last : one.start], f"musig({inside})" if one.musig else inside]
            parts.append(f"/<{one.receive};{one.change}>/*")
            last = one.end
        return add_checksum("".join([*parts, self.template[last:]]))

    def descriptor(self) -> Descriptor:
        """The descriptor; ``InvalidInputError`` (``input.descriptor``) where the template makes none."""
        return Descriptor.parse(self.descriptor_text())

    @classmethod
    def from_descriptor(cls, name: str, descriptor: Descriptor) -> WalletPolicy:
        """The policy of a descriptor whose keys all are extended public keys that end in ``/<M;N>/*``."""
        known: dict[tuple[KeyOrigin | None, ExtendedPublicKey], int] = {}

        def number(key: KeyExpression) -> str:
            if not isinstance(key.key, ExtendedPublicKey):
                raise _invalid("each of its keys must be an extended key")
            return f"@{known.setdefault((key.origin, key.key), len(known))}"

        def write(key: Key) -> str:
            step = key.steps[0] if len(key.steps) == 1 else ()
            if not isinstance(step, tuple) or len(step) != 2 or max(step) >= HARDENED or key.wildcard != 0:
                raise _invalid("each of its keys must end in /<M;N>/*")
            tail = "/**" if step == (0, 1) else f"/<{step[0]};{step[1]}>/*"
            if isinstance(key, MusigExpression):
                if any(one.steps or one.ranged for one in key.participants):
                    raise _invalid("derivation inside musig() is not allowed")
                return f"musig({','.join([number(one) for one in key.participants])}){tail}"
            return number(key) + tail

        template = descriptor.node.text(write)
        if descriptor.private:
            raise _invalid("its descriptor holds a private key")
        return cls(name, template, tuple(known))

    def to_json(self) -> dict[str, Any]:
        """Strings only; see ``from_json``."""
        return {"version": 1, "name": self.name, "template": self.template, "keys": list(self.key_texts)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WalletPolicy:
        """The reverse of ``to_json``; ``InvalidInputError`` (``input.wallet-policy``) on anything else."""
        try:
            if data["version"] != 1 or not isinstance(data["template"], str) or not isinstance(data["keys"], list):
                raise KeyError("version")
            return cls.from_text(data["name"], data["template"], data["keys"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _invalid("its record is not one of version 1") from error


def _key_text(origin: KeyOrigin | None, xpub: ExtendedPublicKey, *, mark: str = "h") -> str:
    return str(xpub) if origin is None else f"[{str(origin).replace('h', mark)}]{xpub}"


def _parse_key(text: str, place: int) -> tuple[KeyOrigin | None, ExtendedPublicKey]:
    match = _KEY_INFO.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _invalid(f"key @{place} is not an extended public key, with its origin in brackets before it or without")
    try:
        return None if match[1] is None else KeyOrigin.from_text(match[1]), ExtendedPublicKey.from_text(match[2])
    except InvalidInputError as error:
        raise _invalid(f"key @{place}: {error.message}") from error


def placeholders(template: str) -> list[Placeholder]:
    """The key placeholders in order; ``InvalidInputError`` for a template that holds anything else in their place."""
    if not isinstance(template, str) or len(template) > _LONGEST:
        raise _invalid(f"its template is a text of at most {_LONGEST} characters")
    found: list[Placeholder] = []
    rest, last = [], 0
    for match in _PLACEHOLDER.finditer(template):
        one, several, receive, change = match.groups()
        keys = tuple(int(key[1:]) for key in (one or several).split(","))
        branches = (0, 1) if receive is None else (int(receive), int(change))
        if branches[0] == branches[1] or max(branches) >= HARDENED:
            raise _invalid("the two branches of a key are distinct and below 2147483648", match.start())
        if len(set(keys)) != len(keys):
            raise _invalid("a key stands twice in one musig()", match.start())
        found.append(Placeholder(keys, one is None, *branches, *match.span()))
        rest += [template[last : match.start()], "K" * len(match[0])]
        last = match.end()
    outside = "".join([*rest, template[last:]])
    plain = _TEMPLATE.match(outside)
    at = 0 if plain is None else plain.end()
    if at != len(outside) or "K" in template:
        raise _invalid("a key is written @i/** or @i/<M;N>/*, and nothing but such keys may stand there", at)
    if "musig(" in outside:
        raise _invalid("musig() holds bare @i, and its branches stand behind it", outside.index("musig("))
    bare = _LONG_HEX.search(_HASH.sub(lambda hashed: "_" * len(hashed[0]), outside))
    if bare is not None:
        raise _invalid("a key of its own stands in the template: give it a place in the list of keys", bare.start())
    return found


def _check_rules(found: list[Placeholder], count: int) -> None:
    highest = -1
    used: dict[frozenset[int], set[int]] = {}
    for one in found:
        for key in one.keys:
            if key > highest + 1:
                raise _invalid(f"@{key} stands before @{highest + 1}: keys are numbered in their order", one.start)
            highest = max(highest, key)
        taken = used.setdefault(frozenset(one.keys) | ({-1} if one.musig else set()), set())
        if not taken.isdisjoint((one.receive, one.change)):
            raise _invalid("the same key and branch stands in it twice", one.start)
        taken.update((one.receive, one.change))
    if not found or highest + 1 != count:
        raise _invalid(f"its template names {highest + 1} keys and its list holds {count}: both at least one")
