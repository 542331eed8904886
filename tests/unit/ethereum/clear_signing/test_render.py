"""Calls and messages in the words of descriptors: every format, what is left out, and descriptors that lie."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing import Call, Descriptors, Known, KnownToken, Rendering, render_call
from bursar.ethereum.clear_signing.shapes import read_function

TARGET = Address(bytes([0x22] * 20))
USD = Address(bytes([0x33] * 20))
FRIEND = Address(bytes([0x44] * 20))
KNOWN = Known(
    tokens={(1, USD): KnownToken("USD", 6), (10, USD): KnownToken("USD.e", 8)},
    labels={FRIEND: "Treasury"},
    ens={TARGET: "target.eth"},
    collections={(1, TARGET): "Cats"},
    chains={1: ("Ethereum Mainnet", "ETH"), 10: ("OP Mainnet", "ETH")},
    block_times={(1, 19_332_140): 1_709_197_235},
)


def book(function: str, fields: list[Any], **members: Any) -> Descriptors:
    """A book with one descriptor for ``TARGET``; ``members`` are of the format, or the file's own."""
    tree = {
        "context": {"contract": {"deployments": [{"chainId": 1, "address": str(TARGET)}]}},
        "metadata": members.pop("metadata", {}),
        "display": {"formats": {function: {"intent": "Do", "fields": fields, **members}}},
    }
    made = Descriptors.from_files({"a.json": json.dumps(tree)})
    assert not made.refused, made.refused
    return made


def rendered(function: str, values: list[Any], fields: list[Any], *, pays: int = 0, **members: Any) -> Rendering:
    plain = AbiFunction.from_text(function)
    call = Call(chain_id=1, to=TARGET, value=pays, data=plain.encode_call(*values), sender=FRIEND)
    found = render_call(call, book=book(function, fields, **members), known=KNOWN)
    assert found is not None
    return found


def shown(kind: str, value: Any, format_: str, params: dict[str, Any] | None = None, **members: Any) -> str:
    field = {"path": "a", "label": "A", "format": format_, "params": params or {}}
    [row] = rendered(f"f({kind} a)", [value], [field], **members).rows
    assert isinstance(row.value, str)
    return row.value


MAX = (1 << 256) - 1
MAPS = {"maps": {"m": {"values": {"1": str(USD)}}}, "enums": {"e": {"1": "one", "0x2": "two", "true": "yes"}}}
NATIVE = "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"


