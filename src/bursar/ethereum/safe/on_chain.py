"""A Safe's contract as a second opinion: its own hash of a transaction, and agreements that only the chain knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.questions import Answers, Call
from bursar.ethereum.safe.contract import SafeVersion
from bursar.ethereum.safe.signatures import SignatureKind
from bursar.ethereum.safe.words import word

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.safe.signatures import OwnerSignature
    from bursar.ethereum.safe.transaction import SafeTransaction

_HASH: Final = AbiFunction.from_text(
    "getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)"
)
_APPROVED: Final = AbiFunction.from_text("approvedHashes(address,bytes32)")
_IS_VALID: Final = AbiFunction.from_text("isValidSignature(bytes32,bytes)")
_IS_VALID_BYTES: Final = AbiFunction.from_text("isValidSignature(bytes,bytes)")
_BY_HASH_SINCE: Final = SafeVersion(1, 5, 0)


def check_hash(tx: SafeTransaction) -> Answers[None]:
    """Ask the contract for its hash of ``tx``; ``input.safe.hash`` unless it is the safeTxHash computed here."""
    answer = yield Call(
        tx.safe.address,
        _HASH.encode_call(
            tx.to,
            int(tx.value),
            tx.data,
            int(tx.operation),
            tx.safe_tx_gas,
            tx.base_gas,
            tx.gas_price,
            tx.gas_token,
            tx.refund_receiver,
            tx.nonce,
        ),
    )
    if answer != tx.digest():
        shown = "nothing" if answer is None else f"0x{answer[:32].hex()}"
        raise InvalidInputError(
            f"the safeTxHash is 0x{tx.digest().hex()}, the contract {tx.safe.address} computes {shown}: sign nothing",
            code="input.safe.hash",
        )


def has_approved(tx: SafeTransaction, owner: Address) -> Answers[bool]:
    """Whether ``owner`` approved the hash of ``tx`` in a transaction of its own (``approveHash``)."""
    answer = yield Call(tx.safe.address, _APPROVED.encode_call(owner, tx.digest()))
    return answer is not None and len(answer) == 32 and any(answer)


def check_agreement(tx: SafeTransaction, signature: OwnerSignature) -> Answers[None]:
    """``InvalidSignatureError`` unless ``signature`` is one of ``tx``: by itself, or by the word of the chain now."""
    if signature.proves_itself:
        signature.check(tx.digest())
        return
    if signature.kind is SignatureKind.APPROVED:
        if not (yield from has_approved(tx, signature.owner)):
            raise InvalidSignatureError(f"{signature.owner} has not approved the hash of this transaction on chain")
        return
    asked, magic = _IS_VALID.encode_call(tx.digest(), signature.body), _IS_VALID.selector
    if tx.safe.version < _BY_HASH_SINCE:
        data = b"\x19\x01" + tx.safe.domain_separator + tx.message_hash
        asked, magic = _IS_VALID_BYTES.encode_call(data, signature.body), _IS_VALID_BYTES.selector
    answer = yield Call(signature.owner, asked)
    if answer is None or answer[:4] != magic or len(answer) != len(word(0)):
        raise InvalidSignatureError(f"the contract {signature.owner} does not accept its signature (EIP-1271)")
