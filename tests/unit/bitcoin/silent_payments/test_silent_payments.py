"""Silent payments beyond the official cases: hostile addresses and inputs, many labels, libsecp256k1's own module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2pkh, p2sh, p2tr, p2wpkh, p2wsh
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.silent_payments import (
    PayingInput,
    Scanner,
    SilentPaymentAddress,
    SilentPaymentKeys,
    public_inputs,
    send_outputs,
)
from bursar.bitcoin.silent_payments.inputs import UNSPENDABLE_KEY, input_key
from bursar.bitcoin.silent_payments.sending import MOST
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.bech32 import Variant, decode_raw, encode_raw
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.points import negate_secret_key
from bursar.crypto.secp256k1 import public_key, schnorr_sign, schnorr_verify, uncompressed
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey

SPEND = bytes([9]) * 32
KEYS = SilentPaymentKeys(Network.REGTEST, Secret(bytes([8]) * 32), public_key(SPEND))
SENDER = bytes([5]) * 32
SENDER_KEY = public_key(SENDER)
SENDER_SCRIPT = p2wpkh(hash160(SENDER_KEY))


def outpoint(number: int) -> OutPoint:
    return OutPoint(Txid(sha256(bytes([number]))), number)


PAYING = PayingInput(outpoint(1), SENDER_SCRIPT, Secret(SENDER))


def paid(addresses: list[SilentPaymentAddress], *more: bytes) -> tuple[Transaction, list[bytes]]:
    """A transaction of one P2WPKH input that pays the addresses and holds ``more`` output keys."""
    scripts = [*send_outputs([PAYING], addresses), *map(p2tr, more)]
    spending = TxIn(PAYING.outpoint, b"", 0xFFFFFFFF, (b"signature", SENDER_KEY))
    return Transaction(2, [spending], [TxOut(Sats(700), script) for script in scripts]), [SENDER_SCRIPT]


def test_an_address_round_trips_on_its_networks() -> None:
    address = KEYS.address()
    assert str(address).startswith("tsp1q")
    assert len(str(address)) == 117
    for network in (Network.REGTEST, Network.SIGNET, Network.TESTNET, Network.TESTNET4):
        assert SilentPaymentAddress.from_text(str(address), network) == address
    assert SilentPaymentAddress.from_text(str(address).upper(), Network.REGTEST) == address
    with pytest.raises(InvalidInputError) as raised:
        SilentPaymentAddress.from_text(str(address), Network.MAIN)
    assert raised.value.code == "input.address.network"
    main = replace(address, testnet=False)
    assert str(main).startswith("sp1q")
    assert SilentPaymentAddress.from_text(str(main), Network.MAIN) == main


def test_versions() -> None:
    address = KEYS.address()
    later = replace(address, version=7, rest=b"more of it")
    assert SilentPaymentAddress.from_text(str(later), Network.REGTEST) == later
    assert send_outputs([PAYING], [later]) == send_outputs([PAYING], [address])
    hrp, values, _ = decode_raw(str(address), limit=1023)
    for text, why in (
        (encode_raw(hrp, (31, *values[1:]), Variant.BECH32M, limit=1023), "version 31"),
        (
            encode_raw(hrp, (0, *decode_raw(str(later), limit=1023)[1][1:]), Variant.BECH32M, limit=1023),
            "10 bytes more",
        ),
        (encode_raw(hrp, values, Variant.BECH32, limit=1023), "Bech32's"),
        (encode_raw(hrp, values[:50], Variant.BECH32M, limit=1023), "bytes, not the 66|padding"),
        (encode_raw(hrp, (), Variant.BECH32M, limit=1023), "empty"),
        (encode_raw("bc", values, Variant.BECH32M, limit=1023), "begins with 'bc'"),
        (encode_raw(hrp, (0, *[31] * 106), Variant.BECH32M, limit=1023), "public key|padding"),
        ("tsp1q" + "q" * 2000, "at most 1023"),
    ):
        with pytest.raises(InvalidInputError, match=why) as raised:
            SilentPaymentAddress.from_text(text, Network.REGTEST)
        assert raised.value.code.startswith("input.address")


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=150))
def test_garbage_is_no_address(text: str) -> None:
    for one in (text, "sp1" + text):
        with pytest.raises(InvalidInputError):
            SilentPaymentAddress.from_text(one, Network.MAIN)


def test_keys_are_derived_at_352() -> None:
    root = ExtendedPrivateKey.from_seed(bytes(range(32)))
    keys = SilentPaymentKeys.derive(root, Network.MAIN, 2)
    assert keys.scan == root.derive([0x80000160, 0x80000000, 0x80000002, 0x80000001, 0]).secret()
    assert keys.spend == root.derive([0x80000160, 0x80000000, 0x80000002, 0x80000000, 0]).public().key
    assert "redacted" in repr(keys)
    with pytest.raises(InvalidInputError, match="marks change"):
        keys.address(0)
    for label in (-1, 1 << 32, True, "1"):
        with pytest.raises(InvalidInputError, match="a label is a number"):
            keys.address(label)  # type: ignore[arg-type]


def test_what_was_sent_is_found_and_spendable() -> None:
    labels = list(range(1, 40))  # so many that outputs are subtracted from instead
    addresses = [KEYS.address(), KEYS.address(17), KEYS.change_address(), KEYS.address(3), KEYS.address()]
    tx, spent = paid(addresses, public_key(bytes([77]) * 32)[1:], b"\xff" * 32)
    for scanner in (Scanner(KEYS, labels=labels), Scanner(KEYS, labels=[3, 17])):
        found = scanner.transaction(tx, spent)
        assert [one.label for one in found] == [None, 17, 0, 3, None]
        assert [one.vout for one in found] == [0, 1, 2, 3, 4]
        for one in found:
            assert one.script == tx.outputs[one.vout].script
            secret = one.secret_key(Secret(SPEND))
            schnorr_verify(one.key, bytes(32), schnorr_sign(secret.expose(), bytes(32)))
            with pytest.raises(InvalidInputError, match="not the one"):
                one.secret_key(Secret(SENDER))
        assert list(scanner.block([(tx, spent)] * 2)) == [(tx.txid, found)] * 2
    alone = Scanner(KEYS).transaction(tx, spent)
    assert [one.vout for one in alone] == [0]  # an unknown label hides what comes after it


def test_an_output_key_paid_twice_is_found_twice() -> None:
    tx, spent = paid([KEYS.address()])
    twice = Transaction(2, tx.inputs, [tx.outputs[0], TxOut(Sats(1), b"\x6a"), tx.outputs[0]])
    assert [one.vout for one in Scanner(KEYS).transaction(twice, spent)] == [0, 2]


def test_transactions_that_are_not_scanned() -> None:
    tx, spent = paid([KEYS.address()])
    scanner = Scanner(KEYS)
    assert public_inputs(Transaction(2, tx.inputs, [TxOut(Sats(1), SENDER_SCRIPT)]), spent) is None
    assert scanner.transaction(Transaction(2, tx.inputs, [TxOut(Sats(1), SENDER_SCRIPT)]), spent) == ()
    future = TxIn(outpoint(2), b"", 0, ())
    assert (
        scanner.transaction(Transaction(2, [*tx.inputs, future], tx.outputs), [*spent, b"\x52\x20" + bytes(32)]) == ()
    )
    assert scanner.transaction(Transaction(2, [future], tx.outputs), [p2wsh(bytes(32))]) == ()
    with pytest.raises(InvalidInputError, match="all 1 inputs"):
        scanner.transaction(tx, [])
    off_curve = TxIn(outpoint(2), b"", 0, (b"", b"\x02" + b"\xff" * 32))
    same = Transaction(2, [*tx.inputs, off_curve], tx.outputs)
    assert public_inputs(same, [*spent, p2wpkh(bytes(20))]).key == SENDER_KEY  # type: ignore[union-attr]


def test_input_keys() -> None:
    taproot = p2tr(SENDER_KEY[1:])
    control = b"\xc0" + UNSPENDABLE_KEY
    assert input_key(taproot, b"", (b"s" * 64,)) == b"\x02" + SENDER_KEY[1:]
    assert input_key(taproot, b"", ()) is None
    assert input_key(taproot, b"", (b"", b"\x51", control)) is None
    assert input_key(taproot, b"", (b"", b"\x51", control, b"\x50annex")) is None
    assert input_key(taproot, b"", (b"", b"\x51", b"\xc0" + SENDER_KEY[1:])) is not None
    assert input_key(p2pkh(hash160(SENDER_KEY)), b"\x01\x02" + SENDER_KEY + b"\x75", ()) == SENDER_KEY
    assert input_key(p2pkh(hash160(SENDER_KEY)), b"\x02" * 5000, ()) is None
    assert input_key(p2sh(hash160(SENDER_SCRIPT)), b"\x16" + SENDER_SCRIPT, (b"", SENDER_KEY)) == SENDER_KEY
    assert input_key(p2sh(bytes(20)), b"\x16" + SENDER_SCRIPT, (b"", SENDER_KEY)) is None
    assert input_key(SENDER_SCRIPT, b"", (b"", uncompressed(SENDER_KEY))) is None
    assert input_key(SENDER_SCRIPT, b"", ()) is None


def test_sending_refuses_what_would_lose_money() -> None:
    address = KEYS.address()
    long_key = PayingInput(outpoint(4), p2pkh(hash160(uncompressed(SENDER_KEY))), Secret(SENDER))
    odd = next(bytes([n]) * 32 for n in range(1, 50) if public_key(bytes([n]) * 32)[0] == 3)
    for inputs, why in (
        ([], "no input"),
        ([PAYING, PAYING], "stands there twice"),
        ([long_key], "no input"),
        ([PayingInput(outpoint(2), p2wsh(bytes(32)))], "no input"),
        ([replace(PAYING, secret=Secret(SPEND))], "not its output's"),
        ([replace(PAYING, secret=None)], "needed here"),
        ([replace(PAYING, secret=None, unspendable_key=True)], "needed here"),
        ([PAYING, PayingInput(outpoint(2), b"\x52\x20" + bytes(32))], "segwit version"),
        ([PayingInput(outpoint(2), p2tr(SENDER_KEY[1:]))], "needed here"),
        ([PayingInput(outpoint(2), p2sh(bytes(20)), Secret(SENDER))], "not its output's"),
        (
            [
                PAYING,
                PayingInput(
                    outpoint(3),
                    p2wpkh(hash160(public_key(negate_secret_key(SENDER)))),
                    Secret(negate_secret_key(SENDER)),
                ),
            ],
            "cancel out",
        ),
    ):
        with pytest.raises(InvalidInputError, match=why) as raised:
            send_outputs(inputs, [address])
        assert raised.value.code == "input.silent-payment"
    with pytest.raises(InvalidInputError, match="2324 payments"):
        send_outputs([PAYING], [address] * (MOST + 1))
    taproot = PayingInput(outpoint(5), p2tr(public_key(odd)[1:]), Secret(odd))
    nested = PayingInput(outpoint(6), p2sh(hash160(SENDER_SCRIPT)), Secret(SENDER))
    keyless = PayingInput(outpoint(7), p2tr(bytes(32)), unspendable_key=True)
    assert len(send_outputs([taproot, nested, keyless, long_key], [address, address])) == 2


def test_libsecp256k1s_own_module_agrees() -> None:
    theirs = pytest.importorskip("btclib_secp256k1.silentpayments")
    odd = bytes([6]) * 32
    script = p2tr(public_key(odd)[1:])
    inputs = [PAYING, PayingInput(outpoint(2), script, Secret(odd))]
    addresses = [KEYS.address(), KEYS.address(5), KEYS.address()]
    smallest = min(one.outpoint.txid + one.outpoint.vout.to_bytes(4, "little") for one in inputs)
    made = [script[2:] for script in send_outputs(inputs, addresses)]
    created = theirs.create_outputs([(a.scan, a.spend) for a in addresses], smallest, [odd], [SENDER])
    assert sorted(bytes(one) for one in created) == sorted(made)
    spent = [SENDER_SCRIPT, script]
    witnesses = ((b"", SENDER_KEY), (b"s" * 64,))
    tx = Transaction(
        2,
        [TxIn(one.outpoint, b"", 0, witness) for one, witness in zip(inputs, witnesses, strict=True)],
        [TxOut(Sats(1), p2tr(key)) for key in made],
    )
    summary = theirs.prevouts_summary(smallest, [public_key(odd)[1:]], [SENDER_KEY])
    labels = dict([theirs.label(KEYS.scan.expose(), number) for number in (0, 5)])
    ours = Scanner(KEYS, labels=[5]).transaction(tx, spent)
    found = theirs.scan_outputs(made, KEYS.scan.expose(), summary, KEYS.spend, labels)
    assert [(one.key, one.tweak.expose()) for one in ours] == [(bytes(key), bytes(tweak)) for key, tweak, _ in found]


def test_what_was_found_is_spent_under_consensus(
    kernel_verify: Callable[[Transaction, Sequence[TxOut]], None],
) -> None:
    tx, spent = paid([KEYS.address(), KEYS.change_address()])
    found = Scanner(KEYS).transaction(tx, spent)
    outputs = [tx.outputs[one.vout] for one in found]
    inputs = [TxIn(OutPoint(tx.txid, one.vout), b"", 0) for one in found]
    bare = Transaction(2, inputs, [TxOut(Sats(1000), SENDER_SCRIPT)])
    hashes = SighashCache(bare, outputs)
    signed = [
        TxIn(one.outpoint, b"", 0, (schnorr_sign(hit.secret_key(Secret(SPEND)).expose(), hashes.taproot(place)),))
        for place, (one, hit) in enumerate(zip(inputs, found, strict=True))
    ]
    kernel_verify(Transaction(2, signed, bare.outputs), outputs)


def test_threads_share_a_scanner() -> None:
    known = [paid([KEYS.address(number)] * 2 if number % 3 else []) for number in range(1, 40)]
    scanner = Scanner(KEYS, labels=range(40))
    alone = [scanner.transaction(*one) for one in known]
    assert sum(map(len, alone)) == 2 * 26
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda one: scanner.transaction(*one), known)) == alone