@pytest.mark.parametrize(
    ("kind", "value", "format_", "params", "text"),
    [
        ("uint256", 1000, "raw", {}, "1000"),
        ("int8", -5, "raw", {}, "-5"),
        ("bool", True, "raw", {}, "true"),
        ("bytes", b"\x12\x9a", "raw", {}, "0x129a"),
        ("bytes4", b"\x12\x9a\0\0", "raw", {}, "0x129a0000"),
        ("string", "Led\nger", "raw", {}, "Led\\u{a}ger"),
        ("address", USD, "raw", {}, str(USD)),
        ("uint256", 0x2C1C986F1C48000, "amount", {}, "0.19866144 ETH"),
        ("uint256", 1_500_000, "tokenAmount", {"token": str(USD)}, "1.5 USD"),
        ("uint256", 1_500_000, "tokenAmount", {"token": str(USD), "chainId": 10}, "0.015 USD.e"),
        ("uint256", 7, "tokenAmount", {"token": {"map": "$.metadata.maps.m", "keyPath": "@.chainId"}}, "0.000007 USD"),
        ("uint256", 7, "tokenAmount", {"tokenPath": "@.to"}, "7"),
        ("uint256", 7, "tokenAmount", {}, "7"),
        ("uint256", MAX, "tokenAmount", {"token": str(USD), "threshold": hex(MAX)}, "Unlimited USD"),
        ("uint256", MAX, "tokenAmount", {"token": str(USD), "threshold": "9", "message": "Max"}, "Max USD"),
        ("uint256", MAX, "tokenAmount", {"tokenPath": "@.to", "threshold": "9"}, str(MAX)),
        ("uint256", 2 * 10**15, "tokenAmount", {"token": NATIVE, "nativeCurrencyAddress": [NATIVE]}, "0.002 ETH"),
        (
            "uint256",
            5,
            "tokenAmount",
            {"token": NATIVE, "nativeCurrencyAddress": NATIVE, "threshold": "5"},
            "Unlimited ETH",
        ),
        ("address", USD, "tokenTicker", {}, "USD"),
        ("address", TARGET, "tokenTicker", {"chainId": 10}, str(TARGET)),
        ("uint256", 1036, "nftName", {"collectionPath": "@.to"}, "Cats #1036"),
        ("uint256", 1036, "nftName", {"collection": str(USD)}, "1036"),
        ("uint256", 1_709_191_632, "date", {"encoding": "timestamp"}, "2024-02-29 07:27:12Z"),
        ("uint256", MAX, "date", {"encoding": "timestamp"}, str(MAX)),
        ("uint256", 19_332_140, "date", {"encoding": "blockheight"}, "2024-02-29 09:00:35Z"),
        ("uint256", 5, "date", {"encoding": "blockheight"}, "block 5"),
        ("uint256", 8250, "duration", {}, "02:17:30"),
        ("uint256", 15, "unit", {"base": "d", "decimals": 1}, "1.5d"),
        ("uint256", 36_000, "unit", {"base": "s", "prefix": True}, "36ks"),
        ("uint8", 1, "enum", {"$ref": "$.metadata.enums.e"}, "one"),
        ("uint8", 2, "enum", {"$ref": "$.metadata.enums.e"}, "two"),
        ("bytes1", b"\x01", "enum", {"$ref": "$.metadata.enums.e"}, "one"),
        ("bool", True, "enum", {"$ref": "$.metadata.enums.e"}, "yes"),
        ("uint8", 3, "enum", {"$ref": "$.metadata.enums.e"}, "3"),
        ("bytes1", b"\xff", "enum", {"$ref": "$.metadata.enums.e"}, "255"),
        ("uint256", 10, "chainId", {}, "OP Mainnet"),
        ("uint256", 11, "chainId", {}, "chain 11"),
        ("address", FRIEND, "addressName", {"types": ["eoa"], "sources": ["ens"]}, "Treasury"),
        ("address", TARGET, "addressName", {}, "target.eth"),
        ("address", TARGET, "addressName", {"sources": ["local"]}, str(TARGET)),
        ("address", USD, "addressName", {"senderAddress": [str(USD)]}, "Sender"),
        ("uint256", int.from_bytes(FRIEND.value, "big"), "addressName", {}, "Treasury"),
        ("bytes32", bytes(12) + FRIEND.value, "addressName", {}, "Treasury"),
        ("bytes", bytes.fromhex("00010000010114") + FRIEND.value, "interoperableAddressName", {}, "Treasury"),
        ("bytes", b"\x12\x34\x56\x78", "calldata", {"callee": str(USD)}, "0x12345678"),
    ],
)
def test_formats(kind: str, value: object, format_: str, params: dict[str, Any], text: str) -> None:
    assert shown(kind, value, format_, params, metadata=MAPS) == text


@pytest.mark.parametrize(
    ("kind", "value", "format_", "params"),
    [
        ("address", USD, "amount", {}),
        ("string", "12x", "duration", {}),
        ("bytes", bytes(33), "amount", {}),
        ("uint248", 1 << 200, "addressName", {}),
        ("bytes", bytes(21), "addressName", {}),
        ("uint256", 1, "tokenAmount", {"tokenPath": "nothing"}),
        ("uint256", 1, "tokenAmount", {"token": "$.metadata.owner"}),
        ("uint256", 1, "tokenAmount", {"token": {"map": "$.metadata.maps.m", "keyPath": "a.[0]"}}),
        ("uint256", 2, "tokenAmount", {"token": {"map": "$.metadata.maps.m", "keyPath": "a"}}),
        ("uint256", 1, "unit", {"base": "s", "decimals": 256}),
        ("uint256", 1, "unit", {"base": "s", "decimals": -1}),
        ("uint256", 1, "enum", {"$ref": "$.metadata.enums"}),
        ("uint256", 1, "enum", {"$ref": "$.metadata.none"}),
    ],
)
def test_a_format_that_does_not_fit_is_an_error(kind: str, value: object, format_: str, params: dict[str, Any]) -> None:
    if format_ == "enum" and params["$ref"] == "$.metadata.enums":
        assert shown(kind, value, format_, params, metadata=MAPS) == "1"
        return
    with pytest.raises(InvalidInputError):
        shown(kind, value, format_, params, metadata=MAPS)


