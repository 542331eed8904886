"""``bursar keys``: take a copy of a keystore's seed out as shares, and derive child seeds from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import setup
from bursar.cli.commands.keys_ethereum import export_keystore, import_key, import_keystore
from bursar.cli.keystore_access import opened as opened_keystore
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import password_options
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.crypto.secret import Secret
    from bursar.keys.bip85 import ChildSeeds

_LENGTHS = {"hex": 32, "base64": 24, "base85": 20}


@group(
    "keys",
    examples=(
        "bursar keys split --shares 2of3                    # three papers, two of which restore the wallet",
        "bursar keys child mnemonic --words 12 --index 0    # the words of a wallet below this one",
        "bursar keys import-keystore UTC--2017… --name hot  # a key of geth, or of another wallet of Ethereum",
    ),
)
def keys() -> None:
    """Copies of a keystore's seed, in shares, child seeds, and single keys of Ethereum: all the money is in each.

    Where the settings have a table [custody], nothing leaves a keystore unless it says allow_export = true.
    """


@keys.command(
    "split",
    examples=(
        "bursar keys split --shares 3of5",
        "bursar keys split --shares 1of1 --shares 2of3 --group-threshold 2",
        "bursar keys split --codex32 --shares 2of3",
        "bursar keys split --shares 2of3 --shares-fd 3 3>/dev/usb-printer",
    ),
)
@click.option("--name", default="main", show_default=True, help="Name of the keystore.")
@click.option("--shares", "rules", multiple=True, metavar="KofN", help="How many of how many; repeated, for groups.")
@click.option("--group-threshold", type=click.IntRange(1, 16), help="How many of several groups are needed.")
@click.option("--codex32", is_flag=True, help="In codex32 (BIP-93) instead of SLIP-39; whole without --shares.")
@click.option("--shares-fd", type=click.IntRange(min=0), metavar="N", help="Write them to descriptor N, a line each.")
@click.option("--passphrase-fd", type=click.IntRange(min=0), metavar="N", help="Read the passphrase from descriptor N.")
@click.option("--passphrase", is_flag=True, help="Protect the shares (SLIP-39) with a passphrase; asked for.")
@password_options
@pass_session
def split(
    session: Session,
    name: str,
    rules: tuple[str, ...],
    group_threshold: int | None,
    codex32: bool,
    shares_fd: int | None,
    passphrase_fd: int | None,
    passphrase: bool,
    unlock: Unlock,
) -> None:
    """Split the seed of a keystore into shares. The keystore stays as it is.

    What is split is the BIP-32 seed, as SLIP-39 and BIP-93 demand: of a keystore with a mnemonic that is the 64 bytes
    which words and BIP-39 passphrase give together, so that a share has 59 words. The mnemonic cannot be had from
    the shares again. Each share is shown once, on a screen that vanishes, and three of its words are asked for.
    """
    from bursar.cli import shares as seeds

    if codex32 and (passphrase or passphrase_fd is not None or group_threshold is not None):
        raise _options("codex32 knows neither passphrases nor groups")
    if not codex32:
        if not rules:
            raise _options("say how many of how many shares shall be needed, as in --shares 2of3")
        seeds.parse_rules(rules, group_threshold)
    with opened_keystore(session, name, unlock) as opened:
        phrase = setup.ask_passphrase(
            session, wanted=passphrase, descriptor=passphrase_fd, question="New passphrase of the shares"
        )
        with opened.seed() as seed:
            if codex32:
                made = seeds.split_codex32(seed, rules)
            else:
                made = seeds.split(seed, rules, group_threshold=group_threshold, passphrase=phrase)
        seeds.hand_out(session, made, descriptor=shares_fd, codex32=codex32)
        document = {
            "signer": f"software:{name}",
            "fingerprint": str(opened.header.fingerprint),
            "format": "codex32" if codex32 else "slip-39",
            "shares": len(made),
            "rules": list(rules),
            "group_threshold": None if codex32 else group_threshold or 1,
        }
    option = "--codex32" if codex32 else "--shares"
    session.output.answer(
        document,
        lambda: click.echo(
            f"{len(made)} handed out, of fingerprint {document['fingerprint']}\n\n"
            f"Try them before you trust them: bursar --home FOLDER restore {option}, and compare the fingerprint"
        ),
    )


@keys.command(
    "child",
    examples=(
        "bursar keys child mnemonic",
        "bursar keys child mnemonic --words 24 --language spanish --index 7",
        "bursar keys child base64 --length 32 --index 1",
        "bursar keys child hex --length 32 --child-fd 3 3>key.hex",
    ),
)
@click.argument("kind", type=click.Choice(["mnemonic", "wif", "xprv", "hex", "base64", "base85"]))
@click.option("--index", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Which child, from 0.")
@click.option("--words", type=click.Choice(["12", "15", "18", "21", "24"]), help="Of a mnemonic (12 if not said).")
@click.option("--language", help="Word list of a mnemonic, one of BIP-39's ten (english if not said).")
@click.option("--length", type=click.IntRange(10, 86), help="Bytes of hex, characters of a password.")
@click.option("--name", default="main", show_default=True, help="Name of the keystore.")
@click.option("--child-fd", type=click.IntRange(min=0), metavar="N", help="Write it to descriptor N, not the screen.")
@password_options
@pass_session
def child(
    session: Session,
    kind: str,
    index: int,
    words: str | None,
    language: str | None,
    length: int | None,
    name: str,
    child_fd: int | None,
    unlock: Unlock,
) -> None:
    """Derive a child seed (BIP-85) of KIND: a mnemonic, a key (wif, xprv), bytes (hex) or a password.

    The same keystore gives the same child again: the papers of the keystore restore every child. Whoever has a child
    learns nothing about the keystore or its other children. It is shown once, on a screen that vanishes.
    """
    from bursar.cli.written import write_lines
    from bursar.keys.bip85 import ChildSeeds

    if kind != "mnemonic" and (words is not None or language is not None):
        raise _options("--words and --language are for a mnemonic")
    if kind not in _LENGTHS and length is not None:
        raise _options(f"--length is for {', '.join(_LENGTHS)}")
    with opened_keystore(session, name, unlock) as opened, opened.root() as root:
        seeds = ChildSeeds(root, allow_export=True)
        made = _derive(seeds, kind, index, words=int(words or 12), language=language or "english", length=length)
        document = {"signer": f"software:{name}", "fingerprint": str(root.fingerprint), "kind": kind, "index": index}
    with made:
        if child_fd is not None:
            write_lines(child_fd, [made], what="child")
        else:
            heading = f"The {kind} with index {index}, of fingerprint {document['fingerprint']}. It is shown only now."
            session.human.show_once(f"{heading}\n\n{made.expose().decode()}", "Press Enter when you have it")
    session.output.answer(document, lambda: click.echo(f"{kind} {index} of {document['fingerprint']} handed out"))


def _derive(seeds: ChildSeeds, kind: str, index: int, *, words: int, language: str, length: int | None) -> Secret:
    from bursar.crypto.secret import Secret

    size = length or _LENGTHS.get(kind, 0)
    if kind == "mnemonic":
        with seeds.mnemonic(words=words, language=language, index=index) as mnemonic:
            return mnemonic.text()
    if kind == "wif":
        return seeds.wif(index=index)
    if kind == "xprv":
        with seeds.extended_key(index=index) as key:
            return key.text()
    if kind == "hex":
        with seeds.secret_bytes(size, index=index) as found:
            return Secret.from_text(found.expose().hex())
    return (seeds.base64_password if kind == "base64" else seeds.base85_password)(size, index=index)


def _options(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.options")


keys.add_command(import_key)
keys.add_command(import_keystore)
keys.add_command(export_keystore)
