"""What the wallet tells about single coins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CoinRecord:
    """An unspent output of an account.

    ``state`` is ``confirmed``, ``immature`` (a young coinbase output), ``change`` (unconfirmed, of our own transfer) or
    ``incoming`` (unconfirmed, of somebody else's). ``reserved_by`` is the transfer that holds it. ``label`` is its own
    or its address's. ``spendable``: a new transfer may choose it.
    """

    account: str
    outpoint: str  # "txid:vout"
    address: str
    path: str
    value: int
    height: int | None
    confirmations: int
    state: str
    spendable: bool
    frozen: bool = False
    reserved_by: str | None = None
    label: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "coin",
            "version": 1,
            "account": self.account,
            "outpoint": self.outpoint,
            "address": self.address,
            "path": self.path,
            "value": str(self.value),
            "height": self.height,
            "confirmations": self.confirmations,
            "state": self.state,
            "spendable": self.spendable,
            "frozen": self.frozen,
            "reserved_by": self.reserved_by,
            "label": self.label,
        }
