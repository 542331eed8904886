"""Keys by path: the same as BIP-32's own derivation, hardened or not, however many branches are open."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.software.branch import Branch, KeyTree, path_bytes
from bursar.errors import InvalidInputError, SignerUnavailableError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.path import HARDENED, DerivationPath

SEED = bytes(range(32))


def root() -> ExtendedPrivateKey:
    return ExtendedPrivateKey.from_seed(SEED)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=6))
def test_a_tree_gives_the_keys_of_bip32(indexes: list[int]) -> None:
    path = DerivationPath(tuple(indexes))
    tree = KeyTree(root())
    assert tree.secret(path_bytes(path)) == root().derive(path).secret().expose()


@pytest.mark.parametrize("index", [0, 1, HARDENED - 1, HARDENED, HARDENED + 7, 2**32 - 1])
def test_a_branch_gives_its_children(index: int) -> None:
    node = root().derive((HARDENED, 5))
    assert Branch(root().derive((HARDENED, 5))).child(index) == node.child(index).secret().expose()


def test_branches_beyond_the_bound_are_wiped_and_opened_again() -> None:
    tree = KeyTree(root())
    first = tree.secret(path_bytes(DerivationPath((0, 0))))
    oldest = tree._branches[path_bytes(DerivationPath((0,)))]
    for number in range(1, 100):
        tree.secret(path_bytes(DerivationPath((number, 0))))
    assert len(tree._branches) == 64
    with pytest.raises(InvalidInputError, match="wiped"):
        oldest.child(0)
    assert tree.secret(path_bytes(DerivationPath((0, 0)))) == first


def test_a_wiped_tree_gives_nothing() -> None:
    tree = KeyTree(root())
    path = path_bytes(DerivationPath((1, 2)))
    tree.secret(path)
    tree.wipe()
    tree.wipe()
    for one in (path, b"", path_bytes(DerivationPath((7,)))):
        with pytest.raises(SignerUnavailableError):
            tree.secret(one)
