"""From a script and what is known of its keys to the descriptor that makes it (BIP-174, 379, 380)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.keys import KeyExpression
from bursar.bitcoin.descriptors.nodes import Fixed, Multi, Node, OneKey, Wrapped
from bursar.bitcoin.descriptors.taproot import RawTaproot, Taproot, leaf_hash, merkle_tree
from bursar.bitcoin.descriptors.tree_inference import Tree, is_whole, leaves_of, tree_of_blocks, tree_of_field
from bursar.bitcoin.miniscript.context import Context
from bursar.bitcoin.script import ScriptType, classify, multisig
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import parse_public_key, taproot_output_key
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput

_TESTNET = bytes.fromhex("043587cf")
_MOST_BARE = 3


class KeyNames:
    """What is known of keys: their origins, and extended keys with origins above them."""

    def __init__(
        self,
        origins: Mapping[bytes, KeyOrigin],
        xpubs: Mapping[ExtendedPublicKey, KeyOrigin] | None = None,
    ) -> None:
        self._origins = origins
        self._xpubs = xpubs or {}
        self._by_hash = {hash160(key): key for key in origins}
        self._by_x_only_hash = {hash160(key[1:]): key[1:] for key in origins if len(key) == 33}

    def hashed(self, key_hash: bytes) -> bytes | None:
        """The known key with this hash."""
        return self._by_hash.get(key_hash)

    def tapscript_hashed(self, key_hash: bytes) -> bytes | None:
        """The known x-only key with this hash."""
        return self._by_x_only_hash.get(key_hash)

    def tapscript(self, x_only: bytes) -> KeyExpression:
        """The expression of an x-only key."""
        return self.expression(b"\x02" + x_only, x_only=True)

    def expression(self, key: bytes, *, x_only: bool = False) -> KeyExpression:
        """The key's expression: below an extended key if one fits, else alone with its origin."""
        origin = self._origins.get(key)
        if origin is not None:
            for xpub, home in self._xpubs.items():
                found = _below(xpub, home, key, origin, x_only=x_only)
                if found is not None:
                    return found
        return KeyExpression(key, origin, x_only=x_only)


def _below(
    xpub: ExtendedPublicKey, home: KeyOrigin, key: bytes, origin: KeyOrigin, *, x_only: bool
) -> KeyExpression | None:
    if home.fingerprint != origin.fingerprint or not home.path.is_prefix_of(origin.path):
        return None
    steps = origin.path.indexes[len(home.path) :]
    if any(step >= HARDENED for step in steps) or xpub.depth + len(steps) > 255:
        return None
    derived = xpub.derive(steps).key
    return KeyExpression(xpub, home, steps) if derived == key or (x_only and derived[1:] == key[1:]) else None


def infer(
    script: bytes,
    origins: Mapping[bytes, KeyOrigin],
    *,
    redeem_script: bytes | None = None,
    witness_script: bytes | None = None,
    internal_key: bytes | None = None,
    tree: Sequence[tuple[int, bytes]] = (),
    xpubs: Mapping[ExtendedPublicKey, KeyOrigin] | None = None,
    network: Network | None = None,
) -> Descriptor:
    """The descriptor of exactly this output script, as far as the keys at hand explain it.

    ``origins`` are by public key of 33 or 65 bytes (for taproot 02 and the x-only key); ``xpubs`` lets keys be named
    below extended keys; ``tree`` is the depth and script of each leaf of a script tree from left to right. A script
    that no key explains becomes ``addr`` where ``network`` is given and it has an address, else ``raw``. Keys of
    multisig scripts are named in their order (``multi``): whether they were sorted, one script cannot tell. Other
    witness scripts and leaves are told if they are sane miniscript (BIP-379) and every hashed key in them is known.
    """
    names = KeyNames(origins, xpubs)
    node = _node(script, names, redeem_script, witness_script) or _taproot(script, names, internal_key, tree)
    if node is not None:
        try:
            found = Descriptor.of(node)
        except InvalidInputError:
            found = None  # a script that no descriptor may make, such as one of uncompressed keys in a segwit output
        if found is not None and found.script() == script:
            return found
    return Descriptor.of(_unexplained(script, network))


def _node(script: bytes, names: KeyNames, redeem: bytes | None, witness: bytes | None) -> Node | None:
    kind = classify(script)
    if kind is ScriptType.P2SH and redeem is not None and hash160(redeem) == script[2:22]:
        inner = _node(redeem, names, None, witness) if classify(redeem) is ScriptType.P2WSH else None
        if inner is None and classify(redeem) is ScriptType.P2WPKH:
            inner = _hashed("wpkh", redeem[2:], names)
        inner = inner or _plain(redeem, names)
        return None if inner is None else Wrapped("sh", inner)
    if kind is ScriptType.P2WSH and witness is not None and sha256(witness) == script[2:]:
        inner = _plain(witness, names) or _policy(witness, names)
        return None if inner is None else Wrapped("wsh", inner)
    if kind is ScriptType.P2WPKH:
        return _hashed("wpkh", script[2:], names)
    found = _plain(script, names)
    return None if isinstance(found, Multi) and len(found.keys) > _MOST_BARE else found