def test_a_name_stands_beside_its_address() -> None:
    fields = [
        {"path": "a", "label": "To", "format": "addressName"},
        {"path": "b", "label": "Of", "format": "tokenTicker"},
    ]
    found = rendered("f(address a,address b)", [FRIEND, USD], fields)
    assert [row.exact for row in found.rows] == [str(FRIEND), str(USD)]
    assert list(found.lines()) == ["Do", f"  at: {TARGET}", f"  To: Treasury ({FRIEND})", f"  Of: USD ({USD})"]
    [unnamed] = rendered("f(address a)", [USD], fields[:1]).rows
    assert (unnamed.value, unnamed.exact) == (str(USD), "")
    [other] = rendered(
        "f(bytes a)",
        [bytes.fromhex("00010000010114") + FRIEND.value],
        [fields[0] | {"format": "interoperableAddressName"}],
    ).rows
    assert (other.value, other.exact[:42]) == ("Treasury", str(FRIEND))


def test_what_no_row_shows_is_named() -> None:
    order = "f((address token,uint256 amount) order,bytes extra,uint256[] ids,uint256 packed)"
    fields = [
        {"path": "order.amount", "label": "Amount", "format": "tokenAmount", "params": {"tokenPath": "order.token"}},
        {"path": "extra", "label": "Extra", "visible": "never"},
        {"path": "ids.[0]", "label": "First"},
        {"path": "packed.[-1:]", "label": "Last byte"},
    ]
    found = rendered(order, [(USD, 5), b"\1\2", [7, 8, 9], 0x0102], fields, pays=10**18)
    assert [(row.label, row.value) for row in found.rows] == [
        ("Amount", "0.000005 USD"),
        ("First", "7"),
        ("Last byte", "0x02"),
    ]
    missing = [(row.label, row.value) for row in found.not_shown]
    assert missing == [("extra", "0x0102"), ("ids.[1]", "8"), ("ids.[2]", "9"), ("packed", "258")]
    assert [one.code for one in found.cautions] == ["value-not-shown"]
    assert "1 ETH" in found.cautions[0].text
    assert rendered(order, [(USD, 5), b"", [7], 2], fields).not_shown[-1].label == "extra"


def test_flags_in_front_of_an_address_are_not_hidden() -> None:
    packed = 0x80 << 248 | int.from_bytes(FRIEND.value, "big")
    fields = [
        {"path": "pools.[]", "label": "Pool", "format": "addressName"},
        {"path": "amount", "label": "Amount", "format": "tokenAmount", "params": {"tokenPath": "token"}},
    ]
    token = 1 << 160 | int.from_bytes(USD.value, "big")
    found = rendered("f(uint256[] pools,uint256 amount,uint256 token)", [[packed], 5, token], fields)
    assert [(row.value, row.exact) for row in found.rows] == [("Treasury", str(FRIEND)), ("0.000005 USD", "")]
    assert [one.code for one in found.cautions] == ["address-word", "address-word"]
    assert [row.label for row in found.not_shown] == ["pools.[0]", "token"]


def test_bytes_behind_the_arguments_are_a_caution() -> None:
    data = AbiFunction.from_text("f(uint8)").encode_call(1) + b"\x99\x98"
    call = Call(chain_id=1, to=TARGET, value=0, data=data)
    found = render_call(call, book=book("f(uint8 a)", [{"path": "a", "label": "A"}]), known=KNOWN)
    assert found is not None
    assert [one.code for one in found.cautions] == ["trailing-bytes"]


