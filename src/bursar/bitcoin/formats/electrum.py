"""Electrum's wallet file: standard and multisig wallets, the public half, with labels and frozen coins."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bursar.bitcoin import strict_json
from bursar.bitcoin.address import Address
from bursar.bitcoin.formats import fields
from bursar.bitcoin.formats.shapes import KINDS, SCRIPTS, of_many, of_single_key, single_key, some_of_many
from bursar.bitcoin.formats.wallet_file import LARGEST, KeyName, WalletFile, invalid, network_of
from bursar.bitcoin.labels import LabelRecord, LabelType
from bursar.bitcoin.network import NETWORKS
from bursar.errors import InvalidInputError
from bursar.keys.scheme import MultisigScript, Scheme
from bursar.keys.slip132 import prefixed_text

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor
    from bursar.bitcoin.descriptors.keys import KeyExpression
    from bursar.bitcoin.network import Network
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import KeyOrigin

_Key: TypeAlias = "tuple[KeyOrigin | None, ExtendedPublicKey, Scheme | MultisigScript | None]"
_MULTISIG: Final = re.compile(r"([1-9][0-9]?)of([1-9][0-9]?)")
_TXID: Final = re.compile(r"[0-9a-f]{64}")
_PLACE: Final = re.compile(r"[0-9a-f]{64}:[0-9]{1,10}")
_SEED_VERSION: Final = 41  # of the file's layout; the program brings older ones up to date itself
_KEPT: Final = ("labels", "frozen_coins", "frozen_addresses")
_SECRETS: Final = ("seed", "passphrase", "xprv")
_MOST_KEYS: Final = 15


def read(data: bytes | str, *, network: Network | None = None) -> WalletFile:
    """The file, unless it is encrypted as a whole (code ``input.wallet-file.encrypted``)."""
    text = strict_json.decoded(data, what="the Electrum wallet", code="input.wallet-file", largest=LARGEST)
    if encrypted(text):
        raise invalid(
            "Electrum encrypted it: save a copy without password in Electrum, or export the master public keys",
            "input.wallet-file.encrypted",
        )
    value = _document(text)
    stores, threshold = _stores(value)
    remarks: list[str] = []
    descriptor = _descriptor([_key(store, remarks) for store in stores], threshold)
    names = tuple(KeyName(fields.name_text(one.get("label")), fields.name_text(one.get("hw_type"))) for one in stores)
    return WalletFile(
        "",
        _checked_network(value, descriptor, network),
        descriptor,
        labels=_labels(value, remarks),
        key_names=names if any(one != KeyName() for one in names) else (),
        remarks=tuple(remarks),
    )


def _checked_network(value: dict[str, Any], descriptor: Descriptor, network: Network | None) -> Network:
    """The network, which newer files name; the first address, which most files hold, must be the descriptor's."""
    own = next((one for one in NETWORKS if one.genesis_hash == value.get("genesis_blockhash")), None)
    if own is not None and network not in (None, own):
        raise invalid(f"it belongs to {own}, not to {network}", "input.network")
    found = network_of(descriptor, own or network)
    addresses = value.get("addresses")
    receiving = addresses.get("receiving") if isinstance(addresses, dict) else None
    if isinstance(receiving, list) and receiving and isinstance(receiving[0], str):
        derived = descriptor.script(0, 0)
        if all(_script(receiving[0], one) != derived for one in ((found,) if network or own else NETWORKS)):
            raise invalid("its first address is not that of its keys", "input.wallet-file.address")
    return found


def _script(address: str, network: Network) -> bytes | None:
    try:
        return Address.from_text(address, network).script
    except InvalidInputError:
        return None


def encrypted(text: str) -> bool:
    """Whether a file is one that Electrum encrypted as a whole."""
    try:
        return base64.b64decode(text[:8], validate=True)[:4] in (b"BIE1", b"BIE2")
    except (binascii.Error, ValueError):
        return False


def _document(text: str) -> dict[str, Any]:
    """The object, with the changes that the program appends to it (JSON patches) applied to what is read here."""
    found = fields.document(f"[{text.rstrip().removesuffix(',')}]", "the Electrum wallet")
    value = fields.entry(found[0] if found else None, "document")
    for patch in found[1:]:
        one = fields.entry(patch, "appended change")
        path = [part.replace("~1", "/").replace("~0", "~") for part in fields.text(one, "path").split("/")[1:]]
        if not path or path[0] not in _KEPT:
            continue
        target: Any = value
        operation = one.get("op")
        for part in path[:-1]:
            target = target.get(part) if isinstance(target, dict) else None
        if isinstance(target, dict) and operation in ("add", "replace"):
            target[path[-1]] = one.get("value")
        elif isinstance(target, dict) and operation == "remove":
            target.pop(path[-1], None)
    return value


