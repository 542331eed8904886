"""The shapes of wallet that most programs know: one key, or multisig, each key with branches 0 and 1 below it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.keys import Key, KeyExpression, MusigExpression, Step
from bursar.bitcoin.descriptors.nodes import Multi, Node, Wrapped
from bursar.bitcoin.formats.wallet_file import invalid
from bursar.bitcoin.multisig import MultisigKind
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.scheme import MultisigScript, Scheme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.keys.origin import KeyOrigin

_BRANCHES: Final = ((0, 1),)
_WRAPPERS: Final = {
    Scheme.BIP44: ("pkh(", ")"),
    Scheme.BIP49: ("sh(wpkh(", "))"),
    Scheme.BIP84: ("wpkh(", ")"),
    Scheme.BIP86: ("tr(", ")"),
}
SCRIPTS: Final = {
    MultisigKind.SH: MultisigScript.SH,
    MultisigKind.SH_WSH: MultisigScript.SH_WSH,
    MultisigKind.WSH: MultisigScript.WSH,
}
KINDS: Final = {script: kind for kind, script in SCRIPTS.items()}


@dataclass(frozen=True, slots=True)
class SingleKey:
    """One extended key and its scheme."""

    scheme: Scheme
    key: KeyExpression

    @property
    def xpub(self) -> ExtendedPublicKey:
        """The extended key."""
        return _xpub(self.key)


@dataclass(frozen=True, slots=True)
class SomeOfMany:
    """Multisig over extended keys."""

    kind: MultisigKind
    threshold: int
    sorted: bool
    keys: tuple[KeyExpression, ...]

    @property
    def xpubs(self) -> tuple[ExtendedPublicKey, ...]:
        """The extended keys."""
        return tuple(_xpub(key) for key in self.keys)


def _xpub(key: KeyExpression) -> ExtendedPublicKey:
    assert isinstance(key.key, ExtendedPublicKey)
    return key.key


def single_key(descriptor: Descriptor) -> SingleKey | None:
    """The shape of a descriptor, if it is this one."""
    if len(descriptor.keys) != 1 or not _plain(descriptor.node.keys):
        return None
    text = descriptor.node.text(lambda _: "@")
    scheme = next((one for one, (before, after) in _WRAPPERS.items() if text == f"{before}@{after}"), None)
    return None if scheme is None else SingleKey(scheme, descriptor.keys[0])


def some_of_many(descriptor: Descriptor) -> SomeOfMany | None:
    """The shape of a descriptor, if it is this one."""
    node: Node = descriptor.node
    names = []
    while isinstance(node, Wrapped):
        names.append(node.name)
        node = node.inner
    kind = next((one for one in MultisigKind if one.value == "-".join(names)), None)
    if kind is None or not isinstance(node, Multi) or not _plain(node.keys):
        return None
    return SomeOfMany(kind, node.threshold, node.sorted, descriptor.keys)


def _plain(keys: tuple[Key, ...]) -> bool:
    return all(
        isinstance(key, KeyExpression)
        and isinstance(key.key, ExtendedPublicKey)
        and key.steps == _BRANCHES
        and key.wildcard == 0
        for key in keys
    )


def of_single_key(scheme: Scheme, origin: KeyOrigin | None, xpub: ExtendedPublicKey) -> Descriptor:
    """The descriptor of one key with branches 0 and 1."""
    before, after = _WRAPPERS[scheme]
    return Descriptor.parse(f"{before}{KeyExpression(xpub, origin, _BRANCHES, 0)}{after}")


def of_many(
    kind: MultisigKind,
    threshold: int,
    keys: Sequence[tuple[KeyOrigin | None, ExtendedPublicKey]],
    *,
    in_order: bool = False,
) -> Descriptor:
    """The descriptor of a multisig with branches 0 and 1; ``in_order``: as given, not sorted by BIP-67."""
    if not 1 <= threshold <= len(keys):
        raise invalid(f"{threshold} of {len(keys)} keys can never sign")
    if len({xpub.key for _, xpub in keys}) != len(keys):
        raise invalid("a key stands in it twice")
    expressions = tuple(KeyExpression(xpub, origin, _BRANCHES, 0) for origin, xpub in keys)
    node: Node = Multi("multi" if in_order else "sortedmulti", threshold, expressions)
    if kind is not MultisigKind.SH:
        node = Wrapped("wsh", node)
    return Descriptor.of(node if kind is MultisigKind.WSH else Wrapped("sh", node))


def with_change(descriptor: Descriptor, *, bare: bool = False) -> Descriptor | None:
    """The two-branch descriptor whose branch 0 this one is, by the custom that change goes to ``/1/*``.

    ``None`` where it does not end in ``/0/*`` throughout. With ``bare``, extended keys with nothing behind them count.
    """

    def widen(key: Key) -> Key:
        if isinstance(key, KeyExpression) and not isinstance(key.key, ExtendedPublicKey):
            raise invalid("a key of it is not extended")
        steps: tuple[Step, ...] = key.steps
        if bare and isinstance(key, KeyExpression) and not steps and key.wildcard is None:
            return replace(key, steps=_BRANCHES, wildcard=0)
        if isinstance(key, MusigExpression) and not steps and key.wildcard is None:
            return replace(key, participants=tuple(_single(widen(one)) for one in key.participants))
        if not steps or steps[-1] != 0 or key.wildcard != 0:
            raise invalid("a key of it does not end in /0/*")
        return replace(key, steps=(*steps[:-1], _BRANCHES[0]))

    if descriptor.branches != 1 or not descriptor.keys:
        return None
    try:
        return Descriptor.of(descriptor.node.changed(widen))
    except InvalidInputError:
        return None


def _single(key: Key) -> KeyExpression:
    assert isinstance(key, KeyExpression)
    return key


def paired(receive: Descriptor, change: Descriptor) -> Descriptor | None:
    """The two-branch descriptor that expands to these two; ``None`` where there is none."""
    ours, theirs = receive.node.keys, change.node.keys
    if receive.branches != 1 or change.branches != 1 or len(ours) != len(theirs):
        return None
    together: dict[Key, Key] = {}
    for one, other in zip(ours, theirs, strict=True):
        joined = _joined(one, other)
        if joined is None or together.setdefault(one, joined) != joined:
            return None
    try:
        found = Descriptor.of(receive.node.changed(lambda key: together[key]))
    except InvalidInputError:
        return None
    return found if found.expand() == (receive, change) else None


def _joined(one: Key, other: Key) -> Key | None:
    if isinstance(one, KeyExpression) and isinstance(other, KeyExpression):
        steps = _joined_steps(one.steps, other.steps)
        return None if steps is None else replace(one, steps=steps)
    if isinstance(one, MusigExpression) and isinstance(other, MusigExpression):
        if one.participants == other.participants:
            steps = _joined_steps(one.steps, other.steps)
            return None if steps is None else replace(one, steps=steps)
        pairs = zip(one.participants, other.participants, strict=False)
        participants = tuple(_joined(*pair) for pair in pairs)
        if all(isinstance(key, KeyExpression) for key in participants):
            return replace(one, participants=tuple(_single(key) for key in participants if key is not None))
    return None


def _joined_steps(one: tuple[Step, ...], other: tuple[Step, ...]) -> tuple[Step, ...] | None:
    differing = [place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]]
    if len(one) != len(other) or len(differing) != 1:
        return None
    place = differing[0]
    first, second = one[place], other[place]
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    return (*one[:place], (first, second), *one[place + 1 :])
