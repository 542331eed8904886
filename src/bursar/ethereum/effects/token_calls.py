"""Calls of tokens: ERC-20, ERC-721, ERC-1155, permits (EIP-2612, DAI's, ERC-4494), EIP-3009, wrapped coins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.effects.call import Reading
from bursar.ethereum.effects.model import Allowance, Caution, Movement
from bursar.ethereum.token import is_unlimited
from bursar.ethereum.units import MAX_UINT256

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.call import Call, Reader, Scope
    from bursar.ethereum.token import Token


def _transfer(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    to, amount = arguments
    return _moved(call, scope, call.caller, to, amount)


def _transfer_from(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    owner, to, amount = arguments
    return _moved(call, scope, owner, to, amount, shared=True)


def _authorized_transfer(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    return _moved(call, scope, arguments[0], arguments[1], arguments[2])


def _moved(
    call: Call, scope: Scope, owner: Address | None, to: Address, amount: int, *, shared: bool = False
) -> Reading | None:
    """``shared``: the function means a number in ERC-721 and an amount in ERC-20; the registry says which one it is."""
    token = scope.tokens.get(call.to)
    if token is not None and token.standard == "erc1155":
        return None  # the standard has no such function: what moves is not known
    cautions = list(_about(call, token, shared=shared, number=amount))
    number = None
    if token is not None and token.standard == "erc721":
        amount, number = 1, amount
    of = scope.owner(owner)
    if of is not None and of != call.caller:
        cautions.append(_foreign(of))
    return Reading((Movement(to, amount, call.to, token, of, number),), cautions=cautions)


def _approve(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    spender, amount = arguments
    token = scope.tokens.get(call.to)
    if token is not None and token.standard == "erc1155":
        return None
    cautions = list(_about(call, token, shared=True, number=amount))
    owner = scope.owner(call.caller)
    of_number = Allowance(spender, 0 if spender.is_zero else 1, call.to, token, False, amount, owner=owner)
    of_amount = Allowance(spender, amount, call.to, token, is_unlimited(amount), owner=owner)
    given = [of_number if token is not None and token.standard == "erc721" else of_amount]
    if token is None and not amount and not spender.is_zero:
        given.append(of_number)  # it may give away the token number 0 rather than take an allowance back
    return Reading(allowances=given, cautions=[*cautions, *(said for one in given for said in allowance_cautions(one))])


def _increase(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    spender, amount = arguments
    token = scope.tokens.get(call.to)
    if token is not None and token.standard != "erc20":
        return None
    one = Allowance(spender, amount, call.to, token, is_unlimited(amount), owner=scope.owner(call.caller))
    cautions = [*_about(call, token), *allowance_cautions(one)]
    return Reading(allowances=(one,), cautions=cautions)


def _decrease(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    return Reading(cautions=list(_about(call, scope.tokens.get(call.to))))


def _permit(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    owner, spender, amount = arguments[:3]
    return _permitted(call, scope, owner, spender, amount)


def _dai_permit(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    holder, spender, _, _, allowed = arguments[:5]
    return _permitted(call, scope, holder, spender, MAX_UINT256 if allowed else 0)


def _permitted(call: Call, scope: Scope, owner: Address, spender: Address, amount: int) -> Reading | None:
    token = scope.tokens.get(call.to)
    if token is not None and token.standard != "erc20":
        return None
    one = Allowance(spender, amount, call.to, token, is_unlimited(amount), owner=scope.owner(owner))
    return Reading(allowances=(one,), cautions=[*_about(call, token), *allowance_cautions(one)])


def _nft_permit(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    spender, number = arguments[:2]
    token = scope.tokens.get(call.to)
    if token is not None and token.standard == "erc20":
        return None
    one = Allowance(spender, 1, call.to, token, False, number)
    return Reading(allowances=(one,), cautions=[*_about(call, token), *allowance_cautions(one)])


def _safe_transfer(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    return _numbered(call, scope, arguments[0], arguments[1], [(arguments[2], 1)])


def _safe_transfer_amount(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    return _numbered(call, scope, arguments[0], arguments[1], [(arguments[2], arguments[3])])


def _safe_batch(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    numbers, amounts = arguments[2:4]
    if len(numbers) != len(amounts):
        return None
    return _numbered(call, scope, arguments[0], arguments[1], list(zip(numbers, amounts, strict=True)))


def _numbered(
    call: Call, scope: Scope, owner: Address, to: Address, moved: Sequence[tuple[int, int]]
) -> Reading | None:
    token = scope.tokens.get(call.to)
    if token is not None and token.standard == "erc20":
        return None  # no token of amounts has it: the number may stand for a whole unit
    of = scope.owner(owner)
    cautions = list(_about(call, token))
    if of is not None and of != call.caller:
        cautions.append(_foreign(of))
    return Reading([Movement(to, amount, call.to, token, of, number) for number, amount in moved], cautions=cautions)


def _approve_all(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:
    operator, approved = arguments
    token, owner = scope.tokens.get(call.to), scope.owner(call.caller)
    amount = MAX_UINT256 if approved else 0
    one = Allowance(operator, amount, call.to, token, approved, everything=approved, owner=owner)
    return Reading(allowances=(one,), cautions=[*_about(call, token), *allowance_cautions(one)])


def _wrap(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:  # noqa: ARG001
    token = scope.tokens.get(call.to)
    if token is None:
        return None  # a deposit elsewhere may be anything
    return Reading(cautions=(Caution("wrap", f"the coin sent becomes {token.symbol} of the same amount"),))


def _unwrap(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    token = scope.tokens.get(call.to)
    if token is None:
        return None
    text = f"{token.format_amount(arguments[0])} become the chain's own coin again"
    movement = Movement(call.to, arguments[0], call.to, token, scope.owner(call.caller))
    return Reading((movement,), cautions=(Caution("unwrap", text),))


def allowance_cautions(one: Allowance) -> Iterator[Caution]:
    """What giving ``one`` means; nothing where it takes an allowance back."""
    if one.everything:
        text = f"{one.spender} may take every token of {one.contract}, now and later"
        yield Caution("unlimited-allowance", text)
    elif one.unlimited:
        yield Caution("unlimited-allowance", f"{one.spender} may take every token, now and later")
    elif one.amount:
        yield Caution("allowance", f"{one.spender} may take tokens later, without asking again")


def _about(call: Call, token: Token | None, *, shared: bool = False, number: int = 0) -> Iterator[Caution]:
    if token is None:
        text = f"{call.to} is no registered token: its name and decimals are unknown"
        yield Caution("unknown-token", text)
        if shared:
            yield Caution("amount-or-number", f"{number} may be an amount, or the number of one token of {call.to}")
    if call.value:
        yield Caution("ether-with-call", f"sends {_ether(call.value)} to the token contract itself")


def _foreign(owner: Address) -> Caution:
    return Caution("transfer-from", f"moves tokens of {owner}, not the sender's own")


def _ether(value: int) -> str:
    from bursar.ethereum.units import Wei

    return Wei(value).to_eth_text()


_SIGNED: Final = "uint8 v,bytes32 r,bytes32 s"
_AUTHORIZATION: Final = (
    "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce,{signature})"
)
READERS: Final[Mapping[str, Reader]] = {
    "transfer(address to,uint256 amount)": _transfer,
    "transferFrom(address from,address to,uint256 amount)": _transfer_from,
    "approve(address spender,uint256 amount)": _approve,
    "increaseAllowance(address spender,uint256 added)": _increase,
    "increaseApproval(address spender,uint256 added)": _increase,
    "decreaseAllowance(address spender,uint256 taken)": _decrease,
    "decreaseApproval(address spender,uint256 taken)": _decrease,
    f"permit(address owner,address spender,uint256 value,uint256 deadline,{_SIGNED})": _permit,
    f"permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed,{_SIGNED})": _dai_permit,
    "permit(address spender,uint256 tokenId,uint256 deadline,bytes signature)": _nft_permit,
    **{
        name + _AUTHORIZATION.format(signature=signature): _authorized_transfer
        for name in ("transferWithAuthorization", "receiveWithAuthorization")
        for signature in (_SIGNED, "bytes signature")
    },
    "safeTransferFrom(address from,address to,uint256 tokenId)": _safe_transfer,
    "safeTransferFrom(address from,address to,uint256 tokenId,bytes data)": _safe_transfer,
    "safeTransferFrom(address from,address to,uint256 id,uint256 amount,bytes data)": _safe_transfer_amount,
    "safeBatchTransferFrom(address from,address to,uint256[] ids,uint256[] amounts,bytes data)": _safe_batch,
    "setApprovalForAll(address operator,bool approved)": _approve_all,
    "deposit()": _wrap,
    "withdraw(uint256 amount)": _unwrap,
}
"""By signature; a function means the same at every contract that is not registered as one of another standard. Wrapped
coins have to be registered."""
