"""Scripts and addresses of a wallet policy at a place: miniscript to bytes (its specification), BIP-341 trees."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from bursar.bitcoin import script as standard
from bursar.bitcoin.wire import sized
from bursar.crypto.hashes import hash160, tagged_hash
from bursar.crypto.secp256k1 import taproot_output_key
from bursar_devices.ledger.bitcoin.template import KeyExpression, Node, Tree

_VERIFY: Final = b"\x69"
_VERIFYING: Final = {0x87: 0x88, 0xAC: 0xAD, 0xAE: 0xAF, 0x9C: 0x9D}
_HASH_OPS: Final = {"sha256": b"\xa8", "hash256": b"\xaa", "ripemd160": b"\xa6", "hash160": b"\xa9"}

KeyAt = Callable[[KeyExpression], bytes]
"""The 33-byte public key of a key expression at the place in question."""


def _number(value: int) -> bytes:
    if value <= 16:
        return bytes((0x50 + value,)) if value else b"\x00"
    return standard.push(value.to_bytes(value.bit_length() // 8 + 1, "little"))


def _verifying(script: bytes) -> bytes:
    last = _VERIFYING.get(script[-1])
    return script + _VERIFY if last is None else script[:-1] + bytes((last,))


class Compiler:
    """Turns fragments to script under one key lookup; inside ``tr`` keys are x-only."""

    def __init__(self, key_at: KeyAt, *, taproot: bool = False) -> None:
        self._key_at = key_at
        self._taproot = taproot

    def _key(self, expression: KeyExpression) -> bytes:
        key = self._key_at(expression)
        return key[1:] if self._taproot else key

    def compile(self, node: Node) -> bytes:
        """The script of a miniscript fragment or multisig."""
        name = node.name
        if name in ("0", "1"):
            return b"\x00" if name == "0" else b"\x51"
        if name in ("pk", "pk_k", "pkh", "pk_h"):
            return self._one_key(name, self._key(node.keys[0]))
        if name in ("multi", "sortedmulti"):
            keys = self._keys(node)
            return _number(node.number) + b"".join(standard.push(key) for key in keys) + _number(len(keys)) + b"\xae"
        if name in ("multi_a", "sortedmulti_a"):
            keys = self._keys(node)
            checks = [standard.push(key) + (b"\xba" if at else b"\xac") for at, key in enumerate(keys)]
            return b"".join(checks) + _number(node.number) + b"\x9c"
        if name == "older":
            return _number(node.number) + b"\xb2"
        if name == "after":
            return _number(node.number) + b"\xb1"
        if name in _HASH_OPS:
            return b"\x82\x01\x20\x88" + _HASH_OPS[name] + standard.push(node.digest) + b"\x87"
        children = [self.compile(child) for child in node.children]
        return self._combine(node, children)

    def _one_key(self, name: str, key: bytes) -> bytes:
        if name == "pk_k":
            return standard.push(key)
        if name == "pk":
            return standard.push(key) + b"\xac"
        script = b"\x76\xa9\x14" + hash160(key) + b"\x88"
        return script if name == "pk_h" else script + b"\xac"

    def _keys(self, node: Node) -> list[bytes]:
        keys = [self._key(key) for key in node.keys]
        return sorted(keys) if node.name.startswith("sorted") else keys

    def _combine(self, node: Node, parts: list[bytes]) -> bytes:
        match node.name, parts:
            case "andor", [x, y, z]:
                return x + b"\x64" + z + b"\x67" + y + b"\x68"
            case "and_v", [x, y]:
                return x + y
            case "and_b", [x, y]:
                return x + y + b"\x9a"
            case "and_n", [x, y]:
                return x + b"\x64\x00\x67" + y + b"\x68"
            case "or_b", [x, z]:
                return x + z + b"\x9b"
            case "or_c", [x, z]:
                return x + b"\x64" + z + b"\x68"
            case "or_d", [x, z]:
                return x + b"\x73\x64" + z + b"\x68"
            case "or_i", [x, z]:
                return b"\x63" + x + b"\x67" + z + b"\x68"
            case "thresh", [x, *others]:
                return x + b"".join(other + b"\x93" for other in others) + _number(node.number) + b"\x87"
            case wrapper, [x]:
                return self._wrap(wrapper, x)
            case _:
                raise AssertionError(node.name)

    @staticmethod
    def _wrap(wrapper: str, script: bytes) -> bytes:
        match wrapper:
            case "a:":
                return b"\x6b" + script + b"\x6c"
            case "s:":
                return b"\x7c" + script
            case "c:":
                return script + b"\xac"
            case "t:":
                return script + b"\x51"
            case "d:":
                return b"\x76\x63" + script + b"\x68"
            case "v:":
                return _verifying(script)
            case "j:":
                return b"\x82\x92\x63" + script + b"\x68"
            case "n:":
                return script + b"\x92"
            case "l:":
                return b"\x63\x00\x67" + script + b"\x68"
            case "u:":
                return b"\x63" + script + b"\x67\x00\x68"
            case _:
                raise AssertionError(wrapper)


def leaf_script(leaf: Node, key_at: KeyAt) -> bytes:
    """The tapscript of a leaf."""
    return Compiler(key_at, taproot=True).compile(leaf)


def leaf_hash(script: bytes) -> bytes:
    """BIP-341's TapLeaf hash, leaf version 0xc0."""
    return tagged_hash("TapLeaf", b"\xc0" + sized(script))


def tree_root(tree: Tree, key_at: KeyAt) -> bytes:
    """The Merkle root of a script tree (BIP-341)."""
    if isinstance(tree, Node):
        return leaf_hash(leaf_script(tree, key_at))
    left, right = sorted((tree_root(tree[0], key_at), tree_root(tree[1], key_at)))
    return tagged_hash("TapBranch", left + right)


def output_script(node: Node, key_at: KeyAt) -> bytes:
    """The output script of a whole policy."""
    if node.name == "tr":
        root = b"" if node.tree is None else tree_root(node.tree, key_at)
        return standard.p2tr(taproot_output_key(key_at(node.keys[0])[1:], root)[0])
    if node.name == "pkh":
        return standard.p2pkh(hash160(key_at(node.keys[0])))
    if node.name == "wpkh":
        return standard.p2wpkh(hash160(key_at(node.keys[0])))
    inner = node.children[0]
    if node.name == "wsh":
        return standard.p2wsh(sha256(Compiler(key_at).compile(inner)).digest())
    assert node.name == "sh"
    nested = inner.name in ("wpkh", "wsh")
    redeem = output_script(inner, key_at) if nested else Compiler(key_at).compile(inner)
    return standard.p2sh(hash160(redeem))


def segwit_version(node: Node) -> int | None:
    """0, 1, or ``None`` for a policy without witnesses."""
    if node.name == "tr":
        return 1
    if node.name in ("wpkh", "wsh") or (node.name == "sh" and node.children[0].name in ("wpkh", "wsh")):
        return 0
    return None
