"""What a personal message (EIP-191) is, for whoever is asked to sign it: text, bytes, a sign-in, or a trick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bursar.errors import InvalidInputError
from bursar.ethereum.effects.model import Caution
from bursar.ethereum.sign_in import SignInMessage
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction

_SIGN_IN: Final = "wants you to sign in with your ethereum account"
_INVISIBLE: Final = frozenset("\u200b\u200c\u200d\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE_BREAKS: Final = frozenset("\n\t")


@dataclass(frozen=True, slots=True)
class MessageReview:
    """``text`` is what to show: the message where it is plain text, else its bytes in hexadecimal.

    ``sign_in`` is the message of EIP-4361 that it is; ``refused`` is true for what no one should be asked to sign.
    """

    text: str
    sign_in: SignInMessage | None
    cautions: tuple[Caution, ...]
    refused: bool


def review_message(message: bytes, *, origin: str | None = None) -> MessageReview:
    """What ``message`` is. ``origin`` is the domain that asks for the signature, where that is known: a sign-in must
    be for it.

    Refused are 32 bytes that are no text (a digest, which may be one of a payment), a transaction, a sign-in message
    that leaves its grammar and one for another domain.
    """
    text = _plain(message)
    cautions = list(_disguised(message, text))
    sign_in = None
    if text is not None and _SIGN_IN in text.lower():
        try:
            sign_in = SignInMessage.parse(text)
        except InvalidInputError as error:
            cautions.append(Caution("sign-in-broken", f"looks like a sign-in and is none: {error.message}"))
        else:
            cautions += _sign_in_cautions(sign_in, origin)
    if text is None:
        cautions.append(Caution("binary", "is no plain text: it is shown in hexadecimal digits"))
    refused = any(one.code in _REFUSED for one in cautions)
    return MessageReview("0x" + message.hex() if text is None else text, sign_in, tuple(cautions), refused)


_REFUSED: Final = frozenset(("raw-digest", "transaction", "sign-in-broken", "sign-in-domain"))


def _plain(message: bytes) -> str | None:
    """The text, where nothing in it is hidden: control characters, direction marks, characters without width."""
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError:
        return None
    shown = all(one in _LINE_BREAKS or (one.isprintable() and one not in _INVISIBLE) for one in text)
    return text if shown else None


def _disguised(message: bytes, text: str | None) -> Iterator[Caution]:
    if len(message) == 32 and text is None:
        yield Caution("raw-digest", "is 32 bytes that nobody can read: a digest, maybe of something worth money")
    given = message
    if text is not None and text[:2] == "0x":
        try:
            given = bytes.fromhex(text[2:].strip())
        except ValueError:
            given = message
        if len(given) == 32:
            yield Caution("digest-text", "is 32 bytes written in hexadecimal: nobody can tell what they stand for")
    for read in (UnsignedTransaction.parse, SignedTransaction.parse):
        try:
            read(given)
        except InvalidInputError:
            continue
        yield Caution("transaction", "is an ethereum transaction in disguise")
        return


def _sign_in_cautions(message: SignInMessage, origin: str | None) -> Iterator[Caution]:
    if origin is not None and origin != message.domain:
        yield Caution("sign-in-domain", f"signs in to {message.domain}, and {origin} asks for it")
    yield Caution("sign-in", f"signs in to {message.domain} as {message.address} on chain {message.chain_id}")
    if message.expiration_time is None:
        yield Caution("sign-in-forever", "the sign-in never expires")
