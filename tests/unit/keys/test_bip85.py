from __future__ import annotations

from collections.abc import Callable

import pytest
from embit import bip32 as embit_bip32
from embit import bip85 as embit_bip85
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, PolicyDeniedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.bip85 import LANGUAGES, ChildSeeds, Drng
from bursar.keys.wordlist import LANGUAGES as LISTS

# BIP-85's test vectors, version 2.1.0, all of this key
ROOT = "xprv9s21ZrQH143K2LBWUUQRFXhucrQqBpKdRRxNVq2zBqsx8HVqFk2uYo8kmbaLLHRdqtQpUm98uKfu3vca1LqdGhUtyoFnCNkfmXRyPXLjbKb"
ENTROPIES = {
    (0, 0): (
        "efecfbccffea313214232d29e71563d941229afb4338c21f9517c41aaa0d16f0"
        "0b83d2a09ef747e7a64e8e2bd5a14869e693da66ce94ac2da570ab7ee48618f7"
    ),
    (0, 1): (
        "70c6e3e8ebee8dc4c0dbba66076819bb8c09672527c4277ca8729532ad711872"
        "218f826919f6b67218adde99018a6df9095ab2b58d803b5b93ec9802085a690e"
    ),
    (39, 0, 12, 0): "6250b68daf746d12a24d58b4787a714b",
    (39, 0, 18, 0): "938033ed8b12698449d4bbca3c853c66b293ea1b1ce9d9dc",
    (39, 0, 24, 0): "ae131e2312cdc61331542efe0d1077bac5ea803adf24b313a4f0e48e9c51f37f",
    (2, 0): "7040bb53104f27367f317558e78a994ada7296c6fde36a364e5baf206e502bb1",
    (707764, 21, 0): (
        "74a2e87a9ba0cdd549bdd2f9ea880d554c6c355b08ed25088cfa88f3f1c4f746"
        "32b652fd4a8f5fda43074c6f6964a3753b08bb5210c8f5e75c07a4c2a20bf6e9"
    ),
    (707785, 12, 0): (
        "f7cfe56f63dca2490f65fcbf9ee63dcd85d18f751b6b5e1c1b8733af6459c904"
        "a75e82b4a22efff9b9e69de2144b293aa8714319a054b6cb55826a8e51425209"
    ),
    (89101, 6, 10, 0): (
        "5e41f8f5d5d9ac09a20b8a5797a3172b28c806aead00d27e36609e2dd116a591"
        "76a738804236586f668da8a51b90c708a4226d7f92259c69f64c51124b6f6cd2"
    ),
    (128002, 1, 1): (
        "ff6eb0fcdf1ef87a2a06b0d7884d495b486d0faa210e9f80f23fd649d6e114d2"
        "7873d12f3b57c469f684e4dc9f4abf10beeacb59b385fde8e33f1947bc5c6c17"
    ),
    (128002, 1, 2): (
        "917628689652288f6983c8a01db516d0697d5198dcf9de9010597f5e322fba6e"
        "435a731d85fbcc5768c06ff95ff34bf577f63f415cb170473659753acf14722d"
    ),
    (128002, 2, 1): (
        "fa2e784291b1fd347ba3624672e3090cb2cee34b8567180336e3aa290d02715b"
        "8f4b18f02f07cb2aa3023afd34735282cc6594370f47e6e1fa48d8d0dda93096"
    ),
}


@pytest.fixture(scope="module")
def root() -> ExtendedPrivateKey:
    return ExtendedPrivateKey.from_text(Secret.from_text(ROOT))


@pytest.fixture(scope="module")
def children(root: ExtendedPrivateKey) -> ChildSeeds:
    return ChildSeeds(root, allow_export=True)


def plain(secret: Secret) -> str:
    return secret.expose().decode()


@pytest.mark.parametrize("steps", ENTROPIES, ids=str)
def test_entropies(children: ChildSeeds, steps: tuple[int, ...]) -> None:
    assert children.entropy(steps).expose().hex().startswith(ENTROPIES[steps])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (12, "girl mad pet galaxy egg matter matrix prison refuse sense ordinary nose"),
        (
            18,
            "near account window bike charge season chef number sketch tomorrow excuse sniff circle vital hockey "
            "outdoor supply token",
        ),
        (
            24,
            "puppy ocean match cereal symbol another shed magic wrap hammer bulb intact gadget divorce twin tonight "
            "reason outdoor destroy simple truth cigar social volcano",
        ),
    ],
)
def test_mnemonics(children: ChildSeeds, words: int, text: str) -> None:
    assert plain(children.mnemonic(words=words).text()) == text


