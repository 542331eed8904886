"""Descriptors: text and meaning round trip, garbage is refused, and embit derives the same."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from embit.descriptor import Descriptor as EmbitDescriptor
from embit.networks import NETWORKS as EMBIT_NETWORKS
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.descriptor_checksum import CHARACTERS
from bursar.bitcoin.descriptors import Descriptor, add_checksum, strip_checksum
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import witness_program
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.key_aggregation import aggregate_keys
from bursar.crypto.secp256k1 import public_key, taproot_output_key, uncompressed
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.path import HARDENED
from bursar.keys.scheme import Scheme

ROOTS = [ExtendedPrivateKey.from_seed(bytes((number,)) * 32, testnet=True) for number in range(1, 6)]
XPUBS = [str(root.derive((HARDENED + 48,)).public()) for root in ROOTS]
POINTS = [public_key(bytes((number,)) * 32) for number in range(1, 9)]
STEP = st.integers(0, HARDENED - 1)
ORIGIN = st.builds(
    lambda mark, steps: f"[{mark.hex()}{''.join(f'/{step}{hard}' for step, hard in steps)}]",
    st.binary(min_size=4, max_size=4),
    st.lists(st.tuples(STEP, st.sampled_from(["", "h", "'"])), max_size=4),
)


def extended(branches: int) -> st.SearchStrategy[str]:
    step = st.just("") if branches == 1 else st.just(f"/<{';'.join(map(str, range(branches)))}>")
    below = st.lists(STEP, max_size=3).map(lambda steps: "".join(f"/{one}" for one in steps))
    return st.tuples(st.sampled_from(XPUBS), step, below, st.sampled_from(["", "/*"])).map("".join)


def key(branches: int, *, wide: bool = False, tr: bool = False) -> st.SearchStrategy[str]:
    plain = st.sampled_from(POINTS).map(bytes.hex)
    kinds = [extended(branches), plain]
    if wide:
        kinds.append(st.sampled_from(POINTS).map(lambda one: uncompressed(one).hex()))
    if tr:
        kinds.append(st.sampled_from(POINTS).map(lambda one: one[1:].hex()))
    return st.tuples(st.just("") | ORIGIN, st.one_of(kinds)).map("".join)


def multi(name: str, keys: st.SearchStrategy[str], most: int) -> st.SearchStrategy[str]:
    listed = st.lists(keys, min_size=1, max_size=most)
    return listed.flatmap(
        lambda texts: st.integers(1, len(texts)).map(lambda number: f"{name}({number},{','.join(texts)})")
    )


def wrapped(name: str, inside: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return inside.map(lambda text: f"{name}({text})")


def descriptors_of(branches: int) -> st.SearchStrategy[str]:
    narrow, wide, tap = key(branches), key(branches, wide=True), key(branches, tr=True)
    leaf = st.one_of(wrapped("pk", tap), wrapped("pkh", tap), multi("multi_a", tap, 4), multi("sortedmulti_a", tap, 4))
    tree = st.recursive(leaf, lambda inner: st.tuples(inner, inner).map("{{{0[0]},{0[1]}}}".format), max_leaves=6)
    inside = st.one_of(
        wrapped("pk", narrow), wrapped("pkh", narrow), multi("multi", narrow, 5), multi("sortedmulti", narrow, 5)
    )
    return st.one_of(
        *[wrapped(name, wide) for name in ("pk", "pkh", "combo")],
        wrapped("wpkh", narrow),
        wrapped("sh", wrapped("wpkh", narrow)),
        wrapped("sh", multi("multi", wide, 5)),
        multi("sortedmulti", wide, 3),
        wrapped("wsh", inside),
        wrapped("sh", wrapped("wsh", inside)),
        wrapped("tr", tap),
        wrapped("rawtr", tap),
        st.tuples(tap, tree).map("tr({0[0]},{0[1]})".format),
    )


DESCRIPTORS = st.integers(1, 3).flatmap(descriptors_of)


@given(DESCRIPTORS, STEP)
@settings(max_examples=60)
def test_text_and_meaning_round_trip(text: str, index: int) -> None:
    descriptor = Descriptor.parse(text)
    assert strip_checksum(str(descriptor)) == text.replace("'", "h")
    again = Descriptor.parse(str(descriptor), checksum_required=True)
    assert again == descriptor
    assert hash(again) == hash(descriptor)
    place = index if descriptor.ranged else 0
    for branch, one in enumerate(descriptor.expand()):
        assert one.branches == 1
        assert one.scripts(0, place, 1) == descriptor.scripts(branch, place, 1)


@given(DESCRIPTORS, st.data())
@settings(max_examples=60)
def test_one_wrong_character_is_never_mistaken(text: str, data: st.DataObject) -> None:
    """The checksum finds it; without the checksum it is another descriptor that reads as written, or refused."""
    whole = add_checksum(text)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(CHARACTERS).filter(lambda char: char != whole[place]))
    with pytest.raises(InvalidInputError) as caught:
        Descriptor.parse(whole[:place] + other + whole[place + 1 :])
    assert caught.value.code.startswith("input.descriptor")
    try:
        read = Descriptor.parse(text[:place] + other + text[place + 1 :])
    except InvalidInputError as error:
        code = error.code
    else:
        assert Descriptor.parse(str(read)) == read
        code = "input.descriptor"
    assert code.startswith("input.descriptor")


@given(st.one_of(st.text(max_size=200), st.text(alphabet="(){},/*<>;@#'h0123456789abcdefmultishwr_pk[]", max_size=200)))
@settings(max_examples=300)
def test_garbage_is_refused(text: str) -> None:
    try:
        read = Descriptor.parse(text)
    except InvalidInputError as error:
        code = error.code
    else:
        assert Descriptor.parse(str(read)) == read
        code = "input.descriptor"
    assert code.startswith("input.descriptor")


EMBIT_FORMS = [
    "pkh({0}/0/*)",
    "wpkh({0}/<0;1>/*)",
    "sh(wpkh({0}/*))",
    "wsh(pk({0}/*))",
    "wsh(multi(2,{0}/<0;1>/*,{1}/<0;1>/*,{2}/<0;1>/*))",
    "wsh(sortedmulti(2,{0}/<0;1>/*,{1}/<0;1>/*,{2}/<0;1>/*))",
    "sh(sortedmulti(1,{0}/*,{1}/*))",
    "sh(wsh(sortedmulti(3,{2}/5/*,{1}/*,{0}/*)))",
    "tr({0}/<2;7>/*)",
    "tr({0}/*,pk({1}/*))",
    "tr({0}/*,{{pk({1}/*),{{pk({2}/*),pk({3}/*)}}}})",
]


@pytest.mark.parametrize("form", EMBIT_FORMS)
def test_embit_derives_the_same(form: str) -> None:
    text = form.format(*[f"[{root.fingerprint}/48h]{xpub}" for root, xpub in zip(ROOTS, XPUBS, strict=True)])
    ours, theirs = Descriptor.parse(text), EmbitDescriptor.from_string(text)
    for branch in range(ours.branches):
        addresses = ours.addresses(Network.REGTEST, branch, 0, 70)
        for index in (0, 1, 69):
            expected = theirs.derive(index, branch_index=branch if ours.branches > 1 else None)
            assert addresses[index] == expected.address(EMBIT_NETWORKS["regtest"])
            assert ours.address(Network.REGTEST, branch, index).text == addresses[index]


def test_bombs_are_refused_at_once() -> None:
    for text in (
        "sh(" * 20_000,
        "tr(" + POINTS[0].hex() + "," + "{" * 90_000,
        f"tr({POINTS[0].hex()},{'{' * 129}pk({POINTS[0].hex()})",
        f"wpkh({XPUBS[0]}{'/0' * 40_000})",
        f"wpkh({XPUBS[0]}/<{';'.join(map(str, range(9_000)))}>)",
        f"wpkh([00000000{'/1' * 40_000}]{XPUBS[0]})",
        f"wpkh({XPUBS[0]}/{'9' * 90_000})",
        f"raw({'00' * 20_000})",
        f"tr({POINTS[0].hex()},multi_a(1{(',' + POINTS[0].hex()) * 1_000}))",
        "musig(" * 15_000,
        "a" * 100_001,
    ):
        with pytest.raises(InvalidInputError) as caught:
            Descriptor.parse(text)
        assert caught.value.code == "input.descriptor"
        assert len(str(caught.value)) < 200


def test_the_deepest_tree_is_read() -> None:
    leaf = f"pk({POINTS[1].hex()})"
    text = f"tr({POINTS[0].hex()},{'{' * 128}{leaf}{(',' + leaf + '}') * 128})"
    descriptor = Descriptor.parse(text)
    assert strip_checksum(str(descriptor)) == text
    assert len(descriptor.spending().leaves[0].control_block) == 33 + 32 * 128


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("wsh(and_v(v:pk({0}),older(0)))", "input.descriptor.miniscript"),
        ("wsh(older(5))", "input.descriptor.miniscript"),
        ("tr({0},and_v(pk({0}),older(5)))", "input.descriptor.miniscript"),
        ("wsh(s:pk({0}))", "input.descriptor.miniscript"),
        ("sh(and_v(v:pk({0}),older(5)))", "input.descriptor"),
        ("wsh(musig({0},{1}))", "input.descriptor"),
        ("sp({0})", "input.descriptor"),
        ("wpkh({0}) ", "input.descriptor"),
        ("wpkh({0}))", "input.descriptor"),
        ("wpkh({0}", "input.descriptor"),
        ("wpkh", "input.descriptor"),
        ("", "input.descriptor"),
        ("wpkh({0}/01)", "input.descriptor"),
        ("multi(1,{0},{0},{0},{0})", "input.descriptor"),
        ("tr(musig(musig({0},{1}),{2}))", "input.descriptor"),
        ("wpkh({0}/<0;0>/*)", "input.descriptor"),
        ("wpkh({0}/*/0)", "input.descriptor"),
        ("addr(tb1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq)", "input.descriptor"),
    ],
)
def test_what_is_not_a_descriptor_says_why(text: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Descriptor.parse(text.format(*XPUBS))
    assert caught.value.code == code


def test_keys_of_two_networks_do_not_mix() -> None:
    main = str(ExtendedPrivateKey.from_seed(bytes(32)).public())
    with pytest.raises(InvalidInputError, match="another network"):
        Descriptor.parse(f"wsh(multi(1,{main},{XPUBS[0]}))")
    with pytest.raises(InvalidInputError) as caught:
        Descriptor.parse(f"wpkh({main})").address(Network.REGTEST)
    assert caught.value.code == "input.network"


def test_private_keys_derive_and_are_never_shown() -> None:
    xprv = ROOTS[0].text().expose().decode()
    text = f"wpkh({xprv}/84h/1h/0h/<0;1>/*)"
    descriptor = Descriptor.parse(Secret.from_text(text))
    home = ROOTS[0].derive([HARDENED + step for step in (84, 1, 0)]).public()
    assert descriptor.scripts(1, 5, 1) == [b"\0\x14" + hash160(home.derive((1, 5)).key)]
    normal = descriptor.normalized()
    assert strip_checksum(str(normal)) == f"wpkh([{ROOTS[0].fingerprint}/84h/1h/0h]{home}/<0;1>/*)"
    assert normal.scripts(1, 5, 1) == descriptor.scripts(1, 5, 1)
    assert descriptor.private
    assert not normal.private
    for shown in (repr(descriptor), str(descriptor), repr(descriptor.keys), repr(normal)):
        assert "prv" not in shown
    with pytest.raises(InvalidInputError, match="hardened step 0h") as caught:
        descriptor.public().script()
    assert caught.value.code == "input.descriptor"
    with pytest.raises(TypeError):
        pickle.dumps(descriptor)
    with pytest.raises(InvalidInputError) as caught:
        Descriptor.parse(text.replace("84h", "84x"))
    assert xprv[4:20] not in str(caught.value)
    with pytest.raises(InvalidInputError) as caught:
        Descriptor.parse(f"wsh({xprv})")
    assert xprv[4:20] not in str(caught.value)
    descriptor.close()
    with pytest.raises(InvalidInputError, match="wiped"):
        descriptor.script()


def test_branches_and_indexes_have_ends() -> None:
    descriptor = Descriptor.parse(f"wpkh({XPUBS[0]}/<0;1>/*)")
    assert descriptor.script(1, HARDENED - 1)
    for branch, start, count in ((2, 0, 1), (-1, 0, 1), (0, -1, 1), (0, HARDENED, 1), (0, 0, HARDENED + 1), (0, 5, -1)):
        with pytest.raises(InvalidInputError):
            descriptor.scripts(branch, start, count)
    assert descriptor.scripts(0, 0, 0) == []
    with pytest.raises(InvalidInputError, match="several outputs"):
        Descriptor.parse(f"combo({XPUBS[0]}/*)").script()


def psbt_for(descriptor: Descriptor) -> Psbt:
    script = descriptor.script(0, 3)
    before = Transaction(2, (TxIn(OutPoint(Txid(bytes(range(32))), 0)),), (TxOut(Sats(90_000), script),), 0)
    output = TxOut(Sats(80_000), descriptor.script(descriptor.branches - 1, 4))
    psbt = Psbt(Transaction(2, (TxIn(OutPoint(before.txid, 0)),), (output,), 0))
    psbt.inputs[0].non_witness_utxo = before
    if witness_program(script) is not None:
        psbt.inputs[0].witness_utxo = before.outputs[0]
    descriptor.spending(0, 3).describe_input(psbt.inputs[0])
    descriptor.spending(descriptor.branches - 1, 4).describe_output(psbt.outputs[0])
    return Psbt.parse(psbt.serialize())


@pytest.mark.parametrize(
    "form",
    [
        "sh(multi(2,{0}/<0;1>/*,{1}/<0;1>/*))",
        "sh(wsh(multi(2,{0}/<0;1>/*,{1}/<0;1>/*)))",
        "tr({0}/<0;1>/*,{{multi_a(1,{1}/<0;1>/*,{2}/<0;1>/*),pk({3}/<0;1>/*)}})",
        "tr(musig({0},{1})/<0;1>/*,pk({2}/<0;1>/*))",
    ],
)
def test_a_psbt_gets_all_that_its_signers_need(form: str) -> None:
    descriptor = Descriptor.parse(form.format(*[f"[0badf00d/48h]{xpub}" for xpub in XPUBS]))
    psbt = psbt_for(descriptor)
    one, change = psbt.inputs[0], psbt.outputs[0]
    if form.startswith("sh"):
        inner = one.redeem_script or b""
        assert psbt.utxo(0).script == b"\xa9\x14" + hash160(inner) + b"\x87"
        if "wsh" in form:
            assert inner == b"\0\x20" + sha256(one.witness_script or b"")
        assert {str(origin)[-4:] for origin in one.bip32_derivations.values()} == {"/0/3"}
        assert {str(origin)[-4:] for origin in change.bip32_derivations.values()} == {"/1/4"}
        return
    internal, root = one.tap_internal_key or b"", one.tap_merkle_root or b""
    assert psbt.utxo(0).script == b"\x51\x20" + taproot_output_key(internal, root)[0]
    assert len(one.tap_leaf_scripts) == form.count("pk(") + form.count("multi_a(")
    assert change.tap_tree
    assert change.tap_internal_key != internal


@pytest.mark.parametrize("scheme", list(Scheme))
def test_an_account_is_its_descriptor(scheme: Scheme, wallet: Any) -> None:
    account = wallet.account(scheme)
    descriptor = Descriptor.parse(account.descriptor())
    for branch in (0, 1):
        assert descriptor.addresses(Network.REGTEST, branch, 0, 100) == account.addresses(branch, 0, 100)
        spending = descriptor.spending(branch, 2)
        places = spending.origins or {b"\x02" + key: place for key, (_, place) in spending.tap_origins.items()}
        assert list(places.values()) == [account.key_origin(branch, 2)]


def test_musig_of_children_is_the_aggregate_of_the_children() -> None:
    ranged = Descriptor.parse(f"rawtr(musig({XPUBS[0]}/<0;1>/*,{POINTS[0].hex()},{XPUBS[1]}/7))")
    assert ranged.branches == 2
    first, fixed = ROOTS[0].derive((HARDENED + 48,)).public(), ROOTS[1].derive((HARDENED + 48, 7)).public().key
    keys = sorted([first.derive((1, 5)).key, POINTS[0], fixed])
    assert ranged.script(1, 5) == b"\x51\x20" + aggregate_keys(keys)[1:]
    assert ranged.expand()[1].script(0, 5) == ranged.script(1, 5)
    turned = Descriptor.parse(f"rawtr(musig({XPUBS[1]}/7,{XPUBS[0]}/<0;1>/*,{POINTS[0].hex()}))")
    assert turned.scripts(0, 0, 3) == ranged.scripts(0, 0, 3)
    places = ranged.spending(1, 5).tap_origins
    assert sorted(str(origin.path) for _, origin in places.values()) == ["m", "m/1/5", "m/7"]


def test_musig_with_steps_behind_it() -> None:
    below = Descriptor.parse(f"tr(musig({XPUBS[0]}/3,{XPUBS[1]})/<0;1>/*)")
    assert below.scripts(1, 0, 70)[69] == below.script(1, 69)
    one = below.expand()[1]
    assert strip_checksum(str(one)) == f"tr(musig({XPUBS[0]}/3,{XPUBS[1]})/1/*)"
    assert one.scripts(0, 4, 2) == below.scripts(1, 4, 2)


def test_musig_of_private_keys_is_public_in_print() -> None:
    xprv = ROOTS[0].text().expose().decode()
    secret = Descriptor.parse(f"tr(musig({xprv}/48h,{XPUBS[1]})/0/*)")
    assert "prv" not in str(secret) + repr(secret)
    normal = secret.normalized()
    assert strip_checksum(str(normal)) == f"tr(musig([{ROOTS[0].fingerprint}/48h]{XPUBS[0]},{XPUBS[1]})/0/*)"
    assert normal.script(0, 9) == secret.script(0, 9)
    assert not secret.public().private


@pytest.mark.parametrize("mark", ["h", ""])
def test_a_hardened_wildcard(mark: str) -> None:
    xprv = ROOTS[0].text().expose().decode()
    descriptor = Descriptor.parse(f"pkh({xprv}/1h/*{mark})")
    last = HARDENED if mark else 0
    key = ROOTS[0].derive((HARDENED + 1, last + 4)).public_key
    assert descriptor.script(0, 4) == b"\x76\xa9\x14" + hash160(key) + b"\x88\xac"
    assert str(descriptor.spending(0, 4).origins[key].path) == f"m/1h/4{mark}"
    if mark:
        assert descriptor.normalized() == descriptor


def test_a_hardened_multipath_has_no_public_form() -> None:
    descriptor = Descriptor.parse(f"wpkh({ROOTS[0].text().expose().decode()}/<0h;1h>/*)")
    with pytest.raises(InvalidInputError, match="expand the descriptor first"):
        descriptor.normalized()
    first, second = (one.normalized() for one in descriptor.expand())
    assert (first.script(), second.script()) == (descriptor.script(0), descriptor.script(1))


def test_scripts_of_every_kind_have_bulk_addresses() -> None:
    for form in ("sh(wpkh({0}/*))", "pkh({0}/*)", "wsh(pk({0}/*))", "rawtr({0}/*)"):
        descriptor = Descriptor.parse(form.format(XPUBS[0]))
        addresses = descriptor.addresses(Network.SIGNET, 0, 0, 70)
        assert addresses == [descriptor.address(Network.SIGNET, 0, index).text for index in range(70)]
        assert len(descriptor.spending(0, 1).origins) + len(descriptor.spending(0, 1).tap_origins) == 1
    with pytest.raises(InvalidInputError) as caught:
        Descriptor.parse(f"pk({XPUBS[0]}/*)").addresses(Network.SIGNET, 0, 0, 70)
    assert caught.value.code == "input.script"


def test_a_secret_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="ascii") as caught:
        Descriptor.parse(Secret(b"wpkh(\xff)"))
    assert caught.value.code == "input.descriptor"
