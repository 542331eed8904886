"""What the Ethereum app puts on the screen, in its words."""

from __future__ import annotations

from typing import Final

from bursar.ethereum.address import Address
from bursar_devices.device import Page
from bursar_devices.ledger.ethereum.transaction import StreamedTransaction
from bursar_devices.ledger.pages import Pair, review
from bursar_devices.ledger.task import Review

_NETWORKS: Final = {1: ("Ethereum", "ETH"), 11155111: ("Sepolia", "ETH"), 137: ("Polygon", "POL")}


class Screens:
    """The reviews of the app on one model."""

    def __init__(self, model: str) -> None:
        self._model = model

    def address(self, text: str, chain_id: int | None) -> Review:
        """Verify an address."""
        network = "Ethereum" if chain_id is None else _name(chain_id)
        return review(
            f"Verify {network} address", [("Address", text)], accept="Confirm", reject="Cancel", model=self._model
        )

    def transaction(self, tx: StreamedTransaction, sender: str) -> Review:
        """Review a transaction."""
        ticker = _NETWORKS.get(tx.chain_id, ("", "???"))[1]
        to = tx.fields["to"]
        pairs: list[Pair] = [
            ("From", sender),
            ("Amount", f"{ticker} {_ether(tx.value)}"),
            ("To", str(Address(to)) if to else "New contract"),
            ("Max fees", f"{ticker} {_ether(tx.max_fee)}"),
        ]
        if tx.chain_id != 1:
            pairs.append(("Network", _name(tx.chain_id)))
        plain = review(
            "Review transaction", pairs, accept="Sign transaction", reject="Reject transaction", model=self._model
        )
        if not tx.data:
            return plain
        ahead = Page("Blind signing ahead", ("To accept risk, press", "both buttons"))
        return Review((ahead, *plain.pages[:-1], Page("Accept risk and sign transaction")), plain.reject)


def _name(chain_id: int) -> str:
    known = _NETWORKS.get(chain_id)
    return known[0] if known else f"Unknown ({chain_id})"


def _ether(wei: int) -> str:
    whole, part = divmod(wei, 10**18)
    fraction = f"{part:018}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)