def test_when_a_field_is_visible() -> None:
    def rows(visible: object, value: int) -> list[Any]:
        found = rendered("f(uint256 a)", [value], [{"path": "a", "label": "A", "visible": visible}])
        return [[row.value for row in found.rows], [row.value for row in found.not_shown]]

    assert rows("always", 5) == rows("optional", 5) == [["5"], []]
    assert rows("never", 5) == [[], ["5"]]
    assert rows({"ifNotIn": [5, "0x6"]}, 5) == rows({"ifNotIn": [5, "0x5"]}, 5) == [[], ["5"]]
    assert rows({"ifNotIn": ["4"]}, 5) == [["5"], []]
    assert rows({"mustMatch": ["0x5"]}, 5) == [[], []]
    with pytest.raises(InvalidInputError):
        rows({"mustMatch": [4]}, 5)


def test_version_1_says_what_is_excluded() -> None:
    fields = [{"path": "a", "label": "A"}, {"path": "#.b", "label": "B"}]
    found = rendered("f(uint8 a,uint8 b)", [1, 2], fields, required=["a"], excluded=["b"])
    assert [row.label for row in found.rows] == ["A"]
    assert [row.label for row in found.not_shown] == ["b"]


LISTS = "f((address token,uint256 amount)[] details,uint256[] xs,uint256[] ys)"
VALUES = [[(USD, 1), (USD, 2)], [10, 20], [30, 40]]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ({"path": "xs", "label": "x"}, ["10", "20"]),
        ({"path": "xs.[]", "label": "x"}, ["10", "20"]),
        ({"path": "xs.[1:]", "label": "x"}, ["20"]),
        ({"path": "xs.[-2:-1]", "label": "x"}, ["10"]),
        ({"path": "xs.[]", "label": "x", "separator": "No {index}"}, ["", "10", "", "20"]),
        (
            {"path": "details.[].amount", "format": "tokenAmount", "params": {"tokenPath": "details.[].token"}},
            ["0.000001 USD", "0.000002 USD"],
        ),
        (
            {"path": "details.[]", "fields": [{"path": "amount"}, {"path": "token", "format": "tokenTicker"}]},
            ["1", "USD", "2", "USD"],
        ),
        (
            {"path": "details.[]", "iteration": "sequential", "fields": [{"path": "amount"}, {"path": "token"}]},
            ["1", "2", str(USD), str(USD)],
        ),
        ({"iteration": "bundled", "fields": [{"path": "xs"}, {"path": "ys.[]"}]}, ["10", "30", "20", "40"]),
        ({"label": "Both", "fields": [{"path": "xs"}, {"path": "ys.[]"}]}, ["", "10", "20", "30", "40"]),
        ({"path": "details", "label": "d"}, [f"{USD}, 1", f"{USD}, 2"]),
    ],
)
def test_arrays_and_groups(field: dict[str, Any], values: list[str]) -> None:
    assert [row.value for row in rendered(LISTS, VALUES, [field]).rows] == values


