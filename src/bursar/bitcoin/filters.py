"""Compact block filters of type basic (BIP-158) and the chain of their headers (BIP-157)."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.siphash import Messages
from bursar.bitcoin.wire import compact_size, read_compact_size
from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bursar.bitcoin.transaction import Transaction

P: Final = 19
M: Final = 784931
GENESIS_PREVIOUS: Final = bytes(32)  # what the first filter header builds on
MAX_SIZE: Final = 4_000_000  # bytes; no block is larger, and its filter is far smaller
_OP_RETURN: Final = 0x6A
_CODE: Final = re.compile(r"1*0[01]{19}")  # one Golomb-Rice number: a unary quotient, then 19 bits


class Scripts:
    """Scripts prepared for matching against many filters: 20,000 of them take about 16 MiB."""

    def __init__(self, scripts: Iterable[bytes]) -> None:
        self._messages = Messages(script for script in dict.fromkeys(scripts) if script)

    def __len__(self) -> int:
        return self._messages.count

    def values(self, key: bytes, size: int) -> list[int]:
        """Where a filter with this key and range would hold each script."""
        return self._messages.scaled(key, size)


class BlockFilter:
    """The filter of the block with ``block_hash`` (32 bytes, internal order), as serialised in ``content``.

    Raises ``InvalidInputError`` (``input.filter``) when it announces more elements than it has room for; what lies
    behind the count is only read, and checked, when the filter is matched.
    """

    __slots__ = ("_codes", "block_hash", "content", "count")

    def __init__(self, block_hash: bytes, content: bytes) -> None:
        if len(block_hash) != 32:
            raise InvalidInputError(f"a block hash is 32 bytes, got {len(block_hash)}", code="input.filter")
        if len(content) > MAX_SIZE:
            raise InvalidInputError(f"a block filter of {len(content)} bytes is too large", code="input.filter")
        self.block_hash, self.content = bytes(block_hash), bytes(content)
        try:
            self.count, at = read_compact_size(self.content, 0)
        except (IndexError, InvalidInputError):
            raise InvalidInputError("a block filter does not start with its count", code="input.filter") from None
        self._codes = at
        if self.count * (P + 1) > 8 * (len(self.content) - at):
            raise InvalidInputError(
                f"a block filter of {len(self.content)} bytes cannot hold {self.count} elements", code="input.filter"
            )

    @classmethod
    def of(cls, block_hash: bytes, scripts: Iterable[bytes]) -> BlockFilter:
        """The filter that holds these scripts; see ``basic_elements``."""
        messages = Messages(dict.fromkeys(scripts))
        values = sorted(messages.scaled(block_hash[:16], messages.count * M))
        bits: list[str] = []
        last = 0
        for value in values:
            delta, last = value - last, value
            bits.append("1" * (delta >> P) + f"0{delta & ((1 << P) - 1):0{P}b}")
        code = "".join(bits)
        code += "0" * (-len(code) % 8)
        packed = int(code, 2).to_bytes(len(code) // 8, "big") if code else b""
        return cls(block_hash, compact_size(messages.count) + packed)

    @property
    def key(self) -> bytes:
        """The SipHash key: the first half of the block's hash."""
        return self.block_hash[:16]

    @property
    def hash(self) -> bytes:
        """What the filter header commits to, 32 bytes."""
        return sha256d(self.content)

    def header(self, previous: bytes) -> bytes:
        """The filter header on the one before it; both 32 bytes, internal order."""
        return sha256d(self.hash + previous)

    def values(self) -> list[int]:
        """The numbers the filter holds, ascending; ``InvalidInputError`` (``input.filter``) when it is malformed."""
        code = self.content[self._codes :]
        bits = bin(int.from_bytes(b"\1" + code, "big"))[3:]
        tokens = _CODE.findall(bits) if self.count else []
        if len(tokens) != self.count or not _is_padding(bits, sum(map(len, tokens))):
            raise InvalidInputError(
                f"a block filter announces {self.count} elements and holds others", code="input.filter"
            )
        # "1" * quotient + "0" + remainder, read as one binary number, is too large by this much:
        excess = [((1 << over) - 1 << P + 1) - (over << P) for over in range(max(map(len, tokens), default=P) - P)]
        values = list(accumulate([int(token, 2) - excess[len(token) - P - 1] for token in tokens]))
        if values and values[-1] >= self.count * M:
            raise InvalidInputError("a block filter holds numbers beyond its range", code="input.filter")
        return values

    def matches(self, scripts: Scripts) -> bool:
        """Whether the block may concern one of the scripts: never wrong when it does, once in 784,931 when not."""
        if not self.count or not len(scripts):
            return False
        return not set(self.values()).isdisjoint(scripts.values(self.key, self.count * M))


def _is_padding(bits: str, at: int) -> bool:
    return len(bits) - at < 8 and "1" not in bits[at:]


def basic_elements(transactions: Sequence[Transaction], spent: Iterable[bytes]) -> set[bytes]:
    """What the basic filter of a block holds: the scripts of its outputs and those its inputs ``spent``.

    Empty scripts are left out, and of the outputs those that start with ``OP_RETURN``.
    """
    paid = {output.script for tx in transactions for output in tx.outputs}
    return {script for script in paid if script and script[0] != _OP_RETURN} | {script for script in spent if script}


def basic_filter(block_hash: bytes, transactions: Sequence[Transaction], spent: Iterable[bytes]) -> BlockFilter:
    """The basic filter of a block from its transactions and the scripts of all outputs they spend."""
    return BlockFilter.of(block_hash, basic_elements(transactions, spent))


class FilterHeaders:
    """Follows filter headers block by block: a filter that is not the one committed to is refused.

    ``previous`` is the header of the block before the first. A chain of headers that two sources agree on makes either
    of them unable to hide a block from a wallet; one source alone can still lie from ``previous`` on.
    """

    def __init__(self, previous: bytes = GENESIS_PREVIOUS) -> None:
        self.last = previous

    def follow(self, block_filter: BlockFilter, announced: bytes) -> bytes:
        """The header of the next filter, which must be the ``announced`` one; else ``InvalidInputError``."""
        header = block_filter.header(self.last)
        if header != announced:
            raise InvalidInputError(
                f"the filter of block {block_filter.block_hash[::-1].hex()} is not the one its header commits to",
                code="input.filter.header",
            )
        self.last = header
        return header


def first_disagreement(one: Sequence[bytes], other: Sequence[bytes]) -> int | None:
    """The first position where two sources' filter headers differ, as far as both go; ``None`` where they agree."""
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
