"""Multisig accounts: what they derive, what they refuse (checklist H), and PSBTs their cosigners can sign."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from embit.descriptor import Descriptor as EmbitDescriptor
from embit.networks import NETWORKS as EMBIT_NETWORKS
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.secp256k1 import ecdsa_sign_der
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.origin import UNKNOWN, Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import MultisigScript, multisig_path

HOME = multisig_path(MultisigScript.WSH, 1, 0)
ROOTS = [ExtendedPrivateKey.from_seed(bytes((number,)) * 32, testnet=True) for number in range(1, 22)]
COSIGNERS = tuple((KeyOrigin(root.fingerprint, HOME), root.derive(HOME).public()) for root in ROOTS)
KINDS = list(MultisigKind)


def account(
    kind: MultisigKind = MultisigKind.WSH, threshold: int = 2, count: int = 3, **options: Any
) -> MultisigAccount:
    return MultisigAccount(Network.REGTEST, kind, threshold, COSIGNERS[:count], **options)


def question(home: MultisigAccount, places: Sequence[tuple[int, int]]) -> Psbt:
    before = [
        Transaction(
            2, (TxIn(OutPoint(Txid(bytes((number,)) * 32), 0)),), (TxOut(Sats(90_000), home.script(*place)),), 0
        )
        for number, place in enumerate(places)
    ]
    outputs = (TxOut(Sats(50_000), b"\0\x14" + bytes(20)), TxOut(Sats(39_000), home.script(1, 4)))
    psbt = Psbt(Transaction(2, tuple(TxIn(OutPoint(one.txid, 0), sequence=0xFFFFFFFD) for one in before), outputs, 0))
    for one, place, previous in zip(psbt.inputs, places, before, strict=True):
        one.non_witness_utxo = previous
        home.spending(*place).describe_input(one)
    home.spending(1, 4).describe_output(psbt.outputs[1])
    home.describe_xpubs(psbt)
    return Psbt.parse(psbt.serialize())


def signed(psbt: Psbt, root: ExtendedPrivateKey) -> Psbt:
    answer = psbt.copy()
    for one, digest in zip(answer.inputs, map(InputDigests(answer).digest, range(len(answer.inputs))), strict=True):
        for key, origin in one.bip32_derivations.items():
            if origin.fingerprint == root.fingerprint:
                secret = root.derive(origin.path).secret().expose()
                one.partial_sigs[key] = ecdsa_sign_der(secret, digest.digest) + b"\x01"
    return answer


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_any_cosigners_in_any_order_can_spend(
    kind: MultisigKind, sort: bool, kernel_verify: Callable[[Transaction, Sequence[TxOut]], None]
) -> None:
    home = account(kind, sorted=sort)
    psbt = question(home, [(0, 0), (1, 7), (0, 2)])
    answers = [signed(psbt, root) for root in ROOTS[:3]]
    spent = [psbt.utxo(place) for place in range(3)]
    for order in itertools.permutations(range(3), 2):
        whole = finalize(combine([answers[number] for number in order]))
        kernel_verify(extract(whole), spent)
    with pytest.raises(InvalidInputError):
        finalize(answers[0])


@pytest.mark.parametrize("kind", [MultisigKind.WSH, MultisigKind.SH_WSH])
def test_seventeen_of_twenty(kind: MultisigKind, kernel_verify: Callable[[Transaction, Sequence[TxOut]], None]) -> None:
    psbt = question(account(kind, 17, 20), [(0, 0)])
    whole = finalize(combine([signed(psbt, root) for root in ROOTS[2:20]]))
    kernel_verify(extract(whole), [psbt.utxo(0)])


@pytest.mark.parametrize("sort", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_embit_and_the_descriptor_derive_the_same(kind: MultisigKind, sort: bool) -> None:
    home = account(kind, sorted=sort)
    assert MultisigAccount.from_descriptor(home.descriptor(), Network.REGTEST) == home
    for branch in (0, 1):
        addresses = home.addresses(branch, 0, 80)
        theirs = EmbitDescriptor.from_string(home.descriptor(branch))
        for index in (0, 1, 79):
            assert theirs.derive(index).address(EMBIT_NETWORKS["regtest"]) == addresses[index]
            assert home.address(branch, index).text == addresses[index]
            assert home.scripts(branch, index, 1) == [home.script(branch, index)]
        assert Descriptor.parse(home.descriptor()).addresses(Network.REGTEST, branch, 0, 80) == addresses
        assert MultisigAccount.from_descriptor(home.descriptor(branch), Network.REGTEST) == home


def test_sorted_keys_make_the_order_of_cosigners_a_matter_of_taste() -> None:
    turned = COSIGNERS[2::-1]
    assert replace(account(), cosigners=turned).script(0, 5) == account().script(0, 5)
    assert replace(account(sorted=False), cosigners=turned).script(0, 5) != account(sorted=False).script(0, 5)


def test_keys_and_paths() -> None:
    home = account()
    found = home.keys(1, 6)
    assert list(found) == [xpub.derive((1, 6)).key for _, xpub in COSIGNERS[:3]]
    assert home.spending(1, 6).origins == found
    assert str(home.path(ROOTS[1].fingerprint, 1, 6)) == "m/48h/1h/0h/2h/1/6"
    assert ROOTS[2].fingerprint in home
    assert ROOTS[3].fingerprint not in home
    with pytest.raises(InvalidInputError, match="no branch 2"):
        home.script(2, 0)


def test_paths_of_bip_48() -> None:
    assert str(multisig_path(MultisigScript.SH_WSH, 0, 3)) == "m/48h/0h/3h/1h"
    assert str(multisig_path(MultisigScript.WSH, 1, 0)) == "m/48h/1h/0h/2h"
    with pytest.raises(InvalidInputError):
        multisig_path(MultisigScript.WSH, 0, -1)


def test_h69_a_signer_that_is_no_cosigner_is_refused() -> None:
    home = account()
    home.check_own_key(ROOTS[0].fingerprint, COSIGNERS[0][1])
    for fingerprint in (ROOTS[5].fingerprint, UNKNOWN):
        with pytest.raises(InvalidInputError, match="is not a cosigner"):
            home.check_own_key(fingerprint, COSIGNERS[0][1])
    unknown = replace(home, cosigners=((KeyOrigin(UNKNOWN, HOME), COSIGNERS[0][1]), *COSIGNERS[1:3]))
    with pytest.raises(InvalidInputError, match="is not a cosigner"):
        unknown.own_keys(UNKNOWN)


def test_h70_another_key_under_our_name_is_refused() -> None:
    swapped = ((COSIGNERS[0][0], COSIGNERS[4][1]), *COSIGNERS[1:3])
    home = replace(account(), cosigners=swapped)
    with pytest.raises(InvalidInputError, match="names another key"):
        home.check_own_key(ROOTS[0].fingerprint, COSIGNERS[0][1])


def test_h71_a_cosigner_stands_in_it_once() -> None:
    for cosigners in (
        (*COSIGNERS[:2], COSIGNERS[0]),
        (*COSIGNERS[:2], (COSIGNERS[2][0], COSIGNERS[0][1])),
        (*COSIGNERS[:2], (COSIGNERS[0][0], COSIGNERS[2][1])),
    ):
        with pytest.raises(InvalidInputError) as caught:
            MultisigAccount(Network.REGTEST, MultisigKind.WSH, 2, cosigners)
        assert caught.value.code == "input.account"


@pytest.mark.parametrize(("threshold", "count"), [(0, 3), (4, 3), (1, 0), (1, 21), (True, 3), (2.0, 3)])
def test_h74_thresholds_and_numbers_have_limits(threshold: Any, count: int) -> None:
    for kind in KINDS:
        with pytest.raises(InvalidInputError, match="cosigners"):
            account(kind, threshold, count)
    with pytest.raises(InvalidInputError, match="cosigners"):
        account(MultisigKind.SH, 1, 16)
    assert len(account(MultisigKind.SH, 15, 15).spending(0, 0).redeem_script or b"") == 513


def test_keys_must_be_where_their_origin_says_and_on_the_network() -> None:
    wrong = (KeyOrigin(COSIGNERS[0][0].fingerprint, DerivationPath.from_text("m/48h/1h/0h/1h")), COSIGNERS[0][1])
    with pytest.raises(InvalidInputError, match="is not the one at"):
        replace(account(), cosigners=(wrong, *COSIGNERS[1:3]))
    with pytest.raises(InvalidInputError) as caught:
        replace(account(), network=Network.MAIN)
    assert caught.value.code == "input.network"


@pytest.mark.parametrize("kind", KINDS)
def test_json_round_trip(kind: MultisigKind) -> None:
    home = account(kind, sorted=False)
    assert MultisigAccount.from_json(json.loads(json.dumps(home.to_json()))) == home


@given(
    st.sampled_from(["version", "chain", "network", "multisig", "threshold", "sorted", "cosigners"]),
    st.none()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(), st.none()),
)
def test_a_damaged_record_is_refused(name: str, value: Any) -> None:
    data = account().to_json()
    if data[name] == value:
        return
    for damaged in ({**data, name: value}, {key: one for key, one in data.items() if key != name}):
        with pytest.raises(InvalidInputError) as caught:
            MultisigAccount.from_json(damaged)
        assert caught.value.code.startswith("input.")


@pytest.mark.parametrize(
    "change",
    [
        ("wsh(", "sh(sh("),
        ("sortedmulti", "multi_a"),
        ("<0;1>/*", "<0;1>"),
        ("<0;1>/*", "<1;0>/*"),
        ("<0;1>/*", "<0;1>/0/*"),
        ("<0;1>/*", "*"),
        ("wsh(sortedmulti(2,", "pkh("),
    ],
)
def test_other_descriptors_are_refused(change: tuple[str, str]) -> None:
    text = account().descriptor().partition("#")[0].replace(*change)
    with pytest.raises(InvalidInputError) as caught:
        MultisigAccount.from_descriptor(text, Network.REGTEST)
    assert caught.value.code == "input.descriptor"


def test_a_descriptor_without_origins_or_with_private_keys_is_refused() -> None:
    for text in (
        f"wsh(multi(1,{COSIGNERS[0][1]}/<0;1>/*))",
        f"wsh(multi(1,[{ROOTS[0].fingerprint}]{ROOTS[0].text().expose().decode()}/<0;1>/*))",
    ):
        with pytest.raises(InvalidInputError) as caught:
            MultisigAccount.from_descriptor(text, Network.REGTEST)
        assert "prv" not in str(caught.value)


def test_two_keys_of_one_signer() -> None:
    second = multisig_path(MultisigScript.WSH, 1, 1)
    more = (KeyOrigin(ROOTS[0].fingerprint, second), ROOTS[0].derive(second).public())
    home = replace(account(), cosigners=(*COSIGNERS[:2], more))
    assert len(home.own_keys(ROOTS[0].fingerprint)) == 2
    home.check_own_key(ROOTS[0].fingerprint, more[1])
    with pytest.raises(InvalidInputError, match="has 2 keys"):
        home.path(ROOTS[0].fingerprint, 0, 0)
    assert isinstance(home.cosigners[0][1], ExtendedPublicKey)
    assert isinstance(home.cosigners[0][0].fingerprint, Fingerprint)
