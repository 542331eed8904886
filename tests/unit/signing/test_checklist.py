"""Rows of the signer's checklist that the other files of this folder do not carry, by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2tr
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.crypto import bech32
from bursar.crypto.hashes import hash160, tagged_hash
from bursar.crypto.secp256k1 import public_key, taproot_output_key
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.address import Address as EthereumAddress
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.origin import UNKNOWN, Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.amounts import SeenAmounts
from bursar.signing.change import change_outputs
from bursar.signing.checks import request_signatures
from bursar.signing.ownership import control_block_matches, names_key_of
from bursar.signing.preflight import PreflightLimits, check_psbt
from bursar.signing.remarks import remarks
from bursar.signing.spending import check_inputs

if TYPE_CHECKING:
    from bursar.backends.software import SoftwareSigner
    from bursar.bitcoin.account import BitcoinAccount

Account = Callable[..., "BitcoinAccount"]
SEGWIT = (Scheme.BIP84, Scheme.BIP49)


def refused(code: str, check: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check(*args, **options)
    assert caught.value.code == f"input.psbt.{code}", caught.value.message
    return caught.value.message


def renamed(psbt: Psbt, number: int, origin: KeyOrigin) -> Psbt:
    """The PSBT with every key of one input said to come from ``origin``."""
    one = psbt.inputs[number]
    for key in list(one.bip32_derivations):
        one.bip32_derivations[key] = origin
    for key, (leaves, _) in list(one.tap_bip32_derivations.items()):
        one.tap_bip32_derivations[key] = (leaves, origin)
    return psbt


def disguised(psbt: Psbt, number: int, text: str = "00000001/0/0") -> Psbt:
    return renamed(psbt, number, KeyOrigin.from_text(text))


# 11: the same outpoint seen earlier with another amount


@pytest.mark.parametrize("scheme", SEGWIT)
def test_row_11_the_same_coin_with_another_amount_in_a_later_request(ask: SimpleNamespace, scheme: Scheme) -> None:
    """The attack of two sessions, with previous transactions allowed to be missing."""
    honest = ask.question([ask.spend(scheme), ask.spend(scheme, index=1)], fee=50_000)
    loose = PreflightLimits(previous_required=False)
    requests = []
    for number in (0, 1):
        lying = honest.copy()
        for place in (0, 1):
            lying.inputs[place].non_witness_utxo = None
        output = honest.utxo(number)
        lying.inputs[number].witness_utxo = TxOut(Sats(output.value - 49_500), output.script)
        check_psbt(lying, limits=loose)
        assert lying.fee() == 500
        requests.append(lying)
    seen = SeenAmounts()
    seen.check(requests[0])
    seen.check(requests[0])
    assert "one of them lies" in refused("utxo", seen.check, requests[1])
    seen.check(requests[0])  # a lie refused is not remembered


def test_row_11_by_default_an_amount_is_proven_each_time(ask: SimpleNamespace) -> None:
    psbt = ask.one()
    psbt.inputs[0].non_witness_utxo = None
    refused("utxo", check_psbt, psbt)


def test_row_11_the_memory_is_bounded(ask: SimpleNamespace) -> None:
    seen = SeenAmounts(most=2)
    first, *others = (ask.one(salt=salt) for salt in range(4))
    for psbt in (first, *others):
        seen.check(psbt)
    lie = first.copy()
    lie.inputs[0].non_witness_utxo = None
    lie.inputs[0].witness_utxo = TxOut(Sats(1), first.utxo(0).script)
    seen.check(lie)
    assert len(seen._seen) == 2


# 21: addresses of another network or encoding


def test_row_21_an_address_of_another_network_or_encoding_is_no_recipient(account: Account) -> None:
    ours = {scheme: str(account(scheme).address(0, 0)) for scheme in Scheme}
    segwit, taproot = ours[Scheme.BIP84], ours[Scheme.BIP86]
    program, key = account().script(0, 0)[2:], account(Scheme.BIP86).script(0, 0)[2:]
    main = str(Address.from_script(account().script(0, 0), Network.MAIN))
    wrong = [
        main,
        str(Address.from_script(account().script(0, 0), Network.TESTNET)),
        str(Address.from_script(account(Scheme.BIP44).script(0, 0), Network.MAIN)),
        segwit[:10] + segwit[10:].upper(),
        segwit[:-1],
        segwit[:-1] + ("q" if segwit[-1] != "q" else "p"),
        recoded("bcrt", 0, program, bech32m=True),
        recoded("bcrt", 1, key, bech32m=False),
        recoded("bcrt", 17, key, bech32m=True),
        recoded("bcrt", 0, program[:19], bech32m=False),
        recoded("bcrt", 1, key + bytes(9), bech32m=True),
    ]
    for text in wrong:
        with pytest.raises(InvalidInputError):
            Address.from_text(text, Network.REGTEST)
    for text in (segwit, segwit.upper(), taproot):
        Address.from_text(text, Network.REGTEST)
    with pytest.raises(InvalidInputError):
        Address.from_text(segwit, Network.MAIN)


def recoded(hrp: str, version: int, program: bytes, *, bech32m: bool) -> str:
    """Bech32 text of anything, right or wrong, by our own arithmetic (BIP-173, BIP-350)."""
    bits = int.from_bytes(program, "big")
    size = (8 * len(program) + 4) // 5
    bits <<= size * 5 - 8 * len(program)
    data = [version, *((bits >> 5 * (size - 1 - place)) & 31 for place in range(size))]
    expanded = [ord(one) >> 5 for one in hrp] + [0] + [ord(one) & 31 for one in hrp]
    check = 1
    for value in (*expanded, *data, *([0] * 6)):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> place & 1 else 0
    check ^= 0x2BC830A3 if bech32m else 1
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    return f"{hrp}1" + "".join(letters[one] for one in (*data, *(check >> 5 * (5 - at) & 31 for at in range(6))))


def test_row_21_the_wrong_encodings_above_are_wrong_in_one_thing_only() -> None:
    assert recoded("bc", 0, bytes(20), bech32m=False) == bech32.encode("bc", 0, bytes(20))
    assert recoded("bc", 1, bytes(32), bech32m=True) == bech32.encode("bc", 1, bytes(32))


# 28: a key that is not in the script


def test_row_28_no_signature_of_a_key_that_is_not_in_the_script(
    ask: SimpleNamespace, signer: SoftwareSigner, account: Account
) -> None:
    psbt = ask.one()
    psbt.inputs[0].bip32_derivations.clear()
    psbt.inputs[0].bip32_derivations[account().key(0, 7)] = account().key_origin(0, 7)
    refused("key", request_signatures, signer, psbt)


# 29: leaf scripts that the output key does not commit to


def leaf_hash(script: bytes, version: int = 0xC0) -> bytes:
    return tagged_hash("TapLeaf", bytes((version, len(script))) + script)


def test_row_29_a_leaf_script_its_output_key_does_not_commit_to(ask: SimpleNamespace) -> None:
    internal, leaf = public_key(b"\x05" * 32)[1:], b"\x51"
    sibling = leaf_hash(b"\x52")
    root = tagged_hash("TapBranch", b"".join(sorted((leaf_hash(leaf), sibling))))
    output, parity = taproot_output_key(internal, root)
    control = bytes((0xC0 | parity,)) + internal + sibling
    assert control_block_matches(p2tr(output), control, leaf + b"\xc0")
    psbt = spending(ask.one(Scheme.BIP86), p2tr(output))
    one = psbt.inputs[0]
    one.tap_bip32_derivations.clear()
    one.tap_internal_key, one.tap_merkle_root = internal, root
    one.tap_leaf_scripts[control] = leaf + b"\xc0"
    check_psbt(psbt)
    for wrong, shown in (
        (control, b"\x52\xc0"),
        (control[:-32], leaf + b"\xc0"),
        (control + bytes(32), leaf + b"\xc0"),
        (bytes((control[0] ^ 1,)) + control[1:], leaf + b"\xc0"),
        (control[:1] + b"\xff" * 32 + control[33:], leaf + b"\xc0"),
    ):
        assert not control_block_matches(p2tr(output), wrong, shown)
        one.tap_leaf_scripts.clear()
        one.tap_leaf_scripts[wrong] = shown
        refused("script", check_psbt, psbt)
    assert not control_block_matches(p2tr(output), control, leaf + b"\xc2")
    assert not control_block_matches(p2tr(output), control, b"")


@given(st.binary(max_size=120), st.binary(max_size=60))
def test_row_29_any_control_block_is_judged(control: bytes, leaf: bytes) -> None:
    assert not control_block_matches(p2tr(bytes(32)), control, leaf)


def test_row_29_an_empty_tap_tree_is_refused_when_it_is_read(ask: SimpleNamespace, account: Account) -> None:
    psbt = ask.question([ask.spend(Scheme.BIP86)], change=account(Scheme.BIP86))
    psbt.outputs[1].fields[b"\x06"] = b""
    with pytest.raises(InvalidInputError):
        Psbt.parse(psbt.serialize())


def spending(psbt: Psbt, script: bytes) -> Psbt:
    """The question, spending ``script`` in place of what input 0 spent."""
    before = psbt.inputs[0].non_witness_utxo
    assert before is not None
    paid = TxOut(before.outputs[1].value, script)
    changed = Transaction(before.version, before.inputs, (before.outputs[0], paid), before.locktime)
    spent = TxIn(OutPoint(changed.txid, 1), b"", psbt.tx.inputs[0].sequence)
    made = Psbt(Transaction(psbt.tx.version, [spent], psbt.tx.outputs, psbt.tx.locktime))
    made.inputs[0].fields.update(psbt.inputs[0].fields)
    made.inputs[0].non_witness_utxo, made.inputs[0].witness_utxo = changed, paid
    return made


# 41, 42: other people's inputs, and ours that look like theirs


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_41_other_peoples_inputs_only_where_they_were_allowed(
    ask: SimpleNamespace, signer: SoftwareSigner, account: Account, scheme: Scheme
) -> None:
    psbt = ask.question([ask.spend(scheme), ask.of(ask.stranger(scheme))])
    assert "input 1 names no key of this signer" in refused(
        "external", request_signatures, signer, psbt, account=account(scheme)
    )
    allowed = request_signatures(signer, psbt, account=account(scheme), limits=PreflightLimits(external_inputs=True))
    assert allowed.inputs[1] == psbt.inputs[1]
    finished = psbt.copy()
    finished.inputs[1].final_witness = (bytes(64),)
    check_inputs(finished, account(scheme))


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("place", [(0, 0), (1, 999)])
def test_row_41_42_the_same_transaction_twice_with_the_other_input_made_a_strangers(
    ask: SimpleNamespace, account: Account, scheme: Scheme, place: tuple[int, int]
) -> None:
    """Each request would show one coin of ours pay along with a stranger's; together they take both of ours."""
    psbt = ask.question([ask.spend(scheme, *place), ask.spend(scheme, 0, 7)])
    for number in (0, 1):
        lying = disguised(psbt.copy(), number)
        for external in (False, True):
            message = refused("hidden", check_inputs, lying, account(scheme), external=external)
            assert f"input {number} is a coin of this account" in message
        nameless = psbt.copy()
        nameless.inputs[number].bip32_derivations.clear()
        nameless.inputs[number].tap_bip32_derivations.clear()
        refused("hidden", check_inputs, nameless, account(scheme), external=True)
        done = nameless.copy()
        done.inputs[number].final_witness = (bytes(64),)
        refused("hidden", check_inputs, done, account(scheme), external=True)


