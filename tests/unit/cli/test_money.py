"""Money at the command line, on real chains: balances, transfers, refusals, bumps, PSBT files, recovery."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.units import Sats
from bursar.errors import (
    ChainUnavailableError,
    ConflictError,
    InsufficientFundsError,
    InvalidInputError,
    PolicyDeniedError,
    SignerUnavailableError,
    UserCancelledError,
    WrongChainError,
    WrongPasswordError,
)
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.wallet.transfer import PaymentOrder, Transfer
from bursar.wallet.wallet import Wallet

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("eth", reason="py-evm is not installed")

PASSWORD = "correct horse battery"
BITCOIN_PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
VAULT_PAYEE = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"
ETHEREUM_PAYEE = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # an example of EIP-55


@pytest.fixture(scope="module")
def rich_home(furnished: Path, box: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The furnished wallet with nodes and some money; the chains are shared, the stores are copies."""
    folder = tmp_path_factory.mktemp("rich") / "home"
    shutil.copytree(furnished, folder)
    with (folder / "config.toml").open("a") as file:
        file.write(f'[bitcoin.regtest]\nurl = "{box.bitcoin_url}"\ncookie = "{box.bitcoin_cookie}"\n')
        file.write(f'[ethereum.{box.ethereum_chain_id}]\nurl = "{box.ethereum_url}"\n')
    with Wallet.open(folder / "wallet.db") as store:
        for _ in range(12):
            box.fund_bitcoin(store.new_address("savings").address, Sats.from_text("0.5btc"))
        for _ in range(2):
            box.fund_bitcoin(store.new_address("vault").address, Sats.from_text("0.4btc"))
        holder = store.new_address("gas").address
    box.fund_ether(holder, 20 * 10**18)
    box.fund_token(holder, 500 * 10**box.token.decimals)
    return folder


@pytest.fixture
def rich(rich_home: Path, wallet: Any) -> Any:
    shutil.rmtree(wallet.home)
    shutil.copytree(rich_home, wallet.home)
    return wallet


def spendable(line: Any, account: str, symbol: str = "BTC") -> int:
    (found,) = line.json("balance", account)["accounts"]
    return next(int(one["spendable"]) for one in found["balances"] if one["asset"]["symbol"] == symbol)


def test_balance(rich: Any) -> None:
    accounts = {one["account"]: one for one in rich.json("balance")["accounts"]}
    assert set(accounts) == {"savings", "vault", "gas"}
    assert accounts["savings"]["tip"]["height"] > 100
    assert "BTC" in rich.text("balance", "savings")
    assert rich.text("balance", "--offline", "vault").splitlines()[0] == "account\tconfirmed\tspendable"


def test_send_shows_the_review_asks_and_sends(rich: Any, box: Any) -> None:
    before = spendable(rich, "savings")
    sent = rich.json("send", "savings", BITCOIN_PAYEE, "0.1btc", "--memo", "rent", answers=["y", PASSWORD])
    review = next(text for text in rich.answers.heard if "Transfer to approve" in text)
    assert BITCOIN_PAYEE in review
    assert "Allowed by the rule" in review
    assert sent["transfer"]["state"] == "sent"
    assert sent["transfer"]["transfer"]["memo"] == "rent"
    assert sent["review"]["payments"][0]["amount"] == "10000000"
    box.mine(1)
    assert spendable(rich, "savings") == before - 10_000_000 - int(sent["review"]["fee"])
    (made,) = rich.json("history", "savings", "--transfers")["transfers"]
    assert (made["state"], made["confirmations"]) == ("confirmed", 1)
    assert "0.1 BTC" in rich.text("history", "--offline", "savings")


def test_a_no_sends_nothing_and_holds_nothing(rich: Any) -> None:
    before = spendable(rich, "savings")
    with pytest.raises(UserCancelledError):
        rich.text("send", "savings", BITCOIN_PAYEE, "0.1btc", answers=["n"])
    assert spendable(rich, "savings") == before
    (made,) = rich.json("history", "savings", "--transfers")["transfers"]
    assert made["state"] == "cancelled"


def test_without_a_terminal_nothing_is_asked_or_held(rich: Any) -> None:
    before = spendable(rich, "savings")
    command = [sys.executable, "-m", "bursar.cli", "send", "savings", BITCOIN_PAYEE, "0.1btc", "--json"]
    environment = {**os.environ, "BURSAR_HOME": str(rich.home)}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True, check=False
    )
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "input.no-terminal"
    assert "with --yes nobody is asked" in error["message"]
    assert spendable(rich, "savings") == before


