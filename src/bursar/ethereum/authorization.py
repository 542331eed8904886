"""Authorizations to run another account's code (EIP-7702): what an account signs, and who signed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import chain_id_error, check_chain_id
from bursar.ethereum.payload import integer, malformed, read_integer, read_string, wrapped

_MAGIC: Final = b"\x05"
_MAX_NONCE: Final = (1 << 64) - 2
DELEGATION_PREFIX: Final = b"\xef\x01\x00"
"""What the code of an account begins with that runs another's; the 20 bytes after it say whose."""


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.authorization")


@dataclass(frozen=True, slots=True)
class Authorization:
    """From when it is on chain, calls of the signer's account run the code of ``delegate``; the zero address ends it.

    ``nonce`` is the signer's own next one when the authorization is applied: its transaction's nonce plus one where
    the signer sends it itself. ``chain_id`` 0 counts on every chain, so it needs ``any_chain`` to be said.
    """

    chain_id: int
    delegate: Address
    nonce: int
    any_chain: bool = False

    def __post_init__(self) -> None:
        if type(self.any_chain) is not bool:
            raise _invalid("any_chain is True or False")
        if self.any_chain:
            if type(self.chain_id) is not int or self.chain_id != 0:
                raise _invalid("an authorization for every chain has chain id 0")
        elif type(self.chain_id) is int and self.chain_id == 0:
            raise chain_id_error("an authorization with chain id 0 counts on every chain: name one, or say any_chain")
        else:
            check_chain_id(self.chain_id)
        if not isinstance(self.delegate, Address):
            raise _invalid("the delegate of an authorization is an Address")
        if type(self.nonce) is not int or not 0 <= self.nonce <= _MAX_NONCE:
            raise _invalid("the nonce of an authorization is an integer from 0 to 2^64-2")

    def _items(self) -> bytes:
        return integer(self.chain_id) + b"\x94" + self.delegate.value + integer(self.nonce)

    def digest(self) -> bytes:
        """The 32 bytes to sign: Keccak-256 of 0x05 and the RLP list of chain id, delegate and nonce."""
        return keccak256(_MAGIC + wrapped(self._items()))

    def sign_with(self, signature: EcdsaSignature) -> SignedAuthorization:
        """This authorization with ``signature``; who gave it is ``.authority`` of the result."""
        return SignedAuthorization(self, signature)

    @property
    def revokes(self) -> bool:
        """True when it gives the account back to its key alone."""
        return self.delegate.is_zero


@dataclass(frozen=True, slots=True)
class SignedAuthorization:
    """An authorization and a low-S signature with its parity; :attr:`authority` is the account that gave it."""

    authorization: Authorization
    signature: EcdsaSignature

    def __post_init__(self) -> None:
        if type(self.authorization) is not Authorization or not isinstance(self.signature, EcdsaSignature):
            raise _invalid("a signed authorization is an Authorization and an EcdsaSignature")
        if not self.signature.low_s:
            raise InvalidSignatureError("the authorization's s is in the upper half, a malleable form (EIP-2)")
        if self.signature.y_parity is None:
            raise InvalidSignatureError("the authorization's signature carries no parity: who gave it?")

    @property
    def authority(self) -> Address:
        """The account that signed, recovered from the signature."""
        return Address.from_public_key(ecdsa_recover(self.authorization.digest(), self.signature))

    def encode(self) -> bytes:
        """The tuple as an RLP item: chain id, delegate, nonce, parity, r and s."""
        one = self.signature
        parity = b"\x01" if one.y_parity else b"\x80"
        return wrapped(self.authorization._items() + parity + integer(one.r) + integer(one.s))

    @classmethod
    def decode(cls, item: object) -> Self:
        """The tuple from an RLP item. One that chains skip (high S, parity above 1, a chain id no chain can have) is
        refused, for it has no authority."""
        if not isinstance(item, list) or len(item) != 6:
            raise malformed("an authorization is a list of six: chain id, delegate, nonce, parity, r and s")
        delegate = read_string(item[1], name="an authorization's delegate")
        names = {0: "chain id", 2: "nonce", 3: "parity", 4: "r", 5: "s"}
        numbers = {place: read_integer(item[place], name=f"an authorization's {name}") for place, name in names.items()}
        if numbers[3] > 1:
            raise malformed(f"the parity of an authorization is 0 or 1, not {numbers[3]}")
        chain_id = numbers[0]
        unsigned = Authorization(chain_id, Address(delegate), numbers[2], any_chain=chain_id == 0)
        return cls(unsigned, EcdsaSignature(numbers[4], numbers[5], numbers[3]))

    def to_json(self) -> dict[str, Any]:
        """This authorization as JSON data."""
        one = self.authorization
        return {
            "chain_id": one.chain_id,
            "delegate": str(one.delegate),
            "nonce": one.nonce,
            "signature": f"0x{self.signature.compact().hex()}{self.signature.y_parity:02x}",
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The authorization of :meth:`to_json`."""
        if not isinstance(data, dict) or set(data) != {"chain_id", "delegate", "nonce", "signature"}:
            raise _invalid("a stored authorization has chain_id, delegate, nonce and signature")
        chain_id, delegate, text = data["chain_id"], data["delegate"], data["signature"]
        if not isinstance(delegate, str) or not isinstance(text, str) or type(chain_id) is not int:
            raise _invalid("the delegate and the signature of a stored authorization are texts, its chain id a number")
        unsigned = Authorization(chain_id, Address.from_text(delegate), data["nonce"], any_chain=chain_id == 0)
        raw = _signature_bytes(text)
        return cls(unsigned, EcdsaSignature.from_compact(raw[:64], y_parity=raw[64]))


def _signature_bytes(text: str) -> bytes:
    digits = text[2:]
    if text[:2] != "0x" or len(digits) != 130 or not set(digits) <= set("0123456789abcdef") or digits[-2:] > "01":
        raise _invalid("the signature of an authorization is 0x and 130 hexadecimal digits: r, s and the parity")
    return bytes.fromhex(digits)
