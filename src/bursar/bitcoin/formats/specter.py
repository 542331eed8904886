"""Specter Desktop's wallet JSON (also that of Fully Noded and Gordian), and Specter DIY's ``addwallet`` line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.formats import fields
from bursar.bitcoin.formats.shapes import paired, with_change
from bursar.bitcoin.formats.wallet_file import KeyName, WalletFile, invalid, network_of

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor
    from bursar.bitcoin.network import Network

ASSUMED: Final = "it names no change descriptor: change is taken to go to /1/*, as the program does"
_MOST_HEIGHT: Final = 500_000_000
_COMMAND: Final = "addwallet "


def read(data: bytes | str, *, network: Network | None = None) -> WalletFile:
    """``{"label", "blockheight", "descriptor", "devices"}``, or the program's own file with ``recv_descriptor``."""
    value = fields.entry(fields.document(data, "the Specter wallet"), "document")
    remarks: list[str] = []
    own = "recv_descriptor" in value
    receive = fields.public_descriptor(fields.text(value, "recv_descriptor" if own else "descriptor"), remarks)
    descriptor = _both(receive, value.get("change_descriptor"), remarks)
    names = _names(value.get("devices"), len(descriptor.keys))
    return WalletFile(
        fields.name_text(value.get("name" if own else "label")),
        network_of(descriptor, network),
        descriptor,
        key_names=names,
        birth_height=fields.whole(value, "blockheight", 0, _MOST_HEIGHT, 0) or None,
        remarks=tuple(remarks),
    )


def _both(receive: Descriptor, change: object, remarks: list[str]) -> Descriptor:
    if isinstance(change, str):
        both = paired(receive, fields.public_descriptor(change, remarks))
        if both is None:
            raise invalid("its change descriptor does not belong to its receiving one")
        return both
    if receive.branches != 1 or not receive.keys:
        return receive
    both = with_change(receive, bare=True)
    if both is None:
        return receive
    remarks.append(ASSUMED)
    return both


def _names(devices: object, count: int) -> tuple[KeyName, ...]:
    if not isinstance(devices, list) or len(devices) != count:
        return ()
    found = []
    for one in devices:
        if isinstance(one, dict):
            found.append(KeyName(fields.name_text(one.get("label")), fields.name_text(one.get("type"))))
        else:
            found.append(KeyName(fields.name_text(one)))
    return tuple(found)


def _receiving(file: WalletFile) -> Descriptor:
    first, *rest = file.descriptor.expand()
    if rest and with_change(first) != file.descriptor:
        raise invalid("Specter knows no change but that to /1/*")
    if not rest and with_change(first, bare=True) is not None:
        raise invalid("Specter would send change to /1/*, which is not this wallet's")
    return first


def write(file: WalletFile) -> str:
    """The JSON that Specter Desktop imports under "from wallet software"."""
    document: dict[str, Any] = {
        "label": file.name or "Imported from Bursar",
        "blockheight": file.birth_height or 0,
        "descriptor": str(_receiving(file)),
    }
    if file.key_names:
        document["devices"] = [{"type": one.kind or "other", "label": one.label} for one in file.key_names]
    return strict_json.write(document, indent=2) + "\n"


def read_line(data: bytes | str, *, network: Network | None = None) -> WalletFile:
    """``addwallet NAME&DESCRIPTOR``, the text of Specter DIY's QR code: keys without branches get ``/<0;1>/*``."""
    line = strict_json.decoded(data, what="the addwallet line", code="input.wallet-file", largest=200_000).strip()
    name, mark, written = line.removeprefix(_COMMAND).partition("&")
    if not line.startswith(_COMMAND) or not mark or not name.isprintable():
        raise invalid("it is not addwallet, a name, & and a descriptor")
    remarks: list[str] = []
    written = written.replace("/{0,1}/*", "/<0;1>/*")
    descriptor = _both(fields.public_descriptor(written, remarks), None, remarks)
    return WalletFile(fields.name_text(name), network_of(descriptor, network), descriptor, remarks=tuple(remarks))


def write_line(file: WalletFile) -> str:
    """The same line, for a QR code: descriptor without checksum, branches written ``/{0,1}/*``."""
    if "&" in file.name:
        raise invalid("Specter DIY takes no & in a name")
    _receiving(file)
    written = file.descriptor.bare.replace("/<0;1>/*", "/{0,1}/*")
    return f"{_COMMAND}{file.name or 'Bursar'}&{written}"
