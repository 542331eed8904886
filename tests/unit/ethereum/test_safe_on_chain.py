"""What a Safe's contract and a smart account answer, by a table of answers: understood, unknown or refused.

The same questions are put to the contracts themselves in ``test_safe_contracts.py`` and ``test_user_operation.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.abi import encode
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.message import personal_digest
from bursar.ethereum.safe import (
    KNOWN_CODE,
    OwnerSignature,
    Safe,
    SafeSettings,
    SafeTransaction,
    SafeVersion,
    check_agreement,
    check_hash,
    has_approved,
    read_settings,
)
from bursar.ethereum.safe.words import selector, word
from bursar.ethereum.user_operation import EntryPoint, EntryPointVersion, UserOperation
from bursar.ethereum.user_operation_checks import ValidTimes, account_accepts, check_owner

KEY = b"\x21" * 32
OWNER = Address.from_public_key(public_key(KEY))
GUARD, MODULE, HANDLER = (Address(bytes([number]) * 20) for number in (0x61, 0x62, 0x63))
RELEASE = min(KNOWN_CODE, key=str)
SAFES = {text: Safe(5, Address(b"\x5a" * 20), SafeVersion.from_text(text)) for text in ("1.3.0", "1.4.1", "1.5.0")}
STORAGE, MODULES = selector("getStorageAt(uint256,uint256)"), selector("getModulesPaginated(address,uint256)")
LAST = Address(bytes(19) + b"\x01")


def answered(questions: Any, answers: Mapping[bytes, bytes | None]) -> Any:
    """Each question is answered by the longest beginning of its data that ``answers`` knows, else refused."""
    answer: bytes | None = None
    try:
        question = next(questions)
        while True:
            known = [start for start in answers if question.data.startswith(start)]
            answer = answers[max(known, key=len)] if known else None
            question = questions.send(answer)
    except StopIteration as end:
        return end.value


def slot(name: str | None, held: Address) -> dict[bytes, bytes | None]:
    place = bytes(32) if name is None else keccak256(name.encode())
    return {STORAGE + place + word(1): encode(("bytes",), (word(held),))}


def settings_of(version: str, answers: Mapping[bytes, bytes | None]) -> SafeSettings:
    found = answered(read_settings(SAFES[version].address, SAFES[version].version), answers)
    assert isinstance(found, SafeSettings)
    return found


def test_a_plain_safe_has_nothing_to_weigh() -> None:
    answers = {
        MODULES: encode(("address[]", "address"), ([], LAST)),
        STORAGE: encode(("bytes",), (bytes(32),)),
        **slot(None, RELEASE),
    }
    for version in SAFES:
        found = settings_of(version, answers)
        assert found.singleton == RELEASE
        assert found.cautions() == []


def test_what_rules_a_safe_is_told() -> None:
    found = settings_of(
        "1.5.0",
        {
            MODULES: encode(("address[]", "address"), ([MODULE], GUARD)),
            **slot(None, HANDLER),
            **slot("guard_manager.guard.address", GUARD),
            **slot("module_manager.module_guard.address", MODULE),
            **slot("fallback_manager.handler.address", HANDLER),
        },
    )
    assert found == SafeSettings(HANDLER, (MODULE,), True, GUARD, MODULE, HANDLER)
    codes = [one.code for one in found.cautions()]
    assert codes == ["safe-code", "safe-module", "safe-module", "safe-guard", "safe-guard"]


def test_what_is_not_told_is_unknown_and_said() -> None:
    nothing = settings_of("1.4.1", {})
    assert nothing == SafeSettings(None, None, False, None, ZERO_ADDRESS, None)
    assert [one.code for one in nothing.cautions()] == ["safe-code-unknown", "safe-modules-unknown"]
    odd = {STORAGE: encode(("bytes",), (b"\xff" * 32,)), MODULES: b"\x01", selector("masterCopy()"): word(RELEASE)}
    assert settings_of("1.3.0", odd) == SafeSettings(RELEASE, None, False, None, ZERO_ADDRESS, None)
    assert settings_of("1.3.0", {STORAGE: encode(("bytes",), (b"\xff" * 31,))}).guard is None


HASH = selector("getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)")
APPROVED = selector("approvedHashes(address,bytes32)")
BY_HASH, BY_BYTES = selector("isValidSignature(bytes32,bytes)"), selector("isValidSignature(bytes,bytes)")


def test_the_contracts_hash_is_compared() -> None:
    tx = SafeTransaction(safe=SAFES["1.4.1"], to=GUARD, nonce=4)
    answered(check_hash(tx), {HASH: tx.digest()})
    for answer in (None, b"", bytes(32), tx.digest() + b"\0"):
        with pytest.raises(InvalidInputError, match="sign nothing") as caught:
            answered(check_hash(tx), {HASH: answer})
        assert caught.value.code == "input.safe.hash"


def test_agreements_are_checked_where_only_the_chain_knows() -> None:
    tx = SafeTransaction(safe=SAFES["1.4.1"], to=GUARD, nonce=4)
    answered(check_agreement(tx, OwnerSignature.typed(tx.digest(), ecdsa_sign_recoverable(KEY, tx.digest()))), {})
    other = OwnerSignature.typed(bytes(32), ecdsa_sign_recoverable(KEY, bytes(32)))
    with pytest.raises(InvalidSignatureError):
        answered(check_agreement(tx, other), {})
    mine = APPROVED + word(OWNER) + tx.digest()
    assert answered(has_approved(tx, OWNER), {mine: word(1)})
    answered(check_agreement(tx, OwnerSignature.approved(OWNER)), {mine: word(1)})
    for answer in (None, b"", word(0), word(1) + b"\0"):
        with pytest.raises(InvalidSignatureError, match="has not approved"):
            answered(check_agreement(tx, OwnerSignature.approved(OWNER)), {mine: answer})


@pytest.mark.parametrize(("version", "function"), [("1.3.0", BY_BYTES), ("1.4.1", BY_BYTES), ("1.5.0", BY_HASH)])
def test_contracts_are_asked_in_the_form_of_the_version(version: str, function: bytes) -> None:
    tx = SafeTransaction(safe=SAFES[version], to=GUARD, nonce=4)
    held = OwnerSignature.contract(MODULE, b"\x01\x02")
    answered(check_agreement(tx, held), {function: function.ljust(32, b"\0")})
    for answer in (None, b"", function, word(1), (BY_HASH if function == BY_BYTES else BY_BYTES).ljust(32, b"\0")):
        with pytest.raises(InvalidSignatureError, match="does not accept"):
            answered(check_agreement(tx, held), {function: answer})


OPERATION = UserOperation(
    sender=MODULE, nonce=2**65, call_data=b"\x01\x02", call_gas_limit=3, verification_gas_limit=4,
    pre_verification_gas=5, max_fee_per_gas=7, max_priority_fee_per_gas=6,
)  # fmt: skip


@pytest.mark.parametrize("version", EntryPointVersion)
def test_a_smart_accounts_answer_is_read(version: EntryPointVersion) -> None:
    point = EntryPoint.known(version, 5)

    def asked(answer: int) -> ValidTimes:
        return account_accepts(OPERATION, point, lambda to, data: answer.to_bytes(32, "big") if data[4:] else b"")

    assert asked(0) == ValidTimes(0, None)
    assert asked(0).words == ""
    assert asked((8 << 208) | (9 << 160)).words == ", from second 8 to second 9"
    assert asked((8 << 208) | (((1 << 48) - 1) << 160)).words == ", from second 8"
    with pytest.raises(InvalidSignatureError, match="does not accept"):
        asked(1)
    with pytest.raises(InvalidSignatureError, match="aggregator 0x0000000000000000000000000000000000001234"):
        asked(0x1234)
    with pytest.raises(InvalidInputError):
        account_accepts(OPERATION, point, lambda to, data: b"")


@pytest.mark.parametrize("version", EntryPointVersion)
def test_an_owners_signature_is_found_in_its_form(version: EntryPointVersion) -> None:
    point = EntryPoint.known(version, 5)
    digest = OPERATION.digest(point)
    bare = "typed data" if version is EntryPointVersion.V08 else "the bare hash"
    for hashed, form in ((digest, bare), (personal_digest(digest), "a message")):
        made = ecdsa_sign_recoverable(KEY, hashed)
        signed = OPERATION.with_signature(made.compact() + bytes((27 + (made.y_parity or 0),)))
        assert check_owner(signed, point, OWNER) == form
        with pytest.raises(InvalidSignatureError, match="not signed by"):
            check_owner(signed, point, GUARD)
