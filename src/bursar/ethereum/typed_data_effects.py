"""What a signature of typed data lets others do: permits (EIP-2612, Permit2, EIP-4494), payments (EIP-3009), Safes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.effects.call import Scope
from bursar.ethereum.effects.model import CallView, Caution, Movement
from bursar.ethereum.token import is_unlimited
from bursar.ethereum.typed_data_types import Kind

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.token import Token
    from bursar.ethereum.typed_data import TypedData
    from bursar.ethereum.typed_data_types import Field

_EVERYTHING: Final = (1 << 256) - 1
_DETAILS: Final = "PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
_TOKENS: Final = "TokenPermissions(address token,uint256 amount)"
_SAFE: Final = (
    "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
    "address gasToken,address refundReceiver,uint256 nonce)"
)
_OPERATION: Final = (
    "PackedUserOperation(address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,"
    "uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData)"
)
_WITNESSED: Final = {
    "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,": False,
    "PermitBatchWitnessTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline,": True,
}
# names of parties that may take something, and of structs that let them: what no exact form was recognised in
_TAKING_FIELDS: Final = frozenset(
    ("spender", "operator", "delegate", "delegatee", "approved", "offerer", "maker", "grantee", "permitted")
)
# a payee beside an amount makes a payment by whoever relays the signature
_PAYEES: Final = frozenset(("to", "recipient", "receiver", "beneficiary", "payee", "destination", "target"))
_AMOUNTS: Final = frozenset(("value", "amount", "amounts", "price", "quantity", "wad", "shares", "assets", "tokenid"))
_TAKING_WORDS: Final = (
    "permit", "approv", "allowance", "order", "delegat", "transfer", "withdraw", "transaction", "send", "agent",
    "offer", "bid", "listing", "swap", "trade", "execut", "operation", "redeem", "payment",
)  # fmt: skip
# bytes of other names may be the hash of anything: of a permit, of a list of orders, of another account's message
_BARE: Final = ("nonce", "salt")
_LEAST_HASH: Final = 20
# votes of Snapshot, which move nothing: their bytes are the number of the proposal
_HARMLESS: Final = frozenset(
    f"Vote(address from,string space,uint64 timestamp,{proposal} proposal,{choice} choice,string reason,string app,"
    "string metadata)"
    for proposal in ("bytes32", "string")
    for choice in ("uint32", "uint32[]", "string")
)


@dataclass(frozen=True, slots=True)
class SignedAllowance:
    """Whoever holds the signature lets ``spender`` take tokens of the signer without asking again.

    Up to ``amount`` base units of ``contract``, or its token number ``token_id``; the permission lasts ``until``
    (seconds since 1970), and the signature has to be used by ``deadline``.
    """

    spender: Address
    contract: Address | None
    amount: int
    until: int | None = None
    deadline: int | None = None
    token_id: int | None = None

    @property
    def unlimited(self) -> bool:
        """True where the amount is no effective limit."""
        return self.token_id is None and is_unlimited(self.amount)


@dataclass(frozen=True, slots=True)
class TypedDataEffects:
    """The effects of one signature; ``suspect`` is true where it may give something away that was not decoded.

    ``calls`` are those of a Safe or a smart account; ``delegate_call`` is true where they run code of others as it.
    ``max_fee`` is what a smart account pays at most, in wei, to whoever sends its operation.
    """

    allowances: tuple[SignedAllowance, ...] = ()
    movements: tuple[Movement, ...] = ()
    suspect: bool = False
    cautions: tuple[Caution, ...] = ()
    calls: tuple[CallView, ...] = ()
    delegate_call: bool = False
    max_fee: int = 0


def typed_data_effects(typed: TypedData, tokens: Mapping[Address, Token] | None = None) -> TypedDataEffects:
    """Recognise the forms that move or allow to move tokens, and what looks like one without being known.

    Transactions of a Safe and operations of a smart account are unfolded like those of an account; ``tokens`` are the
    registered ones of the chain by contract.
    """
    form = typed.types.encode_type(typed.primary_type)
    reader = _READERS.get(form) or next((_permit2 for start in _WITNESSED if _is_witnessed(form, start)), None)
    allowances = tuple(reader(typed)) if reader is not None else ()
    movements = (_authorized(typed, tokens or {}),) if form in _PAYMENTS else ()
    if form in (_SAFE, _OPERATION) and typed.verifying_contract is not None:
        account = typed.verifying_contract if form == _SAFE else typed.message["sender"]
        return _account_effects(typed, tokens or {}, account, safe=form == _SAFE)
    suspect = not allowances and not movements and form not in _HARMLESS and _suspect(typed)
    cautions = [*_allowance_cautions(allowances), *_domain_cautions(typed)]
    if movements:
        cautions.append(Caution("payment", "whoever holds the signature can make this payment, without a transaction"))
    if suspect:
        text = (
            "this may let others take what you own, in a form that is not known here: trust it as you trust its maker"
        )
        cautions.append(Caution("opaque-call", text))
    return TypedDataEffects(allowances, movements, suspect, tuple(cautions))


def _permit(typed: TypedData) -> Iterator[SignedAllowance]:
    one = typed.message
    yield SignedAllowance(one["spender"], typed.verifying_contract, one["value"], deadline=one["deadline"])


def _dai_permit(typed: TypedData) -> Iterator[SignedAllowance]:
    one = typed.message
    amount = _EVERYTHING if one["allowed"] else 0
    # DAI takes an expiry of zero for none
    yield SignedAllowance(one["spender"], typed.verifying_contract, amount, deadline=one["expiry"] or None)


def _nft_permit(typed: TypedData) -> Iterator[SignedAllowance]:
    one = typed.message
    yield SignedAllowance(
        one["spender"], typed.verifying_contract, 1, deadline=one["deadline"], token_id=one["tokenId"]
    )


def _permit2(typed: TypedData) -> Iterator[SignedAllowance]:
    message = typed.message
    held = message["details"] if "details" in message else message["permitted"]
    deadline = message["sigDeadline"] if "sigDeadline" in message else message["deadline"]
    for one in held if isinstance(held, tuple) else (held,):
        until = one.get("expiration")
        yield SignedAllowance(message["spender"], one["token"], one["amount"], until=until, deadline=deadline)


def _authorized(typed: TypedData, tokens: Mapping[Address, Token]) -> Movement:
    one, contract = typed.message, typed.verifying_contract
    token = tokens.get(contract) if contract is not None else None
    return Movement(one["to"], one["value"], contract, token, owner=one["from"])


def _account_effects(
    typed: TypedData, tokens: Mapping[Address, Token], account: Address, *, safe: bool
) -> TypedDataEffects:
    """What a Safe or a smart account does once its signatures are together."""
    from bursar.ethereum.effects.accounts import operation_call, safe_call
    from bursar.ethereum.effects.unfolding import unfold

    message = typed.message
    known = {one.contract: one for one in tokens.values() if typed.chain_id in (None, one.chain_id)}
    scope = Scope(account, known)
    read = safe_call if safe else operation_call
    call, extra, cost, cautions = read(account, message, scope)
    found = unfold([call], scope)
    movements = [one for one in found.movements if one.amount or one.contract is not None]
    allowances = [
        SignedAllowance(one.spender, one.contract, one.amount, one.until, None, one.token_id)
        for one in found.allowances
    ]
    words = "one owner's signature of a transaction of a Safe, which others can send"
    if not safe:
        words = "an operation of a smart account, which others can send"
    said = [Caution("safe" if safe else "user-operation", words), *cautions, *found.cautions, *_domain_cautions(typed)]
    calls = tuple(found.calls)
    made = any(one.code == "creation" for one in cautions)
    if made:  # by code that was not read: so what the account's functions do is not known either
        calls = tuple(replace(one, understood=False) for one in calls)
    return TypedDataEffects(
        tuple(allowances),
        (*movements, *extra),
        made or not found.decoded,
        tuple(dict.fromkeys(said)),
        calls,
        found.delegate_call,
        cost,
    )


_READERS: Final[Mapping[str, Callable[[TypedData], Iterator[SignedAllowance]]]] = {
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)": _permit,
    "Permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed)": _dai_permit,
    "Permit(address spender,uint256 tokenId,uint256 nonce,uint256 deadline)": _nft_permit,
    f"PermitSingle(PermitDetails details,address spender,uint256 sigDeadline){_DETAILS}": _permit2,
    f"PermitBatch(PermitDetails[] details,address spender,uint256 sigDeadline){_DETAILS}": _permit2,
    "PermitTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline)" + _TOKENS: _permit2,
    "PermitBatchTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline)"
    + _TOKENS: _permit2,
}
_PAYMENTS: Final = frozenset(
    f"{name}(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    for name in ("TransferWithAuthorization", "ReceiveWithAuthorization")
)


def _is_witnessed(form: str, start: str) -> bool:
    return form.startswith(start) and _TOKENS in form


def _suspect(typed: TypedData) -> bool:
    names = typed.types.needed_by(typed.primary_type)
    fields = [field for name in names for field in typed.types.structs[name]]
    # of whatever type: chains and venues write addresses as numbers and texts too
    named = {field.name.lower().strip("_") for field in fields}
    if (named & _PAYEES and named & _AMOUNTS) or named & _TAKING_FIELDS:
        return True
    if any(map(_hides, fields)):
        return True
    return any(word in name.lower() for name in names for word in _TAKING_WORDS)


def _hides(field: Field) -> bool:
    """Whether its bytes may stand for something that they do not show."""
    kind = field.type
    hashed = kind.kind is Kind.BYTES or (kind.kind is Kind.FIXED_BYTES and (kind.size or 0) >= _LEAST_HASH)
    return hashed and (field.name.lower().strip("_") not in _BARE or bool(kind.levels))


def _allowance_cautions(allowances: tuple[SignedAllowance, ...]) -> Iterator[Caution]:
    for one in allowances:
        token = one.contract or "a token"
        if one.unlimited:
            yield Caution("unlimited-allowance", f"{one.spender} may take every token of {token}, now and later")
        elif one.amount:
            yield Caution("allowance", f"{one.spender} may take tokens of {token}, without asking again")


def _domain_cautions(typed: TypedData) -> Iterator[Caution]:
    contract = typed.verifying_contract
    if typed.chain_id is None:
        yield Caution("no-chain", "the domain names no chain: the signature counts on every one")
    if contract is None or contract.is_zero:
        yield Caution("no-contract", "the domain names no contract: any may accept the signature")


def leaves(typed: TypedData) -> Iterator[tuple[str, str, Any]]:
    """Every value of domain and message as a place, a type and the value; an empty array is a value of its own."""
    for where, struct, value in (("domain", "EIP712Domain", typed.domain), ("", typed.primary_type, typed.message)):
        yield from _struct_leaves(typed, struct, value, where)


def _struct_leaves(
    typed: TypedData, struct: str, value: Mapping[str, Any], where: str
) -> Iterator[tuple[str, str, Any]]:
    for field in typed.types.structs[struct]:
        place = f"{where}.{field.name}" if where else field.name
        yield from _leaves(typed, field.type, value[field.name], place)


def _leaves(typed: TypedData, kind: Any, value: Any, where: str) -> Iterator[tuple[str, str, Any]]:
    if kind.levels and value:
        for number, one in enumerate(value):
            yield from _leaves(typed, kind.item, one, f"{where}[{number}]")
    elif kind.kind is Kind.STRUCT and not kind.levels:
        yield from _struct_leaves(typed, kind.name, value, where)
    else:
        yield where, str(kind), value
