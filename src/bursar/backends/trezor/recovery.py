"""Restoring a Trezor from its words: on its own screen, or on the One by positions in a square of letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.backends.trezor.exchange import Exchange, expect
from bursar.errors import InvalidInputError, SignerMisbehavedError, UserCancelledError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from bursar.signing.protocols import Prompt

MOST_QUESTIONS = 1000
_BACK = "\b"
_PLAIN, _NINE, _SIX = 0, 1, 2
_TEXTS = {
    _PLAIN: "Type the word whose number the trezor shows (or the word it shows itself)",
    _NINE: "Type where the trezor shows the letters your word goes on with, as on a numeric keypad (- goes back)\n"
    "  7 8 9\n  4 5 6\n  1 2 3",
    _SIX: "Type where the trezor shows your word, as on a numeric keypad (- goes back)\n  7   9\n  4   6\n  1   3",
}
_POSITIONS = {_NINE: "123456789", _SIX: "134679"}


def recover(messages: Any, request: Any, prompt: Prompt) -> Exchange[None]:
    """Run ``request`` (a ``RecoveryDevice``), asking ``prompt`` for what the One cannot be told by itself."""
    reply = yield request
    for _ in range(MOST_QUESTIONS):
        if not isinstance(reply, messages.WordRequest):
            expect(reply, messages.Success)
            return
        reply = yield messages.WordAck(word=_ask(prompt, int(reply.type)))
    raise SignerMisbehavedError("the trezor asks for words without end: unplug it")


def _ask(prompt: Prompt, kind: int) -> str:
    if kind not in _TEXTS:
        raise SignerMisbehavedError(f"the trezor asks for a word in a way nobody knows ({kind}): unplug it")
    with prompt.ask(SecretRequest("recovery-word", _TEXTS[kind])) as answer:
        typed = answer.expose()
        if not typed:
            raise UserCancelledError("no word was typed: nothing was restored")
        positions = _POSITIONS.get(kind)
        if positions is None:
            return _word(typed)
        if typed in (b"-", _BACK.encode()):
            return _BACK
        text = typed.decode("ascii", "replace")
        if len(text) != 1 or text not in positions:
            raise InvalidInputError(
                f"one position at a time, of {positions}: begin the restore again", code="input.mnemonic"
            )
        return text


def _word(typed: bytes) -> str:
    text = typed.decode("ascii", "replace").strip().lower()
    if not text.isascii() or not text.isalpha() or len(text) > 12:
        raise InvalidInputError("that is no word of a mnemonic: begin the restore again", code="input.mnemonic")
    return text
