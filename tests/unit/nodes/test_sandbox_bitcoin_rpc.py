"""JSON-RPC of the regtest node: Bitcoin Core 28's methods, shapes and error codes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import op_return, p2tr
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.crypto.hashes import sha256d
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.node import FAUCET

SINK = p2tr(bytes(range(32)))
SINK_ADDRESS = Address.from_script(SINK, Network.REGTEST).text
GENESIS = Network.REGTEST.genesis_hash
TPUB = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp"


# the chain


def test_chain_state(rpc, workshop) -> None:
    info = rpc("getblockchaininfo")
    assert list(info) == [
        "chain", "blocks", "headers", "bestblockhash", "difficulty", "time", "mediantime", "verificationprogress",
        "initialblockdownload", "chainwork", "size_on_disk", "pruned", "warnings",
    ]  # fmt: skip
    assert (info["chain"], info["blocks"], info["initialblockdownload"]) == ("regtest", 110, False)
    assert int(info["chainwork"], 16) == 2 * 111
    assert rpc("getblockcount") == 110
    assert rpc("getbestblockhash") == info["bestblockhash"] == rpc("getblockhash", 110)
    assert rpc("getblockhash", 0) == GENESIS
    assert rpc.error("getblockhash", 111) == (-8, "Block height out of range")
    assert rpc.error("getblockhash", -1) == (-8, "Block height out of range")
    assert rpc("getdifficulty") == Decimal("4.656542373906925e-10")
    assert rpc("getmininginfo")["blocks"] == 110
    assert rpc("getnetworkinfo")["version"] == 280100
    assert rpc("uptime") >= 0
    assert rpc("ping") is None
    assert rpc("getindexinfo", "txindex") == {"txindex": {"synced": True, "best_block_height": 110}}


def test_empty_chain_awaits_blocks(rpc, chain: RegtestChain) -> None:
    assert rpc("getblockchaininfo")["initialblockdownload"] is True
    chain.mine(1, FAUCET)
    assert rpc("getblockchaininfo")["initialblockdownload"] is False


def test_headers(rpc, workshop) -> None:
    middle = rpc("getblockhash", 50)
    header = rpc("getblockheader", middle)
    assert header["height"] == 50
    assert header["confirmations"] == 61
    assert header["previousblockhash"] == rpc("getblockhash", 49)
    assert header["nextblockhash"] == rpc("getblockhash", 51)
    assert header["mediantime"] == workshop.chain.index.median_time(50)
    assert len(rpc("getblockheader", middle, False)) == 160
    assert "previousblockhash" not in rpc("getblockheader", GENESIS)
    assert "nextblockhash" not in rpc("getblockheader", rpc("getbestblockhash"))
    assert rpc.error("getblockheader", "00" * 32) == (-5, "Block not found")


def test_blocks(rpc, workshop) -> None:
    sent = workshop.send(workshop.ripe()[:1], [(SINK, 10_000)])
    workshop.chain.mine(1, FAUCET)
    tip = rpc("getbestblockhash")
    raw = rpc("getblock", tip, 0)
    assert bytes.fromhex(raw) == workshop.chain.index.tip.block.raw
    assert rpc("getblock", tip, False) == raw
    one = rpc("getblock", tip)
    assert one["tx"][1] == str(sent.txid)
    assert one["size"] == len(raw) // 2
    assert one["weight"] == 3 * one["strippedsize"] + one["size"]
    two = rpc("getblock", tip, 2)["tx"][1]
    assert two["fee"] == Decimal("0.00001")
    assert "prevout" not in two["vin"][0]
    three = rpc("getblock", tip, 3)["tx"][1]
    assert three["vin"][0]["prevout"]["generated"] is True
    assert three["vin"][0]["prevout"]["value"] == 50
    assert three["vout"][0]["scriptPubKey"]["hex"] == SINK.hex()
    assert "fee" not in rpc("getblock", GENESIS, 2)["tx"][0]


def test_hashes_are_checked(rpc) -> None:
    assert rpc.error("getblock", "abc") == (-8, "blockhash must be of length 64 (not 3, for 'abc')")
    assert rpc.error("getblock", "zz" * 32)[0] == -8
    assert rpc.error("getblock", 5) == (-3, "JSON value of type number is not of expected type string")
    assert rpc.error("getblock")[0] == -1
    assert rpc.error("getblock", GENESIS, 1, 2)[0] == -1
    assert rpc.error("getblock", GENESIS, Decimal("1.5"))[0] == -1
    assert rpc.error("getblock", GENESIS, "1")[0] == -3


def test_reorganisation(rpc, workshop) -> None:
    stale = rpc("getblockhash", 109)
    tip = rpc("getbestblockhash")
    assert rpc("invalidateblock", stale) is None
    assert rpc("getblockcount") == 108
    assert rpc("getblockheader", stale)["confirmations"] == -1
    assert [(entry["status"], entry["branchlen"]) for entry in rpc("getchaintips")] == [("invalid", 2), ("active", 0)]
    (other,) = rpc("generatetoaddress", 1, SINK_ADDRESS)
    assert rpc("reconsiderblock", stale) is None
    assert rpc("getbestblockhash") == tip
    statuses = {entry["hash"]: entry["status"] for entry in rpc("getchaintips")}
    assert statuses == {tip: "active", other: "valid-fork"}
    assert rpc.error("invalidateblock", "00" * 32) == (-5, "Block not found")
    assert rpc.error("invalidateblock", GENESIS)[0] == -1


def test_submitblock(rpc, workshop) -> None:
    with RegtestChain(None) as other:
        for connected in workshop.chain.index.chain[1:]:
            assert rpc.of(other)("submitblock", connected.block.raw.hex()) is None
        branch = [other.mine(1, SINK) and other.index.tip.block.raw.hex() for _ in range(2)]
    assert rpc("submitblock", branch[1]) == "prev-blk-not-found"
    rpc("generatetoaddress", 1, SINK_ADDRESS)
    assert rpc("submitblock", branch[0]) == "inconclusive"
    assert rpc("submitblock", branch[0]) == "duplicate"
    assert rpc("submitblock", branch[1]) is None
    assert rpc("getbestblockhash") == other.tip_hash
    rpc("invalidateblock", other.tip_hash)
    assert rpc("submitblock", branch[1]) == "duplicate-invalid"
    bent = bytearray(bytes.fromhex(branch[1]))
    bent[100] ^= 1
    assert str(rpc("submitblock", bent.hex())).startswith(("rejected", "duplicate-invalid", "prev-blk"))
    assert rpc.error("submitblock", "zz") == (-22, "Block decode failed")
    assert rpc.error("submitblock", branch[0][:-2]) == (-22, "Block decode failed")


def test_set_of_coins(rpc, workshop) -> None:
    workshop.send(workshop.ripe()[:1], [(op_return(b"x"), 0)])
    workshop.chain.mine(1, FAUCET)
    info = rpc("gettxoutsetinfo")
    assert info["txouts"] == len(workshop.chain.index.coins)
    assert info["total_amount"] == 50 * 111
    assert rpc.error("gettxoutsetinfo", "muhash")[0] == -8


# transactions


def test_transactions(rpc, workshop) -> None:
    sent = workshop.send(workshop.ripe()[:1], [(SINK, 10_000)])
    waiting = rpc("getrawtransaction", str(sent.txid), 1)
    assert "blockhash" not in waiting
    workshop.chain.mine(2, FAUCET)
    block = rpc("getblockhash", 111)
    found = rpc("getrawtransaction", str(sent.txid), 1)
    assert (found["blockhash"], found["confirmations"]) == (block, 2)
    assert found["time"] == found["blocktime"]
    assert found["hex"] == rpc("getrawtransaction", str(sent.txid)) == waiting["hex"]
    assert rpc("getrawtransaction", str(sent.txid), True, block)["in_active_chain"] is True
    assert rpc("getrawtransaction", str(sent.txid), 2)["fee"] == Decimal("0.00001")
    assert rpc("decoderawtransaction", found["hex"])["txid"] == str(sent.txid)
    assert rpc.error("getrawtransaction", "11" * 32)[0] == -5
    assert rpc.error("getrawtransaction", str(sent.txid), 1, "11" * 32) == (-5, "Block hash not found")
    assert rpc.error("getrawtransaction", str(sent.txid), 0, GENESIS)[0] == -5
    coinbase = rpc("getblock", GENESIS)["tx"][0]
    assert "genesis block coinbase" in rpc.error("getrawtransaction", coinbase)[1]
    assert rpc.error("decoderawtransaction", "00") == (-22, "TX decode failed")


def test_transaction_of_a_stale_block(rpc, workshop) -> None:
    sent = workshop.send(workshop.ripe()[:1])
    workshop.chain.mine(1, FAUCET)
    block = rpc("getbestblockhash")
    rpc("invalidateblock", block)
    shape = rpc("getrawtransaction", str(sent.txid), 1, block)
    assert (shape["in_active_chain"], shape["confirmations"]) == (False, 0)
    assert "blockhash" not in rpc("getrawtransaction", str(sent.txid), 1)


def test_outputs(rpc, workshop) -> None:
    coin = workshop.ripe()[0]
    txid, vout = str(coin.txid), coin.vout
    before = rpc("gettxout", txid, vout)
    assert list(before) == ["bestblock", "confirmations", "value", "scriptPubKey", "coinbase"]
    assert (before["value"], before["coinbase"]) == (50, True)
    spent = workshop.send([coin])
    assert rpc("gettxout", txid, vout) is None
    assert rpc("gettxout", txid, vout, False) == before
    assert rpc("gettxout", str(spent.txid), 0)["confirmations"] == 0
    assert rpc("gettxout", str(spent.txid), 0, False) is None
    assert rpc("gettxspendingprevout", [{"txid": txid, "vout": vout}, {"txid": str(spent.txid), "vout": 0}]) == [
        {"txid": txid, "vout": vout, "spendingtxid": str(spent.txid)},
        {"txid": str(spent.txid), "vout": 0},
    ]
    assert rpc.error("gettxspendingprevout", [])[0] == -8
    assert rpc.error("gettxspendingprevout", [5])[0] == -3
    assert rpc.error("gettxspendingprevout", [{"txid": txid, "vout": -1}])[0] == -8


def test_sending(rpc, workshop) -> None:
    tx = workshop.tx(workshop.ripe()[:1], [(SINK, 10_000)])
    raw = tx.serialize().hex()
    assert rpc("sendrawtransaction", raw) == str(tx.txid)
    assert rpc("sendrawtransaction", raw) == str(tx.txid)  # waiting already: fine
    workshop.chain.mine(1, FAUCET)
    assert rpc.error("sendrawtransaction", raw) == (-27, "Transaction outputs already in utxo set")
    low = workshop.tx(workshop.ripe()[:1], fee=1).serialize().hex()
    assert rpc.error("sendrawtransaction", low)[1].startswith("min relay fee not met, 1 < ")
    assert rpc.error("sendrawtransaction", low)[0] == -26
    nowhere = tx.serialize().replace(tx.inputs[0].outpoint.txid, bytes(31) + b"\1").hex()
    assert rpc.error("sendrawtransaction", nowhere) == (-25, "bad-txns-inputs-missingorspent")
    dear = workshop.tx(workshop.ripe()[:1], fee=10_000_000).serialize().hex()
    code, message = rpc.error("sendrawtransaction", dear)
    assert (code, message.partition(" (")[0]) == (-25, "Fee exceeds maximum configured by user")
    assert rpc.error("sendrawtransaction", dear, Decimal("1"))[0] == -8
    assert rpc("sendrawtransaction", dear, 0) in rpc("getrawmempool")
    burn = workshop.tx(workshop.ripe()[1:2], [(op_return(b"x"), 5)]).serialize().hex()
    assert rpc.error("sendrawtransaction", burn)[0] == -25
    assert rpc("sendrawtransaction", burn, "0.10", "0.00000005")
    for wrong in ("zz", "00", "", raw + "00"):
        assert rpc.error("sendrawtransaction", wrong)[0] == -22
    assert rpc.error("sendrawtransaction", raw, "x") == (-3, "Invalid amount")
    assert rpc.error("sendrawtransaction", raw, -1) == (-3, "Amount out of range")
    assert rpc.error("sendrawtransaction", raw, []) == (-3, "Amount is not a number or string")


def test_testing(rpc, workshop) -> None:
    tx = workshop.tx(workshop.ripe()[:1])
    child = None
    (result,) = rpc("testmempoolaccept", [tx.serialize().hex()])
    assert list(result) == ["txid", "wtxid", "allowed", "vsize", "fees"]
    assert result["fees"]["base"] == Decimal("0.00001")
    assert result["fees"]["effective-includes"] == [str(tx.wtxid)]
    assert not rpc("getrawmempool")
    workshop.chain.submit(tx)
    child = workshop.tx([OutPoint(tx.txid, 0)])
    workshop.chain.mempool.remove(workshop.chain.mempool.entries[tx.txid])
    both = rpc("testmempoolaccept", [tx.serialize().hex(), child.serialize().hex()])
    assert [entry["allowed"] for entry in both] == [True, True]
    assert not rpc("getrawmempool")
    (alone,) = rpc("testmempoolaccept", [child.serialize().hex()])
    assert alone["reject-reason"] == "missing-inputs"
    (dear,) = rpc("testmempoolaccept", [workshop.tx(workshop.ripe()[:1], fee=10**7).serialize().hex()])
    assert dear["reject-reason"] == "max-fee-exceeded"
    assert rpc.error("testmempoolaccept", [])[0] == -8
    assert rpc.error("testmempoolaccept", ["00"])[0] == -22


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (b"\xff" * 8, "bad-txns-vout-negative"),
        (bytes(7) + b"\x80", "bad-txns-vout-negative"),
        (bytes(7) + b"\x7f", "bad-txns-vout-toolarge"),
        ((21_000_000 * 10**8 + 1).to_bytes(8, "little"), "bad-txns-vout-toolarge"),
    ],
)
def test_impossible_amounts(rpc, workshop, amount: bytes, reason: str) -> None:
    tx = workshop.tx(workshop.ripe()[:1], [(SINK, 10_000)])
    place = (10_000).to_bytes(8, "little") + b"\x22" + SINK
    raw = tx.serialize().replace(place, amount + place[8:])
    assert rpc.error("sendrawtransaction", raw.hex()) == (-26, reason)
    (result,) = rpc("testmempoolaccept", [raw.hex()])
    bare = tx.serialize(witness=False).replace(place, amount + place[8:])
    assert (result["txid"], result["wtxid"]) == (str(Txid(sha256d(bare))), str(Txid(sha256d(raw))))
    assert (result["allowed"], result["reject-reason"]) == (False, reason)
    assert rpc.error("sendrawtransaction", bare.hex()) == (-26, reason)
    for broken in (raw[:-1], raw + b"\0", raw[:70]):
        assert rpc.error("sendrawtransaction", broken.hex())[0] == -22


def test_testing_several(rpc, workshop) -> None:
    first, second, third = workshop.ripe()[:3]
    tx, other, low = workshop.tx([first]), workshop.tx([second]), workshop.tx([third], fee=1)
    parent = workshop.send([first])
    child = workshop.tx([parent])
    workshop.chain.mempool.clear()

    def ask(*given: Transaction) -> list[Any]:
        answers = rpc("testmempoolaccept", [each.serialize().hex() for each in given])
        assert [entry["txid"] for entry in answers] == [str(each.txid) for each in given]
        assert not rpc("getrawmempool")
        return [entry.get("package-error", entry.get("reject-reason", entry.get("allowed"))) for entry in answers]

    assert ask(tx, child, other) == [True] * 3
    assert ask(other, tx, other) == ["package-contains-duplicates"] * 3
    assert ask(child, tx) == ["package-not-sorted"] * 2
    assert ask(tx, workshop.tx([first, second])) == ["conflict-in-package"] * 2
    assert ask(tx, low, other) == [None, "min relay fee not met", None]
    assert ask(other, child) == [None, "missing-inputs"]
    assert ask(tx, workshop.tx([second], fee=10**7), workshop.tx([third])) == [True, "max-fee-exceeded", None]
    big = [workshop.tx([coin], [(SINK, 1000)] * 1200, fee=60_000) for coin in (first, second, third)]
    assert ask(*big) == ["package-too-large"] * 3


def test_waiting_transactions(rpc, workshop) -> None:
    parent = workshop.send(workshop.ripe()[:1], fee=1000, sequence=0xFFFFFFFF)
    child = workshop.send([parent], fee=2000)
    assert rpc("getrawmempool") == [str(parent.txid), str(child.txid)]
    assert set(rpc("getrawmempool", False, True)) == {"txids", "mempool_sequence"}
    assert rpc.error("getrawmempool", True, True)[0] == -8
    entry = rpc("getmempoolentry", str(parent.txid))
    assert list(entry) == [
        "vsize", "weight", "time", "height", "descendantcount", "descendantsize", "ancestorcount", "ancestorsize",
        "wtxid", "fees", "depends", "spentby", "bip125-replaceable", "unbroadcast",
    ]  # fmt: skip
    assert entry["spentby"] == [str(child.txid)]
    assert (entry["descendantcount"], entry["ancestorcount"]) == (2, 1)
    assert entry["fees"]["descendant"] == Decimal("0.00003")
    assert entry["bip125-replaceable"] is False
    verbose = rpc("getrawmempool", True)
    assert verbose[str(parent.txid)] == entry
    assert verbose[str(child.txid)]["depends"] == [str(parent.txid)]
    assert rpc("getmempoolancestors", str(child.txid)) == [str(parent.txid)]
    assert list(rpc("getmempooldescendants", str(parent.txid), True)) == [str(child.txid)]
    assert rpc.error("getmempoolentry", "11" * 32) == (-5, "Transaction not in mempool")
    info = rpc("getmempoolinfo")
    assert (info["size"], info["total_fee"], info["fullrbf"]) == (2, Decimal("0.00003"), True)
    assert info["mempoolminfee"] == info["minrelaytxfee"] == Decimal("0.00001")


# mining and fees


def test_mining(rpc, workshop) -> None:
    hashes = rpc("generatetoaddress", 2, SINK_ADDRESS)
    assert hashes[-1] == rpc("getbestblockhash")
    assert rpc("generatetoaddress", 0, SINK_ADDRESS) == []
    assert rpc.error("generatetoaddress", 1, "nonsense") == (-5, "Error: Invalid address")
    assert rpc.error("generatetoaddress", 10**6, SINK_ADDRESS)[0] == -8
    rpc("generatetodescriptor", 1, f"raw({SINK.hex()})")
    assert [*workshop.chain.index.heights(SINK)] == [111, 112, 113]
    assert rpc.error("generatetodescriptor", 1, f"wpkh({TPUB}/*)")[0] == -8
    assert rpc.error("generatetodescriptor", 1, "wsh(x)")[0] == -5


def test_block_of_chosen_transactions(rpc, workshop) -> None:
    one = workshop.send(workshop.ripe()[:1])
    two = workshop.send(workshop.ripe()[1:2])
    outside = workshop.tx(workshop.ripe()[2:3], fee=0)
    block = rpc("generateblock", SINK_ADDRESS, [str(two.txid), outside.serialize().hex()])["hash"]
    assert rpc("getblock", block)["tx"][1:] == [str(two.txid), str(outside.txid)]
    assert rpc("getblock", block, 2)["tx"][0]["vout"][0]["value"] == Decimal("50.00001")
    assert rpc("getrawmempool") == [str(one.txid)]
    assert rpc("generateblock", f"raw({SINK.hex()})", [])["hash"] == rpc("getbestblockhash")
    bad = workshop.tx(workshop.ripe()[:1], witness=(b"",)).serialize().hex()
    assert rpc.error("generateblock", SINK_ADDRESS, [bad])[0] == -25
    assert rpc.error("generateblock", SINK_ADDRESS, ["11" * 32])[0] == -5
    assert rpc.error("generateblock", SINK_ADDRESS, ["zz"])[0] == -22
    assert rpc.error("generateblock", "x", [])[0] == -5
    assert rpc.error("generateblock", SINK_ADDRESS, [], False)[0] == -8


def test_fee_estimate(rpc, workshop) -> None:
    assert rpc("estimatesmartfee", 6) == {"errors": ["Insufficient data or no feerate found"], "blocks": 0}
    coin = workshop.send(workshop.ripe()[:1], fee=4000)
    size = workshop.chain.mempool.entries[coin.txid].tx.vsize
    for _ in range(8):
        coin = workshop.send([coin], fee=4000)
    workshop.chain.mine(1, FAUCET)
    assert "feerate" not in rpc("estimatesmartfee", 1)
    workshop.send([coin], fee=4000)
    workshop.chain.mine(1, FAUCET)
    estimate = {"feerate": Decimal(4000 * 1000 // size) / 10**8, "blocks": 6}
    assert rpc("estimatesmartfee", 6) == estimate
    assert rpc("estimatesmartfee", 1, "CONSERVATIVE") == estimate | {"blocks": 2}
    workshop.chain.mine(30, FAUCET)
    assert rpc("estimatesmartfee", 6) == estimate  # quiet days change nothing
    assert rpc.error("estimatesmartfee", 0)[0] == -8
    assert rpc.error("estimatesmartfee", 2, "wild")[0] == -8


def test_node_without_indexes(rpc) -> None:
    with RegtestChain(None, indexes=False) as chain:
        chain.mine(2, FAUCET)
        rpc = rpc.of(chain)
        txid = rpc("getblock", rpc("getblockhash", 1))["tx"][0]
        assert "Use -txindex" in rpc.error("getrawtransaction", txid)[1]
        assert rpc("getrawtransaction", txid, 0, rpc("getblockhash", 1))
        assert rpc("getindexinfo") == {}
        assert rpc.error("scanblocks", "start", []) == (-1, "Index is not enabled for filtertype basic")
