"""Small chains in memory that can be told to reorganise and to lie, a counting signer, and a wallet over them."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import NULL_OUTPOINT, OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.chain.protocols import (
    BlockRef,
    ChainCoin,
    ChainTransaction,
    ChainUpdate,
    FeeQuote,
    Receipt,
    SyncRequest,
)
from bursar.errors import BroadcastRejectedError, ChainUnavailableError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.token import CALL_DECIMALS, decode_call, encode_allowance
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.policy.policy import RulePolicy
from bursar.wallet.wallet import Wallet

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
OTHER_WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
ANYTHING = 'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
GENESIS_TIME = 1_700_000_000


class FakeBitcoin:
    """Blocks as lists of transactions; a mempool with replacement by fee. Scripts are not run."""

    def __init__(self, network: Network = Network.REGTEST) -> None:
        self.network = network
        self.serial = itertools.count(1)
        self.blocks: list[tuple[str, list[Transaction]]] = [(network.genesis_hash, [])]
        self.mempool: dict[Txid, Transaction] = {}
        self.estimate: FeeRate | None = FeeRate(5000)
        self.floor = FeeRate(1000)
        self.broadcasts: list[bytes] = []
        self.down = False
        self.requests: list[SyncRequest] = []
        self.before_answer: Callable[[], None] | None = None

    # what a test does to the chain

    def pay(self, script: bytes, value: int, *, coinbase: bool = False) -> Transaction:
        """A transaction from nowhere, waiting in the mempool (coinbases are mined at once)."""
        serial = next(self.serial)
        source = NULL_OUTPOINT if coinbase else OutPoint(Txid(hashlib.sha256(b"%d" % serial).digest()), 0)
        tx = Transaction(2, [TxIn(source, b"\x03" + serial.to_bytes(3, "big"))], [TxOut(Sats(value), script)])
        if coinbase:
            self._block([tx])
        else:
            self.mempool[tx.txid] = tx
        return tx

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            self._block(list(self.mempool.values()))
            self.mempool.clear()

    def reorganise(self, depth: int, *, keep: bool = True) -> None:
        """Replace the last ``depth`` blocks by ``depth + 1`` empty ones; their transactions wait again, if kept."""
        orphans = [tx for _, txs in self.blocks[-depth:] for tx in txs]
        del self.blocks[-depth:]
        for _ in range(depth + 1):
            self._block([])
        if keep:
            self.mempool.update({tx.txid: tx for tx in orphans if not tx.is_coinbase})

    def _block(self, txs: list[Transaction]) -> None:
        self.blocks.append((hashlib.sha256(b"block %d" % next(self.serial)).hexdigest(), txs))

    # what a wallet asks

    def check_network(self) -> BlockRef:
        self._answer()
        return self._ref(len(self.blocks) - 1)

    def _answer(self) -> None:
        if self.down:
            raise ChainUnavailableError("the node does not answer")

    def _ref(self, height: int) -> BlockRef:
        return BlockRef(height, self.blocks[height][0], GENESIS_TIME + height * 600)

    def _places(self) -> dict[Txid, int]:
        return {tx.txid: height for height, (_, txs) in enumerate(self.blocks) for tx in txs}

    def _unspent(self) -> dict[OutPoint, tuple[TxOut, int, bool]]:
        found: dict[OutPoint, tuple[TxOut, int, bool]] = {}
        for height, (_, txs) in enumerate(self.blocks):
            for tx in txs:
                for item in tx.inputs:
                    found.pop(item.outpoint, None)
                for vout, output in enumerate(tx.outputs):
                    found[OutPoint(tx.txid, vout)] = (output, height, tx.is_coinbase)
        return found

    def sync(self, request: SyncRequest) -> ChainUpdate:
        self._answer()
        if self.before_answer is not None:
            self.before_answer()
        self.requests.append(request)
        scripts = set(request.scripts)
        coins = tuple(
            ChainCoin(outpoint, output, height, coinbase)
            for outpoint, (output, height, coinbase) in self._unspent().items()
            if output.script in scripts
        )
        since = request.since
        reorged = None
        start = 0
        if since is not None:
            start = since.height + 1
            if since.height >= len(self.blocks) or self.blocks[since.height][0] != since.hash:
                # As a node with a fork point would say it; here it keeps no record of the old chain: look back a lot.
                reorged = max(1, since.height - 10)
                start = reorged
        places = self._places()
        everything = {tx.txid: tx for _, txs in self.blocks for tx in txs} | self.mempool
        wanted: dict[Txid, Transaction] = {}
        mine = {tx.txid for tx in everything.values() if any(output.script in scripts for output in tx.outputs)}
        for txid, tx in everything.items():
            touches = txid in mine or any(
                item.outpoint.txid in mine
                and everything[item.outpoint.txid].outputs[item.outpoint.vout].script in scripts
                for item in tx.inputs
            )
            if touches and (txid not in places or places[txid] >= start):
                wanted[txid] = tx
        wanted.update({coin.outpoint.txid: everything[coin.outpoint.txid] for coin in coins})
        missing = []
        for txid in request.txids:
            if txid in everything:
                wanted[txid] = everything[txid]
            else:
                missing.append(txid)
        return ChainUpdate(
            tip=self._ref(len(self.blocks) - 1),
            coins=coins,
            transactions=tuple(
                ChainTransaction(tx, self._ref(places[txid]) if txid in places else None) for txid, tx in wanted.items()
            ),
            missing=tuple(missing),
            reorged=reorged,
        )

    def transaction(self, txid: Txid) -> ChainTransaction | None:
        self._answer()
        places = self._places()
        if txid in places:
            tx = next(tx for tx in self.blocks[places[txid]][1] if tx.txid == txid)
            return ChainTransaction(tx, self._ref(places[txid]))
        return ChainTransaction(self.mempool[txid], None) if txid in self.mempool else None

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        self._answer()
        return self.estimate

    def min_fee_rate(self) -> FeeRate:
        return self.floor

    def broadcast(self, tx: Transaction) -> Txid:
        self._answer()
        if tx.txid in self.mempool or tx.txid in self._places():
            return tx.txid
        unspent = self._unspent()
        spent = {item.outpoint for item in tx.inputs}
        if not all(
            item in unspent or (item.txid in self.mempool and item.vout < len(self.mempool[item.txid].outputs))
            for item in spent
        ):
            raise BroadcastRejectedError("inputs are missing", node_code=-25, reason="bad-txns-inputs-missingorspent")
        rivals = [old for old in self.mempool.values() if spent & {item.outpoint for item in old.inputs}]
        if any(self.fee(old) >= self.fee(tx) for old in rivals):
            raise BroadcastRejectedError("conflict", node_code=-26, reason="insufficient fee")
        for old in rivals:
            del self.mempool[old.txid]
        self.broadcasts.append(tx.serialize())
        self.mempool[tx.txid] = tx
        return tx.txid

    def fee(self, tx: Transaction) -> int:
        everything = {one.txid: one for _, txs in self.blocks for one in txs} | self.mempool
        brought = sum(everything[item.outpoint.txid].outputs[item.outpoint.vout].value for item in tx.inputs)
        return brought - sum(output.value for output in tx.outputs)

    def close(self) -> None: ...


class FakeEthereum:
    """Balances, nonces and two token functions; transactions wait until mined."""

    def __init__(self, chain_id: int = 31337) -> None:
        self.chain_id = chain_id
        self.genesis = "0x" + "11" * 32
        self.height = 0
        self.salt = 0
        self.balances: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.tokens: dict[str, dict[str, int]] = {}
        self.allowances: dict[tuple[str, str, str], int] = {}
        self.answers: dict[tuple[str, bytes], bytes] = {}
        self.decimals = 6
        self.codes: dict[str, bytes] = {}
        self.pool: dict[str, bytes] = {}
        self.mined: dict[str, tuple[bytes, BlockRef, bool, int]] = {}
        self.reverting = False
        self.base_fee = 10**9
        self.quote = FeeQuote(Wei(10**9), Wei(10**8), Wei(2 * 10**8), Wei(5 * 10**8))
        self.gas = 60_000
        self.broadcasts: list[bytes] = []
        self.lie_nonce: tuple[int, int] | None = None
        self.down = False

    def mine(self) -> None:
        self.height += 1
        for txid, raw in sorted(self.pool.items(), key=lambda item: SignedTransaction.parse(item[1]).unsigned.nonce):
            signed = SignedTransaction.parse(raw)
            tx, sender = signed.unsigned, str(signed.sender)
            if tx.nonce != self.counts.get(sender, 0):
                continue
            gas = 21_000 if not tx.data else 50_000
            self.balances[sender] -= gas * self._price(tx)
            succeeded = not self.reverting
            if succeeded:
                call = decode_call(tx.data) if tx.data else None
                if call is not None and call.method == "approve":
                    self.allowances[str(tx.to), sender, str(call.recipient)] = call.amount
                elif call is not None:
                    book = self.tokens[str(tx.to)]
                    book[sender] -= call.amount
                    book[str(call.recipient)] = book.get(str(call.recipient), 0) + call.amount
                else:
                    self.balances[sender] -= tx.value
                    self.balances[str(tx.to)] = self.balances.get(str(tx.to), 0) + tx.value
            self.counts[sender] = tx.nonce + 1
            del self.pool[txid]
            self.mined[txid] = (raw, self._tip(), succeeded, gas)

    def _price(self, tx: UnsignedTransaction) -> int:
        if tx.max_fee_per_gas is None:
            return int(tx.max_gas_price)
        return min(tx.max_fee_per_gas, self.base_fee + tx.max_priority_fee_per_gas)

    def _tip(self) -> BlockRef:
        return BlockRef(self.height, f"0x{self.salt:02x}{self.height:062x}", GENESIS_TIME + self.height * 12)

    def check_chain(self) -> BlockRef:
        if self.down:
            raise ChainUnavailableError("the node does not answer")
        return self._tip()

    def genesis_hash(self) -> str:
        return self.genesis

    def balance(self, address: Address, *, pending: bool = False) -> Wei:
        return Wei(self.balances.get(str(address), 0))

    def nonce(self, address: Address, *, pending: bool = False) -> int:
        if self.lie_nonce is not None:
            return self.lie_nonce[pending]
        count = self.counts.get(str(address), 0)
        if pending:
            waiting = [SignedTransaction.parse(raw) for raw in self.pool.values()]
            taken = {one.unsigned.nonce for one in waiting if one.sender == address}
            while count in taken:
                count += 1
        return count

    def fees(self) -> FeeQuote:
        return self.quote

    def estimate_gas(self, sender: Address, tx: object) -> int:
        return self.gas

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        if (str(to), data) in self.answers:
            return self.answers[str(to), data]
        if str(to) not in self.tokens:
            return b""
        if data[:4] == encode_allowance(to, to)[:4]:
            key = (str(to), str(Address(data[16:36])), str(Address(data[48:68])))
            return self.allowances.get(key, 0).to_bytes(32, "big")
        if data == CALL_DECIMALS:
            return self.decimals.to_bytes(32, "big")
        owner = str(Address(data[16:36]))
        return self.tokens[str(to)].get(owner, 0).to_bytes(32, "big")

    def code(self, address: Address) -> bytes:
        return b"\x60" if str(address) in self.tokens else self.codes.get(str(address), b"")

    def broadcast(self, raw: bytes) -> str:
        self.check_chain()
        signed = SignedTransaction.parse(raw)
        if signed.hash in self.pool or signed.hash in self.mined:
            return signed.hash
        if signed.unsigned.nonce < self.counts.get(str(signed.sender), 0):
            raise BroadcastRejectedError("nonce too low", node_code=-32000, reason="nonce too low")
        for txid, other in list(self.pool.items()):
            rival = SignedTransaction.parse(other)
            if rival.sender == signed.sender and rival.unsigned.nonce == signed.unsigned.nonce:
                if signed.unsigned.max_gas_price * 100 < rival.unsigned.max_gas_price * 110:
                    raise BroadcastRejectedError("underpriced", node_code=-32000, reason="replacement underpriced")
                del self.pool[txid]
        self.pool[signed.hash] = raw
        self.broadcasts.append(raw)
        return signed.hash

    def receipt(self, tx_hash: str) -> Receipt | None:
        if tx_hash not in self.mined:
            return None
        raw, block, succeeded, gas = self.mined[tx_hash]
        tx = SignedTransaction.parse(raw).unsigned
        return Receipt(tx_hash, block, succeeded, gas, Wei(self._price(tx)))

    def transaction(self, tx_hash: str) -> bytes | None:
        if tx_hash in self.mined:
            return self.mined[tx_hash][0]
        return self.pool.get(tx_hash)

    def logs(self, *, addresses: object, topics: object, from_block: int, to_block: int) -> tuple[object, ...]:
        return ()

    def close(self) -> None: ...


class CountingSigner:
    """Signs with software keys and remembers what it was asked: (coin or nonce, digest of the whole request)."""

    def __init__(self, words: str = WORDS) -> None:
        self._signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(words))
        self.asked: list[tuple[str, str]] = []
        self.refuse: Exception | None = None
        self.tamper: Callable[[Psbt], Psbt] | None = None

    @property
    def info(self) -> object:
        return self._signer.info

    def xpub(self, path: object) -> object:
        return self._signer.xpub(path)

    def close(self) -> None:
        self._signer.close()

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        if self.refuse is not None:
            raise self.refuse
        for item in psbt.tx.inputs:
            self.asked.append((str(item.outpoint), str(psbt.tx.txid)))
        answer = self._signer.sign_psbt(psbt)
        return answer if self.tamper is None else self.tamper(answer)

    def sign_transaction(self, path: object, tx: object) -> object:
        if self.refuse is not None:
            raise self.refuse
        self.asked.append((f"{path} {tx.nonce}", tx.digest().hex()))
        return self._signer.sign_transaction(path, tx)


def bitcoin_account(scheme: Scheme = Scheme.BIP84, *, words: str = WORDS, number: int = 0) -> BitcoinAccount:
    signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(words))
    path = account_path(scheme, 1, number)
    key = signer.xpub(path)
    account = BitcoinAccount(
        Network.REGTEST, scheme, KeyOrigin(signer.info.fingerprint, path), type(key).from_text(_as_tpub(key))
    )
    signer.close()
    return account


def _as_tpub(key: object) -> str:
    import dataclasses

    return str(dataclasses.replace(key, testnet=True))


def ethereum_account(chain_id: int = 31337, *, words: str = WORDS) -> EthereumAccount:
    signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(words))
    path = account_path(Scheme.BIP44, 60, 0)
    account = EthereumAccount(chain_id, KeyOrigin(signer.info.fingerprint, path), signer.xpub(path))
    signer.close()
    return account


@pytest.fixture(scope="session")
def fakes() -> SimpleNamespace:
    return SimpleNamespace(
        Bitcoin=FakeBitcoin,
        Ethereum=FakeEthereum,
        Signer=CountingSigner,
        bitcoin_account=bitcoin_account,
        ethereum_account=ethereum_account,
        words=WORDS,
        other_words=OTHER_WORDS,
    )


@cache
def empty_store() -> bytes:
    """A store as it is made: what takes most of the time of a short test is then done once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wallet.db"
        Wallet.open(path, create=True).close()
        return path.read_bytes()


