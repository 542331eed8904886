"""Nonces a host takes part in, so that a signer cannot leak a key through them (sign-to-contract, "anti-exfil")."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from bursar.crypto.curve import ORDER
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.secp256k1 import tweak_add_public
from bursar.errors import InvalidInputError, SignerMisbehavedError

if TYPE_CHECKING:
    from bursar.crypto.secp256k1 import EcdsaSignature

_SIZE = 32


class HostNonce:
    """The host's share of one ECDSA nonce; one for every signature.

    The signer gets ``commitment`` (32 bytes) and answers with its opening, the point of its own share (33 bytes). Only
    then does it get ``value`` (32 bytes), and signs with the sum. ``check`` holds the signature to both.
    """

    __slots__ = ("value",)

    def __init__(self, value: bytes | None = None) -> None:
        """Fresh, unless ``value`` is given, as a test has it."""
        if value is not None and len(value) != _SIZE:
            raise InvalidInputError(f"a host's nonce has {_SIZE} bytes, not {len(value)}")
        self.value = secrets.token_bytes(_SIZE) if value is None else value

    @property
    def commitment(self) -> bytes:
        """What the signer gets before it shows its opening."""
        return tagged_hash("s2c/ecdsa/data", self.value)

    def check(self, opening: bytes | None, signature: EcdsaSignature, *, name: str) -> None:
        """Raise ``SignerMisbehavedError`` unless the signature's nonce is the sum of both shares.

        A signer that can take part and shows no opening has chosen the nonce alone, which is what this is there to
        prevent: it is refused, not excused. ``name`` names the signer in the message.
        """
        if opening is None:
            raise _alone(name, "it showed no opening before it signed")
        try:
            point = tweak_add_public(opening, tagged_hash("s2c/ecdsa/point", opening + self.value))
        except InvalidInputError as error:
            raise _alone(name, "its opening is no point of the curve") from error
        if int.from_bytes(point[1:], "big") % ORDER != signature.r:
            raise _alone(name, "its nonce is not the one it committed to with ours")


def _alone(name: str, reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(
        f"{name} misbehaved: {reason}; such a signature may carry its key out, do not publish it"
    )
