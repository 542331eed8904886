"""Which deposits people are shown, and which are kept from them: dust, worthless tokens, poison. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.wallet.cautions import look_alike
from bursar.wallet.deposit_records import DepositRecord
from bursar.wallet.ethereum_deposits import UNEXPLAINED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from bursar.policy.review import Asset
    from bursar.wallet.store.deposits import Deposit

DUST_PARTS: Final = 10**6  # less than one part of so many of a whole coin or token is dust
BAIT_PARTS: Final = 10**2  # from an address that resembles a known one, anything below this is


@dataclass(frozen=True, slots=True)
class Sieve:
    """What an account's movements are judged by; ``known`` are addresses of ours and those we paid."""

    assets: Mapping[str, Asset]  # by contract; empty for the chain's own coin
    known: Collection[str] = ()

    def hides(self, row: Deposit) -> str | None:
        """Why people are not shown this movement; ``None``: they are."""
        asset = self.assets.get(row.contract)
        if asset is None:
            return "unregistered"
        if row.kind == UNEXPLAINED:
            return None
        if not row.amount:
            return "zero"
        if row.amount < 0 or row.token_id is not None:
            return None
        whole = 10**asset.decimals
        if row.amount * DUST_PARTS < whole:
            return "dust"
        bait = row.amount * BAIT_PARTS < whole and row.sender is not None and row.sender not in self.known
        return "look-alike" if bait and look_alike(str(row.sender), self.known) is not None else None


def deposit_records(
    name: str, rows: Iterable[Deposit], sieve: Sieve, *, tip_height: int | None, hidden: bool
) -> Iterator[DepositRecord]:
    """The rows as their owner sees them; with ``hidden`` those kept from the history too."""
    for row in rows:
        reason = sieve.hides(row)
        if reason is None or hidden:
            yield DepositRecord(
                account=name,
                number=row.position,
                kind=row.kind,
                state=row.state,
                asset=sieve.assets.get(row.contract),
                contract=row.contract or None,
                address=row.address,
                counterparty=row.sender,
                amount=row.amount,
                token_id=row.token_id,
                txid=row.txid,
                log_index=row.log_index,
                height=row.height,
                block_hash=row.block_hash,
                time=row.block_time,
                confirmations=0
                if row.state == "reversed" or tip_height is None
                else max(0, tip_height - row.height + 1),
                hidden=reason,
            )
