"""Calls of Permit2, the contract that holds allowances of many tokens for many spenders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.effects.call import Reading
from bursar.ethereum.effects.model import Allowance, Caution, Movement
from bursar.ethereum.effects.token_calls import allowance_cautions
from bursar.ethereum.token import is_unlimited

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.call import Call, Reader, Scope


def _allowed(
    scope: Scope, owner: Address | None, spender: Address, held: Sequence[tuple[Address, int, int]]
) -> Reading:
    of = scope.owner(owner)
    given = [
        Allowance(spender, amount, token, scope.tokens.get(token), is_unlimited(amount), until=until, owner=of)
        for token, amount, until in held
    ]
    cautions = [caution for one in given for caution in allowance_cautions(one)]
    return Reading(allowances=given, cautions=[*_unknown([one.contract for one in given], scope), *cautions])


def _moved(scope: Scope, moves: Sequence[tuple[Address, Address, int, Address]]) -> Reading:
    """Each a payer, a payee, an amount and a token."""
    movements = [
        Movement(to, amount, token, scope.tokens.get(token), scope.owner(owner)) for owner, to, amount, token in moves
    ]
    foreign = dict.fromkeys(one.owner for one in movements if one.owner is not None)
    cautions = [Caution("transfer-from", f"moves tokens of {one}, not the sender's own") for one in foreign]
    return Reading(movements, cautions=[*_unknown([move[3] for move in moves], scope), *cautions])


def _unknown(contracts: Sequence[Address], scope: Scope) -> list[Caution]:
    return [
        Caution("unknown-token", f"{one} is no registered token: its name and decimals are unknown")
        for one in dict.fromkeys(contracts)
        if one not in scope.tokens
    ]


def _approve(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:
    token, spender, amount, until = arguments
    return _allowed(scope, call.caller, spender, [(token, amount, until)])


def _permit(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    owner, (details, spender, _), _ = arguments
    return _allowed(scope, owner, spender, [details[:3]])


def _permit_batch(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    owner, (held, spender, _), _ = arguments
    return _allowed(scope, owner, spender, [details[:3] for details in held])


def _transfer_from(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    owner, to, amount, token = arguments
    return _moved(scope, [(owner, to, amount, token)])


def _transfer_batch(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    return _moved(scope, arguments[0])


def _permit_transfer(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    ((token, _), _, _), (to, requested), owner = arguments[:3]
    return _moved(scope, [(owner, to, requested, token)])


def _permit_transfers(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:  # noqa: ARG001
    (permitted, _, _), details, owner = arguments[:3]
    if len(permitted) != len(details):
        return None
    pairs = zip(permitted, details, strict=True)
    return _moved(scope, [(owner, to, requested, token) for (token, _), (to, requested) in pairs])


def _lockdown(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:
    owner = scope.owner(call.caller)
    ended = [
        Allowance(spender, 0, token, scope.tokens.get(token), False, owner=owner) for token, spender in arguments[0]
    ]
    return Reading(allowances=ended)


def _nothing(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    return Reading()


_DETAILS: Final = "(address token,uint160 amount,uint48 expiration,uint48 nonce)"
_ONE: Final = "((address token,uint256 amount) permitted,uint256 nonce,uint256 deadline) permit"
_MANY: Final = "((address token,uint256 amount)[] permitted,uint256 nonce,uint256 deadline) permit"
_TO: Final = "(address to,uint256 requestedAmount)"
_END: Final = "address owner,bytes signature"
_WITNESS: Final = "address owner,bytes32 witness,string witnessTypeString,bytes signature"
READERS: Final[Mapping[str, Reader]] = {
    "approve(address token,address spender,uint160 amount,uint48 expiration)": _approve,
    f"permit(address owner,({_DETAILS} details,address spender,uint256 sigDeadline) permitSingle,bytes signature)": (
        _permit
    ),
    f"permit(address owner,({_DETAILS}[] details,address spender,uint256 sigDeadline) permitBatch,bytes signature)": (
        _permit_batch
    ),
    "transferFrom(address from,address to,uint160 amount,address token)": _transfer_from,
    "transferFrom((address from,address to,uint160 amount,address token)[] transferDetails)": _transfer_batch,
    f"permitTransferFrom({_ONE},{_TO} transferDetails,{_END})": _permit_transfer,
    f"permitTransferFrom({_MANY},{_TO}[] transferDetails,{_END})": _permit_transfers,
    f"permitWitnessTransferFrom({_ONE},{_TO} transferDetails,{_WITNESS})": _permit_transfer,
    f"permitWitnessTransferFrom({_MANY},{_TO}[] transferDetails,{_WITNESS})": _permit_transfers,
    "lockdown((address token,address spender)[] approvals)": _lockdown,
    "invalidateNonces(address token,address spender,uint48 newNonce)": _nothing,
    "invalidateUnorderedNonces(uint256 wordPos,uint256 mask)": _nothing,
}
