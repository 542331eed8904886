"""What a transaction offers for gas, and what one must that replaces another (EIP-1559, 4844)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.chain.ethereum_chains import FeeModel
from bursar.chain.fees import ethereum_fees
from bursar.chain.l1_data_fee import l1_fee_answer, l1_fee_question
from bursar.errors import InvalidInputError
from bursar.ethereum.fees import TRANSFER_GAS, Eip1559Fees
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.transaction.kinds import BLOB, FEE_MARKET, LEGACY
from bursar.ethereum.units import MAX_UINT256, Wei

if TYPE_CHECKING:
    from bursar.chain.ethereum_chains import EthereumChain
    from bursar.chain.fees import FeeCaps
    from bursar.chain.protocols import EthereumBackend, FeeQuote
    from bursar.ethereum.address import Address
    from bursar.wallet.transfer import FeeChoice


def is_legacy(chain: EthereumChain | None) -> bool:
    """Whether the chain knows no EIP-1559; one without a file is taken to."""
    return chain is not None and not chain.eip1559


def choose_fees(caps: FeeCaps, fee: FeeChoice, quote: FeeQuote, *, legacy: bool) -> Eip1559Fees:
    """The explicit fees, or the node's quote for the speed, both within the wallet's caps.

    Where there is no EIP-1559 both figures are the price of gas: an explicit one is the maximum given.
    """
    if fee.rate is not None:
        if not isinstance(fee.rate, Eip1559Fees):
            raise InvalidInputError("an ethereum fee is a maximum and a tip per gas", code="input.fee")
        chosen = caps.check_ethereum(fee.rate)
        return _flat(chosen.max_fee_per_gas) if legacy else chosen
    if not legacy:
        return ethereum_fees(quote, fee.speed, caps=caps)
    tip: Wei = {"slow": quote.slow, "normal": quote.normal, "fast": quote.fast}[fee.speed]
    ethereum_fees(quote, fee.speed, caps=caps)  # refuses an absurd node
    return _flat(Wei(quote.base_fee + tip))


def least_fees(before: UnsignedTransaction) -> Eip1559Fees:
    """The least with which a pool replaces ``before``: both fields 10 % up, 100 % where it carries blobs."""
    if before.max_fee_per_gas is None or before.max_priority_fee_per_gas is None:
        return _flat(before.max_gas_price).bumped()
    if before.type == BLOB:
        return Eip1559Fees(
            max_fee_per_gas=_doubled(before.max_fee_per_gas),
            max_priority_fee_per_gas=_doubled(before.max_priority_fee_per_gas),
        )
    return Eip1559Fees(
        max_fee_per_gas=before.max_fee_per_gas, max_priority_fee_per_gas=before.max_priority_fee_per_gas
    ).bumped()


def least_blob_fee(before: UnsignedTransaction) -> Wei:
    """The least for one gas of blobs with which a pool replaces the blobs of ``before``."""
    return _doubled(before.max_fee_per_blob_gas or Wei(0))


def bumped_fees(caps: FeeCaps, before: UnsignedTransaction, fee: FeeChoice, quote: FeeQuote) -> Eip1559Fees:
    """Fees that replace ``before``; explicit ones that would not are refused, and so is what is above the caps."""
    least = least_fees(before)
    chosen = choose_fees(caps, fee, quote, legacy=before.max_fee_per_gas is None)
    if fee.rate is not None:
        for offered, need, what in (
            (chosen.max_fee_per_gas, least.max_fee_per_gas, "maximum fee per gas"),
            (chosen.max_priority_fee_per_gas, least.max_priority_fee_per_gas, "tip"),
        ):
            if offered < need:
                raise InvalidInputError(
                    f"to replace it the {what} must be {need.to_gwei_text()} or more", code="input.fee"
                )
        return chosen
    return caps.check_ethereum(
        Eip1559Fees(
            max_fee_per_gas=max(least.max_fee_per_gas, chosen.max_fee_per_gas),
            max_priority_fee_per_gas=max(least.max_priority_fee_per_gas, chosen.max_priority_fee_per_gas),
        )
    )


def replacement(before: UnsignedTransaction, fees: Eip1559Fees, *, blob_fee: Wei | None = None) -> UnsignedTransaction:
    """``before`` at higher fees and nothing else changed; the price of its blobs is doubled, or ``blob_fee``."""
    if before.max_fee_per_gas is None:
        return replace(before, gas_price=fees.max_fee_per_gas)
    if before.max_fee_per_blob_gas is not None:
        least = least_blob_fee(before)
        if blob_fee is not None and blob_fee < least:
            raise InvalidInputError(
                f"to replace it the fee for blobs must be {least.to_gwei_text()} or more", code="input.fee"
            )
        blob_fee = blob_fee or least
    return replace(
        before,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        max_fee_per_blob_gas=blob_fee,
    )


def cancellation(
    before: UnsignedTransaction,
    sender: Address,
    fees: Eip1559Fees,
    *,
    gas: int = TRANSFER_GAS,
    blob_fee: Wei | None = None,
    blob_hashes: tuple[bytes, ...] = (),
) -> UnsignedTransaction:
    """0 wei to the sender itself in place of ``before``, at the same nonce.

    Nodes replace blobs by blobs only: where ``before`` has some, this has others, ``blob_hashes``.
    """
    legacy = before.max_fee_per_gas is None
    if (before.type == BLOB) != bool(blob_hashes):
        raise InvalidInputError("a transaction with blobs is replaced by one with blobs only", code="input.fee")
    return UnsignedTransaction(
        type=BLOB if blob_hashes else LEGACY if legacy else FEE_MARKET,
        chain_id=before.chain_id,
        nonce=before.nonce,
        to=sender,
        value=Wei(0),
        gas_limit=gas,
        gas_price=fees.max_fee_per_gas if legacy else None,
        max_fee_per_gas=None if legacy else fees.max_fee_per_gas,
        max_priority_fee_per_gas=None if legacy else fees.max_priority_fee_per_gas,
        max_fee_per_blob_gas=blob_fee,
        blob_versioned_hashes=blob_hashes,
    )


def data_fee(chain: EthereumChain | None, backend: EthereumBackend, tx: UnsignedTransaction) -> int:
    """What an OP-stack chain asks now for the data of ``tx`` on the chain below, in wei; 0 elsewhere."""
    if chain is None or chain.fee_model is not FeeModel.OP_STACK or chain.l1_oracle is None:
        return 0
    return int(l1_fee_answer(backend.call(chain.l1_oracle, l1_fee_question(tx))))


def _flat(price: Wei) -> Eip1559Fees:
    return Eip1559Fees(max_fee_per_gas=price, max_priority_fee_per_gas=price)


def _doubled(price: Wei) -> Wei:
    doubled = max(int(price) + 1, 2 * int(price))
    if doubled > MAX_UINT256:
        raise InvalidInputError("this price cannot be raised further", code="input.fee")
    return Wei(doubled)
