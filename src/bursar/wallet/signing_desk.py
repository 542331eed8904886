"""The facade's part about signatures: one signer at once, or several in any order, over days and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.account import BitcoinAccount
from bursar.errors import UnsupportedError
from bursar.signing.protocols import PsbtSigner
from bursar.wallet import approving, collecting, signatures, signing_together
from bursar.wallet.accounts import AnyEthereum, load_account
from bursar.wallet.reserving import require_transfer
from bursar.wallet.store.accounts import account_by_id
from bursar.wallet.store.transfers import stored_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.psbt import Psbt
    from bursar.signing.protocols import EthereumSigner, Signer
    from bursar.wallet.approving import DigestedPolicy
    from bursar.wallet.context import Context
    from bursar.wallet.names import NameResolver
    from bursar.wallet.plan import ApprovedPlan, Plan, SignedTransfer, SigningProgress


class SigningDesk:
    """Every way an approved plan becomes signed bytes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def sign(
        self,
        approved: ApprovedPlan,
        *,
        signer: PsbtSigner | EthereumSigner,
        policy: DigestedPolicy | None = None,
        names: NameResolver | None = None,
    ) -> SignedTransfer:
        """Have the signer sign exactly the approved plan; the result is checked, stored and synced to disk first.

        ``ConflictError`` when the plan, the approval or the policy is not the one recorded; with the code
        ``conflict.signatures`` when more signers must sign: what this one gave is kept (see ``add_signatures``). Give
        ``policy`` to hold the approval against the policy in force now. Signing again gives the stored bytes. A payee
        given by name is resolved again, by ``names`` or the one given to ``open``: ``InvalidInputError`` with the code
        ``input.name-changed`` where the name stands for another address by now.
        """
        with self._context.store.read() as connection:
            row = require_transfer(connection, approved.id)
            account = load_account(account_by_id(connection, row.account_id))
        if isinstance(account, BitcoinAccount | AnyEthereum):
            return signatures.sign(self._context, approved, signer, policy, names)
        if not isinstance(signer, PsbtSigner):
            raise UnsupportedError("this signer does not sign bitcoin transactions", operation="sign_psbt")
        return collecting.sign_by(self._context, approved, signer, policy)

    def add_signatures(
        self, transfer_id: str, *, signer: PsbtSigner, policy: DigestedPolicy | None = None
    ) -> SigningProgress:
        """Have one of several signers sign an approved Bitcoin transfer; what it gave is verified and kept.

        Signers may come in any order, days apart, in other processes; the last one needed completes the transfer
        (``SigningProgress.signed``). Errors as of ``sign``.
        """
        return collecting.add_signatures(self._context, transfer_id, signer, policy)

    def sign_together(
        self, transfer_id: str, *, signers: Sequence[Signer], policy: DigestedPolicy | None = None
    ) -> SignedTransfer:
        """Have all participants of a ``musig()`` key sign an approved transfer at once (BIP-327), in this process.

        The two rounds cannot be parked: nonces are used once and never stored. What comes of it is stored and synced
        to disk as by ``sign``. ``UnsupportedError`` for a signer without MuSig2.
        """
        return signing_together.sign_together(self._context, transfer_id, signers, policy)

    def signing_progress(self, transfer_id: str) -> SigningProgress:
        """Whose signatures a Bitcoin transfer has, and whose it lacks."""
        return collecting.progress(self._context, transfer_id)

    def export_psbt(self, transfer_id: str, *, policy: DigestedPolicy | None = None) -> Psbt:
        """An approved transfer with the signatures it has, for a signer elsewhere; from now on one may exist."""
        return collecting.export_psbt(self._context, transfer_id, policy)

    def import_signatures(
        self, transfer_id: str, psbt: Psbt, *, name: str = "import", policy: DigestedPolicy | None = None
    ) -> SigningProgress:
        """Take over the signatures that a PSBT signed elsewhere holds, each verified; nothing else of it.

        ``name`` says in the journal where it came from. ``InvalidInputError`` (``input.psbt.unsigned``) where it holds
        no new one, ``SignerMisbehavedError`` for another transaction or a signature that does not verify.
        """
        return collecting.import_signatures(self._context, transfer_id, psbt, name, policy)

    def plan_of(self, transfer_id: str) -> Plan:
        """The stored plan of a transfer."""
        with self._context.store.read() as connection:
            return stored_plan(require_transfer(connection, transfer_id))

    def approval_of(self, transfer_id: str) -> ApprovedPlan | None:
        """The stored approval of a transfer, if it has one."""
        with self._context.store.read() as connection:
            return approving.approval_of(require_transfer(connection, transfer_id))

    def signed_of(self, transfer_id: str) -> SignedTransfer | None:
        """The stored signed bytes of a transfer, if it has them."""
        with self._context.store.read() as connection:
            row = require_transfer(connection, transfer_id)
        return None if row.raw is None else signatures.signed_of(row)
