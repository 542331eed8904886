"""What the wallet tells about a movement of an Ethereum account that no transfer of it made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bursar.wallet.review_json import asset_to_json

if TYPE_CHECKING:
    from bursar.policy.review import Asset


@dataclass(frozen=True, slots=True)
class DepositRecord:
    """One movement of an account that no transfer of it made.

    ``kind`` is ether, token, nft, internal (ether from a contract), withdrawal (of a validator), or unexplained: a
    difference of balances without a transaction to show for it. ``state`` is seen, confirmed once its block is final by
    the chain's rule, or reversed: its block is gone. Only what is confirmed should be credited. ``amount`` is
    negative for what left. ``hidden`` says why it is not in the history: zero, unregistered, dust, look-alike.
    """

    account: str
    number: int  # of the row; stays the same
    kind: str
    state: str
    asset: Asset | None  # None: of a token that is not registered
    contract: str | None
    address: str
    counterparty: str | None
    amount: int
    token_id: int | None
    txid: str | None
    log_index: int | None
    height: int
    block_hash: str | None
    time: int
    confirmations: int
    hidden: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "deposit",
            "version": 1,
            "account": self.account,
            "number": self.number,
            "of": self.kind,
            "state": self.state,
            "asset": None if self.asset is None else asset_to_json(self.asset),
            "contract": self.contract,
            "address": self.address,
            "counterparty": self.counterparty,
            "amount": str(self.amount),
            "token_id": None if self.token_id is None else str(self.token_id),
            "txid": self.txid,
            "log_index": self.log_index,
            "height": self.height,
            "block_hash": self.block_hash,
            "time": self.time,
            "confirmations": self.confirmations,
            "hidden": self.hidden,
        }
