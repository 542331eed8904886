"""ERC-20 (EIP-20) tokens: calls written and read, amounts, the Transfer event, and answers of a contract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.units import MAX_UINT256, format_units, parse_units

_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9.$+_-]{0,15}", re.ASCII)
_RESERVED = frozenset(("eth", "ether", "wei", "kwei", "mwei", "gwei", "btc", "sat", "sats"))
_MEMBERS = frozenset(("version", "chain_id", "contract", "symbol", "decimals"))
_STANDARDS = ("erc20", "erc721", "erc1155")
_MAX_DECIMALS = 36


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.token")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its holder registered it, known by chain and contract; a contract's own words are never trusted.

    ``standard`` is ``"erc20"``, or ``"erc721"`` or ``"erc1155"`` for contracts whose tokens have numbers.
    """

    chain_id: int
    contract: Address
    symbol: str
    decimals: int
    standard: str = "erc20"

    def __post_init__(self) -> None:
        check_chain_id(self.chain_id)
        if not isinstance(self.contract, Address) or self.contract.is_zero:
            raise _invalid("a token's contract is an address other than zero")
        if not isinstance(self.symbol, str) or not _SYMBOL.fullmatch(self.symbol):
            raise _invalid("a token's symbol is 1 to 16 ascii letters, digits or .$+_-, the first a letter or digit")
        if self.symbol.lower() in _RESERVED:
            raise _invalid(
                f"a token cannot be called {self.symbol}: amounts would be mistaken for the chain's own coin"
            )
        if type(self.decimals) is not int or not 0 <= self.decimals <= _MAX_DECIMALS:
            raise _invalid(f"a token's decimals are 0 to {_MAX_DECIMALS}, not {self.decimals!r}")
        if self.standard not in _STANDARDS or (self.decimals and self.standard != "erc20"):
            raise _invalid(f"a token is of {', '.join(_STANDARDS)}, and one with numbers has no decimals")

    def parse_amount(self, text: str) -> int:
        """Base units of a text such as ``"12.5 USDC"``."""
        return parse_units(text, decimals=self.decimals, symbol=self.symbol)

    def format_amount(self, amount: int) -> str:
        """The exact text of base units, ``"12.5 USDC"``."""
        return format_units(amount, decimals=self.decimals, symbol=self.symbol)

    def to_json(self) -> dict[str, Any]:
        """This token as JSON data."""
        return {
            "version": 1,
            "chain_id": self.chain_id,
            "contract": str(self.contract),
            "symbol": self.symbol,
            "decimals": self.decimals,
            **({} if self.standard == "erc20" else {"standard": self.standard}),
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The token of :meth:`to_json`."""
        if not isinstance(data, dict) or set(data) - {"standard"} != _MEMBERS:
            raise _invalid(f"a stored token has exactly {', '.join(sorted(_MEMBERS))}")
        if type(data["version"]) is not int or data["version"] != 1:
            raise _invalid("this is no stored token of version 1")
        if not isinstance(data["contract"], str):
            raise _invalid("the contract of a stored token is a text")
        contract = Address.from_text(data["contract"])
        standard = data.get("standard", "erc20")
        return cls(check_chain_id(data["chain_id"]), contract, data["symbol"], data["decimals"], standard)


def _selector(signature: str) -> bytes:
    return keccak256(signature.encode("ascii"))[:4]


TRANSFER_TOPIC = keccak256(b"Transfer(address,address,uint256)")
APPROVAL_TOPIC = keccak256(b"Approval(address,address,uint256)")

_TRANSFER = _selector("transfer(address,uint256)")
_TRANSFER_FROM = _selector("transferFrom(address,address,uint256)")
_APPROVE = _selector("approve(address,uint256)")
_INCREASE = _selector("increaseAllowance(address,uint256)")
_DECREASE = _selector("decreaseAllowance(address,uint256)")
_BALANCE_OF = _selector("balanceOf(address)")
_ALLOWANCE = _selector("allowance(address,address)")

CALL_SYMBOL = _selector("symbol()")
CALL_DECIMALS = _selector("decimals()")
CALL_TOTAL_SUPPLY = _selector("totalSupply()")

_METHODS = {
    _TRANSFER: "transfer",
    _TRANSFER_FROM: "transferFrom",
    _APPROVE: "approve",
    _INCREASE: "increaseAllowance",
    _DECREASE: "decreaseAllowance",
}
_ALLOWANCES = frozenset(("approve", "increaseAllowance"))
_FULL_WIDTHS = frozenset((1 << bits) - 1 for bits in (96, 112, 128, 160, 192, 224))


def is_unlimited(amount: int) -> bool:
    """True for an allowance nobody could spend: 2^255 and more, or all bits of a narrower integer that tokens use."""
    return amount >= 1 << 255 or amount in _FULL_WIDTHS


@dataclass(frozen=True, slots=True)
class Erc20Call:
    """A decoded call. ``recipient`` gets tokens or, in allowances, may spend them; ``owner`` is set by transferFrom."""

    method: str
    recipient: Address
    amount: int
    owner: Address | None = None

    @property
    def allowance(self) -> bool:
        """True when the call lets ``recipient`` spend the caller's tokens instead of paying."""
        return self.method in _ALLOWANCES

    @property
    def unlimited(self) -> bool:
        """True for an allowance without an effective limit."""
        return self.allowance and is_unlimited(self.amount)


def _word(address: Address) -> bytes:
    return bytes(12) + address.value


def _amount_word(amount: int) -> bytes:
    if type(amount) is bool or not isinstance(amount, int) or not 0 <= amount <= MAX_UINT256:
        raise InvalidInputError("a token amount is an integer from 0 to 2^256-1 base units", code="input.amount")
    return amount.to_bytes(32, "big")


def encode_transfer(to: Address, amount: int) -> bytes:
    """Calldata of ``transfer``: pay ``amount`` base units to ``to``."""
    return _TRANSFER + _word(to) + _amount_word(amount)


def encode_transfer_from(owner: Address, to: Address, amount: int) -> bytes:
    """Calldata of ``transferFrom``: pay ``to`` from an allowance of ``owner``."""
    return _TRANSFER_FROM + _word(owner) + _word(to) + _amount_word(amount)


def encode_approve(spender: Address, amount: int) -> bytes:
    """Calldata of ``approve``: let ``spender`` spend up to ``amount`` base units."""
    return _APPROVE + _word(spender) + _amount_word(amount)


def encode_balance_of(owner: Address) -> bytes:
    """Calldata of ``balanceOf``."""
    return _BALANCE_OF + _word(owner)


def encode_allowance(owner: Address, spender: Address) -> bytes:
    """Calldata of ``allowance``."""
    return _ALLOWANCE + _word(owner) + _word(spender)


def decode_call(data: bytes) -> Erc20Call | None:
    """The ERC-20 call in calldata; ``None`` for any other call and for any other than its exact encoding."""
    method = _METHODS.get(data[:4])
    if method is None:
        return None
    words = 3 if method == "transferFrom" else 2
    if len(data) != 4 + 32 * words:
        return None
    parties = [data[4 + 32 * position : 36 + 32 * position] for position in range(words - 1)]
    if any(any(party[:12]) for party in parties):
        return None
    addresses = [Address(party[12:]) for party in parties]
    owner = addresses[0] if words == 3 else None
    return Erc20Call(method, addresses[-1], int.from_bytes(data[-32:], "big"), owner)


@dataclass(frozen=True, slots=True)
class Erc20Transfer:
    """A Transfer event: what was really moved, whatever the calldata said."""

    sender: Address
    recipient: Address
    amount: int


def decode_transfer_event(topics: Sequence[bytes], data: bytes) -> Erc20Transfer | None:
    """The Transfer event of a log; ``None`` for any other event (an ERC-721 transfer has four topics)."""
    if len(topics) != 3 or topics[0] != TRANSFER_TOPIC or len(data) != 32:
        return None
    if any(len(topic) != 32 or any(topic[:12]) for topic in topics[1:]):
        return None
    return Erc20Transfer(Address(topics[1][12:]), Address(topics[2][12:]), int.from_bytes(data, "big"))


def address_topic(address: Address) -> bytes:
    """An address as the 32-byte topic that log filters take."""
    return _word(address)


def decode_uint256(answer: bytes) -> int:
    """The integer a contract answered; InvalidInputError unless it is exactly one word."""
    if len(answer) != 32:
        raise _invalid(f"the contract answered {len(answer)} bytes where a 32-byte integer is expected: no such token?")
    return int.from_bytes(answer, "big")


def decode_symbol(answer: bytes) -> str:
    """The text a contract answered to ``symbol()``, a string or (old tokens) 32 bytes, when it is a usable symbol."""
    text = answer.rstrip(b"\x00")
    if len(answer) != 32:
        size = int.from_bytes(answer[32:64], "big")
        if len(answer) < 64 or int.from_bytes(answer[:32], "big") != 32 or size > len(answer) - 64:
            raise _invalid("the contract's symbol is not a text")
        text = answer[64 : 64 + size]
    symbol = text.decode("ascii", "replace")
    if not _SYMBOL.fullmatch(symbol):
        raise _invalid("the contract's symbol is not 1 to 16 plain ascii characters: name the token yourself")
    return symbol
