"""The witness for a miniscript out of signatures, preimages and timelocks (BIP-379)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.miniscript.materials import Materials, Satisfaction, is_time
from bursar.bitcoin.miniscript.solving import Item, Locked, Revealed, Signed, Way, items, solve
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.bitcoin.miniscript.miniscript import Miniscript

CODE: Final = "input.miniscript.unsatisfied"
_PREIMAGE: Final = 32
_HASHED: Final = 20  # bytes of a key that is known by its hash only
_AWAY: Final = 10_000_000  # what an item that lacks is counted at, to find the way that lacks least
_SHOWN: Final = 4


class _AtHand:
    """What ``materials`` hold; with ``wishing`` everything, at a price."""

    def __init__(self, materials: Materials, keys: Iterable[bytes], *, wishing: bool = False) -> None:
        self._materials = materials
        self._away = _AWAY if wishing else None
        self._keys = {
            hash160(key): key for key in (*materials.keys, *materials.signatures, *keys) if len(key) != _HASHED
        }

    def signature(self, key: bytes) -> int | None:
        found = self._materials.signatures.get(key)
        return self._away if found is None else 1 + len(found)

    def preimage(self, hashed: bytes) -> int | None:
        found = self._materials.preimages.get(hashed)
        return self._away if found is None or len(found) != _PREIMAGE else 1 + _PREIMAGE

    def lock(self, name: str, number: int) -> int | None:
        opened = self._materials.older(number) if name == "older" else self._materials.after(number)
        return 0 if opened else self._away

    def public_key(self, key: bytes) -> bytes | None:
        if len(key) != _HASHED:
            return key
        return self._keys.get(key, None if self._away is None else key)


def satisfy(ms: Miniscript[bytes], materials: Materials, *, malleable: bool = False) -> Satisfaction:
    """The cheapest witness that no third party can change; without the script and control block, the bottom first.

    ``InvalidInputError`` (``input.miniscript.unsatisfied``) names what lacks; also where the only witness is one that
    a third party can change, or one without a signature, unless ``malleable`` takes such a witness.
    """
    way = solve(ms.fragments, _AtHand(materials, ms.keys))[0]
    if way is None:
        lacking = missing(ms, materials)
        what = ", ".join(lacking[:_SHOWN]) + (", …" if len(lacking) > _SHOWN else "")
        raise InvalidInputError(
            f"this script is not satisfied yet: {f'it lacks {what}' if what else 'nothing ever does'}", code=CODE
        )
    if not malleable and (way.malleable or not way.signed):
        raise InvalidInputError(
            "this script can only be satisfied in a way that others could change on its way to the miners", code=CODE
        )
    return Satisfaction(tuple([_element(one, materials) for one in items(way) if not isinstance(one, Locked)]))


def _element(one: Item, materials: Materials) -> bytes:
    if isinstance(one, Signed):
        return materials.signatures[one.key]
    if isinstance(one, Revealed):
        return materials.preimages[one.hash]
    assert isinstance(one, bytes)
    return one


def missing(ms: Miniscript[bytes], materials: Materials) -> tuple[str, ...]:
    """What the way that lacks least still lacks, in words; empty if nothing lacks, or nothing ever helps."""
    way = solve(ms.fragments, _AtHand(materials, ms.keys, wishing=True))[0]
    return () if way is None else tuple(_lacking(way, materials))


def _lacking(way: Way, materials: Materials) -> list[str]:
    found = []
    taken = items(way)
    for one in taken:
        if isinstance(one, bytes) and len(one) == _HASHED and Signed(one) not in taken:
            found.append(f"the public key with the hash {one.hex()}")
        elif isinstance(one, Signed) and one.key not in materials.signatures:
            what = "the key with the hash" if len(one.key) == _HASHED else "the key"
            found.append(f"a signature of {what} {one.key.hex()}")
        elif isinstance(one, Revealed) and len(materials.preimages.get(one.hash, b"")) != _PREIMAGE:
            found.append(f"the preimage of {one.hash.hex()}")
        elif isinstance(one, Locked):
            found += _closed(one, materials)
    return found


def _closed(lock: Locked, materials: Materials) -> list[str]:
    if lock.name == "older":
        if materials.older(lock.number):
            return []
        unit = "units of 512 seconds" if is_time(lock.number, relative=True) else "blocks"
        return [f"an input sequence of {lock.number & 0xFFFF} {unit}"]
    if materials.after(lock.number):
        return []
    unit = "seconds" if is_time(lock.number, relative=False) else "blocks"
    return [f"a locktime of {lock.number} {unit}"]
