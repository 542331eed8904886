"""How a coin is spent most cheaply with what is at hand, and how heavy its input gets (BIP-141 weight units)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.bitcoin.descriptors.nodes import KeyBook, Multi, Node, OneKey, Wrapped
from bursar.bitcoin.descriptors.policies import Policy
from bursar.bitcoin.descriptors.spending import LeafSpend, spending
from bursar.bitcoin.descriptors.taproot import RawTaproot, Taproot
from bursar.bitcoin.miniscript.context import ECDSA_BYTES, SCHNORR_BYTES
from bursar.bitcoin.miniscript.encoding import number_push, script_size
from bursar.bitcoin.miniscript.fragments import Fragment
from bursar.bitcoin.miniscript.materials import is_time
from bursar.bitcoin.miniscript.solving import Locked, Revealed, Signed, Way, items, solve
from bursar.bitcoin.wire import compact_size
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.descriptors.keys import Key

CODE: Final = "input.descriptor.plan"
_OUTPOINT_AND_SEQUENCE: Final = 4 * (32 + 4 + 4)
_NESTED_PUSH: Final = {"wpkh": 1 + 22, "wsh": 1 + 34}
_KEY_PATH: Final = (1 + SCHNORR_BYTES, 1)  # bytes of the witness's elements, and how many they are
_NOBODYS_KEY: Final = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")  # BIP-341
_RELATIVE: Final = (1 << 22) | 0xFFFF
_PREIMAGE: Final = 1 + 32

Program: TypeAlias = tuple[Fragment[bytes], ...]


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

    def opens(self, name: str, number: int) -> bool:
        """Whether the next block may spend what ``older`` or ``after`` locks (BIP-68, 113)."""
        if name == "older":
            value = number & 0xFFFF
            passed = self.seconds if is_time(number, relative=True) else self.age
            needed = value * 512 if is_time(number, relative=True) else value
            return not value or (passed is not None and passed >= needed)
        if is_time(number, relative=False):
            return self.time is not None and number < self.time
        return self.height is not None and number <= self.height


ALL_KEYS: Final = Assets()


@dataclass(frozen=True, slots=True)
class SpendPlan:
    """One way to spend a coin: the greatest weight of its input, and what the transaction and its signers must give.

    ``input_weight`` counts as ``bursar.bitcoin.weight.input_weight`` does. ``sequence`` and ``locktime`` are ``None``
    where the way has no such lock; with a locktime the input's sequence must not be final. ``keys`` sign, in the form
    and order in which they stand in the script (33 bytes, x-only 32; for a key path the internal key). ``leaf`` is
    the leaf of the script tree that is spent, ``None`` for a key path and outside of taproot. ``preimages`` are the
    hashes to reveal.
    """

    input_weight: int
    sequence: int | None = None
    locktime: int | None = None
    keys: tuple[bytes, ...] = ()
    leaf: LeafSpend | None = None
    preimages: tuple[bytes, ...] = ()


class _Known:
    """Which of the keys at one place are at hand, by their bytes in the script."""

    def __init__(self, book: KeyBook, assets: Assets, *, tapscript: bool) -> None:
        self._book = book
        self._assets = assets
        self._tapscript = tapscript
        self._cost = 1 + (SCHNORR_BYTES if tapscript else ECDSA_BYTES)
        self._present: dict[bytes, bool] = {}

    def bytes_of(self, key: Key) -> bytes:
        """The key as it stands in the script."""
        made = self._book.column(key)[0]
        shown = made[1:33] if self._tapscript else made
        self._present[shown] = self._at_hand(key, made)
        return shown

    def _at_hand(self, key: Key, made: bytes) -> bool:
        if is_nobodys(key):
            return False
        wanted = self._assets.keys
        if wanted is None or made in wanted or made[1:] in wanted:
            return True
        place = self._book.branch, self._book.start
        return all(
            one.origin_at(*place).fingerprint in wanted or any(form in wanted for form in _forms(self._book, one))
            for one in key.single
        )

    def signature(self, key: bytes) -> int | None:
        return self._cost if self._present[key] else None

    def preimage(self, hashed: bytes) -> int | None:
        return _PREIMAGE if hashed in self._assets.preimages else None

    def lock(self, name: str, number: int) -> int | None:
        return 0 if self._assets.opens(name, number) else None

    def public_key(self, key: bytes) -> bytes:
        return key


def _forms(book: KeyBook, key: Key) -> tuple[bytes, bytes]:
    made = book.column(key)[0]
    return made, made[1:33]


def is_nobodys(key: Key) -> bool:
    """Whether the key stands below the point of which nobody knows the private key."""
    for one in key.single:
        base = one.key if isinstance(one.key, bytes) else one.key.key
        if base[1:33] == _NOBODYS_KEY:
            return True
    return False


def _program(node: Node, known: _Known) -> Program:
    """The node as fragments over the keys of one place."""
    if isinstance(node, Policy):
        return node.miniscript.changed(known.bytes_of).fragments
    if isinstance(node, OneKey):
        keys = (known.bytes_of(node.key),)
        return Fragment("pk_k" if node.name == "pk" else "pk_h", keys=keys), Fragment("c", 1)
    if isinstance(node, Multi):
        made = [known.bytes_of(key) for key in node.keys]
        ordered = tuple(sorted(made) if node.sorted else made)
        return (Fragment("multi_a" if node.tapscript else "multi", number=node.threshold, keys=ordered),)
    raise InvalidInputError(
        f"nothing is known of how {node.name}() is spent: plan with the descriptor of its script", code=CODE
    )


def _most(node: Node) -> tuple[int, int]:
    """Bytes and number of the elements in the costliest witness, whatever the keys."""
    if isinstance(node, Policy):
        found = node.miniscript.limits
        assert found.witness is not None
        assert found.elements is not None
        return found.witness, found.elements
    if isinstance(node, OneKey):
        signature = 1 + (SCHNORR_BYTES if node.tapscript else ECDSA_BYTES)
        if node.name == "pk":
            return signature, 1
        return signature + 1 + (32 if node.tapscript else node.key.size), 2
    if isinstance(node, Multi):
        if node.tapscript:
            return node.threshold * (1 + SCHNORR_BYTES) + len(node.keys) - node.threshold, len(node.keys)
        return 1 + node.threshold * (1 + ECDSA_BYTES), 1 + node.threshold
    raise InvalidInputError(f"nothing is known of how {node.name}() is spent", code=CODE)


def _size(node: Node) -> int:
    """The bytes of the script a node makes, whatever the keys."""
    if isinstance(node, Policy):
        return script_size(node.miniscript.template, node.miniscript.context)
    if isinstance(node, Multi):
        if node.tapscript:
            return 34 * len(node.keys) + len(number_push(node.threshold)) + 1
        counts = len(number_push(node.threshold)) + len(number_push(len(node.keys)))
        return counts + 1 + sum([1 + key.size for key in node.keys])
    assert isinstance(node, OneKey)
    if node.name == "pk":
        return (32 if node.tapscript else node.key.size) + 2
    return 25


def _sized(size: int) -> int:
    return len(compact_size(size)) + size


def _pushed(size: int) -> int:
    return (1 if size < 0x4C else 2 if size <= 0xFF else 3) + size


def _weigh(node: Node, inner: Node, cost: int, count: int) -> int:
    """The input of an output outside of taproot, from its witness: elements of ``cost`` bytes with their lengths.

    An element of at most 75 bytes takes as much in a script signature.
    """
    nested = isinstance(node, Wrapped) and node.name == "sh"
    outer = node.inner if nested and isinstance(node, Wrapped) else node
    if isinstance(outer, Wrapped):
        push = _NESTED_PUSH["wsh"] if nested else 0
        witness = len(compact_size(count + 1)) + cost + _sized(_size(inner))
        return _OUTPOINT_AND_SEQUENCE + 4 * (1 + push) + witness
    if outer.name == "wpkh":
        push = _NESTED_PUSH["wpkh"] if nested else 0
        return _OUTPOINT_AND_SEQUENCE + 4 * (1 + push) + 1 + cost
    return _OUTPOINT_AND_SEQUENCE + 4 * _sized(cost + (_pushed(_size(inner)) if nested else 0))


def _weigh_leaf(node: Node, depth: int, cost: int, count: int) -> int:
    witness = len(compact_size(count + 2)) + cost + _sized(_size(node)) + _sized(33 + 32 * depth)
    return _OUTPOINT_AND_SEQUENCE + 4 + witness


def _weigh_key_path() -> int:
    cost, count = _KEY_PATH
    return _OUTPOINT_AND_SEQUENCE + 4 + len(compact_size(count)) + cost


def _inner(node: Node) -> Node:
    while isinstance(node, Wrapped):
        node = node.inner
    if node.name == "combo":
        raise InvalidInputError("combo() makes several outputs at each index: choose one of its kinds", code=CODE)
    return node


def plan(node: Node, branch: int, index: int, assets: Assets) -> SpendPlan:
    """The cheapest way; ``InvalidInputError`` (``input.descriptor.plan``) where nothing at hand opens the script."""
    book = KeyBook(branch, index, 1)
    if isinstance(node, (Taproot, RawTaproot)):
        return _taproot(node, book, assets)
    inner = _inner(node)
    known = _Known(book, assets, tapscript=False)
    program = _program(inner, known)
    way = solve(program, known)[0]
    if way is None:
        raise _closed()
    cost, count = _figures(way)
    return _made(_weigh(node, inner, cost, count), program, way)


def _figures(way: Way) -> tuple[int, int]:
    return way.cost, sum([not isinstance(one, Locked) for one in items(way)])


def _taproot(node: Taproot | RawTaproot, book: KeyBook, assets: Assets) -> SpendPlan:
    known = _Known(book, assets, tapscript=True)
    internal = known.bytes_of(node.key)
    if known.signature(internal) is not None:
        return SpendPlan(_weigh_key_path(), keys=(internal,))
    best: tuple[int, int, Program, Way] | None = None
    for place, leaf in enumerate(node.leaves if isinstance(node, Taproot) else ()):
        program = _program(leaf.node, known)
        way = solve(program, known)[0]
        if way is not None:
            weight = _weigh_leaf(leaf.node, leaf.depth, *_figures(way))
            if best is None or weight < best[0]:
                best = (weight, place, program, way)
    if best is None:
        raise _closed()
    weight, place, program, way = best
    return _made(weight, program, way, spending(node, book.branch, book.start).leaves[place])


def _closed() -> InvalidInputError:
    return InvalidInputError(
        "nothing at hand spends this output: another key, a preimage or more time is needed", code=CODE
    )


def _made(weight: int, program: Program, way: Way, leaf: LeafSpend | None = None) -> SpendPlan:
    found = items(way)
    signing = {one.key for one in found if isinstance(one, Signed)}
    return SpendPlan(
        weight,
        _highest([one.number & _RELATIVE for one in found if isinstance(one, Locked) and one.name == "older"]),
        _highest([one.number for one in found if isinstance(one, Locked) and one.name == "after"]),
        tuple(dict.fromkeys([key for one in program for key in one.keys if key in signing])),
        leaf,
        tuple(dict.fromkeys([one.hash for one in found if isinstance(one, Revealed)])),
    )


def _highest(locks: Sequence[int]) -> int | None:
    return max(locks, default=None)


def max_input_weight(node: Node) -> int:
    """The weight of the input if the most expensive way is taken; the same at every place."""
    if isinstance(node, RawTaproot):
        return _weigh_key_path()
    if isinstance(node, Taproot):
        leaves = [_weigh_leaf(leaf.node, leaf.depth, *_most(leaf.node)) for leaf in node.leaves]
        return max(leaves + ([] if leaves and is_nobodys(node.key) else [_weigh_key_path()]))
    inner = _inner(node)
    return _weigh(node, inner, *_most(inner))
