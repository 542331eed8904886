"""One account seen through a node, an Electrum server and an Esplora server: the same coins and the same past."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.accounts import account_of_descriptor
from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.electrum import ElectrumBackend
from bursar.nodes.esplora import EsploraBackend
from bursar.policy.policy import RulePolicy
from bursar.wallet import PaymentOrder, Transfer, TransferState
from bursar.wallet.wallet import Wallet

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
POLICY = RulePolicy.from_toml('version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n')
PAYEE = str(Address.from_script(b"\x00\x14" + bytes(range(60, 80)), Network.REGTEST))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SimpleNamespace]:
    pytest.importorskip("pbk", reason="the extra bursar[sandbox] is not installed")
    from bursar.nodes.sandbox import Sandbox

    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(ethereum="none", electrum=True, esplora=True))
        sandbox.mine(110)
        regtest = Network.REGTEST
        sources = {
            "node": BitcoindBackend(sandbox.bitcoin_url, network=regtest, cookie=sandbox.bitcoin_cookie),
            "electrum": ElectrumBackend(sandbox.electrum_url, network=regtest),
            "esplora": EsploraBackend(sandbox.esplora_url, network=regtest),
        }
        for source in sources.values():
            stack.enter_context(closing(source))
        signer = stack.enter_context(closing(SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))))
        path = account_path(Scheme.BIP84, 1, 3)
        xpub = dataclasses.replace(signer.xpub(path), testnet=True)
        key = f"[{KeyOrigin(signer.info.fingerprint, path)}]{xpub}/<0;1>/*"
        account = account_of_descriptor(f"wsh(and_v(v:pk({key}),older(1)))", regtest)
        wallets = {name: stack.enter_context(Wallet.open(tmp_path / f"{name}.db", create=True)) for name in sources}
        for wallet in wallets.values():
            wallet.add_account("one", account)
        yield SimpleNamespace(sandbox=sandbox, sources=sources, wallets=wallets, account=account, signer=signer)


def told(world: SimpleNamespace, name: str) -> Any:
    wallet = world.wallets[name]
    report = wallet.sync("one", world.sources[name])
    assert report.history_complete, name
    moved = {(row.txid, row.direction, row.amount, row.fee, row.height) for row in wallet.history("one")}
    coins = {(coin.outpoint, coin.value, coin.height, coin.state) for coin in wallet.coins("one")}
    used = {(one.branch, one.index) for one in wallet.addresses("one") if one.used}
    return moved, coins, used, wallet.balance("one")[0].confirmed


def test_all_sources_tell_the_same(world: SimpleNamespace) -> None:
    sandbox, wallet = world.sandbox, world.wallets["electrum"]
    for index in (0, 5, 19, 30):
        sandbox.fund_bitcoin(str(world.account.address(0, index)), 100_000 + index)
    first = told(world, "electrum")
    assert first[3] == 400_054
    order = (PaymentOrder(PAYEE, 150_000, "BTC"),)
    plan = wallet.plan(Transfer(account="one", payments=order), world.sources["electrum"])
    done = wallet.sign(wallet.approve(plan, POLICY), signer=world.signer)
    wallet.send(done, world.sources["electrum"])
    assert told(world, "electrum")[3] == 400_054
    (block,) = sandbox.mine(1)
    found = {name: told(world, name) for name in world.sources}
    # Those that come later see the whole past all the same, spent coins included.
    assert found["node"] == found["electrum"] == found["esplora"]
    assert wallet.transfer(plan.id).state is TransferState.CONFIRMED
    sandbox.bitcoin.chain.invalidate(bytes.fromhex(block)[::-1])
    sandbox.mine(2)
    after = {name: told(world, name) for name in world.sources}
    assert after["node"] == after["electrum"] == after["esplora"]
    assert after["node"][3] == 400_054 - 150_000 - plan.review.fee
