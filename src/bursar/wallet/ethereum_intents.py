"""What an Ethereum transfer wants, parsed and resolved, and the transaction that does it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.token import encode_approve, encode_transfer
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.transaction.kinds import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE
from bursar.ethereum.units import Wei
from bursar.wallet.actions import AUTO, ContractCall, Delegate, FillNonce, NftTransfer, SendBlobs, SetAllowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.chain.ethereum_chains import EthereumChain
    from bursar.ethereum.access_list import AccessListEntry
    from bursar.ethereum.authorization import SignedAuthorization
    from bursar.ethereum.fees import Eip1559Fees
    from bursar.policy.review import Asset
    from bursar.wallet.transfer import Transfer

ETHER = ""  # stands where a token's contract would
NOBODY = Address(bytes(20))
_ERC721 = AbiFunction.from_text("safeTransferFrom(address,address,uint256)")
_ERC1155 = AbiFunction.from_text("safeTransferFrom(address,address,uint256,uint256,bytes)")


@dataclass(frozen=True, slots=True)
class Intent:
    """What one transfer does. The sender must hold ``amount`` of ``asset`` besides the fee; 0 with ``everything``.

    ``party`` is who gets, or may take, something: the payee, the spender, the contract called (``None``: created).
    ``token`` is the asset an allowance is about, ``name`` what the payee was called. ``access_list`` is the list given
    or made, ``blob_hashes`` and ``blob_fee``, in wei for one gas of blobs, are of what a transaction of type 3 carries.
    """

    asset: Asset
    amount: int
    party: Address | None
    everything: bool = False
    action: ContractCall | NftTransfer | SetAllowance | SendBlobs | Delegate | FillNonce | None = None
    token: Asset | None = None
    name: str | None = None
    access_list: tuple[AccessListEntry, ...] = ()
    blob_hashes: tuple[bytes, ...] = ()
    blob_fee: Wei | None = None

    @property
    def contract(self) -> str:
        """The contract of ``asset``; empty for the chain's own coin."""
        return self.asset.contract or ETHER

    @property
    def authorizations(self) -> tuple[SignedAuthorization, ...]:
        return self.action.authorizations if isinstance(self.action, Delegate) else ()

    def call(self, sender: Address, amount: int) -> tuple[Address | None, int, bytes]:
        """Recipient, value in wei and data of the transaction, where ``amount`` of the asset is paid."""
        action = self.action
        if isinstance(action, ContractCall | SendBlobs):
            return self.party, action.value, action.data
        if isinstance(action, NftTransfer):
            contract = Address.from_text(action.contract)
            if action.standard == "erc721":
                return contract, 0, _ERC721.encode_call(sender, self.party, action.token_id)
            return contract, 0, _ERC1155.encode_call(sender, self.party, action.token_id, action.amount, b"")
        if isinstance(action, Delegate):
            return NOBODY, 0, b""  # the sender may run code by then, which could refuse an empty call
        if self.party is None or isinstance(action, FillNonce):
            return sender, 0, b""
        if isinstance(action, SetAllowance):
            assert self.token is not None
            return Address.from_text(str(self.token.contract)), 0, encode_approve(self.party, action.amount)
        if self.asset.contract is None:
            return self.party, amount, b""
        return Address.from_text(self.asset.contract), 0, encode_transfer(self.party, amount)


def read_intent(
    transfer: Transfer, native: Asset, resolve: Callable[[str], Asset], chain: EthereumChain | None
) -> Intent:
    """The single payment, or the action, of an Ethereum transfer; addresses are EIP-55, amounts above zero."""
    action = transfer.action
    if action is None:
        return _read_payment(transfer, resolve, chain)
    if isinstance(action, ContractCall):
        listed = () if action.access_list == AUTO else action.access_list
        party = None if action.to is None else _address(action.to, chain)
        return Intent(native, action.value, party, action=action, access_list=listed)
    if isinstance(action, SendBlobs):
        return Intent(native, action.value, _address(action.to, chain), action=action)
    if isinstance(action, NftTransfer):
        _address(action.contract, chain)
        return Intent(native, 0, _address(action.to, chain), action=action)
    if isinstance(action, SetAllowance):
        token = resolve(action.asset)
        if token.contract is None:
            raise InvalidInputError(f"{token.symbol} is no token: nobody can be allowed to take it", code="input.asset")
        return Intent(native, 0, _address(action.spender, chain), action=action, token=token)
    if isinstance(action, Delegate) and chain is not None and not chain.eip1559:
        raise InvalidInputError(f"{chain.name} has no transactions of type 4", code="input.authorization")
    return Intent(native, 0, None, action=action)


def _read_payment(transfer: Transfer, resolve: Callable[[str], Asset], chain: EthereumChain | None) -> Intent:
    if len(transfer.payments) != 1:
        raise InvalidInputError(
            f"an ethereum transfer has one payment, not {len(transfer.payments)}: send them one by one",
            code="input.payments",
        )
    order = transfer.payments[0]
    if order.amount == 0 and not transfer.everything:
        raise InvalidInputError(f"the amount for {order.to[:90]} is zero", code="input.amount")
    payee = _address(order.to, chain)
    return Intent(resolve(order.asset), order.amount, payee, everything=transfer.everything, name=order.name)


def _address(text: str, chain: EthereumChain | None) -> Address:
    """An address as people write it on this chain (EIP-55, or EIP-1191 where that is the custom)."""
    return Address.from_text(text, chain_id=chain.id if chain is not None and chain.eip1191 else None)


def draft(
    intent: Intent,
    *,
    chain_id: int,
    legacy: bool,
    sender: Address,
    amount: int,
    fees: Eip1559Fees,
    gas: int,
    nonce: int,
) -> UnsignedTransaction:
    """The transaction that fulfils ``intent``: of type 2, with blobs 3, with authorizations 4; where ``legacy`` of type
    0, with an access list 1."""
    to, value, data = intent.call(sender, amount)
    if legacy:
        return UnsignedTransaction(
            type=ACCESS_LIST if intent.access_list else LEGACY,
            chain_id=chain_id,
            nonce=nonce,
            to=to,
            value=Wei(value),
            data=data,
            gas_limit=gas,
            gas_price=fees.max_fee_per_gas,
            access_list=intent.access_list,
        )
    return UnsignedTransaction(
        type=BLOB if intent.blob_hashes else SET_CODE if intent.authorizations else FEE_MARKET,
        chain_id=chain_id,
        nonce=nonce,
        to=to,
        value=Wei(value),
        data=data,
        gas_limit=gas,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        access_list=intent.access_list,
        max_fee_per_blob_gas=intent.blob_fee,
        blob_versioned_hashes=intent.blob_hashes,
        authorization_list=intent.authorizations,
    )
