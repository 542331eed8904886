"""Payment requests as URIs (ERC-681): ether to an account, or a call such as a token's transfer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.abi import AbiFunction, AbiType, Kind
from bursar.ethereum.abi.signatures import Parameter
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.units import MAX_UINT256, Wei

MOST_BYTES: Final = 8192
_URI = re.compile(
    r"ethereum:(?:pay-)?(?P<target>[^@/?#]+)(?:@(?P<chain>[0-9]{1,20}))?(?:/(?P<function>[^?#]*))?(?:\?(?P<query>[^#]+))?",
    re.ASCII,
)
_NAME = re.compile(r"(?:[^\s.@/?#:&=%]{1,63}\.)+[^\s.@/?#:&=%]{2,63}")
_FUNCTION = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}", re.ASCII)
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]{1,80})(?:\.(?P<part>[0-9]{1,80}))?(?:[eE](?P<power>[0-9]{1,2}))?", re.ASCII
)
_HEX_PAIR = re.compile(r"[0-9a-fA-F]{2}", re.ASCII)
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~()[],")
_AMOUNTS: Final = ("value", "gas", "gasLimit", "gasPrice")
_ZEROS = re.compile(r"(?P<digits>[0-9]+?)(?P<zeros>0*)", re.ASCII)


def _wrong(problem: str) -> InvalidInputError:
    return InvalidInputError(f"not a payment request of ERC-681: {problem}", code="input.payment-uri")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequest:
    """Who asks for what: ``target`` is an address, or a name (ENS) that somebody has to resolve.

    ``value`` is ether in wei. With ``function`` it is a call of the contract ``target`` with ``arguments``, pairs of a
    type and the value as text, in order. ``chain_id`` ``None`` says nothing of the chain: the payer must choose it.
    """

    target: Address | str
    chain_id: int | None = None
    value: Wei | None = None
    gas_limit: int | None = None
    gas_price: Wei | None = None
    function: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.target, str) and not _NAME.fullmatch(self.target):
            raise _wrong(f"{self.target!r:.60} is neither an address nor a name")
        if self.chain_id is not None:
            check_chain_id(self.chain_id)
        if self.function is None:
            if self.arguments:
                raise _wrong(f"{self.arguments[0][0]!r:.40} has no meaning without a function")
        elif not _FUNCTION.fullmatch(self.function):
            raise _wrong(f"{self.function!r:.60} is no name of a function")
        for kind, text in self.arguments:
            _argument(kind, text)

    @classmethod
    def parse(cls, text: str, *, allow_lowercase: bool = False) -> Self:
        """Parse ``ethereum:0x…@1?value=2.014e18``; anything unknown, doubled or inexact is refused.

        An address without checksum (all lower case) is refused unless ``allow_lowercase``.
        """
        if not isinstance(text, str) or len(text) > MOST_BYTES:
            raise _wrong(f"a text of at most {MOST_BYTES} characters is expected")
        found = _URI.fullmatch(text)
        if found is None:
            raise _wrong("it is written ethereum:address@chain/function?name=value&…")
        target, chain, query = found["target"], found["chain"], found["query"]
        amounts: dict[str, int] = {}
        arguments: list[tuple[str, str]] = []
        for part in query.split("&") if query is not None else ():
            name, equals, value = part.partition("=")
            if not equals:
                raise _wrong(f"{part!r:.40} has no value")
            if name in _AMOUNTS:
                name = "gas" if name == "gasLimit" else name
                if name in amounts:
                    raise _wrong(f"{name} stands twice")
                amounts[name] = _number(value, name, least=0)
            else:
                arguments.append((_unquoted(name), _unquoted(value)))
        return cls(
            target=_target(_unquoted(target), allow_lowercase),
            chain_id=None if chain is None else int(chain),
            value=Wei(amounts["value"]) if "value" in amounts else None,
            gas_limit=amounts.get("gas"),
            gas_price=Wei(amounts["gasPrice"]) if "gasPrice" in amounts else None,
            function=found["function"],
            arguments=tuple(arguments),
        )

    def __str__(self) -> str:
        text = f"ethereum:{self.target if isinstance(self.target, Address) else _quoted(self.target)}"
        text += "" if self.chain_id is None else f"@{self.chain_id}"
        text += "" if self.function is None else f"/{self.function}"
        pairs = [(_quoted(kind), _quoted(value)) for kind, value in self.arguments]
        named = (("value", self.value), ("gas", self.gas_limit), ("gasPrice", self.gas_price))
        pairs += [(name, _written(amount)) for name, amount in named if amount is not None]
        return text + ("?" if pairs else "") + "&".join(f"{name}={value}" for name, value in pairs)

    @property
    def token_transfer(self) -> tuple[Address | str, int] | None:
        """Recipient and base units, where this asks for the ERC-20 transfer of the contract ``target``."""
        if self.function != "transfer" or [kind for kind, _ in self.arguments] != ["address", "uint256"]:
            return None
        recipient = _argument("address", self.arguments[0][1])
        if not isinstance(recipient, Address | str):
            return None
        return recipient, _number(self.arguments[1][1], "uint256", least=0)

    def call_data(self) -> bytes:
        """The calldata of the call asked for, empty without a function; names have to be resolved before."""
        if self.function is None:
            return b""
        inputs = tuple(Parameter(AbiType.from_text(kind)) for kind, _ in self.arguments)
        return AbiFunction(self.function, inputs).encode_call(*(_argument(kind, text) for kind, text in self.arguments))


def _target(text: str, allow_lowercase: bool) -> Address | str:
    if text[:2] in ("0x", "0X") and "." not in text:
        return Address.from_text(text, allow_lowercase=allow_lowercase)
    return text


def _unquoted(text: str) -> str:
    """``text`` with its percent signs resolved; it is ascii, and printable once resolved."""
    if not text.isascii():
        raise _wrong(f"{text!r:.40} holds characters that a URI writes with percent signs")
    raw = bytearray()
    for place, part in enumerate(text.split("%")):
        if place:
            if not _HEX_PAIR.match(part):
                raise _wrong(f"{text!r:.40} has a percent sign without two hexadecimal digits")
            raw.append(int(part[:2], 16))
            part = part[2:]
        raw += part.encode("ascii")
    try:
        value = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong("what its percent signs stand for is no utf-8") from error
    if not value.isprintable():
        raise _wrong("a text in it holds control characters")
    return value


def _quoted(text: str) -> str:
    return "".join(one if one in _PLAIN else "".join(f"%{byte:02X}" for byte in one.encode("utf-8")) for one in text)


def _number(text: str, name: str, *, least: int) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise _wrong(f"{name}: {text!r:.60} is no number")
    part, power = found["part"] or "", int(found["power"] or 0)
    if len(part.rstrip("0")) > power:
        raise _wrong(f"{name}: {text!r:.60} is no whole number of base units")
    value = int(found["whole"] + part.rstrip("0").ljust(power, "0"))
    value = -value if found["sign"] == "-" else value
    if not least <= value <= MAX_UINT256:
        raise _wrong(f"{name}: {text!r:.60} is out of range")
    return value


def _argument(kind: str, text: str) -> Address | str | int | bytes | bool:
    """The value of an argument; arrays and tuples are not part of ERC-681."""
    parsed = AbiType.from_text(kind)
    if parsed.levels or parsed.kind is Kind.TUPLE:
        raise _wrong(f"{kind[:40]!r} is no type that a payment request can write")
    match parsed.kind:
        case Kind.UINT | Kind.INT:
            return _number(text, kind, least=-MAX_UINT256 if parsed.kind is Kind.INT else 0)
        case Kind.ADDRESS:
            if text[:2] == "0x" and "." not in text:
                return Address.from_text(text, allow_lowercase=True)
            if _NAME.fullmatch(text):
                return text
        case Kind.BOOL if text in ("true", "false"):
            return text == "true"
        case Kind.STRING:
            return text
        case Kind.BYTES | Kind.FIXED_BYTES if text[:2] == "0x":
            try:
                return bytes.fromhex(text[2:])
            except ValueError:
                pass
    raise _wrong(f"{text!r:.60} is no {kind[:40]}")


def _written(amount: int) -> str:
    """A whole number, with an exponent where that is shorter."""
    found = _ZEROS.fullmatch(str(amount))
    if found is None or len(found["zeros"]) < 4:
        return str(amount)
    return f"{found['digits']}e{len(found['zeros'])}"
