"""Caravan's wallet configuration JSON: multisig with sorted keys, branches 0 and 1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.formats import fields
from bursar.bitcoin.formats.shapes import of_many, some_of_many
from bursar.bitcoin.formats.wallet_file import KeyName, WalletFile, invalid, network_of
from bursar.bitcoin.multisig import MOST_COSIGNERS, MultisigKind
from bursar.bitcoin.network import Network
from bursar.keys.origin import Fingerprint

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.keys import KeyExpression
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import KeyOrigin

_KINDS: Final = {"P2SH": MultisigKind.SH, "P2WSH": MultisigKind.WSH, "P2SH-P2WSH": MultisigKind.SH_WSH}
_NETWORKS: Final = {
    "mainnet": Network.MAIN,
    "testnet": Network.TESTNET,
    "testnet4": Network.TESTNET4,
    "signet": Network.SIGNET,
    "regtest": Network.REGTEST,
}
_HMAC: Final = re.compile(r"[0-9a-fA-F]{64}")
_UNKNOWN: Final = "a key's path or fingerprint is unknown to Caravan: no signer will recognise it without"


def read(data: bytes | str, *, network: Network | None = None) -> WalletFile:
    """The configuration; ``network``, if given, must be that of the file."""
    value = fields.entry(fields.document(data, "the Caravan configuration"), "document")
    own = _NETWORKS.get(fields.text(value, "network"))
    kind = _KINDS.get(fields.text(value, "addressType").replace("_", "-"))
    if own is None or kind is None:
        raise invalid("its network or address type is unknown")
    if network is not None and network is not own:
        raise invalid(f"it belongs to {own}, not to {network}", "input.network")
    quorum = fields.entry(value.get("quorum"), "quorum")
    listed = [fields.entry(one, "key") for one in fields.listed(value, "extendedPublicKeys")]
    keys = [_key(one) for one in listed]
    required = fields.whole(quorum, "requiredSigners", 1, MOST_COSIGNERS)
    if fields.whole(quorum, "totalSigners", 1, MOST_COSIGNERS, len(keys)) != len(keys):
        raise invalid(f"it speaks of {quorum['totalSigners']} signers, and lists {len(keys)} keys")
    descriptor = of_many(kind, required, keys)
    names = tuple(KeyName(fields.name_text(one.get("name")), fields.name_text(one.get("method"))) for one in listed)
    return WalletFile(
        fields.name_text(value.get("name")),
        network_of(descriptor, own),
        descriptor,
        key_names=names if any(one != KeyName() for one in names) else (),
        ledger_hmacs=_hmacs(value),
        remarks=(_UNKNOWN,) if any(where is None for where, _ in keys) else (),
    )


def _key(data: dict[str, Any]) -> tuple[KeyOrigin | None, ExtendedPublicKey]:
    return fields.origin(data.get("xfp"), data.get("bip32Path")), fields.extended(fields.text(data, "xpub"))[0]


def _hmacs(value: dict[str, Any]) -> tuple[tuple[Fingerprint, bytes], ...]:
    if "ledgerPolicyHmacs" not in value:
        return ()
    found = []
    for one in fields.listed(value, "ledgerPolicyHmacs"):
        data = fields.entry(one, "ledgerPolicyHmacs")
        proof = fields.text(data, "policyHmac")
        if not _HMAC.fullmatch(proof):
            raise invalid("a Ledger's proof has 32 bytes of hex")
        found.append((Fingerprint.from_text(fields.text(data, "xfp")), bytes.fromhex(proof)))
    return tuple(found)


def write(file: WalletFile) -> str:
    """The configuration; ``InvalidInputError`` (``input.wallet-file``) for all but multisig with sorted keys."""
    shape = some_of_many(file.descriptor)
    if shape is None or not shape.sorted:
        raise invalid("Caravan holds multisig with sorted keys and branches 0 and 1, nothing else")
    names = file.key_names or (KeyName(),) * len(shape.keys)
    document = {
        "name": file.name or "Bursar",
        "addressType": next(name for name, kind in _KINDS.items() if kind is shape.kind),
        "network": next(name for name, network in _NETWORKS.items() if network is file.network),
        "client": {"type": "public"},
        "quorum": {"requiredSigners": shape.threshold, "totalSigners": len(shape.keys)},
        "extendedPublicKeys": [
            _written(place, name, key, xpub)
            for place, (name, key, xpub) in enumerate(zip(names, shape.keys, shape.xpubs, strict=True), 1)
        ],
        "startingAddressIndex": 0,
        "ledgerPolicyHmacs": [{"xfp": str(one), "policyHmac": proof.hex()} for one, proof in file.ledger_hmacs],
    }
    return strict_json.write(document, indent=2) + "\n"


def _written(place: int, name: KeyName, key: KeyExpression, xpub: ExtendedPublicKey) -> dict[str, str]:
    found = {
        "name": name.label or f"key {place}",
        "bip32Path": "Unknown" if key.origin is None else fields.path_text(key.origin),
        "xpub": str(xpub),
        "xfp": "Unknown" if key.origin is None else str(key.origin.fingerprint),
    }
    return found | ({"method": name.kind} if name.kind else {})