def test_row_42_beyond_the_window_a_strangers_input_is_still_an_external_one(
    ask: SimpleNamespace, account: Account
) -> None:
    psbt = disguised(ask.question([ask.spend(), ask.spend(Scheme.BIP84, 0, 1000)]), 1)
    refused("external", check_inputs, psbt, account())
    refused("hidden", check_inputs, psbt, account(), window=1001)


# 56: signed means a new valid signature


def test_row_56_the_same_psbt_written_otherwise_is_not_signed(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    psbt = ask.question([ask.spend(), ask.spend(index=1)])
    half = psbt.copy()
    half.inputs[0].fields.update(signer.sign_psbt(ask.question([ask.spend(), ask.spend(index=1)])).inputs[0].fields)

    def turned_round(asked: Psbt) -> Psbt:
        answer = asked.copy()
        for one in answer.inputs:
            fields = dict(reversed(one.fields.items()))
            one.fields.clear()
            one.fields.update(fields)
        return answer

    for question in (psbt, half):
        for answer in (turned_round, Psbt.copy, lambda asked: Psbt.parse(asked.serialize())):
            scripted = SimpleNamespace(info=signer.info, sign_psbt=answer)
            with pytest.raises(SignerMisbehavedError, match="added no signature"):
                request_signatures(scripted, question)


# 58: versions, locktimes, sequences


def timed(psbt: Psbt, *, version: int = 2, locktime: int = 0, sequence: int = 0xFFFFFFFD) -> Psbt:
    inputs = [TxIn(one.outpoint, b"", sequence) for one in psbt.tx.inputs]
    made = Psbt(Transaction(version, inputs, psbt.tx.outputs, locktime))
    for new, old in zip(made.inputs, psbt.inputs, strict=True):
        new.fields.update(old.fields)
    return made


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"version": 1}, []),
        ({"version": 0}, ["version"]),
        ({"version": 3}, ["version"]),
        ({"version": 0xFFFFFFFF}, ["version"]),
        ({"locktime": 800_000}, []),
        ({"locktime": 800_001}, ["locktime"]),
        ({"locktime": 800_001, "sequence": 0xFFFFFFFF}, []),
        ({"locktime": 4_000_000_000}, ["locktime"]),
        ({"locktime": 499_999_999}, ["locktime"]),
        ({"sequence": 144}, ["sequence"]),
        ({"sequence": 144, "version": 1}, []),
        ({"sequence": 0x0040_0010}, ["sequence"]),
        ({"sequence": 0x8000_0090}, []),
        ({"sequence": 0}, []),
    ],
)
def test_row_58_versions_locktimes_and_sequences_are_told(
    ask: SimpleNamespace, changes: dict[str, int], codes: list[str]
) -> None:
    psbt = timed(ask.one(), **changes)
    check_psbt(psbt)
    assert [remark.code for remark in remarks(psbt, tip_height=800_000)] == codes
    assert all(remark.text.isprintable() for remark in remarks(psbt))


