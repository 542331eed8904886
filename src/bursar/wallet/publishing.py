"""The facade's part about transactions signed elsewhere: checked against what the wallet holds, handed to the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import ChainError, ConflictError, InvalidInputError, WrongChainError
from bursar.ethereum.transaction import SignedTransaction
from bursar.ethereum.transaction.kinds import BLOB
from bursar.wallet.ethereum_blobs import network_bytes
from bursar.wallet.reserving import require_transfer
from bursar.wallet.signatures import signed_of
from bursar.wallet.store.reservations import nonce_owner

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.wallet.context import Context


class PublishingDesk:
    """What comes from elsewhere and goes to an Ethereum node, and what goes there from here."""

    _context: Context

    def check_foreign(self, raw: bytes) -> SignedTransaction:
        """A signed Ethereum transaction made elsewhere, if it may be published from here.

        ``InvalidInputError`` for anything but the one form of a transaction, and for blobs that are missing or not
        those of their proofs. ``ConflictError`` (``conflict.nonce``) where its sender and nonce belong to a transfer of
        this wallet: publishing it would take that transfer's place.
        """
        signed = SignedTransaction.parse(raw)
        tx, sender = signed.unsigned, str(signed.sender)
        if tx.type == BLOB:
            if signed.sidecar is None:
                raise InvalidInputError("a transaction of type 3 is published with its blobs", code="input.blob")
            if signed.sidecar.version != 1:
                raise InvalidInputError("networks take blobs with cell proofs only (EIP-7594)", code="input.blob")
            signed.sidecar.verify()
        with self._context.store.read() as connection:
            root = nonce_owner(connection, tx.chain_id, sender, tx.nonce)
        if root is not None:
            raise ConflictError(
                f"nonce {tx.nonce} of {sender} belongs to transfer {root} of this wallet: send, bump or cancel that",
                code="conflict.nonce",
            )
        return signed

    def publish(self, raw: bytes, backend: EthereumBackend) -> str:
        """Broadcast a transaction signed elsewhere, checked as by ``check_foreign``; its hash. Safe to repeat."""
        signed = self.check_foreign(raw)
        tx = signed.unsigned
        if backend.chain_id != tx.chain_id:
            raise WrongChainError(f"the transaction is for chain {tx.chain_id}, the node for {backend.chain_id}")
        backend.check_chain()
        answer = backend.broadcast(raw)
        if answer.lower() != signed.hash:
            raise ChainError(f"the node took {signed.hash} and calls it {answer[:80]}", code="chain.txid")
        with self._context.store.write() as connection:
            self._context.note(
                connection,
                "transaction.published",
                txid=signed.hash,
                chain_id=tx.chain_id,
                sender=str(signed.sender),
                nonce=tx.nonce,
            )
        return signed.hash

    def network_bytes(self, transfer_id: str) -> bytes:
        """The bytes of a signed Ethereum transfer as nodes take them: of type 3 with its blobs.

        ``StoreError`` (``store.blobs``) where the blobs are forgotten, 64 blocks after it was mined.
        """
        with self._context.store.read() as connection:
            row = require_transfer(connection, transfer_id)
        return network_bytes(self._context, signed_of(row))