@pytest.mark.parametrize(
    "field",
    [
        {"path": "xs.[2]"},
        {"path": "xs.[-3]"},
        {"path": "xs.[0:3]"},
        {"path": "xs.[2:1]"},
        {"path": "details.amount"},
        {"path": "nothing"},
        {"path": "@.gas"},
        {"path": "xs.[0].[0]"},
        {"path": "xs.[0].[0:33]"},
        {"path": "xs.[0].[0:1].[0]"},
        {"iteration": "bundled", "fields": [{"path": "xs"}, {"path": "ys.[:1]"}]},
        {"path": "xs", "format": "tokenAmount", "params": {"tokenPath": "ys.[0:0]"}},
        {"path": "details.[].amount", "format": "unit", "params": {"base": "$.metadata.nothing"}},
    ],
)
def test_paths_that_lead_nowhere_are_errors(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        rendered(LISTS, VALUES, [field])
    assert caught.value.code == "input.clear-signing.data"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("Send {amount} to {to}", "Send 0.000005 USD to Treasury"),
        ("Send {#.amount} {{twice}}", "Send 0.000005 USD {twice}"),
        ("Send {amount} for {@.value}", "Send 0.000005 USD for 0 ETH"),
        ("Send {hidden}", None),
        ("Send {sometimes}", None),
        ("Send {nothing}", None),
        ("Send {amount", None),
        ("Send amount}", None),
        ("Send {}", None),
        ("Send {{{amount}}}", "Send {0.000005 USD}"),
        ("{to}" * 200, None),
        ("pay\u202e {to}", "pay\\u{202e} Treasury"),
    ],
)
def test_the_interpolated_intent(template: str, sentence: str | None) -> None:
    fields = [
        {"path": "amount", "label": "Amount", "format": "tokenAmount", "params": {"token": str(USD)}},
        {"path": "to", "label": "To", "format": "addressName"},
        {"path": "hidden", "label": "Hidden", "visible": "never"},
        {"path": "sometimes", "label": "Sometimes", "visible": {"ifNotIn": [9]}},
        {"path": "@.value", "label": "Pays", "format": "amount"},
    ]
    function = "f(uint256 amount,address to,uint8 hidden,uint8 sometimes)"
    found = rendered(function, [5, FRIEND, 1, 2], fields, interpolatedIntent=template)
    assert found.sentence == sentence


def test_texts_of_descriptors_are_made_plain() -> None:
    fields = [{"path": "a", "label": "To\u202eoT\n", "format": "unit", "params": {"base": "\u200b" * 500}}]
    metadata = {"owner": "Good\x00Bank" + "!" * 1000}
    found = rendered("f(uint8 a)", [1], fields, intent={"Pay\n": "x\u2066"}, metadata=metadata)
    for line in found.lines():
        assert line.isprintable()
        assert len(line) < 400
    assert found.intent == "Pay\\u{a}: x\\u{2066}"
    long = rendered("f(string a)", ["\u202e" * 20_000], [{"path": "a", "label": "A"}])
    assert [one.code for one in long.cautions] == ["cut"]
    assert "20000 characters" in str(long.rows[0].value)


EXECUTE = "execute(address to,uint256 value,bytes data)"
INNER = {"path": "data", "label": "Call", "format": "calldata"}


def calls(parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**INNER, "params": parameters}]


def test_calls_within_are_rendered_four_deep() -> None:
    fields = calls({"calleePath": "to", "amountPath": "value", "spenderPath": "@.to"})
    function = AbiFunction.from_text(EXECUTE)
    data = b"\x12\x34\x56\x78"
    for _ in range(6):
        data = function.encode_call(TARGET, 7, data)
    found = render_call(Call(chain_id=1, to=TARGET, value=7, data=data), book=book(EXECUTE, fields), known=KNOWN)
    depth = 0
    while isinstance(found, Rendering):
        depth += 1
        last, value = found, found.rows[0].value
        found = value if isinstance(value, Rendering) else None
    assert depth == 4
    assert [one.code for one in last.cautions] == ["value-not-shown", "opaque-call"] or [
        one.code for one in last.cautions
    ] == ["opaque-call", "value-not-shown"]
    assert [one.path for one in last.not_shown] == ["value"]


def test_a_call_within_that_cannot_be_rendered_is_shown_as_bytes_with_the_reason() -> None:
    selector = read_function(EXECUTE).selector
    data = AbiFunction.from_text(EXECUTE).encode_call(TARGET, 0, selector + b"broken")
    call = Call(chain_id=1, to=TARGET, value=0, data=data)
    found = render_call(call, book=book(EXECUTE, calls({"calleePath": "to"})), known=KNOWN)
    assert found is not None
    assert found.rows[0].value == "0x" + (selector + b"broken").hex()
    assert "too few" in found.cautions[0].text