@pytest.fixture
def wallet(tmp_path: Path) -> Iterator[Wallet]:
    path = tmp_path / "wallet.db"
    path.touch(mode=0o600)
    path.write_bytes(empty_store())
    with Wallet.open(path) as opened:
        yield opened


@pytest.fixture
def policy() -> RulePolicy:
    """Allows everything."""
    return RulePolicy.from_toml(ANYTHING)


@pytest.fixture
def bitcoin() -> FakeBitcoin:
    return FakeBitcoin()


@pytest.fixture
def ethereum() -> FakeEthereum:
    return FakeEthereum()


@pytest.fixture
def signer() -> Iterator[CountingSigner]:
    made = CountingSigner()
    yield made
    made.close()


@pytest.fixture
def funded(wallet: Wallet, bitcoin: FakeBitcoin) -> SimpleNamespace:
    """A BIP-84 account ``btc`` with three confirmed coins of 1, 2 and 3 million satoshi, synced."""
    account = bitcoin_account()
    wallet.add_account("btc", account, signer="test")
    for index, value in enumerate((1_000_000, 2_000_000, 3_000_000)):
        bitcoin.pay(account.script(0, index), value)
    bitcoin.mine()
    wallet.sync("btc", bitcoin)
    return SimpleNamespace(wallet=wallet, node=bitcoin, account=account)


@pytest.fixture
def rich(wallet: Wallet, ethereum: FakeEthereum) -> SimpleNamespace:
    """An Ethereum account ``eth`` with 10 ether at index 0 and a registered token of which it has 500.0, synced."""
    account = ethereum_account()
    token = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    ethereum.balances[str(account.address(0))] = 10 * 10**18
    ethereum.tokens[token] = {str(account.address(0)): 500 * 10**6}
    wallet.add_account("eth", account, signer="test")
    wallet.add_token(31337, token, "TST", 6)
    wallet.sync("eth", ethereum)
    return SimpleNamespace(wallet=wallet, node=ethereum, account=account, token=token)
