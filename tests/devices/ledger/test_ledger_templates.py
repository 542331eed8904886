"""Descriptor templates, miniscript types and screens: read as the app reads them, scripts equal to embit's."""

from __future__ import annotations

import pytest
from bursar_devices.ledger.bitcoin.miniscript import check_types, is_sane, type_of
from bursar_devices.ledger.bitcoin.scripts import Compiler, output_script
from bursar_devices.ledger.bitcoin.template import KeyExpression, Node, TemplateError, parse
from bursar_devices.ledger.font import fold
from bursar_devices.ledger.pages import pair_pages
from embit.descriptor import Descriptor
from embit.descriptor.miniscript import Miniscript
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.script import ScriptType, classify

KEYS = [
    bytes.fromhex("02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"),
    bytes.fromhex("02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"),
    bytes.fromhex("02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13"),
]
SCRIPTS = [
    "pk(@0/**)",
    "pkh(@0/**)",
    "multi(2,@0/**,@1/**,@2/**)",
    "or_d(pk(@0/**),and_v(v:pkh(@1/**),older(144)))",
    "and_v(v:pk(@0/**),after(500000001))",
    "andor(pk(@0/**),older(4194305),and_v(v:pk(@1/**),hash160(0102030405060708090a0b0c0d0e0f1011121314)))",
    "thresh(2,pk(@0/**),s:pk(@1/**),sln:older(12960))",
    "or_b(pk(@0/**),s:pk(@1/**))",
    "or_i(and_v(v:pk(@0/**),older(65535)),pk(@1/**))",
    "t:or_c(pk(@0/**),v:pk(@1/**))",
    "and_b(pk(@0/**),a:pk(@1/**))",
    "and_n(pk(@0/**),and_v(v:pk(@1/**),older(17)))",
    "and_v(v:pk(@0/**),sha256(6c60f404f8167a38fc70eaf8aa17ac351023bef86bcb9d1086a19afe95bd5333))",
    "j:and_v(v:pk(@0/**),older(16))",
    "or_d(c:pk_h(@0/**),and_v(vc:pk_k(@1/**),n:older(128)))",
    "dv:older(144)",
]


def key_at(expression: KeyExpression) -> bytes:
    return KEYS[expression.indexes[0]]


def as_embit(text: str) -> str:
    for index, key in enumerate(KEYS):
        text = text.replace(f"@{index}/**", key.hex())
    return text


@pytest.mark.parametrize("text", SCRIPTS)
def test_scripts_are_what_embit_compiles(text):
    node = parse(f"wsh({text})")
    theirs = Miniscript.from_string(as_embit(text))
    assert Compiler(key_at).compile(node.children[0]) == theirs.compile()
    kind = type_of(node.children[0], taproot=False)
    assert {letter for letter in kind if letter in "BVKW"} == {theirs.type}
    assert {letter for letter in "zonu" if letter in theirs.properties} <= kind
    assert {letter for letter in kind if letter in "zonu"} <= set(theirs.properties)


@pytest.mark.parametrize(
    "text", ["wpkh(@0/**)", "pkh(@0/**)", "sh(wpkh(@0/**))", "tr(@0/**)", "sh(multi(1,@0/**,@1/**))"]
)
def test_output_scripts_are_embits(text):
    theirs = Descriptor.from_string(as_embit(text).replace("tr(02", "tr(")).script_pubkey().data
    assert output_script(parse(text), key_at) == theirs
    assert classify(theirs) is not ScriptType.UNKNOWN


