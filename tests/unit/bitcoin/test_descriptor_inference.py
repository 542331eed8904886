"""From scripts and key origins back to descriptors, as PSBTs tell them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.descriptors import Descriptor, strip_checksum
from bursar.bitcoin.descriptors.inference import infer, infer_input, infer_output, raw_extended
from bursar.bitcoin.descriptors.taproot import branch_hash, leaf_hash
from bursar.bitcoin.descriptors.tree_inference import tree_of_blocks, tree_of_field
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import op_return, p2sh, p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import sized
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import public_key, taproot_output_key, uncompressed
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme

POINTS = [public_key(bytes((number,)) * 32) for number in range(1, 6)]
HOME = DerivationPath.from_text("m/48h/1h/0h/2h")
ROOTS = [ExtendedPrivateKey.from_seed(bytes((number,)) * 32, testnet=True) for number in range(1, 4)]
COSIGNERS = [(KeyOrigin(root.fingerprint, HOME), root.derive(HOME).public()) for root in ROOTS]
KEYS = ",".join(f"[{origin}]{xpub}/<0;1>/*" for origin, xpub in COSIGNERS)


def document(descriptor: Descriptor) -> Psbt:
    before = Transaction(
        2, (TxIn(OutPoint(Txid(bytes(range(32))), 0)),), (TxOut(Sats(90_000), descriptor.script(0, 3)),), 0
    )
    output = TxOut(Sats(80_000), descriptor.script(1, 4))
    psbt = Psbt(Transaction(2, (TxIn(OutPoint(before.txid, 0)),), (output,), 0))
    psbt.inputs[0].non_witness_utxo = before
    descriptor.spending(0, 3).describe_input(psbt.inputs[0])
    descriptor.spending(1, 4).describe_output(psbt.outputs[0])
    return psbt


@pytest.mark.parametrize(
    "text",
    [
        f"pkh([{COSIGNERS[0][0]}]{COSIGNERS[0][1]}/<0;1>/*)",
        f"wpkh([{COSIGNERS[0][0]}]{COSIGNERS[0][1]}/<0;1>/*)",
        f"sh(wpkh([{COSIGNERS[0][0]}]{COSIGNERS[0][1]}/<0;1>/*))",
        f"tr([{COSIGNERS[0][0]}]{COSIGNERS[0][1]}/<0;1>/*)",
        f"wsh(multi(2,{KEYS}))",
        f"sh(multi(2,{KEYS}))",
        f"sh(wsh(multi(3,{KEYS})))",
        f"wsh(pkh([{COSIGNERS[0][0]}]{COSIGNERS[0][1]}/<0;1>/*))",
        f"wsh(pk([{COSIGNERS[0][0]}]{COSIGNERS[0][1]}/<0;1>/*))",
    ],
)
def test_a_psbt_tells_its_descriptors(text: str) -> None:
    descriptor = Descriptor.parse(text)
    psbt = document(descriptor)
    for found, branch, index in ((infer_input(psbt, 0), 0, 3), (infer_output(psbt, 0), 1, 4)):
        assert found.script() == descriptor.script(branch, index)
        assert not found.ranged
        assert [key.origin_at(0, 0) for key in found.keys] == [key.origin_at(branch, index) for key in descriptor.keys]
    for origin, xpub in COSIGNERS:
        psbt.xpubs[raw_extended(xpub)] = origin
    psbt = Psbt.parse(psbt.serialize())
    assert strip_checksum(str(infer_input(psbt, 0))) == text.replace("<0;1>/*", "0/3")
    assert strip_checksum(str(infer_output(psbt, 0))) == text.replace("<0;1>/*", "1/4")


def test_an_extended_key_that_does_not_fit_is_not_named() -> None:
    descriptor = Descriptor.parse(f"wpkh([{COSIGNERS[0][0]}]{COSIGNERS[0][1]}/<0;1>/*)")
    psbt = document(descriptor)
    psbt.xpubs[raw_extended(COSIGNERS[1][1])] = COSIGNERS[0][0]
    found = infer_input(psbt, 0)
    assert found.keys[0].key == COSIGNERS[0][1].derive((0, 3)).key


def test_a_key_of_the_other_parity_is_another_key() -> None:
    origin, xpub = COSIGNERS[0]
    key = xpub.derive((0, 3)).key
    other = bytes((5 - key[0],)) + key[1:]
    place = KeyOrigin(origin.fingerprint, origin.path / 0 / 3)
    found = infer(p2wpkh(hash160(other)), {other: place}, xpubs={xpub: origin})
    assert found.keys[0].key == other
    assert found.script() == p2wpkh(hash160(other))


def test_scripts_that_keys_do_not_explain() -> None:
    script = p2wpkh(hash160(POINTS[0]))
    assert strip_checksum(str(infer(script, {}))) == f"raw({script.hex()})"
    found = infer(script, {}, network=Network.REGTEST)
    assert strip_checksum(str(found)) == f"addr({found.address(Network.REGTEST)})"
    assert found.script() == script
    data = op_return(b"data")
    assert infer(data, {}, network=Network.REGTEST).script() == data
    # inner scripts that are not the ones hashed prove nothing
    inner = b"\x21" + POINTS[0] + b"\xac"
    assert str(infer(p2wsh(sha256(inner)), {}, witness_script=inner + b"\x51")).startswith("raw(")
    assert str(infer(p2sh(hash160(inner)), {}, redeem_script=inner)).startswith("sh(pk(")
    # uncompressed keys in a segwit script: no descriptor makes it
    wide = uncompressed(POINTS[0])
    inner = b"\x41" + wide + b"\xac"
    assert str(infer(p2wsh(sha256(inner)), {}, witness_script=inner)).startswith("raw(")
    assert str(infer(inner, {})).startswith("pk(04")


@pytest.mark.parametrize(("threshold", "count"), [(1, 1), (16, 16), (1, 17), (17, 17), (20, 20)])
def test_multisig_up_to_what_consensus_allows(threshold: int, count: int) -> None:
    keys = [public_key(bytes((number,)) * 32).hex() for number in range(1, count + 1)]
    text = f"wsh(multi({threshold},{','.join(keys)}))"
    spending = Descriptor.parse(text).spending()
    assert strip_checksum(str(infer(spending.script, {}, witness_script=spending.witness_script))) == text


def test_taproot_with_and_without_its_internal_key() -> None:
    internal = POINTS[1][1:]
    output = b"\x51\x20" + taproot_output_key(internal)[0]
    assert strip_checksum(str(infer(output, {}, internal_key=internal))) == f"tr({internal.hex()})"
    assert strip_checksum(str(infer(output, {}))) == f"rawtr({output[2:].hex()})"
    leaf = b"\x20" + POINTS[2][1:] + b"\xac"
    tree = b"\x51\x20" + taproot_output_key(internal, leaf_hash(leaf))[0]
    assert str(infer(tree, {}, internal_key=internal)).startswith("rawtr(")
    found = infer(tree, {}, internal_key=internal, tree=[(0, leaf)])
    assert strip_checksum(str(found)) == f"tr({internal.hex()},pk({POINTS[2][1:].hex()}))"
    assert str(infer(tree, {}, internal_key=internal, tree=[(1, leaf)])).startswith("rawtr(")
    other = b"\x51" + leaf
    tree = b"\x51\x20" + taproot_output_key(internal, leaf_hash(other))[0]
    assert str(infer(tree, {}, internal_key=internal, tree=[(0, other)])).startswith("rawtr(")


TREES = [
    "tr({0},pk({1}))",
    "tr({0},{{pk({1}),pkh({2})}})",
    "tr({0},{{multi_a(2,{1},{2},{3}),{{pk({1}),{{pk({2}),multi_a(1,{3})}}}}}})",
    "tr({0},{{{{pk({1}),pk({2})}},{{pk({3}),pkh({1})}}}})",
    "tr({0},{{pk({1}),pk({1})}})",
]


@pytest.mark.parametrize("form", TREES)
def test_script_trees(form: str) -> None:
    keys = [f"[{origin}]{xpub}/<0;1>/*" for origin, xpub in COSIGNERS]
    descriptor = Descriptor.parse(form.format(keys[0], *keys))
    psbt = document(descriptor)
    for origin, xpub in COSIGNERS:
        psbt.xpubs[raw_extended(xpub)] = origin
    psbt = Psbt.parse(psbt.serialize())
    told = infer_input(psbt, 0)
    assert told.script() == descriptor.script(0, 3)
    assert str(told).startswith("tr(")
    assert strip_checksum(str(infer_output(psbt, 0))) == strip_checksum(str(descriptor)).replace("<0;1>/*", "1/4")
    if len(psbt.inputs[0].tap_leaf_scripts) > 1:
        del psbt.inputs[0].tap_leaf_scripts[next(iter(psbt.inputs[0].tap_leaf_scripts))]
        assert str(infer_input(psbt, 0)).startswith("rawtr(")


def test_a_tree_that_doubles_at_every_level_is_refused() -> None:
    script = b"\x20" + POINTS[0][1:] + b"\xac"
    hashes = [leaf_hash(script)]
    for _ in range(128):
        hashes.append(branch_hash(hashes[-1], hashes[-1]))
    block = b"\xc0" + POINTS[1][1:] + b"".join(hashes[:128])
    assert tree_of_blocks({block: script + b"\xc0"}, hashes[128]) is None
    found = tree_of_blocks({b"\xc0" + POINTS[1][1:] + hashes[0]: script + b"\xc0"}, hashes[1])
    assert found == ((1, script), (1, script))


@given(st.binary(max_size=80))
def test_malformed_trees_are_no_trees(raw: bytes) -> None:
    found = tree_of_field(raw)
    assert found is None or b"".join(bytes((depth, 0xC0)) + sized(one) for depth, one in found) == raw
    assert tree_of_blocks({raw: raw}, bytes(32)) is None


@pytest.mark.parametrize("scheme", list(Scheme))
def test_accounts(scheme: Scheme, wallet: Any) -> None:
    account = wallet.account(scheme)
    redeem = p2wpkh(hash160(account.key(1, 9))) if scheme is Scheme.BIP49 else None
    internal = account.key(1, 9)[1:] if scheme is Scheme.BIP86 else None
    known = b"\x02" + internal if internal else account.key(1, 9)
    found = infer(
        account.script(1, 9),
        {known: account.key_origin(1, 9)},
        redeem_script=redeem,
        internal_key=internal,
        xpubs={account.xpub: account.origin},
    )
    assert str(found).split("#")[0] == strip_checksum(account.descriptor(1)).replace("*", "9")


POLICIES = [
    "wsh(thresh(3,pk({0}),s:pk({1}),s:pk({2}),sln:older(12960)))",
    "sh(wsh(or_d(pk({0}),and_v(v:pkh({1}),older(65535)))))",
    "tr({0},{{and_v(v:pk({1}),older(5)),or_d(pkh({2}),and_v(v:multi_a(1,{3},{4}),after(10)))}})",
]


@pytest.mark.parametrize("form", POLICIES)
def test_miniscript_is_inferred_from_script_and_origins(form: str) -> None:
    keys = [public_key(bytes((number,)) * 32) for number in range(1, 6)]
    texts = [f"[{place:08x}/48h]{(key[1:] if 'tr' in form[:2] else key).hex()}" for place, key in enumerate(keys)]
    descriptor = Descriptor.parse(form.format(*texts))
    made = descriptor.spending()
    origins = {**made.origins, **{b"\x02" + key: place[1] for key, place in made.tap_origins.items()}}
    found = infer(
        made.script,
        origins,
        redeem_script=made.redeem_script,
        witness_script=made.witness_script,
        internal_key=made.internal_key,
        tree=[(leaf.depth, leaf.script) for leaf in made.leaves],
    )
    assert found == descriptor
    # a key that is known by its hash only leaves the script untold
    without = {key: origin for key, origin in origins.items() if key[1:] not in (keys[1][1:], keys[2][1:])}
    if "pkh" in form:
        untold = infer(made.script, without, redeem_script=made.redeem_script, witness_script=made.witness_script)
        assert untold.bare.startswith(("raw(", "rawtr("))
