"""Contract ABI: Solidity's own examples, eth-abi fed directly as a second reader, canonical bytes only."""

from __future__ import annotations

import sys
from typing import Any

import eth_abi.abi as eth_abi
import pytest
from eth_utils.abi import event_signature_to_log_topic, function_signature_to_4byte_selector
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.errors import InvalidInputError, MissingExtraError
from bursar.ethereum.abi import REVERT, AbiEvent, AbiFunction, AbiType, Kind, decode, encode, read_abi
from bursar.ethereum.address import Address
from bursar.ethereum.token import TRANSFER_TOPIC, decode_call, encode_transfer

SOMEBODY = Address(b"\x35" * 20)


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


def test_the_examples_of_the_specification() -> None:
    """Solidity's documentation, "Contract ABI Specification", examples and use of dynamic types."""
    assert AbiFunction.from_text("baz(uint32,bool)").encode_call(69, True).hex() == ("cdcd77c0" + words(69, 1).hex())
    bar = AbiFunction.from_text("function bar(bytes3[2] memory) public pure")
    assert bar.encode_call((b"abc", b"def")) == bytes.fromhex("fce353f6") + b"abc" + bytes(29) + b"def" + bytes(29)
    sam = AbiFunction.from_text("sam(bytes,bool,uint256[])")
    assert sam.selector.hex() == "a5643bf2"
    assert sam.encode_call(b"dave", True, [1, 2, 3])[4:] == words(0x60, 1, 0xA0, 4) + b"dave".ljust(32, b"\0") + words(
        3, 1, 2, 3
    )
    f = AbiFunction.from_text("f(uint256,uint32[],bytes10,bytes)")
    data = f.encode_call(0x123, (0x456, 0x789), b"1234567890", b"Hello, world!")
    assert data == bytes.fromhex("8be65246") + words(0x123, 0x80) + b"1234567890".ljust(32, b"\0") + words(
        0xE0, 2, 0x456, 0x789, 13
    ) + b"Hello, world!".ljust(32, b"\0")
    assert f.decode_call(data) == (0x123, (0x456, 0x789), b"1234567890", b"Hello, world!")
    g = AbiFunction.from_text("g(uint256[][],string[])")
    assert g.selector.hex() == "2289b18c"
    assert g.decode_call(g.encode_call(([1, 2], [3]), ["one", "two", "three"])) == (
        ((1, 2), (3,)),
        ("one", "two", "three"),
    )


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("function transfer(address to, uint amount) external returns (bool)", "transfer(address,uint256)"),
        ("f()", "f()"),
        ("error Bad(int)", "Bad(int256)"),
        ("f(tuple(uint a, int8[2] b)[] c)", "f((uint256,int8[2])[])"),
        (
            "exec((address to, (bytes data, bool ok)[3] inner) call, string note)",
            "exec((address,(bytes,bool)[3]),string)",
        ),
        ("f( address , bytes calldata x ) payable", "f(address,bytes)"),
    ],
)
def test_human_readable_signatures(text: str, canonical: str) -> None:
    found = AbiFunction.from_text(text)
    assert found.signature == canonical
    assert found.selector == function_signature_to_4byte_selector(canonical)
    assert AbiFunction.from_text(canonical).selector == found.selector


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f",
        "f(",
        "f)",
        "(uint)",
        "f(uint",
        "f(uint))",
        "f((uint)",
        "f(uint7)",
        "f(uint264)",
        "f(bytes33)",
        "f(bytes0)",
        "f(fixed)",
        "f(uint256 a b)",
        "f(uint[0])",
        "f(uint[01])",
        "f(uint[)",
        "f(uint])",
        "f(uint[2000])",
        "f(())",
        "f(uint,)",
        "f(,)",
        "9f(uint)",
        "f(uint) returns bool",
        "f(uint) returns (bool",
        "f(uint) soon",
        "f(uint a-b)",
        "f(function)",
        "f(" + "(" * 20 + "uint" + ")" * 20 + ")",
        "f(uint" + "[]" * 20 + ")",
        "f(" + "uint," * 64 + "uint)",
        "ｆ(uint)",
        "f(uint indexed a)",
        "f" * 5000,
        None,
    ],
)
def test_other_signatures_are_refused(text: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        AbiFunction.from_text(text)
    assert caught.value.code == "input.abi"


def test_events() -> None:
    transfer = AbiEvent.from_text("event Transfer(address indexed from, address indexed to, uint256 value)")
    assert transfer.topic == TRANSFER_TOPIC == event_signature_to_log_topic("Transfer(address,address,uint256)")
    topics = (TRANSFER_TOPIC, words(5), bytes(12) + bytes(SOMEBODY))
    assert transfer.decode(topics, words(7)) == (Address(words(5)[12:]), SOMEBODY, 7)
    for wrong in (topics[:2], (*topics, words(1)), (words(1), *topics[1:]), (), (topics[0], b"", topics[2])):
        with pytest.raises(InvalidInputError):
            transfer.decode(wrong, words(7))
    with pytest.raises(InvalidInputError):
        transfer.decode((topics[0], b"\x01" * 32, topics[2]), words(7))
    note = AbiEvent.from_text("Note(string indexed text, uint256 indexed number) anonymous")
    assert note.decode((words(9), words(4)), b"") == (words(9), 4)
    with pytest.raises(InvalidInputError):
        AbiEvent.from_text("Note(string) external")


def test_the_calls_of_the_token_room_read_the_same() -> None:
    transfer = AbiFunction.from_text("transfer(address,uint256)")
    assert transfer.encode_call(SOMEBODY, 5) == encode_transfer(SOMEBODY, 5)
    assert decode_call(transfer.encode_call(SOMEBODY, 5)) is not None
    with pytest.raises(InvalidInputError, match="first four bytes"):
        transfer.decode_call(b"\0" * 68)
    assert REVERT.decode_call(bytes.fromhex("08c379a0") + words(32, 2) + b"no".ljust(32, b"\0")) == ("no",)
    returns = AbiFunction.from_text("balanceOf(address) returns (uint256)")
    assert returns.decode_result(words(3)) == (3,)


def test_json_abi() -> None:
    entries = [
        {"type": "constructor", "inputs": []},
        {
            "type": "function",
            "name": "f",
            "inputs": [
                {"type": "tuple[2]", "name": "x", "components": [{"type": "uint", "name": "a"}, {"type": "bytes"}]}
            ],
            "outputs": [{"type": "bool", "name": ""}],
            "stateMutability": "view",
        },
        {
            "type": "event",
            "name": "E",
            "inputs": [{"type": "address", "name": "who", "indexed": True}],
            "anonymous": False,
        },
        {"type": "error", "name": "Bad", "inputs": []},
    ]
    function, event, error = read_abi(entries)
    assert (function.signature, event.signature, error.signature) == ("f((uint256,bytes)[2])", "E(address)", "Bad()")
    assert isinstance(event, AbiEvent)
    assert event.inputs[0].indexed
    cases: tuple[Any, ...] = (
        {},
        [{"type": "function"}],
        [{"type": "function", "name": "f", "inputs": [{}]}],
        [{"type": "function", "name": "f", "inputs": {}}],
        [{"type": "event", "name": "a b", "inputs": []}],
        [{"type": "function", "name": "f", "inputs": [{"type": "tuple"}]}],
    )
    for wrong in cases:
        with pytest.raises(InvalidInputError):
            read_abi(wrong)


LEAVES: st.SearchStrategy[tuple[str, st.SearchStrategy[Any]]] = st.one_of(
    st.integers(1, 32).map(lambda size: (f"uint{8 * size}", st.integers(0, (1 << 8 * size) - 1))),
    st.integers(1, 32).map(lambda size: (f"int{8 * size}", st.integers(-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1))),
    st.integers(1, 32).map(lambda size: (f"bytes{size}", st.binary(min_size=size, max_size=size))),
    st.sampled_from(
        [
            ("bytes", st.binary(max_size=70)),
            ("string", st.text(max_size=20)),
            ("bool", st.booleans()),
            ("address", st.binary(min_size=20, max_size=20).map(Address)),
        ]
    ),
)


@st.composite
def kinds(draw: st.DrawFn, depth: int = 3) -> tuple[str, st.SearchStrategy[Any]]:
    """A type and the values it has."""
    shape = draw(st.sampled_from(("leaf", "leaf", "array", "fixed", "tuple"))) if depth else "leaf"
    if shape == "leaf":
        return draw(LEAVES)
    if shape == "tuple":
        parts = draw(st.lists(kinds(depth - 1), min_size=1, max_size=3))
        return f"({','.join(part[0] for part in parts)})", st.tuples(*(part[1] for part in parts))
    name, values = draw(kinds(depth - 1))
    size = draw(st.integers(1, 3)) if shape == "fixed" else None
    least, most = (0, 3) if size is None else (size, size)
    return f"{name}[{size or ''}]", st.lists(values, min_size=least, max_size=most).map(tuple)


def plain(value: Any) -> Any:
    """A value as eth-abi takes and gives it."""
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value)
    return "0x" + bytes(value).hex() if isinstance(value, Address) else value


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_eth_abi_reads_and_writes_the_same(data: st.DataObject) -> None:
    given_kinds = data.draw(st.lists(kinds(), min_size=1, max_size=3))
    types = [name for name, _ in given_kinds]
    values = tuple(data.draw(values) for _, values in given_kinds)
    raw = encode(types, values)
    assert raw == eth_abi.encode(types, plain(values))
    assert decode(types, raw) == values
    assert plain(decode(types, raw)) == eth_abi.decode(types, raw)
    assert [str(AbiType.from_text(name)) for name in types] == types
    position = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:position] + bytes([raw[position] ^ data.draw(st.integers(1, 255))]) + raw[position + 1 :]
    for hostile in (changed, raw[:-1], raw + bytes(32), raw[:position]):
        try:
            found = decode(types, hostile)
        except InvalidInputError:
            continue
        assert encode(types, found) == hostile


