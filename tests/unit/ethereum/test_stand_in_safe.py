"""The examples' stand-in for a Safe's contract: its bytecode is what the compiler makes of its source."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
SOURCE = PROJECT / "examples" / "contracts" / "StandInSafe.sol"
COMPILED = json.loads(SOURCE.with_suffix(".json").read_text())


def test_the_bytecode_is_what_the_compiler_makes_of_the_source() -> None:
    """Run where node and the npm package solc of that version are installed; its behaviour is tested with the CLI."""
    compiler = os.environ.get("BURSAR_SOLC") or str(PROJECT / ".cache" / "anvil" / "node_modules" / "solc")
    node = shutil.which("node")
    if node is None or not Path(compiler).is_dir():
        pytest.skip("node or the npm package solc is not installed (BURSAR_SOLC names its folder)")
    request = {
        "language": "Solidity",
        "sources": {SOURCE.name: {"content": SOURCE.read_text()}},
        "settings": COMPILED["settings"] | {"outputSelection": {"*": {"StandInSafe": ["evm.bytecode.object"]}}},
    }
    program = "const s=require(process.argv[1]);console.log(JSON.stringify([s.version(),s.compile(process.argv[2])]))"
    command = [node, "-e", program, compiler, json.dumps(request)]
    ran = subprocess.run(command, capture_output=True, check=True, timeout=120)
    version, output = json.loads(ran.stdout)
    assert version == COMPILED["compiler"]
    made = json.loads(output)["contracts"][SOURCE.name]["StandInSafe"]["evm"]["bytecode"]["object"]
    assert "0x" + made == COMPILED["bytecode"]
