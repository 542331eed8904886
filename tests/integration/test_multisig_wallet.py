"""A 2-of-3 account of three software signers on a real chain: any order, a process each, killed in between."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.address import Address
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.units import FeeRate
from bursar.chain.protocols import SyncRequest
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import MultisigScript, multisig_path
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.policy.policy import RulePolicy
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState
from bursar.wallet.wallet import Wallet

COSIGNER = Path(__file__).with_name("cosigner.py")
WORDS = (
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
)
POLICY = RulePolicy.from_toml('version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n')
PAYEE = Address.from_script(b"\x00\x14" + bytes(range(100, 120)), Network.REGTEST)


@pytest.fixture
def cosigners() -> Iterator[Callable[..., dict[str, Any]]]:
    with subprocess.Popen(
        [sys.executable, str(COSIGNER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        ask, answer = server.stdin, server.stdout
        assert ask is not None
        assert answer is not None

        def run(**told: Any) -> dict[str, Any]:
            ask.write(json.dumps({"stop": "", **told}) + "\n")
            ask.flush()
            found: dict[str, Any] = json.loads(answer.readline())
            assert (found["signal"] == signal.SIGKILL) is bool(told.get("stop")), found["error"]
            return found

        yield run
        ask.close()
        server.wait(30)


def account_of(kind: MultisigKind) -> MultisigAccount:
    home = multisig_path(MultisigScript.WSH, 1, 7)
    with ExitStack() as stack:
        keys = []
        for words in WORDS:
            signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(words))
            stack.callback(signer.close)
            xpub = dataclasses.replace(signer.xpub(home), testnet=True)
            keys.append((KeyOrigin(signer.info.fingerprint, home), xpub))
    return MultisigAccount(Network.REGTEST, kind, 2, tuple(keys))


def test_two_of_three_killed_between_signatures_confirmed(sandbox: Any, cosigners: Any, tmp_path: Path) -> None:
    store = tmp_path / "wallet.db"
    account = account_of(MultisigKind.WSH)
    node = BitcoindBackend(sandbox.bitcoin_url, network=Network.REGTEST, cookie=sandbox.bitcoin_cookie)
    with Wallet.open(store, create=True) as wallet:
        wallet.add_account("vault", account)
        for index in range(2):
            sandbox.fund_bitcoin(wallet.new_address("vault").address, 300_000 + index)
        wallet.sync("vault", node)
        assert wallet.balance("vault")[0].spendable == 600_001
        plan = wallet.plan(Transfer(account="vault", payments=(PaymentOrder(str(PAYEE), 450_000, "BTC"),)), node)
        wallet.approve(plan, POLICY)
    where = {"store": str(store), "transfer": plan.id}
    # The third signs first; a process dies before its signature stays, one right after.
    for stop in ("sign.answered", "sign.collected"):
        cosigners(**where, words=WORDS[2], stop=stop)
    with Wallet.open(store) as wallet:
        half = wallet.signing_progress(plan.id)
        assert (half.count, half.need, half.complete) == (1, 2, False)
        assert half.have == (str(account.fingerprints[2]),)
        wallet.journal.verify()
    cosigners(**where, words=WORDS[0], stop="sign.stored")
    with Wallet.open(store) as wallet:
        signed = wallet.signed_of(plan.id)
        assert signed is not None
        (done,) = wallet.recover(node)
        assert (done.action, done.txid) == ("rebroadcast", signed.txid)
        sandbox.mine(1)
        report = wallet.sync("vault", node)
        assert report.changed == (plan.id,)
        assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
        assert wallet.balance("vault")[0].confirmed == 600_001 - 450_000 - plan.review.fee
        wallet.journal.verify()
        # Lifted by a child, and replaced, with another pair each time.
        second = wallet.plan(Transfer(account="vault", payments=(PaymentOrder(str(PAYEE), 50_000, "BTC"),)), node)
        wallet.approve(second, POLICY)
    for words in (WORDS[1], WORDS[0]):
        found = cosigners(**{**where, "transfer": second.id}, words=words)
    assert found["progress"]["signed"] is not None
    with Wallet.open(store) as wallet:
        wallet.send(wallet.signed_of(second.id), node)
        child = wallet.cpfp(second.id, node, fee=FeeChoice(rate=FeeRate(30_000)))
        assert child.review.payments == ()
        wallet.approve(child, POLICY)
    for words in (WORDS[1], WORDS[2]):
        cosigners(**{**where, "transfer": child.id}, words=words)
    with Wallet.open(store) as wallet:
        wallet.send(wallet.signed_of(child.id), node)
        sandbox.mine(1)
        wallet.sync("vault", node)
        assert {one.state for one in wallet.transfers("vault")} == {TransferState.CONFIRMED}
        left = 600_001 - 500_000 - sum(one.fee for one in wallet.transfers("vault"))
        found = node.sync(SyncRequest(tuple(account.scripts(0, 0, 30) + account.scripts(1, 0, 30))))
        assert sum(int(coin.output.value) for coin in found.coins) == left == wallet.balance("vault")[0].confirmed
    node.close()
