"""What an Ethereum transfer does instead of a payment: a call, an NFT, an allowance, blobs, a delegation, nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, get_args

from bursar.errors import InvalidInputError
from bursar.ethereum.units import MAX_UINT256
from bursar.wallet.canonical import field as read
from bursar.wallet.canonical import open_record

if TYPE_CHECKING:
    from bursar.ethereum.access_list import AccessListEntry
    from bursar.ethereum.authorization import SignedAuthorization

MAX_TEXT = 1000
MAX_DATA = 128 * 1024  # bytes of calldata; nodes relay no more
MAX_AUTHORIZATIONS = 16
MAX_NONCE = (1 << 64) - 2
AUTO: Final = "auto"
NftStandard = Literal["erc721", "erc1155"]


@dataclass(frozen=True, slots=True)
class ContractCall:
    """Call ``to`` with ``data`` and ``value`` wei; without ``to``, create a contract of the init code ``data``.

    ``gas_limit`` overrides the node's estimate. ``access_list`` declares what the call touches (EIP-2930); ``"auto"``
    has the node make the list when the call is planned.
    """

    kind: ClassVar[str] = "call"
    to: str | None
    data: bytes = b""
    value: int = 0
    gas_limit: int | None = None
    access_list: tuple[AccessListEntry, ...] | Literal["auto"] = ()

    def __post_init__(self) -> None:
        if self.to is not None:
            _check_text(self.to, "a call names the address it calls", "input.address")
        if type(self.data) is not bytes or len(self.data) > MAX_DATA:
            raise InvalidInputError(f"the data of a call is at most {MAX_DATA} bytes", code="input.action")
        if self.to is None and not self.data:
            raise InvalidInputError("a contract is created of its init code, and there is none", code="input.action")
        _check_number(self.value, "the value of a call", MAX_UINT256, "input.amount")
        if self.gas_limit is not None:
            _check_number(self.gas_limit, "a gas limit", (1 << 64) - 1, "input.fee")
        if self.access_list != AUTO and self.access_list != ():
            from bursar.ethereum.access_list_json import checked

            checked(self.access_list)


@dataclass(frozen=True, slots=True)
class NftTransfer:
    """Give the token ``token_id`` of ``contract`` to ``to``; of ERC-1155, ``amount`` of them."""

    kind: ClassVar[str] = "nft"
    contract: str
    token_id: int
    to: str
    amount: int = 1
    standard: NftStandard = "erc721"

    def __post_init__(self) -> None:
        _check_text(self.contract, "a token is named by its contract's address", "input.asset")
        _check_text(self.to, "a token goes to an address", "input.address")
        _check_number(self.token_id, "a token's number", MAX_UINT256, "input.asset")
        _check_number(self.amount, "how many tokens", MAX_UINT256, "input.amount")
        if self.standard not in get_args(NftStandard):
            raise InvalidInputError(
                f"a token is erc721 or erc1155, not {str(self.standard)[:20]!r}", code="input.asset"
            )
        if self.amount == 0 or (self.standard == "erc721" and self.amount != 1):
            raise InvalidInputError("of an erc721 token there is one, of others give at least one", code="input.amount")


@dataclass(frozen=True, slots=True)
class SetAllowance:
    """Let ``spender`` take up to ``amount`` base units of the token ``asset``, now or later; 0 takes that back.

    An amount nobody could spend is refused (``input.allowance``) unless ``unlimited`` says that it is meant.
    """

    kind: ClassVar[str] = "allowance"
    asset: str
    spender: str
    amount: int
    unlimited: bool = False

    def __post_init__(self) -> None:
        from bursar.ethereum.token import is_unlimited

        _check_text(self.asset, "an allowance names a token", "input.asset")
        _check_text(self.spender, "an allowance names its spender", "input.address")
        _check_number(self.amount, "an allowance", MAX_UINT256, "input.amount")
        if is_unlimited(self.amount) and self.unlimited is not True:
            raise InvalidInputError(
                "an allowance of more than can ever be spent lets the spender take every token, now and later: "
                "give an amount, or say that it is meant to be unlimited",
                code="input.allowance",
            )


@dataclass(frozen=True, slots=True)
class SendBlobs:
    """Publish ``blobs`` (EIP-4844), each of 131,072 bytes, in a transaction to ``to`` with ``data`` and ``value`` wei.

    In records stand the SHA-256 ``digests`` of the blobs: an action read back from one has no ``blobs``.
    """

    kind: ClassVar[str] = "blobs"
    to: str
    blobs: tuple[bytes, ...] = field(compare=False, repr=False)
    data: bytes = b""
    value: int = 0
    digests: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        from bursar.ethereum.blobs.sidecar import check_blob
        from bursar.ethereum.transaction.kinds import MAX_BLOBS

        _check_text(self.to, "blobs go with a transaction to an address", "input.address")
        if type(self.data) is not bytes or len(self.data) > MAX_DATA:
            raise InvalidInputError(f"the data of a transaction is at most {MAX_DATA} bytes", code="input.action")
        _check_number(self.value, "the value of a transaction", MAX_UINT256, "input.amount")
        if type(self.blobs) is not tuple or not 0 < max(len(self.blobs), len(self.digests)) <= MAX_BLOBS:
            raise InvalidInputError(f"1 to {MAX_BLOBS} blobs", code="input.blob")
        for one in self.blobs:
            check_blob(one)
        digests = tuple(hashlib.sha256(one).digest() for one in self.blobs) or self.digests
        if self.digests not in ((), digests) or any(type(one) is not bytes or len(one) != 32 for one in digests):
            raise InvalidInputError("these are not the blobs of these digests", code="input.blob")
        object.__setattr__(self, "digests", digests)


@dataclass(frozen=True, slots=True)
class Delegate:
    """Carry signed authorizations (EIP-7702) in a transaction that pays nobody."""

    kind: ClassVar[str] = "delegate"
    authorizations: tuple[SignedAuthorization, ...]

    def __post_init__(self) -> None:
        from bursar.ethereum.authorization import SignedAuthorization

        held = self.authorizations
        if type(held) is not tuple or not all(isinstance(one, SignedAuthorization) for one in held):
            raise InvalidInputError("a delegation carries signed authorizations", code="input.authorization")
        if not 0 < len(held) <= MAX_AUTHORIZATIONS:
            raise InvalidInputError(f"1 to {MAX_AUTHORIZATIONS} authorizations", code="input.authorization")


@dataclass(frozen=True, slots=True)
class FillNonce:
    """Use up ``nonce``, which no transaction is going to use, with one of 0 wei to the sender itself."""

    kind: ClassVar[str] = "fill"
    nonce: int

    def __post_init__(self) -> None:
        _check_number(self.nonce, "a nonce", MAX_NONCE, "input.nonce")


Action: TypeAlias = ContractCall | NftTransfer | SetAllowance | SendBlobs | Delegate | FillNonce


def action_to_json(action: Action) -> dict[str, Any]:
    """The record of an action; numbers as decimal text, bytes as hex."""
    body: dict[str, Any]
    if isinstance(action, ContractCall):
        gas = action.gas_limit
        body = {
            "to": action.to,
            "data": action.data.hex(),
            "value": str(action.value),
            "gas_limit": None if gas is None else str(gas),
            **_list_json(action),
        }
    elif isinstance(action, NftTransfer):
        body = {
            "contract": action.contract,
            "token_id": str(action.token_id),
            "to": action.to,
            "amount": str(action.amount),
            "standard": action.standard,
        }
    elif isinstance(action, SetAllowance):
        body = {
            "asset": action.asset,
            "spender": action.spender,
            "amount": str(action.amount),
            "unlimited": action.unlimited,
        }
    elif isinstance(action, SendBlobs):
        digests = [one.hex() for one in action.digests]
        body = {"to": action.to, "data": action.data.hex(), "value": str(action.value), "digests": digests}
    elif isinstance(action, Delegate):
        body = {"authorizations": [one.to_json() for one in action.authorizations]}
    else:
        body = {"nonce": str(action.nonce)}
    return {"kind": action.kind, "version": 1, **body}


def action_from_json(data: object) -> Action | None:
    """The action of a record; ``None`` for none."""
    if data is None:
        return None
    kinds: tuple[type[Action], ...] = (ContractCall, NftTransfer, SetAllowance, SendBlobs, Delegate, FillNonce)
    name = data.get("kind") if isinstance(data, dict) else None
    kind = next((one for one in kinds if one.kind == name), None)
    if kind is None:
        raise InvalidInputError(f"{str(name)[:40]!r} is no action", code="input.json")
    record = open_record(data, kind.kind, 1)
    if kind is ContractCall:
        gas = None if read(record, "gas_limit", (str, type(None))) is None else _number(record, "gas_limit")
        to, data, value = read(record, "to", (str, type(None))), _bytes(record, "data"), _number(record, "value")
        return ContractCall(to, data, value, gas, _read_list(record))
    if kind is NftTransfer:
        return NftTransfer(
            read(record, "contract", str),
            _number(record, "token_id"),
            read(record, "to", str),
            _number(record, "amount"),
            read(record, "standard", str),
        )
    if kind is SetAllowance:
        return SetAllowance(
            read(record, "asset", str),
            read(record, "spender", str),
            _number(record, "amount"),
            read(record, "unlimited", bool),
        )
    if kind is SendBlobs:
        digests = read(record, "digests", list)
        return SendBlobs(
            read(record, "to", str),
            (),
            _bytes(record, "data"),
            _number(record, "value"),
            tuple(_bytes({"digest": one}, "digest") for one in digests),
        )
    if kind is Delegate:
        from bursar.ethereum.authorization import SignedAuthorization

        rows = read(record, "authorizations", list)
        if len(rows) > MAX_AUTHORIZATIONS:
            raise InvalidInputError(f"1 to {MAX_AUTHORIZATIONS} authorizations", code="input.authorization")
        return Delegate(tuple(SignedAuthorization.from_json(one) for one in rows))
    return FillNonce(_number(record, "nonce"))


def _list_json(action: ContractCall) -> dict[str, Any]:
    if not action.access_list:
        return {}
    if action.access_list == AUTO:
        return {"access_list": AUTO}
    from bursar.ethereum.access_list_json import access_list_to_json

    return {"access_list": access_list_to_json(action.access_list)}


def _read_list(record: dict[str, Any]) -> tuple[AccessListEntry, ...] | Literal["auto"]:
    found = record.get("access_list", [])
    if found == AUTO:
        return AUTO
    from bursar.ethereum.access_list_json import access_list_from_json

    return access_list_from_json(found)


def _check_text(text: object, message: str, code: str) -> None:
    if type(text) is not str or not 0 < len(text) <= MAX_TEXT:
        raise InvalidInputError(message, code=code)


def _check_number(number: object, what: str, most: int, code: str) -> None:
    if type(number) is not int or not 0 <= number <= most:
        raise InvalidInputError(f"{what} is an integer from 0 to {most:#x}", code=code)


def _number(record: dict[str, Any], name: str) -> int:
    text = read(record, name, str)
    if not (text.isascii() and text.isdigit() and len(text) <= 78) or (text != "0" and text[0] == "0"):
        raise InvalidInputError(f"field {name!r} is not a decimal integer", code="input.json")
    return int(text)


def _bytes(record: dict[str, Any], name: str) -> bytes:
    text = read(record, name, str)
    try:
        found = bytes.fromhex(text)
    except ValueError as error:
        raise InvalidInputError(f"field {name!r} is not hex", code="input.json") from error
    if found.hex() != text:
        raise InvalidInputError(f"field {name!r} is not plain hex", code="input.json")
    return found