def test_row_10_a_fee_below_what_nodes_relay_is_told(ask: SimpleNamespace) -> None:
    psbt = ask.one(fee=100)
    assert [remark.code for remark in remarks(psbt, vsize=141)] == ["fee-low"]
    assert not remarks(psbt, vsize=100)
    assert not remarks(psbt)


# 64, 65: paths agree with scripts, coins and chains


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("other", list(Scheme))
def test_row_64_a_purpose_that_is_not_its_scripts(
    ask: SimpleNamespace, account: Account, scheme: Scheme, other: Scheme
) -> None:
    psbt = ask.one(scheme)
    fingerprint = account().origin.fingerprint
    renamed(psbt, 0, KeyOrigin(fingerprint, account(other).path(0, 0)))
    if other is scheme:
        check_psbt(psbt, fingerprint=fingerprint)
    else:
        assert "not of the kind kept there" in refused("key", check_psbt, psbt, fingerprint=fingerprint)
        refused("key", check_psbt, psbt)
        refused("nothing-to-sign", check_psbt, psbt, fingerprint=Fingerprint(b"\1\2\3\4"))


@pytest.mark.parametrize("path", ["m/84h/2h/0h/0/0", "m/84h/60h/0h/0/0", "m/84h/0/0h/0/0", "m/44h/60h/0h/0/0"])
def test_row_64_65_a_path_of_another_coin(ask: SimpleNamespace, account: Account, path: str) -> None:
    origin = KeyOrigin(account().origin.fingerprint, DerivationPath.from_text(path))
    psbt = renamed(ask.one(Scheme.BIP84), 0, origin)
    assert "no path of bitcoin keys" in refused("key", check_psbt, psbt, fingerprint=origin.fingerprint)


