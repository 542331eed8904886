"""The facade's part about delegations (EIP-7702): authorizations reviewed, put to the policy, noted and signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.errors import ConflictError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.address_account import AddressAccount
from bursar.ethereum.authorization import DELEGATION_PREFIX, Authorization, SignedAuthorization
from bursar.policy.review import Delegated, Review, ReviewWarning
from bursar.signing.authorizations import request_authorization
from bursar.signing.checks import check_keys_of
from bursar.wallet import accounts as rules
from bursar.wallet.approving import approve_signature
from bursar.wallet.ethereum_nonces import count_of, nonce_records
from bursar.wallet.ethereum_sync import check_ethereum_node
from bursar.wallet.planning_desk import ethereum_node
from bursar.wallet.store.accounts import address_rows
from bursar.wallet.store.reservations import highest_held_nonce

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.keys.path import DerivationPath
    from bursar.signing.protocols import Signer
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.approving import DigestedPolicy
    from bursar.wallet.context import Context

_NOBODY = Address(bytes(20))


@dataclass(frozen=True, slots=True)
class PlannedAuthorization:
    """An authorization that nobody has signed yet: by whom, with the key at which path, and what it means in words."""

    account: str
    authorization: Authorization
    authority: Address
    path: DerivationPath
    review: Review


class DelegationDesk:
    """Authorizations given by accounts of the wallet."""

    _context: Context

    def plan_authorization(
        self,
        name: str,
        delegate: str | None,
        backend: EthereumBackend,
        *,
        any_chain: bool = False,
        sponsored: bool = False,
        source: str | None = None,
    ) -> PlannedAuthorization:
        """An authorization of account ``name`` to run the code of ``delegate``; without one, to end what there is.

        ``source`` is the address that gives it (default: the account's first). Its nonce is the next one the wallet
        gives out, and one more where the account sends the authorization itself, which is when it is not ``sponsored``.
        Nothing is reserved: whatever the account sends in between makes it void. One for every chain (``any_chain``)
        takes effect wherever that address has that nonce.
        """
        context = self._context
        with context.store.read() as connection:
            row = rules.require_account(connection, name)
            account = rules.require_ethereum(row)
            known = {one.address: one.position for one in address_rows(connection, row.id)}
        address = source or str(account.address(0))
        if address not in known:
            raise InvalidInputError(f"{address[:90]} is no issued address of this account", code="input.source")
        chain = context.chains.by_id.get(account.chain_id)
        if chain is not None and not chain.eip1559:
            raise InvalidInputError(f"{chain.name} has no transactions of type 4", code="input.authorization")
        node = ethereum_node(row, backend)
        check_ethereum_node(context, row, account, node)
        authority = Address.from_text(address)
        counts = {address: count_of(node, address)}
        with context.store.read() as connection:
            taken = highest_held_nonce(connection, account.chain_id, address)
            records = nonce_records(connection, row, account.chain_id, counts, node)
        following = next((one.next for one in records if one.sender == address), max(counts[address]))
        if not sponsored and taken is not None and taken > following:
            raise ConflictError(
                f"transfers of {address} hold nonces beyond {following}: fill the gap before the account delegates",
                code="conflict.nonce",
            )
        authorization = Authorization(
            0 if any_chain else account.chain_id,
            _NOBODY if delegate is None else Address.from_text(delegate),
            following if sponsored else following + 1,
            any_chain=any_chain,
        )
        review = _review(context, name, account, authorization, authority, _weighed(node, authorization, authority))
        return PlannedAuthorization(name, authorization, authority, account.path(known[address]), review)

    def sign_authorization(
        self, planned: PlannedAuthorization, *, signer: Signer, policy: DigestedPolicy
    ) -> SignedAuthorization:
        """Put an authorization to the policy (``allow-delegations``) and have the signer sign it; both are noted.

        ``PolicyDeniedError``, ``ApprovalPendingError``; ``UnsupportedError`` where the signer signs no authorizations.
        Whoever has the result can use it: it is not stored.
        """
        context, wanted = self._context, planned.authorization
        with context.store.read() as connection:
            row = rules.require_account(connection, planned.account)
            account = rules.require_ethereum(row)
        meant = _delegated(wanted, planned.authority)
        if planned.review.delegations != (meant,) or not (wanted.any_chain or wanted.chain_id == account.chain_id):
            raise ConflictError("the review is not of this authorization: plan it again", code="conflict.plan")
        if not isinstance(account, AddressAccount):
            check_keys_of(signer, account)
        said = {
            "account": planned.account,
            "authority": meant.authority,
            "delegate": meant.delegate,
            "nonce": wanted.nonce,
            "chain_id": wanted.chain_id,
        }
        approve_signature(context, planned.review, policy, wanted.digest(), None)
        signed = request_authorization(
            signer,
            planned.path,
            wanted,
            authority=planned.authority,
            chain_id=account.chain_id,
            delegates=(wanted.delegate,),
            any_chain=wanted.any_chain,
        )
        with context.store.write() as connection:
            context.note(connection, "authorization.signed", **said)
        return signed


def _delegated(authorization: Authorization, authority: Address) -> Delegated:
    return Delegated(str(authority), str(authorization.delegate), authorization.any_chain)


def _weighed(node: EthereumBackend, wanted: Authorization, authority: Address) -> tuple[ReviewWarning, ...]:
    """What the node says of the delegate, and of what the account runs now."""
    found: list[ReviewWarning] = []
    if wanted.revokes:
        found.append(ReviewWarning("delegation-end", f"{authority} runs no code of others any more"))
    else:
        text = f"the code of {wanted.delegate} may do anything with {authority} from now on"
        found.append(ReviewWarning("delegation", text))
        if not node.code(wanted.delegate):
            found.append(ReviewWarning("no-contract", f"there is no contract at {wanted.delegate} on this chain"))
    if wanted.any_chain:
        found.append(ReviewWarning("delegation-any-chain", f"the authorization of {authority} counts on every chain"))
    code = node.code(authority)
    if code.startswith(DELEGATION_PREFIX) and len(code) == len(DELEGATION_PREFIX) + 20:
        present = Address(code[len(DELEGATION_PREFIX) :])
        if present == wanted.delegate:
            found.append(ReviewWarning("delegation-same", f"{authority} runs the code of {present} already"))
        else:
            found.append(ReviewWarning("delegation-replaced", f"{authority} runs the code of {present} until then"))
    elif wanted.revokes:
        found.append(
            ReviewWarning("delegation-none", f"{authority} runs no code of others now: there is nothing to end")
        )
    return tuple(found)


def _review(
    context: Context,
    name: str,
    account: AnyEthereum,
    authorization: Authorization,
    authority: Address,
    warnings: tuple[ReviewWarning, ...],
) -> Review:
    native = rules.native_asset(account, context.chains)
    chain = "every chain" if authorization.any_chain else str(authorization.chain_id)
    return Review(
        chain="ethereum",
        network=native.network,
        account=name,
        payments=(),
        change=(),
        fee=0,
        max_fee=0,
        fee_asset=native,
        fee_rate="an authorization costs nothing by itself",
        warnings=warnings,
        extra={"from": str(authority), "nonce of the authorization": authorization.nonce, "chain id": chain},
        delegations=(_delegated(authorization, authority),),
    )