def _stores(value: dict[str, Any]) -> tuple[list[dict[str, Any]], int | None]:
    """The key stores, and how many must sign; ``None`` for a wallet of one key."""
    kind = fields.text(value, "wallet_type", "")
    if kind == "standard":
        return [fields.entry(value.get("keystore"), "keystore")], None
    match = _MULTISIG.fullmatch(kind)
    if match is None:
        raise invalid(f"wallets of the type {kind[:20]!r} have no extended public keys to take over")
    if int(match[2]) > _MOST_KEYS:
        raise invalid(f"it has more than {_MOST_KEYS} keys")
    # "x1" since layout 60 or so, "x1/" before
    places = range(1, int(match[2]) + 1)
    return [fields.entry(value.get(f"x{n}/", value.get(f"x{n}")), f"x{n}") for n in places], int(match[1])


def _descriptor(keys: list[_Key], threshold: int | None) -> Descriptor:
    script = keys[0][2]
    if any(other is not script for _, _, other in keys):
        raise invalid("its keys' prefixes name different kinds of script")
    if threshold is None:
        scheme = Scheme.BIP44 if script is None else script
        if isinstance(scheme, MultisigScript):
            raise invalid("its key's prefix names multisig")
        return of_single_key(scheme, keys[0][0], keys[0][1])
    script = MultisigScript.SH if script is None else script
    if isinstance(script, Scheme):
        raise invalid("its keys' prefix names a script of one key")
    return of_many(KINDS[script], threshold, [(origin, xpub) for origin, xpub, _ in keys])


def _key(store: dict[str, Any], remarks: list[str]) -> _Key:
    kind = fields.text(store, "type", "")
    if kind not in ("bip32", "hardware"):
        raise invalid(f"a key of the type {kind[:20]!r} is no extended key: move its coins instead")
    if any(store.get(name) for name in _SECRETS) and fields.PRIVATE not in remarks:
        remarks.append(fields.PRIVATE)
    fingerprint = store.get("root_fingerprint")
    number = store.get("ckcc_xfp")
    if fingerprint is None and type(number) is int and 0 <= number < 1 << 32:
        fingerprint = number.to_bytes(4, "little").hex()
    xpub, script = fields.extended(fields.text(store, "xpub"))
    return fields.origin(fingerprint, store.get("derivation")), xpub, script


def _labels(value: dict[str, Any], remarks: list[str]) -> tuple[LabelRecord, ...]:
    labels = value.get("labels") or {}
    frozen = value.get("frozen_coins") or {}
    if not isinstance(labels, dict) or not isinstance(frozen, dict):
        raise invalid("its labels or frozen coins are not an object")
    found: dict[tuple[str, str], LabelRecord] = {}
    passed = 0
    for reference, label in labels.items():
        kind = (
            LabelType.TX
            if _TXID.fullmatch(reference)
            else LabelType.OUTPUT
            if _PLACE.fullmatch(reference)
            else LabelType.ADDRESS
        )
        try:
            record = LabelRecord(kind, reference, fields.name_text(label))
        except InvalidInputError:
            passed += 1
            continue
        if record.label:
            found[record.place] = record
    for reference, state in frozen.items():
        if type(state) is bool:
            known = found.get((LabelType.OUTPUT.value, reference))
            record = LabelRecord(LabelType.OUTPUT, reference, known.label if known else None, not state)
            found[record.place] = record
    if passed:
        remarks.append(f"{passed} labels point at something else than transactions, outputs or addresses")
    if value.get("frozen_addresses"):
        remarks.append("it has frozen addresses: freeze their coins here yourself")
    return tuple(found.values())


def write(file: WalletFile) -> str:
    """A watch-only wallet that Electrum opens; ``InvalidInputError`` for scripts that Electrum does not know."""
    one, many = single_key(file.descriptor), some_of_many(file.descriptor)
    names = file.key_names or (KeyName(),) * len(file.descriptor.keys)
    if one is not None and one.scheme is not Scheme.BIP86:
        kind = "standard"
        stores = {"keystore": _store(one.key, prefixed_text(one.xpub, one.scheme), names[0])}
    elif many is not None and many.sorted and len(many.keys) <= _MOST_KEYS:
        kind = f"{many.threshold}of{len(many.keys)}"
        script = SCRIPTS[many.kind]
        rows = zip(many.keys, many.xpubs, names, strict=True)
        stores = {
            f"x{n}/": _store(key, prefixed_text(xpub, script), name) for n, (key, xpub, name) in enumerate(rows, 1)
        }
    else:
        raise invalid("Electrum holds one key (no taproot) or multisig with sorted keys, with branches 0 and 1")
    document: dict[str, Any] = {"wallet_type": kind, "seed_version": _SEED_VERSION, "use_encryption": False, **stores}
    texts = (LabelType.TX, LabelType.ADDRESS)
    labels = {label.reference: label.label for label in file.labels if label.type in texts and label.label}
    frozen = {label.reference: not label.spendable for label in file.labels if label.spendable is not None}
    if labels:
        document["labels"] = labels
    if frozen:
        document["frozen_coins"] = frozen
    return strict_json.write(document, indent=4) + "\n"


def _store(key: KeyExpression, xpub: str, name: KeyName) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "bip32", "pw_hash_version": 1, "xpub": xpub, "xprv": None}
    found["derivation"] = None if key.origin is None else fields.path_text(key.origin)
    found["root_fingerprint"] = None if key.origin is None else str(key.origin.fingerprint)
    return found | ({"label": name.label} if name.label else {})
