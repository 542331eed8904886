"""Coldcard's multisig text file, which most multisig wallets read and write: sorted keys, branches 0 and 1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.formats import fields
from bursar.bitcoin.formats.shapes import SCRIPTS, of_many, some_of_many
from bursar.bitcoin.formats.wallet_file import WalletFile, invalid, network_of
from bursar.bitcoin.multisig import MultisigKind

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import KeyOrigin

_LARGEST: Final = 256 << 10
_MOST_NAME: Final = 20
_POLICY: Final = re.compile(r"([0-9]{1,2})\D{1,20}([0-9]{1,2})")
_FINGERPRINT: Final = re.compile(r"[0-9a-fA-F]{8}")
_FORMATS: Final = {
    "p2sh": MultisigKind.SH,
    "p2wsh": MultisigKind.WSH,
    "p2sh-p2wsh": MultisigKind.SH_WSH,
    "p2wsh-p2sh": MultisigKind.SH_WSH,
}


def read(data: bytes | str, *, network: Network | None = None) -> WalletFile:
    """``Name:``, ``Policy: 2 of 3``, ``Derivation:``, ``Format:`` and a line ``FINGERPRINT: xpub`` for each key."""
    text = strict_json.decoded(data, what="the multisig file", code="input.wallet-file", largest=_LARGEST)
    found: dict[str, str] = {}
    path: str | None = None
    keys: list[tuple[KeyOrigin | None, ExtendedPublicKey]] = []
    scripts: set[object] = set()
    for line in text.removeprefix("\ufeff").split("\n"):
        label, colon, value = line.strip().partition(":")
        label, value = label.strip().lower(), value.strip()
        if label in ("derivation", "# derivation"):
            path = value
        elif not colon or label.startswith("#"):
            continue
        elif label in ("name", "policy", "format"):
            if label in found:
                raise invalid(f"{label} stands in it twice")
            found[label] = value
        elif _FINGERPRINT.fullmatch(label):
            xpub, script = fields.extended(value)
            keys.append((fields.origin(label, path), xpub))
            scripts.add(script)
    return _wallet(found, keys, scripts, network)


def _wallet(
    found: dict[str, str],
    keys: list[tuple[KeyOrigin | None, ExtendedPublicKey]],
    scripts: set[object],
    network: Network | None,
) -> WalletFile:
    policy = _POLICY.fullmatch(found.get("policy", ""))
    if policy is None:
        raise invalid("it has no line such as Policy: 2 of 3")
    if int(policy[2]) != len(keys):
        raise invalid(f"its policy speaks of {policy[2]} keys, and it lists {len(keys)}")
    kind = _FORMATS.get(found.get("format", "p2sh").lower())
    if kind is None:
        raise invalid(f"its format {found['format'][:20]!r} is none of P2SH, P2WSH and P2SH-P2WSH")
    if scripts - {None, SCRIPTS[kind]}:
        raise invalid("a key's prefix names another kind of script than its format")
    descriptor = of_many(kind, int(policy[1]), keys)
    return WalletFile(fields.name_text(found.get("name")), network_of(descriptor, network), descriptor)


def write(file: WalletFile) -> str:
    """The file; ``InvalidInputError`` (``input.wallet-file``) for all but multisig with sorted keys and origins."""
    shape = some_of_many(file.descriptor)
    if shape is None or not shape.sorted:
        raise invalid("a Coldcard multisig file holds multisig with sorted keys and branches 0 and 1, nothing else")
    name = "".join([one for one in file.name if one.isascii()])[:_MOST_NAME].strip() or "multisig"
    kind = {MultisigKind.SH: "P2SH", MultisigKind.WSH: "P2WSH", MultisigKind.SH_WSH: "P2SH-P2WSH"}[shape.kind]
    lines = [f"Name: {name}", f"Policy: {shape.threshold} of {len(shape.keys)}", f"Format: {kind}"]
    for key, xpub in zip(shape.keys, shape.xpubs, strict=True):
        if key.origin is None:
            raise invalid(f"key {xpub} has no origin, and a Coldcard multisig file names one for each")
        lines += ["", f"Derivation: {fields.path_text(key.origin)}", f"{str(key.origin.fingerprint).upper()}: {xpub}"]
    return "\n".join(lines) + "\n"
