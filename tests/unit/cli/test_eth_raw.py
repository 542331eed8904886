"""``bursar eth`` blob, delegate, decode, publish, and access lists of calls, on the embedded EVM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from bursar.errors import ConflictError, InvalidInputError, PolicyDeniedError, UserCancelledError
from bursar.ethereum.address import Address
from bursar.ethereum.authorization_json import read_authorizations
from bursar.ethereum.blobs.packing import unpack
from bursar.ethereum.transaction import SignedTransaction
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("eth", reason="py-evm is not installed")

PASSWORD = "correct horse battery"
PAYEE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55
RULES = """version = 1
[[rule]]
name = "anything"
kind = "allow-any"
[[rule]]
name = "the-token"
kind = "allow-calls"
contracts = ["{contract}"]
[[rule]]
name = "its-code"
kind = "allow-delegations"
delegates = ["{contract}"]
"""


@pytest.fixture(scope="module")
def desk_home(furnished: Path, box: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The furnished wallet with a node, and the accounts ``giver`` and ``sponsor`` with ether."""
    from .conftest import CommandLine

    folder = tmp_path_factory.mktemp("raw") / "home"
    shutil.copytree(furnished, folder)
    with (folder / "config.toml").open("a") as file:
        file.write(f'[ethereum.{box.ethereum_chain_id}]\nurl = "{box.ethereum_url}"\n')
    (folder / "policy.toml").write_text(RULES.format(contract=box.token.contract))
    line = CommandLine(folder)
    for number, name in ((17, "giver"), (18, "sponsor")):
        line.text("account", "add", name, "--chain", "ethereum", "--number", str(number), answers=[PASSWORD])
        with Wallet.open(folder / "wallet.db") as store:
            box.fund_ether(store.new_address(name).address, 5 * 10**18)
    return folder


@pytest.fixture
def desk(desk_home: Path, tmp_path: Path) -> CommandLine:
    from .conftest import CommandLine

    shutil.copytree(desk_home, tmp_path / "desk")
    return CommandLine(tmp_path / "desk")


def send(desk: CommandLine, *words: str) -> Any:
    return desk.json("eth", *words, "--yes", answers=[PASSWORD])


def address(desk: CommandLine, name: str) -> str:
    with Wallet.open(desk.home / "wallet.db") as store:
        return store.addresses(name)[0].address


def code_of(box: Any, who: str) -> bytes:
    node = EthRpcBackend(box.ethereum_url, chain_id=box.ethereum_chain_id)
    try:
        return node.code(Address.from_text(who))
    finally:
        node.close()


def test_files_become_blobs(desk: CommandLine, box: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b").write_bytes(b"second")
    words = ("blob", "giver", PAYEE, str(tmp_path / "a"), str(tmp_path / "b"), "--value", "3wei")
    sent = send(desk, *words, "--blob-fee", "1gwei")
    assert sent["transfer"]["transfer"]["action"]["kind"] == "blobs"
    with Wallet.open(desk.home / "wallet.db") as store:
        raw = store.network_bytes(sent["transfer"]["id"])
    signed = SignedTransaction.parse(raw)
    assert signed.sidecar is not None
    assert unpack(signed.sidecar.blobs) == (b"first", b"second")
    assert signed.unsigned.max_fee_per_blob_gas == 10**9
    (tmp_path / "raw").write_bytes(raw)
    shown = desk.json("eth", "decode", str(tmp_path / "raw"))
    assert (shown["sender"], shown["blobs_attached"]) == (address(desk, "giver"), True)
    with pytest.raises(InvalidInputError, match="blob"):  # less than twice is no replacement to nodes
        send(desk, "speed-up", sent["transfer"]["id"], "--blob-fee", "1.9gwei")
    faster = send(desk, "speed-up", sent["transfer"]["id"], "--blob-fee", "2.5gwei")
    with Wallet.open(desk.home / "wallet.db") as store:
        again = SignedTransaction.parse(store.network_bytes(faster["transfer"]["id"]))
    assert again.unsigned.max_fee_per_blob_gas == 25 * 10**8
    assert again.unsigned.blob_versioned_hashes == signed.unsigned.blob_versioned_hashes
    box.mine_ethereum(1)
    with pytest.raises(InvalidInputError, match="with --raw a file holds blobs"):
        desk.json("eth", *words, "--raw", "--dry-run")
    (tmp_path / "a").write_bytes(b"\xff" * 131_072)
    with pytest.raises(InvalidInputError, match="not below the order"):
        desk.json("eth", "blob", "giver", PAYEE, str(tmp_path / "a"), "--raw", "--dry-run")


def test_an_account_delegates_and_ends_it(desk: CommandLine, box: Any) -> None:
    who, contract = address(desk, "giver"), str(box.token.contract)
    with pytest.raises(PolicyDeniedError, match="to run the code of"):
        send(desk, "delegate", "giver", PAYEE)
    with pytest.raises(PolicyDeniedError, match="on every chain"):
        send(desk, "delegate", "giver", contract, "--any-chain")
    with pytest.raises(UserCancelledError):
        desk.json("eth", "delegate", "giver", contract, answers=["n"])
    dry = desk.json("eth", "delegate", "giver", contract, "--dry-run")
    sent = send(desk, "delegate", "giver", contract, "--idempotency-key", "k")
    assert (
        send(desk, "delegate", "giver", contract, "--idempotency-key", "k")["transfer"]["id"] == sent["transfer"]["id"]
    )
    tx = SignedTransaction.parse(bytes.fromhex(sent["transfer"]["raw"]))
    (held,) = tx.unsigned.authorization_list
    assert (str(tx.sender), str(held.authority)) == (who, who)
    assert held.authorization.nonce == tx.unsigned.nonce + 1 == dry["authorization"]["nonce"]
    assert Account.recover_transaction(tx.serialize()) == who
    after = send(desk, "send", "giver", PAYEE, "1wei")
    nonce = SignedTransaction.parse(bytes.fromhex(after["transfer"]["raw"])).unsigned.nonce
    assert nonce == tx.unsigned.nonce + 2, "the authorization uses up a nonce of its own"
    box.mine_ethereum(2)
    assert code_of(box, who) == bytes.fromhex("ef0100") + Address.from_text(contract).value
    send(desk, "delegate", "giver", "--revoke")
    box.mine_ethereum(1)
    assert code_of(box, who) == b""
    desk.json("balance", "giver")
    with Wallet.open(desk.home / "wallet.db") as store:
        assert {str(one.state) for one in store.transfers("giver")} == {"confirmed"}
        store.journal.verify()


def test_somebody_else_sends_what_was_exported(desk: CommandLine, box: Any, tmp_path: Path) -> None:
    who, contract, file = address(desk, "giver"), str(box.token.contract), str(tmp_path / "signed.json")
    send(desk, "delegate", "giver", contract, "--export", file)
    (held,) = read_authorizations(Path(file).read_bytes())
    assert str(held.authority) == who
    assert Path(file).stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInputError, match="exists"):
        send(desk, "delegate", "giver", contract, "--export", file)
    for wrong in (("giver",), ("giver", contract, "--revoke"), ("sponsor", "--import", file, "--any-chain")):
        with pytest.raises(InvalidInputError):
            send(desk, "delegate", *wrong)
    sent = send(desk, "delegate", "sponsor", "--import", file)
    assert SignedTransaction.parse(bytes.fromhex(sent["transfer"]["raw"])).unsigned.authorization_list == (held,)
    box.mine_ethereum(1)
    assert code_of(box, who) == bytes.fromhex("ef0100") + Address.from_text(contract).value
    send(desk, "delegate", "giver", "--revoke")
    box.mine_ethereum(1)


