"""An authorization planned by the wallet, put to the policy, and signed by a Ledger."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bursar_devices.humans import approve
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt
from eth_account import Account

from bursar.backends.ledger import LedgerBackend
from bursar.chain.protocols import BlockRef
from bursar.errors import PolicyDeniedError, UnsupportedError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.authorization_json import authorization_to_rpc
from bursar.keys.origin import UNKNOWN, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.policy.policy import RulePolicy
from bursar.wallet.wallet import Wallet

SIMPLE = "0x4Cd241E8d1510e30b2076397afc7508Ae59C66c9"  # a delegate that Ledger's app knows
SENDER = "0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"
ANY = 'version = 1\n[[rule]]\nname = "any"\nkind = "allow-any"\n'
CODE = f'{ANY}[[rule]]\nname = "code"\nkind = "allow-delegations"\ndelegates = ["{SIMPLE}"]\n'


class Node:
    """Mainnet before anybody used it."""

    chain_id = 1

    def check_chain(self) -> BlockRef:
        return BlockRef(0, "0x" + "11" * 32, 1)

    def genesis_hash(self) -> str:
        return "0x" + "11" * 32

    def nonce(self, address: object, *, pending: bool = False) -> int:
        return 7

    def code(self, address: object) -> bytes:
        return b"\x60"

    def _never(self, *_args: object, **_options: object) -> None:
        raise AssertionError("asked for what an authorization does not need")

    balance = fees = estimate_gas = call = broadcast = receipt = transaction = logs = close = _never


def test_a_ledger_signs_what_the_policy_allows(tmp_path: Path) -> None:
    with ExitStack() as stack:
        simulator = stack.enter_context(
            LedgerSimulator(
                mnemonic=" ".join(["all"] * 12), app="Ethereum", human=approve(), test_keys=True, smart_accounts=True
            )
        )
        backend = LedgerBackend(locks=tmp_path, test_keys=True, device_seconds=5, human_seconds=20)
        info = backend.locate(simulator.location)
        assert info is not None
        opened: Any = backend.open(info, BenchPrompt({}))
        signer = stack.enter_context(opened)
        path = DerivationPath.from_text("m/44h/60h/0h")
        xpub = signer.xpub(path)
        account = EthereumAccount(1, KeyOrigin(UNKNOWN, path), xpub)
        wallet = stack.enter_context(Wallet.open(tmp_path / "wallet.db", create=True))
        wallet.add_account("gas", account, signer="ledger")
        node: Any = Node()
        planned = wallet.plan_authorization("gas", SIMPLE, node, sponsored=True)
        assert str(planned.authority) == SENDER
        with pytest.raises(PolicyDeniedError):
            wallet.sign_authorization(planned, signer=signer, policy=RulePolicy.from_toml(ANY))
        signed = wallet.sign_authorization(planned, signer=signer, policy=RulePolicy.from_toml(CODE))
        assert (str(signed.authority), signed.authorization.nonce) == (SENDER, 7)
        form = authorization_to_rpc(signed)
        parts = (int(form["yParity"], 16) + 27, int(form["r"], 16), int(form["s"], 16))
        theirs = Account._recover_hash(signed.authorization.digest(), vrs=parts)
        assert theirs == SENDER
        known = SimpleNamespace(backend="trezor", label="t", location="t", fingerprint=None, model="T3")
        trezor: Any = SimpleNamespace(info=known, xpub=lambda _path: xpub)
        with pytest.raises(UnsupportedError, match="signs no authorizations"):
            wallet.sign_authorization(planned, signer=trezor, policy=RulePolicy.from_toml(CODE))
        wallet.journal.verify()