def test_row_64_purposes_without_a_rule_are_free(ask: SimpleNamespace, account: Account) -> None:
    fingerprint = account().origin.fingerprint
    for path in ("m", "m/0", "m/48h/0h/0h/2h/0/0", "m/45h/0", "m/84/5/0"):
        psbt = renamed(ask.one(), 0, KeyOrigin(fingerprint, DerivationPath.from_text(path)))
        check_psbt(psbt, fingerprint=fingerprint)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_64_an_index_that_is_not_its_scripts(ask: SimpleNamespace, account: Account, scheme: Scheme) -> None:
    ours = account(scheme)
    for place in ((0, 1), (1, 0)):
        psbt = renamed(ask.one(scheme), 0, ours.key_origin(*place))
        assert "another one" in refused("account", check_inputs, psbt, ours)
    third = renamed(ask.one(scheme), 0, ours.key_origin(2, 0))
    assert "not of the account" in refused("account", check_inputs, third, ours)
    hardened = renamed(ask.one(scheme), 0, KeyOrigin(ours.origin.fingerprint, ours.origin.path / 0 / (1 << 31)))
    refused("account", check_inputs, hardened, ours)


def test_row_65_ethereum_and_bitcoin_keys_do_not_sign_for_each_other(signer: SoftwareSigner) -> None:
    tx = UnsignedTransaction(
        chain_id=1,
        nonce=0,
        to=EthereumAddress(b"\x11" * 20),
        value=Wei(1),
        gas_limit=21000,
        max_fee_per_gas=Wei(1),
        max_priority_fee_per_gas=Wei(1),
    )
    for path in ("m/84h/0h/0h/0/0", "m/44h/0h/0h/0/0"):
        with pytest.raises(InvalidInputError) as caught:
            signer.sign_transaction(DerivationPath.from_text(path), tx)
        assert caught.value.code == "input.path"


