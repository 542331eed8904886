"""Scanning by script: descriptors, addresses, scripts in words."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from embit.descriptor import Descriptor as EmbitDescriptor
from embit.networks import NETWORKS
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptor import add_checksum
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2pkh, p2tr, p2wpkh
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import public_key, uncompressed
from bursar.errors import InvalidInputError
from bursar.nodes.sandbox.bitcoin.descriptors import Descriptor
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.bitcoin.opcodes import (
    assembly,
    output_type,
    push_only,
    pushes,
    signature_operations,
    valid_operations,
)
from bursar.nodes.sandbox.bitcoin.shapes import script_shape

SINK = p2tr(bytes(range(32)))
SINK_ADDRESS = Address.from_script(SINK, Network.REGTEST).text
GENESIS = Network.REGTEST.genesis_hash
TPUB = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp"


# scripts


def test_scanning_coins(rpc, workshop) -> None:
    workshop.send(workshop.ripe()[:1], [(SINK, 10_000)])
    workshop.chain.mine(1, FAUCET)
    result = rpc("scantxoutset", "start", [f"addr({SINK_ADDRESS})", {"desc": f"raw({p2wpkh(bytes(20)).hex()})"}])
    assert list(result) == ["success", "txouts", "height", "bestblock", "unspents", "total_amount"]
    (coin,) = result["unspents"]
    assert coin["amount"] == result["total_amount"] == Decimal("0.0001")
    assert (coin["height"], coin["coinbase"], coin["confirmations"]) == (111, False, 1)
    assert coin["blockhash"] == result["bestblock"]
    assert rpc("scantxoutset", "status") is None
    assert rpc("scantxoutset", "abort") is False
    assert rpc.error("scantxoutset", "run") == (-8, "Invalid action 'run'")
    assert rpc.error("scantxoutset", "start")[0] == -1
    for wrong, code in (([5], -8), (["addr(x)"], -5), ([{}], -8), ([{"desc": "raw(51)", "range": [2, 1]}], -8)):
        assert rpc.error("scantxoutset", "start", wrong)[0] == code


def test_scanning_blocks(rpc, workshop) -> None:
    sent = workshop.send(workshop.ripe()[:1], [(SINK, 10_000)])
    workshop.chain.mine(2, FAUCET)
    found = rpc("scanblocks", "start", [f"raw({SINK.hex()})"])
    assert found == {
        "from_height": 0,
        "to_height": 112,
        "relevant_blocks": [rpc("getblockhash", 111)],
        "completed": True,
    }
    assert sent.txid
    assert rpc("scanblocks", "start", [f"raw({SINK.hex()})"], 112)["relevant_blocks"] == []
    assert rpc("scanblocks", "status") is None
    assert rpc.error("scanblocks", "start", [], 500) == (-1, "Invalid start_height")
    assert rpc.error("scanblocks", "start", [], 5, 4) == (-1, "Invalid stop_height")
    assert rpc.error("scanblocks", "start", [], 0, 1, "fancy") == (-5, "Unknown filtertype")


@pytest.mark.parametrize(
    "form", ["pkh({})", "wpkh({})", "sh(wpkh({}))", "tr({})", "pkh([d34db33f/44h/0h/0h]{})", "wpkh([aabbccdd]{})"]
)
def test_descriptors_agree_with_embit(rpc, form: str) -> None:
    text = form.format(f"{TPUB}/1/*")
    theirs = EmbitDescriptor.from_string(text)
    expected = [theirs.derive(index).address(NETWORKS["regtest"]) for index in range(5)]
    assert rpc("deriveaddresses", add_checksum(text), [0, 4]) == expected
    assert rpc("deriveaddresses", add_checksum(text), 4) == expected
    info = rpc("getdescriptorinfo", text)
    assert (info["descriptor"], info["isrange"], info["issolvable"]) == (add_checksum(text), True, True)


def test_descriptors_one_by_one() -> None:
    key = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
    assert len(Descriptor.parse(f"combo({key})").scripts()) == 4
    (script, shown) = Descriptor.parse(f"rawtr({key[2:]})").scripts()[0]
    assert script == p2tr(bytes.fromhex(key[2:]))
    mark = hash160(bytes.fromhex("02" + key[2:]))[:4].hex()
    assert shown == add_checksum(f"rawtr([{mark}]{key[2:]})")
    (_, shown) = Descriptor.parse(f"tr([d34db33f/1]{TPUB}/2/*)").scripts(7, 7)[0]
    assert shown is not None
    assert shown.startswith("tr([d34db33f/1/2/7]")
    (_, shown) = Descriptor.parse(f"pk({key})").scripts()[0]
    assert shown == add_checksum(f"pk([{mark}]{key})")
    (_, shown) = Descriptor.parse(f"pk([d34db33f/1]{key})").scripts()[0]
    assert shown == add_checksum(f"pk([d34db33f/1]{key})")


def test_uncompressed_keys_are_for_old_scripts(rpc, workshop) -> None:
    key = uncompressed(public_key(bytes(31) + b"\x07")).hex()
    for form, where in (
        ("wpkh({})", "wpkh(): "),
        ("sh(wpkh({}))", "wpkh(): "),
        ("tr({})", "tr(): "),
        ("rawtr({})", ""),
    ):
        refusal = rpc.error("scantxoutset", "start", [form.format(key)])
        assert refusal == (-5, f"{where}Uncompressed keys are not allowed")
    mark = hash160(bytes.fromhex(key))[:4].hex()
    shown = [described for _, described in Descriptor.parse(f"combo({key})").scripts()]
    assert shown == [add_checksum(f"{form}([{mark}]{key})") for form in ("pk", "pkh")]
    workshop.send(workshop.ripe()[:1], [(p2pkh(hash160(bytes.fromhex(key))), 10_000)])
    workshop.chain.mine(1, FAUCET)
    (coin,) = rpc("scantxoutset", "start", [f"combo({key})"])["unspents"]
    assert coin["desc"] == shown[1]


@pytest.mark.parametrize(
    "text",
    [
        "", "raw", "raw()x", "raw(zz)", "addr()", "wsh(pk(x))", "multi(1,x)", "tr(x)", f"wpkh({TPUB}/0h/*)", "wpkh(02)",
        f"wpkh({'03' * 33})", "wpkh(" + "ab" * 32 + ")", "raw(51)#aaaaaaaa", "raw(51)#", "raw(51))",
        f"wpkh([zz]{TPUB})",
        "é", "raw(51)#é", "wpkh(tpubx/*)", f"wpkh({TPUB}/{2**31}/*)", "tr(" + "00" * 32 + ")",
    ],
)  # fmt: skip
def test_descriptors_refused(rpc, text: str) -> None:
    assert rpc.error("getdescriptorinfo", text)[0] == -5 or rpc.error("deriveaddresses", text, 1)[0] == -5


@given(st.text(max_size=40))
def test_descriptor_garbage(text: str) -> None:
    with contextlib.suppress(InvalidInputError):
        Descriptor.parse(text).scripts()


def test_addresses(rpc) -> None:
    good = rpc("validateaddress", SINK_ADDRESS)
    assert good == {
        "isvalid": True, "address": SINK_ADDRESS, "scriptPubKey": SINK.hex(), "isscript": True, "iswitness": True,
        "witness_version": 1, "witness_program": SINK[2:].hex(),
    }  # fmt: skip
    bad = rpc("validateaddress", SINK_ADDRESS[:-1] + "x")
    assert bad["isvalid"] is False
    assert bad["error"]
    assert rpc.error("deriveaddresses", f"raw({SINK.hex()})") == (-5, "Missing checksum")
    assert rpc("deriveaddresses", add_checksum(f"raw({SINK.hex()})")) == [SINK_ADDRESS]
    assert rpc.error("deriveaddresses", add_checksum("raw(51)"))[0] == -5
    assert rpc.error("deriveaddresses", add_checksum("raw(51)"), 3)[0] == -8
    assert rpc.error("deriveaddresses", add_checksum(f"wpkh({TPUB}/*)"))[0] == -8


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        ("", "nonstandard", ""),
        ("76a914" + "00" * 20 + "88ac", "pubkeyhash", "OP_DUP OP_HASH160 " + "00" * 20 + " OP_EQUALVERIFY OP_CHECKSIG"),
        ("a914" + "00" * 20 + "87", "scripthash", "OP_HASH160 " + "00" * 20 + " OP_EQUAL"),
        ("0014" + "00" * 20, "witness_v0_keyhash", "0 " + "00" * 20),
        ("5120" + "01" * 32, "witness_v1_taproot", "1 " + "01" * 32),
        ("51024e73", "anchor", "1 29518"),
        ("6028" + "00" * 40, "witness_unknown", "16 " + "00" * 40),
        ("0003616263", "nonstandard", "0 6513249"),
        ("6a0461626364", "nulldata", "OP_RETURN 1684234849"),
        ("6a05", "nonstandard", "OP_RETURN [error]"),
        ("4f00ba6150", "nonstandard", "-1 0 OP_CHECKSIGADD OP_NOP OP_RESERVED"),
        ("fffe", "nonstandard", "OP_INVALIDOPCODE OP_UNKNOWN"),
        ("0281000281804c0201804d0100ff4e01000000ff", "nonstandard", "129 -129 -1 -127 -127"),
    ],
)
def test_scripts_in_words(script: str, kind: str, text: str) -> None:
    assert output_type(bytes.fromhex(script)) == kind
    assert assembly(bytes.fromhex(script)) == text


KEY = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
ADDR = "addr(bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202)"


@pytest.mark.parametrize(
    ("script", "kind", "described"),
    [
        (f"21{KEY}ac", "pubkey", f"pk({KEY})"),
        (f"51{'21' + KEY}{'21' + KEY}52ae", "multisig", f"multi(1,{KEY},{KEY})"),
        (f"5120{KEY[2:]}", "witness_v1_taproot", f"rawtr({KEY[2:]})"),
        ("0014" + "00" * 20, "witness_v0_keyhash", ADDR),
        (f"21{'02' + 'ff' * 32}ac", "pubkey", f"raw(21{'02' + 'ff' * 32}ac)"),
        (f"51{'2102' + 'ff' * 32}51ae", "multisig", f"raw(51{'2102' + 'ff' * 32}51ae)"),
        ("51", "nonstandard", "raw(51)"),
        (f"52{'21' + KEY}51ae", "nonstandard", f"raw(52{'21' + KEY}51ae)"),
        (f"51{'21' + KEY}4fae", "nonstandard", f"raw(51{'21' + KEY}4fae)"),
        ("51ae", "nonstandard", "raw(51ae)"),
        ("5105ae", "nonstandard", "raw(5105ae)"),
    ],
)
def test_descriptors_of_scripts(script: str, kind: str, described: str) -> None:
    shape = script_shape(bytes.fromhex(script))
    assert shape["type"] == kind
    assert shape["desc"] == add_checksum(described)


def test_pushes_and_counts() -> None:
    assert pushes(bytes.fromhex("00014f4f514c0161604d010062")) == [b"", b"O", b"\x81", b"\x01", b"a", b"\x10", b"b"]
    for broken in ("50", "75", "4c", "4d01", "4c05aa", "0261"):
        assert pushes(bytes.fromhex(broken)) is None
    assert not push_only(bytes.fromhex("05"))
    assert not valid_operations(bytes.fromhex("05"))
    assert not valid_operations(b"\xff")
    assert signature_operations(bytes.fromhex("acad52ae53afaf05"), accurate=True) == 1 + 1 + 2 + 3 + 20
    assert signature_operations(bytes.fromhex("acad52ae"), accurate=False) == 22


def test_signatures_in_words() -> None:
    signature = "3006020101020101"
    assert assembly(bytes.fromhex("09" + signature + "01"), signatures=True) == signature + "[ALL]"
    assert assembly(bytes.fromhex("09" + signature + "41"), signatures=True) == signature + "41"
    assert assembly(bytes.fromhex("09" + signature + "01")) == signature + "01"
    for bent in ("3106020101020101", "3006020181020101", "3006030101020101", "3006020501020101", "3006020100020101"):
        text = assembly(bytes.fromhex("09" + bent + "01"), signatures=True)
        assert text.endswith("[ALL]") == (bent == "3006020100020101")