def test_a_wrong_password_holds_nothing(rich: Any) -> None:
    before = spendable(rich, "savings")
    with pytest.raises(WrongPasswordError):
        rich.text("send", "savings", BITCOIN_PAYEE, "0.1btc", answers=["y", "no", "no", "no"])
    assert spendable(rich, "savings") == before
    assert rich.json("policy", "explain", "savings", BITCOIN_PAYEE, "1btc")["verdict"] == "allow"


def test_the_key_of_a_failed_attempt_may_be_used_again(rich: Any) -> None:
    line = ("send", "savings", BITCOIN_PAYEE, "0.05btc", "--idempotency-key", "rent-12")
    with pytest.raises(WrongPasswordError):
        rich.text(*line, answers=["y", "no", "no", "no"])
    assert rich.json(*line, answers=["y", PASSWORD])["transfer"]["state"] == "sent"


def test_a_dry_run_asks_for_no_password_and_leaves_no_trace(rich: Any) -> None:
    shown = rich.json("send", "savings", BITCOIN_PAYEE, "0.1btc", "--dry-run", "--fee-rate", "7sat/vb")
    assert shown["dry_run"] is True
    assert shown["review"]["fee_rate"] == "7 sat/vB"
    assert "Allowed" in shown["explanation"]
    assert rich.json("history", "--transfers")["transfers"] == []
    with pytest.raises(PolicyDeniedError):
        rich.text("send", "savings", BITCOIN_PAYEE, "1.5btc", "--dry-run")


