"""The screens of SignTx, as the two families of firmware put them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar_devices.device import Page
from bursar_devices.trezor.coins import Coin, path_text
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
        return amount_text(sats, self.coin, self.unit)

    def _one(self, code: messages.ButtonRequestType, name: str, page: Page) -> tuple[Screen, ...]:
        return (Screen(code, "" if self.board.legacy else name, (page,)),)

    def output(self, address: str, amount: int, path: Sequence[int]) -> tuple[Screen, ...]:
        """A payment, or an output of ours that is not change."""
        self._output += 1
        if self.board.legacy:
            page = Page("Confirm sending", (self._amount(amount), "to", *wrap(address)))
            return self._one(_Code.ConfirmOutput, "", page)
        title = path_text(path) if path else f"Recipient #{self._output}"
        return (
            Screen(_Code.ConfirmOutput, "confirm_output", (Page(title, wrap(address, 17)),)),
            Screen(_Code.ConfirmOutput, "confirm_output", (Page("Amount", (self._amount(amount),)),)),
        )

    def op_return(self, data: bytes) -> tuple[Screen, ...]:
        shown = data.decode() if data.isascii() and data.decode().isprintable() else data.hex()
        return self._one(_Code.ConfirmOutput, "op_return", Page("OP_RETURN", wrap(shown)))

    def unverified_inputs(self) -> tuple[Screen, ...]:
        page = Page("Warning!", ("The transaction", "contains unverified", "external inputs."))
        return self._one(_Code.SignTx, "unverified_external_input", page)

    def several_accounts(self) -> tuple[Screen, ...]:
        return self._one(
            _Code.SignTx, "sending_from_multiple_accounts", Page("Important", ("Sending from", "multiple accounts."))
        )

    def high_fee(self, fee: int) -> tuple[Screen, ...]:
        page = Page("Warning!", ("The fee of", self._amount(fee), "is unexpectedly high."))
        return self._one(_Code.FeeOverThreshold, "fee_over_threshold", page)

    def many_changes(self, count: int) -> tuple[Screen, ...]:
        page = Page("Warning!", ("There are", f"{count} change-outputs.", "Continue?"))
        return self._one(_Code.SignTx, "change_count_over_threshold", page)

    def lock_time(self, value: int, *, disabled: bool) -> tuple[Screen, ...]:
        if disabled:
            lines: tuple[str, ...] = ("Locktime is set but", "will have no effect.")
        elif value < _LOCKTIME_TIMESTAMP:
            lines = ("Locktime for this", "transaction is set to", "blockheight:", str(value))
        else:
            lines = ("Locktime for this", "transaction is set to:", str(value))
        return self._one(_Code.SignTx, "nondefault_locktime", Page("Warning!" if disabled else "", lines))

    def total(self, spent: int, fee: int, weight: int) -> tuple[Screen, ...]:
        rate = f"{decimal(fee * 400 // weight, 2)} sat/vB"
        if self.board.legacy:
            page = Page("Really send", (self._amount(spent), "from your wallet?", "Fee included:", self._amount(fee)))
            return self._one(_Code.SignTx, "", page)
        page = Page("Summary", ("Total amount", self._amount(spent), "incl. transaction fee", self._amount(fee), rate))
        return (Screen(_Code.SignTx, "confirm_total", (page, HOLD)),)

    def joint_total(self, spending: int, total: int) -> tuple[Screen, ...]:
        page = Page(
            "Joint transaction",
            ("You are contributing:", self._amount(spending), "to the total amount:", self._amount(total)),
        )
        return self._one(_Code.SignTx, "confirm_joint_total", page)

    def replacement(self, txid: bytes, *, final: bool) -> tuple[Screen, ...]:
        title = "Finalize TXID:" if final else "Update TXID:"
        return self._one(_Code.SignTx, "confirm_replacement", Page(title, wrap(txid.hex(), 16)))

    def modified_fee(self, before: int, after: int) -> tuple[Screen, ...]:
        word = "Increase" if after > before else "Decrease"
        lines = (f"{word} your fee by:", self._amount(abs(after - before)), "Transaction fee:", self._amount(after))
        return self._one(_Code.SignTx, "modify_fee", Page("Modify fee", lines))

    def modified_output(self, address: str, before: int, after: int) -> tuple[Screen, ...]:
        lines = ("Decrease amount by:", self._amount(before - after), "New amount:", self._amount(after))
        name = "" if self.board.legacy else "modify_output"
        return (
            Screen(_Code.ConfirmOutput, name, (Page("Modify amount", wrap(address)),)),
            Screen(_Code.ConfirmOutput, name, (Page("Modify amount", lines),)),
        )
