"""The faces a wallet shows: the library and the command line, doing the same things with a device on the bench."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import pytest
from bursar_devices.prompting import BenchPrompt
from click.testing import CliRunner

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.message import encode_signature
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.cli import config
from bursar.cli.app import root
from bursar.cli.home import Home, write_private
from bursar.cli.hwi import front
from bursar.cli.hwi.codes import Code
from bursar.cli.session import Session
from bursar.cli.transferring import UNSIGNED
from bursar.errors import SignerError, UserCancelledError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.message import encode_signature as encode_personal
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import UNKNOWN, KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.policy.policy import RulePolicy
from bursar.signing.checks import confirm_address, request_message, request_personal_message
from bursar.signing.registry import Registry
from bursar.wallet.transfer import PaymentOrder, Transfer
from bursar.wallet.wallet import Wallet

POLICY = 'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
ETHEREUM = "ether"
ADDRESS_TYPES = {"p2pkh": "legacy", "p2sh-p2wpkh": "sh_wit", "p2wpkh": "wit", "p2tr": "tap"}
DESCRIBED = re.compile(r"\[([0-9a-fh/]+)\]([A-Za-z0-9]+)")
SCHEMES = {"p2pkh": Scheme.BIP44, "p2sh-p2wpkh": Scheme.BIP49, "p2wpkh": Scheme.BIP84, "p2tr": Scheme.BIP86}


class Face(Protocol):
    """What a user does. Account names are those of ``SCHEMES``, or ``ether``."""

    def add_account(self, name: str, number: int) -> None: ...

    def new_address(self, name: str) -> str: ...

    def confirm(self, name: str, index: int) -> str: ...

    def pay(self, name: str, to: str, amount: int, asset: str) -> str: ...

    def sign_message(self, name: str, index: int, text: str) -> tuple[str, str]: ...

    def add_token(self, token: Any) -> None: ...

    def release(self, name: str) -> None: ...


def node_for(sandbox: Any, name: str) -> Any:
    """The sandbox's node for an account, to be closed."""
    if name == ETHEREUM:
        return EthRpcBackend(sandbox.ethereum_url, chain_id=sandbox.ethereum_chain_id)
    return BitcoindBackend(sandbox.bitcoin_url, network=Network.REGTEST, cookie=sandbox.bitcoin_cookie)


@dataclass
class LibraryFace:
    """As a program that embeds the wallet does it."""

    selector: str
    sandbox: Any
    home: Home
    prompt: BenchPrompt = field(default_factory=BenchPrompt)

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Wallet, Any]]:
        """The wallet and the signer, open."""
        signer = Registry.installed().open(self.selector, self.prompt)
        with contextlib.closing(signer), Wallet.open(self.home.wallet) as wallet:
            yield wallet, signer

    def add_account(self, name: str, number: int) -> None:
        with self.opened() as (wallet, signer):
            account = account_of(signer, name, number, self.sandbox)
            wallet.add_account(name, account, signer=str(account.origin.fingerprint))

    def new_address(self, name: str) -> str:
        with Wallet.open(self.home.wallet) as wallet:
            return wallet.new_address(name).address

    def confirm(self, name: str, index: int) -> str:
        with self.opened() as (wallet, signer):
            return str(confirm_address(signer, wallet.account(name).account, index))

    def pay(self, name: str, to: str, amount: int, asset: str) -> str:
        return self.carry_out(Transfer(account=name, payments=(PaymentOrder(to, amount, asset),)))

    def carry_out(self, transfer: Transfer) -> str:
        """Sync, plan, approve, sign and send."""
        policy, name = RulePolicy.from_toml(POLICY), transfer.account
        with self.opened() as (wallet, signer), contextlib.closing(node_for(self.sandbox, name)) as node:
            wallet.sync(name, node)
            plan = wallet.plan(transfer, node)
            return wallet.send(wallet.sign(wallet.approve(plan, policy), signer=signer, policy=policy), node)

    def sign_message(self, name: str, index: int, text: str) -> tuple[str, str]:
        with self.opened() as (wallet, signer):
            account = wallet.account(name).account
            if isinstance(account, EthereumAccount):
                sender = account.address(index)
                signature = request_personal_message(signer, account.path(index), text.encode(), sender=sender)
                return str(sender), encode_personal(signature)
            key = account.key(0, index)
            signature = request_message(signer, account.path(0, index), text.encode(), public_key=key)
            return str(account.address(0, index)), encode_signature(signature, account.script_type)

    def add_token(self, token: Any) -> None:
        with Wallet.open(self.home.wallet) as wallet:
            wallet.add_token(self.sandbox.ethereum_chain_id, token.contract, token.symbol, token.decimals)

    def release(self, name: str) -> None:
        """What a program does after a refusal: the plan is of no use any more."""
        with Wallet.open(self.home.wallet) as wallet:
            for record in wallet.transfers(name):
                if record.state in UNSIGNED:
                    wallet.cancel(record.id)


