"""A sandbox that was killed: its blocks and waiting transactions are there again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bursar.errors import ChainUnavailableError
from bursar.nodes.sandbox.ethereum import EthereumSandbox, anvil
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc

PAYEE = "0x3333333333333333333333333333333333333333"
PROGRAM = """
import sys, time
from pathlib import Path
from bursar.nodes.sandbox.ethereum import EthereumSandbox
sandbox = EthereumSandbox(Path(sys.argv[1]), engine="py-evm").start()
while True:
    print(sandbox.fund(sys.argv[2], 7), flush=True)
"""


def test_a_killed_sandbox_keeps_every_block_it_told_of(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), PAYEE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()
    with EthereumSandbox(tmp_path) as sandbox:
        rpc = LoopbackRpc(sandbox.wait().url)
        for tx_hash in told:
            assert rpc.call("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
        height = int(rpc.call("eth_blockNumber"), 16)
        assert height >= len(told)
        assert int(rpc.call("eth_getBalance", PAYEE), 16) == 7 * height
        sandbox.fund(PAYEE, 7)
        assert int(rpc.call("eth_getBalance", PAYEE), 16) == 7 * (height + 1)


def test_anvil_does_not_outlive_a_killed_program(tmp_path: Path, component: Callable[[str], Path]) -> None:
    environment = {**os.environ, anvil.VARIABLE: str(component("anvil"))}
    program = PROGRAM.replace("py-evm", "anvil").replace("while True:", "print(sandbox.url, flush=True)\nwhile True:")
    command = [sys.executable, "-c", program, str(tmp_path), PAYEE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            LoopbackRpc(url).call("eth_chainId")
        except ChainUnavailableError:
            return
        time.sleep(0.1)
    raise AssertionError("anvil is still there")
