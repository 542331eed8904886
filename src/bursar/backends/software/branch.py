"""The secret keys below one BIP-32 node, unhardened, one by one at the cost of the hash and one addition."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import hmac_sha512_states
from bursar.crypto.secp256k1 import tweak_add_secret
from bursar.errors import SignerUnavailableError
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.keys.bip32 import ExtendedPrivateKey
    from bursar.keys.path import DerivationPath

_MOST_BRANCHES: Final = 64


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
    """Secret keys by absolute path below one master key, the last branches used kept open. Owns ``root``.

    A path is given as PSBTs write it: each index as four bytes, little-endian.
    """

    __slots__ = ("_branches", "root")

    def __init__(self, root: ExtendedPrivateKey) -> None:
        self.root: ExtendedPrivateKey | None = root
        self._branches: dict[bytes, Branch] = {}

    def secret(self, path: bytes) -> bytes:
        """The 32-byte secret key at ``path``."""
        branch = self._branches.get(path[:-4])
        if branch is None or not path:
            if self.root is None:
                raise SignerUnavailableError("the signer is closed: open it again")
            if not path:
                with self.root.secret() as secret:
                    return secret.expose()
            branch = self._open(self.root, path[:-4])
        return branch.child(int.from_bytes(path[-4:], "little"))

    def _open(self, root: ExtendedPrivateKey, path: bytes) -> Branch:
        if len(self._branches) >= _MOST_BRANCHES:
            self._branches.pop(next(iter(self._branches))).wipe()
        branch = self._branches[path] = Branch(root.derive(struct.unpack(f"<{len(path) // 4}I", path)))
        return branch

    def wipe(self) -> None:
        """Clear the master key and every branch; idempotent."""
        for branch in self._branches.values():
            branch.wipe()
        self._branches.clear()
        if self.root is not None:
            self.root.close()
            self.root = None


def path_bytes(path: DerivationPath) -> bytes:
    """``path`` as PSBTs write it."""
    return struct.pack(f"<{len(path)}I", *path.indexes)