@dataclass
class CommandFace:
    """As a person at a terminal does it, with ``--json``; errors come as the exceptions behind the exit codes."""

    selector: str
    sandbox: Any
    home: Home

    def run(self, *words: str) -> Any:
        session = Session(json=True)
        done = CliRunner().invoke(
            root, [*words, "--json"], obj=session, env={"BURSAR_HOME": str(self.home.folder)}, catch_exceptions=True
        )
        if done.exception is not None:
            raise done.exception
        return json.loads(done.stdout)

    def add_account(self, name: str, number: int) -> None:
        which = ["--chain", "ethereum"] if name == ETHEREUM else ["--scheme", SCHEMES[name].name.lower()]
        self.run("account", "add", name, *which, "--number", str(number), "--signer", self.selector)

    def new_address(self, name: str) -> str:
        return str(self.run("address", "new", name)["address"]["address"])

    def confirm(self, name: str, index: int) -> str:
        shown = self.run("address", "show", name, str(index), "--on-device", "--signer", self.selector)
        assert shown["address"]["confirmed_on_device"]
        return str(shown["address"]["address"])

    def pay(self, name: str, to: str, amount: int, asset: str) -> str:
        units = {"BTC": f"{amount}sat", "ETH": f"{amount}wei"}
        text = units.get(asset) or f"{Decimal(amount).scaleb(-self.sandbox.token.decimals):f}{asset}"
        sent = self.run("send", name, to, text, "--yes", "--signer", self.selector)
        return str(sent["transfer"]["txid"])

    def sign_message(self, name: str, index: int, text: str) -> tuple[str, str]:
        signed = self.run("message", "sign", name, str(index), text, "--signer", self.selector)
        return signed["address"], signed["signature"]

    def add_token(self, token: Any) -> None:
        self.run("account", "token", ETHEREUM, token.contract, token.symbol, str(token.decimals))

    def release(self, name: str) -> None:
        """The command line has done so by itself."""


@dataclass
class HwiFace:
    """As Bitcoin Core does it: ``bursar-hwi`` for the device, a wallet that only watches for the rest."""

    selector: str
    sandbox: Any
    home: Home

    def run(self, *words: str) -> Any:
        kind, _, path = self.selector.partition(":")
        said = StringIO()
        with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
            patch.setenv("BURSAR_HOME", str(self.home.folder))
            assert front.run(["--device-type", kind, "--device-path", path, "--chain", "regtest", *words]) == 0
        answer = json.loads(said.getvalue())
        if isinstance(answer, dict) and "code" in answer:
            raise (UserCancelledError if answer["code"] == Code.ACTION_CANCELED else SignerError)(answer["error"])
        return answer

    def add_account(self, name: str, number: int) -> None:
        pool = self.run("getkeypool", "--addr-type", ADDRESS_TYPES[name], "--account", str(number), "0", "1")[0]
        origin, xpub = DESCRIBED.findall(pool["desc"])[0]
        key = ExtendedPublicKey.from_text(xpub)
        account = BitcoinAccount(Network.REGTEST, SCHEMES[name], KeyOrigin.from_text(origin), key)
        with Wallet.open(self.home.wallet) as wallet:
            wallet.add_account(name, account, signer=str(account.origin.fingerprint))

    def new_address(self, name: str) -> str:
        with Wallet.open(self.home.wallet) as wallet:
            return wallet.new_address(name).address

    def confirm(self, name: str, index: int) -> str:
        with Wallet.open(self.home.wallet) as wallet:
            path = wallet.account(name).account.path(0, index)  # type: ignore[call-arg, arg-type]
        return str(self.run("displayaddress", "--path", str(path), "--addr-type", ADDRESS_TYPES[name])["address"])

    def pay(self, name: str, to: str, amount: int, asset: str) -> str:
        transfer = Transfer(account=name, payments=(PaymentOrder(to, amount, asset),))
        with Wallet.open(self.home.wallet) as wallet, contextlib.closing(node_for(self.sandbox, name)) as node:
            wallet.sync(name, node)
            plan = wallet.plan(transfer, node, dry_run=True)
            answer = self.run("signtx", str(plan.psbt))
            assert answer["signed"]
            return str(node.broadcast(extract(finalize(Psbt.from_text(answer["psbt"])))))

    def sign_message(self, name: str, index: int, text: str) -> tuple[str, str]:
        with Wallet.open(self.home.wallet) as wallet:
            account = wallet.account(name).account
        assert isinstance(account, BitcoinAccount)
        signed = self.run("signmessage", text, str(account.path(0, index)))
        return str(account.address(0, index)), str(signed["signature"])

    def add_token(self, token: Any) -> None:
        """There are no tokens on Bitcoin."""

    def release(self, name: str) -> None:
        """Nothing was reserved."""


def account_of(signer: Any, name: str, number: int, sandbox: Any) -> BitcoinAccount | EthereumAccount:
    """The device's account of that name, from its own public key."""
    ether = name == ETHEREUM
    path = account_path(Scheme.BIP44 if ether else SCHEMES[name], 60 if ether else 1, number)
    fingerprint = signer.info.fingerprint or UNKNOWN  # a ledger's ethereum app tells none
    origin, xpub = KeyOrigin(fingerprint, path), signer.xpub(path)
    if ether:
        return EthereumAccount(sandbox.ethereum_chain_id, origin, xpub)
    return BitcoinAccount(Network.REGTEST, SCHEMES[name], origin, xpub)


def furnish(folder: Path, sandbox: Any) -> Home:
    """A wallet's folder without a keystore: the keys are on the device."""
    home = Home(folder)
    home.create()
    text = config.render(network=Network.REGTEST, chain_id=sandbox.ethereum_chain_id)
    text += f'[bitcoin.regtest]\nurl = "{sandbox.bitcoin_url}"\ncookie = "{sandbox.bitcoin_cookie}"\n'
    text += f'[ethereum.{sandbox.ethereum_chain_id}]\nurl = "{sandbox.ethereum_url}"\n'
    write_private(home.config, text)
    write_private(home.policy, POLICY)
    Wallet.open(home.wallet, create=True).close()
    return home
