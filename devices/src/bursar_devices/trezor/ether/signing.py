"""EthereumSignTx and EthereumSignTxEIP1559: the calldata comes in chunks, the fields at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar_devices.trezor import lying
from bursar_devices.trezor.ether import layout
from bursar_devices.trezor.ether.definitions import UNKNOWN_TOKEN, network_of, token_at
from bursar_devices.trezor.ether.paths import check_path, parse_address
from bursar_devices.trezor.ether.payment import Payment
from bursar_devices.trezor.workflow import Exchange, Workflow, data_error, show

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

_Request = messages.EthereumSignTx | messages.EthereumSignTxEIP1559
_MAX_DATA = 16_000_000
_CHUNK = 1024
_MAX_CHAIN_ID = (0xFFFFFFFF - 36) // 2  # above it only the parity is returned
_TRANSFER = bytes.fromhex("a9059cbb") + bytes(12)
_WANCHAIN_TYPES = (1, 6)


def sign_tx(board: Board, message: messages.EthereumSignTx) -> Workflow[messages.EthereumTxRequest]:
    if not board.legacy:
        _check_type(board, message.tx_type)
    payment = yield from _prepare(board, message, message.gas_price)
    if board.legacy:
        _check_type(board, message.tx_type)
    price, limit = _number(message.gas_price), _number(message.gas_limit)
    yield from show(*layout.transaction(board, payment, message.address_n))
    yield from show(*layout.legacy_fee(board, payment, price, limit))
    data = yield from _data(board, message)
    fields: list[rlp.Item] = [message.nonce or b"", message.gas_price, message.gas_limit]
    fields += [_to(board, message) or b"", message.value or b"", data]
    if message.tx_type:
        fields.insert(0, rlp_number(message.tx_type))
    fields += [rlp_number(message.chain_id), b"", b""]
    r, s, parity = yield from _sign(board, message, rlp.encode(fields))
    v = parity if message.chain_id > _MAX_CHAIN_ID else parity + 2 * message.chain_id + 35
    return _signed(v, r, s)


def sign_tx_eip1559(board: Board, message: messages.EthereumSignTxEIP1559) -> Workflow[messages.EthereumTxRequest]:
    payment = yield from _prepare(board, message, message.max_gas_fee, message.max_priority_fee)
    most, tip = _number(message.max_gas_fee), _number(message.max_priority_fee)
    limit = _number(message.gas_limit)
    yield from show(*layout.transaction(board, payment, message.address_n))
    yield from show(*layout.fee_1559(board, payment, most, tip, limit))
    data = yield from _data(board, message)
    access = _access_list(board, message)
    fields: list[rlp.Item] = [rlp_number(message.chain_id), message.nonce or b"", message.max_priority_fee]
    fields += [message.max_gas_fee, message.gas_limit if board.legacy else rlp_number(limit)]
    fields += [_to(board, message) or b"", message.value or b"", data, access]
    r, s, parity = yield from _sign(board, message, b"\x02" + rlp.encode(fields))
    return _signed(parity, r, s)


def rlp_number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _number(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "big")


def _check_type(board: Board, tx_type: int | None) -> None:
    if tx_type is not None and tx_type not in _WANCHAIN_TYPES:
        raise data_error("Txtype out of bounds" if board.legacy else "tx_type out of bounds")


def _prepare(board: Board, message: _Request, *prices: bytes) -> Workflow[Payment]:
    """Everything checked before the human is asked."""
    board.require_initialized()
    definitions = message.definitions
    encoded_network = definitions.encoded_network if definitions is not None else None
    encoded_token = definitions.encoded_token if definitions is not None else None
    network = network_of(encoded_network, chain_id=message.chain_id, legacy=board.legacy)
    if board.legacy:
        yield from check_path(board, message.address_n, network)
        yield from board.seed()
        _check_fields(board, message)
        _check_fee(board, message, prices)
    else:
        yield from board.seed()
        _check_fee(board, message, prices)
        _check_fields(board, message)
        yield from check_path(board, message.address_n, network)
    to = _to(board, message)
    data = message.data_initial_chunk or b""
    length = message.data_length or 0
    transfer = to is not None and not message.value and length == len(data) == 68 and data.startswith(_TRANSFER)
    if not transfer:
        return Payment(network, to, _number(message.value), None, None, data, length)
    assert to is not None
    token = token_at(encoded_token, network, to)
    if token is None:
        if not board.legacy:
            yield from show(*layout.unknown_token(to))
        token = UNKNOWN_TOKEN
    return Payment(network, data[16:36], _number(data[36:]), token, to, data, length)


def _check_fee(board: Board, message: _Request, prices: tuple[bytes, ...]) -> None:
    if any(len(price) + len(message.gas_limit) > 30 for price in prices):
        raise data_error("Safety check failed" if board.legacy else "Fee overflow")


def _check_fields(board: Board, message: _Request) -> None:
    length = message.data_length or 0
    initial = message.data_initial_chunk or b""
    if board.legacy and message.chain_id < 1:
        raise data_error("Chain ID out of bounds")
    if length > 0:
        if not initial:
            raise data_error("Data length provided, but no initial chunk")
        if length > _MAX_DATA:
            raise data_error("Data length exceeds limit")
    if len(initial) > length and (board.legacy or length > 0):
        raise data_error("Invalid size of initial chunk")
    to = message.to or ""
    if len(to) not in (0, 40, 42):
        raise data_error("Safety check failed" if board.legacy else "Invalid recipient address")
    if not to and length == 0:
        raise data_error("Safety check failed" if board.legacy else "Contract creation without data")
    if message.chain_id == 0:
        raise data_error("Chain ID out of bounds")


def _access_list(board: Board, message: messages.EthereumSignTxEIP1559) -> list[rlp.Item]:
    entries: list[rlp.Item] = []
    for entry in message.access_list:
        address = _address(board, entry.address)
        if address is None:
            raise data_error("Malformed address")
        entries.append([address, list(entry.storage_keys)])
    return entries


def _address(board: Board, text: str) -> bytes | None:
    """The 20 bytes; a Trezor One takes what is no address for none at all."""
    address = parse_address(text)
    if address is None and text and not board.legacy:
        raise data_error("Invalid address format" if len(text) in (40, 42) else "Invalid address length")
    return address


def _to(board: Board, message: _Request) -> bytes | None:
    return _address(board, message.to or "")


def _data(board: Board, message: _Request) -> Workflow[bytes]:
    """The calldata: its beginning came with the request, the rest is asked for."""
    data = bytearray(message.data_initial_chunk or b"")
    left = (message.data_length or 0) - len(data)
    while left > 0:
        request = messages.EthereumTxRequest(data_length=min(left, _CHUNK))
        ack = yield Exchange(request, (messages.EthereumTxAck,))
        chunk: bytes = ack.data_chunk
        if board.legacy and len(chunk) > left:
            raise data_error("Too much data")
        if not chunk:
            raise data_error("Empty data chunk received")
        left -= len(chunk)
        data += chunk
    return bytes(data)


def _sign(board: Board, message: _Request, payload: bytes) -> Workflow[tuple[int, int, int]]:
    key = yield from board.derive(message.address_n)
    return lying.recoverable(board.lies, key, keccak256(payload))


def _signed(v: int, r: int, s: int) -> messages.EthereumTxRequest:
    return messages.EthereumTxRequest(
        signature_v=v, signature_r=r.to_bytes(32, "big"), signature_s=s.to_bytes(32, "big")
    )
