"""What descriptors mean, in words."""

from __future__ import annotations

import pytest

from bursar.bitcoin.descriptors import Descriptor, describe
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import public_key
from bursar.keys.bip32 import ExtendedPrivateKey

KEYS = [public_key(bytes((number,)) * 32).hex() for number in range(1, 8)]
NAMES = [hash160(bytes.fromhex(key))[:4].hex() for key in KEYS]
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
A, B, C, D = NAMES[:4]


def told(text: str) -> tuple[str, ...]:
    return describe(Descriptor.parse(text.format(*KEYS, N=NUMS)))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("wpkh({0})", (f"{A} now",)),
        ("sh(wsh(sortedmulti(2,{0},{1},{2})))", (f"2 of 3 now ({A}, {B}, {C})",)),
        (
            "wsh(thresh(3,pk({0}),s:pk({1}),s:pk({2}),sln:older(12960)))",
            (f"3 of 3 now ({A}, {B}, {C})", f"or 2 of 3 after 90 days (12960 blocks) ({A}, {B}, {C})"),
        ),
        (
            "wsh(or_d(multi(2,{0},{1},{2}),and_v(v:multi(1,{0},{3}),older(12960))))".replace("{0},{3}", "{3},{4}"),
            (f"2 of 3 now ({A}, {B}, {C})", f"or 1 of 2 after 90 days (12960 blocks) ({D}, {NAMES[4]})"),
        ),
        ("wsh(and_v(v:pk({0}),or_d(pk({1}),older(1))))", (f"{A} and {B} now", f"or {A} after 10 minutes (1 block)")),
        ("wsh(and_v(v:pk({0}),after(850000)))", (f"{A} from block 850000",)),
        ("wsh(and_v(v:pk({0}),after(1767225600)))", (f"{A} from 2026-01-01 00:00 UTC",)),
        ("wsh(and_v(v:pk({0}),older(4194473)))", (f"{A} after 24 hours",)),
        (
            "wsh(and_v(v:pk({0}),and_v(v:after(9),and_v(v:older(300),older(288)))))",
            (f"{A} after 2 days (300 blocks) and from block 9",),
        ),
        (
            "wsh(andor(pk({0}),sha256(" + "ab" * 32 + "),pk({1})))",
            (f"{A} and the preimage of sha256 abababab… now", f"or {B} now"),
        ),
        (
            "wsh(thresh(2,pk({0}),a:and_n(pk({1}),or_d(pk({2}),pk({3}))),a:pk({4})))",
            (f"2 of 3 now ({A}, ({B} and {C} or {B} and {D}), {NAMES[4]})",),
        ),
        ("rawtr({0})", (f"{A} now",)),
        ("raw(51)", ("this says nothing about who can spend",)),
    ],
)
def test_words(text: str, lines: tuple[str, ...]) -> None:
    assert told(text) == lines


def test_script_trees_tell_key_path_and_leaves() -> None:
    lines = told("tr(musig({0},{1}),{{pk({2}),and_v(v:multi_a(1,{3},{4}),older(12960))}})")
    assert lines[0] == f"all of musig({A}, {B}) now"
    assert lines[1] == f"or {C} now"
    assert lines[2].startswith("or 1 of 2 after 90 days (12960 blocks) (")
    assert told("tr({N},pk({0}))") == (f"{A} now",)


def test_keys_of_one_master_are_told_apart() -> None:
    root = ExtendedPrivateKey.from_seed(bytes(32))
    first, second = (f"[{root.fingerprint}/{place}]{root.derive((place,)).public()}/0/*" for place in (1, 2))
    lines = describe(Descriptor.parse(f"wsh(multi(1,{first},{second}))"))
    assert lines == (f"1 of 2 now ({root.fingerprint}/1, {root.fingerprint}/2)",)


def test_what_is_too_wide_says_so() -> None:
    keys = [public_key(bytes((number,)) * 32)[1:].hex() for number in range(1, 41)]
    leaves = "{" * 39 + f"pk({keys[0]})" + "".join([f",pk({key})}}" for key in keys[1:]])
    assert describe(Descriptor.parse(f"tr({NUMS},{leaves})")) == ("in more ways than can be listed, with 41 keys",)
