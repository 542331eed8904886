"""Payment URIs, ``bitcoin:ADDRESS?amount=…`` (BIP-321, which took the place of BIP-21): read strictly and written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.units import COIN, Sats
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network

_LONGEST: Final = 16_384  # characters: a long Lightning offer fits
_MOST_PARAMETERS: Final = 64
_SCHEME: Final = "bitcoin:"
_BODY: Final = re.compile(r"[0-9A-Za-z]*")
# RFC 3986's query, without "=" and "&", which separate parameters; an "=" inside a value is taken as part of it
_QUERY: Final = re.compile(r"(?:[0-9A-Za-z\-._~:/?@!$'()*+,;=]|%[0-9A-Fa-f]{2})*")
_PLAIN: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._~:/?@!$'()*,;")
_AMOUNT: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?")
_ONCE: Final = ("amount", "label", "message", "pop")
_OTHER_WAYS: Final = frozenset(("lightning", "lno", "pay", "sp", "tsp"))
_ADDRESS_KEYS: Final = frozenset(("bc", "tb", "bcrt"))


def _invalid(reason: str, code: str = "input.uri") -> InvalidInputError:
    return InvalidInputError(f"this payment URI cannot be used: {reason}", code=code)


@dataclass(frozen=True, slots=True)
class PaymentUri:
    """What a payment URI asks for. Nobody may act on it before a human agreed to that payment.

    ``addresses`` are those of ``network``, the one in the URI's body first. ``instructions`` are ways to be paid that
    are no address (``lightning``, ``lno``, ``pay``, ``sp``), kept as written: Bursar pays none of them unasked.
    ``proof`` is where the payee would like the transaction sent back to (``pop``): it is kept and never opened.
    ``others`` are the parameters nobody defined. Texts are untrusted, but hold no control characters.
    """

    network: Network
    addresses: tuple[Address, ...] = ()
    amount: Sats | None = None
    label: str | None = None
    message: str | None = None
    instructions: tuple[tuple[str, str], ...] = ()
    proof: str | None = None
    others: tuple[tuple[str, str | None], ...] = ()
    body: bool = True

    def __post_init__(self) -> None:
        if not self.addresses and not self.instructions:
            raise _invalid("it names nobody to pay")
        if any(one.network is not self.network for one in self.addresses):
            raise _invalid(f"an address does not belong to {self.network}", "input.address.network")
        if self.amount is not None and type(self.amount) is not Sats:
            raise _invalid("its amount is a number of satoshi", "input.amount")
        if self.body and not self.addresses:
            object.__setattr__(self, "body", False)
        for key, _ in (*self.instructions, *self.others):
            if not key or key != key.lower() or key.startswith("req-") or key in _ONCE or key in _ADDRESS_KEYS:
                raise _invalid(f"{key[:40]!r} cannot be the name of such a parameter")
        if any(key not in _OTHER_WAYS for key, _ in self.instructions):
            raise _invalid("only lightning, lno, pay, sp and tsp are ways to pay beside an address")
        if any(key in _OTHER_WAYS for key, _ in self.others):
            raise _invalid("a way to pay belongs among the instructions")

    @property
    def address(self) -> Address:
        """Whom to pay on the chain; ``InvalidInputError`` (``input.uri.address``) where the URI names no address."""
        if not self.addresses:
            ways = ", ".join(sorted({key for key, _ in self.instructions}))
            raise _invalid(f"it can only be paid by {ways}: ask for an address", "input.uri.address")
        return self.addresses[0]

    @classmethod
    def from_text(cls, text: str, network: Network) -> PaymentUri:
        """Read a URI; ``InvalidInputError`` with a code for each cause.

        ``input.uri.required`` a ``req-`` parameter that is not implemented (``req-pop`` is none: nothing is ever sent
        back) · ``input.uri.twice`` a parameter that may stand once · ``input.amount`` · ``input.address`` and its
        kinds · ``input.uri`` anything else. Names are compared without regard to case, as is ``bitcoin:``.
        """
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise _invalid(f"it is longer than {_LONGEST} characters")
        if text[: len(_SCHEME)].lower() != _SCHEME:
            raise _invalid("it does not begin with bitcoin:")
        body, mark, query = text[len(_SCHEME) :].partition("?")
        if not _BODY.fullmatch(body):
            raise _invalid("behind bitcoin: stands an address and nothing else")
        found = _Parameters(network)
        if body:
            found.addresses.append(Address.from_text(body, network))
        if mark and query:
            pieces = query.split("&")
            if len(pieces) > _MOST_PARAMETERS:
                raise _invalid(f"it has more than {_MOST_PARAMETERS} parameters")
            for piece in pieces:
                found.take(piece)
        return found.uri(body=bool(body))

    def __str__(self) -> str:
        """The URI: addresses beyond the first under the name of their prefix, everything else percent-encoded."""
        first = self.addresses[:1] if self.body else ()
        parts = []
        if self.amount is not None:
            parts.append(f"amount={_amount_text(self.amount)}")
        parts += [
            f"{key}={_encoded(value)}" for key, value in (("label", self.label), ("message", self.message)) if value
        ]
        for one in self.addresses[len(first) :]:
            if not one.text.startswith(f"{self.network.hrp}1"):
                raise _invalid(f"{one} can only stand in the body: put it first")
            parts.append(f"{self.network.hrp}={one}")
        parts += [f"{key}={_encoded(value)}" for key, value in self.instructions]
        if self.proof is not None:
            parts.append(f"pop={_encoded(self.proof)}")
        parts += [
            _encoded(key) if value is None else f"{_encoded(key)}={_encoded(value)}" for key, value in self.others
        ]
        return _SCHEME + "".join([str(one) for one in first]) + ("?" + "&".join(parts) if parts else "")

    def qr_text(self) -> str:
        """The text for a QR code: all upper case where nothing in it depends on case, which makes a smaller code."""
        free = not (self.label or self.message or self.proof or self.others)
        prefixes = ("lightning", "lno", "sp", "tsp")  # bech32, all of them
        free = free and all(one.text.startswith(f"{self.network.hrp}1") for one in self.addresses)
        free = free and all(key in prefixes and value == value.lower() for key, value in self.instructions)
        return str(self).upper() if free else str(self)


class _Parameters:
    """What the parameters said so far."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._once: dict[str, str] = {}
        self._instructions: list[tuple[str, str]] = []
        self._others: list[tuple[str, str | None]] = []
        self.addresses: list[Address] = []

    def take(self, piece: str) -> None:
        if not piece:
            return
        if not _QUERY.fullmatch(piece):
            raise _invalid("a character in it must be percent-encoded, or a percent sign lacks its two hex digits")
        name, equals, raw = piece.partition("=")
        key = _decoded(name).lower()
        value = _decoded(raw) if equals else None
        if key.startswith("req-"):
            raise _invalid(
                f"it demands {key[4:44]!r}, which is not implemented here: it may not be paid without",
                "input.uri.required",
            )
        if key in _ONCE:
            if key in self._once:
                raise _invalid(f"{key} stands in it twice", "input.uri.twice")
            self._once[key] = value or ""
        elif key in _ADDRESS_KEYS:
            if key != self._network.hrp:
                raise _invalid(f"{key}= is an address of another network than {self._network}", "input.address.network")
            address = Address.from_text(value or "", self._network)
            if not address.text.startswith(f"{key}1"):
                raise _invalid(f"the address under {key}= does not begin with {key}1", "input.address")
            self.addresses.append(address)
        elif key in _OTHER_WAYS:
            if not value:
                raise _invalid(f"{key}= is empty")
            self._instructions.append((key, value))
        elif not key:
            raise _invalid("a parameter has no name")
        else:
            self._others.append((key, value))

    def uri(self, *, body: bool) -> PaymentUri:
        amount = self._once.get("amount")
        return PaymentUri(
            self._network,
            tuple(self.addresses),
            None if amount is None else _amount(amount),
            self._once.get("label") or None,
            self._once.get("message") or None,
            tuple(self._instructions),
            self._once.get("pop") or None,
            tuple(self._others),
            body,
        )


def _decoded(text: str) -> str:
    raw = bytearray()
    parts = text.split("%")
    raw += parts[0].encode("ascii")
    for part in parts[1:]:
        raw.append(int(part[:2], 16))
        raw += part[2:].encode("ascii")
    try:
        value = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid("a percent-encoded text in it is not UTF-8") from None
    if not value.isprintable():
        raise _invalid("a text in it holds control characters")
    return value


def _encoded(text: str) -> str:
    return "".join([chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8")])


def _amount(text: str) -> Sats:
    match = _AMOUNT.fullmatch(text) if len(text) <= 32 else None
    if match is None or not (match[1] or match[2]):
        raise _invalid(
            f"its amount {text[:32]!r} is not decimal BTC, written like 20.3 without units or commas", "input.amount"
        )
    fraction = match[2] or ""
    if len(fraction) > 8:
        raise _invalid(f"its amount {text} is finer than one satoshi", "input.amount.precision")
    return Sats(int(match[1] or "0") * COIN + int(fraction.ljust(8, "0")))


def _amount_text(amount: int) -> str:
    whole, rest = divmod(amount, COIN)
    return f"{whole}.{rest:08d}".rstrip("0").rstrip(".")
