from __future__ import annotations

import copy
import json
import pickle
import traceback
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bip_utils import Bip32Slip10Secp256k1
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import bech32
from bursar.crypto.hashes import hash160, hmac_sha512
from bursar.crypto.secp256k1 import ORDER, public_key, uncompressed
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import bip32
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import Fingerprint
from bursar.keys.path import HARDENED, DerivationPath

VECTORS = Path(__file__).parents[2] / "vectors"
BIP32 = json.loads((VECTORS / "keys_bip32.json").read_text())
SCHEMES = json.loads((VECTORS / "keys_schemes.json").read_text())
SEED = bytes(range(16))
NOBODY = Fingerprint(bytes(4))


def text_of(key: ExtendedPrivateKey) -> str:
    return key.text().expose().decode()


@pytest.mark.parametrize("case", BIP32["chains"], ids=lambda case: f"{case['seed'][:8]}-{case['path']}")
def test_bip32_chains(case: dict[str, str]) -> None:
    path = DerivationPath.from_text(case["path"])
    key = ExtendedPrivateKey.from_seed(bytes.fromhex(case["seed"])).derive(path)
    assert text_of(key) == case["xprv"]
    assert str(key.public()) == case["xpub"]
    assert text_of(ExtendedPrivateKey.from_text(Secret.from_text(case["xprv"]))) == case["xprv"]
    assert ExtendedPublicKey.from_text(case["xpub"]) == key.public()
    assert str(ExtendedPublicKey.from_text(case["xpub"])) == case["xpub"]


def test_bip32_public_derivation() -> None:
    by_path = {(case["seed"], case["path"]): case for case in BIP32["chains"]}
    walked = 0
    for (seed, path), case in by_path.items():
        parent = by_path.get((seed, path.rpartition("/")[0]))
        last = path.rpartition("/")[2]
        if parent and last.isdigit():
            assert str(ExtendedPublicKey.from_text(parent["xpub"]).child(int(last))) == case["xpub"]
            walked += 1
    assert walked == 6


