"""The fixed inputs of every row: one seed, its branch keys, digests, PSBTs. No secret here guards anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.ethereum.account import EthereumAccount
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme

WORDS = "abandon " * 23 + "art"
SEED = Mnemonic.from_text(WORDS).to_seed(None).expose()
MASTER = ExtendedPrivateKey.from_seed(SEED)
SECRET = bytes([0x11]) * 32
TO = bytes([0x22]) * 20
TIP, MAX_FEE, GAS, VALUE = 10**9, 30 * 10**9, 21_000, 10**18
AMOUNT = 100_000


@dataclass(frozen=True)
class Branch:
    """One receive branch: the private and the public half at ``path``."""

    path: str
    private: ExtendedPrivateKey

    @property
    def xprv(self) -> str:
        return self.private.text().expose().decode()

    @property
    def xpub(self) -> str:
        return str(self.private.public())

    @property
    def secret(self) -> bytes:
        return self.private.secret().expose()

    def floor(self, *, private: bool) -> str:
        """The chain code and key, as the floor takes them."""
        key = self.secret if private else self.private.public_key
        return f"{self.private.chain_code.hex()} {key.hex()}"


def branch(path: str) -> Branch:
    return Branch(path, MASTER.derive(DerivationPath.from_text(path)))


BRANCHES = {
    "wpkh": branch("m/84h/0h/0h/0"),
    "tr": branch("m/86h/0h/0h/0"),
    "pkh": branch("m/44h/0h/0h/0"),
    "eth": branch("m/44h/60h/0h/0"),
}
SCHEMES = {"wpkh": Scheme.BIP84, "tr": Scheme.BIP86, "pkh": Scheme.BIP44}


def bitcoin_account(scheme: Scheme) -> BitcoinAccount:
    path = DerivationPath.from_text(f"m/{scheme.value}h/0h/0h")
    return BitcoinAccount(Network.MAIN, scheme, KeyOrigin(MASTER.fingerprint, path), MASTER.derive(path).public())


def ethereum_account() -> EthereumAccount:
    path = DerivationPath.from_text("m/44h/60h/0h")
    return EthereumAccount(1, KeyOrigin(MASTER.fingerprint, path), MASTER.derive(path).public())


@cache
def digests(count: int) -> list[bytes]:
    """Digest i is the SHA-256 of i as four bytes, little-endian, as in the floor."""
    return [hashlib.sha256(i.to_bytes(4, "little")).digest() for i in range(count)]


@cache
def psbt(kind: str, inputs: int, *, previous_too: bool = False) -> bytes:
    """Inputs 0 to ``inputs`` - 1 of the receive branch, one payment; ``previous_too`` adds whole transactions.

    P2PKH inputs come with their whole previous transactions only: their signatures do not commit to amounts.
    """
    account = bitcoin_account(SCHEMES[kind])
    spent, previous = [], []
    for index, script in enumerate(account.scripts(0, 0, inputs)):
        funding = TxIn(OutPoint(Txid(hashlib.sha256(b"coin %d" % index).digest()), 0), b"", 0xFFFFFFFD, ())
        output = TxOut(Sats(AMOUNT), script)
        previous.append(Transaction(2, (funding,), (output, TxOut(Sats(50_000), account.script(1, 0))), 0))
        spent.append(output)
    tx = Transaction(
        2,
        tuple(TxIn(OutPoint(one.txid, 0), b"", 0xFFFFFFFD, ()) for one in previous),
        (TxOut(Sats(inputs * (AMOUNT - 200)), account.script(0, 900_000)),),
        0,
    )
    result = Psbt(tx)
    for index, (entry, output, before) in enumerate(zip(result.inputs, spent, previous, strict=True)):
        key, origin = account.key(0, index), account.key_origin(0, index)
        if kind != "pkh":
            entry.witness_utxo = output
        if previous_too or kind == "pkh":
            entry.non_witness_utxo = before
        if kind != "tr":
            entry.bip32_derivations[key] = origin
        else:
            entry.tap_internal_key = key[1:]
            entry.tap_bip32_derivations[key[1:]] = ((), origin)
    return result.serialize()