# 67: the fingerprint 00000000 is nobody's


def test_row_67_an_unknown_master_key_matches_nothing(ask: SimpleNamespace, account: Account) -> None:
    psbt = disguised(ask.one(), 0, f"00000000{account().path(0, 0).suffix()}")
    assert not names_key_of(psbt.inputs[0], UNKNOWN)
    refused("nothing-to-sign", check_psbt, psbt, fingerprint=account().origin.fingerprint)
    refused("hidden", check_inputs, psbt, account())
    check_psbt(psbt, fingerprint=UNKNOWN)  # a signer that does not know itself is held to nothing


def test_row_67_change_of_an_unknown_master_key_is_a_payment(ask: SimpleNamespace, account: Account) -> None:
    ours = account()
    psbt = ask.question([ask.spend()], change=ours)
    for key in list(psbt.outputs[1].bip32_derivations):
        psbt.outputs[1].bip32_derivations[key] = KeyOrigin(UNKNOWN, ours.path(1, 3))
    assert change_outputs(psbt, ours) == ()
    watched = replace(ours, origin=KeyOrigin(UNKNOWN, ours.origin.path))
    assert change_outputs(psbt, watched) == ()


def test_row_67_the_disguises_of_these_tests_are_not_hash_collisions(account: Account) -> None:
    assert hash160(account().xpub.key)[:4] != bytes(4)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_09_a_fee_of_most_of_the_money_is_refused(ask: SimpleNamespace, scheme: Scheme) -> None:
    """The share counts beside the sum and the rate: devices sign 99 % of 100,000 sat in silence."""
    loose = PreflightLimits(max_fee=Sats(10**8), max_fee_rate=FeeRate(10**9))
    have = int(ask.one(scheme).utxo(0).value)
    check_psbt(ask.one(scheme, fee=have // 2 - 600), limits=loose)
    dear = ask.one(scheme, fee=have // 2 - 600)
    low = replace(loose, max_fee_percent=40)
    assert "% of the" in refused("fee", check_psbt, dear, limits=low)
    check_psbt(dear, limits=replace(loose, max_fee_percent=100))


def test_row_11_request_signatures_remembers_amounts(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    seen, loose = SeenAmounts(), PreflightLimits(previous_required=False)
    honest = ask.question([ask.spend(), ask.spend(index=1)], fee=50_000)
    request_signatures(signer, honest, limits=loose, seen=seen)
    lying = honest.copy()
    for one in lying.inputs:
        one.non_witness_utxo = None
    output = honest.utxo(0)
    lying.inputs[0].witness_utxo = TxOut(Sats(output.value - 49_500), output.script)
    assert "one of them lies" in refused("utxo", request_signatures, signer, lying, limits=loose, seen=seen)
