"""Which keys stand in which scripts."""

from __future__ import annotations

import pytest

from bursar.bitcoin.psbt import PsbtInput, PsbtOutput
from bursar.bitcoin.script import p2pkh, p2sh, p2tr, p2wpkh, p2wsh
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import public_key, taproot_output_key, uncompressed
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.signing.ownership import (
    key_stands_in,
    named_keys,
    names_key_of,
    script_of_output,
    taproot_key_matches,
)

KEY, OTHER = public_key(b"\x01" * 32), public_key(b"\x02" * 32)
LONG = uncompressed(KEY)
MULTISIG = b"\x51\x21" + KEY + b"\x51\xae"


@pytest.mark.parametrize(
    ("script", "key"),
    [
        (p2pkh(hash160(KEY)), KEY),
        (p2pkh(hash160(LONG)), LONG),
        (p2wpkh(hash160(KEY)), KEY),
        (b"\x21" + KEY + b"\xac", KEY),
        (b"\x41" + LONG + b"\xac", LONG),
        (MULTISIG, KEY),
        (b"\x21" + KEY + b"\xad\x51", KEY),
        (b"\x76\xa9\x14" + hash160(KEY) + b"\x88\xad\x51", KEY),
    ],
)
def test_keys_in_scripts(script: bytes, key: bytes) -> None:
    assert key_stands_in(script, key)
    assert not key_stands_in(script, OTHER)


def test_a_multisig_key_must_be_one_of_its_keys_not_any_bytes_of_it() -> None:
    assert not key_stands_in(MULTISIG, KEY[:32] + b"\x00")
    within = b"\x51\x41" + b"\x04\x21" + KEY + bytes(30) + b"\x51\xae"  # a long key that holds the push of another
    assert not key_stands_in(within, KEY)


def test_origins_named_by_an_input() -> None:
    one = PsbtInput()
    one.bip32_derivations[KEY] = KeyOrigin.from_text("01020304/1/2")
    one.tap_bip32_derivations[OTHER[1:]] = ((b"\x00" * 32,), KeyOrigin.from_text("05060708/3h"))
    assert [(key, str(origin)) for key, origin in named_keys(one)] == [
        (KEY, "01020304/1/2"),
        (OTHER[1:], "05060708/3h"),
    ]
    assert names_key_of(one, Fingerprint(b"\1\2\3\4"))
    assert names_key_of(one, Fingerprint(b"\5\6\7\x08"))
    assert not names_key_of(one, Fingerprint(bytes(4)))


def test_the_script_an_output_proves() -> None:
    output = PsbtOutput()
    assert script_of_output(output, p2wpkh(hash160(KEY))) == p2wpkh(hash160(KEY))
    nested = p2sh(hash160(p2wsh(sha256(MULTISIG))))
    assert script_of_output(output, nested) is None
    output.redeem_script = p2wsh(sha256(MULTISIG))
    assert script_of_output(output, nested) is None
    output.witness_script = b"\x51"
    assert script_of_output(output, nested) is None
    output.witness_script = MULTISIG
    assert script_of_output(output, nested) == MULTISIG
    assert script_of_output(output, p2sh(hash160(b"other"))) is None


def test_a_script_too_long_to_run_proves_nothing() -> None:
    output = PsbtOutput()
    for size, wrap in ((520, lambda inner: p2sh(hash160(inner))), (10_000, lambda inner: inner)):
        long = b"\x51" * size
        output.redeem_script = long
        assert script_of_output(output, wrap(long)) == long
        output.redeem_script = long + b"\x51"
        assert script_of_output(output, wrap(long + b"\x51")) is None
    output.witness_script = b"\x51" * 10_000
    assert script_of_output(output, p2wsh(sha256(b"\x51" * 10_000))) == b"\x51" * 10_000
    output.witness_script = b"\x51" * 10_001
    assert script_of_output(output, p2wsh(sha256(b"\x51" * 10_001))) is None


def test_taproot_keys() -> None:
    plain = p2tr(taproot_output_key(KEY[1:])[0])
    tree = p2tr(taproot_output_key(KEY[1:], b"\x05" * 32)[0])
    assert taproot_key_matches(plain, KEY[1:])
    assert taproot_key_matches(tree, KEY[1:], b"\x05" * 32)
    assert not taproot_key_matches(tree, KEY[1:])
    assert not taproot_key_matches(plain, OTHER[1:])
