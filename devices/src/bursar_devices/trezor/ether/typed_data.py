"""EthereumSignTypedData (EIP-712) of the models with a large screen: types and values asked of the host, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trezorlib import messages

from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import Address
from bursar_devices.device import Lie, Page
from bursar_devices.trezor.ether.definitions import network_of
from bursar_devices.trezor.ether.keys import address_of, signature_bytes
from bursar_devices.trezor.ether.paths import check_path, coin_type_of
from bursar_devices.trezor.spending.layout import wrap
from bursar_devices.trezor.workflow import Exchange, FailError, Screen, Workflow, data_error, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_Type = messages.EthereumDataType
_DOMAIN = "EIP712Domain"
_HASH_SHOWN = (2, 9, 1)
_ROW = 18
_DEEPEST = 40


def sign_typed_data(
    board: Board, message: messages.EthereumSignTypedData
) -> Workflow[messages.EthereumTypedDataSignature]:
    """Ask for everything, show everything, hash it, sign."""
    board.require_initialized()
    path = message.address_n
    definitions = message.definitions
    encoded = definitions.encoded_network if definitions is not None else None
    network = network_of(encoded, coin_type=coin_type_of(path), legacy=False)
    yield from board.seed()
    yield from check_path(board, path, network)
    key = yield from board.derive(path)
    address = address_of(key)
    yield from show(Screen(_Code.SignTx, "", (Page("Signing address", wrap(address, 17)),)))
    envelope = _Envelope(message.primary_type)
    yield from envelope.collect(_DOMAIN)
    yield from envelope.collect(message.primary_type)
    domain = yield from envelope.hash_struct(_DOMAIN, [0], _DOMAIN)
    inner = b""
    if message.primary_type != _DOMAIN:
        inner = yield from envelope.hash_struct(message.primary_type, [1], message.primary_type)
    told = message.show_message_hash
    if told is not None and board.version >= _HASH_SHOWN:
        if told != inner:
            raise data_error("Message hash mismatch")
        yield from show(
            Screen(_Code.SignTx, "confirm_message_hash", (Page("Message hash", wrap("0x" + inner.hex(), 17)),))
        )
    last = Page("Confirm typed data", ("Really sign EIP-712 typed data?", "Hold to confirm"))
    yield from show(Screen(_Code.Other, "confirm_typed_data_final", (last,)))
    if Lie.CHANGED_TRANSACTION in board.lies:
        inner = keccak256(inner)
    signature = signature_bytes(board, key, keccak256(b"\x19\x01" + domain + inner))
    return messages.EthereumTypedDataSignature(signature=signature, address=address)


class _Envelope:
    """What is known of the types so far."""

    def __init__(self, primary: str) -> None:
        self.primary = primary
        self.types: dict[str, Sequence[messages.EthereumStructMember]] = {}

    def collect(self, name: str) -> Workflow[None]:
        """The struct and those it refers to."""
        request = messages.EthereumTypedDataStructRequest(name=name)
        ack = yield Exchange(request, (messages.EthereumTypedDataStructAck,))
        self.types[name] = ack.members
        for member in ack.members:
            _check_type(member.type)
            kind = member.type
            while kind.data_type == _Type.ARRAY:
                kind = kind.entry_type
            if kind.data_type == _Type.STRUCT and kind.struct_name not in self.types:
                yield from self.collect(kind.struct_name)

    def hash_struct(self, name: str, path: list[int], where: str) -> Workflow[bytes]:
        """Its type hash and the words of its values."""
        if len(path) > _DEEPEST:  # the firmware's stack ends somewhere too
            raise FailError(messages.FailureType.FirmwareError, "Firmware error")
        words = keccak256(self._encode_type(name).encode())
        for number, member in enumerate(self.types[name]):
            place = f"{where}.{member.name}"
            words += yield from self._word(member.type, [*path, number], place)
        return keccak256(words)

    def _word(self, kind: messages.EthereumFieldType, path: list[int], where: str) -> Workflow[bytes]:
        if kind.data_type == _Type.STRUCT:
            return (yield from self.hash_struct(kind.struct_name or "", path, where))
        if kind.data_type != _Type.ARRAY:
            return (yield from _leaf(kind, path, where))
        size = kind.size
        if size is None:
            length = yield from _ask(path)
            if len(length) != 2:
                raise data_error("Invalid length")
            size = int.from_bytes(length, "big")
            if not size:
                yield from show(_field(where, ("empty array",)))
        words = b""
        entry: Any = kind.entry_type
        for number in range(size):
            if entry.data_type == _Type.ARRAY:  # the firmware never learnt these
                yield from _ask([*path, number])
                raise FailError(messages.FailureType.FirmwareError, "Firmware error")
            words += yield from self._word(entry, [*path, number], f"{where}[{number}]")
        return keccak256(words)

    def _encode_type(self, name: str) -> str:
        found: set[str] = set()
        self._references(name, found)
        text = ""
        for one in [name, *sorted(found - {name})]:
            members = ",".join(f"{_type_name(member.type)} {member.name}" for member in self.types[one])
            text += f"{one}({members})"
        return text

    def _references(self, name: str, found: set[str]) -> None:
        if name in found:
            return
        found.add(name)
        for member in self.types[name]:
            kind = member.type
            while kind.data_type == _Type.ARRAY:
                kind = kind.entry_type  # type: ignore[assignment]
            if kind.data_type == _Type.STRUCT:
                self._references(kind.struct_name or "", found)


def _ask(path: list[int]) -> Workflow[bytes]:
    request = messages.EthereumTypedDataValueRequest(member_path=path)
    ack = yield Exchange(request, (messages.EthereumTypedDataValueAck,))
    value: bytes = ack.value
    return value


def _leaf(kind: messages.EthereumFieldType, path: list[int], where: str) -> Workflow[bytes]:
    value = yield from _ask(path)
    if kind.size is not None and len(value) != kind.size:
        raise data_error("Invalid length")
    if kind.data_type == _Type.BOOL and value not in (b"\0", b"\1"):
        raise data_error("Invalid boolean value")
    if kind.data_type == _Type.ADDRESS and len(value) != 20:
        raise data_error("Invalid address")
    try:
        text = _text(kind, value)
    except UnicodeDecodeError as error:
        raise data_error("Invalid UTF-8") from error
    yield from show(_field(where, wrap(text, _ROW) or ("",)))
    if kind.data_type == _Type.STRING or (kind.data_type == _Type.BYTES and kind.size is None):
        return keccak256(value)
    if kind.data_type == _Type.BYTES:
        return value.ljust(32, b"\0")
    negative = kind.data_type == _Type.INT and value[0] & 0x80
    return value.rjust(32, b"\xff" if negative else b"\0")


def _text(kind: messages.EthereumFieldType, value: bytes) -> str:
    match kind.data_type:
        case _Type.STRING:
            return value.decode()
        case _Type.BOOL:
            return "true" if value == b"\1" else "false"
        case _Type.ADDRESS:
            return str(Address(value))
        case _Type.UINT | _Type.INT:
            return str(int.from_bytes(value, "big", signed=kind.data_type == _Type.INT))
    return value.hex()


def _field(where: str, lines: Sequence[str]) -> Screen:
    return Screen(_Code.Other, "confirm_typed_value", (Page(where, tuple(lines)),))


def _check_type(kind: messages.EthereumFieldType) -> None:
    sized = kind.data_type in (_Type.UINT, _Type.INT)
    if kind.data_type == _Type.ARRAY:
        if kind.entry_type is None:
            raise data_error("Missing entry_type in array")
        _check_type(kind.entry_type)
    elif kind.entry_type is not None:
        raise data_error("Unexpected entry_type in nonarray")
    if kind.data_type == _Type.STRUCT:
        if kind.struct_name is None:
            raise data_error("Missing struct_name in struct")
        if kind.size is None:
            raise data_error("Missing size in struct")
    elif kind.struct_name is not None:
        raise data_error("Unexpected struct_name in nonstruct")
    if sized and not 1 <= (kind.size or 0) <= 32:
        raise data_error("Invalid size in int/uint")
    if kind.data_type == _Type.BYTES and kind.size is not None and not 1 <= kind.size <= 32:
        raise data_error("Invalid size in bytes")
    if kind.data_type in (_Type.STRING, _Type.BOOL, _Type.ADDRESS) and kind.size is not None:
        raise data_error("Unexpected size in str/bool/addr")


def _type_name(kind: messages.EthereumFieldType) -> str:
    match kind.data_type:
        case _Type.ARRAY:
            size = "" if kind.size is None else str(kind.size)
            assert kind.entry_type is not None
            return f"{_type_name(kind.entry_type)}[{size}]"
        case _Type.STRUCT:
            return kind.struct_name or ""
        case _Type.UINT | _Type.INT:
            return f"{kind.data_type.name.lower()}{8 * (kind.size or 0)}"
        case _Type.BYTES:
            return f"bytes{kind.size or ''}"
    return kind.data_type.name.lower()
