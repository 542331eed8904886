"""The demo's temporary world: a home with a fresh keystore, two private chains, a wallet, and money mined to it."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bursar.backends.software import SoftwareBackend, keystore
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.network import Network
from bursar.bitcoin.units import Sats
from bursar.cli.demo import hardware
from bursar.cli.home import Home, write_private
from bursar.crypto.secret import Secret
from bursar.errors import BursarError, InvalidInputError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import generate
from bursar.keys.origin import UNKNOWN, KeyOrigin
from bursar.keys.scheme import CoinType, Scheme, account_path
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.sandbox import Sandbox
from bursar.policy.policy import RulePolicy
from bursar.signing.registry import Registry
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from bursar.chain.protocols import BitcoinBackend, EthereumBackend
    from bursar.cli.demo.hardware import HardwareWallet
    from bursar.cli.sandbox_process import Engine
    from bursar.keys.origin import Fingerprint
    from bursar.signing.protocols import DeviceEvent, SecretRequest

SIGNER = "software:demo"
OPERATIONS, RESERVE, ETHER = "operations", "reserve", "ether"
_OUTSIDE = 7  # the account number under which the demo's payees live

POLICY = """\
version = 1

[[token]]
symbol = "{symbol}"
network = "eip155:{chain_id}"
contract = "{contract}"
decimals = {decimals}

[[rule]]
name = "anyone"
kind = "allow-any"

[[rule]]
name = "bitcoin-per-transfer"
kind = "limit"
max = "1000btc"

[[rule]]
name = "ether-per-transfer"
kind = "limit"
max = "10eth"

[[rule]]
name = "token-per-day"
kind = "rolling-limit"
max = "5000{symbol}"
window = "24h"

[[rule]]
name = "bitcoin-fee"
kind = "fee-cap"
max = "0.001btc"
"""


@dataclass(frozen=True, slots=True)
class KnownPassword:
    """A ``Prompt`` for a program that made the password itself a moment ago."""

    password: bytes

    def ask(self, request: SecretRequest) -> Secret:  # noqa: ARG002
        return Secret(self.password)

    def notify(self, event: DeviceEvent) -> None:
        """Nobody is there to be told."""


class Silent:
    """A ``Prompt`` of a program that looks at the device's screen itself."""

    def ask(self, request: SecretRequest) -> Secret:
        raise InvalidInputError(f"the demo's devices ask for no {request.kind}")

    def notify(self, event: DeviceEvent) -> None:
        """The device shows it."""


