"""From the leaves of a script tree, as a PSBT lists them, to the tree of a descriptor (BIP-341, 371, 386, 387)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.bitcoin.descriptors.nodes import Multi, Node, OneKey
from bursar.bitcoin.descriptors.taproot import DEEPEST, LEAF_VERSION, TreeLeaf, branch_hash, leaf_hash
from bursar.bitcoin.miniscript.context import Context
from bursar.bitcoin.miniscript.encoding import number_push
from bursar.bitcoin.wire import read_compact_size
from bursar.crypto.hashes import hash160

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bursar.bitcoin.descriptors.keys import Key

Named: TypeAlias = "Callable[[bytes], Key]"
Tree: TypeAlias = tuple[tuple[int, bytes], ...]  # depth and script of each leaf
_MOST_KEYS: Final = 999
_MOST_LEAVES: Final = 1024


def tree_of_blocks(leaves: Mapping[bytes, bytes], merkle_root: bytes) -> Tree | None:
    """The whole tree out of control blocks with their scripts (version byte behind); ``None`` if a leaf is missing.

    The hash of a branch does not tell its halves apart, so their order is not that of whoever made the tree.
    """
    known: dict[bytes, Tree] = {}
    open_paths: list[tuple[bytes, bytes]] = []  # a subtree's hash, and the siblings above it
    for block, script in leaves.items():
        if not script or script[-1] != LEAF_VERSION or len(block) < 33 or len(block) > 33 + 32 * DEEPEST:
            return None
        hashed = leaf_hash(script[:-1])
        known[hashed] = ((0, script[:-1]),)
        open_paths.append((hashed, block[33:]))
    while merkle_root not in known:
        grown: list[tuple[bytes, bytes]] = []
        for hashed, above in open_paths:
            if above[:32] in known and above:
                parent = branch_hash(hashed, above[:32])
                if len(known[hashed]) + len(known[above[:32]]) > _MOST_LEAVES:
                    return None  # a branch of two equal halves doubles at every level
                if parent not in known:
                    known[parent] = tuple((depth + 1, one) for depth, one in (*known[hashed], *known[above[:32]]))
                    grown.append((parent, above[32:]))
            else:
                grown.append((hashed, above))
        if len(grown) == len(open_paths) and set(grown) == set(open_paths):
            return None
        open_paths = grown
    return known[merkle_root]


def tree_of_field(raw: bytes) -> Tree | None:
    """The tree of ``PSBT_OUT_TAP_TREE``; ``None`` if it is malformed or holds leaves of another version."""
    found: list[tuple[int, bytes]] = []
    at = 0
    try:
        while at < len(raw):
            depth, version = raw[at], raw[at + 1]
            size, at = read_compact_size(raw, at + 2)
            script = raw[at : at + size]
            at += size
            if version != LEAF_VERSION or depth > DEEPEST or at > len(raw):
                return None
            found.append((depth, script))
    except IndexError:
        return None
    return tuple(found) if is_whole([depth for depth, _ in found]) else None


def is_whole(depths: Sequence[int]) -> bool:
    """Whether leaves at these depths, from left to right, make one whole tree."""
    stack: list[int] = []
    for depth in depths:
        stack.append(depth)
        while len(stack) > 1 and stack[-1] == stack[-2]:
            stack[-2:] = [stack[-1] - 1]
    return stack == [0]


def leaves_of(
    tree: Sequence[tuple[int, bytes]], named: Named, by_hash: Callable[[bytes], bytes | None]
) -> tuple[TreeLeaf, ...] | None:
    """The leaves as expressions over ``named`` keys; ``None`` if one is neither of a known kind nor miniscript."""
    found = []
    for depth, script in tree:
        node = _leaf(script, named, by_hash)
        if node is None:
            return None
        found.append(TreeLeaf(depth, node))
    return tuple(found)


def _leaf(script: bytes, named: Named, by_hash: Callable[[bytes], bytes | None]) -> Node | None:
    if len(script) == 34 and script[0] == 0x20 and script[33] == 0xAC:
        return OneKey("pk", named(script[1:33]), tapscript=True)
    if len(script) == 25 and script.startswith(b"\x76\xa9\x14") and script.endswith(b"\x88\xac"):
        key = by_hash(script[3:23])
        return None if key is None or hash160(key) != script[3:23] else OneKey("pkh", named(key), tapscript=True)
    found = _multi(script, named)
    if found is None:
        from bursar.bitcoin.descriptors.policies import infer_policy

        return infer_policy(script, Context.TAPSCRIPT, named, by_hash)
    return found


def _multi(script: bytes, named: Named) -> Multi | None:
    keys: list[bytes] = []
    at = 0
    while script[at : at + 1] == b"\x20" and len(keys) < _MOST_KEYS:
        if script[at + 33 : at + 34] != (b"\xba" if keys else b"\xac"):
            return None
        keys.append(script[at + 1 : at + 33])
        at += 34
    for threshold in range(1, len(keys) + 1):
        if script[at:] == number_push(threshold) + b"\x9c":
            return Multi("multi_a", threshold, tuple(named(key) for key in keys))
    return None
