"""The screens of Ethereum requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar.ethereum.address import Address
from bursar_devices.device import Page
from bursar_devices.trezor.coins import path_text
from bursar_devices.trezor.spending.amounts import decimal
from bursar_devices.trezor.spending.layout import HOLD, wrap
from bursar_devices.trezor.workflow import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.trezor.board import Board
    from bursar_devices.trezor.ether.definitions import EthereumNetwork, EthereumToken
    from bursar_devices.trezor.ether.signing import Payment

_Code = messages.ButtonRequestType
_GWEI = 10**9
_DATA_PAGES, _DATA_PAGE = 5, 24  # of a Trezor One


def amount_text(wei: int, network: EthereumNetwork, token: EthereumToken | None, *, legacy: bool) -> str:
    """Such as ``1.5 ETH``; below one Gwei in Wei."""
    if token is not None:
        return f"{decimal(wei, token.decimals)} {token.symbol}"
    if wei < _GWEI:
        return f"{wei} Wei" if legacy else f"{wei} Wei {network.symbol}"
    return f"{decimal(wei, 18)} {network.symbol}"


def _gwei(wei: int) -> str:
    return f"{decimal(wei, 9)} Gwei"


def _one(board: Board, name: str, page: Page, code: messages.ButtonRequestType = _Code.SignTx) -> Screen:
    return Screen(code, "" if board.legacy else name, (page,))


def transaction(board: Board, payment: Payment, path: Sequence[int]) -> tuple[Screen, ...]:
    """Recipient and amount, and the calldata of what is no known transfer."""
    legacy = board.legacy
    amount = amount_text(payment.value, payment.network, payment.token, legacy=legacy)
    to = str(Address(payment.to)) if payment.to is not None else "new contract?"
    data = _data(board, payment) if payment.token is None and payment.data_length else ()
    if not legacy:
        first = Screen(_Code.SignTx, "confirm_output", (Page("Recipient", (*wrap(to, 17), path_text(path))),))
        return (*data, first)
    if payment.token is None and payment.value == 0:
        amount = "message"
    return (_one(board, "", Page("Send", (amount, "to", *wrap(to, 18)))), *data)


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
        page = Page("Transaction data:", (*wrap(part.hex(), 16), f"{more}{shown}/{total} bytes"))
        screens.append(_one(board, "", page))
        if not part:
            break
    if shown < total:
        page = Page("", ("Warning! Too long", "data to view.", "", "Proceed with caution."))
        screens.append(_one(board, "", page, _Code.ProtectCall))
    return tuple(screens)


def legacy_fee(board: Board, payment: Payment, price: int, limit: int) -> tuple[Screen, ...]:
    """The most the gas of a type 0 transaction can cost."""
    fee = amount_text(price * limit, payment.network, None, legacy=board.legacy)
    if board.legacy:
        value = payment.value if payment.token is None else 0
        what = amount_text(value, payment.network, None, legacy=True) if value else ""
        what = what or ("token" if payment.token is not None else "message")
        return (_one(board, "", Page("Really send", (what, "paying up to", fee, "for gas?"))),)
    return _summary(payment, fee, (f"{limit} units", _gwei(price)))


def fee_1559(board: Board, payment: Payment, most: int, tip: int, limit: int) -> tuple[Screen, ...]:
    """The fees of a type 2 transaction."""
    fee = amount_text(most * limit, payment.network, None, legacy=board.legacy)
    if not board.legacy:
        return _summary(payment, fee, (f"{limit} units", _gwei(most), _gwei(tip)))
    lines = (("Maximum fee per gas", _gwei(most)), ("Priority fee per gas", _gwei(tip)), ("Maximum fee", fee))
    return tuple(_one(board, "", Page("Confirm fee", line)) for line in lines)


def _summary(payment: Payment, fee: str, details: tuple[str, ...]) -> tuple[Screen, ...]:
    amount = amount_text(payment.value, payment.network, payment.token, legacy=False)
    page = Page("Summary", ("Amount", amount, "Maximum fee", fee, *details))
    return (Screen(_Code.SignTx, "confirm_total", (page, HOLD)),)


def unknown_token(contract: bytes) -> tuple[Screen, ...]:
    """A later model warns of a token it knows nothing of."""
    text = "Unknown token contract address."
    return (
        Screen(_Code.Warning, "unknown_contract_warning", (Page("Warning", (text,)),)),
        Screen(_Code.SignTx, "unknown_token", (Page("Token contract", wrap("0x" + contract.hex(), 17)),)),
    )
