"""Blobs of a transfer: their sidecar, and what is offered for their gas (EIP-4844, EIP-7594)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.ethereum_reading import BlobFeeReader
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.blobs.sidecar import BLOB_BYTES, BlobSidecar
from bursar.ethereum.transaction import SignedTransaction
from bursar.ethereum.transaction.kinds import BLOB
from bursar.ethereum.units import Wei
from bursar.policy.review import ReviewWarning
from bursar.wallet.actions import SendBlobs
from bursar.wallet.ethereum_fees import least_blob_fee
from bursar.wallet.store.blobs import find_sidecar

if TYPE_CHECKING:
    from bursar.chain.ethereum_chains import EthereumChain
    from bursar.chain.fees import FeeCaps
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.wallet.context import Context
    from bursar.wallet.ethereum_intents import Intent
    from bursar.wallet.plan import SignedTransfer
    from bursar.wallet.transfer import FeeChoice

MARGIN = 2  # how many times the present price of blobs is offered: six full blocks of rising
EMPTY = bytes(BLOB_BYTES)


def sidecar_for(intent: Intent, chain: EthereumChain | None) -> BlobSidecar | None:
    """Commitments and cell proofs of the blobs of ``intent``; ``None`` where it has none."""
    if not isinstance(intent.action, SendBlobs):
        return None
    if chain is not None and not chain.eip1559:
        raise InvalidInputError(f"{chain.name} has no transactions of type 3", code="input.blob")
    if not intent.action.blobs:
        raise InvalidInputError("this is the record of an intent, which has no blobs in it", code="input.blob")
    return BlobSidecar.of(intent.action.blobs)


def empty_sidecar() -> BlobSidecar:
    """One blob of zeros: what a cancellation carries, which must carry one."""
    return BlobSidecar.of((EMPTY,))


def ask_blob_price(backend: EthereumBackend) -> Wei:
    """What one gas of blobs costs in the next block, in wei; ``ChainError`` (``chain.fee-unknown``) if unknown."""
    price = backend.blob_base_fee() if isinstance(backend, BlobFeeReader) else None
    if price is None:
        raise ChainError(
            "the node knows no price of blobs: this chain takes none, or another node has to be asked",
            code="chain.fee-unknown",
        )
    return price


def choose_blob_fee(caps: FeeCaps, fee: FeeChoice, price: Wei) -> Wei:
    """The most that is offered for one gas of blobs: what the choice says, or twice the present price."""
    if fee.blob_rate is not None:
        return caps.check_blob(Wei(fee.blob_rate))
    return caps.believe_blob(price, Wei(MARGIN * price))


def bumped_blob_fee(caps: FeeCaps, before: UnsignedTransaction, fee: FeeChoice, price: Wei) -> Wei:
    """The same where it replaces ``before``: twice what that offers at least."""
    least = least_blob_fee(before)
    chosen = choose_blob_fee(caps, fee, price)
    if chosen >= least:
        return chosen
    if fee.blob_rate is not None:
        raise InvalidInputError(
            f"to replace it the fee for blobs must be {least.to_gwei_text()} or more", code="input.fee"
        )
    return caps.check_blob(least)


def pool_notes(intent: Intent, *, latest: int, pending: int) -> tuple[ReviewWarning, ...]:
    """A warning where nodes are going to refuse blobs for now: their pools keep these apart."""
    if not isinstance(intent.action, SendBlobs) or pending <= latest:
        return ()
    text = (
        "transactions of this sender wait already: most nodes take one with blobs only once those without are mined; "
        "send it again then"
    )
    return (ReviewWarning("blob-pool", text),)


def network_bytes(context: Context, signed: SignedTransfer) -> bytes:
    """What is handed to a node: the signed bytes, of type 3 with the blobs kept beside them."""
    if signed.raw[:1] != bytes([BLOB]):
        return signed.raw
    with context.store.read() as connection:
        sidecar = find_sidecar(connection, signed.id)
    return SignedTransaction.parse(signed.raw).with_sidecar(sidecar).network_bytes()