@pytest.mark.parametrize("case", BIP32["invalid"], ids=lambda case: case["reason"])
def test_bip32_invalid_keys(case: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        ExtendedPublicKey.from_text(case["text"])
    with pytest.raises(InvalidInputError) as caught:
        ExtendedPrivateKey.from_text(Secret.from_text(case["text"]))
    assert case["text"][20:] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("case", SCHEMES["keys"], ids=lambda case: case["path"])
def test_bip49_84_86_keys(case: dict[str, str]) -> None:
    path = DerivationPath.from_text(case["path"])
    master = ExtendedPrivateKey.from_seed(Mnemonic.from_text(SCHEMES["mnemonic"]).to_seed(), testnet=path[1] > HARDENED)
    key = master.derive(path)
    if "secret" in case:
        assert key.secret().expose().hex() == case["secret"]
        assert hash160(key.public_key).hex() == case["hash160"]
    if "public" in case:
        assert key.public_key.hex() == case["public"]
    if "xprv" in case:
        assert text_of(key) == case["xprv"]
        assert str(key.public()) == case["xpub"]
    if "output" in case:
        parent = master.derive(path.parent)
        assert key.public_key[1:].hex() == case["internal"]
        assert parent.children_taproot(path[-1], 1)[0].hex() == case["output"]
        assert parent.public().children_taproot(path[-1], 1)[0].hex() == case["output"]
        assert bech32.encode("bc", 1, bytes.fromhex(case["output"])) == case["address"]
    elif "address" in case:
        assert bech32.encode("bc", 0, hash160(key.public_key)) == case["address"]


SEEDS = st.binary(min_size=16, max_size=64)
PATHS = st.lists(st.integers(0, 2**32 - 1), max_size=4)


@given(SEEDS, PATHS, st.booleans())
def test_agrees_with_another_implementation(seed: bytes, path: list[int], testnet: bool) -> None:
    other = Bip32Slip10Secp256k1.FromSeed(seed)
    for index in path:
        other = other.ChildKey(index)
    key = ExtendedPrivateKey.from_seed(Secret(seed)).derive(path)
    assert text_of(key) == other.PrivateKey().ToExtended()
    assert str(key.public()) == other.PublicKey().ToExtended()
    assert key.fingerprint == other.PublicKey().FingerPrint().ToBytes()
    marked = ExtendedPrivateKey.from_seed(seed, testnet=testnet).derive(path)
    assert text_of(marked)[:4] == ("tprv" if testnet else "xprv")
    assert ExtendedPublicKey.from_text(str(marked.public())) == marked.public()
    assert ExtendedPrivateKey.from_text(marked.text()).text() == marked.text()


@given(SEEDS, st.integers(0, HARDENED - 6), st.integers(0, 5))
def test_many_children_equal_one_at_a_time(seed: bytes, start: int, count: int) -> None:
    master = ExtendedPrivateKey.from_seed(seed)
    public = master.public()
    indexes = range(start, start + count)
    keys = [master.child(index).public_key for index in indexes]
    assert [public.child(index).key for index in indexes] == keys
    assert public.children(start, count) == master.children_public(start, count) == keys
    long = [uncompressed(key) for key in keys]
    assert public.children_uncompressed(start, count) == master.children_public_uncompressed(start, count) == long
    assert public.children_taproot(start, count) == master.children_taproot(start, count)
    assert [public_key(secret.expose()) for secret in master.children_secret(start, count)] == keys
    hardened = [master.child(HARDENED + index).public_key for index in indexes]
    assert master.children_public(HARDENED + start, count) == hardened


@pytest.mark.parametrize(
    ("start", "count"),
    [(-1, 1), (0, -1), (HARDENED - 1, 2), (0, HARDENED + 1), (0.0, 1), (0, 1.0), ("0", 1), (None, 1)],
)
def test_ranges_out_of_bounds_are_refused(start: Any, count: Any) -> None:
    master = ExtendedPrivateKey.from_seed(SEED)
    public = master.public()
    for many in (
        public.children,
        public.children_uncompressed,
        public.children_taproot,
        master.children_public,
        master.children_public_uncompressed,
        master.children_taproot,
        master.children_secret,
    ):
        with pytest.raises(InvalidInputError):
            many(start, count)


def test_the_last_children_exist() -> None:
    master = ExtendedPrivateKey.from_seed(SEED)
    assert len(master.public().children(HARDENED - 2, 2)) == 2
    assert len(master.children_public(2 * HARDENED - 2, 2)) == 2
    with pytest.raises(InvalidInputError):
        master.children_public(2 * HARDENED - 1, 2)


def test_a_public_key_has_no_hardened_child() -> None:
    public = ExtendedPrivateKey.from_seed(SEED).public()
    with pytest.raises(InvalidInputError, match="no hardened child 0h"):
        public.child(HARDENED)
    with pytest.raises(InvalidInputError, match="hardened"):
        public.derive(DerivationPath.from_text("m/0/1h"))
    with pytest.raises(InvalidInputError):
        public.children(HARDENED, 1)


@pytest.mark.parametrize("index", [-1, 2**32, 0.0, "0", None])
def test_k5_indexes_out_of_range_are_refused(index: Any) -> None:
    master = ExtendedPrivateKey.from_seed(SEED)
    with pytest.raises(InvalidInputError):
        master.child(index)
    with pytest.raises(InvalidInputError):
        master.public().child(index)


def replaced_hmac(left: bytes) -> Any:
    def digest(key: bytes, data: bytes) -> bytes:
        return left + hmac_sha512(key, data)[32:]

    return digest


@pytest.mark.parametrize("left", [ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_a_child_whose_left_half_is_not_below_the_order_is_an_error(
    left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = ExtendedPrivateKey.from_seed(SEED)
    public = master.public()
    monkeypatch.setattr(bip32, "hmac_sha512", replaced_hmac(left))
    for index in (0, HARDENED):
        with pytest.raises(InvalidInputError):
            master.child(index)
    with pytest.raises(InvalidInputError):
        public.child(0)
    with pytest.raises(InvalidInputError):
        ExtendedPrivateKey.from_seed(SEED)
    monkeypatch.setattr(bip32, "_tweaks", lambda *_: [left + bytes(32)])
    for many in (public.children, public.children_taproot, master.children_public, master.children_secret):
        with pytest.raises(InvalidInputError):
            many(0, 1)


def test_a_child_at_infinity_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    master = ExtendedPrivateKey.from_seed(SEED)
    opposite = (ORDER - int.from_bytes(master.secret().expose(), "big")).to_bytes(32, "big")
    monkeypatch.setattr(bip32, "hmac_sha512", replaced_hmac(opposite))
    with pytest.raises(InvalidInputError):
        master.child(0)
    with pytest.raises(InvalidInputError):
        master.public().child(0)


def test_depth_ends_at_255() -> None:
    master = ExtendedPrivateKey.from_seed(SEED)
    deep = ExtendedPrivateKey(254, Fingerprint(b"abcd"), 0, master.chain_code, master.secret())
    last = deep.child(0)
    assert last.depth == 255
    for call in (
        lambda: last.child(0),
        lambda: last.public().child(0),
        lambda: last.children_public(0, 1),
        lambda: last.public().children(0, 1),
    ):
        with pytest.raises(InvalidInputError, match="255"):
            call()


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_seed_has_16_to_64_bytes(length: int) -> None:
    with pytest.raises(InvalidInputError):
        ExtendedPrivateKey.from_seed(bytes(length))


@pytest.mark.parametrize(
    "change",
    [
        {"depth": -1},
        {"depth": 256},
        {"depth": 1.0},
        {"index": -1},
        {"index": 2**32},
        {"parent": b"abcd"},
        {"depth": 0, "parent": Fingerprint(b"abcd"), "index": 0},
        {"depth": 0, "parent": NOBODY, "index": 1},
        {"chain_code": bytes(31)},
        {"key": bytes(33)},
        {"key": bytes(32)},
        {"key": uncompressed(public_key(b"\x01" * 32))},
    ],
    ids=repr,
)
def test_public_keys_are_checked_when_made(change: dict[str, Any]) -> None:
    fields = {
        "depth": 1,
        "parent": Fingerprint(b"abcd"),
        "index": 5,
        "chain_code": bytes(32),
        "key": public_key(b"\x01" * 32),
    }
    ExtendedPublicKey(**fields)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        ExtendedPublicKey(**{**fields, **change})  # type: ignore[arg-type]


@given(st.text(max_size=130) | st.binary(min_size=78, max_size=78).map(bip32.base58.encode_check))
def test_garbage_is_a_typed_error(text: str) -> None:
    with pytest.raises(InvalidInputError):
        ExtendedPublicKey.from_text(text)
    if not any(0xD800 <= ord(character) < 0xE000 for character in text):
        with pytest.raises(InvalidInputError):
            ExtendedPrivateKey.from_text(Secret.from_text(text))


def test_other_wallets_prefixes_are_refused() -> None:
    # BIP-84's example writes its keys with this version, as zpub
    xpub = str(ExtendedPrivateKey.from_seed(SEED).public())
    data = bytes.fromhex("04b24746") + bip32.base58.decode_check(xpub)[4:]
    with pytest.raises(InvalidInputError, match="version"):
        ExtendedPublicKey.from_text(bip32.base58.encode_check(data))


def test_overlong_and_short_texts_are_refused() -> None:
    for text in ("x" * 121, bip32.base58.encode_check(bytes(77)), bip32.base58.encode_check(bytes(79))):
        with pytest.raises(InvalidInputError, match=r"too long|78 bytes"):
            ExtendedPublicKey.from_text(text)
    with pytest.raises(InvalidInputError, match="ascii"):
        ExtendedPrivateKey.from_text(Secret.from_text("xprvé"))


def test_secrets_stay_inside() -> None:
    key = ExtendedPrivateKey.from_seed(SEED)
    assert repr(key) == str(key) == "ExtendedPrivateKey(<redacted>)"
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copier(key)
    assert not hasattr(key, "__dict__")


def test_closing_wipes_this_key_alone() -> None:
    with ExtendedPrivateKey.from_seed(SEED) as key:
        same = key.derive(())
        child = key.child(0)
        secret = key.secret()
        buffer = key._key._buffer
    key.close()
    assert buffer == bytes(32)
    for use in (key.secret, key.text, lambda: key.child(0), lambda: key.children_public(0, 1)):
        with pytest.raises(InvalidInputError, match="wiped"):
            use()
    assert same.child(0).text() == child.text()
    assert secret == ExtendedPrivateKey.from_seed(SEED).secret()


def test_derive_wipes_the_keys_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[ExtendedPrivateKey] = []
    child = ExtendedPrivateKey.child

    def recorded(self: ExtendedPrivateKey, index: int) -> ExtendedPrivateKey:
        made.append(child(self, index))
        return made[-1]

    monkeypatch.setattr(ExtendedPrivateKey, "child", recorded)
    master = ExtendedPrivateKey.from_seed(SEED)
    leaf = master.derive(DerivationPath.from_text("m/1/2/3"))
    assert leaf is made[-1]
    for above, below in pairwise(made):
        assert above._key._buffer == bytes(32)
        assert below.depth == above.depth + 1
    leaf.secret()
    master.secret()


def test_the_network_flag_is_a_bool() -> None:
    from dataclasses import replace

    public = ExtendedPrivateKey.from_seed(bytes(range(16))).public()
    with pytest.raises(InvalidInputError, match="testnet"):
        replace(public, testnet=1)
