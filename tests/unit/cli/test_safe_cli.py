"""``bursar eth safe`` over the embedded EVM: proposed, carried from owner to owner, checked, executed, refused.

The contract is the examples' stand-in, or with ``BURSAR_CONTRACTS`` the Safe project's own.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError, PolicyDeniedError, UserCancelledError
from bursar.ethereum.address import Address
from bursar.ethereum.safe import OwnerSignature, Proposal, encode_approve_hash, read_proposal
from bursar.ethereum.safe.words import selector, word
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("eth", reason="py-evm is not installed")

PASSWORD = "correct horse battery"
PAYEE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55
STRANGER = b"\x07" * 32
THIRD = b"\x09" * 32
CONTRACT = Path(__file__).parents[3] / "examples" / "contracts" / "StandInSafe.json"
LOOSE = """version = 1
[[rule]]
name = "anyone"
kind = "allow-any"
"""


def key_address(key: bytes) -> Address:
    return Address.from_public_key(public_key(key))


def creation(owners: list[Address], threshold: int) -> bytes:
    """Init code of the stand-in with its owners."""
    code = bytes.fromhex(json.loads(CONTRACT.read_text())["bytecode"][2:])
    return code + word(64) + word(threshold) + word(len(owners)) + b"".join(map(word, owners))


def real(send: Any, owners: list[Address], threshold: int) -> Address:
    """A Safe of the Safe project's own contracts (1.4.1), behind its own proxy."""
    folder = Path(os.environ["BURSAR_CONTRACTS"])

    def code(name: str) -> bytes:
        found = next(
            one for one in sorted(folder.glob(f"**/{name}.json")) if "1.4.1" in str(one) and "build" in str(one)
        )
        return bytes.fromhex(json.loads(found.read_text())["bytecode"][2:])

    proxy = send(None, code("SafeProxy") + word(send(None, code("Safe"))))
    listed = word(len(owners)) + b"".join(map(word, owners))
    nobody = Address(bytes(20))
    head = word(256) + word(threshold) + word(nobody) + word(256 + len(listed)) + word(nobody) + bytes(96)
    send(
        proxy,
        selector("setup(address[],uint256,address,bytes,address,address,uint256,address)") + head + listed + word(0),
    )
    assert isinstance(proxy, Address)
    return proxy


