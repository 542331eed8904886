"""``bursar init``: a wallet from a fresh mnemonic, or from a fresh seed in shares."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from bursar.cli import setup
from bursar.cli.lazy import command, pass_session
from bursar.cli.written import write_lines
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.keys.mnemonic import Mnemonic


@command(
    "init",
    examples=(
        "bursar init",
        "bursar init --network signet --words 12",
        "bursar init --shares 2of3                          # SLIP-39: any two of three papers restore it",
        "bursar init --no-keystore                          # the keys are on a hardware wallet",
        "bursar init --name treasury --password-fd 3 --mnemonic-fd 4 3<password.txt 4>/dev/usb-printer",
    ),
)
@click.option(
    "--words",
    type=click.Choice(["12", "15", "18", "20", "21", "24", "33"]),
    help="Length of the mnemonic (24 if not said), or of each share: 20 or 33 (if not said).",
)
@click.option("--language", default="english", show_default=True, help="Word list, one of BIP-39's ten.")
@click.option("--mnemonic-fd", type=click.IntRange(min=0), metavar="N", help="Write the words to descriptor N instead.")
@click.option(
    "--shares", "rules", multiple=True, metavar="KofN", help="Shares of SLIP-39 instead; repeated, one for each group."
)
@click.option("--group-threshold", type=click.IntRange(1, 16), help="How many of several groups are needed.")
@click.option(
    "--shares-fd", type=click.IntRange(min=0), metavar="N", help="Write the shares to N instead, a line each."
)
@click.option("--no-keystore", is_flag=True, help="No keys here: a hardware wallet has them.")
@setup.setup_options
@pass_session
def init(
    session: Session,
    no_keystore: bool,
    words: str | None,
    language: str,
    mnemonic_fd: int | None,
    rules: tuple[str, ...],
    group_threshold: int | None,
    shares_fd: int | None,
    name: str,
    network: str,
    chain_id: int | None,
    passphrase: bool,
    passphrase_fd: int | None,
    unlock: Unlock,
) -> None:
    """Create a wallet: a folder, a fresh BIP-39 mnemonic and an encrypted keystore made from it.

    With a hardware wallet, --no-keystore makes the folder alone. With --shares there is no mnemonic: a fresh seed is
    split (SLIP-39), and each share shown by itself, for a keeper of its own.

    The words are shown once, on a screen that vanishes, and three of them are asked for before anything is written.
    Nothing prints them again: they are the only way back if the keystore or its password is lost.
    """
    if no_keystore:
        setup.furnish(session, network=network, chain_id=chain_id)
        document = {"home": str(session.home.folder), "keystore": None, "signer": None, "fingerprint": None}
        session.output.answer(document, lambda: _without_keys(session))
        return
    path = setup.free_keystore(session, name)
    source = unlock.source(session, entry=str(path))
    wish = _Passphrase(passphrase, passphrase_fd)
    if rules or shares_fd is not None or group_threshold is not None:
        if mnemonic_fd is not None or not rules:
            raise _options("shares are made by --shares, as in --shares 2of3, and written by --shares-fd")
        fresh = _in_shares(
            session, wish, words=words, rules=rules, group_threshold=group_threshold, descriptor=shares_fd
        )
    else:
        fresh = _in_words(session, wish, words=words, language=language, descriptor=mnemonic_fd)
    if fresh.descriptor is None:
        fresh.show()
    password = source.ask(SecretRequest("new-password", f"New password for the keystore {name!r}"))
    if fresh.descriptor is not None:
        write_lines(fresh.descriptor, fresh.lines, what="words")
    fingerprint = setup.create(
        session, path, fresh.keys, password, passphrase=fresh.passphrase, network=network, chain_id=chain_id
    )
    setup.report(session, path, fingerprint, **fresh.more)


@dataclass(frozen=True, slots=True)
class _Passphrase:
    """Whether one is wanted, and the descriptor it comes from."""

    wanted: bool
    descriptor: int | None


@dataclass(frozen=True, slots=True)
class _Fresh:
    """Keys that exist nowhere yet, and what their owner must keep of them: shown, or written to ``descriptor``."""

    keys: Mnemonic | Secret
    passphrase: Secret | None
    lines: Sequence[Secret]
    show: Callable[[], None]
    descriptor: int | None
    more: Mapping[str, object]


def _in_words(
    session: Session, wish: _Passphrase, *, words: str | None, language: str, descriptor: int | None
) -> _Fresh:
    from bursar.keys import mnemonic as mnemonics

    count = _words(words, (12, 15, 18, 21, 24), default=24)
    made = mnemonics.generate(count, language)
    phrase = setup.ask_passphrase(session, wanted=wish.wanted, descriptor=wish.descriptor)
    more = {"words": count, "language": language}
    return _Fresh(made, phrase, [made.text()], lambda: setup.confirm_words(session, made), descriptor, more)


def _in_shares(
    session: Session,
    wish: _Passphrase,
    *,
    words: str | None,
    rules: Sequence[str],
    group_threshold: int | None,
    descriptor: int | None,
) -> _Fresh:
    from bursar.cli import shares

    count = _words(words, (20, 33), default=33)
    shares.parse_rules(rules, group_threshold)
    phrase = setup.ask_passphrase(
        session, wanted=wish.wanted, descriptor=wish.descriptor, question="New passphrase of the shares"
    )
    seed = Secret(secrets.token_bytes(16 if count == 20 else 32))
    made = shares.split(seed, rules, group_threshold=group_threshold, passphrase=phrase)
    more = {"words": count, "shares": list(rules), "group_threshold": group_threshold or 1}
    return _Fresh(
        seed,
        None,
        [text for _, text in made],
        lambda: shares.hand_out(session, made, descriptor=None),
        descriptor,
        more,
    )


def _words(given: str | None, allowed: tuple[int, ...], *, default: int) -> int:
    count = default if given is None else int(given)
    if count not in allowed:
        raise _options(f"--words is one of {', '.join(map(str, allowed))} here, not {count}")
    return count


def _options(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.options")


def _without_keys(session: Session) -> None:
    click.echo(f"Wallet ready in {session.home.folder}, without keys\n")
    click.echo("Next: plug the hardware wallet in, bursar devices, bursar account add savings")