def test_keys_bytes_passwords_and_dice(children: ChildSeeds) -> None:
    assert plain(children.wif()) == "Kzyv4uF39d4Jrw2W7UryTHwZr1zQVNk4dAFyqE6BuMrMh1Za7uhp"
    assert plain(children.extended_key().text()) == (
        "xprv9s21ZrQH143K2srSbCSg4m4kLvPMzcWydgmKEnMmoZUurYuBuYG46c6P71UGXMzmriLzCCBvKQWBUv3vPB3m1SATMhp3uEjXHJ42jFg7myX"
    )
    assert children.secret_bytes(64).expose().hex() == (
        "492db4698cf3b73a5a24998aa3e9d7fa96275d85724a91e71aa2d645442f8785"
        "55d078fd1f1f67e368976f04137b1f7a0d19232136ca50c44614af72b5582a5c"
    )
    assert plain(children.base64_password(21)) == "dKLoepugzdVJvdL56ogNV"
    assert plain(children.base85_password(12)) == "_s`{TW89)i4`"
    assert children.dice(6, 10) == (1, 0, 0, 2, 0, 1, 5, 5, 2, 4)


def test_the_generator(children: ChildSeeds) -> None:
    stream = Drng(children.entropy((0, 0)))
    found = b"".join(map(stream.read, (0, 1, 15, 64)))
    assert found.hex() == (
        "b78b1ee6b345eae6836c2d53d33c64cdaf9a696487be81b03e822dc84b3f1cd883d7559e53d175f2"
        "43e4c349e822a957bbff9224bc5dde9492ef54e8a439f6bc8c7355b87a925a37ee405a7502991111"
    )
    with pytest.raises(InvalidInputError, match="64 bytes"):
        Drng(Secret(bytes(32)))


@settings(max_examples=3)
@given(st.binary(min_size=16, max_size=64), st.integers(0, 2**31 - 1), st.sampled_from([12, 18, 24]))
def test_embit_derives_the_same(seed: bytes, index: int, words: int) -> None:
    ours, theirs = ExtendedPrivateKey.from_seed(seed), embit_bip32.HDKey.from_seed(seed)
    children = ChildSeeds(ours, allow_export=True)
    assert plain(children.mnemonic(words=words, index=index).text()) == embit_bip85.derive_mnemonic(
        theirs, words, index
    )
    assert plain(children.wif(index=index)) == embit_bip85.derive_wif(theirs, index).wif()
    assert plain(children.extended_key(index=index).text()) == embit_bip85.derive_xprv(theirs, index).to_string()
    assert children.secret_bytes(32, index=index).expose() == embit_bip85.derive_hex(theirs, 32, index)


def test_every_language_has_its_code(children: ChildSeeds) -> None:
    assert sorted(LANGUAGES) == sorted(LISTS)
    for code, language in enumerate(LANGUAGES):
        child = children.mnemonic(words=15, language=language)
        assert child.language == language
        assert child.entropy().expose() == children.entropy((39, code, 15, 0)).expose()[:20]


def test_a_testnet_key_has_testnet_children() -> None:
    testnet = ChildSeeds(ExtendedPrivateKey.from_seed(bytes(16), testnet=True), allow_export=True)
    assert plain(testnet.extended_key().text()).startswith("tprv")
    assert plain(testnet.wif())[0] == "c"


CALLS: list[Callable[[ChildSeeds], object]] = [
    lambda one: one.mnemonic(),
    lambda one: one.wif(),
    lambda one: one.extended_key(),
    lambda one: one.secret_bytes(32),
    lambda one: one.base64_password(20),
    lambda one: one.base85_password(20),
    lambda one: one.dice(6, 1),
    lambda one: one.entropy((0, 0)),
]


@pytest.mark.parametrize("call", CALLS)
def test_nothing_leaves_without_leave(root: ExtendedPrivateKey, call: Callable[[ChildSeeds], object]) -> None:
    with pytest.raises(PolicyDeniedError) as caught:
        call(ChildSeeds(root, allow_export=False))
    assert caught.value.rule == "child-seeds"
    with pytest.raises(PolicyDeniedError):
        call(ChildSeeds(root, allow_export=1))  # type: ignore[arg-type]


def test_only_a_master_key_has_child_seeds(root: ExtendedPrivateKey) -> None:
    with pytest.raises(InvalidInputError, match="depth 1"):
        ChildSeeds(root.child(0), allow_export=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda one: one.mnemonic(words=13),
        lambda one: one.mnemonic(language="klingon"),
        lambda one: one.mnemonic(index=2**31),
        lambda one: one.wif(index=-1),
        lambda one: one.wif(index=True),
        lambda one: one.secret_bytes(15),
        lambda one: one.secret_bytes(65),
        lambda one: one.base64_password(19),
        lambda one: one.base64_password(87),
        lambda one: one.base85_password(9),
        lambda one: one.base85_password(81),
        lambda one: one.dice(1, 5),
        lambda one: one.dice(6, 0),
        lambda one: one.dice(6, 10_001),
        lambda one: one.entropy((2**31,)),
    ],
)
def test_out_of_bounds(children: ChildSeeds, call: Callable[[ChildSeeds], object]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        call(children)
    assert caught.value.code == "input.child-seed"


def test_many_sided_dice(children: ChildSeeds) -> None:
    for sides in (2, 256, 257, 62, 2**31 - 1):
        rolled = children.dice(sides, 200)
        assert len(rolled) == 200
        assert 0 <= min(rolled) <= max(rolled) < sides
        assert children.dice(sides, 200)[:50] == rolled[:50]
