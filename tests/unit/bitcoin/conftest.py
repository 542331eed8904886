"""Keys, accounts and coins for the Bitcoin tests, a signer of ten lines, and libbitcoinkernel as the judge."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.build import ChangeKey
from bursar.bitcoin.coins import Coin, CoinKey
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.secp256k1 import ecdsa_sign_der, schnorr_sign, taproot_tweak_secret
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    """The content of one of the project's vector files."""
    return lambda name: json.loads((VECTORS / name).read_text())


class Wallet:
    """One seed on one network: accounts, coins with made-up previous transactions, and signatures."""

    def __init__(self, seed: bytes, network: Network) -> None:
        self.network = network
        self.root = ExtendedPrivateKey.from_seed(seed, testnet=network.testnet)
        self.random = random.Random(seed)

    def account(self, scheme: Scheme, number: int = 0) -> BitcoinAccount:
        path = account_path(scheme, self.network.coin_type, number)
        xpub = self.root.derive(path).public()
        return BitcoinAccount(self.network, scheme, KeyOrigin(self.root.fingerprint, path), xpub)

    def key(self, account: BitcoinAccount, branch: int, index: int) -> CoinKey:
        return CoinKey(account.key(branch, index), account.key_origin(branch, index), account.script_type)

    def change(self, account: BitcoinAccount, index: int = 0) -> ChangeKey:
        return ChangeKey(account.script(1, index), self.key(account, 1, index))

    def coin(self, account: BitcoinAccount, value: int, *, index: int = 0, **options: Any) -> Coin:
        outputs = [TxOut(Sats(value), account.script(0, index)), TxOut(Sats(1234), b"\x51")]
        vout = self.random.randrange(2)
        spent = OutPoint(Txid(self.random.randbytes(32)), 1)
        previous = Transaction(2, [TxIn(spent, witness=(b"proof",))], outputs if vout == 0 else outputs[::-1], 0)
        options = {"height": 100, "previous": previous, **options}
        return Coin(OutPoint(previous.txid, vout), previous.outputs[vout], self.key(account, 0, index), **options)

    def sign(self, psbt: Psbt, *, low_r: bool = False) -> Psbt:
        signed = psbt.copy()
        digests = InputDigests(signed)
        for place, one in enumerate(signed.inputs):
            digest = digests.digest(place)
            for key, origin in one.bip32_derivations.pairs():
                secret = self.root.derive(origin.path).secret().expose()
                one.partial_sigs[key] = ecdsa_sign_der(secret, digest.digest, low_r=low_r) + bytes((digest.sighash,))
            for _, (_, origin) in one.tap_bip32_derivations.pairs():
                secret = taproot_tweak_secret(self.root.derive(origin.path).secret().expose())
                one.tap_key_sig = schnorr_sign(secret, digest.digest, bytes(32))
        return signed


@pytest.fixture(scope="session")
def wallet() -> Wallet:
    return Wallet(bytes(range(64)), Network.REGTEST)


@pytest.fixture(scope="session")
def spec_wallet(vectors: Callable[[str], Any]) -> Callable[[Network], Wallet]:
    """The wallet of the specifications' examples, by network."""
    seed = bytes.fromhex(vectors("bitcoin_accounts.json")["seed"])
    return lambda network: Wallet(seed, network)


@pytest.fixture(scope="session")
def kernel_verify() -> Callable[[Transaction, Sequence[TxOut]], None]:
    """Runs every input's script under libbitcoinkernel with all its rules; raises on the first that fails."""
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")

    def verify(tx: Transaction, spent: Sequence[TxOut]) -> None:
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in spent]
        transaction = pbk.Transaction(tx.serialize())
        shared = pbk.script.PrecomputedTransactionData(transaction, outputs)
        flags = pbk.ScriptVerificationFlags.ALL
        for place, one in enumerate(spent):
            assert pbk.ScriptPubkey(one.script).verify(int(one.value), transaction, shared, place, flags)

    return verify
