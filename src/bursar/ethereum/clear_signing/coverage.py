"""Which values of a call were shown to a human, down to the byte, and which were not."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bursar.ethereum.clear_signing.resolve import Found, byte_text, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shown:
    """The places that rows show, wholly or some of their bytes."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._taken: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def add(self, found: Found) -> None:
        """A row shows ``found``, or the part of it that was taken."""
        if found.taken is not None:
            self._taken[found.place].append(found.taken)
        else:
            self._whole.update(one.place for one in leaves(found))

    def missing(self, data: Found) -> Iterator[Found]:
        """What of ``data`` no row shows. Bytes that are zero are not missed where others of the value are shown."""
        for one in leaves(data):
            if one.place not in self._whole and not self._rest_is_zero(one):
                yield one

    def _rest_is_zero(self, one: Found) -> bool:
        taken = self._taken.get(one.place)
        whole = byte_text(one)
        if not taken or whole is None:
            return False
        rest = bytearray(whole)
        for start, end in taken:
            rest[start:end] = bytes(end - start)
        return not any(rest)
