"""The proofs' interpreter beside libbitcoinkernel: whatever ours computes, the kernel computes too."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from bursar.bitcoin.message.interpreter import _KNOWN, Kind, Run, operations
from bursar.bitcoin.message.signatures import InputChecker
from bursar.bitcoin.message.spends import check_spend
from bursar.bitcoin.script import p2tr, p2wsh, push
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import sha256, tagged_hash
from bursar.crypto.secp256k1 import (
    ecdsa_sign_der,
    public_key,
    schnorr_sign,
    taproot_output_key,
    uncompressed,
)
from bursar.errors import InconclusiveError, InvalidSignatureError

Judge = Callable[[Transaction, Sequence[TxOut]], None]
SPENT = OutPoint(Txid(sha256(b"spent")), 0)
SECRET = bytes([3]) * 32
KEY = public_key(SECRET)
NUMBERS = [
    b"",
    b"\x01",
    b"\x02",
    b"\x03",
    b"\x81",
    b"\x82",
    b"\x10",
    b"\x7f",
    b"\xff\x00",
    b"\x00\x80\x00",
    b"\x11\x22",
]
CHECKS = {0xAC, 0xAD, 0xAE, 0xAF, 0xB1, 0xB2, 0xBA}


def minimal(data: bytes) -> bytes:
    if not data:
        return b"\x00"
    if len(data) == 1 and (1 <= data[0] <= 16 or data[0] == 0x81):
        return bytes((0x4F if data[0] == 0x81 else 0x50 + data[0],))
    return push(data)


def spending(
    witness: tuple[bytes, ...], *, script_sig: bytes = b"", sequence: int = 10, locktime: int = 20
) -> Transaction:
    return Transaction(2, [TxIn(SPENT, script_sig, sequence, witness)], [TxOut(Sats(0), b"\x6a")], locktime)


def leaf_output(script: bytes) -> tuple[bytes, bytes]:
    """The output script of a single leaf, and its control block."""
    leaf = tagged_hash("TapLeaf", b"\xc0" + push_size(script) + script)
    key, parity = taproot_output_key(KEY[1:], leaf)
    return p2tr(key), bytes((0xC0 + parity,)) + KEY[1:]


def push_size(script: bytes) -> bytes:
    return bytes((len(script),)) if len(script) < 253 else b"\xfd" + len(script).to_bytes(2, "little")


def judged(tx: Transaction, output: TxOut) -> None:
    check_spend(tx, 0, output, SighashCache(tx, [output]))


def ways(script: bytes, items: list[bytes]) -> list[tuple[Transaction, TxOut]]:
    """The same script bare, in P2WSH and as a leaf."""
    leaf, control = leaf_output(script)
    return [
        (spending((), script_sig=b"".join(map(minimal, items))), TxOut(Sats(9), script)),
        (spending((*items, script)), TxOut(Sats(9), p2wsh(sha256(script)))),
        (spending((*items, script, control)), TxOut(Sats(9), leaf)),
    ]


def test_random_programs_compute_the_same_as_in_the_kernel(kernel_verify: Judge) -> None:
    chance = random.Random(322)
    pure = sorted(_KNOWN - CHECKS - {0x63, 0x64, 0x67, 0x68, 0x6A})
    finished, used = 0, set()
    for _ in range(2500):
        items = [chance.choice(NUMBERS) for _ in range(chance.randrange(2, 9))]
        code = b""
        for _ in range(chance.randrange(1, 7)):
            if chance.random() < 0.25:
                code += minimal(chance.choice(NUMBERS))
            elif chance.random() < 0.15:
                code += b"\x63" + bytes((chance.choice(pure),)) + b"\x67" + bytes((chance.choice(pure),)) + b"\x68"
            else:
                code += bytes((chance.choice(pure),))
        tx = spending(())
        run = Run(code, list(items), Kind.V0, InputChecker(tx, 0, SighashCache(tx, []), 9))
        try:
            for opcode, data in operations(code):
                run._step(opcode, data)
        except InvalidSignatureError:
            continue
        if run._alt or not run.stack or len(run.stack) > 30:
            continue
        used |= {opcode for opcode, _ in operations(code)}
        finished += 1
        ends = [minimal(item) + b"\x88" for item in reversed(run.stack[1:])] + [minimal(run.stack[0]) + b"\x87"]
        for tx, output in ways(code + b"".join(ends), items):
            judged(tx, output)
            kernel_verify(tx, [output])
    assert finished > 300
    assert used >= set(pure) - {0x6B, 0x6C, 0x71, 0x79, 0x7A, 0x88, 0x69, 0x9D}


def signed(script: bytes, make: Callable[[SighashCache], list[bytes]]) -> list[tuple[Transaction, TxOut]]:
    """Spends in P2WSH whose witness items follow from the digests."""
    output = TxOut(Sats(9), p2wsh(sha256(script)))
    tx = spending((b"",))
    items = make(SighashCache(tx, [output]))
    return [(spending((*items, script)), output)]


def test_signatures_and_locks_as_in_the_kernel(kernel_verify: Judge) -> None:
    other = public_key(bytes([4]) * 32)
    lock, age = minimal(b"\x14") + b"\xb1\x75", minimal(b"\x0a") + b"\xb2\x75"
    single = lock + age + push(KEY) + b"\xac"
    two_of_three = b"\x52" + push(other) + push(KEY) + push(uncompressed(KEY)) + b"\x53\xae"

    def sign(script: bytes, count: int) -> Callable[[SighashCache], list[bytes]]:
        def make(hashes: SighashCache) -> list[bytes]:
            signature = ecdsa_sign_der(SECRET, hashes.segwit_v0(0, script, 9)) + b"\x01"
            return [b""] * (count > 1) + [signature] * count

        return make

    for tx, output in (*signed(single, sign(single, 1)), *signed(two_of_three, sign(two_of_three, 2))):
        judged(tx, output)
        kernel_verify(tx, [output])

    leaf_script = b"\x00" + push(KEY[1:]) + b"\xba" + push(other[1:]) + b"\xba\x51\x9c"
    script, control = leaf_output(leaf_script)
    output = TxOut(Sats(9), script)
    leaf = tagged_hash("TapLeaf", b"\xc0" + push_size(leaf_script) + leaf_script)
    digest = SighashCache(spending((b"",)), [output]).tapscript(0, leaf)
    tx = spending((b"", schnorr_sign(SECRET, digest), leaf_script, control))
    judged(tx, output)
    kernel_verify(tx, [output])
    digest = SighashCache(spending((b"",)), [output]).tapscript(0, leaf, 1)
    tx = spending((b"", schnorr_sign(SECRET, digest) + b"\x01", leaf_script, control))
    judged(tx, output)
    kernel_verify(tx, [output])


@pytest.mark.parametrize(
    ("script", "items"),
    [
        (b"\x51\x51", ()),  # two items left
        (b"\x00", ()),
        (b"\x63\x51\x68", (b"\x02",)),  # IF of neither 0 nor 1
        (b"\x63\x51", (b"\x01",)),
        (b"\x51\x67", ()),
        (b"\x01\x01", ()),  # push not in its shortest form
        (b"\x4c\x01\x33", ()),
        (b"\x02\x01", ()),
        (b"\x6a", ()),
        (b"\x8b", (b"\x00",)),  # number not in its shortest form
        (b"\x8b", (bytes(4) + b"\x01",)),
        (b"\x75\x51", ()),
        (b"\x6c", ()),
        (b"\x79", (b"\x05",)),
        (b"\x01\x15\xb1\x75\x51", ()),  # lock time 21, and it is 20
        (b"\x5b\xb2\x75\x51", ()),  # age 11, and it is 10
        (b"\x4f\xb1\x75\x51", ()),
        (b"\x04\x00\x65\xcd\x1d\xb1\x75\x51", ()),  # a time where the lock is a height
        (b"\x51\xab", ()),
    ],
)
def test_unsatisfied_scripts(script: bytes, items: tuple[bytes, ...]) -> None:
    for tx, output in ways(script, list(items)):
        with pytest.raises(InvalidSignatureError):
            judged(tx, output)


@pytest.mark.parametrize("opcode", [0x50, 0x62, 0x7E, 0x89, 0x8D, 0x95, 0xB0, 0xB3, 0xB9, 0xBB, 0xFF])
def test_opcodes_that_are_not_judged(opcode: int) -> None:
    for tx, output in ways(b"\x51" + bytes((opcode,)), []):
        with pytest.raises(InconclusiveError):
            judged(tx, output)


def test_limits() -> None:
    many = b"\x61" * 202 + b"\x51"
    for tx, output in ways(many, [])[:2]:
        with pytest.raises(InvalidSignatureError, match="201"):
            judged(tx, output)
    judged(*ways(many, [])[2])
    for tx, output in ways(b"\x6f" * 400 + b"\x51", [b"\x01"] * 3)[2:]:
        with pytest.raises(InvalidSignatureError, match=r"1,000"):
            judged(tx, output)
    with pytest.raises(InvalidSignatureError, match="520"):
        judged(spending((bytes(521), b"\x75\x51")), TxOut(Sats(1), p2wsh(sha256(b"\x75\x51"))))
    script = (push(KEY[1:]) + b"\xad") * 3 + b"\x51"
    made, control = leaf_output(script)
    with pytest.raises(InvalidSignatureError):
        judged(spending((b"s" * 64, b"s" * 64, b"s" * 64, script, control)), TxOut(Sats(1), made))
