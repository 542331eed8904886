"""Secrets typed where something else belongs: refused, and not repeated in the refusal, its causes or the output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bursar.bitcoin.accounts import account_of_descriptor
from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.formats.recognition import read_wallet_files
from bursar.bitcoin.labels import read_labels
from bursar.bitcoin.miniscript import Context, Miniscript
from bursar.bitcoin.network import Network
from bursar.bitcoin.setup_file import KeyRecord
from bursar.bitcoin.setup_token import SetupToken
from bursar.bitcoin.uri import PaymentUri
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.errors import BursarError
from bursar.ethereum.address import Address as EthereumAddress
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.slip132 import read_extended_key

SECRETS = {
    "xprv": ExtendedPrivateKey.from_seed(bytes(range(32))).text().expose().decode(),
    "tprv": ExtendedPrivateKey.from_seed(bytes(range(32)), testnet=True).text().expose().decode(),
    "wif": "L1aW4aubDFB7yfras2S1mN3bqg9nwySY8nkoLmJebSLD5BWv3ENZ",  # the well-known example
    "old wif": "5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss",
    "words": "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "hex": "c0ffee" + "1f" * 29,
}


def damaged(secret: str) -> Iterator[str]:
    """As it is, and as people mistype it."""
    yield secret
    yield secret[:-1]
    yield secret + "x"
    yield secret[:30] + ("A" if secret[30] != "A" else "B") + secret[31:]


def doors(text: str) -> Iterator[Callable[[], object]]:
    for form in ("wpkh({})", "wsh(and_v(v:pk({}),older(9)))", "tr({},pk({}))", "wpkh({}/*)#abcdefgh", "addr({})", "{}"):
        yield lambda form=form: Descriptor.parse(form.replace("{}", text))
    yield lambda: account_of_descriptor(f"wpkh({text}/<0;1>/*)", Network.MAIN)
    yield lambda: Miniscript.parse(f"pk({text})", Context.P2WSH)
    yield lambda: WalletPolicy.from_text("x", "wpkh(@0/**)", [text])
    for read in (ExtendedPublicKey.from_text, read_extended_key, DerivationPath.from_text, KeyOrigin.from_text):
        yield lambda read=read: read(text)
    yield lambda: Mnemonic.from_text(text + " zoo")
    yield lambda: SetupToken.from_text(text + text)
    yield lambda: SetupToken.generate().decrypt(text)
    yield lambda: KeyRecord.parse(f"BSMS 1.0\n00\n[00000000/48h]{text}\nx\nAAAA")
    yield lambda: Address.from_text(text, Network.MAIN)
    yield lambda: PaymentUri.from_text(f"bitcoin:{text}", Network.MAIN)
    yield lambda: EthereumAddress.from_text(text)
    yield lambda: EthereumAddress.from_text(f"0x{text}")
    store = {"type": "bip32", "xprv": text, "xpub": text, "seed": text, "derivation": "m"}
    for document in (
        {"keystore": store, "wallet_type": "standard", "seed_version": 18},
        {"label": "x", "blockheight": 0, "descriptor": f"wpkh({text}/0/*)"},
        {"descriptors": [{"desc": f"wpkh({text}/0/*)#abcdefgh"}]},
        [text],
    ):
        for reader in (read_wallet_files, read_labels):
            yield lambda reader=reader, document=document: reader(json.dumps(document))


def said_by(error: BaseException | None) -> str:
    """Everything a traceback would print of it."""
    parts = []
    while error is not None:
        parts.append(f"{error} {error!r}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(parts)


def told(secret: str, text: str) -> bool:
    """Whether a piece of it that means anything stands in ``text``."""
    if " " in secret:
        return sum(f"{word} " in text for word in set(secret.split())) > 2
    return any(secret[at : at + 16] in text for at in range(4, len(secret) - 16))


@pytest.mark.parametrize("kind", SECRETS)
def test_no_door_of_the_library_repeats_it(kind: str) -> None:
    refusals = []
    for text in damaged(SECRETS[kind]):
        for door in doors(text):
            try:
                door()
            except BursarError as error:
                refusals.append(said_by(error))
    assert len(refusals) > 50
    assert not [said for said in refusals if told(SECRETS[kind], said)]


@pytest.mark.parametrize("kind", SECRETS)
def test_nor_does_the_command_line(kind: str, line: Any, tmp_path: Any) -> None:
    text = SECRETS[kind]
    file = tmp_path / "file"
    file.write_text(text)
    for words in (
        ("send", "savings", text, "0.1btc"),
        ("send", "gas", text, "0.1eth"),
        ("account", "add", "x", "--descriptor", f"wpkh({text}/<0;1>/*)"),
        ("multisig", "create", "x", "1", text),
        ("multisig", "create", "x", "1", f"[00000000/48h]{text}"),
        ("multisig", "create", "x", "1", str(file)),
        ("multisig", "create", "x", "1", str(file), "--token", str(file)),
        ("psbt", "inspect", str(file)),
        ("labels", "import", "savings", str(file)),
    ):
        result = line.run(*words, answers=["n"])
        assert result.exit_code != 0, words
        assert not told(text, f"{result.output} {said_by(result.exception)}"), words
