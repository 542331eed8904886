"""SLIP-132: its own examples, conversion against a second implementation, refusals."""

from __future__ import annotations

import pytest
from bip_utils import Bip44, Bip44Coins, Bip49, Bip49Coins, Bip84, Bip84Coins

from bursar.crypto import base58
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.scheme import CoinType, MultisigScript, Scheme, account_path
from bursar.keys.slip132 import prefixed_text, read_extended_key

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
SEED = Mnemonic.from_text(WORDS).to_seed(None)
SEED_BYTES = SEED.expose()
ROOT = ExtendedPrivateKey.from_seed(SEED)
TEST_ROOT = ExtendedPrivateKey.from_seed(SEED, testnet=True)
# the public keys among the test vectors of SLIP-132, of the same mnemonic
EXAMPLES = [
    (
        Scheme.BIP44,
        "xpub6BosfCnifzxcFwrSzQiqu2DBVTshkCXacvNsWGYJVVhhawA7d4R5WSWGFNbi8Aw6ZRc1brxMyWMzG3DSSSSoekkudhUd9yLb6qx39T9nMdj",
    ),
    (
        Scheme.BIP49,
        "ypub6Ww3ibxVfGzLrAH1PNcjyAWenMTbbAosGNB6VvmSEgytSER9azLDWCxoJwW7Ke7icmizBMXrzBx9979FfaHxHcrArf3zbeJJJUZPf663zsP",
    ),
    (
        Scheme.BIP84,
        "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs",
    ),
]
SCRIPTS = (Scheme.BIP49, Scheme.BIP84, MultisigScript.SH_WSH, MultisigScript.WSH)


@pytest.mark.parametrize(("scheme", "text"), EXAMPLES)
def test_examples(scheme: Scheme, text: str) -> None:
    found = read_extended_key(text)
    expected = ROOT.derive(account_path(scheme, CoinType.BITCOIN, 0)).public()
    assert found.xpub == expected
    assert found.script is (None if scheme is Scheme.BIP44 else scheme)
    assert prefixed_text(expected, scheme) == text
    assert str(found) == str(expected)


def test_second_implementation() -> None:
    for kind, coin, scheme in (
        (Bip44, Bip44Coins.BITCOIN_TESTNET, Scheme.BIP44),
        (Bip49, Bip49Coins.BITCOIN_TESTNET, Scheme.BIP49),
        (Bip84, Bip84Coins.BITCOIN_TESTNET, Scheme.BIP84),
    ):
        text = kind.FromSeed(SEED_BYTES, coin).Purpose().Coin().Account(0).PublicKey().ToExtended()
        assert read_extended_key(text).xpub == TEST_ROOT.derive(account_path(scheme, CoinType.TESTNET, 0)).public()


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("root", [ROOT, TEST_ROOT])
def test_all_prefixes(script: Scheme | MultisigScript, root: ExtendedPrivateKey) -> None:
    text = prefixed_text(root.public(), script)
    first = {Scheme.BIP49: "yu", Scheme.BIP84: "zv", MultisigScript.SH_WSH: "YU", MultisigScript.WSH: "ZV"}[script]
    assert text[:4] == first[root.testnet] + "pub"
    assert (read_extended_key(text).xpub, read_extended_key(text).script) == (root.public(), script)


def test_plain_keys_promise_nothing() -> None:
    assert read_extended_key(str(ROOT.public())).script is None
    assert prefixed_text(ROOT.public(), MultisigScript.SH) == str(ROOT.public())
    with pytest.raises(InvalidInputError):
        prefixed_text(ROOT.public(), Scheme.BIP86)


def test_private_keys_are_refused_and_not_repeated() -> None:
    secret = ROOT.text().expose().decode()
    zprv = base58.encode_check(bytes.fromhex("04b2430c") + base58.decode_check(secret)[4:])
    for text in (secret, zprv):
        with pytest.raises(InvalidInputError) as caught:
            read_extended_key(text)
        assert text[10:30] not in str(caught.value)
        assert "private" in str(caught.value)


@pytest.mark.parametrize("text", ["", "xpub", "z" * 200, EXAMPLES[2][1][:-1], base58.encode_check(bytes(78)), 7])
def test_garbage(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read_extended_key(text)
