"""Miniscript: types, scripts and limits as Bitcoin Core tells them, texts, scripts read back, hostile sizes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from embit.descriptor import Descriptor as EmbitDescriptor
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.miniscript import Context, Miniscript
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import public_key
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey

KEYS = [public_key(bytes((number,)) * 32).hex() for number in range(1, 33)]
A, B, C = KEYS[:3]
MANY_HASHED = "thresh(2,pkh({}),{})".format(KEYS[0], ",".join([f"a:pkh({key})" for key in KEYS[1:]]))
CONTEXTS = {"wsh": Context.P2WSH, "tr": Context.TAPSCRIPT}


def refusal(text: str, context: Context = Context.P2WSH) -> str:
    with pytest.raises(InvalidInputError) as caught:
        Miniscript.parse(text, context)
    assert caught.value.code == "input.descriptor.miniscript"
    return caught.value.message


@pytest.fixture(scope="session")
def cases(vectors: Callable[[str], Any]) -> Any:
    return vectors("bitcoin_miniscript.json")


@pytest.mark.parametrize("place", CONTEXTS)
def test_bitcoin_cores_cases(place: str, cases: Any) -> None:
    accepted = refused = 0
    for case in cases["expressions"]:
        if place not in case:
            refusal(case["text"], CONTEXTS[place])
            refused += 1
            continue
        accepted += 1
        found = Miniscript.parse(case["text"], CONTEXTS[place])
        assert case[place] in ("", found.script.hex())
        assert set(found.type) & set("msk") == set(case["is"])
        for name in ("opcodes", "elements", "executed"):
            assert case.get(name) in (None, getattr(found.limits, name)), case["text"]
        if place == "wsh":
            assert case.get("witness") in (None, found.limits.witness), case["text"]
        read = Miniscript.from_script(found.script, CONTEXTS[place])
        assert read.script == found.script
        assert read.type == found.type
        assert Miniscript.parse(found.text, CONTEXTS[place]) == found
    assert (accepted, refused) == ((63, 34) if place == "wsh" else (56, 41))


def test_bitcoin_cores_descriptors(cases: Any) -> None:
    for case in cases["descriptors"]:
        descriptor = Descriptor.parse(case["text"])
        assert [descriptor.script(0, index).hex() for index in range(len(case["scripts"]))] == case["scripts"]
    for text in cases["refused"]:
        with pytest.raises(InvalidInputError, match="character"):
            Descriptor.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (f"c:pk_k({A})", f"pk({A})"),
        (f"c:pk_h({A})", f"pkh({A})"),
        (f"andor(pk({A}),older(1),0)", f"and_n(pk({A}),older(1))"),
        (f"and_v(vc:pk_k({A}),1)", f"tv:pk({A})"),
        (f"or_i(0,pk({A}))", f"l:pk({A})"),
        (f"or_i(pk({A}),0)", f"u:pk({A})"),
        ("or_i(0,0)", "l:0"),
        (f"and_v(v:pk({A.upper()}),sha256({'AB' * 32}))", f"and_v(v:pk({A}),sha256({'ab' * 32}))"),
    ],
)
def test_texts_become_canonical(text: str, canonical: str) -> None:
    assert Miniscript.parse(text, Context.P2WSH).text == canonical
    assert str(Miniscript.parse(canonical, Context.P2WSH)) == canonical


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("", 1, "missing"),
        ("x:1", 1, "no wrapper"),
        (":1", 1, "wrapper is missing"),
        ("vv:1", 1, "needs an expression of type B"),
        (f"or_d(pk({A}),v:1)", 1, "needs its second argument of type B"),
        ("and_v(v:1,v:1)", 1, "type B"),
        ("and_v(v:1)", 10, "comma"),
        ("and_v(v:1,1,1)", 12, "missing"),
        ("foo(1)", 1, "no fragment"),
        ("older(0)", 7, "at least 1"),
        ("older(01)", 7, "leading zero"),
        ("older(2147483648)", 7, "above"),
        ("after(-1)", 7, "number"),
        ("sha256(00)", 8, "64 hexadecimal"),
        (f"multi_a(1,{A})", 1, "does not belong"),
        (f"multi(2,{A})", 7, "never sign"),
        (f"multi(1,{A[:-1]})", 9, "no public key"),
        (f"thresh(3,pk({A}),s:pk({B}))", 1, "can never be satisfied"),
        (f"pk({A}))", 71, "follow"),
        (f"pk({A}", 70, "missing"),
        (f"sortedmulti(1,{A})", 1, "no fragment"),
        (f"musig({A})", 1, "musig() is a key"),
        (f"thresh(2,pk({A}),s:pk({B}),sdv:older(32))", 1, "argument 3 of type Wdu"),
    ],
)
def test_refusals_name_the_place(text: str, place: int, why: str) -> None:
    message = refusal(text)
    assert f"character {place}:" in message
    assert why in message


def test_d_is_u_in_tapscript_only() -> None:
    assert "u" in Miniscript.parse("dv:older(1)", Context.TAPSCRIPT).type
    assert "u" not in Miniscript.parse("dv:older(1)", Context.P2WSH).type


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("older(1)", "without a signature"),
        (f"or_b(sha256({'00' * 32}),s:pk({A}))", "malleability"),
        (f"and_v(v:pk({A}),and_b(after(1),a:after(1000000000)))", "lock by height and a lock by time"),
        (f"and_v(v:pk({A}),pk({A}))", "stands in it twice"),
        (f"and_v(v:pk({A}),pkh({A}))", "stands in it twice"),
        (f"and_v(v:pk({A}),0)", "nothing can satisfy"),
        (MANY_HASHED, "opcodes, and 201 is the most"),
        (f"and_v(v:pk({A}),pk({B}))", ""),
    ],
)
def test_what_is_not_safe_says_why(text: str, problem: str) -> None:
    found = Miniscript.parse(text, Context.P2WSH)
    assert found.sane is not bool(problem)
    assert problem in "; ".join(found.problems)
    if problem:
        with pytest.raises(InvalidInputError, match="character 5: this miniscript is not safe") as caught:
            Descriptor.parse(f"wsh({text})")
        assert caught.value.code == "input.descriptor.miniscript"


def test_keys_of_one_extended_key_are_duplicates_if_they_derive_the_same() -> None:
    xpub = str(ExtendedPrivateKey.from_seed(bytes(32)).public())
    for pair in ((f"{xpub}/0/*", f"[00000000]{xpub}/0/*"), (f"{xpub}/<0;1>/*", f"{xpub}/<0;1>/*")):
        with pytest.raises(InvalidInputError, match="twice"):
            Descriptor.parse("wsh(or_d(pk({}),and_v(v:pk({}),older(9))))".format(*pair))
    Descriptor.parse(f"wsh(or_d(pk({xpub}/<0;1>/*),and_v(v:pk({xpub}/<2;3>/*),older(9))))")


def test_hashed_keys_are_named_where_they_are_known() -> None:
    script = Miniscript.parse(f"or_d(pk({A}),and_v(v:pkh({B}),older(9)))", Context.P2WSH).script
    assert Miniscript.from_script(script, Context.P2WSH, [bytes.fromhex(B)]).text.count(B) == 1
    assert hash160(bytes.fromhex(B)).hex() in Miniscript.from_script(script, Context.P2WSH).text


@pytest.mark.parametrize(
    ("script", "context"),
    [
        # of Bitcoin Core's miniscript_tests.cpp: no key, no key before CHECKSIGADD, before CHECKSIG
        ("ac519c", Context.TAPSCRIPT),
        ("ba20c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5ba519c", Context.TAPSCRIPT),
        # VERIFY beside CHECKSIG instead of CHECKSIGVERIFY
        ("2103a0434d9e47f3c86235477c7b1ae6ae5d3442d49b1943c2b752a68e2a47e247c7ac6951", Context.P2WSH),
        ("", Context.P2WSH),
        ("0101b2", Context.P2WSH),  # a number that has an opcode
        ("02010069", Context.P2WSH),
        ("4c0151", Context.P2WSH),
        ("6868", Context.P2WSH),
        ("51" * 3601, Context.P2WSH),
        ("20" + A[2:] + "ac", Context.P2WSH),
        ("21" + A + "ac", Context.TAPSCRIPT),
        ("b2", Context.P2WSH),
        ("21" + A, Context.P2WSH),
        ("5287", Context.P2WSH),
        ("51", Context.P2WSH),
    ],
)
def test_scripts_that_are_none(script: str, context: Context) -> None:
    if script == "51":
        assert Miniscript.from_script(b"\x51", context).text == "1"
        return
    with pytest.raises(InvalidInputError) as caught:
        Miniscript.from_script(bytes.fromhex(script), context)
    assert caught.value.code == "input.miniscript.script"


OPCODES = list(b"\x00\x51\x52\x63\x64\x67\x68\x69\x87\x9a\xb2\x93\x92\x7c\x6b\x6c\x73\x76\x82")


@given(st.binary(max_size=60) | st.lists(st.sampled_from(OPCODES)).map(bytes))
def test_any_bytes_are_read_whole_or_refused(script: bytes) -> None:
    for context in Context:
        code = "input.miniscript.script"
        try:
            assert Miniscript.from_script(script, context).script == script
        except InvalidInputError as error:
            code = error.code
        assert code == "input.miniscript.script"


@given(st.text(alphabet="andorv_bcitheslju:(),01pkmulti", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    code, message = "input.descriptor.miniscript", "character"
    try:
        found = Miniscript.parse(text, Context.TAPSCRIPT)
    except InvalidInputError as error:
        code, message = error.code, error.message
    else:
        assert Miniscript.parse(found.text, Context.TAPSCRIPT) == found
    assert code == "input.descriptor.miniscript"
    assert "character" in message


def test_deep_and_wide_expressions_meet_no_recursion_limit() -> None:
    depth = 998  # the deepest whose stack stays below 1,000 elements
    text = "and_b(older(1),a:" * depth + f"pk({A[2:]})" + ")" * depth
    found = Miniscript.parse(text, Context.TAPSCRIPT)
    assert found.sane
    assert found.limits.executed == 1000
    assert found.text == text
    assert hash(Miniscript.from_script(found.script, Context.TAPSCRIPT)) == hash(found)
    deeper = Miniscript.parse(f"and_b(older(1),a:{text})", Context.TAPSCRIPT)
    assert "1001 elements" in deeper.problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "and_v(" * 16_000,
        "s" * 90_000 + ":0",
        "n" * 90_000 + ":1",
        "thresh(9999" + ",1" * 40_000,
        "or_i(1," * 14_000,
        "thresh(500,0" + ",a:0" * 20_000 + ")",
        "thresh(1," * 11_000,
        "(" * 100_000,
        ":" * 100_000,
        "1" * 100_001,
    ],
)
def test_bombs_are_refused_soon(text: str) -> None:
    start = time.process_time()
    assert len(refusal(text, Context.TAPSCRIPT)) < 200
    assert time.process_time() - start < 2


EMBIT_READS = [
    f"or_d(pk({A}),and_v(v:pkh({B}),older(1000)))",
    f"andor(pk({A}),older(1000),and_v(v:multi(1,{B},{C}),after(500000001)))",
    f"thresh(2,pk({A}),s:pk({B}),sln:older(12960))",
    f"t:or_c(pk({A}),and_v(v:pk({B}),or_c(pk({C}),v:hash160({'11' * 20}))))",
    f"and_v(or_i(v:pk({A}),v:pkh({B})),j:and_v(v:ripemd160({'22' * 20}),hash256({'33' * 32})))",
    f"or_b(un:multi(2,{A},{B}),al:and_b(pk({C}),a:after(16)))",
]


@pytest.mark.parametrize("text", EMBIT_READS)
def test_embit_makes_the_same_scripts(text: str) -> None:
    ours = Miniscript.parse(text, Context.P2WSH)
    theirs = EmbitDescriptor.from_string(f"wsh({text})").witness_script().data
    assert ours.script == theirs
