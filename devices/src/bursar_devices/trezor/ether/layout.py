"""The screens of Ethereum requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar.ethereum.address import Address
from bursar_devices.device import Page
from bursar_devices.trezor.coins import path_text
from bursar_devices.trezor.one_screen import dialog, rows
from bursar_devices.trezor.spending.amounts import decimal
from bursar_devices.trezor.spending.layout import HOLD, wrap
from bursar_devices.trezor.workflow import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.trezor.board import Board
    from bursar_devices.trezor.ether.definitions import EthereumNetwork, EthereumToken
    from bursar_devices.trezor.ether.payment import Payment

_Code = messages.ButtonRequestType
_GWEI = 10**9
_DATA_PAGES, _DATA_PAGE = 5, 24  # here and below: of a Trezor One
_ROW, _NUMBER_ROOM, _UNIT = 18, 64, 15


def amount_text(wei: int, network: EthereumNetwork, token: EthereumToken | None) -> str:
    """Such as ``1.5 ETH``; below one Gwei in Wei."""
    if token is not None:
        return f"{decimal(wei, token.decimals)} {token.symbol}"
    if wei < _GWEI:
        return f"{wei} Wei {network.symbol}"
    return f"{decimal(wei, 18)} {network.symbol}"


def _gwei(wei: int) -> str:
    return f"{decimal(wei, 9)} Gwei"


def _one(board: Board, name: str, page: Page, code: messages.ButtonRequestType = _Code.SignTx) -> Screen:
    return Screen(code, "" if board.legacy else name, (page,))


def transaction(board: Board, payment: Payment, path: Sequence[int]) -> tuple[Screen, ...]:
    """Recipient and amount, and the calldata of what is no known transfer."""
    to = str(Address(payment.to or bytes(20)))  # a new contract is shown as a payment to nobody
    data = _data(board, payment) if payment.token is None and payment.data_length else ()
    if not board.legacy:
        first = Screen(_Code.SignTx, "confirm_output", (Page("Recipient", (*wrap(to, 17), path_text(path))),))
        return (*data, first)
    number, unit = _parted(payment.value, payment.network, payment.token)
    if payment.token is None and payment.value == 0:
        number, unit = "message", ""
    text = _joined(unit, f"to {to}")
    last = f"{text[2 * _ROW :]}?"[: _ROW + 1]
    page = dialog("Send", number, text[:_ROW], text[_ROW : 2 * _ROW], last)
    return (_one(board, "", page), *data)


def _parted(wei: int, network: EthereumNetwork, token: EthereumToken | None = None) -> tuple[str, str]:
    """Number and unit on a Trezor One, which leaves out a number that is too long."""
    if token is not None:
        number, unit = decimal(wei, token.decimals), token.symbol
    elif wei < _GWEI:
        number, unit = str(wei), "Wei"
    else:
        number, unit = decimal(wei, 18), network.symbol
    return number if len(number) < _NUMBER_ROOM else "", unit[:_UNIT]


def _joined(unit: str, text: str) -> str:
    return f"{unit} {text}" if unit else text


def _data(board: Board, payment: Payment) -> tuple[Screen, ...]:
    data, total = payment.data, payment.data_length
    if not board.legacy:
        lines = (f"{total} bytes", *wrap(data.hex(), 18))
        return (_one(board, "confirm_data", Page("Input data", lines)),)
    screens = []
    shown = 0
    for _ in range(_DATA_PAGES):
        if shown >= total:
            break
        part = data[shown : shown + _DATA_PAGE]
        shown += len(part)
        more = "... " if shown < total else ""
        page = Page("Transaction data:", (*wrap(part.hex().upper(), 16), f"{more}{shown}/{total} bytes"))
        screens.append(_one(board, "", page))
        if not part:
            break
    if shown < total:
        page = dialog("Warning! Too long", "data to view.", "Proceed with caution.")
        screens.append(_one(board, "", page, _Code.ProtectCall))
    return tuple(screens)


def legacy_fee(board: Board, payment: Payment, price: int, limit: int) -> tuple[Screen, ...]:
    """The most the gas of a type 0 transaction can cost."""
    if board.legacy:
        what, unit = "token" if payment.token is not None else "message", ""
        if payment.token is None and payment.value:
            what, unit = _parted(payment.value, payment.network)
        gas, gas_unit = _parted(price * limit, payment.network)
        lines = (what, _joined(unit, "paying up to"), gas, _joined(gas_unit, "for gas?"))
        return (_one(board, "", dialog("Really send", *lines)),)
    fee = amount_text(price * limit, payment.network, None)
    return _summary(payment, fee, (f"{limit} units", _gwei(price)))


def fee_1559(board: Board, payment: Payment, most: int, tip: int, limit: int) -> tuple[Screen, ...]:
    """The fees of a type 2 transaction."""
    if not board.legacy:
        fee = amount_text(most * limit, payment.network, None)
        return _summary(payment, fee, (f"{limit} units", _gwei(most), _gwei(tip)))
    fee = " ".join(_parted(most * limit, payment.network))
    lines = (("Maximum fee per gas", _gwei(most)), ("Priority fee per gas", _gwei(tip)), ("Maximum fee", fee))
    return tuple(_one(board, "", Page("Confirm fee", (what, *rows(text, _ROW)))) for what, text in lines)


def _summary(payment: Payment, fee: str, details: tuple[str, ...]) -> tuple[Screen, ...]:
    amount = amount_text(payment.value, payment.network, payment.token)
    page = Page("Summary", ("Amount", amount, "Maximum fee", fee, *details))
    return (Screen(_Code.SignTx, "confirm_total", (page, HOLD)),)


def unknown_token(contract: bytes) -> tuple[Screen, ...]:
    """A later model warns of a token it knows nothing of."""
    text = "Unknown token contract address."
    return (
        Screen(_Code.Warning, "unknown_contract_warning", (Page("Warning", (text,)),)),
        Screen(_Code.SignTx, "unknown_token", (Page("Token contract", wrap("0x" + contract.hex(), 17)),)),
    )
