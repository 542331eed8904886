"""What planning asks of an Ethereum node about one transfer: gas, the token's word, owners, allowances, balances."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bursar.chain.ethereum_chains import FeeModel
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.fees import AUTHORIZATION_GAS, TRANSFER_GAS, padded_gas
from bursar.ethereum.review import effects
from bursar.ethereum.token import (
    CALL_DECIMALS,
    CALL_SYMBOL,
    decode_uint256,
    encode_allowance,
    encode_balance_of,
)
from bursar.policy.render import amount_text
from bursar.policy.review import ReviewWarning
from bursar.wallet.actions import ContractCall, Delegate, FillNonce, NftTransfer, SendBlobs, SetAllowance
from bursar.wallet.ethereum_intents import ETHER, draft
from bursar.wallet.ethereum_planning import check_gas_limit
from bursar.wallet.ethereum_reviewing import PartyFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.chain.ethereum_chains import EthereumChain
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.fees import Eip1559Fees
    from bursar.ethereum.token import Token
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.policy.review import Asset
    from bursar.wallet.context import Context
    from bursar.wallet.ethereum_intents import Intent

_OWNER_OF = AbiFunction.from_text("ownerOf(uint256)")
_BALANCE_OF_NUMBER = AbiFunction.from_text("balanceOf(address,uint256)")
MOST_PARTIES = 16  # spenders and unregistered tokens of one call that are asked about
MOST_SYMBOL = 128  # bytes
MOST_OWNERS = 100  # addresses of ours that are asked whether they have a token


def fresh_balances(backend: EthereumBackend, intent: Intent, address: str) -> dict[tuple[str, str], int]:
    """What one address holds now of the chain's coin and of the intent's asset, by (address, contract)."""
    owner = Address.from_text(address)
    found = {(address, ETHER): int(backend.balance(owner))}
    if intent.contract:
        answer = backend.call(Address.from_text(intent.contract), encode_balance_of(owner))
        try:
            found[address, intent.contract] = decode_uint256(answer)
        except InvalidInputError as error:
            raise ChainError(
                f"{intent.contract} does not answer as a token on this chain: remove the token, or ask another node",
                code="chain.token",
            ) from error
    return found


def holder_of(backend: EthereumBackend, action: NftTransfer, ours: Sequence[str]) -> str:
    """The address of ours that has the token; ``InvalidInputError`` (``input.asset``) where none has."""
    contract = Address.from_text(action.contract)
    if action.standard == "erc721":
        answer = backend.call(contract, _OWNER_OF.encode_call(action.token_id))
        owner = str(Address(answer[12:])) if len(answer) == 32 and not any(answer[:12]) else ""
        if owner in ours:
            return owner
    else:
        for one in ours[:MOST_OWNERS]:
            answer = backend.call(contract, _BALANCE_OF_NUMBER.encode_call(Address.from_text(one), action.token_id))
            if len(answer) == 32 and int.from_bytes(answer, "big") >= action.amount:
                return one
    raise InvalidInputError(
        f"no address of this account has token {action.token_id} of {action.contract}", code="input.asset"
    )


def ask_about_party(backend: EthereumBackend, intent: Intent, sender: Address) -> PartyFacts:
    """What the node says of the party, held against what the operator said; refuses what cannot be meant."""
    action, party = intent.action, intent.party
    if isinstance(action, SetAllowance):
        return _allowance_facts(backend, intent, action, sender)
    if isinstance(action, NftTransfer):
        _require_contract(backend, Address.from_text(action.contract))
    if party is None:
        return PartyFacts()
    code = bool(backend.code(party))
    if isinstance(action, ContractCall | SendBlobs):
        if action.data and not code:
            text = f"there is no contract at {party}: the data of the call does nothing"
            return PartyFacts(notes=(ReviewWarning("no-contract", text),))
        return PartyFacts()  # a contract is what one calls
    return PartyFacts(contract=code, unverified=_doubts(backend, intent.asset))


def _allowance_facts(backend: EthereumBackend, intent: Intent, action: SetAllowance, sender: Address) -> PartyFacts:
    token, spender = intent.token, intent.party
    assert token is not None
    assert spender is not None
    unverified = _doubts(backend, token)
    present = decode_uint256(backend.call(Address.from_text(str(token.contract)), encode_allowance(sender, spender)))
    if present and action.amount:
        raise InvalidInputError(
            f"{spender} may take {amount_text(present, token)} already, and could take both that and the new amount: "
            "set the allowance to 0 first",
            code="input.allowance",
        )
    return PartyFacts(unverified=unverified)


def ask_about_effects(
    backend: EthereumBackend, tx: UnsignedTransaction, sender: Address, tokens: Mapping[Address, Token]
) -> PartyFacts:
    """What to weigh the effects of a call with: who may take tokens and has no code, and lying symbols."""
    seen = effects(tx, sender=sender, tokens=tokens)
    granted = [one for one in seen.allowances if one.amount][:MOST_PARTIES]
    touched = [one.contract for one in seen.movements] + [one.contract for one in seen.allowances]
    strangers = list(dict.fromkeys(one for one in touched if one is not None and one not in tokens))[:MOST_PARTIES]
    symbols = {one: _said_symbol(_asked(backend, one, CALL_SYMBOL)) for one in strangers}
    present: dict[tuple[Address, Address], int] = {}
    for one in granted:
        if one.token_id is None and not one.everything:
            with suppress(InvalidInputError):
                answer = _asked(backend, one.contract, encode_allowance(sender, one.spender))
                present[one.contract, one.spender] = decode_uint256(answer)
    spenders = dict.fromkeys(one.spender for one in granted)
    return PartyFacts(
        codeless=tuple(one for one in spenders if not backend.code(one)), symbols=symbols, allowances=present
    )


def _said_symbol(answer: bytes) -> str:
    """What a contract calls itself, disguises included: only ever compared, never shown as it is."""
    text = answer
    if len(answer) >= 64 and int.from_bytes(answer[:32], "big") == 32:
        text = answer[64 : 64 + min(int.from_bytes(answer[32:64], "big"), MOST_SYMBOL)]
    return text[:MOST_SYMBOL].rstrip(b"\x00").decode("utf-8", "replace")


def _asked(backend: EthereumBackend, contract: Address, data: bytes) -> bytes:
    """The answer of a contract; empty where it refuses."""
    try:
        return backend.call(contract, data)
    except ChainError as error:
        if error.code != "chain.reverted":
            raise
        return b""


def _require_contract(backend: EthereumBackend, contract: Address) -> None:
    if not backend.code(contract):
        raise InvalidInputError(f"there is no contract at {contract} on this chain", code="input.asset")


def _doubts(backend: EthereumBackend, asset: Asset) -> tuple[str, ...]:
    """What the token's contract says of itself, held against what the operator registered."""
    if asset.contract is None:
        return ()
    contract = Address.from_text(asset.contract)
    _require_contract(backend, contract)
    try:
        decimals = decode_uint256(backend.call(contract, CALL_DECIMALS))
    except InvalidInputError:
        return (f"{asset.symbol} at {contract} does not tell its decimals: {asset.decimals} is assumed",)
    if decimals != asset.decimals:
        raise InvalidInputError(
            f"{contract} has {decimals} decimals and is registered with {asset.decimals}: correct the token",
            code="input.asset",
        )
    return ()


