"""How a coin is spent most cheaply with what is at hand, and how heavy its input gets (BIP-141 weight units)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.nodes import Node
    from bursar.bitcoin.descriptors.spending import LeafSpend


@dataclass(frozen=True, slots=True)
class Assets:
    """What is at hand to spend a coin; ``None`` for ``keys`` means all of them.

    ``keys`` holds public keys (33 bytes, x-only 32) and master fingerprints (4 bytes); ``preimages`` hashes whose
    preimage is known. ``age`` is the coin's confirmations, ``seconds`` its age by median time past; ``height`` and
    ``time`` are the tip's height and median time past. What is ``None`` opens no timelock.
    """

    keys: frozenset[bytes] | None = None
    preimages: frozenset[bytes] = frozenset()
    age: int | None = None
    height: int | None = None
    time: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class SpendPlan:
    """One way to spend a coin: the greatest weight of its input, and what the transaction and its signers must give.

    ``input_weight`` counts as ``bursar.bitcoin.weight.input_weight`` does. ``sequence`` and ``locktime`` are ``None``
    where the path has no such lock. ``leaf`` is the script tree's leaf that is spent, ``None`` for a key path.
    """

    input_weight: int
    sequence: int | None = None
    locktime: int | None = None
    keys: tuple[bytes, ...] = ()
    leaf: LeafSpend | None = None
    preimages: tuple[bytes, ...] = ()


def plan(node: Node, branch: int, index: int, assets: Assets) -> SpendPlan:
    """The cheapest way; ``InvalidInputError`` (``input.descriptor.plan``) where nothing at hand opens the script."""
    raise NotImplementedError


def max_input_weight(node: Node, branch: int, index: int) -> int:
    """The weight of the input if its most expensive way is taken."""
    raise NotImplementedError
