"""A chain of headers that keeps every rule a header alone can break: linkage, proof of work, retargets and dates."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.headers.difficulty import MAX_AHEAD, MAX_BACK, MEDIAN_OVER, PERIOD, RULES, expected_bits
from bursar.bitcoin.headers.header import SIZE, BlockHeader, target_of, work_of
from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.headers.checkpoints import Checkpoint
    from bursar.bitcoin.network import Network

_PARTS: Final = struct.Struct("<4x32s32xII4x").unpack_from
_TWO: Final = struct.Struct("<II").unpack_from
_TIMES_AT: Final = 68


@dataclass(frozen=True, slots=True)
class Extension:
    """What ``HeaderChain.extend`` did: headers stand anew from ``height`` on; ``replaced`` others were there before."""

    height: int
    replaced: int


class HeaderChain:
    """Headers from ``base`` to the tip, 80 bytes each; every one above the trusted first ones has been checked.

    Errors are ``InvalidInputError``: ``input.header`` and narrower (``.link``, ``.bits``, ``.work``, ``.time``,
    ``.weaker``). Nothing changes when one is raised.
    """

    def __init__(self, network: Network, base: int, trusted: bytes) -> None:
        self._rules = RULES[network]
        self._network = network
        self._base = base
        self._raw = bytearray(trusted)
        self._trusted = base + len(trusted) // SIZE - 1
        self._tip = sha256d(trusted[-SIZE:])

    @classmethod
    def from_genesis(cls, network: Network, raw: bytes) -> HeaderChain:
        """A chain that begins with the network's first block, whose header this must be."""
        if BlockHeader.parse(raw).name != network.genesis_hash:
            raise InvalidInputError(
                f"{BlockHeader.parse(raw).name} is not the genesis block of {network}", code="input.header.genesis"
            )
        return cls(network, 0, raw)

    @classmethod
    def from_checkpoint(cls, network: Network, checkpoint: Checkpoint, raw: bytes) -> HeaderChain:
        """A chain that begins with the whole period of 2,016 headers that ends in a trusted hash."""
        check_linked(raw, bytes.fromhex(checkpoint.hash)[::-1])
        if len(raw) != PERIOD * SIZE:
            raise InvalidInputError(f"a period has {PERIOD} headers, not {len(raw) / SIZE:g}", code="input.header")
        return cls(network, checkpoint.height - PERIOD + 1, raw)

    # what the chain is

    @property
    def network(self) -> Network:
        """Whose rules it keeps."""
        return self._network

    @property
    def base(self) -> int:
        """The height of the first header here."""
        return self._base

    @property
    def height(self) -> int:
        """The height of the tip."""
        return self._base + len(self._raw) // SIZE - 1

    @property
    def tip(self) -> bytes:
        """The hash of the tip, internal byte order."""
        return self._tip

    def _at(self, height: int) -> int:
        offset = (height - self._base) * SIZE
        if not 0 <= offset < len(self._raw):
            raise InvalidInputError(f"no header of height {height} is here", code="input.header.height")
        return offset

    def raw(self, start: int, end: int | None = None) -> bytes:
        """The serialised headers from ``start`` up to, not including, ``end`` (by default up to the tip)."""
        first = self._at(start)
        return bytes(self._raw[first : None if end is None else first + max(end - start, 0) * SIZE])

    def header(self, height: int) -> BlockHeader:
        """The header at a height."""
        return BlockHeader.parse(self.raw(height, height + 1))

    def hash_at(self, height: int) -> bytes:
        """The hash of the header at a height, internal byte order."""
        after = self._at(height) + SIZE
        return bytes(self._raw[after + 4 : after + 36]) or self._tip

    def bits(self, height: int) -> int:
        """The compact target at a height."""
        bits: int = _TWO(self._raw, self._at(height) + _TIMES_AT)[1]
        return bits

    def time(self, height: int) -> int:
        """The time at a height, Unix seconds."""
        time: int = _TWO(self._raw, self._at(height) + _TIMES_AT)[0]
        return time

    def work_from(self, height: int) -> int:
        """The work of the headers from a height to the tip."""
        counted: dict[int, int] = {}
        for at in range(height, self.height + 1):
            bits = self.bits(at)
            counted[bits] = counted.get(bits, 0) + 1
        return sum(count * work_of(bits) for bits, count in counted.items())

    # growing

    def extend(self, start: int, raw: bytes, *, now: int | None = None, weaker: bool = False) -> Extension:
        """Put a branch in place whose first header is for height ``start``, at most one above the tip.

        Headers the chain has already are skipped. A branch that replaces others must have as much work as they, unless
        ``weaker`` is allowed. ``now`` is the clock: headers dated two hours past it are refused.
        """
        if len(raw) % SIZE or not raw:
            raise InvalidInputError(f"{len(raw)} bytes are no whole number of headers", code="input.header")
        start, raw = self._beyond_known(start, raw)
        if not raw:
            return Extension(start, 0)
        if start <= self._trusted:
            raise InvalidInputError(
                f"a branch from height {start} contradicts the trusted block at height {self._trusted}",
                code="input.header.link",
            )
        if start > self.height + 1:
            raise InvalidInputError(f"headers from {start} leave a gap above {self.height}", code="input.header.link")
        cut = (start - self._base) * SIZE
        tail, tip = bytes(self._raw[cut:]), self._tip
        before = self.work_from(start) if tail else 0
        try:
            del self._raw[cut:]
            self._tip = sha256d(bytes(self._raw[cut - SIZE :]))
            self._append(raw, now)
            if tail and not weaker and self.work_from(start) < before:
                raise InvalidInputError(
                    f"a branch from height {start} has less work than the one known", code="input.header.weaker"
                )
        except InvalidInputError:
            self._raw[cut:] = tail
            self._tip = tip
            raise
        return Extension(start, len(tail) // SIZE)

    def cut(self, height: int) -> None:
        """Forget every header above a height."""
        if height < self._trusted:
            raise InvalidInputError(f"the trusted headers up to {self._trusted} stay", code="input.header.height")
        end = self._at(height) + SIZE
        del self._raw[end:]
        self._tip = sha256d(bytes(self._raw[end - SIZE :]))

    def _beyond_known(self, start: int, raw: bytes) -> tuple[int, bytes]:
        if start < self._base:
            raise InvalidInputError(f"headers below {self._base} are not kept here", code="input.header.height")
        same = 0
        mine = memoryview(self._raw)[(start - self._base) * SIZE :]
        end = min(len(mine), len(raw))
        while same < end and mine[same : same + SIZE] == raw[same : same + SIZE]:
            same += SIZE
        mine.release()
        return start + same // SIZE, raw[same:]

    def _append(self, raw: bytes, now: int | None) -> None:
        rules, chain = self._rules, self._raw
        height, previous = self.height + 1, self._tip
        times = [self.time(at) for at in range(max(self._base, height - MEDIAN_OVER), height)]
        known_bits, target = -1, 0
        for at in range(0, len(raw), SIZE):
            parent, time, bits = _PARTS(raw, at)
            if parent != previous:
                raise _broken(height, "link", "does not build on the one before it")
            if bits != expected_bits(rules, height, time, self):
                raise _broken(height, "bits", f"states the wrong target {bits:#010x}")
            if bits != known_bits:
                known_bits, target = bits, target_of(bits)
            piece = raw[at : at + SIZE]
            previous = sha256d(piece)
            if int.from_bytes(previous, "little") > target:
                raise _broken(height, "work", "shows too little proof of work")
            if time <= sorted(times)[len(times) // 2] and (len(times) == MEDIAN_OVER or self._base == 0):
                raise _broken(height, "time", "is dated before the median of those below it")
            if rules.bip94 and height % PERIOD == 0 and time < times[-1] - MAX_BACK:
                raise _broken(height, "time", "begins a period too early")
            if now is not None and time > now + MAX_AHEAD:
                raise _broken(height, "time", "is dated in the future: check this computer's clock")
            times.append(time)
            if len(times) > MEDIAN_OVER:
                del times[0]
            chain += piece
            height += 1
        self._tip = previous


def check_linked(raw: bytes, last: bytes) -> None:
    """That headers build on each other and end in the hash ``last``: then they are what its work was done on."""
    if len(raw) % SIZE or not raw:
        raise InvalidInputError(f"{len(raw)} bytes are no whole number of headers", code="input.header")
    for at in range(len(raw) - SIZE, -1, -SIZE):
        if sha256d(raw[at : at + SIZE]) != last:
            raise InvalidInputError(
                f"headers do not lead to block {last[::-1].hex()}, which is trusted", code="input.header.link"
            )
        last = raw[at + 4 : at + 36]


def _broken(height: int, rule: str, what: str) -> InvalidInputError:
    return InvalidInputError(f"the header at height {height} {what}", code=f"input.header.{rule}")