def test_the_policy_refuses_whatever_the_human_says(rich: Any) -> None:
    with pytest.raises(PolicyDeniedError) as caught:
        rich.text("send", "savings", BITCOIN_PAYEE, "1.5btc", "--yes")
    assert caught.value.rule == "bitcoin-per-transfer"
    (made,) = rich.json("history", "savings", "--transfers")["transfers"]
    assert made["state"] == "denied"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("savings", BITCOIN_PAYEE, "90btc"), InsufficientFundsError),
        (("savings", BITCOIN_PAYEE, "0.1"), InvalidInputError),
        (("savings", BITCOIN_PAYEE, "100sat"), InvalidInputError),
        (("savings", BITCOIN_PAYEE, "0btc"), InvalidInputError),
        (("savings", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "0.1btc"), InvalidInputError),
        (("savings", ETHEREUM_PAYEE, "0.1btc"), InvalidInputError),
        (("savings", BITCOIN_PAYEE, "0.1btc", "--fee-rate", "5000sat/vb", "--max-fee", "1000sat"), InvalidInputError),
        (("gas", ETHEREUM_PAYEE.lower(), "0.1eth"), InvalidInputError),
        (("gas", ETHEREUM_PAYEE, "0.1btc"), InvalidInputError),
        (("gas", ETHEREUM_PAYEE, "90eth"), InsufficientFundsError),
        (("nobody", BITCOIN_PAYEE, "0.1btc"), InvalidInputError),
    ],
)
def test_what_cannot_be_sent(rich: Any, words: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        rich.text("send", *words, "--dry-run")


def test_the_same_key_is_the_same_transfer(rich: Any) -> None:
    line = ("send", "savings", BITCOIN_PAYEE, "0.05btc", "--yes", "--idempotency-key", "rent-11")
    first = rich.json(*line, answers=[PASSWORD])
    again = rich.json(*line)  # no password: nothing is signed
    assert again["transfer"]["txid"] == first["transfer"]["txid"]
    with pytest.raises(ConflictError):
        rich.json("send", "savings", BITCOIN_PAYEE, "0.06btc", "--yes", "--idempotency-key", "rent-11")


def test_several_payees_and_everything(rich: Any, box: Any) -> None:
    sent = rich.json("send", "savings", BITCOIN_PAYEE, "0.01btc", VAULT_PAYEE, "2000sat", "--yes", answers=[PASSWORD])
    assert len(sent["review"]["payments"]) == 2
    swept = rich.json("send", "vault", BITCOIN_PAYEE, "all", "--yes", answers=[PASSWORD])
    assert swept["review"]["change"] == []
    assert spendable(rich, "vault") == 0
    box.mine(1)


def test_bump_and_cancel(rich: Any, box: Any) -> None:
    sent = rich.json("send", "savings", BITCOIN_PAYEE, "0.02btc", "--yes", answers=[PASSWORD])["transfer"]
    bumped = rich.json("bump", sent["txid"], "--fee-rate", "20sat/vb", "--yes", answers=[PASSWORD])
    assert bumped["review"]["replaces"] == sent["txid"]
    cancelled = rich.json(
        "bump", bumped["transfer"]["id"][:8], "--cancel", "--fee-rate", "40sat/vb", "--yes", answers=[PASSWORD]
    )
    assert cancelled["review"]["payments"] == []
    box.mine(1)
    states = {one["id"]: one["state"] for one in rich.json("history", "savings", "--transfers")["transfers"]}
    assert states == {
        sent["id"]: "replaced",
        bumped["transfer"]["id"]: "replaced",
        cancelled["transfer"]["id"]: "confirmed",
    }
    with pytest.raises(InvalidInputError, match="no transfer"):
        rich.text("bump", "unknown", "--speed", "fast")


def test_ether_and_tokens(rich: Any, box: Any) -> None:
    with pytest.raises(InvalidInputError, match="unit 'susd' is not known"):
        rich.text("send", "gas", ETHEREUM_PAYEE, "1susd", "--dry-run")
    rich.text("account", "token", "gas", box.token.contract, box.token.symbol, str(box.token.decimals))
    before = spendable(rich, "gas", "SUSD")
    ether = rich.json("send", "gas", ETHEREUM_PAYEE, "0.5eth", "--yes", answers=[PASSWORD])
    assert ether["transfer"]["txid"].startswith("0x")
    with pytest.raises(PolicyDeniedError, match="no rule allows"):
        rich.text("send", "gas", ETHEREUM_PAYEE, "12.5susd", "--yes", answers=[PASSWORD])
    explained = rich.text("policy", "explain", "gas", ETHEREUM_PAYEE, "12.5susd")
    with (rich.home / "policy.toml").open("a") as file:
        file.write(explained[explained.index("  [[token]]") :])  # what the refusal proposes works as it stands
    rich.json("send", "gas", ETHEREUM_PAYEE, "12.5susd", "--speed", "fast", "--yes", answers=[PASSWORD])
    box.mine_ethereum(1)
    assert spendable(rich, "gas", "SUSD") == before - 12_500_000
    assert {one["state"] for one in rich.json("history", "gas", "--transfers")["transfers"]} == {"confirmed", "denied"}
    assert f"12.5 SUSD to {ETHEREUM_PAYEE}" in rich.text("history", "gas", "--transfers")
    refused = rich.run("policy", "explain", "gas", ETHEREUM_PAYEE, "200susd").stdout
    assert "over the limit" in refused
    assert "[[token]]" not in refused


def planned(line: Any, box: Any) -> tuple[str, str]:
    """A transfer that a process planned and did not live to sign: its id and its PSBT."""
    node = BitcoindBackend(box.bitcoin_url, network=Network.REGTEST, cookie=box.bitcoin_cookie)
    with closing(node), Wallet.open(line.home / "wallet.db") as store:
        store.sync("savings", node)
        order = PaymentOrder(BITCOIN_PAYEE, 1_000_000, "BTC")
        plan = store.plan(Transfer(account="savings", payments=(order,)), node)
        assert plan.psbt is not None
        return plan.id, plan.psbt


def test_what_an_interrupted_run_left_is_released(rich: Any, box: Any) -> None:
    transfer, _ = planned(rich, box)
    result = rich.run("balance", "savings")
    assert f"Transfer {transfer} was planned and not signed" in result.stderr
    assert rich.json("history", "savings", "--transfers")["transfers"][0]["state"] == "cancelled"


class Unplugged:
    """A signer that goes away when it is asked."""

    def __init__(self, *_words: Any) -> None:
        raise SignerUnavailableError("it was unplugged")


def test_an_interrupted_signature_is_resumed_or_given_up(rich: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bursar.backends.software.signer import SoftwareSigner

    for goes_on in (True, False):
        with monkeypatch.context() as patched:
            patched.setattr(SoftwareSigner, "sign_psbt", Unplugged)
            with pytest.raises(SignerUnavailableError):
                rich.text("send", "savings", BITCOIN_PAYEE, "0.03btc", "--yes", answers=[PASSWORD])
        made = rich.json("history", "savings", "--transfers", "--offline")["transfers"][-1]
        assert made["state"] == "approved"  # a signature may exist
        assert f"Transfer {made['id']} waits to be signed" in rich.run("balance", "savings").stderr
        if goes_on:
            sent = rich.json("resume", made["id"][:13], answers=[PASSWORD])["transfer"]
            assert (sent["id"], sent["state"]) == (made["id"], "sent")
            assert rich.json("resume", made["id"])["transfer"]["txid"] == sent["txid"]
        else:
            with pytest.raises(ConflictError, match="a signature of it may exist"):
                rich.text("bump", made["id"], "--cancel")


def test_what_another_process_is_busy_with_is_left_alone(rich: Any, box: Any) -> None:
    transfer, _ = planned(rich, box)
    other = os.open(rich.home / "transfers.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_SH)
    assert transfer not in rich.run("balance", "savings").stderr
    assert rich.json("history", "savings", "--transfers")["transfers"][0]["state"] == "planned"
    released = rich.json("bump", transfer, "--cancel")["transfer"]
    assert released["state"] == "cancelled"
    os.close(other)


def test_a_psbt_goes_through_files(rich: Any, box: Any, tmp_path: Path) -> None:
    _, text = planned(rich, box)
    plain, binary = tmp_path / "plain.psbt", tmp_path / "binary.psbt"
    plain.write_text(text + "\n")
    binary.write_bytes(base64.b64decode(text))
    shown = rich.json("psbt", "inspect", str(plain))["psbt"]
    assert shown == rich.json("psbt", "inspect", str(binary), "--network", "regtest")["psbt"]
    assert (shown["complete"], shown["problem"], shown["inputs"][0]["state"]) == (False, None, "unsigned")
    paid = sum(int(one["amount"]) for one in shown["outputs"])
    assert paid + int(shown["fee"]) == sum(int(one["amount"]) for one in shown["inputs"])
    assert "Fee" in rich.text("psbt", "inspect", "-", stdin=text)

    signed = tmp_path / "signed.psbt"
    rich.json("psbt", "sign", str(binary), "-o", str(signed), "--binary", answers=["y", PASSWORD])
    review = next(one for one in rich.answers.heard if "Transfer to approve" in one)
    assert "Comes back to this account" in review
    assert Psbt.parse(signed.read_bytes()).inputs[0].partial_sigs
    with pytest.raises(InvalidInputError, match="exists: choose another name"):
        rich.text("psbt", "sign", str(binary), "-o", str(signed))  # before anybody is asked anything
    both = rich.text("psbt", "combine", str(plain), str(signed))
    assert Psbt.from_text(both) == Psbt.parse(signed.read_bytes())
    final = rich.json("psbt", "finalize", str(signed))
    assert final["raw"]
    with pytest.raises(InvalidInputError, match="nothing is left to sign"):
        rich.run_or_raise("psbt", "sign", "-", stdin=final["psbt"])
    sent = rich.run("psbt", "broadcast", "-", "--network", "regtest", stdin=final["psbt"])
    assert sent.stdout.strip() == final["txid"] == shown["txid"]
    assert rich.text("psbt", "broadcast", str(signed), "--network", "regtest").strip() == shown["txid"]
    box.mine(1)


def test_psbt_sign_obeys_the_policy_and_the_human(rich: Any, box: Any, tmp_path: Path) -> None:
    _, text = planned(rich, box)
    with pytest.raises(UserCancelledError):
        rich.run_or_raise("psbt", "sign", "-", answers=["n"], stdin=text)
    policy = rich.home / "policy.toml"
    policy.write_text(policy.read_text().replace('max = "1btc"', 'max = "1000sat"'))
    with pytest.raises(PolicyDeniedError):
        rich.run_or_raise("psbt", "sign", "-", "--yes", stdin=text)
    with pytest.raises(InvalidInputError):
        rich.run_or_raise("psbt", "sign", "-", "--account", "gas", stdin=text)


@pytest.mark.parametrize("content", [b"", b"  \n", b"not base64!", b"psbt\xff", b"\xff\xfe\x00", b"cHNidP8="])
def test_what_is_no_psbt(cli: Any, content: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        cli.run_or_raise("psbt", "inspect", "-", "--network", "regtest", stdin=content)
    assert caught.value.code.startswith("input.psbt")


def test_a_node_that_is_down_or_of_another_chain(rich: Any, box: Any) -> None:
    path = rich.home / "config.toml"
    path.write_text(path.read_text().replace(box.bitcoin_url, "http://127.0.0.1:1"))
    with pytest.raises(ChainUnavailableError):
        rich.text("balance", "savings")
    before = rich.json("balance", "savings", "--offline")
    assert before["accounts"][0]["account"] == "savings"
    path.write_text('network = "regtest"\nchain_id = 1\n')
    with pytest.raises(InvalidInputError, match="bursar sandbox up"):
        rich.text("balance", "savings")


def test_an_account_of_another_chain_id(rich: Any, box: Any) -> None:
    rich.text(
        "account", "add", "mainnet", "--chain", "ethereum", "--chain-id", "1", "--number", "1", answers=[PASSWORD]
    )
    with (rich.home / "config.toml").open("a") as file:
        file.write(f'[ethereum.1]\nurl = "{box.ethereum_url}"\n')
    with pytest.raises(WrongChainError):
        rich.text("balance", "mainnet")
