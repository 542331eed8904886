"""What the Ethereum app puts on the screen, in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.ethereum.address import Address
from bursar_devices.device import Page
from bursar_devices.ledger.apdu import RefusalError, Status
from bursar_devices.ledger.ethereum.networks import NETWORKS, network_name, ticker
from bursar_devices.ledger.pages import Pair, review
from bursar_devices.ledger.task import Review

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.ledger.ethereum.assets import Token
    from bursar_devices.ledger.ethereum.stream import Transaction

BLIND_SIGNING_IS_OFF: Final = Page("Blind signing must be enabled in settings")
_BUFFER: Final = 50
_AHEAD: Final = Page("Blind signing ahead", ("To accept risk, press ", "both buttons"))
_ACCEPT_RISK, _REJECT = "Accept risk and sign transaction", "Reject transaction"


class Screens:
    """The reviews of the app on one model."""

    def __init__(self, model: str) -> None:
        self._model = model

    def address(self, text: str, chain_id: int | None) -> Review:
        """Verify an address, on Ethereum unless another chain is named."""
        network = "Ethereum" if chain_id in (None, 1) else NETWORKS.get(chain_id or 0, ("",))[0]
        title = f"Verify {network} address" if network else "Verify address"
        return self._review(title, [("Address", text)], "Confirm", "Cancel")

    def transaction(self, tx: Transaction, sender: str) -> Review:
        """Review a transaction; one with data is signed blindly."""
        value, to, fees = tx.number("value"), tx.values["to"], _amount(tx.max_fee, tx.chain_id) or ""
        network = [] if tx.chain_id == 1 else [("Network", network_name(tx.chain_id))]
        amount = _amount(value, tx.chain_id)
        if amount is None:
            raise RefusalError(Status.AMOUNT_TOO_LONG)
        if tx.token_call is not None:
            # of a token it has no signed description of, the app shows neither payee nor amount
            title = f"Review transaction to {tx.token_call} ERC20 token"
            return self._blind(title, [("From", sender), *network, ("Max fees", fees)], _ACCEPT_RISK, _REJECT)
        pairs: list[Pair] = [("From", sender)]
        if value or not tx.data:
            pairs.append(("Amount", amount))
        pairs.append(("To", str(Address(to.ljust(20, b"\0"))) if to else "Contract"))
        pairs += [("Max fees", fees), *network]
        if tx.data:
            pairs.append(("Tx hash", "0x" + tx.digest().hex()))
            return self._blind("Review transaction", pairs, _ACCEPT_RISK, _REJECT)
        return self._review("Review transaction", pairs, "Sign transaction", _REJECT)

    def token(self, tx: Transaction, token: Token, sender: str) -> Review:
        """Review a call of a token whose signed description the app has."""
        call, fees = tx.token_call, _amount(tx.max_fee, tx.chain_id) or ""
        amount, to = token.amount(tx.data[36:68]), str(Address(tx.data[16:36]))
        pairs: list[Pair] = [("From", sender)]
        pairs += [("Send", amount), ("To", to)] if call == "send" else [("Approve", amount), ("Approve to", to)]
        pairs += [] if tx.chain_id == 1 else [("Network", network_name(tx.chain_id))]
        title = f"Review transaction to {call} ERC20 token"
        return self._review(title, [*pairs, ("Max fees", fees)], "Sign transaction", _REJECT)

    def authorization(self, account: str, delegate: str | None, network: str) -> Review:
        """Review an authorization (EIP-7702); without a delegate it ends a delegation."""
        small = self._model == "nanosp"
        if delegate is None:
            title = "Review authorization to revoke smart contract delegation?"
            pairs: list[Pair] = [("Account", account), ("Revoke on network", network)]
        else:
            title = "Review authorization to upgrade into smart contract account?"
            where = "On network" if small else "Delegate on network"
            pairs = [("Account", account), ("Delegate to", delegate), (where, network)]
        return self._review(title, pairs, "Sign operation", "Reject operation")

    def message(self, message: bytes) -> Review:
        """Review a personal message: as text if it is printable, else in hexadecimal."""
        if all(0x20 <= byte <= 0x7E or 9 <= byte <= 13 for byte in message):
            text = "".join(" " if byte < 0x20 else chr(byte) for byte in message)
        else:
            text = "0x" + message.hex()
        return self._review("Review message", [("Message", text)], "Sign message", "Reject message")

    def typed_data_hashes(self, domain: bytes, message: bytes) -> Review:
        """Review the two hashes of typed data, blindly."""
        return self.typed_data(
            [("Domain hash", "0x" + domain.hex().upper()), ("Message hash", "0x" + message.hex().upper())]
        )

    def typed_data(self, pairs: Sequence[Pair], *, blind: bool = True) -> Review:
        """Review what was shown of typed data, blindly, or by its maker's filters."""
        review = self._blind if blind else self._review
        return review("Review typed message", pairs, "Sign message", "Reject message")

    def _blind(self, title: str, pairs: Sequence[Pair], accept: str, reject: str) -> Review:
        plain = self._review(title, pairs, accept, reject)
        return Review((_AHEAD, *plain.pages), plain.reject)

    def _review(self, title: str, pairs: Sequence[Pair], accept: str, reject: str) -> Review:
        return review(title, pairs, accept=accept, reject=reject, model=self._model)


def _amount(wei: int, chain_id: int) -> str | None:
    """In whole coins; ``None`` for what the app's buffer does not hold."""
    whole, part = divmod(wei, 10**18)
    fraction = f"{part:018}".rstrip("0")
    text = f"{whole}.{fraction} {ticker(chain_id)}" if fraction else f"{whole} {ticker(chain_id)}"
    return text if len(text) < _BUFFER and len(str(wei)) + 2 <= _BUFFER else None