def test_proxies_are_shown_by_the_contract_they_run() -> None:
    known = Known(implementations={(1, USD): TARGET})
    fields = [{"path": "a", "label": "A"}]
    call = Call(chain_id=1, to=USD, value=0, data=AbiFunction.from_text("f(uint8)").encode_call(1))
    assert render_call(call, book=book("f(uint8 a)", fields), known=Known()) is None
    assert render_call(call, book=book("f(uint8 a)", fields), known=known) is not None


def test_what_needs_no_words_has_none() -> None:
    descriptors = book("f(uint8 a)", [])
    for to, data in ((None, b""), (TARGET, b""), (TARGET, b"\1\2\3"), (USD, bytes(36))):
        assert render_call(Call(chain_id=1, to=to, value=0, data=data), book=descriptors, known=KNOWN) is None


def test_encrypted_values_stay_what_they_are() -> None:
    field = {
        "path": "a",
        "label": "A",
        "format": "tokenAmount",
        "encryption": {"scheme": "fhevm", "fallbackLabel": "[?]"},
    }
    assert rendered("f(bytes2 a)", [b"\1\2"], [field]).rows[0].value == "[?] (0x0102)"


HEAVY: list[tuple[str, list[Any], list[Any]]] = [
    ("f(uint256[] a)", [[0] * 3000], [{"path": "a"}]),
    ("f(uint256[] a)", [[0] * 1999], [{"path": "a"}] * 400),
    ("f(uint256[] a)", [[0] * 1999], [{"path": "a.[]", "fields": [{"path": "#.a", "visible": "never"}] * 400}]),
    ("f(uint256[][] a)", [[[0] * 60] * 60], [{"path": "a.[].[]", "fields": []}]),
]
_nested: list[Any] = [{"path": "#.a.[0]", "label": "x"}]
for _ in range(7):
    _nested = [{"path": "#.a.[]", "fields": _nested}]
HEAVY.append(("f(uint256[] a)", [[0] * 500], _nested))
_wide: list[Any] = [{"path": "#.a"}]
for _ in range(6):
    _wide = [{"iteration": "bundled", "fields": _wide * 2}]
HEAVY.append(("f(uint256[] a)", [[0] * 1999], _wide))


@pytest.mark.parametrize(("function", "values", "fields"), HEAVY)
def test_descriptors_that_would_never_end(function: str, values: list[Any], fields: list[Any]) -> None:
    started = time.process_time()
    with pytest.raises(InvalidInputError) as caught:
        rendered(function, values, fields)
    assert caught.value.code == "input.clear-signing.data"
    assert time.process_time() - started < 2


FORMATS = st.sampled_from(
    ["raw", "amount", "tokenAmount", "date", "duration", "unit", "enum", "addressName", "calldata"]
)
PATHS = st.sampled_from(
    ["a", "b", "c.[]", "c.[0].x", "a.[0:4]", "c.[].y.[-20:]", "@.value", "@.to", "$.metadata.x", "#"]
)
FIELDS = st.fixed_dictionaries(
    {"path": PATHS, "label": st.text(max_size=5), "format": FORMATS},
    optional={"visible": st.sampled_from(["always", "never", {"ifNotIn": [0]}, {"mustMatch": ["0x"]}])},
)


@settings(deadline=None)
@given(
    st.lists(FIELDS, max_size=5),
    st.binary(max_size=40),
    st.lists(st.tuples(st.integers(0, MAX), st.binary(max_size=30)), max_size=3),
)
def test_any_descriptor_renders_any_call_or_says_why_not(
    fields: list[Any], b: bytes, c: list[tuple[int, bytes]]
) -> None:
    function = "f(uint256 a,bytes b,(uint256 x,bytes y)[] c)"
    try:
        found = rendered(function, [5, b, c], fields, metadata={"x": "5"})
    except InvalidInputError as error:
        found, code = None, error.code
    if found is None:
        assert code in ("input.clear-signing.data", "input.clear-signing")
        return
    assert all(line.isprintable() for line in found.lines())
    if not fields:
        assert len(found.not_shown) == 2 + max(1, 2 * len(c))