def _plain(script: bytes, names: KeyNames) -> Node | None:
    kind = classify(script)
    if kind is ScriptType.P2PKH:
        return _hashed("pkh", script[3:23], names)
    if kind is ScriptType.P2PK and _is_point(script[1:-1]):
        return OneKey("pk", names.expression(script[1:-1]))
    found = multisig(script)
    if found is None or not all(_is_point(key) for key in found[1]):
        return None
    return Multi("multi", found[0], tuple(names.expression(key) for key in found[1]))


def _policy(script: bytes, names: KeyNames) -> Node | None:
    from bursar.bitcoin.descriptors.policies import infer_policy

    return infer_policy(script, Context.P2WSH, names.expression, names.hashed)


def _hashed(name: str, key_hash: bytes, names: KeyNames) -> Node | None:
    key = names.hashed(key_hash)
    return None if key is None else OneKey(name, names.expression(key))


def _taproot(script: bytes, names: KeyNames, internal: bytes | None, tree: Sequence[tuple[int, bytes]]) -> Node | None:
    if classify(script) is not ScriptType.P2TR or not _is_point(b"\x02" + script[2:]):
        return None
    if internal is not None and (not tree or is_whole([depth for depth, _ in tree])):
        root = merkle_tree([(depth, leaf_hash(one)) for depth, one in tree])[0] if tree else b""
        leaves = leaves_of(tree, names.tapscript, names.tapscript_hashed)
        if leaves is not None and taproot_output_key(internal, root)[0] == script[2:]:
            return Taproot(names.tapscript(internal), leaves)
    return RawTaproot(names.expression(b"\x02" + script[2:], x_only=True))


def _is_point(key: bytes) -> bool:
    try:
        parse_public_key(key)
    except InvalidInputError:
        return False
    return True


def _unexplained(script: bytes, network: Network | None) -> Node:
    if network is not None:
        try:
            return Fixed("addr", Address.from_script(script, network).text, script)
        except InvalidInputError:
            pass  # a script without address
    if not script:
        raise InvalidInputError("descriptor: an empty script has no descriptor", code="input.descriptor")
    return Fixed("raw", script.hex(), script)


def infer_input(psbt: Psbt, number: int, *, network: Network | None = None) -> Descriptor:
    """The descriptor of the output that input ``number`` spends, from the fields of the PSBT alone."""
    one = psbt.inputs[number]
    tree = tree_of_blocks(one.tap_leaf_scripts, one.tap_merkle_root) if one.tap_merkle_root else ()
    return _infer_map(psbt, one, psbt.utxo(number).script, tree, network)


def infer_output(psbt: Psbt, number: int, *, network: Network | None = None) -> Descriptor:
    """The descriptor of output ``number``, from the fields of the PSBT alone."""
    one = psbt.outputs[number]
    tree = tree_of_field(one.tap_tree) if one.tap_tree else ()
    return _infer_map(psbt, one, psbt.tx.outputs[number].script, tree, network)


def _infer_map(
    psbt: Psbt, one: PsbtInput | PsbtOutput, script: bytes, tree: Tree | None, network: Network | None
) -> Descriptor:
    origins = dict(one.bip32_derivations.items())
    origins.update({b"\x02" + key: origin for key, (_, origin) in one.tap_bip32_derivations.items()})
    return infer(
        script,
        origins,
        redeem_script=one.redeem_script,
        witness_script=one.witness_script,
        internal_key=None if tree is None else one.tap_internal_key,
        tree=tree or (),
        xpubs={_extended(raw): origin for raw, origin in psbt.xpubs.items()},
        network=network,
    )


def _extended(raw: bytes) -> ExtendedPublicKey:
    return ExtendedPublicKey(
        raw[4], Fingerprint(raw[5:9]), int.from_bytes(raw[9:13], "big"), raw[13:45], raw[45:], raw[:4] == _TESTNET
    )


def raw_extended(xpub: ExtendedPublicKey) -> bytes:
    """The 78 bytes of an extended key, as ``PSBT_GLOBAL_XPUB`` holds them."""
    version = _TESTNET if xpub.testnet else bytes.fromhex("0488b21e")
    place = bytes((xpub.depth,)) + xpub.parent + xpub.index.to_bytes(4, "big")
    return version + place + xpub.chain_code + xpub.key
