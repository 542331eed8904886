"""Typed data streamed to the Ethereum app: the real app's answers, a second implementation, and an app on paper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bursar_devices.ledger.ethereum import typed_data as device
from bursar_devices.ledger.ethereum.assets import Assets
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bursar.backends.ledger import ethereum_typed_data
from bursar.backends.ledger.apdu import Command, Reply
from bursar.backends.ledger.ethereum_typed_data import sign_typed_data
from bursar.errors import SignerMisbehavedError, UnsupportedError, UserCancelledError
from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_signature
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.typed_data_types import Kind
from bursar.keys.path import DerivationPath

FILE = Path(__file__).parents[3] / "vectors" / "ledger_ethereum_app.json"
RECORDED = {one["name"]: one["exchange"] for one in json.loads(FILE.read_text())["exchanges"]}
PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
MAIL = TypedData.of(
    {
        "EIP712Domain": DOMAIN,
        "Person": [("name", "string"), ("wallets", "address[]")],
        "Mail": [
            ("from", "Person"),
            ("to", "Person[]"),
            ("contents", "string"),
            ("amount", "int64"),
            ("big", "uint256"),
            ("flags", "bool[2]"),
            ("grid", "uint8[2][]"),
            ("note", "bytes"),
            ("mark", "bytes4"),
            ("zero", "uint16"),
        ],
    },
    "Mail",
    {"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": Address(b"\xcc" * 20)},
    {
        "from": {"name": "Cow", "wallets": [Address(b"\x11" * 20), Address(b"\x22" * 20)]},
        "to": [{"name": "Bö", "wallets": []}],
        "contents": "Hello! " * 60,
        "amount": -5,
        "big": 2**255,
        "flags": [True, False],
        "grid": [[1, 2], [3, 255], [0, 128]],
        "note": bytes(range(256)) * 2,
        "mark": b"\xde\xad\xbe\xef",
        "zero": 0,
    },
)


def replayed(name: str, typed: TypedData) -> Any:
    conversation = sign_typed_data(PATH, typed)
    command = next(conversation)
    for asked, answered in RECORDED[name]:
        assert command.serialize().hex() == asked
        try:
            command = conversation.send(Reply.parse(bytes.fromhex(answered)))
        except StopIteration as end:
            return end.value
    raise AssertionError("it asked more than was recorded")


def test_the_real_app_signed_what_a_second_implementation_hashes() -> None:
    signature = replayed("typed data", MAIL)
    signer = Account.recover_message(
        encode_typed_data(full_message=json.loads(MAIL.to_json())), signature=encode_signature(signature)
    )
    assert signer == "0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"


def test_a_refusal_on_the_device() -> None:
    with pytest.raises(UserCancelledError):
        replayed("typed data refused", MAIL)


def stream(typed: TypedData) -> list[Command]:
    """What is sent between the question for settings and the last command."""
    conversation = sign_typed_data(PATH, typed)
    sent = [next(conversation)]
    answer = Reply(0x9000, bytes((3, 1, 22, 0)))
    while sent[-1].confirm is None:
        sent.append(conversation.send(answer))
        answer = Reply(0x9000)
    with pytest.raises(SignerMisbehavedError, match="gave no signature"):
        conversation.send(answer)
    return sent[1:-1]


def rebuilt(commands: list[Command]) -> tuple[dict[str, list[tuple[str, str]]], dict[str, Any]]:
    """The definitions and the values of both roots, read from the stream as the app does."""
    types: dict[str, list[tuple[str, str]]] = {}
    values: list[tuple[int, bytes]] = []
    struct, partial = "", b""
    for command in commands:
        if (command.ins, command.p2) == (0x1A, 0x00):
            struct = command.data.decode()
            types[struct] = []
        elif (command.ins, command.p2) == (0x1A, 0xFF):
            types[struct].append(definition(command.data))
        elif command.p2 == 0xFF:
            partial += command.data
            if command.p1 == 0:
                assert len(partial) == 2 + int.from_bytes(partial[:2], "big")
                values.append((0xFF, partial[2:]))
                partial = b""
            else:
                assert len(command.data) == 255
        else:
            values.append((command.p2, command.data))
    left = iter(values)
    roots: dict[str, Any] = {}
    for part, data in left:
        assert part == 0x00
        roots[data.decode()] = read_struct(types, data.decode(), left)
    return types, roots


def definition(data: bytes) -> tuple[str, str]:
    flags, rest = data[0], data[1:]
    kind = flags & 0x0F
    name = ("", "int", "uint", "address", "bool", "string", "bytes", "bytes")[kind]
    if kind == 0:
        name, rest = rest[1 : 1 + rest[0]].decode(), rest[1 + rest[0] :]
    if flags & 0x40:
        name, rest = name + str(rest[0] * (8 if kind < 3 else 1)), rest[1:]
    if flags & 0x80:
        count, rest = rest[0], rest[1:]
        for _ in range(count):
            size = rest[1] if rest[0] else None
            name, rest = f"{name}[{'' if size is None else size}]", rest[2 if rest[0] else 1 :]
    assert len(rest) == 1 + rest[0]
    return rest[1:].decode(), name


def read_struct(types: dict[str, list[tuple[str, str]]], name: str, left: Iterator[tuple[int, bytes]]) -> Any:
    return {field: read_value(types, kind, left) for field, kind in types[name]}


def read_value(types: dict[str, list[tuple[str, str]]], kind: str, left: Iterator[tuple[int, bytes]]) -> Any:
    if kind.endswith("]"):
        part, data = next(left)
        assert part == 0x0F
        return tuple(read_value(types, kind[: kind.rindex("[")], left) for _ in range(data[0]))
    if kind in types:
        return read_struct(types, kind, left)
    part, data = next(left)
    assert part == 0xFF
    if kind.startswith("int"):
        return int.from_bytes(data, "big", signed=8 * len(data) == int(kind[3:]))
    if kind.startswith("uint"):
        return int.from_bytes(data, "big")
    if kind == "string":
        return data.decode()
    if kind == "bool":
        return data == b"\x01"
    return Address(data) if kind == "address" else data


NAMES = st.text("abcdefghijXYZ_0", min_size=1, max_size=8).map(lambda text: "_" + text)
BASIC: dict[str, st.SearchStrategy[Any]] = {
    "address": st.binary(min_size=20, max_size=20).map(Address),
    "bool": st.booleans(),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    "bytes": st.binary(max_size=600),
    **{f"bytes{size}": st.binary(min_size=size, max_size=size) for size in (1, 4, 32)},
    **{f"uint{bits}": st.integers(0, 2**bits - 1) for bits in (8, 64, 256)},
    **{f"int{bits}": st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 128, 256)},
}


@st.composite
def typed_data(draw: st.DrawFn) -> TypedData:
    types: dict[str, list[tuple[str, str]]] = {"EIP712Domain": DOMAIN}
    structs = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    arrays = st.sampled_from(("", "", "[]", "[2]", "[][1]"))
    known = ["bool"]
    for struct in structs:
        fields = draw(st.lists(NAMES, max_size=4, unique=True))
        types[struct] = [(field, draw(st.sampled_from(list(BASIC))) + draw(arrays)) for field in fields]
        types[struct] += [(f"full{at}", "bool") for at in range(draw(st.sampled_from((0, 0, 15 - len(fields)))))]
        types[struct].append(("before", known[-1] + draw(arrays)))
        types[struct] += [("beside", draw(st.sampled_from(known)))] * draw(st.booleans())
        known.append(struct)

    def value(kind: str) -> Any:
        if kind.endswith("]"):
            size = kind[kind.rindex("[") + 1 : -1]
            count = int(size) if size else draw(st.integers(0, 2))
            return tuple(value(kind[: kind.rindex("[")]) for _ in range(count))
        if kind in types:
            return {field: value(inner) for field, inner in types[kind]}
        return draw(BASIC[kind])

    return TypedData.of(types, structs[-1], {name: value(kind) for name, kind in DOMAIN}, value(structs[-1]))


def simulated(typed: TypedData, commands: list[Command]) -> tuple[bytes, bytes]:
    """The domain's and the message's hash as the app makes them."""
    app = device.TypedData(blind_signing=True, shows_message=False, assets=Assets(b""), key=b"")
    for command in commands:
        if command.ins == 0x1A:
            app.define(command.p2, command.data)
        else:
            app.give(command.p2, command.data, partial=command.p1 != 0)
    return app.hashes


@settings(max_examples=60, deadline=None)
@given(typed_data())
def test_it_is_streamed_exactly_where_the_app_hashes_it_rightly(typed: TypedData) -> None:
    right = (typed.domain_separator, typed.message_hash)
    sent = stream(typed)
    if sent:
        assert simulated(typed, sent) == right
    else:
        definitions = ethereum_typed_data._definitions(typed, typed.types.structs)
        everything = [*(step.command for step in definitions), *unguarded(typed)]
        assert simulated(typed, everything) != right


def unguarded(typed: TypedData) -> Iterator[Command]:
    """The values as they would be streamed if the app hashed everything rightly."""
    for struct, values in (("EIP712Domain", typed.domain), (typed.primary_type, typed.message)):
        yield Command(0xE0, 0x1C, 0, 0x00, struct.encode())
        fields = [(field.type, values[field.name]) for field in typed.types.structs[struct]]
        while fields:
            kind, value = fields.pop(0)
            if kind.levels:
                yield Command(0xE0, 0x1C, 0, 0x0F, bytes((len(value),)))
                fields[:0] = [(kind.item, item) for item in value]
            elif kind.kind is Kind.STRUCT:
                fields[:0] = [(field.type, value[field.name]) for field in typed.types.structs[kind.name]]
            else:
                yield from (step.command for step in ethereum_typed_data._basic(kind, value))


@settings(max_examples=120, deadline=None)
@given(typed_data())
def test_any_typed_data_can_be_read_back_from_its_stream(typed: TypedData) -> None:
    sent = stream(typed)
    assume(sent)  # some are signed by their hashes
    types, roots = rebuilt(sent)
    assert TypedData.of(types, typed.primary_type, roots["EIP712Domain"], roots[typed.primary_type]) == typed


def large(kind: str, value: Any) -> TypedData:
    types = {"EIP712Domain": DOMAIN[2:3], "Large": [("field", kind)]}
    return TypedData.of(types, "Large", {"chainId": 1}, {"field": value})


def deep() -> TypedData:
    types: dict[str, Any] = {"EIP712Domain": DOMAIN[2:3], "S17": [("end", "bool")]}
    value: Any = {"end": True}
    for number in range(16, 0, -1):
        types[f"S{number}"] = [("next", f"S{number + 1}")]
        value = {"next": value}
    return TypedData.of(types, "S1", {"chainId": 1}, value)


def grid(first: list[int], second: list[int]) -> TypedData:
    types = {"EIP712Domain": DOMAIN[2:3], "Grid": [("first", "uint8[]"), ("second", "uint8[]")]}
    return TypedData.of(types, "Grid", {"chainId": 1}, {"first": first, "second": second})


def people(kind: str, value: Any) -> TypedData:
    types = {"EIP712Domain": DOMAIN[2:3], "All": [("people", kind)], "Person": list(PERSON)}
    return TypedData.of(types, "All", {"chainId": 1}, {"people": value})


PERSON = (("name", "string"), ("wallets", "address[]"))
NESTED = large("bool" + "[1]" * 9, [[[[[[[[[True]]]]]]]]])
NO_ROOM = [
    deep(),
    NESTED,
    large("int24", -1),
    people("Person[1][1]", (({"name": "Cow", "wallets": (Address(bytes(20)),)},),)),
    people("Person[]", ({"name": "Cow", "wallets": ()}, {"name": "Bob", "wallets": (Address(bytes(20)),)})),
    large("string", "x" * 65_536),
    large("bool[]", [True] * 256),
    large("bool[300]", [True] * 300),
]
ON = Reply(0x9000, bytes((3, 1, 22, 0)))


@pytest.mark.parametrize("typed", NO_ROOM)
def test_what_the_stream_has_no_room_for_goes_by_its_hashes(typed: TypedData) -> None:
    conversation = sign_typed_data(PATH, typed)
    assert next(conversation).ins == 0x06
    asked = conversation.send(ON)
    assert (asked.ins, asked.p2) == (0x0C, 0)
    assert asked.data[-64:] == typed.domain_separator + typed.message_hash
    assert asked.confirm is not None
    assert "shows two hashes only" in asked.confirm
    assert typed.message_hash.hex().upper() in asked.confirm


def test_a_memory_that_is_full_is_no_reason_not_to_sign() -> None:
    conversation = sign_typed_data(PATH, MAIL)
    next(conversation)
    conversation.send(ON)
    assert conversation.send(Reply(0x6A84)).ins == 0x06
    asked = conversation.send(ON)
    assert (asked.ins, asked.p2) == (0x0C, 0)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("Ledger Flex", "Read every field"),
        ("Ledger Nano S Plus", "shows the domain, and no field of the message, only its hash"),
        ("Ledger emulator", "a small one shows the domain"),
    ],
)
def test_the_human_is_told_what_the_device_will_show(model: str, words: str) -> None:
    conversation = sign_typed_data(PATH, MAIL, model=model)
    next(conversation)
    asked = conversation.send(ON)
    while asked.confirm is None:
        asked = conversation.send(Reply(0x9000))
    assert words in asked.confirm
    assert (MAIL.message_hash.hex().upper() in asked.confirm) == (model != "Ledger Flex")


def test_blind_signing_that_is_off_is_told_first() -> None:
    conversation = sign_typed_data(PATH, MAIL)
    assert next(conversation).ins == 0x06
    with pytest.raises(UnsupportedError) as caught:
        conversation.send(Reply(0x9000, bytes((2, 1, 22, 0))))
    assert caught.value.code == "signer.blind-signing"


def test_values_wait_for_a_human_and_definitions_do_not() -> None:
    commands = stream(MAIL)
    assert all(command.patient == (command.ins == 0x1C) for command in commands)