def test_bytes_that_other_readers_take_are_refused() -> None:
    """Offsets that overlap, that leave gaps or go back, dirty padding: what eth-abi and contracts may accept."""
    shared = words(0x40, 0x40, 1, 7)
    assert eth_abi.decode(["uint256[]", "uint256[]"], shared) == ((7,), (7,))
    for types, data in (
        (["uint256[]", "uint256[]"], shared),
        (["bytes"], words(0x40, 0, 0)),
        (["bytes"], words(0x20, 1, 1)),
        (["uint256"], words(1, 1)),
        (["bool"], words(2)),
        (["uint8"], words(256)),
        (["address"], words(1 << 160)),
        (["int8"], words(255)),
        (["string"], words(0x20, 1) + b"\xff".ljust(32, b"\0")),
        (["bytes"], words(0x20, 2**255)),
        (["uint256[]"], words(0x20, 2**60)),
        (["bytes4"], words(1)),
        (["uint256[4]"], words(1, 2, 3)),
        (["bytes"], b""),
        (["bytes[]"], words(0x20, 2, 0x40)),
        (["uint256[1024][1024][1024]"], words(1)),
    ):
        with pytest.raises(InvalidInputError):
            decode(types, data)


def test_a_bomb_of_shared_offsets_is_refused_at_once() -> None:
    """Ten levels of arrays whose items all point to the same next array: 100^10 values to a reader that follows."""
    level = words(100, *[100 * 32] * 100)
    with pytest.raises(InvalidInputError, match="offset"):
        decode(["uint256" + "[]" * 10], words(32) + level * 10)
    with pytest.raises(InvalidInputError, match="at most"):
        decode(["bytes"], bytes((1 << 20) + 32))


