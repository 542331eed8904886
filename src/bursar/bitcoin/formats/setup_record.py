"""The unencrypted descriptor record of BIP-129 as a wallet file: what Sparrow, Nunchuk and Coldcard exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin import strict_json
from bursar.bitcoin.formats.wallet_file import WalletFile
from bursar.bitcoin.setup_file import DescriptorRecord
from bursar.bitcoin.setup_token import LARGEST_RECORD

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network


def read(data: bytes | str, *, network: Network | None = None) -> WalletFile:
    """The record, its first address compared."""
    text = strict_json.decoded(data, what="the set-up record", code="input.setup-file", largest=LARGEST_RECORD)
    record = DescriptorRecord.parse(text, network=network)
    return WalletFile("", record.network, record.descriptor)


def write(file: WalletFile) -> str:
    """The record."""
    return f"{DescriptorRecord(file.network, file.descriptor)}\n"
