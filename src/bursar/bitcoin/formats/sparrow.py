"""Descriptors as text, as Sparrow exports them and Nunchuk and others read them: one, or receive and change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.formats import fields
from bursar.bitcoin.formats.shapes import paired, with_change
from bursar.bitcoin.formats.specter import ASSUMED
from bursar.bitcoin.formats.wallet_file import WalletFile, invalid, network_of

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor
    from bursar.bitcoin.network import Network

_LARGEST: Final = 1 << 20
_MOST_LINES: Final = 64
_TITLE: Final = re.compile(r"^[A-Za-z ]{1,40}:\s*(?=[a-z]+\()")


def read(data: bytes | str, *, network: Network | None = None) -> WalletFile:
    """Lines with descriptors; ``#`` begins a comment, ``Receive:`` and the like before a descriptor are passed over."""
    text = strict_json.decoded(data, what="the descriptor text", code="input.wallet-file", largest=_LARGEST)
    lines = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
    written = [_TITLE.sub("", line, count=1) for line in lines if line and not line.startswith("#")]
    if not 0 < len(written) <= _MOST_LINES:
        raise invalid("it holds no descriptor")
    remarks: list[str] = []
    descriptor = _one([fields.public_descriptor(one, remarks) for one in written])
    if descriptor.branches == 1:
        both = with_change(descriptor)
        if both is not None:
            descriptor = both
            remarks.append(ASSUMED)
    return WalletFile("", network_of(descriptor, network), descriptor, remarks=tuple(remarks))


def _one(found: list[Descriptor]) -> Descriptor:
    first = next((one for one in found if one.branches > 1), None)
    if first is not None:
        if any(one != first and one not in first.expand() for one in found):
            raise invalid("it holds descriptors of several wallets: one file holds one")
        return first
    if len(found) == 1:
        return found[0]
    both = paired(found[0], found[1]) if len(found) == 2 else None
    if both is None:
        raise invalid("its descriptors are not receive and change of one wallet")
    return both


def write(file: WalletFile) -> str:
    """The descriptor of both branches, then one for each: whoever reads it finds the form it understands."""
    parts = file.descriptor.expand()
    if len(parts) == 1 and with_change(parts[0]) is not None:
        raise invalid("whoever reads /0/* alone sends change to /1/*, which is not this wallet's")
    if len(parts) == 1:
        return f"{file.descriptor}\n"
    if len(parts) != 2:
        raise invalid("a text of descriptors holds receive and change, and this wallet has more branches")
    return (
        f"# Receive and change descriptor:\n{file.descriptor}\n\n"
        f"# Receive descriptor:\n{parts[0]}\n\n# Change descriptor:\n{parts[1]}\n"
    )
