"""Which program a wallet file is from, told by its content; reading and writing by the format's name."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.formats import caravan, coldcard, core, electrum, fields, setup_record, sparrow, specter
from bursar.bitcoin.formats.wallet_file import LARGEST, WalletFile, invalid

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network

_HEX: Final = re.compile(r"[0-9a-fA-F]{66,}")
_POLICY: Final = re.compile(r"^\s*policy\s*:", re.IGNORECASE | re.MULTILINE)
_LOOKED_AT: Final = 4096  # characters, to tell the kind


class WalletFormat(Enum):
    """The formats that are read and written."""

    CORE = "core"
    SPECTER = "specter"
    SPECTER_DIY = "specter-diy"
    DESCRIPTOR = "descriptor"
    COLDCARD = "coldcard"
    ELECTRUM = "electrum"
    CARAVAN = "caravan"
    BSMS = "bsms"


def recognise(data: bytes | str) -> WalletFormat:
    """The format of a file; ``InvalidInputError`` where none fits, ``.encrypted`` where nobody can look into it."""
    text = strict_json.decoded(data, what="the wallet file", code="input.wallet-file", largest=LARGEST)
    text = text.removeprefix("\ufeff").strip()
    if not text:
        raise invalid("it is empty")
    if text[0] == "[":
        return WalletFormat.CORE
    if text[0] == "{":
        return _of_object(text)
    if electrum.encrypted(text):
        return WalletFormat.ELECTRUM
    if text.startswith("BSMS "):
        return WalletFormat.BSMS
    if text.startswith("addwallet "):
        return WalletFormat.SPECTER_DIY
    if _HEX.fullmatch(text):
        raise invalid(
            "it looks like an encrypted set-up file (BIP-129): decrypt it with the session's token first",
            "input.wallet-file.encrypted",
        )
    return WalletFormat.COLDCARD if _POLICY.search(text[:_LOOKED_AT]) else WalletFormat.DESCRIPTOR


def _of_object(text: str) -> WalletFormat:
    # Electrum appends changes behind the object, so that the whole need not be one JSON text
    value = fields.document(f"[{text.rstrip().removesuffix(',')}]", "the wallet file")[0]
    if "wallet_type" in value:
        return WalletFormat.ELECTRUM
    if "extendedPublicKeys" in value:
        return WalletFormat.CARAVAN
    if "descriptors" in value:
        return WalletFormat.CORE
    if "descriptor" in value or "recv_descriptor" in value:
        return WalletFormat.SPECTER
    raise invalid("no program that is known here writes such JSON")


def read_wallet_files(
    data: bytes | str, *, form: WalletFormat | None = None, network: Network | None = None
) -> tuple[WalletFile, ...]:
    """The wallets of a file: one, or with Bitcoin Core's list as many as it has pairs of descriptors.

    ``network`` tells test networks apart, which the keys do not. Sizes, depths and numbers are bounded before anything
    is built. ``InvalidInputError``: ``input.wallet-file`` and its kinds, ``input.descriptor``, ``input.network``.
    """
    kind = form or recognise(data)
    if kind is WalletFormat.CORE:
        return core.read(data, network=network)
    return (_READERS[kind](data, network=network),)


def write_wallet_files(form: WalletFormat, *files: WalletFile) -> str:
    """The text of a file; several wallets go into Bitcoin Core's list only."""
    if not files:
        raise invalid("there is no wallet to write")
    if form is WalletFormat.CORE:
        return core.write(*files)
    if len(files) != 1:
        raise invalid("only the list for Bitcoin Core holds several wallets: write one file for each")
    return _WRITERS[form](files[0])


_READERS: Final = {
    WalletFormat.SPECTER: specter.read,
    WalletFormat.SPECTER_DIY: specter.read_line,
    WalletFormat.DESCRIPTOR: sparrow.read,
    WalletFormat.COLDCARD: coldcard.read,
    WalletFormat.ELECTRUM: electrum.read,
    WalletFormat.CARAVAN: caravan.read,
    WalletFormat.BSMS: setup_record.read,
}
_WRITERS: Final = {
    WalletFormat.SPECTER: specter.write,
    WalletFormat.SPECTER_DIY: specter.write_line,
    WalletFormat.DESCRIPTOR: sparrow.write,
    WalletFormat.COLDCARD: coldcard.write,
    WalletFormat.ELECTRUM: electrum.write,
    WalletFormat.CARAVAN: caravan.write,
    WalletFormat.BSMS: setup_record.write,
}
