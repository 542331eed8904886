"""``tr`` with its script tree, and ``rawtr`` (BIP-386, 341): output keys, leaves and control blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.wire import sized
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.secp256k1 import taproot_output_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.descriptors.keys import Key
    from bursar.bitcoin.descriptors.nodes import Change, KeyBook, Node, Write

LEAF_VERSION: Final = 0xC0
DEEPEST: Final = 128


@dataclass(frozen=True, slots=True)
class TreeLeaf:
    """A leaf of a script tree, ``depth`` branches below its root."""

    depth: int
    node: Node


def leaf_hash(script: bytes) -> bytes:
    """BIP-341's hash of a tapscript leaf."""
    return tagged_hash("TapLeaf", bytes((LEAF_VERSION,)) + sized(script))


def branch_hash(one: bytes, other: bytes) -> bytes:
    """BIP-341's hash of a branch; its halves may come in either order."""
    return tagged_hash("TapBranch", min(one, other) + max(one, other))


def merkle_tree(leaves: Sequence[tuple[int, bytes]]) -> tuple[bytes, list[bytes]]:
    """The root over ``(depth, leaf hash)`` from left to right, and each leaf's path of sibling hashes, joined."""
    paths = [b""] * len(leaves)
    stack: list[tuple[int, bytes, range]] = []  # depth, hash, the leaves below
    for place, (leaf_depth, leaf) in enumerate(leaves):
        depth, node, below = leaf_depth, leaf, range(place, place + 1)
        while stack and stack[-1][0] == depth:
            _, left, others = stack.pop()
            for one in below:
                paths[one] += left
            for one in others:
                paths[one] += node
            node = branch_hash(left, node)
            depth, below = depth - 1, range(others.start, below.stop)
        stack.append((depth, node, below))
    return stack[0][1], paths


def tree_text(leaves: Sequence[tuple[int, str]]) -> str:
    """Leaves and their depths in braces."""
    parts: list[str] = []
    path: list[bool] = []  # for each open brace: whether its second half has begun
    for place, (depth, text) in enumerate(leaves):
        if place:
            parts.append(",")
        while len(path) < depth:
            parts.append("{")
            path.append(False)
        parts.append(text)
        while path and path[-1]:
            parts.append("}")
            path.pop()
        if path:
            path[-1] = True
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Taproot:
    """``tr(KEY)`` or ``tr(KEY,TREE)``; ``leaves`` from left to right."""

    key: Key
    leaves: tuple[TreeLeaf, ...] = ()

    @property
    def name(self) -> str:
        return "tr"

    @property
    def keys(self) -> tuple[Key, ...]:
        return (self.key, *[key for leaf in self.leaves for key in leaf.node.keys])

    def text(self, write: Write) -> str:
        key = write(self.key)
        tree = tree_text([(leaf.depth, leaf.node.text(write)) for leaf in self.leaves])
        return f"tr({key},{tree})" if tree else f"tr({key})"

    def roots(self, book: KeyBook) -> list[bytes]:
        """The script tree's root at each index."""
        columns = [[leaf_hash(script) for script in leaf.node.scripts(book)] for leaf in self.leaves]
        depths = [leaf.depth for leaf in self.leaves]
        return [merkle_tree(list(zip(depths, row, strict=True)))[0] for row in zip(*columns, strict=True)]

    def scripts(self, book: KeyBook) -> list[bytes]:
        if not self.leaves:
            outputs = self.key.taproot_column(book.branch, book.start, book.count)
            if outputs is None:
                outputs = [taproot_output_key(key)[0] for key in book.x_only(self.key)]
        else:
            pairs = zip(book.x_only(self.key), self.roots(book), strict=True)
            outputs = [taproot_output_key(key, root)[0] for key, root in pairs]
        return [b"\x51\x20" + key for key in outputs]

    def changed(self, change: Change) -> Taproot:
        key = change(self.key)
        return Taproot(key, tuple(replace(leaf, node=leaf.node.changed(change)) for leaf in self.leaves))


@dataclass(frozen=True, slots=True)
class RawTaproot:
    """``rawtr(KEY)``: the key itself is the output key, without a tweak."""

    key: Key

    @property
    def name(self) -> str:
        return "rawtr"

    @property
    def keys(self) -> tuple[Key, ...]:
        return (self.key,)

    def text(self, write: Write) -> str:
        return f"rawtr({write(self.key)})"

    def scripts(self, book: KeyBook) -> list[bytes]:
        return [b"\x51\x20" + key for key in book.x_only(self.key)]

    def changed(self, change: Change) -> RawTaproot:
        return RawTaproot(change(self.key))
