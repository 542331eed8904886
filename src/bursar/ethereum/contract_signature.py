"""Signatures of accounts that are contracts (ERC-1271), deployed or not yet (ERC-6492), and of those that are keys."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.errors import InconclusiveError, InvalidInputError, InvalidSignatureError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.abi import decode as decode_abi
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import DELEGATION_PREFIX
from bursar.ethereum.message import recover_signer
from bursar.ethereum.questions import Answers, Call, CodeAt

if TYPE_CHECKING:
    from collections.abc import Generator

    from bursar.ethereum.questions import Question

MOST_BYTES: Final = 65_536
MULTICALL3: Final = Address(bytes.fromhex("ca11bde05977b3631167028862be2a173976ca11"))
_VALID: Final = bytes.fromhex("1626ba7e").ljust(32, b"\0")
_UNDEPLOYED: Final = bytes.fromhex("6492") * 16
_IS_VALID: Final = AbiFunction.from_text("isValidSignature(bytes32,bytes)")
_AGGREGATE: Final = AbiFunction.from_text("aggregate3((address,bool,bytes)[]) returns ((bool,bytes)[])")


class Signed(Enum):
    """By what the signature was found valid."""

    KEY = "key"
    CONTRACT = "contract"
    UNDEPLOYED = "undeployed contract"


def verify_signature(
    address: Address, digest: bytes, signature: bytes, *, multicall: Address = MULTICALL3
) -> Answers[Signed]:
    """A generator of questions about a chain, which ends with what signed; drive it with a node's answers.

    A contract is asked whether ``signature`` of the 32-byte ``digest`` is its own; one not deployed yet (the signature
    then names who deploys it) within a call that deploys it first, through the contract ``multicall`` (Multicall3).
    An account without code signs with its key; so may one that delegates to code (EIP-7702), if that says no.
    ``InvalidSignatureError`` where the signature is not the account's, ``InconclusiveError`` where ``multicall`` is
    missing on the chain. A contract's word may be another tomorrow.
    """
    if type(digest) is not bytes or len(digest) != 32:
        raise InvalidInputError("what was signed is given as its 32-byte digest", code="input.message")
    if type(signature) is not bytes or len(signature) > MOST_BYTES:
        raise InvalidSignatureError(f"a signature is at most {MOST_BYTES} bytes")
    code = (yield CodeAt(address)) or b""
    if signature[-32:] == _UNDEPLOYED:
        return (yield from _undeployed(address, digest, signature[:-32], code, multicall))
    if code:
        answer = yield Call(address, _IS_VALID.encode_call(digest, signature))
        if answer == _VALID:
            return Signed.CONTRACT
        if not code.startswith(DELEGATION_PREFIX):
            raise InvalidSignatureError(f"the contract {address} does not accept this signature (ERC-1271)")
    _check_key(address, digest, signature)
    return Signed.KEY


def _undeployed(
    address: Address, digest: bytes, wrapped: bytes, code: bytes, multicall: Address
) -> Generator[Question, bytes | None, Signed]:
    try:
        factory, preparation, inner = decode_abi(("address", "bytes", "bytes"), wrapped)
    except InvalidInputError as error:
        raise InvalidSignatureError(f"the signature ends as one of ERC-6492 and is none: {error.message}") from error
    ask = _IS_VALID.encode_call(digest, inner)
    if code and (yield Call(address, ask)) == _VALID:
        return Signed.CONTRACT
    if not (yield CodeAt(multicall)):
        raise InconclusiveError(
            f"there is no multicall contract at {multicall} on this chain: name one, or deploy the account first"
        )
    answer = yield Call(multicall, _AGGREGATE.encode_call([(factory, True, preparation), (address, True, ask)]))
    if answer is not None:
        try:
            results = _AGGREGATE.decode_result(answer)[0]
        except InvalidInputError as error:
            raise InconclusiveError(f"the contract at {multicall} is no multicall contract: {error.message}") from error
        if len(results) == 2 and results[1] == (True, _VALID):
            return Signed.UNDEPLOYED
    raise InvalidSignatureError(f"the contract that would be at {address} does not accept this signature (ERC-6492)")


def _check_key(address: Address, digest: bytes, signature: bytes) -> None:
    signer = recover_signer(digest, "0x" + signature.hex())
    if signer != address:
        raise InvalidSignatureError(f"the signature is of {signer}, not of {address}")
