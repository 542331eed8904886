"""The fragments of miniscript (BIP-379) as a program: each follows the fragments it is made of."""

# Nothing here is nested, so that no expression, however deep, meets a recursion limit. Sugar is gone: pk(K) is pk_k
# and c, t:X is X, 1 and and_v.

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K")

WRAPPERS: Final = frozenset("ascdvjn")
SUGAR: Final = frozenset("tlu")
KEY_FRAGMENTS: Final = ("pk_k", "pk_h")
MULTISIG_FRAGMENTS: Final = ("multi", "multi_a")
HASH_SIZES: Final = {"sha256": 32, "hash256": 32, "ripemd160": 20, "hash160": 20}
TIMELOCKS: Final = ("older", "after")
ARITIES: Final = {
    "and_v": 2, "and_b": 2, "or_b": 2, "or_c": 2, "or_d": 2, "or_i": 2, "andor": 3, **dict.fromkeys(WRAPPERS, 1)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fragment(Generic[K]):
    """One fragment; ``arity`` is how many finished expressions before it are its arguments.

    ``number`` is the threshold or the lock, ``data`` the hash. A key of ``pk_h`` that was read from a script is its
    hash of 20 bytes.
    """

    name: str
    arity: int = 0
    number: int = 0
    data: bytes = b""
    keys: tuple[K, ...] = ()
