"""Signed authorizations as other programs write them: the objects of JSON-RPC, and RLP in hexadecimal (EIP-7702)."""

from __future__ import annotations

import re
from typing import Any, Final

from bursar.crypto import rlp
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.json_text import read_strictly

MOST_AUTHORIZATIONS: Final = 16
_LONGEST: Final = 64 * 1024
_QUANTITY: Final = re.compile("0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_HEX: Final = re.compile("(?:0x)?((?:[0-9a-fA-F]{2})+)", re.ASCII)
_NAMES: Final = {"chainId", "address", "nonce", "yParity", "r", "s"}


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.authorization")


def authorization_to_rpc(one: SignedAuthorization) -> dict[str, str]:
    """The object that stands in ``authorizationList`` of JSON-RPC."""
    return {
        "chainId": hex(one.authorization.chain_id),
        "address": str(one.authorization.delegate),
        "nonce": hex(one.authorization.nonce),
        "yParity": hex(one.signature.y_parity or 0),
        "r": hex(one.signature.r),
        "s": hex(one.signature.s),
    }


def authorization_from_rpc(data: object) -> SignedAuthorization:
    """The authorization of :func:`authorization_to_rpc`; numbers may be JSON integers, ``v`` may repeat the parity."""
    if not isinstance(data, dict) or set(data) - {"v"} != _NAMES:
        raise _invalid("a signed authorization has chainId, address, nonce, yParity, r and s")
    numbers = {name: _number(data[name], name) for name in ("chainId", "nonce", "yParity", "r", "s")}
    if numbers["yParity"] > 1 or (
        "v" in data and _number(data["v"], "v") not in (numbers["yParity"], 27 + numbers["yParity"])
    ):
        raise _invalid("the parity of an authorization is 0 or 1")
    if not isinstance(data["address"], str):
        raise _invalid("the address of an authorization is a text")
    delegate = Address.from_text(data["address"], allow_lowercase=True)
    chain_id = numbers["chainId"]
    unsigned = Authorization(chain_id, delegate, numbers["nonce"], any_chain=chain_id == 0)
    return SignedAuthorization(unsigned, EcdsaSignature(numbers["r"], numbers["s"], numbers["yParity"]))


def read_authorizations(text: bytes) -> tuple[SignedAuthorization, ...]:
    """The authorizations in a file: one or a list of them as JSON, or one in hexadecimal RLP.

    Objects are as JSON-RPC has them, or as :meth:`SignedAuthorization.to_json` writes them.
    """
    if len(text) > _LONGEST:
        raise _invalid("a file with authorizations has at most 64 KiB")
    try:
        words = text.decode("utf-8").strip()
        found = _HEX.fullmatch(words)
        if found is not None:
            return (SignedAuthorization.decode(rlp.decode(bytes.fromhex(found[1]))),)
        data: Any = read_strictly(words, deepest=8)
    except InvalidInputError:
        raise
    except ValueError as error:  # also UnicodeDecodeError
        raise _invalid("the file holds no authorization, neither as JSON nor in hexadecimal") from error
    listed = data if isinstance(data, list) else [data]
    if not 0 < len(listed) <= MOST_AUTHORIZATIONS:
        raise _invalid(f"1 to {MOST_AUTHORIZATIONS} authorizations")
    return tuple(_one(item) for item in listed)


def _one(data: object) -> SignedAuthorization:
    if isinstance(data, dict) and "signature" in data:
        return SignedAuthorization.from_json(data)
    return authorization_from_rpc(data)


def _number(value: object, name: str) -> int:
    if type(value) is int and 0 <= value < 1 << 256:
        return value
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise _invalid(f"{name} of an authorization is a quantity such as 0x1")
    return int(value, 16)
