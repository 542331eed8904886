"""Deposits over real sockets and a real EVM: each kind, inner payments by trace, reorganisations, finality."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.sandbox.ethereum.anvil import find_anvil
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.nodes.sandbox.ethereum.faucet import FAUCET_ADDRESS, FAUCET_KEY
from bursar.nodes.sandbox.ethereum.sandbox import EthereumSandbox
from bursar.wallet.wallet import Wallet

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
ETHER = 10**18
# A contract that passes on to the address in its calldata what ether it gets, and the code that creates it.
PASSES_ON = bytes.fromhex("600f600c600039600f6000f3" + "6000600060006000346000355af100")


@pytest.fixture(params=["py-evm", "anvil"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A chain of its own and a wallet that watches it; ``send`` puts the purse's transactions into the pool."""
    if request.param == "py-evm":
        pytest.importorskip("eth", reason="the extra bursar[sandbox] is not installed")
    elif find_anvil() is None:
        pytest.skip("the program anvil is not installed (`make test` installs it; BURSAR_ANVIL names one)")
    with EthereumSandbox(engine=request.param) as chain, Wallet.open(tmp_path / "wallet.db", create=True) as wallet:
        rpc = LoopbackRpc(chain.wait().url)
        backend = EthRpcBackend(chain.url, chain_id=chain.chain_id)

        def send(to: Address | None, value: int = 0, data: bytes = b"") -> str:
            tx = UnsignedTransaction(
                chain_id=chain.chain_id,
                nonce=int(rpc.call("eth_getTransactionCount", str(FAUCET_ADDRESS), "pending"), 16),
                to=to,
                value=Wei(value),
                data=data,
                gas_limit=21_000 if to is not None and not data else 200_000,
                max_fee_per_gas=Wei(10**11),
                max_priority_fee_per_gas=Wei(10**9),
            )
            signed = tx.sign_with(ecdsa_sign_recoverable(FAUCET_KEY, tx.digest()))
            rpc.call("eth_sendRawTransaction", "0x" + signed.serialize().hex())
            return signed.hash

        signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))
        path = account_path(Scheme.BIP44, 60, 0)
        account = EthereumAccount(chain.chain_id, KeyOrigin(signer.info.fingerprint, path), signer.xpub(path))
        signer.close()
        wallet.add_account("eth", account)
        token = chain.deploy_token()
        chain.fund_token(str(FAUCET_ADDRESS), 10**12)
        wallet.add_token(chain.chain_id, token.contract, token.symbol, token.decimals)
        wallet.sync("eth", backend)
        yield SimpleNamespace(
            chain=chain,
            rpc=rpc,
            wallet=wallet,
            send=send,
            token=Address.from_text(token.contract),
            ours=[account.address(number) for number in range(3)],
            sync=lambda: wallet.sync("eth", backend),
        )
        wallet.journal.verify()
        backend.close()


def rows(house: Any) -> set[tuple[str, str, int, str | None]]:
    return {(one.kind, one.state, one.amount, one.txid) for one in house.wallet.deposits("eth")}


def balances(house: Any) -> list[int]:
    return [one.confirmed for one in house.wallet.balance("eth")]


def test_every_kind_is_found_and_after_a_reorganisation_credited_once(house: Any) -> None:
    chain, send, (first, second, third) = house.chain, house.send, house.ours
    created = send(None, data=PASSES_ON)
    chain.mine()
    receipt = house.rpc.call("eth_getTransactionReceipt", created)
    contract = Address.from_text(receipt["contractAddress"], allow_lowercase=True)
    house.sync()
    base = chain.mine()

    def rest() -> dict[tuple[str, int], str]:
        """A token, ether by a contract, and ether of a contract that ends as it is created."""
        return {
            ("token", 5_000_000): send(house.token, data=encode_transfer(second, 5_000_000)),
            ("internal", 3 * ETHER): send(contract, 3 * ETHER, bytes(12) + third.value),
            ("internal", 7 * 10**16): send(None, 7 * 10**16, b"\x73" + first.value + b"\xff"),
        }

    txs = {("ether", ETHER): send(first, ETHER), **rest()}
    chain.mine()
    report = house.sync()
    assert (report.unexplained, report.alarms) == (0, ())
    assert rows(house) == {(kind, "seen", amount, txs[kind, amount]) for kind, amount in txs}
    assert balances(house) == [4 * ETHER + 7 * 10**16, 5_000_000]
    assert house.sync().new_transactions == 0

    house.rpc.call("anvil_rollback", 1)
    assert int(house.rpc.call("eth_blockNumber"), 16) == base
    house.rpc.call("evm_increaseTime", 7)
    other = send(second, 2 * ETHER)  # takes the nonce of the first payment
    chain.mine()
    chain.mine()
    assert rest().items() <= txs.items()  # the very same transactions, in another block
    chain.mine()
    report = house.sync()
    assert report.reorged is not None
    assert report.unexplained == 0
    standing = {row for row in rows(house) if row[1] != "reversed"}
    del txs["ether", ETHER]
    assert standing == {("ether", "seen", 2 * ETHER, other)} | {
        (kind, "seen", amount, txs[kind, amount]) for kind, amount in txs
    }
    assert len([one for one in house.wallet.deposits("eth") if one.state == "reversed"]) == 4
    assert balances(house) == [5 * ETHER + 7 * 10**16, 5_000_000]
    chain.mine(12)
    house.sync()
    assert {row[:2] + row[3:] for row in rows(house) if row[1] != "reversed"} == {
        ("ether", "confirmed", other),
        *((kind, "confirmed", tx_hash) for (kind, _), tx_hash in txs.items()),
    }
    assert house.sync().new_transactions == 0
