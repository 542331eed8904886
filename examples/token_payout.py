"""Pay 500 people in a token from a CSV file, one nonce each; the process is killed half way and simply run again.

Another number of rows: ``python examples/token_payout.py 60``.
"""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from time import sleep

import bursar
from bursar.backends.software.keystore import create
from bursar.crypto.secret import Secret
from bursar.ethereum.address import Address
from bursar.keys.mnemonic import generate

AT_ONCE = 50  # nodes keep only so many transactions of one sender waiting
ACCOUNT = "payroll"
POLICY = """
version = 1

[[token]]
symbol = "{symbol}"
network = "eip155:{chain_id}"
contract = "{contract}"
decimals = {decimals}

[[rule]]
name = "anyone"
kind = "allow-any"
asset = "{symbol}"

[[rule]]
name = "one-salary"
kind = "limit"
max = "20{symbol}"
"""


def read_rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """Reference, address and amount of each row."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield row["reference"], row["address"], row["amount"]


def pay(folder: Path, url: str, chain_id: int, password: str) -> None:
    """Pay every row once. Whatever an earlier run did is found by the row's key; a signed payment is sent as it is."""
    policy = bursar.RulePolicy.from_toml((folder / "policy.toml").read_text())
    with (
        bursar.Wallet.open(folder / "wallet.db") as wallet,
        closing(bursar.EthRpcBackend(url, chain_id=chain_id)) as node,
        closing(bursar.SoftwareSigner.open(folder / "payroll.json", Secret.from_text(password))) as signer,
    ):
        wallet.recover(node)
        (token,) = wallet.tokens()
        for number, (reference, address, amount) in enumerate(read_rows(folder / "payroll.csv"), 1):
            order = bursar.PaymentOrder(address, token.parse_amount(amount), token.symbol)
            plan = wallet.plan(bursar.Transfer(ACCOUNT, (order,), idempotency_key=f"payroll/{reference}"), node)
            state = wallet.transfer(plan.id).state
            if state in ("planned", "approved"):
                approved = wallet.approval_of(plan.id) or wallet.approve(plan, policy)
                wallet.send(wallet.sign(approved, signer=signer, policy=policy), node)
            elif (signed := wallet.signed_of(plan.id)) is not None and state == "signed":
                wallet.send(signed, node)
            print(number, flush=True)
            if number % AT_ONCE == 0:
                wait(wallet, node, plan.id)


def wait(wallet: bursar.Wallet, node: bursar.EthRpcBackend, transfer_id: str) -> None:
    """Until a block has the transfer, and so all before it."""
    while wallet.transfer(transfer_id).state == "sent":
        sleep(0.2)
        wallet.refresh(ACCOUNT, node)


def prepare(folder: Path, sandbox: bursar.Sandbox, password: str, rows: int) -> None:
    """A keystore, a wallet with a funded account, a policy and the file of payments."""
    create(folder / "payroll.json", generate(), Secret.from_text(password))
    token = sandbox.token
    path = bursar.account_path(bursar.Scheme.BIP44, bursar.CoinType.ETHEREUM, 0)
    with (
        closing(bursar.SoftwareSigner.open(folder / "payroll.json", Secret.from_text(password))) as signer,
        bursar.Wallet.open(folder / "wallet.db", create=True) as wallet,
    ):
        master = signer.info.fingerprint
        assert master is not None  # a software signer always knows its own
        origin = bursar.KeyOrigin(master, path)
        account = bursar.EthereumAccount(sandbox.ethereum_chain_id, origin, signer.xpub(path))
        wallet.add_account(ACCOUNT, account, signer=str(origin.fingerprint))
        wallet.add_token(sandbox.ethereum_chain_id, token.contract, token.symbol, token.decimals)
        holder = wallet.new_address(ACCOUNT).address
    sandbox.fund_ether(holder, bursar.Wei.from_text("10eth"))
    sandbox.fund_token(holder, 10_000 * 10**token.decimals)
    with (folder / "payroll.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["reference", "address", "amount"])
        for number in range(1, rows + 1):
            payee = Address((1000 + number).to_bytes(20, "big"))
            table.writerow([f"2026-11/{number:04}", payee, f"{10 + number / 100:.2f}{token.symbol}"])
    facts = {"symbol": token.symbol, "contract": token.contract, "decimals": token.decimals}
    (folder / "policy.toml").write_text(POLICY.format(chain_id=sandbox.ethereum_chain_id, **facts))


def run(folder: Path, sandbox: bursar.Sandbox, password: str, *, killed_after: int | None) -> int:
    """Pay in a process of its own, killed after so many rows; how many it saw through."""
    desk = [sys.executable, __file__, str(folder), sandbox.ethereum_url, str(sandbox.ethereum_chain_id)]
    done = 0
    with subprocess.Popen(  # noqa: S603
        desk, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(password + "\n")
        process.stdin.close()
        for line in process.stdout:
            done = int(line)
            if done % AT_ONCE == 0:
                sandbox.mine_ethereum(1)
            if done == killed_after:
                process.send_signal(signal.SIGKILL)
                break
    return done


def main(rows: int = 500) -> None:
    password = token_urlsafe()
    with TemporaryDirectory() as name, bursar.Sandbox(None) as sandbox:
        folder = Path(name)
        prepare(folder, sandbox, password, rows)
        print("killed after row", run(folder, sandbox, password, killed_after=rows // 2))
        print("run again, to row", run(folder, sandbox, password, killed_after=None))
        sandbox.mine_ethereum(1)
        check(folder, sandbox, rows)


def check(folder: Path, sandbox: bursar.Sandbox, rows: int) -> None:
    """What the chain says: every payee has its amount, once."""
    with (
        bursar.Wallet.open(folder / "wallet.db") as wallet,
        closing(bursar.EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)) as node,
    ):
        wallet.sync(ACCOUNT, node)
        (token,) = wallet.tokens()
        confirmed = sum(made.state == "confirmed" for made in wallet.transfers(ACCOUNT))
        due = [
            (Address.from_text(address), token.parse_amount(amount))
            for _, address, amount in read_rows(folder / "payroll.csv")
        ]
        _block, held = node.balances([address for address, _ in due], [token.contract])
        right = sum(held[address, token.contract] == amount for address, amount in due)
        sender = Address.from_text(wallet.addresses(ACCOUNT)[0].address)
        print("rows paid once:", right, "of", rows)
        print("nonces used:", node.nonce(sender), "by", confirmed, "confirmed transfers")
        if not right == node.nonce(sender) == confirmed == rows:
            raise SystemExit("not every row was paid once")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        pay(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.stdin.readline().rstrip("\n"))
    else:
        main(*map(int, sys.argv[1:]))
