"""Payment requests (ERC-681) as transfers: ether, a registered token, or a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError, WrongChainError
from bursar.ethereum.address import Address
from bursar.ethereum.payment_uri import PaymentRequest
from bursar.wallet.actions import ContractCall
from bursar.wallet.transfer import PaymentOrder, Transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.policy.review import Asset
    from bursar.wallet.names import NameResolver
    from bursar.wallet.store.accounts import TokenRow


def transfer_of_uri(
    text: str,
    account: str,
    chain_id: int,
    native: Asset,
    tokens: Sequence[TokenRow],
    names: NameResolver | None,
) -> Transfer:
    """See ``Wallet.read_payment_uri``; ``tokens`` are those registered on the account's chain."""
    asked = PaymentRequest.parse(text)
    if asked.chain_id not in (None, chain_id):
        raise WrongChainError(f"the request is for chain {asked.chain_id} and account {account!r} is on {chain_id}")
    target, name = _resolved(asked.target, names, chain_id)
    if asked.function is None:
        if not asked.value:
            raise InvalidInputError("the request names no amount: ask for one", code="input.amount")
        return Transfer(account, (PaymentOrder(target, int(asked.value), native.symbol, name),))
    if name is not None:
        raise InvalidInputError(
            f"the request calls a contract by the name {name[:90]!a}: ask for its address", code="input.payment-uri"
        )
    paid = asked.token_transfer
    if paid is None:
        if any(kind == "address" and not value.startswith("0x") for kind, value in asked.arguments):
            raise InvalidInputError(
                "the request names a party of a call instead of giving its address", code="input.payment-uri"
            )
        return Transfer(account, action=ContractCall(target, asked.call_data(), int(asked.value or 0)))
    if asked.value:
        raise InvalidInputError("the request sends ether to a token's contract", code="input.payment-uri")
    if all(one.contract != target for one in tokens):
        raise InvalidInputError(
            f"{target} is no registered token: register it if you know it, what it calls itself proves nothing",
            code="input.asset",
        )
    payee, payee_name = _resolved(paid[0], names, chain_id)
    return Transfer(account, (PaymentOrder(payee, paid[1], target, payee_name),))


def _resolved(target: Address | str, names: NameResolver | None, chain_id: int) -> tuple[str, str | None]:
    """The address as text, and the name it was found by."""
    if isinstance(target, Address):
        return str(target), None
    if names is None:
        raise InvalidInputError(
            f"the request names {target[:90]!a}: give a resolver of names, or ask for the address",
            code="input.name-unchecked",
        )
    return str(names.resolve(target, chain_id=chain_id).address), target
