"""Wallet policies: names, rules, records, and the way to a descriptor and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.path import HARDENED

ROOTS = [ExtendedPrivateKey.from_seed(bytes((number,)) * 32, testnet=True) for number in range(1, 5)]
KEYS = [f"[{root.fingerprint}/48'/1']{root.derive((HARDENED + 48, HARDENED + 1)).public()}" for root in ROOTS]
TEMPLATE = "wsh(sortedmulti(2,@0/**,@1/<2;3>/*,@2/**))"


def refused(template: str, keys: list[str], name: str = "Vault") -> str:
    with pytest.raises(InvalidInputError) as caught:
        WalletPolicy.from_text(name, template, keys)
    assert caught.value.code == "input.wallet-policy"
    return str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE,
        "sh(multi(1,@0/**,@0/<2;3>/*))",
        "sh(wsh(multi(1,@0/**,@1/**)))",
        "tr(@0/**,{pk(@1/**),{multi_a(1,@0/<2;3>/*,@2/**),pk(@1/<4;5>/*)}})",
        "tr(musig(@0,@1)/**,pk(musig(@1,@0)/<2;3>/*))",
        "tr(musig(@0,@1)/**,pk(@0/**))",
        "wsh(thresh(3,pk(@0/**),s:pk(@1/**),s:pk(@2/**),sln:older(12960)))",
        "sh(wsh(andor(pk(@0/**),older(9),and_v(v:pkh(@1/**),after(500000001)))))",
        "wsh(or_d(pk(@0/**),and_v(v:multi(2,@1/<2;3>/*,@2/**,@3/**),older(65535))))",
        "tr(@0/**,{and_v(v:multi_a(1,@1/**,@2/**),older(9)),or_b(pk(@1/<2;3>/*),s:pk(@3/**))})",
        "tr(musig(@0,@1)/**,and_v(v:pk(musig(@0,@2)/**),older(12960)))",
        f"wsh(and_v(v:pk(@0/**),sha256({'ab' * 32})))",
    ],
)
def test_template_and_descriptor_round_trip(template: str) -> None:
    count = max(int(one[0]) for one in template.split("@")[1:]) + 1
    policy = WalletPolicy.from_text("Vault", template, KEYS[:count])
    descriptor = policy.descriptor()
    assert descriptor.branches == 2
    assert WalletPolicy.from_descriptor("Vault", descriptor) == policy
    assert WalletPolicy.from_json(policy.to_json()) == policy
    assert str(descriptor) == policy.descriptor_text()
    assert list(policy.key_texts) == KEYS[:count]


def test_h71_keys_are_distinct_and_branches_disjoint() -> None:
    assert "twice" in refused("wsh(multi(2,@0/**,@1/**))", [KEYS[0], KEYS[0]])
    assert "twice" in refused("wsh(multi(2,@0/**,@0/<1;2>/*))", KEYS[:1])
    assert "twice" in refused("tr(musig(@0,@1)/**,pk(musig(@1,@0)/<1;5>/*))", KEYS[:2])
    bare = KEYS[0].partition("]")[2]
    assert "twice" in refused("wsh(multi(2,@0/**,@1/**))", [KEYS[0], bare])
    main = str(ExtendedPrivateKey.from_seed(bytes(32)).public())
    assert "networks" in refused("wsh(multi(2,@0/**,@1/**))", [KEYS[0], main])


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "Väult", " Vault", "Vault ", "Va\nult", "Va  ult", "Va\tult", "\x7f", None]
)
def test_h73_names_are_plain(name: Any) -> None:
    assert "name" in refused(TEMPLATE, KEYS[:3], name)


def test_h73_the_longest_name() -> None:
    assert WalletPolicy.from_text("a" * 64, TEMPLATE, KEYS[:3]).name == "a" * 64


@pytest.mark.parametrize(
    ("template", "count"),
    [
        ("", 0),
        ("wpkh()", 1),
        ("wpkh(@0/**)", 2),
        ("wpkh(@00/**)", 1),
        ("wpkh(@0/<0;0>/*)", 1),
        ("wpkh(@0/<0;2147483648>/*)", 1),
        ("wpkh(@0/<0h;1>/*)", 1),
        ("wpkh(@0/**#)", 1),
        ("wpkh(K@0/**)", 1),
        ("wpkh(K)", 1),
        ("tr(musig(@0,@0)/**)", 1),
        ("tr(musig(@0,@1))", 2),
        ("multi(1,@0/**," + "02" + "ab" * 32 + ")", 1),
        ("wsh(and_v(v:pk(@0/**),pk(" + "ab" * 32 + ")))", 1),
        ("wpkh(@0/**)" + " " * 9000, 1),
    ],
)
def test_templates_that_are_none(template: str, count: int) -> None:
    refused(template, KEYS[:count])


def test_a_hash_in_a_template_is_no_key() -> None:
    policy = WalletPolicy.from_text("Vault", f"wsh(and_v(v:pk(@0/**),sha256({'ab' * 32})))", KEYS[:1])
    assert f"sha256({'ab' * 32})" in policy.descriptor_text()


@pytest.mark.parametrize(
    "key", ["", "[]", KEYS[0] + "/0", KEYS[0][:-1], KEYS[0].replace("/48'", "/48H"), "02" + "ab" * 32]
)
def test_keys_that_are_none(key: str) -> None:
    refused("wpkh(@0/**)", [key])


@pytest.mark.parametrize(
    "template",
    ["wsh(older(9))", "wsh(or_i(pk(@0/**),older(9)))", "wsh(and_v(pk(@0/**),older(9)))", "wsh(multi_a(1,@0/**))"],
)
def test_templates_of_unsafe_miniscript_make_no_descriptor(template: str) -> None:
    if "@" not in template:
        refused(template, [])
        return
    policy = WalletPolicy.from_text("Vault", template, KEYS[:1])
    with pytest.raises(InvalidInputError) as caught:
        policy.descriptor()
    assert caught.value.code.startswith("input.descriptor")


@pytest.mark.parametrize(
    "text",
    [
        "wpkh({0}/0/*)",
        "wpkh({0}/<0;1;2>/*)",
        "wpkh({0}/<0;1>)",
        "wpkh({0}/<0;1h>/*)",
        "wpkh({0}/<0;1>/2/*)",
        "tr(musig({0}/<0;1>/*,{1}/<0;1>/*))",
        "wpkh(02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13)",
        "wsh(multi(1,{0}/<0;1>/*,{0}/<1;2>/*))",
    ],
)
def test_descriptors_that_are_no_policy(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        WalletPolicy.from_descriptor("Vault", Descriptor.parse(text.format(*KEYS)))
    assert caught.value.code == "input.wallet-policy"


def test_private_keys_do_not_become_a_policy() -> None:
    xprv = ROOTS[0].text().expose().decode()
    with pytest.raises(InvalidInputError, match="private key"):
        WalletPolicy.from_descriptor("Vault", Descriptor.parse(f"wpkh({xprv}/<0;1>/*)"))


@given(st.text(max_size=60) | st.text(alphabet="wshmulti_akr(){},@01/*<;>", max_size=60))
def test_garbage_is_refused(text: str) -> None:
    try:
        policy = WalletPolicy.from_text("Vault", text, KEYS[:1])
    except InvalidInputError as error:
        code = error.code
    else:
        assert WalletPolicy.from_json(policy.to_json()) == policy
        code = "input.wallet-policy"
    assert code == "input.wallet-policy"


@given(
    st.sampled_from(["version", "name", "template", "keys"]),
    st.none() | st.integers() | st.lists(st.none(), max_size=2),
)
def test_a_damaged_record_is_refused(name: str, value: Any) -> None:
    data = WalletPolicy.from_text("Vault", TEMPLATE, KEYS[:3]).to_json()
    if data[name] != value:
        with pytest.raises(InvalidInputError) as caught:
            WalletPolicy.from_json({**data, name: value})
        assert caught.value.code == "input.wallet-policy"