@given(st.binary(max_size=200), kinds(2))
def test_garbage_is_a_typed_error(data: bytes, kind: tuple[str, Any]) -> None:
    try:
        found = decode([kind[0]], data)
    except InvalidInputError:
        return
    assert encode([kind[0]], found) == data


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint256", "1"),
        ("uint256", 1.0),
        ("uint256", True),
        ("int8", 128),
        ("bool", 1),
        ("bytes4", b"abc"),
        ("bytes", "0x"),
        ("bytes", bytearray(b"x")),
        ("address", "0x" + "35" * 20),
        ("address", bytes(20)),
        ("string", b"x"),
        ("string", "\ud800"),
        ("uint8[2]", [1]),
        ("uint8[]", 1),
        ("uint8[]", "12"),
        ("(uint8,bool)", (1,)),
        ("(uint8,bool)", {"a": 1, "b": True}),
    ],
)
def test_values_of_other_types_are_refused(kind: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"the values\[0\]"):
        encode([kind], (value,))


def test_types_know_their_sizes() -> None:
    static = AbiType.from_text("(uint256,address[3])[2]")
    assert (static.dynamic, static.head_size, static.kind) == (False, 256, Kind.TUPLE)
    assert AbiType.from_text("(uint256,bytes)").dynamic


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eth_abi", None)
    with pytest.raises(MissingExtraError, match="eth-abi"):
        encode(["bool"], (True,))
