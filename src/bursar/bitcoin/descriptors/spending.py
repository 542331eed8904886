"""What a PSBT says of an output that a descriptor makes: scripts, key origins, script tree (BIP-174, 371, 373)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bursar.bitcoin.descriptors.keys import MusigExpression
from bursar.bitcoin.descriptors.nodes import KeyBook, Node, Wrapped
from bursar.bitcoin.descriptors.taproot import LEAF_VERSION, RawTaproot, Taproot, leaf_hash, merkle_tree
from bursar.bitcoin.wire import sized
from bursar.crypto.secp256k1 import taproot_output_key
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.bitcoin.descriptors.keys import Key
    from bursar.bitcoin.psbt import PsbtInput, PsbtOutput
    from bursar.keys.origin import KeyOrigin


@dataclass(frozen=True, slots=True)
class LeafSpend:
    """A leaf of the script tree at one index, with the control block that proves it."""

    depth: int
    script: bytes
    control_block: bytes


@dataclass(frozen=True, slots=True)
class Spending:
    """An output ``script`` and everything about it that its spenders need to know but a signature."""

    script: bytes
    redeem_script: bytes | None = None
    witness_script: bytes | None = None
    origins: Mapping[bytes, KeyOrigin] = field(default_factory=dict)
    internal_key: bytes | None = None
    merkle_root: bytes | None = None
    leaves: tuple[LeafSpend, ...] = ()
    tap_origins: Mapping[bytes, tuple[tuple[bytes, ...], KeyOrigin]] = field(default_factory=dict)
    participants: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)

    def describe_input(self, one: PsbtInput) -> None:
        """Write the scripts, keys and leaves into an input that spends this output."""
        self._describe(one)
        if self.internal_key is not None and self.merkle_root:
            one.tap_merkle_root = self.merkle_root
        for leaf in self.leaves:
            one.tap_leaf_scripts[leaf.control_block] = leaf.script + bytes((LEAF_VERSION,))

    def describe_output(self, one: PsbtOutput) -> None:
        """Write the scripts, keys and tree into an output of a transaction, so that signers know it as change."""
        self._describe(one)
        if self.leaves:
            one.tap_tree = b"".join([bytes((leaf.depth, LEAF_VERSION)) + sized(leaf.script) for leaf in self.leaves])

    def _describe(self, one: PsbtInput | PsbtOutput) -> None:
        if self.redeem_script is not None:
            one.redeem_script = self.redeem_script
        if self.witness_script is not None:
            one.witness_script = self.witness_script
        for key, origin in self.origins.items():
            one.bip32_derivations[key] = origin
        if self.internal_key is not None:
            one.tap_internal_key = self.internal_key
        for x_only, place in self.tap_origins.items():
            one.tap_bip32_derivations[x_only] = place
        for aggregate, participants in self.participants.items():
            one.musig2_participants[aggregate] = participants


def spending(node: Node, branch: int, index: int) -> Spending:
    """All that is known of the output ``node`` makes at one place; ``combo`` makes several and is refused."""
    book = KeyBook(branch, index, 1)
    made = node.scripts(book)
    if len(made) != 1:
        raise InvalidInputError(
            "descriptor: combo() makes several outputs at each index: choose one of its kinds", code="input.descriptor"
        )
    if isinstance(node, Taproot):
        return _taproot(node, made[0], book)
    if isinstance(node, RawTaproot):
        return Spending(made[0], tap_origins={key: ((), origin) for key, origin in _x_only(node, book).items()})
    redeem = witness = None
    inner = node
    if isinstance(inner, Wrapped) and inner.name == "sh":
        inner = inner.inner
        redeem = inner.scripts(book)[0]
    if isinstance(inner, Wrapped):
        witness = inner.inner.scripts(book)[0]
    origins = {book.column(one)[0]: one.origin_at(branch, index) for key in node.keys for one in key.single}
    return Spending(made[0], redeem, witness, origins)


def _x_only(node: Node, book: KeyBook) -> dict[bytes, KeyOrigin]:
    return {
        book.column(one)[0][1:33]: one.origin_at(book.branch, book.start) for key in node.keys for one in key.single
    }


def _taproot(node: Taproot, script: bytes, book: KeyBook) -> Spending:
    internal = book.x_only(node.key)[0]
    inside = [leaf.node.scripts(book)[0] for leaf in node.leaves]
    hashes = [leaf_hash(one) for one in inside]
    root = b""
    paths: list[bytes] = []
    if inside:
        root, paths = merkle_tree([(leaf.depth, one) for leaf, one in zip(node.leaves, hashes, strict=True)])
    parity = taproot_output_key(internal, root)[1]
    head = bytes((LEAF_VERSION + parity,)) + internal
    leaves = tuple(
        LeafSpend(leaf.depth, one, head + path) for leaf, one, path in zip(node.leaves, inside, paths, strict=True)
    )
    held: list[tuple[Key, tuple[bytes, ...]]] = [(node.key, ())]
    held += [(one, (hashed,)) for leaf, hashed in zip(node.leaves, hashes, strict=True) for one in leaf.node.keys]
    places, participants = _named(held, book)
    return Spending(
        script, internal_key=internal, merkle_root=root, leaves=leaves, tap_origins=places, participants=participants
    )


def _named(
    held: Sequence[tuple[Key, tuple[bytes, ...]]], book: KeyBook
) -> tuple[dict[bytes, tuple[tuple[bytes, ...], KeyOrigin]], dict[bytes, tuple[bytes, ...]]]:
    """Where each key comes from and in which leaves it stands, and who makes aggregate keys together (BIP-373)."""
    places: dict[bytes, tuple[tuple[bytes, ...], KeyOrigin]] = {}
    participants: dict[bytes, tuple[bytes, ...]] = {}

    def name(key: Key, within: tuple[bytes, ...], origin: KeyOrigin) -> None:
        x_only = book.x_only(key)[0]
        known = places.get(x_only, ((), origin))[0]
        places[x_only] = ((*known, *(one for one in within if one not in known)), origin)

    for key, within in held:
        if not isinstance(key, MusigExpression):
            name(key, within, key.origin_at(book.branch, book.start))
            continue
        aggregate, below = key.aggregate_at(book.branch, book.start)
        participants[aggregate] = tuple(sorted([book.column(one)[0] for one in key.participants]))
        for one in key.participants:  # none of them stands in a leaf by itself
            name(one, (), one.origin_at(book.branch, book.start))
        if len(below.path):
            name(key, within, below)
    return places, participants
