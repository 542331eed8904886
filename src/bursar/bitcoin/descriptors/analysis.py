"""What a descriptor means, in words: who can spend, with what, and from when."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.descriptors.conditions import Lock, Part, TooWide, Way, Ways, either, some, ways
from bursar.bitcoin.descriptors.keys import MusigExpression
from bursar.bitcoin.descriptors.nodes import Multi, OneKey, Wrapped
from bursar.bitcoin.descriptors.plan import is_nobodys
from bursar.bitcoin.descriptors.policies import Policy
from bursar.bitcoin.descriptors.taproot import RawTaproot, Taproot
from bursar.bitcoin.miniscript.materials import is_time

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor
    from bursar.bitcoin.descriptors.keys import Key, KeyExpression
    from bursar.bitcoin.descriptors.nodes import Node

_BLOCK_MINUTES: Final = 10
_HOUR: Final = 60
_DAY: Final = 24 * _HOUR


def describe(descriptor: Descriptor) -> tuple[str, ...]:
    """The ways to spend, one line each, the soonest first: ``2 of 3 now (…)``, ``or 1 of 3 after 90 days (…)``.

    Keys go by their master fingerprints, and by their whole origins where several share one. Days of locks that count
    blocks are what they come to at ten minutes each.
    """
    names = _Names(descriptor.keys)
    try:
        found = _ways(descriptor.node, names)
    except TooWide:
        return (f"in more ways than can be listed, with {len(descriptor.keys)} keys",)
    if not found:
        return ("this says nothing about who can spend",)
    lines = [_line(way) for way in sorted(found, key=_when_key)]
    return (lines[0], *[f"or {line}" for line in lines[1:]])


class _Names:
    """What each key is called."""

    def __init__(self, keys: tuple[KeyExpression, ...]) -> None:
        shared = Counter([one.origin_at(0, 0).fingerprint for one in dict.fromkeys(keys)])
        self._shared = {fingerprint for fingerprint, count in shared.items() if count > 1}

    def __call__(self, key: Key) -> str:
        if isinstance(key, MusigExpression):
            return f"all of musig({', '.join([self(one) for one in key.participants])})"
        home = key.origin_at(0, 0).fingerprint
        return str(key.origin) if home in self._shared and key.origin is not None else str(home)


def _ways(node: Node, names: _Names) -> Ways:
    if isinstance(node, Wrapped):
        return _ways(node.inner, names)
    if isinstance(node, Policy):
        return ways(node.miniscript.fragments, names)
    if isinstance(node, (OneKey, RawTaproot)):
        return _one(Part(names(node.key)))
    if isinstance(node, Multi):
        return _one(some(node.threshold, [Part(names(key)) for key in node.keys]))
    if isinstance(node, Taproot):
        key_path = () if node.leaves and is_nobodys(node.key) else _one(Part(names(node.key)))
        return either(key_path, *[_ways(leaf.node, names) for leaf in node.leaves])
    return ()


def _one(part: Part) -> Ways:
    return (Way(frozenset(), (part,)),)


def _when_key(way: Way) -> tuple[int, list[Lock]]:
    return len(way.locks), sorted(way.locks)


def _line(way: Way) -> str:
    when = " and ".join([_opening(lock) for lock in _strictest(way.locks)]) or "now"
    if not way.parts:
        return f"anyone {when}"
    if len(way.parts) == 1:
        return " ".join([way.parts[0].head, when, *filter(None, [way.parts[0].names])])
    return f"{' and '.join([part.whole for part in way.parts])} {when}"


def _strictest(locks: frozenset[Lock]) -> list[Lock]:
    """Of each kind of lock the one that opens last."""
    last: dict[tuple[str, bool], Lock] = {}
    for name, number in sorted(locks, key=lambda lock: lock[1] & 0xFFFF if lock[0] == "older" else lock[1]):
        last[name, is_time(number, relative=name == "older")] = (name, number)
    return sorted(last.values(), reverse=True)


def _opening(lock: Lock) -> str:
    name, number = lock
    if name == "older":
        value = number & 0xFFFF
        if is_time(number, relative=True):
            return f"after {_duration(value * 512 // 60)}"
        return f"after {_duration(value * _BLOCK_MINUTES)} ({value} {'block' if value == 1 else 'blocks'})"
    if is_time(number, relative=False):
        return f"from {datetime.fromtimestamp(number, UTC):%Y-%m-%d %H:%M} UTC"
    return f"from block {number}"


def _duration(minutes: int) -> str:
    if minutes < 2 * _HOUR:
        return f"{minutes} minutes"
    if minutes < 2 * _DAY:
        return f"{round(minutes / _HOUR)} hours"
    return f"{round(minutes / _DAY)} days"