def test_calls_declare_what_they_touch(desk: CommandLine, box: Any, tmp_path: Path) -> None:
    contract = str(box.token.contract)
    call = ("call", "sponsor", contract, "approve(address,uint256)", PAYEE, "0", "--dry-run", "--access-list")
    review = desk.json("eth", *call, "auto")["review"]
    assert review["extra"]["access list"] == f"1 slot of {contract}"
    (tmp_path / "list.json").write_text(json.dumps([{"address": contract, "storageKeys": ["0x" + "00" * 32]}]))
    assert (
        desk.json("eth", *call, str(tmp_path / "list.json"))["review"]["extra"]["access list"]
        == f"1 slot of {contract}"
    )
    for wrong in ("nowhere.json", str(desk.home / "config.toml")):
        with pytest.raises(InvalidInputError):
            desk.json("eth", *call, wrong)


def test_bytes_are_decoded_and_published(desk: CommandLine, box: Any, tmp_path: Path) -> None:
    key = Account.create()
    box.fund_ether(key.address, 10**18)
    fields = {"chainId": box.ethereum_chain_id, "nonce": 0, "to": PAYEE, "value": 5, "gas": 21_000}
    legacy = key.sign_transaction({**fields, "gasPrice": 4 * 10**9})
    market = key.sign_transaction({**fields, "maxFeePerGas": 4 * 10**9, "maxPriorityFeePerGas": 10**9})
    for kind, made in ((0, legacy), (2, market)):
        shown = desk.json("eth", "decode", "0x" + made.raw_transaction.hex())
        assert (shown["hash"], shown["sender"]) == ("0x" + made.hash.hex(), key.address)
        assert shown["transaction"]["type"] == kind
        assert [one["amount"] for one in shown["review"]["payments"]] == ["5"]
        unsigned = SignedTransaction.parse(bytes(made.raw_transaction)).unsigned
        bare = desk.json("eth", "decode", "0x" + unsigned.signing_bytes().hex())
        assert (bare["signed"], bare["sender"], bare["transaction"]) == (False, None, shown["transaction"])
        (tmp_path / "unsigned.json").write_text(json.dumps(unsigned.to_json()))
        assert desk.json("eth", "decode", str(tmp_path / "unsigned.json")) == bare
        assert "nobody yet" in desk.text("eth", "decode", str(tmp_path / "unsigned.json"))
    assert "Signed by" in desk.text("eth", "decode", "0x" + market.raw_transaction.hex())
    for wrong in ("0x02f8", "0x" + market.raw_transaction.hex() + "00", "0x", "no-file"):
        with pytest.raises(InvalidInputError):
            desk.json("eth", "decode", wrong)
    (tmp_path / "raw").write_text(market.raw_transaction.hex())
    with pytest.raises(UserCancelledError):
        desk.json("eth", "publish", str(tmp_path / "raw"), answers=["no"])
    done = desk.json("eth", "publish", str(tmp_path / "raw"), "--yes")
    assert done["hash"] == "0x" + market.hash.hex()
    with pytest.raises(InvalidInputError, match="not signed"):
        desk.json("eth", "publish", str(tmp_path / "unsigned.json"), "--yes")
    mine = send(desk, "send", "sponsor", PAYEE, "1wei")["transfer"]
    with pytest.raises(ConflictError, match=mine["id"]):
        desk.json("eth", "publish", "0x" + mine["raw"], "--yes")
    box.mine_ethereum(1)
