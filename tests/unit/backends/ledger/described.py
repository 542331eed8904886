"""Tokens and filters of typed data as the vendor would describe them, signed by the test key of its app."""

from __future__ import annotations

from bursar_devices.ledger.vendor_tests import signed_by_test_key

from bursar.backends.ledger.ethereum_token import TokenDescriptor
from bursar.backends.ledger.typed_data_filters import NOWHERE, FieldFilter, Filters, Show, orders, schema_hash
from bursar.ethereum.address import Address
from bursar.ethereum.typed_data import TypedData

DOLLARS, ETHERS = Address(b"\x11" * 20), Address(b"\x22" * 20)
_DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]


def token(ticker: str, contract: Address, decimals: int, chain_id: int = 1) -> TokenDescriptor:
    signed = ticker.encode() + contract.value + decimals.to_bytes(4, "big") + chain_id.to_bytes(4, "big")
    return TokenDescriptor(ticker, contract, decimals, chain_id, signed_by_test_key(signed))


def tokens(chain_id: int, contract: Address) -> TokenDescriptor | None:
    known = {DOLLARS: ("USDX", 6), ETHERS: ("WETHX", 18)}
    return token(known[contract][0], contract, known[contract][1], chain_id) if contract in known else None


def filters_of(typed: TypedData, label: str, *fields: FieldFilter) -> Filters:
    """The same fields, signed for the contract, the chain and the types of ``typed``."""
    schema = schema_hash(typed.types, orders(typed.types)[0])
    chain_id, contract = typed.chain_id or 0, typed.verifying_contract or NOWHERE
    about = chain_id.to_bytes(8, "big") + contract.value + schema
    signed = []
    for one in fields:
        signature = signed_by_test_key(bytes((one.show.magic,)) + about + one.signed())
        signed.append(FieldFilter(one.show, one.path, one.label, signature, one.token, one.types, one.sources))
    message = b"\xb7" + about + bytes((len(signed),)) + label.encode()
    return Filters(chain_id, contract, schema, label, signed_by_test_key(message), tuple(signed))


def field(show: Show, path: str, label: str, token: int | None = None) -> FieldFilter:
    named = show is Show.NAME
    return FieldFilter(show, path, label, b"", token, b"\x02" if named else b"", b"\x01" if named else b"")


def permit(amount: int = 15 * 10**5, until: int = 1_893_456_000, chain_id: int = 1) -> TypedData:
    """An allowance by signature (ERC-2612) of the token DOLLARS."""
    fields = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("deadline", "uint256")]
    message = {"owner": Address(b"\x73" * 20), "spender": ETHERS, "value": amount, "deadline": until}
    domain = {"name": "X", "version": "1", "chainId": chain_id, "verifyingContract": DOLLARS}
    return TypedData.of({"EIP712Domain": _DOMAIN, "Permit": fields}, "Permit", domain, message)


PERMIT_FIELDS = (
    field(Show.RAW, "spender", "Approve to"),
    field(Show.AMOUNT, "value", "Allowance", 255),
    field(Show.DATE_TIME, "deadline", "Expires"),
)


def order(extra: int = 0, chain_id: int = 137) -> TypedData:
    """Two tokens against one another, a name, and arrays, one of them without items."""
    types = {
        "EIP712Domain": _DOMAIN,
        "Order": [("maker", "address"), ("sell", "Leg"), ("buy", "Leg"), ("tags", "string[]"), ("more", "Leg[]")],
        "Leg": [("token", "address"), ("amount", "uint256")],
    }
    legs = ({"token": DOLLARS, "amount": 5 * 10**6}, {"token": ETHERS, "amount": 2**256 - 1})
    message = {"maker": Address(b"\x73" * 20), "sell": legs[0], "buy": legs[1], "tags": ("a", "b")}
    domain = {"name": "X", "version": "1", "chainId": chain_id, "verifyingContract": Address(b"\xcc" * 20)}
    return TypedData.of(types, "Order", domain, {**message, "more": (legs[0],) * extra})


ORDER_FIELDS = (
    field(Show.NAME, "maker", "Maker"),
    field(Show.TOKEN, "sell.token", "Send", 0),
    field(Show.AMOUNT, "sell.amount", "Send", 0),
    field(Show.TOKEN, "buy.token", "Receive", 1),
    field(Show.AMOUNT, "buy.amount", "Receive", 1),
    field(Show.RAW, "tags.[]", "Tag"),
    field(Show.RAW, "more.[].amount", "Also"),
)
