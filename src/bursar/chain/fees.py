"""From a node's fee advice to a fee: speeds, caps, and the refusal to believe an absurd node (EIP-1559, BIP-125)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.network import Network
from bursar.bitcoin.units import FeeRate
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.fees import Eip1559Fees
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from bursar.chain.protocols import FeeQuote, Speed

_BITCOIN_CAP = FeeRate(1_000_000)
_ETHEREUM_CAP = Wei(2_000 * 10**9)
_BLOB_CAP = Wei(1_000 * 10**9)
TARGET_BLOCKS: dict[Speed, int] = {"slow": 72, "normal": 6, "fast": 2}


@dataclass(frozen=True, slots=True)
class FeeCaps:
    """What is believed at most, whoever says it: sat/kvB, wei per gas, gas for one transfer, wei per gas of blobs."""

    bitcoin: FeeRate = _BITCOIN_CAP
    ethereum: Wei = _ETHEREUM_CAP
    gas: int = 1_000_000
    blob: Wei = _BLOB_CAP
    creation_gas: int = 1 << 24  # of a transaction that makes a contract; EIP-7825 allows no more

    def check_bitcoin(self, rate: FeeRate) -> FeeRate:
        """An explicit rate within the cap; ``InvalidInputError`` (``input.fee``)."""
        if rate > self.bitcoin:
            raise InvalidInputError(
                f"a fee rate of {rate} is above this wallet's cap of {self.bitcoin}: lower it", code="input.fee"
            )
        return rate

    def check_ethereum(self, fees: Eip1559Fees) -> Eip1559Fees:
        """Explicit fees within the cap; ``InvalidInputError`` (``input.fee``)."""
        if fees.max_fee_per_gas > self.ethereum:
            raise InvalidInputError(
                f"a fee of {fees.max_fee_per_gas.to_gwei_text()} per gas is above this wallet's cap of "
                f"{self.ethereum.to_gwei_text()}: lower it",
                code="input.fee",
            )
        return fees

    def check_blob(self, price: Wei) -> Wei:
        """An explicit price for one gas of blobs within the cap; ``InvalidInputError`` (``input.fee``)."""
        if price > self.blob:
            raise InvalidInputError(
                f"a fee of {price.to_gwei_text()} for one gas of blobs is above this wallet's cap of "
                f"{self.blob.to_gwei_text()}: lower it",
                code="input.fee",
            )
        return price

    def believe_blob(self, price: Wei, offered: Wei) -> Wei:
        """``offered`` within the cap; ``ChainError`` (``chain.fee-absurd``) where the node's ``price`` is above it."""
        if price > self.blob:
            raise _absurd(price.to_gwei_text(), self.blob.to_gwei_text())
        return min(offered, self.blob)


def bitcoin_fee_rate(estimate: FeeRate | None, floor: FeeRate, *, network: Network, caps: FeeCaps) -> FeeRate:
    """The node's estimate, at least its mempool floor. Without an estimate only regtest falls back on the floor.

    Raises ``ChainError``: ``chain.fee-absurd`` above the cap, ``chain.fee-unknown`` without an estimate.
    """
    if estimate is None:
        if network is not Network.REGTEST:
            raise ChainError("the node has no fee estimate: give a fee rate", code="chain.fee-unknown")
        estimate = FeeRate(1000)
    rate = max(estimate, floor)
    if rate > caps.bitcoin:
        raise _absurd(f"{rate}", f"{caps.bitcoin}")
    return rate


def ethereum_fees(quote: FeeQuote, speed: Speed, *, caps: FeeCaps) -> Eip1559Fees:
    """Twice the base fee plus the tip of ``speed``; ``ChainError`` (``chain.fee-absurd``) above the cap."""
    tip: Wei = {"slow": quote.slow, "normal": quote.normal, "fast": quote.fast}[speed]
    if quote.base_fee + tip > caps.ethereum:
        raise _absurd(Wei(quote.base_fee + tip).to_gwei_text(), caps.ethereum.to_gwei_text())
    return Eip1559Fees.from_quote(base_fee=quote.base_fee, priority_fee=tip, cap=caps.ethereum)


def _absurd(found: str, cap: str) -> ChainError:
    return ChainError(
        f"the node advises a fee of {found}, above this wallet's cap of {cap}: "
        "ask another node, or give the rate yourself",
        code="chain.fee-absurd",
    )