@pytest.fixture(scope="module")
def office(furnished: Path, box: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A wallet with a node, two of whose addresses own a Safe with a third key, and the means to send for others."""
    from bursar.ethereum.units import Wei
    from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
    from bursar.nodes.sandbox.ethereum.faucet import Faucet

    folder = tmp_path_factory.mktemp("office") / "home"
    shutil.copytree(furnished, folder)
    with (folder / "config.toml").open("a") as file:
        file.write(f'[ethereum.{box.ethereum_chain_id}]\nurl = "{box.ethereum_url}"\n')
    with Wallet.open(folder / "wallet.db") as store:
        mine = [Address.from_text(store.new_address("gas").address) for _ in range(2)]
        store.add_token(box.ethereum_chain_id, box.token.contract, box.token.symbol, box.token.decimals)
    box.fund_ether(str(mine[0]), 10**19)
    faucet = Faucet(LoopbackRpc(box.ethereum_url), chain_id=box.ethereum_chain_id)

    def send(to: Address | None, data: bytes) -> Address:
        """By the faucet; what it creates."""
        made = faucet._receipt(faucet._send(to, Wei(0), data, gas=9_000_000))
        return Address.from_text(str(made["contractAddress"] or to), allow_lowercase=True)

    owners = [*mine, key_address(THIRD)]
    safe = real(send, owners, 2) if os.environ.get("BURSAR_CONTRACTS") else send(None, creation(owners, 2))
    box.fund_ether(str(safe), 10**19)
    box.fund_token(str(safe), 500 * 10**box.token.decimals)
    return SimpleNamespace(home=folder, safe=str(safe), owners=owners, box=box, send=send)


@pytest.fixture
def desk(cli: CommandLine, office: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    shutil.copytree(office.home, cli.home)
    (cli.home / "policy.toml").write_text(LOOSE)
    monkeypatch.chdir(tmp_path)
    return cli


def signed_by(key: bytes, file: str) -> OwnerSignature:
    found = read_proposal(Path(file).read_bytes())
    assert isinstance(found, Proposal)
    digest = found.transaction.digest()
    return OwnerSignature.typed(digest, ecdsa_sign_recoverable(key, digest))


def sign(desk: CommandLine, file: str, index: int, *options: str) -> Any:
    words = ("eth", "safe", "sign", file, "--account", "gas", "--index", str(index), *options)
    return desk.json(*words, answers=["y", PASSWORD])


def test_a_safe_is_shown_as_the_chain_has_it(desk: CommandLine, office: Any) -> None:
    found = desk.json("eth", "safe", "info", office.safe)
    assert set(found["owners"]) == {str(one) for one in office.owners}
    assert (found["threshold"], found["version"], found["modules"]) == (2, "1.4.1", [])
    assert {one["code"] for one in found["warnings"]} <= {"safe-code", "safe-code-unknown"}
    text = desk.text("eth", "safe", "info", office.safe)
    assert "2 of 3 owners" in text
    with pytest.raises(InvalidInputError, match="ends too soon"):
        desk.json("eth", "safe", "info", PAYEE)


def test_from_proposal_to_execution(desk: CommandLine, office: Any) -> None:
    propose = ("eth", "safe", "propose", office.safe)
    made = desk.json(*propose, "pay.json", PAYEE, "12.5susd", "--note", "Invoice 12")
    assert (made["missing"], made["checked_on_chain"]) == (2, True)
    shown = desk.text("eth", "safe", "show", "pay.json")
    assert "12.5 SUSD" in shown
    assert PAYEE in shown
    assert made["hashes"]["safe_tx"] in shown
    assert "Invoice 12" in shown

    shutil.copy("pay.json", "copy.json")  # two owners at two desks
    first = sign(desk, "pay.json", 0)
    assert (first["missing"], first["owner"]) == (1, str(office.owners[0]))
    heard = "\n".join(desk.answers.heard)
    for text in (*made["hashes"].values(), "12.5 SUSD"):
        assert text in heard
    with pytest.raises(InvalidInputError, match="1 more of the owners"):
        desk.json("eth", "safe", "execute", "pay.json", "--account", "gas", "--yes", answers=[PASSWORD])
    sign(desk, "copy.json", 1, "--to", "mine.json", "--personal")
    both = desk.json("eth", "safe", "confirmations", "pay.json", "mine.json")
    assert both["missing"] == 0
    desk.json("eth", "safe", "verify", "pay.json", "--hash", made["hashes"]["safe_tx"].upper().replace("0X", "0x"))

    call = desk.json("eth", "safe", "execute", "pay.json", "--prepare")
    assert call["to"] == office.safe
    with closing(EthRpcBackend(office.box.ethereum_url, chain_id=office.box.ethereum_chain_id)) as node:
        answer = node.call(Address.from_text(call["to"]), bytes.fromhex(call["data"][2:]))
        assert answer == word(1)
        asked = selector("balanceOf(address)") + word(Address.from_text(PAYEE))
        before = int.from_bytes(node.call(Address.from_text(office.box.token.contract), asked), "big")
        desk.json("eth", "safe", "execute", "pay.json", "--account", "gas", answers=["y", PASSWORD])
        office.box.mine_ethereum(1)
        held = int.from_bytes(node.call(Address.from_text(office.box.token.contract), asked), "big")
        assert held - before == 12_500_000
    with pytest.raises(InvalidInputError, match="the nonce 0 is used") as caught:
        desk.json("eth", "safe", "show", "pay.json")
    assert caught.value.code == "input.safe.nonce"


def test_a_signature_of_another_transaction_or_of_a_stranger_is_refused(desk: CommandLine, office: Any) -> None:
    for name, amount in (("one.json", "1eth"), ("two.json", "2eth")):
        desk.json("eth", "safe", "propose", office.safe, name, PAYEE, amount, "--nonce", "40")
    sign(desk, "two.json", 0, "--to", "two-mine.json")
    with pytest.raises(InvalidInputError, match="this proposal is") as caught:
        desk.json("eth", "safe", "confirmations", "one.json", "two-mine.json")
    assert caught.value.code == "input.safe.hash"
    proposal = json.loads(Path("one.json").read_text())
    proposal["signatures"] = [signed_by(STRANGER, "one.json").to_json()]
    Path("strange.json").write_text(json.dumps(proposal))
    with pytest.raises(InvalidInputError, match="is no owner"):
        desk.json("eth", "safe", "show", "strange.json")
    proposal["owners"].append(str(key_address(STRANGER)))  # a file that lies about the owners is held to the chain
    Path("strange.json").write_text(json.dumps(proposal))
    found = desk.json("eth", "safe", "show", "strange.json")
    assert (found["signatures"], len(found["owners"])) == ([], 3)
    assert any("owns the Safe no more" in one for one in found["doubts"])
    proposal["signatures"][0]["owner"] = str(office.owners[0])
    Path("strange.json").write_text(json.dumps(proposal))
    with pytest.raises(InvalidSignatureError):
        desk.json("eth", "safe", "show", "strange.json", "--offline")


def test_what_changed_on_the_way_is_seen(desk: CommandLine, office: Any) -> None:
    made = desk.json("eth", "safe", "propose", office.safe, "pay.json", PAYEE, "1eth", "--nonce", "41")
    proposal = json.loads(Path("pay.json").read_text())
    proposal["transaction"]["to"] = str(key_address(STRANGER))
    Path("changed.json").write_text(json.dumps(proposal))
    with pytest.raises(InvalidInputError, match="sign nothing") as caught:
        desk.json("eth", "safe", "sign", "changed.json", "--account", "gas")
    assert caught.value.code == "input.safe.hash"
    with pytest.raises(InvalidInputError, match="sign nothing"):
        desk.json("eth", "safe", "verify", "pay.json", "--offline", "--message-hash", made["hashes"]["domain"])
    assert desk.json("eth", "safe", "show", "pay.json")["before_it"] > 0
    with pytest.raises(InvalidInputError, match="other transactions come first"):
        desk.json("eth", "safe", "execute", "pay.json", "--prepare")


def test_the_policy_decides_on_what_the_safe_would_do(desk: CommandLine, office: Any) -> None:
    limit = LOOSE + '[[rule]]\nname = "most"\nkind = "limit"\nmax = "0.5eth"\n'
    (desk.home / "policy.toml").write_text(limit)
    desk.json("eth", "safe", "propose", office.safe, "pay.json", PAYEE, "1eth")
    with pytest.raises(PolicyDeniedError, match=r"0\.5"):
        desk.json("eth", "safe", "sign", "pay.json", "--account", "gas", "--index", "0")
    desk.json("eth", "safe", "propose", office.safe, "call.json", "--call", office.box.token.contract, "0xdeadbeef")
    with pytest.raises(PolicyDeniedError, match="opaque-call"):
        desk.json("eth", "safe", "sign", "call.json", "--account", "gas", "--index", "0")
    (desk.home / "policy.toml").write_text(LOOSE)
    unlimited = "0x" + (selector("approve(address,uint256)") + word(Address.from_text(PAYEE)) + b"\xff" * 32).hex()
    desk.json("eth", "safe", "propose", office.safe, "all.json", "--call", office.box.token.contract, unlimited)
    with pytest.raises(PolicyDeniedError, match="unlimited-allowance"):
        desk.json("eth", "safe", "sign", "all.json", "--account", "gas", "--index", "0")
    owners = (
        "0x" + (selector("addOwnerWithThreshold(address,uint256)") + word(Address.from_text(PAYEE)) + word(1)).hex()
    )
    desk.json("eth", "safe", "propose", office.safe, "owner.json", "--call", office.safe, owners)
    assert "adds an owner" in desk.text("eth", "safe", "show", "owner.json")
    with pytest.raises(PolicyDeniedError):
        desk.json("eth", "safe", "sign", "owner.json", "--account", "gas", "--index", "0")


def test_no_is_no_and_who_owns_it_has_to_be_clear(desk: CommandLine, office: Any) -> None:
    desk.json("eth", "safe", "propose", office.safe, "pay.json", PAYEE, "1eth")
    with pytest.raises(UserCancelledError):
        desk.run_or_raise("eth", "safe", "sign", "pay.json", "--account", "gas", "--index", "0", answers=["n"])
    with pytest.raises(InvalidInputError, match="name one with --index"):
        desk.json("eth", "safe", "sign", "pay.json", "--account", "gas")
    with pytest.raises(InvalidInputError, match="is no owner"):
        desk.json("eth", "safe", "sign", "pay.json", "--account", "gas", "--index", "7")
    with pytest.raises(InvalidInputError, match="bitcoin account"):
        desk.json("eth", "safe", "sign", "pay.json", "--account", "savings")


def test_what_others_ask_is_taken_over_with_its_hash_checked(desk: CommandLine, office: Any) -> None:
    desk.json("eth", "safe", "propose", office.safe, "pay.json", PAYEE, "1eth")
    found = read_proposal(Path("pay.json").read_bytes())
    assert isinstance(found, Proposal)
    tx = found.transaction
    Path("typed.json").write_text(tx.typed_data().to_json())
    own = desk.json("eth", "safe", "propose", office.safe, "again.json", "--from", "typed.json")
    assert own["hashes"] == found.hashes.to_json()
    third = signed_by(THIRD, "pay.json")
    queue = {
        "safe": office.safe, "to": PAYEE, "value": str(10**18), "data": None, "operation": 0, "safeTxGas": "0",
        "baseGas": 0, "gasPrice": "0", "gasToken": None, "refundReceiver": None, "nonce": tx.nonce,
        "safeTxHash": own["hashes"]["safe_tx"],
        "confirmations": [{"owner": str(third.owner), "signature": "0x" + third.body.hex()}],
    }  # fmt: skip
    Path("queue.json").write_text(json.dumps(queue))
    taken = desk.json("eth", "safe", "propose", office.safe, "theirs.json", "--from", "queue.json")
    assert taken["missing"] == 1
    for change, words in (
        ({"value": "2"}, "sign nothing"),
        ({"safe": PAYEE}, "is for the Safe"),
        ({"nonce": "x"}, "nonce"),
    ):
        Path("queue.json").write_text(json.dumps({**queue, "confirmations": [], **change}))
        with pytest.raises(InvalidInputError, match=words):
            desk.json("eth", "safe", "propose", office.safe, "no.json", "--from", "queue.json")
    Path("queue.json").write_text(json.dumps({**queue, "value": "2", "safeTxHash": None}))
    with pytest.raises(InvalidInputError, match="not one of this transaction"):
        desk.json("eth", "safe", "propose", office.safe, "no.json", "--from", "queue.json")
    rejected = desk.json("eth", "safe", "propose", office.safe, "reject.json", "--reject", "--nonce", str(tx.nonce))
    assert rejected["transaction"]["to"] == office.safe
    assert not Path("no.json").exists()


def test_an_approval_on_chain_counts_and_a_claimed_one_does_not(desk: CommandLine, office: Any) -> None:
    from bursar.nodes.sandbox.ethereum.faucet import FAUCET_ADDRESS as faucet

    safe = str(office.send(None, creation([faucet, *office.owners[:1]], 1)))
    office.box.fund_ether(safe, 10**18)
    made = desk.json("eth", "safe", "propose", safe, "pay.json", PAYEE, "1wei")
    proposal = json.loads(Path("pay.json").read_text())
    proposal["signatures"] = [OwnerSignature.approved(faucet).to_json()]
    Path("claimed.json").write_text(json.dumps(proposal))
    shown = desk.json("eth", "safe", "show", "claimed.json")
    assert (shown["missing"], len(shown["doubts"])) == (1, 1)
    office.send(Address.from_text(safe), encode_approve_hash(bytes.fromhex(made["hashes"]["safe_tx"][2:])))
    assert desk.json("eth", "safe", "confirmations", "pay.json")["missing"] == 0
    desk.json("eth", "safe", "execute", "pay.json", "--prepare")
