"""Merkle branches: that a transaction is in a block, or a header below a checkpoint."""

# A branch proves a leaf only if no inner node can pass for a transaction. Inner nodes are 64 bytes; a 64-byte
# transaction is both (CVE-2017-12842), so neither a leaf nor an inner node may be one. A node paired with itself on
# the left is the copy that fills an odd level (CVE-2012-2459): nothing stands there.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.transaction import Transaction
from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.headers.header import BlockHeader

MAX_DEPTH: Final = 15  # a block of a million bytes holds at most 16,665 transactions of 60
INNER: Final = 64


def check_inclusion(tx: Transaction, header: BlockHeader, branch: Sequence[bytes], position: int) -> None:
    """That ``tx`` stands at ``position`` in the block of ``header``; ``InvalidInputError`` (``input.merkle``) if not.

    ``branch`` holds the sibling hashes from the leaf up, internal byte order.
    """
    if len(branch) > MAX_DEPTH:
        raise _refused(tx, f"a branch of {len(branch)} hashes is longer than any block has")
    if len(tx.serialize(witness=False)) == INNER:
        raise _refused(tx, "a transaction of 64 bytes cannot be told from an inner node")
    if position == 0 and not tx.is_coinbase and branch:
        raise _refused(tx, "only the coinbase stands first in a block")
    if position and tx.is_coinbase:
        raise _refused(tx, "the coinbase stands first in a block")
    if fold(tx.txid, branch, position) != header.merkle_root:
        raise _refused(tx, f"the branch does not lead to block {header.name}")


def fold(leaf: bytes, branch: Sequence[bytes], position: int) -> bytes:
    """The root a branch leads to; ``InvalidInputError`` (``input.merkle``) for one that no honest tree has."""
    if position < 0 or position >> len(branch):
        raise InvalidInputError(
            f"position {position} is outside a merkle tree of depth {len(branch)}", code="input.merkle"
        )
    node = leaf
    for sibling in branch:
        if len(sibling) != 32:
            raise InvalidInputError("a merkle branch is of 32-byte hashes", code="input.merkle")
        if position & 1:
            if sibling == node:
                raise InvalidInputError("a merkle branch ends in a copy that fills its level", code="input.merkle")
            pair = sibling + node
        else:
            pair = node + sibling
        if pair[4] == 1 and _is_transaction(pair):
            raise InvalidInputError("an inner node of a merkle branch is a transaction", code="input.merkle")
        node = sha256d(pair)
        position >>= 1
    return node


def _is_transaction(data: bytes) -> bool:
    try:
        Transaction.parse(data, witness=False)
    except InvalidInputError:
        return False
    return True


def header_root(header_hash: bytes, branch: Sequence[bytes], height: int) -> bytes:
    """The root over all headers of a checkpoint that a branch from the header at ``height`` leads to."""
    if len(branch) > 40 or height >> len(branch):
        raise InvalidInputError("a branch to a checkpoint is too short or too long", code="input.merkle")
    node = header_hash
    for sibling in branch:
        if len(sibling) != 32:
            raise InvalidInputError("a merkle branch is of 32-byte hashes", code="input.merkle")
        node = sha256d(sibling + node if height & 1 else node + sibling)
        height >>= 1
    return node


def levels_of(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Every level of the tree over some leaves, the leaves first; odd levels are not filled up."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        ends = [*below, below[-1]] if len(below) % 2 else below
        levels.append([sha256d(ends[at] + ends[at + 1]) for at in range(0, len(ends), 2)])
    return levels


def branch_of(levels: Sequence[Sequence[bytes]], position: int) -> list[bytes]:
    """The branch from a leaf to the root of a tree that ``levels_of`` made."""
    branch: list[bytes] = []
    for level in levels[:-1]:
        branch.append(level[min(position ^ 1, len(level) - 1)])
        position >>= 1
    return branch


def _refused(tx: Transaction, why: str) -> InvalidInputError:
    return InvalidInputError(f"transaction {tx.txid} is not proven: {why}", code="input.merkle")
