"""Whether a user operation (ERC-4337) is signed: by an owner's key, or by the word of the smart account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidSignatureError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.message import personal_digest, recover_signer
from bursar.ethereum.user_operation import EntryPointVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.ethereum.address import Address
    from bursar.ethereum.user_operation import EntryPoint, UserOperation

_UNPACKED: Final = AbiFunction.from_text(
    "validateUserOp((address,uint256,bytes,bytes,uint256,uint256,uint256,uint256,uint256,bytes,bytes),bytes32,uint256)"
    " returns (uint256)"
)
_PACKED: Final = AbiFunction.from_text(
    "validateUserOp((address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes),bytes32,uint256)"
    " returns (uint256)"
)
_FOREVER: Final = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class ValidTimes:
    """When an account's yes counts, in seconds since 1970; ``None``: without end."""

    after: int
    until: int | None

    @property
    def words(self) -> str:
        """For people; empty where it always counts."""
        if not self.after and self.until is None:
            return ""
        return f", from second {self.after}" + ("" if self.until is None else f" to second {self.until}")


def check_owner(one: UserOperation, point: EntryPoint, owner: Address) -> str:
    """By what form the key of ``owner`` signed: ``typed data`` or ``a message``; ``InvalidSignatureError`` if not."""
    text = "0x" + one.signature.hex()
    digest = one.digest(point)
    forms = {"typed data": digest, "a message": personal_digest(digest)}
    if point.version is not EntryPointVersion.V08:
        forms = {"a message": forms["a message"], "the bare hash": digest}
    for form, hashed in forms.items():
        if recover_signer(hashed, text) == owner:
            return form
    raise InvalidSignatureError(f"the user operation was not signed by {owner}")


def account_accepts(one: UserOperation, point: EntryPoint, call: Callable[[Address, bytes], bytes]) -> ValidTimes:
    """Ask the smart account itself, in the entry point's name (``call`` has that as its sender).

    ``InvalidSignatureError`` where it says no, or leaves it to an aggregator, which is not asked.
    """
    version = point.version
    head = (one.sender, one.nonce, one.init_code, one.call_data)
    payer = one.paymaster_and_data(version)
    if version is EntryPointVersion.V06:
        gas = (one.call_gas_limit, one.verification_gas_limit, one.pre_verification_gas)
        members: tuple[object, ...] = (
            *head,
            *gas,
            one.max_fee_per_gas,
            one.max_priority_fee_per_gas,
            payer,
            one.signature,
        )
        function = _UNPACKED
    else:
        packed = one.packed(point)
        middle = (packed["accountGasLimits"], one.pre_verification_gas, packed["gasFees"])
        members = (*head, *middle, payer, one.signature)
        function = _PACKED
    (answer,) = function.decode_result(call(one.sender, function.encode_call(members, one.digest(point), 0)))
    judge = answer & ((1 << 160) - 1)
    if judge == 1:
        raise InvalidSignatureError(f"the account {one.sender} does not accept the signature")
    if judge:
        raise InvalidSignatureError(f"the account {one.sender} leaves its signature to the aggregator 0x{judge:040x}")
    until = (answer >> 160) & _FOREVER
    return ValidTimes(answer >> 208, until if until not in (0, _FOREVER) else None)