class House:
    """A context manager: enter, and everything runs; leave, by whatever way, and nothing is left."""

    def __init__(self, *, ethereum: Engine = "auto") -> None:
        self._ethereum: Engine = ethereum
        self._stack = ExitStack()
        self.signer: Any
        self.sandbox: Sandbox
        self.wallet: Wallet
        self.policy: RulePolicy
        self.bitcoin: BitcoinBackend
        self.ethereum: EthereumBackend
        self.fingerprint: Fingerprint
        self.token: Any
        self.hardware: list[HardwareWallet] = []
        self.known: Registry

    def __enter__(self) -> House:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def build(self, say: Callable[[str], None]) -> None:
        """Make the world, telling each step."""
        enter = self._stack.enter_context
        home = Home(Path(enter(TemporaryDirectory(prefix="bursar-demo-"))))
        home.create()
        self.sandbox = Sandbox(home.sandbox, ethereum=self._ethereum)
        enter(self.sandbox)  # the Ethereum engine warms up while the keystore is made
        password = KnownPassword(secrets.token_hex(16).encode())
        header = keystore.create(home.keystore("demo"), generate(24), Secret(password.password))
        self.fingerprint = header.fingerprint
        say(f"Keystore   24 fresh words, encrypted; fingerprint {header.fingerprint}")
        self.known = Registry.installed([SoftwareBackend(home.keystores)])
        self.signer = enter(closing(self.known.open(SIGNER, password)))
        self.wallet = enter(Wallet.open(home.wallet, create=True))
        self._open_accounts(say)
        self.bitcoin = enter(
            closing(
                BitcoindBackend(self.sandbox.bitcoin_url, network=Network.REGTEST, cookie=self.sandbox.bitcoin_cookie)
            )
        )
        self.ethereum = enter(closing(EthRpcBackend(self.sandbox.ethereum_url, chain_id=self.chain_id)))
        say("Chains     Bitcoin regtest (Bitcoin Core's consensus code) and an EVM, both in this process")
        self._fund(say)
        self._plug_in(say)
        text = POLICY.format(
            symbol=self.token.symbol,
            chain_id=self.chain_id,
            contract=self.token.contract,
            decimals=self.token.decimals,
        )
        write_private(home.policy, text)
        self.policy = RulePolicy.from_toml(text)
        say(f"Policy     {len(self.policy.rules)} rules; what none of them allows is refused")

    @property
    def chain_id(self) -> int:
        return self.sandbox.ethereum_chain_id

    def backend(self, account: str) -> BitcoinBackend | EthereumBackend:
        """The node behind an account."""
        return self.ethereum if self.is_ethereum(account) else self.bitcoin

    def is_ethereum(self, account: str) -> bool:
        """Whether an account is of the Ethereum chain."""
        return account.endswith(ETHER)

    def synchronise(self) -> None:
        """Bring every account up to date."""
        for record in self.wallet.accounts():
            self.wallet.sync(record.name, self.backend(record.name))

    def mine(self, account: str) -> None:
        """One block on the account's chain."""
        if self.is_ethereum(account):
            self.sandbox.mine_ethereum(1)
        else:
            self.sandbox.mine(1, self._outside(Scheme.BIP84, 0))

    def payee(self, chain: str, number: int) -> str:
        """An address that is not of the accounts shown."""
        if chain == "ethereum":
            path = account_path(Scheme.BIP44, CoinType.ETHEREUM, _OUTSIDE)
            account = EthereumAccount(self.chain_id, KeyOrigin(self.fingerprint, path), self.signer.xpub(path))
            return str(account.address(number))
        return self._outside(Scheme.BIP86, number)

    def _open_accounts(self, say: Callable[[str], None]) -> None:
        for name, scheme in ((OPERATIONS, Scheme.BIP84), (RESERVE, Scheme.BIP86)):
            self.wallet.add_account(name, self._bitcoin_account(scheme, 0), signer=str(self.fingerprint))
            say(f"Account    {name:<11} Bitcoin, BIP-{scheme.value}, {account_path(scheme, CoinType.TESTNET, 0)}")
        path = account_path(Scheme.BIP44, CoinType.ETHEREUM, 0)
        ether = EthereumAccount(self.chain_id, KeyOrigin(self.fingerprint, path), self.signer.xpub(path))
        self.wallet.add_account(ETHER, ether, signer=str(self.fingerprint))
        say(f"Account    {ETHER:<11} Ethereum, BIP-44, {path}")

    def _plug_in(self, say: Callable[[str], None]) -> None:
        """Hardware wallets, where simulators of some are installed: accounts on each, and money on those."""
        for name, start in hardware.offered():
            try:
                self.known.backend(name).discover()
            except BursarError:
                continue  # its vendor's library is not installed
            device = self._stack.enter_context(start(hardware.fresh_words()))
            wallet = hardware.HardwareWallet(name, device)
            self._open_on(wallet)
            self.hardware.append(wallet)
            say(f"Device     {device.title}, with accounts of its own on both chains")
        self.synchronise()

    def _open_on(self, wallet: HardwareWallet) -> None:
        for chain, account in (("bitcoin", wallet.name), ("ethereum", f"{wallet.name}-{ETHER}")):
            scheme = Scheme.BIP84 if chain == "bitcoin" else Scheme.BIP44
            coin = CoinType.TESTNET if chain == "bitcoin" else CoinType.ETHEREUM
            path = account_path(scheme, coin, 0)
            with wallet.open(self.known, Silent(), chain) as (_, signer):
                xpub, fingerprint = signer.xpub(path), signer.info.fingerprint or UNKNOWN
            origin = KeyOrigin(fingerprint, path)
            made = (
                BitcoinAccount(Network.REGTEST, scheme, origin, xpub)
                if chain == "bitcoin"
                else EthereumAccount(self.chain_id, origin, xpub)
            )
            self.wallet.add_account(account, made, signer=wallet.name)
            address = self.wallet.new_address(account).address
            if chain == "bitcoin":
                self.sandbox.fund_bitcoin(address, Sats.from_text("20btc"))
            else:
                self.sandbox.fund_ether(address, Wei.from_text("5eth"))

    def _bitcoin_account(self, scheme: Scheme, number: int) -> BitcoinAccount:
        path = account_path(scheme, CoinType.TESTNET, number)
        return BitcoinAccount(Network.REGTEST, scheme, KeyOrigin(self.fingerprint, path), self.signer.xpub(path))

    def _outside(self, scheme: Scheme, index: int) -> str:
        return str(self._bitcoin_account(scheme, _OUTSIDE).address(0, index))

    def _fund(self, say: Callable[[str], None]) -> None:
        for name, blocks in ((OPERATIONS, 1), (RESERVE, 3)):
            for _block in range(blocks):
                self.sandbox.mine(1, self.wallet.new_address(name).address)
        self.sandbox.mine(100, self._outside(Scheme.BIP84, 0))  # so that the rewards above may be spent
        holder = self.wallet.new_address(ETHER).address
        self.sandbox.fund_ether(holder, Wei.from_text("25eth"))
        self.token = self.sandbox.deploy_token()
        self.sandbox.fund_token(holder, 1000 * 10**self.token.decimals)
        self.wallet.add_token(self.chain_id, self.token.contract, self.token.symbol, self.token.decimals)
        self.synchronise()
        say("Funds      mined and minted to these accounts")
