"""Bitcoin Core: what ``listdescriptors`` answers and what ``importdescriptors`` takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.address import Address
from bursar.bitcoin.formats import fields
from bursar.bitcoin.formats.shapes import paired
from bursar.bitcoin.formats.wallet_file import WalletFile, invalid, network_of
from bursar.bitcoin.labels import LabelRecord, LabelType
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor
    from bursar.bitcoin.network import Network

_WINDOW: Final = 1000  # indexes Core watches beyond the next one
_MOST_INDEX: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class _Entry:
    descriptor: Descriptor
    internal: bool
    active: bool
    next_index: int
    time: int | None
    label: str


def read(data: bytes | str, *, network: Network | None = None) -> tuple[WalletFile, ...]:
    """One wallet for each pair of receiving and change descriptors, and for each that has no counterpart."""
    value = fields.document(data, "the list of descriptors")
    name = ""
    if isinstance(value, dict):
        name = fields.name_text(value.get("wallet_name"))
        value = fields.listed(value, "descriptors")
    if not isinstance(value, list) or not 0 < len(value) <= fields.MOST_ITEMS:
        raise invalid("it is no list of descriptors")
    remarks: list[str] = []
    entries = [_entry(fields.entry(one, "entry"), remarks) for one in value]
    found = []
    while entries:
        first = entries.pop(0)
        found.append(_wallet(first, _counterpart(first, entries), network, remarks))
    return tuple(_named(name, found))


def _entry(data: dict[str, Any], remarks: list[str]) -> _Entry:
    when = data.get("timestamp")
    internal, active = data.get("internal", False), data.get("active", False)
    if type(internal) is not bool or type(active) is not bool:
        raise invalid("internal and active are true or false")
    return _Entry(
        fields.public_descriptor(fields.text(data, "desc"), remarks),
        internal,
        active,
        fields.whole(data, "next_index", 0, _MOST_INDEX, fields.whole(data, "next", 0, _MOST_INDEX, 0)),
        None if when in (None, "now") else fields.whole(data, "timestamp", 0, 1 << 40),
        fields.text(data, "label", ""),
    )


def _counterpart(first: _Entry, others: list[_Entry]) -> tuple[Descriptor, _Entry] | None:
    for place, other in enumerate(others):
        if other.active is not first.active or (first.active and other.internal is first.internal):
            continue
        swapped = first.internal if first.active else False
        receive, change = (other, first) if swapped else (first, other)
        both = paired(receive.descriptor, change.descriptor)
        # of a descriptor not in use Core does not say whether it is for change: only the customary branches tell
        if both is not None and (first.active or _customary(both)):
            return both, others.pop(place)
    return None


def _customary(descriptor: Descriptor) -> bool:
    return all(step == (0, 1) for key in descriptor.keys for step in key.steps if isinstance(step, tuple))


def _wallet(
    first: _Entry, second: tuple[Descriptor, _Entry] | None, network: Network | None, remarks: list[str]
) -> WalletFile:
    entries = [first] if second is None else sorted([first, second[1]], key=lambda one: one.internal)
    descriptor = first.descriptor if second is None else second[0]
    times = [one.time for one in entries if one.time is not None]
    counts = tuple(one.next_index for one in entries)
    chosen = network_of(descriptor, network)
    return WalletFile(
        "",
        chosen,
        descriptor,
        labels=_labels(entries, chosen),
        birth_time=min(times) if times else None,
        next_index=counts if any(counts) and len(counts) == descriptor.branches else (),
        remarks=tuple(remarks),
    )


def _labels(entries: list[_Entry], network: Network) -> tuple[LabelRecord, ...]:
    found = []
    for one in entries:
        if one.label and not one.descriptor.ranged and one.descriptor.branches == 1:
            try:
                address = one.descriptor.address(network).text
            except InvalidInputError:
                continue  # a script without address has nothing to attach the label to
            found.append(LabelRecord(LabelType.ADDRESS, address, fields.name_text(one.label)))
    return tuple(found)


def _named(name: str, found: list[WalletFile]) -> list[WalletFile]:
    if len(found) == 1:
        return [replace(found[0], name=name)]
    kinds = [one.descriptor.node.text(lambda _: "").rstrip(")").replace("(", "-").strip("-") for one in found]
    return [
        replace(one, name=fields.name_text(f"{name} {kind[:30]} {place}".strip()))
        for place, (one, kind) in enumerate(zip(found, kinds, strict=True), 1)
    ]


def write(*files: WalletFile) -> str:
    """The argument of ``importdescriptors`` for a wallet without private keys; labels of single addresses only.

    The birthday is when Core begins to look for coins: without one it looks through the whole chain.
    """
    requests: list[dict[str, Any]] = []
    for file in files:
        for branch, one in enumerate(file.descriptor.expand()):
            request: dict[str, Any] = {"desc": str(one), "timestamp": file.birth_time or 0}
            if one.ranged:
                next_index = file.next_index[branch] if file.next_index else 0
                request |= {
                    "active": True,
                    "internal": branch == 1,
                    "range": [0, min(next_index + _WINDOW, _MOST_INDEX) - 1],
                    "next_index": next_index,
                }
            elif branch == 0:
                request |= _label_of(one, file)
            requests.append(request)
    return strict_json.write(requests, indent=2) + "\n"


def _label_of(descriptor: Descriptor, file: WalletFile) -> dict[str, str]:
    try:
        address = Address.from_script(descriptor.script(), file.network).text
    except InvalidInputError:
        return {}
    labels = [one.label for one in file.labels if one.type is LabelType.ADDRESS and one.reference == address]
    return {"label": labels[0]} if labels and labels[0] else {}
