"""Script trees as PSBTs carry them: leaf hashes, control blocks, roots (BIP-341, BIP-371)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.wire import read_sized, sized
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.secp256k1 import taproot_output_key
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.psbt.maps import PsbtInput

TAPSCRIPT: Final = 0xC0
DEEPEST: Final = 128


class TapLeaf(NamedTuple):
    """A leaf that an input shows, with the control block that proves it."""

    hash: bytes
    script: bytes
    version: int
    control: bytes


def leaf_hash(script: bytes, version: int = TAPSCRIPT) -> bytes:
    """BIP-341's hash of a leaf."""
    return tagged_hash("TapLeaf", bytes((version,)) + sized(script))


def branch_hash(one: bytes, other: bytes) -> bytes:
    """BIP-341's hash of a branch; its halves may come in either order."""
    return tagged_hash("TapBranch", min(one, other) + max(one, other))


def tree_root(tree: bytes) -> bytes:
    """The root of a well-formed PSBT_OUT_TAP_TREE."""
    stack: list[tuple[int, bytes]] = []
    at = 0
    while at < len(tree):
        depth, version = tree[at], tree[at + 1]
        script, at = read_sized(tree, at + 2)
        node = leaf_hash(script, version)
        while stack and stack[-1][0] == depth:
            node = branch_hash(stack.pop()[1], node)
            depth -= 1
        stack.append((depth, node))
    return stack[0][1]


def output_key_matches(script: bytes, internal_key: bytes, merkle_root: bytes = b"") -> bool:
    """Whether ``internal_key`` (x-only) with this script tree makes the P2TR ``script`` (BIP-341)."""
    try:
        return script[2:] == taproot_output_key(internal_key, merkle_root)[0]
    except InvalidInputError:  # no point on the curve
        return False


def control_block_matches(script: bytes, control: bytes, leaf: bytes) -> bool:
    """Whether a control block leads from ``leaf`` (script and version, BIP-371) to the P2TR ``script`` (BIP-341)."""
    if len(control) < 33 or (len(control) - 33) % 32 or len(control) > 33 + 32 * DEEPEST or not leaf:
        return False
    version, inner = leaf[-1], leaf[:-1]
    if control[0] & 0xFE != version or classify(script) is not ScriptType.P2TR:
        return False
    node = leaf_hash(inner, version)
    for at in range(33, len(control), 32):
        node = branch_hash(node, control[at : at + 32])
    try:
        output_key, parity = taproot_output_key(control[1:33], node)
    except InvalidInputError:  # no point on the curve
        return False
    return script[2:] == output_key and parity == control[0] & 1


def leaves_of(index: int, one: PsbtInput, script: bytes) -> tuple[TapLeaf, ...]:
    """The leaves an input shows, each proven to be committed to by the P2TR ``script`` it spends.

    ``InvalidInputError`` (``input.psbt.script``) for one that is not.
    """
    found = []
    for control, leaf in one.tap_leaf_scripts.pairs():
        if not control_block_matches(script, control, leaf):
            raise InvalidInputError(
                f"psbt input {index} shows a script that its output key does not commit to", code="input.psbt.script"
            )
        found.append(TapLeaf(leaf_hash(leaf[:-1], leaf[-1]), leaf[:-1], leaf[-1], control))
    return tuple(found)
