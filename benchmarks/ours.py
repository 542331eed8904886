"""Bursar's side of every row, through the calls a user makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from workload import (
    BRANCHES,
    GAS,
    MAX_FEE,
    SECRET,
    TIP,
    TO,
    VALUE,
    WORDS,
    bitcoin_account,
    digests,
    ethereum_account,
    psbt,
)

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.bulk import segwit_addresses
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.psbt import Psbt
from bursar.crypto import secp256k1
from bursar.crypto.hashes import hash160, keccak256
from bursar.crypto.schnorr_key import SchnorrKey
from bursar.crypto.secret import Secret
from bursar.ethereum.address import Address, checksum_texts
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures

ACCOUNTS = {"wpkh": bitcoin_account(Scheme.BIP84), "tr": bitcoin_account(Scheme.BIP86)}
ETHEREUM = ethereum_account()
Run = Callable[[int], Sequence[str] | Sequence[bytes]]


def public_slice(kind: str, start: int, count: int) -> list[str]:
    if kind == "eth":
        return ETHEREUM.addresses(start, count)
    return ACCOUNTS[kind].addresses(0, start, count)


def private_slice(kind: str, start: int, count: int) -> list[str]:
    branch = BRANCHES[kind].private
    if kind == "eth":
        keys = branch.children_public_uncompressed(start, count)
        return checksum_texts([keccak256(key[1:])[12:] for key in keys])
    if kind == "tr":
        return segwit_addresses("bc", 1, branch.children_taproot(start, count))
    return segwit_addresses("bc", 0, [hash160(key) for key in branch.children_public(start, count)])


SLICES = {"public": public_slice, "private": private_slice}


def derive(half: str, kind: str, start: int, count: int) -> list[str]:
    return SLICES[half](kind, start, count)


def addresses(half: str, kind: str) -> Run:
    return lambda count: derive(half, kind, 0, count)


def addresses_by_two(half: str, kind: str, pool: Executor) -> Run:
    def run(count: int) -> list[str]:
        first = pool.submit(derive, half, kind, 0, count // 2)
        second = pool.submit(derive, half, kind, count // 2, count - count // 2)
        return first.result() + second.result()

    return run


def ecdsa(count: int) -> list[bytes]:
    sign = secp256k1.ecdsa_sign_der
    return [sign(SECRET, digest) for digest in digests(count)]


def ecdsa_verified(count: int) -> list[bytes]:
    sign, verify, public = secp256k1.ecdsa_sign_der, secp256k1.ecdsa_verify_der, secp256k1.public_key(SECRET)
    made = []
    for digest in digests(count):
        signature = sign(SECRET, digest)
        verify(public, digest, signature)
        made.append(signature)
    return made


def schnorr(count: int) -> list[bytes]:
    zeros = bytes(32)
    with SchnorrKey(SECRET) as key:
        return [key.sign(digest, zeros) for digest in digests(count)]


def schnorr_verified(count: int) -> list[bytes]:
    zeros, made = bytes(32), []
    public = secp256k1.x_only(secp256k1.public_key(SECRET))
    with SchnorrKey(SECRET) as key:
        for digest in digests(count):
            signature = key.sign(digest, zeros)
            secp256k1.schnorr_verify(public, digest, signature)
            made.append(signature)
    return made


def recoverable(count: int) -> list[bytes]:
    sign = secp256k1.ecdsa_sign_recoverable
    signatures = [sign(SECRET, digest) for digest in digests(count)]
    return [signature.compact() + bytes([signature.y_parity or 0]) for signature in signatures]


def recoverable_verified(count: int) -> list[bytes]:
    public, made = secp256k1.public_key(SECRET), []
    for digest in digests(count):
        signature = secp256k1.ecdsa_sign_recoverable(SECRET, digest)
        secp256k1.ecdsa_verify(public, digest, signature.compact())
        made.append(signature.compact() + bytes([signature.y_parity or 0]))
    return made


def signer(*, verify: bool) -> SoftwareSigner:
    return SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS), verify_after_sign=verify)


def psbt_signed(kind: str, inputs: int, *, verify: bool) -> Run:
    """Parse, sign, finalise, extract; ``verify`` lets the signer and the finaliser check each signature."""
    hand, data = signer(verify=verify), psbt(kind, inputs)

    def run(count: int) -> list[bytes]:
        raw = b""
        for _ in range(count):
            raw = extract(finalize(hand.sign_psbt(Psbt.parse(data)), verify=verify)).serialize()
        return [raw]

    return run


def psbt_requested(kind: str, inputs: int) -> Run:
    """The same through the door every caller uses: preflight before the signer, every signature checked after it.

    The door demands whole previous transactions for P2WPKH, so they are parsed and hashed here besides.
    """
    hand, data = signer(verify=False), psbt(kind, inputs, previous_too=kind == "wpkh")

    def run(count: int) -> list[bytes]:
        raw = b""
        for _ in range(count):
            raw = extract(finalize(request_signatures(hand, Psbt.parse(data)), verify=False)).serialize()
        return [raw]

    return run


def eip1559(count: int) -> list[bytes]:
    to, sign = Address(TO), secp256k1.ecdsa_sign_recoverable
    raws = []
    for nonce in range(count):
        tx = UnsignedTransaction(
            type=2,
            chain_id=1,
            nonce=nonce,
            to=to,
            value=Wei(VALUE),
            data=b"",
            gas_limit=GAS,
            max_fee_per_gas=Wei(MAX_FEE),
            max_priority_fee_per_gas=Wei(TIP),
        )
        raws.append(tx.sign_with(sign(SECRET, tx.digest())).serialize())
    return raws


def bip39(count: int) -> list[bytes]:
    mnemonic = Mnemonic.from_text(WORDS)
    return [mnemonic.to_seed(Secret.from_text(str(i))).expose() for i in range(count)]


def warm(_: object = None) -> int:
    """Make a worker process import and derive once."""
    derive("public", "wpkh", 0, 200)
    return os.getpid()
