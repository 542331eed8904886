"""What signers of typed data (EIP-712) must do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_signature
from bursar.ethereum.typed_data import TypedData, verify_typed_data
from bursar.signing.checks import request_typed_data
from bursar.signing.conformance.account_cases import ethereum_account
from bursar.signing.conformance.case import Case, Profile, refused
from bursar.signing.protocols import TypedDataSigner

if TYPE_CHECKING:
    from collections.abc import Iterator

_COW: Final = {"name": "Cow", "wallet": Address(b"\xcd" * 20)}
_SHOP: Final = {"name": "Shop ☃", "wallet": Address(bytes(20))}
_MAIL: Final = {
    "Person": [("name", "string"), ("wallet", "address")],
    "Mail": [("from", "Person"), ("to", "Person[]"), ("contents", "string")],
}
_FULL: Final = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
]
_VALUES: Final[tuple[tuple[str, Any], ...]] = (
    ("uint8", 0),
    ("uint8", 255),
    ("uint96", 2**96 - 1),
    ("uint256", 0),
    ("uint256", 2**256 - 1),
    ("int8", -128),
    ("int64", -1),
    ("int64", 127),
    ("int256", -(2**255)),
    ("int256", 2**255 - 1),
    ("bool", True),
    ("bool", False),
    ("address", Address(b"\xff" * 20)),
    ("bytes1", b"\0"),
    ("bytes31", bytes(range(31))),
    ("bytes32", b"\xff" * 32),
    ("bytes", b""),
    ("bytes", bytes(range(256)) * 3),
    ("string", ""),
    ("string", "grüezi ☃ 你好 " * 40),
    ("string[]", ()),
    ("uint16[3]", (1, 2, 3)),
    ("bool[]", (True, False)),
    ("bytes[2]", (b"", b"\x01")),
)


def typed_data_signs(signer: TypedDataSigner, profile: Profile) -> None:
    """Structs, arrays of them, and every kind of value at its edges; domains with few fields and with all of them."""
    account = ethereum_account(signer, profile)
    for index, typed in enumerate(_questions(profile.chain_id)):
        sender = account.address(index)
        signature = request_typed_data(signer, account.path(index), typed, sender=sender, chain_id=profile.chain_id)
        verify_typed_data(sender, typed, encode_signature(signature))


def nested_arrays_sign_or_are_refused(signer: TypedDataSigner, profile: Profile) -> None:
    """Arrays of arrays are signed, or refused in the typed way by a signer whose profile says so."""
    account = ethereum_account(signer, profile)
    types = {"Grid": [("cells", "uint8[2][]"), ("people", "Person[1][2]")], "Person": _MAIL["Person"]}
    message = {"cells": ((1, 2), (3, 4)), "people": ((_COW,), (_SHOP,))}
    typed = _typed(types, "Grid", message, profile.chain_id)
    if not profile.nested_arrays:
        refused(partial(signer.sign_typed_data, account.path(0), typed), "an array of arrays")
        return
    request_typed_data(signer, account.path(0), typed, sender=account.address(0), chain_id=profile.chain_id)


def _questions(chain_id: int) -> Iterator[TypedData]:
    mail = {"from": _COW, "to": (_SHOP, _COW), "contents": "Hello, shop!"}
    yield _typed(_MAIL, "Mail", mail, chain_id)
    yield _typed(_MAIL, "Mail", {**mail, "to": ()}, chain_id, fields=[("chainId", "uint256")])
    fields = [(f"field{number}", kind) for number, (kind, _) in enumerate(_VALUES)]
    values = {f"field{number}": value for number, (_, value) in enumerate(_VALUES)}
    yield _typed({"Everything": fields}, "Everything", values, chain_id)


def _typed(
    types: dict[str, list[tuple[str, str]]],
    primary: str,
    message: dict[str, Any],
    chain_id: int,
    fields: list[tuple[str, str]] = _FULL,
) -> TypedData:
    domain = {
        "name": "Conformance",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": Address(b"\xcc" * 20),
        "salt": bytes(range(32)),
    }
    named = {name: domain[name] for name, _ in fields}
    return TypedData.of({"EIP712Domain": fields, **types}, primary, named, message)


CASES = (
    Case("typed-data-signs", TypedDataSigner, typed_data_signs),
    Case("nested-arrays-sign-or-are-refused", TypedDataSigner, nested_arrays_sign_or_are_refused),
)
