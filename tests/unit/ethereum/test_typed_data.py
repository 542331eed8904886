"""Typed data: the example of EIP-712, a second implementation, and everything that could be read in two ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.address import Address
from bursar.ethereum.typed_data import TypedData, verify_typed_data
from bursar.ethereum.typed_data_types import MOST_DEPTH, FieldType, StructTypes

# the example printed in EIP-712 (assets/eip-712/Example.js), CC0
MAIL: dict[str, Any] = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
        "Mail": [
            {"name": "from", "type": "Person"},
            {"name": "to", "type": "Person"},
            {"name": "contents", "type": "string"},
        ],
    },
    "primaryType": "Mail",
    "domain": {
        "name": "Ether Mail",
        "version": "1",
        "chainId": 1,
        "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
    },
    "message": {
        "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
        "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
        "contents": "Hello, Bob!",
    },
}
COW = Address.from_text("0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826")
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]


def parsed(value: Any) -> TypedData:
    return TypedData.from_json(json.dumps(value))


def test_the_example_of_the_specification() -> None:
    mail = parsed(MAIL)
    assert mail.types.encode_type("Mail") == (
        "Mail(Person from,Person to,string contents)Person(string name,address wallet)"
    )
    assert mail.types.type_hash("Mail").hex() == "a0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2"
    assert mail.domain_separator.hex() == "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"
    assert mail.message_hash.hex() == "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e"
    assert mail.digest().hex() == "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    signature = (
        "0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"
        "07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b915621c"
    )
    verify_typed_data(COW, mail, signature)
    assert keccak256(b"cow")[:1]  # the example's key is the Keccak-256 of "cow"
    assert Account.from_key(keccak256(b"cow")).address == str(COW)
    with pytest.raises(InvalidSignatureError, match="signed by 0xCD2a"):
        verify_typed_data(Address(bytes(20)), mail, signature)


# --- a second implementation ---

NAMES = st.text("abcxyzABC_0123", min_size=1, max_size=6).map(lambda text: "n" + text)
WIDTHS = st.integers(1, 32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@st.composite
def leaf_types(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(("uint", "int", "bytesN", "bytes", "string", "bool", "address")))
    if kind in ("uint", "int"):
        return f"{kind}{8 * draw(WIDTHS)}"
    return f"bytes{draw(WIDTHS)}" if kind == "bytesN" else kind


@st.composite
def typed_data(draw: st.DrawFn) -> TypedData:
    """Any valid typed data; each struct serves the last one."""
    names = draw(st.lists(NAMES.map(str.upper), min_size=1, max_size=4, unique=True))
    types: dict[str, list[tuple[str, str]]] = {}
    domain_fields = draw(st.lists(st.sampled_from(DOMAIN), min_size=1, max_size=4, unique=True))
    types["EIP712Domain"] = [field for field in DOMAIN if field in domain_fields]
    if draw(st.booleans()):
        types["EIP712Domain"].append(("salt", "bytes32"))
    for number, struct in enumerate(names):
        arrays = st.sampled_from(("", "", "[]", "[2]", "[][3]", "[1][]"))
        fields = [
            (field, draw(leaf_types()) + draw(arrays)) for field in draw(st.lists(NAMES, max_size=3, unique=True))
        ]
        if number:
            fields += [("_before", names[number - 1] + draw(arrays))]
            fields += [("_more", draw(st.sampled_from(names[:number])) + draw(arrays))] * draw(st.booleans())
        types[struct] = fields or [("_only", "bool")]

    def value(kind: FieldType) -> Any:
        if kind.levels:
            count = kind.levels[-1] if kind.levels[-1] is not None else draw(st.integers(0, 2))
            return tuple(value(kind.item) for _ in range(count))
        if kind.name in types:
            return {name: value(FieldType.from_text(text)) for name, text in types[kind.name]}
        size = kind.size or 0
        match kind.kind.value:
            case "uint":
                return draw(st.one_of(st.just(2 ** (8 * size) - 1), st.integers(0, 2 ** (8 * size) - 1)))
            case "int":
                most = 2 ** (8 * size - 1) - 1
                return draw(st.one_of(st.just(-most - 1), st.just(-1), st.integers(-most - 1, most)))
            case "bytesN":
                return draw(st.binary(min_size=size, max_size=size))
            case "bytes":
                return draw(st.binary(max_size=70))
            case "string":
                return draw(TEXTS)
            case "bool":
                return draw(st.booleans())
        return Address(draw(st.binary(min_size=20, max_size=20)))

    def struct(name: str) -> Any:
        return {field: value(FieldType.from_text(text)) for field, text in types[name]}

    return TypedData.of(types, names[-1], struct("EIP712Domain"), struct(names[-1]))


@settings(max_examples=250, deadline=None)
@given(typed_data())
def test_a_second_implementation_hashes_the_same(typed: TypedData) -> None:
    theirs = encode_typed_data(full_message=json.loads(typed.to_json()))
    assert (theirs.header, theirs.body) == (typed.domain_separator, typed.message_hash)
    assert keccak256(b"\x19" + theirs.version + theirs.header + theirs.body) == typed.digest()


@settings(max_examples=150, deadline=None)
@given(typed_data())
def test_written_and_read_it_is_the_same(typed: TypedData) -> None:
    again = TypedData.from_json(typed.to_json())
    assert again == typed
    assert again.digest() == typed.digest()
    assert TypedData.from_json(typed.to_json().encode()) == typed


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_garbage_is_refused_in_the_typed_way(data: str | bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        TypedData.from_json(data)
    assert caught.value.code == "input.typed-data"


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


def places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [where] if where else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, one in inner for place in places(one, (*where, key))]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_change_to_the_example_is_refused_or_is_another_digest(data: st.DataObject) -> None:
    value = json.loads(json.dumps(MAIL))
    place = data.draw(st.sampled_from(places(value)))
    target = value
    for key in place[:-1]:
        target = target[key]
    before = target[place[-1]]
    target[place[-1]] = data.draw(JSON)
    try:
        digest = parsed(value).digest()
    except InvalidInputError as error:
        digest, code = None, error.code
    after = target[place[-1]]
    same = before == after and type(before) is type(after)
    assert code == "input.typed-data" if digest is None else (digest == parsed(MAIL).digest()) == same


# --- what is refused, and where ---


def one_field(kind: str, value: Any) -> dict[str, Any]:
    return {
        "types": {"EIP712Domain": [{"name": "chainId", "type": "uint256"}], "One": [{"name": "field", "type": kind}]},
        "primaryType": "One",
        "domain": {"chainId": 1},
        "message": {"field": value},
    }


def refused(value: Any, *words: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(InvalidInputError) as caught:
        TypedData.from_json(text)
    assert caught.value.code == "input.typed-data"
    assert all(word in caught.value.message for word in words), caught.value.message


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint8", "256"),
        ("uint8", "-1"),
        ("int8", 128),
        ("int8", -129),
        ("int8", "0x01"),
        ("uint256", str(2**256)),
        ("uint256", "0x1" + "0" * 64),
        ("uint256", 2**53),
        ("int256", -(2**53)),
        ("uint8", 1.0),
        ("uint8", 1.5),
        ("uint8", 1e2),
        ("uint8", "1.0"),
        ("uint8", "1e2"),
        ("uint8", "01"),
        ("uint8", "+1"),
        ("uint8", " 1"),
        ("uint8", "١"),
        ("uint8", "1_0"),
        ("uint8", ""),
        ("uint8", "0x"),
        ("uint8", "0X1"),
        ("uint8", "-0"),
        ("uint8", True),
        ("uint8", None),
        ("uint8", [1]),
        ("bool", 1),
        ("bool", 0),
        ("bool", "true"),
        ("bool", "false"),
        ("bool", None),
        ("string", 1),
        ("string", None),
        ("string", ["a"]),
        ("string", "\ud800"),
        ("bytes", "text"),
        ("bytes", "0x1"),
        ("bytes", "0X11"),
        ("bytes", "11"),
        ("bytes", [1]),
        ("bytes", None),
        ("bytes4", "0x112233"),
        ("bytes4", "0x1122334455"),
        ("bytes4", 1),
        ("address", "0xcD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"),
        ("address", "0XCD2A3D9F938E13CD947EC05ABC7FE734DF8DD826"),
        ("address", "CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"),
        ("address", "0x" + "11" * 19),
        ("address", 0),
        ("address", None),
        ("uint8[]", 1),
        ("uint8[]", "0x01"),
        ("uint8[]", {"0": 1}),
        ("uint8[]", None),
        ("uint8[2]", [1]),
        ("uint8[2]", [1, 2, 3]),
        ("uint8[2][]", [[1]]),
        ("uint8[][2]", [[1]]),
        ("string[]", [None]),
    ],
)
def test_a_value_that_readers_take_in_different_ways_is_refused(kind: str, value: Any) -> None:
    refused(one_field(kind, value), "message.field")


@pytest.mark.parametrize(
    ("kind", "value", "meant"),
    [
        ("uint8", 255, 255),
        ("uint8", "255", 255),
        ("uint8", "0xff", 255),
        ("uint8", "0x0fF"[:5], 255),
        ("int8", "-128", -128),
        ("int8", -128, -128),
        ("uint256", str(2**256 - 1), 2**256 - 1),
        ("uint256", 2**53 - 1, 2**53 - 1),
        ("address", str(COW).lower(), COW),
        ("bytes", "0x", b""),
        ("bytes3", "0xAbCdEf", b"\xab\xcd\xef"),
        ("uint8[2][]", [[1, "2"]], ((1, 2),)),
    ],
)
def test_the_forms_of_a_value(kind: str, value: Any, meant: Any) -> None:
    assert parsed(one_field(kind, value)).message["field"] == meant


@pytest.mark.parametrize(
    "kind",
    [
        "uint", "int", "uint7", "uint08", "uint0", "uint264", "int257", "bytes0", "bytes33", "bytes01", "byte", "fixed",
        "ufixed128x18", "function", "tuple", "", " bool", "bool ", "bool[", "bool[]]", "bool[0]", "bool[01]",
        "bool[65536]", "bool[-1]", "bool[x]", "Nothing", "EIP712Domain", "EIP712Domain[]", "One", "One[]", "bóol",
        "bool[]" + "[]" * MOST_DEPTH, None, 1, ["bool"],
    ],
)  # fmt: skip
def test_what_is_no_type(kind: Any) -> None:
    refused(one_field(kind, True), "types.One")


def changed(*place: Any, to: Any) -> dict[str, Any]:
    value = json.loads(json.dumps(MAIL))
    target = value
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = to
    return value


def without(*place: Any) -> dict[str, Any]:
    value = json.loads(json.dumps(MAIL))
    target = value
    for key in place[:-1]:
        target = target[key]
    del target[place[-1]]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        # an extra or missing field (E2)
        (changed("message", "extra", to=1), ("message:", "'extra'", "would not be signed")),
        (changed("message", "from", "extra", to=1), ("message.from:", "'extra'")),
        (changed("domain", "salt", to="0x" + "00" * 32), ("domain:", "'salt'")),
        (changed("extra", to=1), ("'extra'",)),
        (without("message", "contents"), ("message:", "contents", "missing")),
        (without("message", "to", "wallet"), ("message.to:", "wallet", "missing")),
        (without("domain", "chainId"), ("domain:", "chainId", "missing")),
        (without("domain"), ("domain is missing",)),
        (without("types"), ("types is missing",)),
        (without("primaryType"), ("primaryType is missing",)),
        (changed("message", to=[]), ("message:", "a list")),
        (changed("message", "from", to=None), ("message.from:", "null")),
        # types: duplicate, undefined, cyclic, unused, misnamed
        (changed("types", "Person", 1, "name", to="name"), ("types.Person:", "name stands twice")),
        (changed("types", "Person", 1, "type", to="Nobody"), ("types.Person.wallet:", "Nobody", "not defined")),
        (changed("types", "Person", 1, "type", to="Mail"), ("cannot hold itself",)),
        (changed("types", "Person", 1, "type", to="Person[]"), ("types.Person:", "cannot hold itself")),
        (changed("types", "Unused", to=[{"name": "a", "type": "bool"}]), ("types.Unused", "no use for it")),
        (changed("types", "uint256", to=[{"name": "a", "type": "bool"}]), ("types.uint256", "type of Solidity")),
        (changed("types", "address", to=[{"name": "a", "type": "bool"}]), ("types.address", "type of Solidity")),
        (changed("types", "Per son", to=[{"name": "a", "type": "bool"}]), ("types:", "no name of a struct")),
        (changed("types", "Mail(bool x)", to=[{"name": "a", "type": "bool"}]), ("no name of a struct",)),
        (changed("types", "Person", 0, "name", to="na,me"), ("types.Person:", "no name of a field")),
        (changed("types", "Person", 0, "name", to="näme"), ("types.Person:", "no name of a field")),
        (changed("types", "Person", 0, "extra", to=1), ("types.Person[0]:", "nothing else")),
        (changed("types", "Person", 0, to={"name": "name"}), ("types.Person[0]:", "a name and a type")),
        (changed("types", "Person", to=[]), ("types.Person:", "1 to 200 fields")),
        (changed("types", "Person", to={}), ("types.Person:", "a list")),
        # the primary type (E4)
        (changed("primaryType", to="EIP712Domain"), ("primaryType:",)),
        (changed("primaryType", to="Letter"), ("primaryType:",)),
        (changed("primaryType", to="Person"), ("types.Mail:", "no use for it")),
        (changed("primaryType", to=None), ("primaryType:",)),
        (changed("primaryType", to=["Mail"]), ("primaryType:",)),
        # the domain
        (without("types", "EIP712Domain"), ("EIP712Domain is missing",)),
        (changed("types", "EIP712Domain", to=[]), ("types.EIP712Domain:",)),
        (changed("types", "EIP712Domain", 2, "type", to="uint64"), ("uint64 chainId does not belong",)),
        (changed("types", "EIP712Domain", 0, "name", to="title"), ("string title does not belong",)),
        (
            changed("types", "EIP712Domain", to=list(reversed(MAIL["types"]["EIP712Domain"]))),
            ("types.EIP712Domain:", "in the order"),
        ),
    ],
)  # fmt: skip
def test_what_is_refused_names_its_place(value: Any, words: tuple[str, ...]) -> None:
    refused(value, *words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"contents": "Hello, Bob!"', '"contents": "Hello, Bob!", "contents": "Hello, Bob!"', ("message:", "twice")),
        ('"name": "Cow"', '"name": "Cow", "name": "Bob"', ("message.from:", "'name' stands twice")),
        ('"chainId": 1', '"chainId": 1, "chainId": 1', ("domain:", "'chainId' stands twice")),
        ('"primaryType"', '"primaryType": "Mail", "primaryType"', ("the whole:", "twice")),
        ('"Person": [', '"Person": [], "Person": [', ("types:", "'Person' stands twice")),
        ('"type": "Person"', '"type": "Mail", "type": "Person"', ("types.Mail[0]:", "'type' stands twice")),
        ('"chainId": 1', '"chainId": NaN', ("NaN",)),
        ('"chainId": 1', '"chainId": Infinity', ("Infinity",)),
        ('"chainId": 1', '"chainId": -Infinity', ("Infinity",)),
        ('"chainId": 1', '"chainId": 1.0', ("domain.chainId:", "1.0")),
        ('"chainId": 1', '"chainId": 1e0', ("domain.chainId:", "1e0")),
        ('"chainId": 1', '"chainId": -0', ("domain.chainId:", "-0")),
        ('"chainId": 1', '"chainId": 1' + "0" * 5000, ("domain.chainId:", "1000")),
        ('"chainId": 1', '"chainId": 01', ("no JSON",)),
        ('"Hello, Bob!"', '"Hello, \\ud83d Bob!"', ("message.contents:", "surrogate")),
        ('"Hello, Bob!"', "[" * 70 + "]" * 70, ("nested deeper",)),
        ("}", "", ("no JSON",)),
    ],
)
def test_what_only_the_text_shows_is_refused(old: str, new: str, words: tuple[str, ...]) -> None:
    text = json.dumps(MAIL)
    assert old in text
    refused(text.replace(old, new, 1), *words)


def test_the_text_is_bounded() -> None:
    refused(changed("message", "contents", to="x" * 1_000_001), "at most 1000000")
    refused("[" * 500_000, "nested deeper")


def test_types_are_bounded() -> None:
    deep = {"EIP712Domain": DOMAIN} | {f"S{n}": [("next", f"S{n + 1}")] for n in range(MOST_DEPTH)}
    deep[f"S{MOST_DEPTH}"] = [("end", "bool")]
    with pytest.raises(InvalidInputError, match="deeper than"):
        StructTypes.of(deep)
    many = {f"S{n}": [("end", "bool")] for n in range(100)}
    with pytest.raises(InvalidInputError, match="101 structs"):
        StructTypes.of({"EIP712Domain": DOMAIN, **many})
    wide = {f"W{n}": [("a", f"W{n + 1}"), ("b", f"W{n + 1}")] for n in range(20)} | {"W20": [("end", "bool")]}
    types = StructTypes.of({"EIP712Domain": DOMAIN, **wide})  # two million leaves, never walked
    assert types.needed_by("W0") == ("W0", *sorted(f"W{n}" for n in range(1, 21)))


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), True, "1", b"\x01", None, (1,), 256],
)
def test_a_programs_own_values_are_held_to_their_types(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"message\.field"):
        TypedData.of(
            {"EIP712Domain": DOMAIN[2:3], "One": [("field", "uint8")]}, "One", {"chainId": 1}, {"field": value}
        )


def test_nothing_of_it_can_be_changed_later() -> None:
    mine = {"field": [1, 2]}
    types = {"EIP712Domain": DOMAIN[2:3], "One": [("field", "uint8[]")]}
    typed = TypedData.of(types, "One", {"chainId": 1}, mine)
    digest = typed.digest()
    mine["field"].append(3)
    types["One"].append(("more", "bool"))
    assert typed.digest() == digest
    with pytest.raises(TypeError):
        typed.message["field"] = (1,)  # type: ignore[index]


def test_the_chain_is_the_accounts() -> None:
    mail = parsed(MAIL)
    mail.check_chain(1)
    with pytest.raises(InvalidInputError, match="for chain 1, the account is on chain 5") as caught:
        mail.check_chain(5, absent=True)
    assert caught.value.code == "input.typed-data.chain"
    nowhere = TypedData.of({"EIP712Domain": DOMAIN[:1], "One": [("f", "bool")]}, "One", {"name": "x"}, {"f": True})
    nowhere.check_chain(1, absent=True)
    with pytest.raises(InvalidInputError, match="names no chain"):
        nowhere.check_chain(1)
