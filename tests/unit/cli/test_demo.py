"""The demo: what it shows is true, judged by programs that had no part in it; and nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from bursar.bitcoin.transaction import Transaction
from bursar.cli.demo.house import House
from bursar.cli.demo.story import Story
from bursar.cli.session import Session
from bursar.nodes.bitcoind_rpc import RpcClient

pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("eth", reason="py-evm is not installed")

STEP = {"name", "chain", "signer", "txid", "raw", "fee", "height", "confirmations"}


def surroundings(tmp_path: Path) -> dict[str, str]:
    """Temporary files in a folder of the test's own; locks of devices stay where the system keeps those of a user."""
    runtime = tmp_path.parent / "runtime"
    runtime.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}


def check(document: dict[str, Any]) -> None:
    assert set(document) == {"steps", "refused", "balances"}
    chains = ["bitcoin", "bitcoin", "ethereum", "ethereum", *["bitcoin", "ethereum"] * 2]
    assert [step["chain"] for step in document["steps"]] == chains
    signers = [step["signer"].partition(":")[0] for step in document["steps"]]
    assert signers == ["software"] * 4 + ["trezor"] * 2 + ["ledger"] * 2
    for step in document["steps"]:
        assert set(step) == STEP
        assert type(step["fee"]) is int
        assert step["fee"] > 0
        assert step["height"] > 0
        assert step["confirmations"] >= 1
        assert bytes.fromhex(step["raw"])
    assert [refusal["code"] for refusal in document["refused"]] == ["policy.denied", "funds.insufficient"]
    assert all(set(refusal) == {"name", "code", "message"} for refusal in document["refused"])
    assert set(document["balances"]) == {"before", "after"}


def test_every_transaction_holds_under_other_judges(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in surroundings(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", None)
    with House(ethereum="py-evm") as house:
        story = Story(Session(json=True), house)
        story.tell()
        check(story.document)
        steps = story.document["steps"]
        for step in (*steps[:2], steps[4], steps[6]):
            verify_under_libbitcoinkernel(step["raw"], house)
        assert len(Transaction.parse(bytes.fromhex(steps[1]["raw"])).inputs) >= 2
        for account, of in (("ether", steps[2:4]), ("trezor-ether", steps[5:6]), ("ledger-ether", steps[7:])):
            senders = {Account.recover_transaction("0x" + step["raw"]) for step in of}
            assert senders == {house.wallet.addresses(account)[0].address}
        check_balances(story.document)
    assert list(tmp_path.glob("bursar-*")) == []


def check_balances(document: dict[str, Any]) -> None:
    before, after, steps = document["balances"]["before"], document["balances"]["after"], document["steps"]
    assert after["operations"]["BTC"] == before["operations"]["BTC"] - 1_250_000_000 - steps[0]["fee"]
    assert after["reserve"]["BTC"] == before["reserve"]["BTC"] + 1_250_000_000 - 12_000_000_000 - steps[1]["fee"]
    for number, name in ((4, "trezor"), (6, "ledger")):
        assert after[name]["BTC"] == before[name]["BTC"] - 1_250_000_000 - steps[number]["fee"]
        ether = before[f"{name}-ether"]["ETH"] - 1_500_000_000_000_000_000 - steps[number + 1]["fee"]
        assert after[f"{name}-ether"]["ETH"] == ether
    fees = steps[2]["fee"] + steps[3]["fee"]
    assert after["ether"]["ETH"] == before["ether"]["ETH"] - 1_500_000_000_000_000_000 - fees
    assert after["ether"]["SUSD"] == before["ether"]["SUSD"] - 250_000_000


def verify_under_libbitcoinkernel(raw: str, house: House) -> None:
    rpc = RpcClient(house.sandbox.bitcoin_url, cookie=house.sandbox.bitcoin_cookie)
    transaction = Transaction.parse(bytes.fromhex(raw))
    spent = []
    for one in transaction.inputs:
        previous = Transaction.parse(bytes.fromhex(rpc.call("getrawtransaction", str(one.outpoint.txid))))
        spent.append(previous.outputs[one.outpoint.vout])
    rpc.close()
    outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in spent]
    judged = pbk.Transaction(bytes.fromhex(raw))
    shared = pbk.script.PrecomputedTransactionData(judged, outputs)
    for place, one in enumerate(spent):
        flags = pbk.ScriptVerificationFlags.ALL
        assert pbk.ScriptPubkey(one.script).verify(int(one.value), judged, shared, place, flags)


def run_demo(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    environment = surroundings(tmp_path)
    command = [sys.executable, "-m", "bursar.cli", "demo", *words]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_the_command_in_words(tmp_path: Path) -> None:
    child = run_demo(tmp_path)
    out, err = child.communicate(timeout=200)
    assert child.returncode == 0, err
    assert err == ""
    for words in (
        "Transfer 8 of 8",
        "on its screen",
        "Hold to sign",
        "Transfer to approve",
        "over the limit",
        "would be needed",
        "Balances after",
    ):
        assert words in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_half_way_it_leaves_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    child = run_demo(tmp_path, "--json")
    until = time.monotonic() + 60
    while not list(tmp_path.glob("bursar-demo-*/keystores/*.json")):
        assert time.monotonic() < until
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(number)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == code
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert list(tmp_path.iterdir()) == []


def test_without_the_simulators_it_shows_the_rest(tmp_path: Path) -> None:
    code = "import sys; from bursar.cli.demo import hardware; hardware.GROUP = 'bursar.nothing'\n"
    code += "from bursar.cli.app import run; sys.exit(run(['demo', '--json', '--engine', 'py-evm']))"
    environment = surroundings(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {step["signer"] for step in json.loads(done.stdout)["steps"]} == {"software:demo"}


@pytest.mark.parametrize("module", ["pbk", "eth", "web3"])
def test_a_missing_extra_is_named_and_nothing_is_left(tmp_path: Path, module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None\nfrom bursar.cli.app import run\n"
    code += "sys.exit(run(['demo', '--json', '--engine', 'py-evm']))"
    environment = surroundings(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 70, done.stderr
    assert "bursar[" in json.loads(done.stdout)["error"]["message"]
    assert list(tmp_path.iterdir()) == []
