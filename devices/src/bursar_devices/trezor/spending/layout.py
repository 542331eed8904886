"""The screens of SignTx, as the two families of firmware put them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trezorlib import messages

from bursar_devices.device import Page
from bursar_devices.trezor.coins import Coin, path_text
from bursar_devices.trezor.one_screen import address_rows, dialog, hex_rows, own_text, rows
from bursar_devices.trezor.spending.amounts import amount_text, decimal
from bursar_devices.trezor.workflow import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_LOCKTIME_TIMESTAMP = 500_000_000
_LINE = 21
HOLD = Page("Sign transaction", ("Hold to sign",))


def wrap(text: str, width: int = _LINE) -> tuple[str, ...]:
    return tuple(text[start : start + width] for start in range(0, len(text), width))


class Layout:
    """What is put before the human for one transaction."""

    def __init__(self, board: Board, coin: Coin, unit: int | None) -> None:
        self.board = board
        self.coin = coin
        self.unit = unit
        self._output = 0

    def _amount(self, sats: int) -> str:
        return amount_text(sats, self.coin, self.unit, legacy=self.board.legacy)

    def _rate(self, fee: int, weight: int) -> str:
        size = (weight + 3) // 4 if self.board.legacy else weight / 4
        return f"{decimal(int(fee * 100 / size + 0.5), 2)} sat/vB"

    def _one(self, code: messages.ButtonRequestType, name: str, page: Page) -> tuple[Screen, ...]:
        return (Screen(code, "" if self.board.legacy else name, (page,)),)

    def output(self, address: str, amount: int, path: Sequence[int]) -> tuple[Screen, ...]:
        """A payment, or an output of ours that is not change."""
        self._output += 1
        if self.board.legacy:
            own = (own_text(path),) if path else ()
            page = Page("Confirm sending", (f"{self._amount(amount)} to", *address_rows(address), *own))
            return self._one(_Code.ConfirmOutput, "", page)
        title = path_text(path) if path else f"Recipient #{self._output}"
        return (
            Screen(_Code.ConfirmOutput, "confirm_output", (Page(title, wrap(address, 17)),)),
            Screen(_Code.ConfirmOutput, "confirm_output", (Page("Amount", (self._amount(amount),)),)),
        )

    def op_return(self, data: bytes) -> tuple[Screen, ...]:
        printable = all(0x20 <= byte <= 0x7E for byte in data)
        if self.board.legacy:
            page = Page("Confirm OP_RETURN:", rows(data.decode(), 20) if printable else hex_rows(data))
        else:
            page = Page("OP_RETURN", wrap(data.decode() if printable else data.hex()))
        return self._one(_Code.ConfirmOutput, "op_return", page)

    def unverified_inputs(self) -> tuple[Screen, ...]:
        page = Page("Warning!", ("The transaction", "contains unverified", "external inputs.", "Continue?"))
        return self._one(_Code.SignTx, "unverified_external_input", page)

    def several_accounts(self) -> tuple[Screen, ...]:
        page = Page("Important", ("Sending from", "multiple accounts."))
        return self._one(_Code.SignTx, "sending_from_multiple_accounts", page)

    def high_fee(self, fee: int) -> tuple[Screen, ...]:
        lines = (self._amount(fee), "is unexpectedly high.", "Send anyway?")
        page = Page("Fee", lines) if self.board.legacy else Page("Warning!", ("The fee of", *lines))
        return self._one(_Code.FeeOverThreshold, "fee_over_threshold", page)

    def many_changes(self, count: int) -> tuple[Screen, ...]:
        page = Page("Warning!", (f"There are {count}", "change-outputs.", "Continue?"))
        return self._one(_Code.SignTx, "change_count_over_threshold", page)

    def lock_time(self, value: int, *, disabled: bool) -> tuple[Screen, ...]:
        if disabled:
            page = Page("Warning!", ("Locktime is set but", "will have no effect.", "Continue?"))
        else:
            height = value < _LOCKTIME_TIMESTAMP
            time = datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
            what = ("blockheight:", str(value)) if height else ("timestamp (UTC):", time)
            page = Page("Locktime for this", ("transaction is set to", *what, "Continue?"))
        return self._one(_Code.SignTx, "nondefault_locktime", page)

    def total(self, spent: int, fee: int, weight: int) -> tuple[Screen, ...]:
        rate = self._rate(fee, weight)
        if self.board.legacy:
            lines = (self._amount(spent), "including fee:", self._amount(fee), f"({rate})")
            return self._one(_Code.SignTx, "", Page("Confirm sending:", lines))
        page = Page("Summary", ("Total amount", self._amount(spent), "incl. transaction fee", self._amount(fee), rate))
        return (Screen(_Code.SignTx, "confirm_total", (page, HOLD)),)

    def joint_total(self, spending: int, total: int) -> tuple[Screen, ...]:
        lines = (self._amount(spending), "to the total amount:", self._amount(total))
        page = Page("You are contributing:", lines)
        if not self.board.legacy:
            page = Page("Joint transaction", (page.title, *lines))
        return self._one(_Code.SignTx, "confirm_joint_total", page)

    def replacement(self, txid: bytes, *, final: bool) -> tuple[Screen, ...]:
        title = "Finalize TXID:" if final else "Update TXID:"
        lines = hex_rows(txid) if self.board.legacy else wrap(txid.hex(), 16)
        return self._one(_Code.SignTx, "confirm_replacement", Page(title, lines))

    def modified_fee(self, before: int, after: int, weight: int) -> tuple[Screen, ...]:
        word = "Increase" if after > before else "Decrease"
        change = f"{word} your fee by:", self._amount(abs(after - before))
        rate = self._rate(after, weight)
        lines = (*change, "Transaction fee:", self._amount(after))
        page = dialog(*lines, f"({rate})") if self.board.legacy else Page("Modify fee", (*lines, rate))
        return self._one(_Code.SignTx, "modify_fee", page)

    def modified_output(self, address: str, before: int, after: int) -> tuple[Screen, ...]:
        lines = ("Decrease amount by:", self._amount(before - after), "New amount:", self._amount(after))
        if self.board.legacy:
            pages = Page("Modify amount for", ("address:", *address_rows(address))), dialog(*lines)
        else:
            pages = Page("Modify amount", wrap(address)), Page("Modify amount", lines)
        name = "" if self.board.legacy else "modify_output"
        return tuple(Screen(_Code.ConfirmOutput, name, (page,)) for page in pages)
