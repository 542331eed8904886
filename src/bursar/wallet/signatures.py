"""Signing: the approval held against the store, the intent to sign made durable, the signer asked, the bytes stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.psbt import Psbt
from bursar.errors import ConflictError, InvalidInputError, UnsupportedError, UserCancelledError
from bursar.ethereum.address import Address
from bursar.ethereum.address_account import AddressAccount
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.keys.origin import UNKNOWN
from bursar.keys.path import DerivationPath
from bursar.signing.checks import check_keys_of, name_of, request_signatures, request_transaction
from bursar.signing.protocols import EthereumSigner, PsbtSigner
from bursar.wallet.accounts import AnyEthereum, load_account
from bursar.wallet.approving import POLICY_IN_FORCE, require_plan
from bursar.wallet.names import check_names
from bursar.wallet.plan import Plan, SignedTransfer
from bursar.wallet.records import TransferState
from bursar.wallet.replaced import replaced_by
from bursar.wallet.reserving import require_transfer
from bursar.wallet.store.accounts import account_by_id
from bursar.wallet.store.meta import read_meta
from bursar.wallet.store.reservations import coin_owner, nonce_owner
from bursar.wallet.store.transfers import change_signing, change_transfer, transfer_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.signing.protocols import Signer
    from bursar.wallet.accounts import Account
    from bursar.wallet.approving import DigestedPolicy
    from bursar.wallet.context import Context
    from bursar.wallet.names import NameResolver
    from bursar.wallet.plan import ApprovedPlan
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow


def sign(
    context: Context,
    approved: ApprovedPlan,
    signer: PsbtSigner | EthereumSigner,
    policy: DigestedPolicy | None,
    names: NameResolver | None = None,
) -> SignedTransfer:
    """See ``Wallet.sign``."""
    plan = approved.plan
    _check_names(context, plan, names)
    with context.store.write() as connection:
        row = require_plan(connection, plan)
        if row.raw is not None:
            return signed_of(row)
        check_approval(connection, row, approved, policy)
        account_row = account_by_id(connection, row.account_id)
        check_reservation(connection, account_row, row, plan)
        original = replaced_by(connection, plan)
        # From here on a signature may exist, whatever becomes of this process.
        change_signing(connection, row.id, 1)
        context.note(connection, "transfer.signing", id=row.id, plan=row.plan_digest, signer=account_row.signer)
    context.passed("sign.begun")
    try:
        answer = _ask(load_account(account_row), plan, signer, original)
    except (InvalidInputError, UserCancelledError, UnsupportedError) as error:
        # A refusal: there is no signature. Any other failure may have come after one.
        with context.store.write() as connection:
            change_signing(connection, row.id, -1)
            context.note(connection, "transfer.unsigned", id=row.id, reason=error.code)
        raise
    context.passed("sign.answered")
    raw, txid = _finished(answer)
    with context.store.write() as connection:
        now = require_transfer(connection, row.id)
        if now.raw is not None:
            return signed_of(now)  # another process signed the same plan first: its bytes are the ones
        check_approval(connection, now, approved, policy)
        change_transfer(
            connection, row.id, expect=[TransferState.APPROVED], state=TransferState.SIGNED, raw=raw, txid=txid
        )
        context.note(connection, "transfer.signed", id=row.id, plan=row.plan_digest, txid=txid)
    context.passed("sign.stored")
    return SignedTransfer(id=row.id, plan_digest=row.plan_digest, txid=txid, raw=raw)


def _check_names(context: Context, plan: Plan, names: NameResolver | None) -> None:
    """Ask anew what the payees' names stand for, unless the signed bytes are there already."""
    if all(order.name is None for order in plan.transfer.payments):
        return
    with context.store.read() as connection:
        row = require_plan(connection, plan)
        account = load_account(account_by_id(connection, row.account_id))
    if row.raw is None and isinstance(account, AnyEthereum):
        check_names(plan.transfer, names or context.names, chain_id=account.chain_id)


def signed_of(row: TransferRow) -> SignedTransfer:
    """The signed bytes a row holds."""
    if row.raw is None or row.txid is None:
        raise ConflictError(f"transfer {row.id} is {row.state}: it has no signature")
    return SignedTransfer(id=row.id, plan_digest=row.plan_digest, txid=row.txid, raw=row.raw)