@pytest.mark.parametrize(
    ("text", "sane"),
    [
        ("wsh(pk(@0/**))", True),
        ("wsh(or_d(pk(@0/**),and_v(v:pkh(@1/**),older(144))))", True),
        ("wsh(or_i(pk(@0/**),older(5)))", False),  # no signature
        ("wsh(older(5))", False),
        ("wsh(and_v(v:pk(@0/**),older(65536)))", False),
        ("wsh(and_v(v:pk(@0/**),older(65535)))", True),
        ("wsh(and_v(v:pk(@0/**),older(4194304)))", False),
        ("wsh(and_v(v:and_v(v:pk(@0/**),after(5)),after(500000001)))", False),  # height and time
        ("wsh(or_i(and_v(v:pk(@0/**),after(5)),and_v(v:pk(@1/**),after(500000001))))", True),  # in other branches
        ("wsh(or_i(and_v(v:pk(@0/**),older(1)),and_v(v:pk(@1/**),older(4194305))))", True),
        ("wsh(and_b(and_v(v:pk(@0/**),older(1)),a:and_v(v:pk(@1/**),older(4194305))))", False),
        ("wsh(or_d(multi(1,@0/**),pk(@1/**)))", True),
        ("wsh(or_b(sha256(" + "00" * 32 + "),a:pk(@0/**)))", False),  # malleable
        ("wsh(thresh(1,pk(@0/**),s:pk(@1/**)))", True),
        ("tr(@0/**,and_v(v:pk(@1/**),older(0)))", None),
        ("tr(@0/**,multi(1,@1/**))", None),
        ("tr(@0/**,multi_a(1,@1/**))", True),
        ("wsh(sortedmulti(1,@0/**))", True),
    ],
)
def test_sanity(text, sane):
    if sane is None:
        with pytest.raises(TemplateError):
            check_types(parse(text))
    else:
        check_types(parse(text))
        assert is_sane(parse(text)) is sane


@pytest.mark.parametrize(
    "text",
    [
        "", "wpkh", "wpkh(", "wpkh(@0/**", "wpkh(@0/**))", "wpkh(@0)", "wpkh(@0/*)", "wpkh(@0/0/*)", "wpkh(@01/**)",
        "wpkh(@0/<1;1>/*)", "wpkh(@0/<0;1>)", "wpkh(@40000/**)", "wpkh(@0/<4294967296;1>/*)", "tr(@0/**,)",
        "tr(@0/**,{pk(@1/**)})", "wsh(tr(@0/**))", "sh(sh(pk(@0/**)))", "wsh(wsh(pk(@0/**)))", "sh(tr(@0/**))",
        "wsh(multi(0,@0/**))", "wsh(multi(2,@0/**))", "wsh(thresh(3,pk(@0/**),s:pk(@1/**)))", "wsh(after(0))",
        "wsh(older(2147483648))", "wsh(sha256(00))", "wsh(sha256(" + "AA" * 32 + "))", "wsh(and_v(pk(@0/**)))",
        "tr(musig(@0)/**)", "tr(musig(@0,@1,@2,@3,@4,@5)/**)", "wpkh(musig(@0,@1)/**)", "wsh(x:pk(@0/**))",
        "wsh(" + "and_v(v:pk(@0/**)," * 20 + "pk(@0/**)" + ")" * 21, "wsh(pk(@0/**))" + " " * 500,
    ],
)  # fmt: skip
def test_templates_that_are_not_read(text):
    with pytest.raises(TemplateError):
        parse(text)


@settings(max_examples=300)
@given(st.text("wpkhstr(@0/*<;>1){},_av:olde_multi23 ", max_size=60))
def test_garbage_is_not_read_or_is_a_template(text):
    try:
        node = parse(text)
    except TemplateError:
        return
    assert isinstance(node, Node)


def test_a_nano_breaks_lines_as_measured():
    address = "tb1p8wpt9v4frpf3tkn0srd97pksgsxc5hs52lafxwru9kgeephvs7rqlqt9zj"
    pages = pair_pages(("Address", address), "nanosp")
    assert [page.title for page in pages] == ["Address (1/2)", "Address (2/2)"]
    assert pages[0].lines == ("tb1p8wpt9v4frpf3tkn", "0srd97pksgsxc5hs52la", "fxwru9kgeephvs7rqlq")
    assert pages[1].lines == ("t9zj",)
    assert fold("There are external inputs\nReject if not sure") == [
        "There are external ",
        "inputs",
        "Reject if not sure",
    ]
    assert fold("x" * 64) == ["x" * 19] * 3 + ["x" * 7]
    assert fold("") == []


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300))
def test_no_character_is_lost_in_breaking(text):
    assert "".join(fold(text)) == text