def gas_for(
    context: Context,
    chain: EthereumChain | None,
    backend: EthereumBackend,
    intent: Intent,
    sender: Address,
    *,
    chain_id: int,
    fees: Eip1559Fees,
    nonce: int,
    party_has_code: bool,
) -> int:
    """The gas limit: 21,000 for ether to an account, the limit given by hand, or the node's estimate within the cap."""
    action = intent.action
    cap = context.caps.gas
    if isinstance(action, ContractCall):
        if action.to is None:
            cap = max(cap, context.caps.creation_gas)
        if action.gas_limit is not None:
            return check_gas_limit(action.gas_limit, cap, given=True)
    data_in_gas = chain is not None and chain.fee_model is FeeModel.ARBITRUM
    plain = isinstance(action, FillNonce) or (action is None and not intent.contract and not party_has_code)
    if isinstance(action, SendBlobs) and not action.data and intent.party is not None:
        plain = not backend.code(intent.party)
    if plain and not data_in_gas:
        return TRANSFER_GAS
    if isinstance(action, Delegate):
        # Estimates of type 4 are offered by few nodes; what it takes is known beforehand.
        return check_gas_limit(TRANSFER_GAS + AUTHORIZATION_GAS * len(action.authorizations), context.caps.gas)
    trial = draft(
        intent,
        chain_id=chain_id,
        legacy=chain is not None and not chain.eip1559,
        sender=sender,
        amount=max(1, intent.amount) if action is None else intent.amount,
        fees=fees,
        gas=cap,
        nonce=nonce,
    )
    return check_gas_limit(padded_gas(backend.estimate_gas(sender, trial)), cap)
