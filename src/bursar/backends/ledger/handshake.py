"""Getting in step with a device: no old reply is left, and the right app, in the right version, answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.apdu import OK, Command, Reply
from bursar.backends.ledger.dashboard import APP_INFO, AppInfo, parse_app_info
from bursar.backends.ledger.status import LOCKED, REVIEW, refusal
from bursar.errors import SignerMisbehavedError, SignerUnavailableError
from bursar.keys.origin import Fingerprint

if TYPE_CHECKING:
    from bursar.backends.ledger.link import Link

BITCOIN: Final = "Bitcoin"
BITCOIN_TEST: Final = "Bitcoin Test"
ETHEREUM: Final = "Ethereum"
APPS: Final = (BITCOIN, BITCOIN_TEST, ETHEREUM)
BITCOIN_APPS: Final = frozenset({BITCOIN, BITCOIN_TEST})

_ATTEMPTS: Final = 3
_MASTER_FINGERPRINT: Final = Command(0xE1, 0x05, p2=1)
_ETHEREUM_SETTINGS: Final = Command(0xE0, 0x06)
_DEVICE_VERSION: Final = Command(0xE0, 0x01)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a device in step said: the open app, and with the Bitcoin apps the master key's fingerprint."""

    app: AppInfo
    fingerprint: Fingerprint | None


def get_in_step(link: Link) -> Greeting:
    """Make sure that the next reply belongs to the next question.

    What was left for an earlier connection is thrown away first. Then come three questions that need no human: which
    app is open, another one whose answer looks different, and the first again. A reply left over would answer the
    second question with the first's answer, or the first with something else, and several would leave answers of ours
    behind; then it is all thrown away and begun anew. Raises ``SignerUnavailableError`` (locked, an earlier review on
    the screen, out of step).
    """
    for _ in range(_ATTEMPTS):
        link.drain()
        first = _asked(link, APP_INFO)
        try:
            app = parse_app_info(first)
        except SignerMisbehavedError:
            continue
        between = _other_question(app)
        if between is None:
            return Greeting(app, None)
        second = _asked(link, between)
        if second != first and _fits(app, second) and _asked(link, APP_INFO) == first and not link.drain():
            return Greeting(app, Fingerprint(second.data) if app.name in BITCOIN_APPS else None)
    link.distrust("its answers did not fit the questions")
    raise SignerUnavailableError("the ledger's answers do not fit the questions: unplug it, then open it again")


def check_app(app: AppInfo) -> None:
    """Refuse, each with its own words, what is neither a Bitcoin app this library speaks to nor the Ethereum app."""
    if app.is_dashboard:
        raise _wrong_app("no app is open on the ledger: open the Bitcoin or the Ethereum app on it")
    if app.name in ("Bitcoin Legacy", "Bitcoin Test Legacy") or (app.name in BITCOIN_APPS and _is_legacy(app.version)):
        raise _wrong_app(
            f"the app {app} on the ledger speaks the protocol from before 2.1, which knows no wallet policies: update "
            "the Bitcoin app with Ledger's own program"
        )
    if app.name not in APPS:
        raise _wrong_app(f"the app {app} is open on the ledger: open the Bitcoin or the Ethereum app on it")


def _is_legacy(version: str) -> bool:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return not (major.isdecimal() and minor.isdecimal() and (int(major), int(minor)) >= (2, 1))


def _wrong_app(message: str) -> SignerUnavailableError:
    return SignerUnavailableError(message, code="signer.app")


def _asked(link: Link, command: Command) -> Reply:
    reply = link.ask(command)
    if reply.status in LOCKED or reply.status == REVIEW:
        error = refusal(reply, "a question")
        link.distrust(error.message.partition(":")[0].removeprefix("the ledger "))
        raise error
    return reply


def _other_question(app: AppInfo) -> Command | None:
    if app.is_dashboard:
        return _DEVICE_VERSION
    if app.name in BITCOIN_APPS:
        return None if _is_legacy(app.version) else _MASTER_FINGERPRINT
    return _ETHEREUM_SETTINGS if app.name == ETHEREUM else None


def _fits(app: AppInfo, reply: Reply) -> bool:
    if app.is_dashboard:
        return reply.status != OK or len(reply.data) >= 5
    return reply.status == OK and len(reply.data) == 4
