"""What the Bitcoin app puts on the screen, in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.address import Address
from bursar.errors import InvalidInputError
from bursar_devices.device import Page
from bursar_devices.ledger.pages import Pair, pair_pages, review
from bursar_devices.ledger.task import Review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.network import Network

UNVERIFIED_INPUTS: Final = "Unverified inputs\nUpdate your wallet software"
HIGH_FEES: Final = ("High fees warning", "Fees are above 10%\n of total amount")
_EXTERNAL_INPUTS: Final = "There are external inputs\nReject if not sure"
_SIGHASH: Final = "Non-default sighash"
_TITLE, _SIGN, _REJECT = "Review transaction to send bitcoin", "Sign transaction", "Reject transaction"
_MOST_PUSHES: Final = 5


class Screens:
    """The reviews of one app on one model."""

    def __init__(self, network: Network, model: str) -> None:
        self._network = network
        self._ticker = "TEST" if network.testnet else "BTC"
        self._model = model

    def amount(self, sats: int) -> str:
        """In whole coins without needless zeros, and the ticker."""
        whole, part = divmod(sats, 100_000_000)
        fraction = f"{part:08}".rstrip("0")
        return f"{whole}.{fraction} {self._ticker}" if fraction else f"{whole} {self._ticker}"

    def payee(self, script: bytes) -> str | None:
        """The address of an output, the pushes of an OP_RETURN; ``None`` for what the app does not show."""
        try:
            return str(Address.from_script(script, self._network))
        except InvalidInputError:
            return _op_return(script)

    def address(self, text: str, account: str | None) -> Review:
        """Verify an address."""
        pairs: list[Pair] = [("Address", text)]
        if account is not None:
            pairs.append(("Account name", account))
        return self._review("Verify bitcoin address", pairs, "Confirm", "Cancel")

    def public_key(self, path: str, text: str) -> Review:
        """Confirm an extended public key."""
        pairs = [("Path", path), ("Public key", text)]
        return self._review("Confirm public key", pairs, "Approve public key", "Reject operation")

    def policy(self, name: str, template: str, keys: Sequence[Pair]) -> Review:
        """Review an account to register."""
        pairs = [("Account name", name), ("Wallet policy", template), ("Review co-signer public keys", ""), *keys]
        return self._review("Review account to register", pairs, "Register account", "Reject operation")

    def message(self, path: str, item: str, text: str) -> Review:
        """Review a message."""
        return self._review("Review message", [("Path", path), (item, text)], "Sign message", "Reject message")

    def warning(self, text: str) -> Review:
        """A security risk, before the transaction."""
        title = Page("Security risk" if self._model == "nanosp" else "Security risk detected")
        return Review((title, *pair_pages((title.title, text), self._model), Page("Continue anyway")), "Back to safety")

    def warnings(self, *, sighash: bool, external: bool, unverified: bool) -> list[Review]:
        """Those that apply, in the app's order."""
        texts = ((sighash, _SIGHASH), (external, _EXTERNAL_INPUTS), (unverified, UNVERIFIED_INPUTS))
        return [self.warning(text) for applies, text in texts if applies]

    def transaction(
        self, account: str | None, payments: Sequence[tuple[str, int]], fee: int, *, high_fee: bool
    ) -> Review:
        """Review a transaction of at most sixteen payments."""
        pairs = self._source(account)
        for at, (payee, sats) in enumerate(payments, 1):
            if len(payments) > 1:
                pairs.append(("Transaction output", f"{at} of {len(payments)}"))
            pairs += [("Amount", self.amount(sats)), ("To", payee)]
        if not payments:
            pairs.append(("Amount", f"0 {self._ticker} (self-transfer)"))
        return self._review(_TITLE, [*pairs, *self._fees(fee, high_fee)], _SIGN, _REJECT)

    def many_payments(self, account: str | None) -> Review:
        """The first part of a review that comes in parts."""
        return self._part([Page(_TITLE)], self._source(account))

    def one_payment(self, at: int, count: int, payee: str, sats: int) -> Review:
        """One payment of many."""
        number = ("Transaction output", f"{at} of {count}")
        return self._part([], [number, ("Amount", self.amount(sats)), ("Address", payee)])

    def fees_of_many(self, fee: int, *, high_fee: bool) -> Review:
        """The last part."""
        part = self._part([], self._fees(fee, high_fee))
        return Review((*part.pages, Page(_SIGN)), _REJECT)

    @staticmethod
    def _source(account: str | None) -> list[Pair]:
        return [] if account is None else [("From", account)]

    def _fees(self, fee: int, high_fee: bool) -> list[Pair]:
        return [*([HIGH_FEES] if high_fee else []), ("Fees", self.amount(fee))]

    def _part(self, pages: list[Page], pairs: Sequence[Pair]) -> Review:
        for pair in pairs:
            pages += pair_pages(pair, self._model)
        return Review(tuple(pages), _REJECT)

    def _review(self, title: str, pairs: Sequence[Pair], accept: str, reject: str) -> Review:
        return review(title, pairs, accept=accept, reject=reject, model=self._model)


def path_text(path: tuple[int, ...]) -> str:
    """As the vendor's kit writes it."""
    if not path:
        return "(Master key)"
    return "/".join([f"{step & 0x7FFFFFFF}'" if step >> 31 else str(step) for step in path])


def _op_return(script: bytes) -> str | None:
    """Up to five minimal pushes, else nothing."""
    if not script.startswith(b"\x6a") or len(script) > 83:
        return None
    pieces, at = ["OP_RETURN"], 1
    while at < len(script) and len(pieces) <= _MOST_PUSHES:
        opcode, size = script[at], 0
        at += 1
        if opcode == 0:
            pieces.append("0")
        elif opcode == 0x4F:
            pieces.append("-1")
        elif 0x51 <= opcode <= 0x60:
            pieces.append(str(opcode - 0x50))
        elif opcode <= 75:
            size = opcode
        elif opcode == 0x4C and at < len(script) and script[at] > 75:
            size = script[at]
            at += 1
        else:
            return None
        if size:
            data = script[at : at + size]
            if len(data) != size or data == b"\x81" or (size == 1 and 1 <= data[0] <= 16):
                return None
            pieces.append("0x" + data.hex())
            at += size
    return " ".join(pieces) if at == len(script) else None
