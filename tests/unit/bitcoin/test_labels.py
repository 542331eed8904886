"""BIP-329: its example, strict and forgiving reading, references, merging, bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.label_references import origin_of, same_origin
from bursar.bitcoin.labels import LabelRecord, LabelType, merge, read_labels, write_labels
from bursar.errors import InvalidInputError

TXID = "f91d0a8a78462bc59398f2c5d7a84fcff491c26ba54c4833478b202796c8aafd"
ADDRESS = "bc1q34aq5drpuwy3wgl9lhup9892qp6svr8ldzyy7c"
XPUB = "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"
SCAN = (
    "spscan1q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zsq9q6qjevn2kmdrnpuxt0v6h2kr2a2epkr0g6nk55ftf0xcxtddazgk"
    "rth3e"
)
# the test vectors in the text of BIP-329
EXAMPLE = f"""\
{{ "type": "tx", "ref": "{TXID}", "label": "Transaction", "origin": "wpkh([d34db33f/84'/0'/0'])" }}
{{ "type": "addr", "ref": "{ADDRESS}", "label": "Address" }}
{{ "type": "pubkey", "ref": "0283409659355b6d1cc3c32decd5d561abaac86c37a353b52895a5e6c196d6f448", "label": "Public Key" }}
{{ "type": "input", "ref": "{TXID}:0", "label": "Input" }}
{{ "type": "output", "ref": "{TXID}:1", "label": "Output", "spendable": false }}
{{ "type": "xpub", "ref": "{XPUB}", "label": "Extended Public Key" }}
{{ "type": "spscan", "ref": "{SCAN}", "label": "Silent Payments Scan Key Expression" }}
{{ "type": "tx", "ref": "f546156d9044844e02b181026a1a407abfca62e7ea1159f87bbeaa77b4286c74", "label": "Account #1 Transaction", "origin": "wpkh([d34db33f/84'/0'/1'])" }}
"""  # noqa: E501


def line(**fields: Any) -> str:
    return json.dumps({"type": "tx", "ref": TXID, "label": "x", **fields})


def refused(text: str, code: str = "input.labels") -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_labels(text)
    assert caught.value.code.startswith(code), caught.value
    return str(caught.value)


def test_the_example_of_the_standard() -> None:
    found = read_labels(EXAMPLE)
    assert [one.type for one in found.records] == [*LabelType, LabelType.TX]
    assert found.records[4].spendable is False
    assert found.remarks == ()
    ours = [json.loads(one) for one in write_labels(found.records).decode().splitlines()]
    assert ours == [json.loads(one) for one in EXAMPLE.splitlines()]


def test_further_fields_are_kept_exactly() -> None:
    text = (
        line(height=880_000, time="2025-01-23T11:40:35Z", fee=1200, heights=[1, 2])[:-1]
        + ', "rate": {"USD": 105620.00}}'
    )
    record = read_labels(text).records[0]
    assert dict(record.details)["rate"] == '{"USD": 105620.00}'
    assert write_labels([record]).decode() == text + "\n"


def test_what_a_record_does_not_say() -> None:
    record = read_labels(json.dumps({"type": "output", "ref": f"{TXID.upper()}:7"})).records[0]
    assert (record.reference, record.label, record.spendable, record.origin) == (f"{TXID}:7", None, None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "type and ref"),
        ("{}", "type and ref"),
        (line(ref=1), "type and ref"),
        (line(label=None), "label is not a text"),
        (line(origin=1), "origin is not a text"),
        (line(type="output", ref=f"{TXID}:1", spendable="false"), "quotation marks"),
        (line(spendable=True), "belongs to outputs"),
        (line(label="a\nb"), "one line"),
        (line(label="a\u202eb"), "one line"),
        (line(label="a" * 4097), "one line"),
        (line(ref=TXID[:-1]), "64 hex digits"),
        (line(type="input", ref=TXID), "colon"),
        (line(type="output", ref=f"{TXID}:01"), "colon"),
        (line(type="output", ref=f"{TXID}:4294967296"), "colon"),
        (line(type="addr", ref=ADDRESS[:-1] + "q"), "checksum"),
        (line(type="addr", ref="ä"), "short text"),
        (line(type="pubkey", ref="05" * 33), "not a public key"),
        (line(type="pubkey", ref="02"), "32, 33 or 65"),
        (line(type="xpub", ref="xpub1"), ""),
        (line(type="spscan", ref="sp" + SCAN[6:]), ""),
        (line(origin="wpkh(xpub)"), "abbreviated descriptor"),
        (line(origin="[d34db33f]"), "abbreviated descriptor"),
        (line(origin="wpkh([d34db33f/84'/01])"), ""),
        (line() + "\n" + line(label="other"), "line 2: "),
        (line() + "\n\n" + line(), "line 2: "),
        (line()[:-1] + ', "label": "y"}', "twice"),
        (line() + "\r\n\ufeff", "line 2: "),
        (line(x=[[[[[[[1]]]]]]]), "deeply"),
    ],
)
def test_strict_refusals(text: str, words: str) -> None:
    assert words in refused(text)


def test_unknown_types_are_passed_over() -> None:
    found = read_labels(line(type="future") + "\n" + line())
    assert len(found.records) == 1
    assert str(found.remarks[0]) == "line 1: no label type is called 'future'"


def test_the_same_line_twice_counts_once() -> None:
    assert len(read_labels(line() + "\n" + line()).records) == 1
    both = line(origin="wpkh([d34db33f/84'/0'/0'])") + "\n" + line(origin="wpkh([d34db33f/84h/0h/1h])", label="y")
    assert len(read_labels(both).records) == 2


def test_forgiving() -> None:
    rows = [
        "\ufeff" + line(),
        "",
        "nonsense",
        line(ref="1"),
        line(type="output", ref=f"{TXID}:0", spendable="false"),
        line(type="addr", ref=ADDRESS, spendable=True, label="a\u202eb" + "c" * 5000),
        line(type="input", ref=f"{TXID}:0", label=None, origin="?", **{"odd name": 1}),
    ]
    found = read_labels("\r\n".join(rows), forgiving=True)
    assert [one.reference for one in found.records] == [TXID, f"{TXID}:0", ADDRESS, f"{TXID}:0"]
    assert found.records[1].spendable is False
    assert found.records[2].label == "ab" + "c" * 4094
    assert found.records[3].label is None
    assert [one.line for one in found.remarks] == [3, 4, 5, 6, 6, 7]
    with pytest.raises(InvalidInputError, match="no line of the file is a label"):
        read_labels("some\nprose", forgiving=True)


def test_bounds() -> None:
    refused("x" * ((64 << 20) + 1))
    refused(line(label="ä" * 40_000))
    assert read_labels("").records == ()


@pytest.mark.parametrize("text", ["a", "family 👨‍👩‍👧", "Überweisung", "日本語", "", " ", "\u2028x"[1:]])
def test_labels_people_write(text: str) -> None:
    assert read_labels(write_labels([LabelRecord(LabelType.TX, TXID, text)])).records[0].label == text


def output(label: str | None, spendable: bool | None = None, vout: int = 0) -> LabelRecord:
    return LabelRecord(LabelType.OUTPUT, f"{TXID}:{vout}", label, spendable)


@pytest.mark.parametrize(
    ("known", "incoming", "newer", "older"),
    [
        (output("a", False), output("b"), output("b", False), output("a", False)),
        (output("a", False), output(None, True), output("a", True), output("a", False)),
        (output(None, False), output("b", True), output("b", True), output("b", False)),
        (output("a"), output("", False), output("", False), output("a", False)),
    ],
)
def test_merging(known: LabelRecord, incoming: LabelRecord, newer: LabelRecord, older: LabelRecord) -> None:
    assert [one.after for one in merge([known], [incoming])] == [newer]
    assert [one.after for one in merge([known], [incoming], keep=True)] == ([] if older == known else [older])


def test_merging_reports_what_changed_and_nothing_else() -> None:
    same, new = output("a"), output("b", vout=1)
    changes = merge([same], [same, new, output("", vout=2)])
    assert [(one.before, one.after) for one in changes] == [(None, new)]
    assert merge([same], [output("b"), same]) == ()


def test_origins() -> None:
    key = f"[D34DB33F/48'/0h/0']{XPUB}/<0;1>/*"
    assert origin_of(Descriptor.parse(f"wsh(sortedmulti(1,{key}))")) == "wsh(sortedmulti(1,[d34db33f/48h/0h/0h]))"
    assert origin_of(Descriptor.parse(f"wpkh({XPUB}/0/*)")) is None
    assert same_origin("wpkh([D34DB33F/84'/0'/0'])") == same_origin("wpkh([d34db33f/84h/0h/0h])")


RECORDS = st.builds(
    LabelRecord,
    st.just(LabelType.OUTPUT),
    st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 0xFFFFFFFF)).map(
        lambda one: f"{one[0].hex()}:{one[1]}"
    ),
    st.none() | st.text(max_size=12).filter(str.isprintable),
    st.none() | st.booleans(),
    st.sampled_from((None, "wpkh([d34db33f/84h/0h/0h])", "tr([00000000])")),
    st.sampled_from(((), (("height", "7"), ("fmv", '{"EUR": 1.50}')))),
)


@settings(max_examples=40)
@given(st.lists(RECORDS, max_size=4, unique_by=lambda one: one.place))
def test_round_trip(records: list[LabelRecord]) -> None:
    assert read_labels(write_labels(records)).records == tuple(records)


@settings(max_examples=60)
@given(st.text(max_size=60) | st.text('{}[]":,\\typerflab01', max_size=60), st.booleans())
def test_garbage(text: str, forgiving: bool) -> None:
    try:
        found = read_labels(text, forgiving=forgiving)
    except InvalidInputError:
        return
    assert found.records == ()
