"""ERC-20 descriptors: a vendor's signed word for what a token is called, relayed to Ledger's Ethereum app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from bursar.backends.ledger.vendor_keys import PRODUCTION
from bursar.crypto.hashes import sha256
from bursar.crypto.secp256k1 import ecdsa_verify_der
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.ethereum.transaction import UnsignedTransaction

# Where descriptors come from: that of the token at an address on a chain.
TokenSource: TypeAlias = "Callable[[int, Address], TokenDescriptor | None]"

_MOST_TICKER: Final = 50
_SHOWN_CALLS: Final = frozenset({bytes.fromhex("a9059cbb"), bytes.fromhex("095ea7b3")})  # transfer, approve
_CALL_LENGTH: Final = 4 + 2 * 32
_MOST_DECIMALS: Final = 255


@dataclass(frozen=True, slots=True)
class TokenDescriptor:
    """What the vendor says of a token, with the vendor's signature (DER, of the SHA-256 of the fields)."""

    ticker: str
    contract: Address
    decimals: int
    chain_id: int
    signature: bytes

    def __post_init__(self) -> None:
        if not self.ticker.isascii() or not self.ticker.isprintable() or not 0 < len(self.ticker) <= _MOST_TICKER:
            raise _invalid(f"its ticker is not 1 to {_MOST_TICKER} printable ascii characters")
        if not 0 <= self.decimals <= _MOST_DECIMALS or not 0 < check_chain_id(self.chain_id) < 1 << 32:
            raise _invalid("its decimals or its chain id do not fit")
        if len(self.signature) > 72:
            raise _invalid("its signature is too long")

    @classmethod
    def parse(cls, data: bytes, *, signer: bytes = PRODUCTION.assets) -> Self:
        """The descriptor as the app takes it, its signature checked; ``InvalidInputError`` (``input.token``).

        Ticker behind its length, 20 bytes of contract, decimals and chain id of 4 bytes each, DER signature.
        """
        end = 1 + data[0] if data else 0
        if len(data) < end + 28 + 8 or len(data) > 255:
            raise _invalid(f"{len(data)} bytes are no descriptor")
        try:
            ticker = data[1:end].decode("ascii")
        except UnicodeDecodeError as error:
            raise _invalid("its ticker is not ascii") from error
        decimals, chain_id = (int.from_bytes(data[end + at : end + at + 4], "big") for at in (20, 24))
        made = cls(ticker, Address(bytes(data[end : end + 20])), decimals, chain_id, bytes(data[end + 28 :]))
        made.verify(signer)
        return made

    def serialize(self) -> bytes:
        """The descriptor as the app takes it."""
        return bytes((len(self.ticker),)) + self._signed() + self.signature

    def verify(self, signer: bytes = PRODUCTION.assets) -> None:
        """``InvalidInputError`` (``input.token``) unless the vendor's key signed it; returns nothing."""
        try:
            ecdsa_verify_der(signer, sha256(self._signed()), self.signature, allow_high_s=True)
        except InvalidInputError as error:
            raise _invalid("the vendor's signature does not verify") from error

    def check_describes(self, tx: UnsignedTransaction) -> None:
        """``InvalidInputError`` (``input.token``) unless ``tx`` calls this token's contract on its chain."""
        if tx.to != self.contract or tx.chain_id != self.chain_id:
            raise _invalid(
                f"it describes {self.ticker} at {self.contract} on chain {self.chain_id}, the transaction calls "
                f"{tx.to or 'no contract'} on chain {tx.chain_id}"
            )

    def check_is_at(self, chain_id: int, contract: Address) -> None:
        """``InvalidInputError`` (``input.token``) unless it is of that contract on that chain."""
        if (self.chain_id, self.contract) != (chain_id, contract):
            raise _invalid(f"it describes {self.ticker} at {self.contract} on chain {self.chain_id}, not {contract}")

    def _signed(self) -> bytes:
        numbers = self.decimals.to_bytes(4, "big") + self.chain_id.to_bytes(4, "big")
        return self.ticker.encode("ascii") + self.contract.value + numbers


def is_shown_call(tx: UnsignedTransaction) -> bool:
    """Whether the app shows this call in clear once it knows the token: ``transfer`` and ``approve``."""
    return tx.to is not None and tx.data[:4] in _SHOWN_CALLS and len(tx.data) == _CALL_LENGTH


def starts_like_shown_call(tx: UnsignedTransaction) -> bool:
    """Whether the app takes it for one of these, whatever follows the selector."""
    return tx.to is not None and tx.data[:4] in _SHOWN_CALLS


def _invalid(problem: str) -> InvalidInputError:
    return InvalidInputError(f"not a token descriptor to give to a ledger: {problem}", code="input.token")
