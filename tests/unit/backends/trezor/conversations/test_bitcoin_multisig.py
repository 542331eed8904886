"""Multisig inputs and change told to a Trezor: 2 of 3 with two software signers, bare, native and nested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from trezorlib import messages as m

from bursar.backends.software import SoftwareSigner
from bursar.backends.trezor.abilities import Firmware
from bursar.bitcoin import script as scripts
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.sighash import NONE
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.errors import InvalidInputError
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_signatures

if TYPE_CHECKING:
    from bursar.keys.bip32 import ExtendedPublicKey

OTHERS = ("abandon " * 11 + "about", "legal winner thank year wave sausage worth useful legal winner thank yellow")
STRANGER = "zoo " * 11 + "wrong"
PATHS = {"sh": "m/48h/1h/0h/0h", "sh-wsh": "m/48h/1h/0h/1h", "wsh": "m/48h/1h/0h/2h"}
ORDER = m.MultisigPubkeysOrder


@dataclass(frozen=True)
class Wallet:
    """``threshold`` of the keys below ``xpubs``, in their order or sorted; ``kind`` as descriptors name it."""

    kind: str
    threshold: int
    cosigners: tuple[tuple[KeyOrigin, ExtendedPublicKey], ...]
    in_order: bool = False

    def pays(self, place: tuple[int, int]) -> tuple[bytes | None, bytes | None, bytes]:
        """Redeem script, witness script and output script."""
        keys = [xpub.derive(place).key for _, xpub in self.cosigners]
        if self.in_order:
            keys.sort()
        inner = bytes((0x50 + self.threshold,)) + b"".join(b"\x21" + key for key in keys)
        inner += bytes((0x50 + len(keys), 0xAE))
        if self.kind == "sh":
            return inner, None, scripts.p2sh(hash160(inner))
        if self.kind == "wsh":
            return None, inner, scripts.p2wsh(sha256(inner))
        redeem = scripts.p2wsh(sha256(inner))
        return redeem, inner, scripts.p2sh(hash160(redeem))

    def describe(self, one: Any, place: tuple[int, int]) -> None:
        one.redeem_script, one.witness_script, _ = self.pays(place)
        for origin, xpub in self.cosigners:
            path = origin.path / place[0] / place[1]
            one.bip32_derivations[xpub.derive(place).key] = KeyOrigin(origin.fingerprint, path)


def listed(xpub: ExtendedPublicKey) -> bytes:
    version = bytes.fromhex("043587cf" if xpub.testnet else "0488b21e")
    place = bytes((xpub.depth,)) + xpub.parent + xpub.index.to_bytes(4, "big")
    return version + place + xpub.chain_code + xpub.key


def question(wallet: Wallet, *, change: Wallet | None = None, at: tuple[int, int] = (1, 4), xpubs: bool = True) -> Psbt:
    """Two inputs of the wallet, a payment and change."""
    previous = []
    for number, place in enumerate(((0, 0), (1, 7))):
        funding = TxIn(OutPoint(Txid(sha256(b"shared %d" % number)), number), b"", 0xFFFFFFFF)
        previous.append(Transaction(2, (funding,), (TxOut(Sats(100_000), wallet.pays(place)[2]),), 0))
    home = change or wallet
    outputs = (TxOut(Sats(50_000), scripts.p2wsh(bytes(32))), TxOut(Sats(149_000), home.pays(at)[2]))
    psbt = Psbt(Transaction(2, [TxIn(OutPoint(before.txid, 0), b"", 0xFFFFFFFD) for before in previous], outputs, 0))
    for one, before, place in zip(psbt.inputs, previous, ((0, 0), (1, 7)), strict=True):
        one.non_witness_utxo = before
        if wallet.kind != "sh":
            one.witness_utxo = before.outputs[0]
        wallet.describe(one, place)
    home.describe(psbt.outputs[1], at)
    if xpubs:
        for origin, xpub in {*wallet.cosigners, *home.cosigners}:
            psbt.xpubs[listed(xpub)] = origin
    return psbt


@pytest.fixture
def bench(trezor: SimpleNamespace) -> Any:
    """``signer``, ``others``, and ``wallet(kind, …)`` of all three."""
    signer = trezor.signer()
    others = [SoftwareSigner.from_mnemonic(Mnemonic.from_text(words.strip())) for words in (*OTHERS, STRANGER)]

    def wallet(
        kind: str = "wsh", *, who: Sequence[int] = (0, 1, 2), threshold: int = 2, in_order: bool = False
    ) -> Wallet:
        path = DerivationPath.from_text(PATHS[kind])
        everyone = [signer, *others]
        chosen = [everyone[number] for number in who]
        keys = tuple((KeyOrigin(one.info.fingerprint, path), one.xpub(path)) for one in chosen)
        return Wallet(kind, threshold, keys, in_order)

    return SimpleNamespace(signer=signer, others=others, wallet=wallet)


def told(bench: Any, psbt: Psbt) -> tuple[Any, Any]:
    """The first input and the second output as the device heard them; its signatures verify and complete the rest."""
    signed = request_signatures(bench.signer, psbt)
    assert all(len(one.partial_sigs) == 1 for one in signed.inputs)
    second = request_signatures(bench.others[0], psbt)
    extract(finalize(combine([signed, second])))
    return bench.signer.device.inputs[0], bench.signer.device.outputs[1]


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("in_order", [False, True])
def test_inputs_are_signed_and_change_is_told(bench: Any, kind: str, in_order: bool) -> None:
    one, change = told(bench, question(bench.wallet(kind, in_order=in_order)))
    assert list(one.multisig.address_n) == [0, 0]
    assert one.multisig.m == 2
    assert list(change.address_n)[-2:] == [1, 4]
    assert change.multisig.pubkeys_order == (ORDER.LEXICOGRAPHIC if in_order else one.multisig.pubkeys_order)


@pytest.mark.parametrize("kind", PATHS)
def test_without_listed_keys_it_signs_and_shows_the_change(bench: Any, kind: str) -> None:
    one, change = told(bench, question(bench.wallet(kind), xpubs=False))
    assert not one.multisig.address_n
    assert change.address
    assert not change.address_n


@pytest.mark.parametrize("who", [(1, 2, 0), (2, 0, 1)])
def test_the_order_of_keys_is_kept(bench: Any, who: tuple[int, ...]) -> None:
    told(bench, question(bench.wallet(who=who)))


def test_old_firmware_is_told_the_keys_in_their_order(bench: Any, trezor: SimpleNamespace) -> None:
    bench.signer = trezor.signer(Firmware("T2T1", (2, 6, 4)))
    one, _ = told(bench, question(bench.wallet(in_order=True)))
    assert one.multisig.pubkeys_order == ORDER.PRESERVED


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"who": (0, 1, 3)}, (1, 4)),  # a cosigner replaced
        ({"threshold": 1}, (1, 4)),
        ({"who": (0, 1)}, (1, 4)),
        ({}, (0, 4)),
        ({}, (1, 100_001)),
    ],
)
def test_what_is_not_the_wallets_change_is_shown(bench: Any, change: dict[str, Any], at: tuple[int, int]) -> None:
    _, shown = told(bench, question(bench.wallet(), change=bench.wallet(**change), at=at))
    assert shown.address
    assert not shown.address_n


def test_change_at_different_places_of_the_cosigners_is_shown(bench: Any) -> None:
    """Nobody would find such an address again: a million indexes for each cosigner."""
    wallet = bench.wallet()
    psbt = question(wallet)
    (mine, xpub), (other, other_xpub), (third, third_xpub) = wallet.cosigners
    places = ((1, 4), (1, 5), (1, 4))
    keys = [one.derive(place).key for one, place in zip((xpub, other_xpub, third_xpub), places, strict=True)]
    inner = b"\x52" + b"".join(b"\x21" + key for key in keys) + b"\x53\xae"
    outputs = (psbt.tx.outputs[0], TxOut(psbt.tx.outputs[1].value, scripts.p2wsh(sha256(inner))))
    twisted = Psbt(Transaction(2, psbt.tx.inputs, outputs, 0))
    twisted.fields.update({key: value for key, value in psbt.fields.items() if key[0] == 1})
    for one, before in zip(twisted.inputs, psbt.inputs, strict=True):
        one.fields.update(before.fields)
    twisted.outputs[1].witness_script = inner
    for key, origin, place in zip(keys, (mine, other, third), places, strict=True):
        twisted.outputs[1].bip32_derivations[key] = KeyOrigin(origin.fingerprint, origin.path / place[0] / place[1])
    _, shown = told(bench, twisted)
    assert shown.address


def test_a_signature_there_already_stays(bench: Any) -> None:
    psbt = question(bench.wallet())
    half = request_signatures(bench.others[1], psbt)
    both = request_signatures(bench.signer, half)
    assert all(len(one.partial_sigs) == 2 for one in both.inputs)
    extract(finalize(both))
    with pytest.raises(InvalidInputError, match="signed already"):
        bench.signer.sign_psbt(both)


def refused(bench: Any, psbt: Psbt, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        bench.signer.sign_psbt(psbt)
    assert caught.value.code == code


def test_refusals(bench: Any) -> None:
    psbt = question(bench.wallet())
    psbt.inputs[1].sighash_type = NONE
    refused(bench, psbt, "input.psbt.sighash")
    psbt = question(bench.wallet())
    psbt.inputs[1].witness_script = b"\x51"
    refused(bench, psbt, "input.path")  # no multisig any more, and the path is of one
    psbt = question(bench.wallet())
    psbt.inputs[1].non_witness_utxo = None
    refused(bench, psbt, "input.psbt.utxo")
    psbt = question(bench.wallet())
    (origin, xpub), *_ = bench.wallet().cosigners
    key = xpub.derive((0, 0)).key
    psbt.inputs[0].bip32_derivations[key] = KeyOrigin(origin.fingerprint, origin.path / 0 / 1)
    refused(bench, psbt, "input.psbt.key")
    psbt = question(bench.wallet())
    psbt.xpubs[bytes.fromhex("043587cf") + bytes(74)] = KeyOrigin(origin.fingerprint, DerivationPath())
    refused(bench, psbt, "input.psbt.key")


@pytest.mark.parametrize(
    "path", ["m/48h/0h/0h/2h/0/0", "m/48h/1h/101h/2h/0/0", "m/48h/1h/0h/3h/0/0", "m/48h/1h/0h/2h/2/0", "m/48h/1h/0h/2h"]
)
def test_forbidden_paths(bench: Any, path: str) -> None:
    psbt = question(bench.wallet())
    (origin, xpub), *_ = bench.wallet().cosigners
    key = xpub.derive((0, 0)).key
    psbt.inputs[0].bip32_derivations[key] = KeyOrigin(origin.fingerprint, DerivationPath.from_text(path))
    refused(bench, psbt, "input.path")
