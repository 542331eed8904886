"""Checklist G, keys, seeds and paths (rows 59 to 68): what may be exported, read, and signed with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.backends.trezor.passphrase import normalized
from bursar.bitcoin.accounts import account_of_descriptor
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.formats.wallet_file import WalletFile
from bursar.bitcoin.network import Network
from bursar.crypto.hashes import hmac_sha512
from bursar.crypto.secp256k1 import ORDER
from bursar.crypto.secret import Secret
from bursar.errors import BursarError, InvalidInputError, PolicyDeniedError
from bursar.ethereum.address import Address as EthereumAddress
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.bip85 import ChildSeeds
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import UNKNOWN, Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.keys.shamir import Group, Share, combine, split
from bursar.signing.change import change_outputs
from bursar.signing.checks import confirm_address, request_transaction

Refused = Callable[..., str]
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def test_row_59_a_childs_private_key_and_the_parents_xpub_give_the_parents_private_key() -> None:
    with (
        ExtendedPrivateKey.from_seed(bytes(range(32))) as root,
        root.derive(DerivationPath.from_text("m/84h/0h/0h")) as parent,
    ):
        public, child = parent.public(), parent.child(5)
        tweak = hmac_sha512(public.chain_code, public.key + (5).to_bytes(4, "big"))[:32]
        found = (int.from_bytes(child.secret().expose(), "big") - int.from_bytes(tweak, "big")) % ORDER
        assert found == int.from_bytes(parent.secret().expose(), "big")


def test_row_59_no_signer_gives_a_private_key(signer: SoftwareSigner, line: Any, party: Any) -> None:
    """Neither by a method, nor below any path, nor through an account, a descriptor or a file of another wallet."""
    doors = {name for name, _ in inspect.getmembers(SoftwareSigner) if not name.startswith("_")}
    known = {"close", "from_mnemonic", "info", "open", "unsafe_sign_digest", "xpub"}
    # What scans for silent payments cannot spend them: its key lies below a hardened step of its own.
    known |= {"silent_payment_keys", "silent_payment_scripts"}
    assert not [name for name in doors - known if not name.startswith(("sign_", "musig2_"))]
    for path in ("m", "m/84h/1h/0h", "m/84h/1h/0h/0/5"):
        assert type(signer.xpub(DerivationPath.from_text(path))) is ExtendedPublicKey
    with ExtendedPrivateKey.from_seed(bytes(range(32)), testnet=True) as root:
        private = root.text().expose().decode()
    written = Descriptor.parse(f"wpkh({private}/<0;1>/*)")
    assert private not in f"{written} {written!r} {written.bare}"
    for door in (
        lambda: account_of_descriptor(f"wpkh({private}/<0;1>/*)", Network.REGTEST).to_json(),
        lambda: WalletFile("x", Network.REGTEST, written),
        lambda: ExtendedPublicKey.from_text(private),
        lambda: line.run_or_raise("account", "add", "x", "--descriptor", f"wpkh({private}/<0;1>/*)"),
    ):
        try:
            made = str(door())
        except BursarError as error:
            made = f"{error.message} {error!r}"
        assert private not in made
        assert "prv" not in made


def test_row_60_extended_keys_that_are_none(line: Any) -> None:
    cases = json.loads((VECTORS / "keys_bip32.json").read_text())["invalid"]
    assert len(cases) >= 16
    for case in cases:
        text = case["text"]
        with pytest.raises(InvalidInputError):
            ExtendedPublicKey.from_text(text)
        with pytest.raises(InvalidInputError) as caught:
            ExtendedPrivateKey.from_text(Secret.from_text(text))
        assert text not in caught.value.message
        with pytest.raises(InvalidInputError):
            Descriptor.parse(f"wpkh({text}/0/*)")
    result = line.run("account", "add", "bad", "--descriptor", f"wpkh({text}/<0;1>/*)")
    assert isinstance(result.exception, InvalidInputError)


HARDENED_BELOW_PUBLIC = ("/0h/*", "/<0h;1h>/*", "/<0;1>/*h")
BAD_STEPS = ("2147483648", "2147483648h", "4294967296", "-1", "01", "1.5", "0x1", "", " 1", "1''", "1hh", "٣")


def test_row_61_hardened_steps_from_a_public_key_and_indexes_out_of_range(party: Any, signer: SoftwareSigner) -> None:
    xpub = signer.xpub(DerivationPath.from_text("m/84h/1h/0h"))
    for index in (2**31, 2**31 + 5, 2**32, -1):
        with pytest.raises(InvalidInputError):
            xpub.child(index)
    key = party.names["A"].removesuffix("/<0;1>/*")
    for tail in HARDENED_BELOW_PUBLIC:
        with pytest.raises(InvalidInputError):
            account_of_descriptor(f"wpkh({key}{tail})", Network.REGTEST).script(0, 0)
    for step in BAD_STEPS:
        with pytest.raises(InvalidInputError):
            DerivationPath.from_text(f"m/{step}")
        with pytest.raises(InvalidInputError):
            Descriptor.parse(f"wpkh({key}/{step}/*)")


@pytest.mark.parametrize("language", ["english", "japanese", "spanish"])
def test_row_62_words_are_read_in_any_form_and_checked(language: str, line: Any) -> None:
    import unicodedata

    for size in (16, 20, 24, 28, 32):
        mnemonic = Mnemonic(bytes(range(size)), language)
        text = mnemonic.text().expose().decode()
        seed = mnemonic.to_seed().expose()
        for form in ("NFC", "NFKD", "NFD", "NFKC"):
            for space in (" ", "  ", "\u3000", "\t", "\n", "\u00a0 "):
                written = space + space.join(unicodedata.normalize(form, text).split()) + space
                assert Mnemonic.from_text(written, language).to_seed().expose() == seed
        words = text.split()
        swapped = " ".join([words[1], words[0], *words[2:]])
        for wrong in (" ".join(words[:-1]), f"{text} {words[0]}", f"{text}x", swapped):
            with pytest.raises(InvalidInputError) as caught:
                Mnemonic.from_text(wrong, language)
            assert not any(word in caught.value.message.split() for word in words)
    composed, apart = Secret.from_text("caf\u00e9"), Secret.from_text("cafe\u0301")
    assert mnemonic.to_seed(composed).expose() == mnemonic.to_seed(apart).expose()
    if language == "english":
        result = line.run("restore", "--network", "regtest", "--name", "second", answers=[WORDS + " about"])
        assert isinstance(result.exception, BursarError)
        assert "abandon" not in str(result.exception)


def test_row_63_a_passphrase_is_what_was_typed_to_the_last_space(account: Any, signer: SoftwareSigner) -> None:
    mnemonic = Mnemonic.from_text(WORDS)
    texts = ["", " ", "a", "a ", " a", "A", "a\n", "a\u200b", "é" * 40]
    seeds = [mnemonic.to_seed(Secret.from_text(text)).expose() for text in texts]
    assert len(set(seeds)) == len(texts)
    assert seeds[0] == mnemonic.to_seed(None).expose()
    # what goes to a device: no longer than it takes, counted in bytes after NFKD, and not trimmed
    assert normalized(Secret.from_text(" a ")) == " a "
    assert normalized(Secret.from_text("é" * 16 + "ab")) == "e\u0301" * 16 + "ab"
    for long in ("é" * 17, "x" * 51):
        with pytest.raises(InvalidInputError) as caught:
            normalized(Secret.from_text(long))
        assert long not in caught.value.message
    # a mistyped one is another wallet, and is found out before anything is shown or signed

    def display(*_place: object) -> str:
        raise AssertionError("an address of the wrong wallet was shown")

    with SoftwareSigner.from_mnemonic(mnemonic, Secret.from_text("mistyped")) as other:
        device = SimpleNamespace(info=other.info, xpub=other.xpub, display_address=display)
        with pytest.raises(InvalidInputError, match="another passphrase") as found:
            confirm_address(device, account(), 0)
        assert found.value.code == "input.signer.other"


def moved(psbt: Any, path: str, fingerprint: Fingerprint | None = None) -> Any:
    one = psbt.inputs[0]
    for key, origin in list(one.bip32_derivations.items()):
        one.bip32_derivations[key] = KeyOrigin(fingerprint or origin.fingerprint, DerivationPath.from_text(path))
    for key, (leaves, origin) in list(one.tap_bip32_derivations.items()):
        there = KeyOrigin(fingerprint or origin.fingerprint, DerivationPath.from_text(path))
        one.tap_bip32_derivations[key] = (leaves, there)
    return psbt


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_64_purpose_coin_and_script_agree(ask: SimpleNamespace, refused: Refused, scheme: Scheme) -> None:
    for purpose in (44, 49, 84, 86):
        if purpose != scheme.value:
            refused(moved(ask.one(scheme), f"m/{purpose}h/1h/0h/0/0"), "key", account=None)
    for coin in (2, 3, 60, 145):
        message = refused(moved(ask.one(scheme), f"m/{scheme.value}h/{coin}h/0h/0/0"), "key", account=None)
        assert "no path of bitcoin keys" in message


def test_row_65_keys_of_one_chain_sign_nothing_of_the_other(
    ask: SimpleNamespace, refused: Refused, signer: SoftwareSigner
) -> None:
    refused(moved(ask.one(Scheme.BIP44), "m/44h/60h/0h/0/0"), "key", account=None)
    with pytest.raises(InvalidInputError):
        signer.sign_psbt(moved(ask.one(), "m/44h/60h/0h/0/0"))
    tx = UnsignedTransaction(
        type=2,
        chain_id=1,
        nonce=0,
        to=EthereumAddress(bytes(20)),
        value=Wei(1),
        data=b"",
        gas_limit=21_000,
        max_fee_per_gas=Wei(2),
        max_priority_fee_per_gas=Wei(1),
    )
    for path in ("m/44h/0h/0h/0/0", "m/84h/0h/0h/0/0", "m/86h/0h/7h/1/2", "m/48h/0h/0h/2h/0/0"):
        with pytest.raises(InvalidInputError) as caught:
            request_transaction(signer, DerivationPath.from_text(path), tx, sender=EthereumAddress(bytes(20)))
        assert caught.value.code == "input.path"


def test_row_66_child_seeds_leave_only_where_that_was_allowed(signer: SoftwareSigner) -> None:
    """A signer has no door for them at all; whoever holds the master key must say so in words (BIP-85)."""
    assert not [name for name in dir(signer) if "child" in name or "seed" in name or "entropy" in name]
    with Mnemonic.from_text(WORDS).to_seed() as seed, ExtendedPrivateKey.from_seed(seed) as master:
        for leave in (False, None, 1, "yes"):
            kept = ChildSeeds(master, allow_export=leave)
            for ask in (
                kept.mnemonic,
                kept.wif,
                kept.extended_key,
                lambda kept=kept: kept.secret_bytes(32),
                lambda kept=kept: kept.base64_password(20),
                lambda kept=kept: kept.base85_password(10),
                lambda kept=kept: kept.entropy((39, 0, 12, 0)),
            ):
                with pytest.raises(PolicyDeniedError) as caught:
                    ask()
                assert caught.value.rule == "child-seeds"
        open_one = ChildSeeds(master, allow_export=True)
        assert len(open_one.mnemonic()) == 12
        assert "redacted" in repr(open_one.mnemonic())
        with master.derive(DerivationPath.from_text("m/84h")) as below, pytest.raises(InvalidInputError):
            ChildSeeds(below, allow_export=True)


def test_row_67_an_unknown_master_key_is_nobodys(
    ask: SimpleNamespace, refused: Refused, account: Any, signer: SoftwareSigner, rebuilt: Any
) -> None:
    ours = account()
    path = str(ours.key_origin(0, 0).path)
    unknown = moved(ask.one(), path, UNKNOWN)
    refused(unknown, "nothing-to-sign", account=None)
    assert refused(unknown, "nothing-to-sign")
    psbt = ask.one()
    key = ours.key(1, 3)
    psbt.outputs[1].bip32_derivations.clear()
    psbt.outputs[1].bip32_derivations[key] = KeyOrigin(UNKNOWN, ours.key_origin(1, 3).path)
    assert change_outputs(psbt, ours) == ()
    blank = ask.one()
    blank.outputs[1].bip32_derivations.clear()
    blank.outputs[1].bip32_derivations[key] = KeyOrigin(Fingerprint(b"\0\0\0\1"), ours.key_origin(1, 3).path)
    assert change_outputs(blank, ours) == ()


SHARE = (  # SLIP-39's first vector
    "duckling enlarge academic academic agency result length solution fridge kidney coal piece deal husband erode "
    "duke ajar critical decision keyboard"
)


def kind_of(call: Callable[..., object], *arguments: Any, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        call(*arguments, **options)
    assert caught.value.code.startswith("input.shamir")
    return caught.value.code.rpartition(".")[2]


def test_row_68_shares_that_do_not_belong_together() -> None:
    secret = Secret(bytes(range(32)))
    rules = [Group(2, 3), Group(3, 5), Group(1, 1)]
    one, two, three = split(secret, rules, group_threshold=2, iteration_exponent=0)
    other = split(secret, rules, group_threshold=2, iteration_exponent=0)
    assert combine([*one[:2], *three]).expose() == secret.expose()
    assert kind_of(combine, []) == "missing"
    assert kind_of(combine, one[:2]) == "missing"  # one group of the two that are needed
    assert kind_of(combine, [*one[:1], *three]) == "missing"  # one member of the two that are needed
    assert kind_of(combine, [*one[:2], *two[:2]]) == "missing"
    assert kind_of(combine, [one[0], one[0], *three]) == "duplicate"
    assert kind_of(combine, [*one, *three]) == "surplus"
    assert kind_of(combine, [*one[:2], *two[:3], *three]) == "surplus"
    assert kind_of(combine, [one[0], other[0][1], *three]) == "mixed"
    lies: list[dict[str, Any]] = [
        {"identifier": one[1].identifier ^ 1},
        {"group_threshold": 1},
        {"group_count": 4},
        {"member_threshold": 3},
        {"iteration_exponent": 1},
        {"extendable": False},
    ]
    for lie in lies:
        assert kind_of(combine, [one[0], replace(one[1], **lie), *three]) == "mixed"
    forged = replace(one[1], value=Secret(bytes(32)))
    assert kind_of(combine, [one[0], forged, *three]) == "digest"
    assert kind_of(combine, [one[0], one[1], forged, *three]) in ("duplicate", "surplus")
    for rule in ((2, 1), (1, 2), (0, 1), (17, 17)):
        assert kind_of(Group, *rule) == "threshold"
    for threshold in (0, 4):
        assert kind_of(split, secret, rules, group_threshold=threshold) == "threshold"
    words = one[0].text().expose().decode().split()
    at = next(at for at in range(len(words)) if words[at] != words[at + 1])  # a share may repeat a word
    words[at], words[at + 1] = words[at + 1], words[at]
    assert kind_of(Share.from_text, " ".join(words)) == "checksum"
    assert kind_of(Share.from_text, " ".join(words[:-1])) in ("checksum", "length")


def test_row_68_a_share_is_no_mnemonic(line: Any) -> None:
    """Told from BIP-39 words, and never half read."""
    for text in (SHARE, " ".join((SHARE.split() * 2)[:33])):
        with pytest.raises(InvalidInputError) as caught:
            Mnemonic.from_text(text)
        assert "SLIP-39" in caught.value.message
        assert "duckling" not in caught.value.message
    for count in (1, 11, 13, 19, 25, 32):
        with pytest.raises(InvalidInputError) as caught:
            Mnemonic.from_text(" ".join(["abandon"] * count))
        assert "SLIP-39" not in caught.value.message
    result = line.run("restore", "--network", "regtest", "--name", "second", answers=[SHARE])
    assert isinstance(result.exception, BursarError)
    assert "duckling" not in f"{result.exception} {result.output}"
