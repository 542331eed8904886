"""The sandbox as a process of its own: up, found, used, down; also when it cannot start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bursar.cli import compose
from bursar.errors import ChainUnavailableError, InvalidInputError
from bursar.nodes.sandbox import CHAIN_ID

pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")
pytest.importorskip("eth", reason="py-evm is not installed")


def bursar(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bursar.cli", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, start_new_session=True, check=False)


def test_up_use_down_and_up_again(wallet: Any) -> None:
    home = wallet.home
    assert wallet.json("sandbox", "status") == {"running": False}
    with pytest.raises(ChainUnavailableError, match="sandbox up"):
        wallet.text("sandbox", "mine")
    try:
        started = json.loads(bursar(home, "sandbox", "up", "--json", "--engine", "py-evm").stdout)
        assert started["running"] is True
        assert json.loads(bursar(home, "sandbox", "up", "--json").stdout)["pid"] == started["pid"]
        assert wallet.json("sandbox", "fund", "savings", "0.7btc")["funded"] == "0.7 BTC"
        assert wallet.json("sandbox", "fund", "savings")["funded"] == "1 BTC"
        assert wallet.json("sandbox", "fund", "gas", "3eth")["funded"] == "3 ETH"
        contract, symbol, decimals = started["token"]
        with pytest.raises(InvalidInputError, match="not known"):
            wallet.json("sandbox", "fund", "gas", "5susd")
        wallet.text("account", "token", "gas", contract, symbol, str(decimals))
        wallet.json("sandbox", "fund", "gas", "5susd")
        heights = wallet.json("sandbox", "mine", "3", "--to", "savings")["heights"]
        assert set(heights) == {"bitcoin", "ethereum"}
        held = {one["account"]: one["balances"] for one in wallet.json("balance")["accounts"]}
        assert int(held["savings"][0]["spendable"]) == 170_000_000
        assert int(held["savings"][0]["immature"]) == 3 * 50 * 10**8
        assert [int(one["confirmed"]) for one in held["gas"]] == [3 * 10**18, 5 * 10**decimals]
        findings = wallet.json("doctor")["findings"]
        assert {"bitcoin regtest", "ethereum 31337"} <= {one["subject"] for one in findings}
        assert json.loads(bursar(home, "sandbox", "down", "--json").stdout)["stopped"] is True
        assert json.loads(bursar(home, "sandbox", "down", "--json").stdout)["stopped"] is False
        assert wallet.json("sandbox", "status") == {"running": False}
        again = json.loads(bursar(home, "sandbox", "up", "--json").stdout)
        assert wallet.json("sandbox", "mine", "--chain", "bitcoin")["heights"]["bitcoin"] == heights["bitcoin"] + 1
        assert again["token"] == started["token"]
    finally:
        bursar(home, "sandbox", "down")


def test_new_wallets_expect_the_sandboxs_chain_id() -> None:
    assert compose.SANDBOX_CHAIN_ID == CHAIN_ID


def test_why_it_did_not_start_is_told(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "bitcoin").write_text("in the way")
    done = bursar(tmp_path, "sandbox", "up", "--json")
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "chain.unavailable"
    assert "did not start: " in error["message"]
    assert "Traceback" not in error["message"]
