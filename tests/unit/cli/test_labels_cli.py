"""``bursar labels``: written, listed, moved in and out as JSON lines (BIP-329)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bursar.errors import InvalidInputError

COIN = "5f1c5d0f5a7e4c7b1c0e8a8a1e1f0d3b9c4a7d6e5f4c3b2a190807060504030a:0"
ELSEWHERE = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


def test_labels_are_set_listed_and_taken_away(wallet: Any) -> None:
    assert "No labels yet" in wallet.text("labels", "list", "savings")
    address = wallet.json("address", "new", "savings")["address"]["address"]
    wallet.text("labels", "set", "savings", address, "Alice, November")
    (found,) = wallet.json("labels", "list", "savings")["labels"]
    assert (found["type"], found["ref"], found["label"]) == ("addr", address, "Alice, November")
    assert found["origin"] == "wpkh([73c5da0a/84h/1h/0h])"
    assert "Alice, November" in wallet.text("labels", "list", "--network", "regtest")
    assert wallet.json("labels", "set", "savings", address, "")["label"] is None
    assert wallet.json("labels", "list", "savings")["labels"] == []


def test_a_file_goes_out_and_comes_in_with_a_report(wallet: Any, tmp_path: Path) -> None:
    address = wallet.json("address", "new", "savings")["address"]["address"]
    wallet.text("labels", "set", "savings", address, "Alice")
    path = tmp_path / "labels.jsonl"
    assert "1 label written" in wallet.text("labels", "export", "savings", "-o", str(path))
    assert path.stat().st_mode & 0o077 == 0
    assert json.loads(wallet.text("labels", "export", "savings")) == json.loads(path.read_text())
    with pytest.raises(FileExistsError):
        wallet.text("labels", "export", "savings", "-o", str(path))
    lines = [
        path.read_text().replace("Alice", "Bob").strip(),
        json.dumps({"type": "output", "ref": COIN, "spendable": False}),
        json.dumps({"type": "addr", "ref": ELSEWHERE, "label": "not ours"}),
    ]
    path.write_text("\n".join(lines))
    kept = wallet.json("labels", "import", str(path), "--account", "savings", "--keep")["import"]
    after = {change["after"]["ref"]: change["after"] for change in kept["changes"]}
    assert after[COIN]["spendable"] is False
    assert after[address]["label"] == "Alice"  # only the origin was added
    told = wallet.text("labels", "import", str(path))
    assert "Bob (was Alice)" in told
    assert f"passed over {ELSEWHERE}: it does not belong to regtest" in told
    assert "frozen" in wallet.text("labels", "list")


def test_a_broken_line_ends_it_unless_forgiven(wallet: Any) -> None:
    text = '{"type":"tx","ref":"zz"}\n{"type":"output","ref":"' + COIN + '","label":"rent"}\n'
    with pytest.raises(InvalidInputError, match="line 1"):
        wallet.text("labels", "import", "-", stdin=text)
    result = wallet.run_or_raise("labels", "import", "-", "--forgiving", stdin=text)
    assert "line 1: " in result.stderr
    assert "1 label changed" in result.stdout


def test_what_labels_are_not_for(wallet: Any) -> None:
    with pytest.raises(InvalidInputError, match="ethereum"):
        wallet.text("labels", "list", "gas")
    with pytest.raises(InvalidInputError):
        wallet.text("labels", "set", "savings", "nothing", "text")
