"""The secret keys below one BIP-32 node, unhardened, one by one at the cost of the hash and one addition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.crypto.hashes import hmac_sha512_states
from bursar.crypto.secp256k1 import tweak_add_secret
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.keys.bip32 import ExtendedPrivateKey


class Branch:
    """A node kept open for many children; ``wipe()`` clears its secret. Takes ownership of ``node``."""

    __slots__ = ("_inner", "_node", "_outer", "_public", "_secret")

    def __init__(self, node: ExtendedPrivateKey) -> None:
        self._node = node
        self._secret = node.secret()
        self._public = node.public_key
        self._inner, self._outer = hmac_sha512_states(node.chain_code)

    def child(self, index: int) -> bytes:
        """The 32-byte secret key of child ``index`` (BIP-32's CKDpriv)."""
        if index >= HARDENED:
            with self._node.child(index) as hardened, hardened.secret() as secret:
                return secret.expose()
        state = self._inner()
        state.update(self._public + index.to_bytes(4, "big"))
        last = self._outer()
        last.update(state.digest())
        return tweak_add_secret(self._secret.expose(), last.digest()[:32])

    def wipe(self) -> None:
        self._secret.wipe()
        self._node.close()


class KeyTree:
    """Secret keys by absolute path below one master key, the last branches used kept open. Owns ``root``."""

    _MOST = 64

    def __init__(self, root: ExtendedPrivateKey) -> None:
        self._root: ExtendedPrivateKey | None = root
        self._branches: dict[tuple[int, ...], Branch] = {}

    @property
    def root(self) -> ExtendedPrivateKey | None:
        """The master key, ``None`` once wiped."""
        return self._root

    def branch(self, indexes: tuple[int, ...]) -> Branch:
        """The node at ``indexes``, opened once."""
        found = self._branches.get(indexes)
        if found is None:
            assert self._root is not None
            if len(self._branches) >= self._MOST:
                self._branches.pop(next(iter(self._branches))).wipe()
            found = self._branches[indexes] = Branch(self._root.derive(indexes))
        return found

    def secret(self, indexes: tuple[int, ...]) -> bytes:
        """The secret key at ``indexes``."""
        assert self._root is not None
        if not indexes:
            with self._root.secret() as secret:
                return secret.expose()
        return self.branch(indexes[:-1]).child(indexes[-1])

    def wipe(self) -> None:
        """Clear the master key and every branch; idempotent."""
        for branch in self._branches.values():
            branch.wipe()
        self._branches.clear()
        if self._root is not None:
            self._root.close()
            self._root = None
