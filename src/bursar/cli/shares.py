"""Seeds as shares (SLIP-39) and as codex32 (BIP-93) at the terminal: handed out one by one, and taken in again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.cli.prompts import read_line
from bursar.cli.written import confirm, write_lines
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bursar.cli.session import Session
    from bursar.keys.codex32 import Codex32
    from bursar.keys.shamir import Group

_MISTAKES = 5
LARGEST_EXPONENT = 15


def split(
    seed: Secret, rules: Sequence[str], *, group_threshold: int | None, passphrase: Secret | None
) -> tuple[tuple[str, Secret], ...]:
    """The shares of ``seed``, each with its name; ``rules`` are one ``2of3`` for each group."""
    from bursar.keys.shamir import split

    groups = parse_rules(rules, group_threshold)
    made = split(seed, groups, group_threshold=group_threshold or 1, passphrase=passphrase)
    return tuple(
        (f"{share.name}, {group} of its group" if len(groups) > 1 else f"{share.name}, {group}", share.text())
        for group, shares in zip(groups, made, strict=True)
        for share in shares
    )


def parse_rules(rules: Sequence[str], group_threshold: int | None) -> list[Group]:
    """The groups; with several of them how many are needed is not guessed."""
    from bursar.keys.shamir import Group

    groups = [Group.from_text(rule) for rule in rules]
    if (len(groups) > 1) != (group_threshold is not None):
        words = (
            "there are several groups: say by --group-threshold how many are needed"
            if len(groups) > 1
            else "--group-threshold is for several groups: repeat --shares for each"
        )
        raise InvalidInputError(words, code="input.shamir")
    return groups


def split_codex32(seed: Secret, rules: Sequence[str]) -> tuple[tuple[str, Secret], ...]:
    """The seed as one codex32 secret, or its shares by one rule ``2of3``."""
    from bursar.keys import codex32

    if not rules:
        return (("the codex32 secret", codex32.encode(seed).text()),)
    [group] = parse_rules(rules[:1], None)
    if len(rules) > 1:
        raise InvalidInputError("codex32 has no groups: give --shares once", code="input.codex32")
    shares = codex32.split(seed, group.threshold, group.members)
    return tuple((f"share {share.index}, {group}", share.text()) for share in shares)


def hand_out(
    session: Session, shares: Sequence[tuple[str, Secret]], *, descriptor: int | None, codex32: bool = False
) -> None:
    """Show every share on a screen of its own and ask for parts of it, or write all to a descriptor, a line each."""
    if descriptor is not None:
        write_lines(descriptor, [text for _, text in shares], what="shares")
        return
    for number, (name, text) in enumerate(shares, 1):
        written = text.expose().decode()
        parts = [written[at : at + 4] for at in range(0, len(written), 4)] if codex32 else written.split()
        heading = (
            f"{number} of {len(shares)}: {name}.\n"
            "Write this down on paper of its own, for one keeper alone. It is shown only now."
        )
        confirm(session.human, heading, parts, noun="part" if codex32 else "word")


def take_in(
    session: Session, *, descriptor: int | None, passphrase: Callable[[], Secret | None], patient: bool
) -> Secret:
    """The seed of SLIP-39 shares, asked for until there are enough; the passphrase is asked for after them."""
    from bursar.keys.shamir import ShareSet
    from bursar.keys.shamir_cipher import LARGEST_EXPONENT as USUAL
    from bursar.keys.shamir_share import Share

    found = ShareSet()

    def add(text: Secret) -> None:
        found.add(Share.from_text(text))

    _gather(session, descriptor, add, lambda: found.complete, found.lacking)
    phrase = passphrase()
    with session.output.progress("recovering the seed"):
        return found.secret(phrase, largest_exponent=LARGEST_EXPONENT if patient else USUAL)


def take_in_codex32(session: Session, *, descriptor: int | None) -> Secret:
    """The seed of a codex32 secret, or of as many shares as their threshold says."""
    from bursar.keys.codex32 import Codex32, check_joins, recover

    found: list[Codex32] = []

    def add(text: Secret) -> None:
        # written by hand it stands in groups of four
        share = Codex32.from_text(Secret(b"".join(text.expose().split())))
        check_joins(found, share)
        found.append(share)

    def complete() -> bool:
        return bool(found) and (found[0].is_secret or len(found) >= found[0].threshold)

    def lacking() -> str:
        return f"{found[0].threshold - len(found)} more of {found[0].threshold}" if found else ""

    _gather(session, descriptor, add, complete, lacking)
    return recover(found).seed()


def _gather(
    session: Session,
    descriptor: int | None,
    add: Callable[[Secret], None],
    complete: Callable[[], bool],
    lacking: Callable[[], str],
) -> None:
    number, mistakes = 1, 0
    while not complete():
        if descriptor is not None:
            add(read_line(descriptor, what=f"share ({lacking()} needed)" if number > 1 else "share"))
        else:
            needed = f"Still needed: {lacking()}." if number > 1 else ""
            page = f"Type a share, from its first to its last sign. It vanishes with this screen.\n{needed}"
            try:
                add(Secret.from_text(session.human.show_once(page, f"Share number {number}")))
            except InvalidInputError as error:
                mistakes += 1
                if mistakes == _MISTAKES or error.code == "input.no-terminal":
                    raise
                session.human.tell(f"{error.message[:1].upper()}{error.message[1:]}. Once more.")
                continue
        number += 1