def check_approval(
    connection: Connection, row: TransferRow, approved: ApprovedPlan, policy: DigestedPolicy | None
) -> None:
    if row.state is not TransferState.APPROVED or row.approval is None:
        raise ConflictError(f"transfer {row.id} is {row.state} and not approved: approve it first")
    recorded = (row.plan_digest, row.approval["policy"], row.approval["rule"], row.approval["time"])
    if recorded != (approved.plan_digest, approved.policy_digest, approved.rule, approved.approved):
        raise ConflictError(
            f"this approval of transfer {row.id} is not the one recorded: approve it again", code="conflict.approval"
        )
    in_force = read_meta(connection, POLICY_IN_FORCE) if policy is None else policy.digest()
    if in_force != approved.policy_digest:
        raise ConflictError(
            f"the policy has changed since transfer {row.id} was approved: approve it again", code="conflict.policy"
        )
    for other in transfer_rows(connection, root=row.root):
        if other.height is not None:
            raise ConflictError(f"transfer {other.id}, which this one would replace, is in a block")


def check_reservation(connection: Connection, account: AccountRow, row: TransferRow, plan: Plan) -> None:
    """Every coin, or the nonce, is still bound to this very intent."""
    if plan.psbt is not None:
        for item in Psbt.from_text(plan.psbt).tx.inputs:
            key = (str(item.outpoint.txid), item.outpoint.vout)
            if coin_owner(connection, account.network, key) != row.root:
                raise ConflictError(f"coin {item.outpoint} is not reserved for transfer {row.id}: plan again")
        return
    tx = _unsigned(plan)
    if nonce_owner(connection, tx.chain_id, str(plan.sender), tx.nonce) != row.root:
        raise ConflictError(f"nonce {tx.nonce} of {plan.sender} is not reserved for transfer {row.id}: plan again")


def _ask(
    account: Account, plan: Plan, signer: PsbtSigner | EthereumSigner, original: Psbt | None
) -> Psbt | SignedTransaction:
    """Ask the signer; the answer is held to the question, and every signature in it verifies."""
    if plan.psbt is not None:
        if not isinstance(signer, PsbtSigner):
            raise UnsupportedError("this signer does not sign bitcoin transactions", operation="sign_psbt")
        if isinstance(account, AnyEthereum):
            raise ConflictError("the plan is of another chain than its account")
        check_signer(signer, account)
        return request_signatures(signer, Psbt.from_text(plan.psbt), account=account, original=original)
    if not isinstance(signer, EthereumSigner):
        raise UnsupportedError("this signer does not sign ethereum transactions", operation="sign_transaction")
    if not isinstance(account, AnyEthereum):
        raise ConflictError("the plan is of another chain than its account")
    if not isinstance(account, AddressAccount):  # one key has no master: its address is held against the signature
        check_keys_of(signer, account)
    path, tx = DerivationPath.from_text(str(plan.path)), _unsigned(plan)
    # What counts on every chain was in the review that the policy approved.
    any_chain = any(one.any_chain for one in plan.review.delegations)
    return request_transaction(signer, path, tx, sender=Address.from_text(str(plan.sender)), any_chain=any_chain)


def check_signer(signer: Signer, account: ScriptAccount) -> None:
    """``InvalidInputError`` (``input.signer.other``) for a signer none of whose keys is in the account."""
    if isinstance(account, BitcoinAccount):
        check_keys_of(signer, account)
        return
    held, known = signer.info.fingerprint or UNKNOWN, account.fingerprints
    if held not in known and held != UNKNOWN and UNKNOWN not in known:
        names = ", ".join(str(one) for one in known)
        raise InvalidInputError(
            f"{name_of(signer)} has the keys of {held}, the account is of {names}: choose another signer, or another "
            "passphrase",
            code="input.signer.other",
        )


def _finished(answer: Psbt | SignedTransaction) -> tuple[bytes, str]:
    """The bytes to broadcast and their id."""
    if isinstance(answer, SignedTransaction):
        return answer.serialize(), answer.hash
    tx = extract(finalize(answer, verify=False))
    return tx.serialize(), str(tx.txid)


def _unsigned(plan: Plan) -> UnsignedTransaction:
    return UnsignedTransaction.parse(bytes.fromhex(plan.unsigned or ""))
