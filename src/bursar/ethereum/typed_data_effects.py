"""What a signature of typed data lets others do: permits (EIP-2612, Permit2, EIP-4494), payments (EIP-3009)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.effects.model import Caution, Movement
from bursar.ethereum.token import is_unlimited
from bursar.ethereum.typed_data_types import Kind

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.typed_data import TypedData

_EVERYTHING: Final = (1 << 256) - 1
_DETAILS: Final = "PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
_TOKENS: Final = "TokenPermissions(address token,uint256 amount)"
_SAFE: Final = (
    "SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
    "address gasToken,address refundReceiver,uint256 nonce)"
)
_WITNESSED: Final = {
    "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,": False,
    "PermitBatchWitnessTransferFrom(TokenPermissions[] permitted,address spender,uint256 nonce,uint256 deadline,": True,
}
# names of parties that may take something, and of structs that let them: what no exact form was recognised in
_TAKING_FIELDS: Final = frozenset(
    ("spender", "operator", "delegate", "delegatee", "approved", "offerer", "maker", "grantee", "permitted")
)
_TAKING_WORDS: Final = ("permit", "approv", "allowance", "order", "delegat", "transfer", "withdraw")


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
    """The effects of one signature; ``suspect`` is true where it may give something away that was not decoded."""

    allowances: tuple[SignedAllowance, ...] = ()
    movements: tuple[Movement, ...] = ()
    suspect: bool = False
    cautions: tuple[Caution, ...] = ()


def typed_data_effects(typed: TypedData) -> TypedDataEffects:
    """Recognise the forms that move or allow to move tokens, and what looks like one without being known."""
    form = typed.types.encode_type(typed.primary_type)
    reader = _READERS.get(form) or next((_permit2 for start in _WITNESSED if _is_witnessed(form, start)), None)
    allowances = tuple(reader(typed)) if reader is not None else ()
    movements = (_authorized(typed),) if form in _PAYMENTS else ()
    suspect = not allowances and not movements and form != _SAFE and _suspect(typed)
    cautions = [*_allowance_cautions(allowances), *_domain_cautions(typed)]
    if movements:
        cautions.append(Caution("payment", "whoever holds the signature can make this payment, without a transaction"))
    if form == _SAFE:
        cautions.append(Caution("safe", "one owner's signature of a transaction of a Safe, which others can send"))
        if typed.message["operation"] != 0:
            code, text = "delegate-call", "a delegate call: the code called can do anything with the Safe"
            cautions.append(Caution(code, text))
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


def _authorized(typed: TypedData) -> Movement:
    one = typed.message
    return Movement(one["to"], one["value"], typed.verifying_contract, owner=one["from"])


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
    return any(word in name.lower() for name in names for word in _TAKING_WORDS) or any(
        field.name.lower().lstrip("_") in _TAKING_FIELDS and field.type.kind in (Kind.ADDRESS, Kind.STRUCT)
        for field in fields
    )


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
