"""Script types of the protocol as scripts and addresses, multisig included."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from trezorlib import messages
from trezorlib.messages import InputScriptType, OutputScriptType

from bursar.bitcoin import script as scripts
from bursar.bitcoin.address import Address
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import taproot_output_key
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint
from bursar_devices.trezor.workflow import data_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.trezor.coins import Coin

MAX_MULTISIG = 15

SEGWIT = (InputScriptType.SPENDP2SHWITNESS, InputScriptType.SPENDWITNESS, InputScriptType.SPENDTAPROOT)
LEGACY = (InputScriptType.SPENDADDRESS, InputScriptType.SPENDMULTISIG)
INTERNAL = (*LEGACY, *SEGWIT)
MULTISIG_INPUTS = (
    InputScriptType.SPENDMULTISIG,
    InputScriptType.SPENDP2SHWITNESS,
    InputScriptType.SPENDWITNESS,
)
MULTISIG_OUTPUTS = (
    OutputScriptType.PAYTOMULTISIG,
    OutputScriptType.PAYTOP2SHWITNESS,
    OutputScriptType.PAYTOWITNESS,
)
CHANGE_TYPES = {
    OutputScriptType.PAYTOADDRESS: InputScriptType.SPENDADDRESS,
    OutputScriptType.PAYTOMULTISIG: InputScriptType.SPENDMULTISIG,
    OutputScriptType.PAYTOP2SHWITNESS: InputScriptType.SPENDP2SHWITNESS,
    OutputScriptType.PAYTOWITNESS: InputScriptType.SPENDWITNESS,
    OutputScriptType.PAYTOTAPROOT: InputScriptType.SPENDTAPROOT,
}


def node_key(node: messages.HDNodeType) -> ExtendedPublicKey:
    """A co-signer's node; where the host says it stands in its tree changes none of the keys below it."""
    try:
        return ExtendedPublicKey(1, Fingerprint(bytes(4)), 0, node.chain_code, node.public_key)
    except InvalidInputError as error:
        raise data_error("Invalid multisig parameters") from error


def cosigners(multisig: messages.MultisigRedeemScriptType) -> list[tuple[messages.HDNodeType, Sequence[int]]]:
    """Every co-signer's node, with the path below it."""
    if multisig.nodes:
        return [(node, multisig.address_n) for node in multisig.nodes]
    return [(pair.node, pair.address_n) for pair in multisig.pubkeys]


def multisig_keys(multisig: messages.MultisigRedeemScriptType) -> list[bytes]:
    """The public keys in the order of the script."""
    keys = []
    for node, path in cosigners(multisig):
        try:
            keys.append(node_key(node).derive(path).key)
        except InvalidInputError as error:
            raise data_error("Invalid multisig parameters") from error
    if multisig.pubkeys_order == messages.MultisigPubkeysOrder.LEXICOGRAPHIC:
        keys.sort()
    return keys


def multisig_script(multisig: messages.MultisigRedeemScriptType) -> bytes:
    """``m <keys> n OP_CHECKMULTISIG``."""
    keys = multisig_keys(multisig)
    if not 1 <= multisig.m <= MAX_MULTISIG or not 1 <= len(keys) <= MAX_MULTISIG:
        raise data_error("Invalid multisig parameters")
    pushed = b"".join(scripts.push(key) for key in keys)
    return bytes([0x50 + multisig.m]) + pushed + bytes([0x50 + len(keys), 0xAE])


def check_threshold(multisig: messages.MultisigRedeemScriptType) -> None:
    """Refuse a threshold above the number of co-signers, which only later models do."""
    if multisig.m > len(cosigners(multisig)):
        raise data_error("Invalid multisig parameters")


def multisig_fingerprint(multisig: messages.MultisigRedeemScriptType) -> bytes:
    """What two multisig scripts of one wallet share: threshold, order and the set of co-signers."""
    ordered = multisig.pubkeys_order == messages.MultisigPubkeysOrder.LEXICOGRAPHIC
    nodes = [
        (node.public_key, node.chain_code, node.depth, node.fingerprint, node.child_num)
        for node, _ in cosigners(multisig)
    ]
    if ordered:
        nodes.sort()
    return hashlib.sha256(repr((multisig.m, ordered, nodes)).encode()).digest()


def uses_one_path(multisig: messages.MultisigRedeemScriptType) -> bool:
    """Whether every co-signer's key is at the same path below its node."""
    paths = [tuple(path) for _, path in cosigners(multisig)]
    return all(path == paths[0] for path in paths)


def inner_script(key: bytes, multisig: messages.MultisigRedeemScriptType | None) -> bytes:
    """The script whose hash is signed (BIP-143's script code, or the legacy one): of one key, or the multisig."""
    return multisig_script(multisig) if multisig is not None else scripts.p2pkh(hash160(key))


def output_script(kind: int | None, key: bytes, multisig: messages.MultisigRedeemScriptType | None) -> bytes:
    """The script pubkey of ``key`` (33 bytes), or of the multisig."""
    if kind == InputScriptType.SPENDTAPROOT:
        return scripts.p2tr(taproot_output_key(key[1:])[0])
    if multisig is None:
        if kind == InputScriptType.SPENDADDRESS:
            return scripts.p2pkh(hash160(key))
        if kind == InputScriptType.SPENDWITNESS:
            return scripts.p2wpkh(hash160(key))
        if kind == InputScriptType.SPENDP2SHWITNESS:
            return scripts.p2sh(hash160(scripts.p2wpkh(hash160(key))))
        raise data_error("Multisig details required")
    script = multisig_script(multisig)
    if kind == InputScriptType.SPENDWITNESS:
        return scripts.p2wsh(sha256(script))
    if kind == InputScriptType.SPENDP2SHWITNESS:
        return scripts.p2sh(hash160(scripts.p2wsh(sha256(script))))
    return scripts.p2sh(hash160(script))


def address_of(script: bytes, coin: Coin) -> str:
    return Address.from_script(script, coin.network).text


def script_of(address: str, coin: Coin) -> bytes | None:
    """The script an address stands for, or ``None`` when it is not one of the coin."""
    try:
        return Address.from_text(address, coin.network).script
    except InvalidInputError:
        return None
