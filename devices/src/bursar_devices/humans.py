"""What a human does with a device, as generators, kept apart from what a test asserts; on any model's wording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from inspect import GEN_CREATED, getgeneratorstate

from bursar_devices.device import Human, Page, Press

FINAL = re.compile(
    r"^(sign\b|hold to sign|really\b|accept risk and sign|approve\b|confirm (transaction|signing|ethereum)|confirm$"
    r"|confirm fee maximum fee [\d.]|confirm sending:? .*including fee)",
    re.I,
)
"""How the page begins, title and lines, whose acceptance signs, as the models word it."""
RISK = re.compile(r"risk|warning|high fee|blind|unverified|non-default|external inputs|unknown", re.I)
AMOUNT = re.compile(r"amount|sending|send\b|confirm sending|value", re.I)
_NUMBER = re.compile(r"(?<![\w.])(\d[\d,']*(?:\.\d+)?)(?![\w.])\s*(sat|wei|gwei)?\b", re.I)
_PAYEES = re.compile(
    r"(?:(?:bc|tb|bcrt)1[02-9ac-hj-np-z]{20,}|0x[0-9a-f]{40}\b|\b[13mn2][1-9A-HJ-NP-Za-km-z]{25,34}\b)", re.I
)
_UNITS = {"sat": 8, "wei": 18, "gwei": 9}


class NotShownError(AssertionError):
    """The device asked for a decision without having shown what a careful human must see first."""


def press_for(human: Human, page: Page) -> Press:
    """What ``human`` does with ``page``. Whoever drives a device calls this; a human who is done refuses."""
    try:
        if getgeneratorstate(human) == GEN_CREATED:
            next(human)
        return human.send(page)
    except StopIteration:
        return Press.REFUSE


def approve() -> Human:
    """Accept whatever is shown: the human no wallet should have."""
    while True:
        yield Press.ACCEPT


def reject() -> Human:
    """Refuse every request at its first page."""
    while True:
        yield Press.REFUSE


def reject_at_page(title: str) -> Human:
    """Turn the pages up to the first whose title contains ``title``, whatever its case, and refuse there.

    Closing it raises ``NotShownError`` when no such page came.
    """
    wanted, refused, press = _squeezed(title), False, Press.ACCEPT
    try:
        while True:
            page = yield press
            press = Press.REFUSE if wanted in _squeezed(page.title) else Press.ACCEPT
            refused = refused or press is Press.REFUSE
    except GeneratorExit:
        if not refused:
            raise NotShownError(f"no page called {title!r} was shown") from None
        raise


def reject_at_amount(amount: int | None = None, *, decimals: int = 8) -> Human:
    """Turn the pages up to the first that shows an amount (``amount`` in base units, or any), and refuse there."""
    refused, press = False, Press.ACCEPT
    try:
        while True:
            page = yield press
            here = _any_amount(page) if amount is None else shows_amount(page, amount, decimals)
            press = Press.REFUSE if here else Press.ACCEPT
            refused = refused or here
    except GeneratorExit:
        if not refused:
            raise NotShownError("no page with the amount was shown") from None
        raise


def reject_at_end() -> Human:
    """Turn all pages and refuse on the last one, which would sign."""
    press = Press.ACCEPT
    while True:
        page = yield press
        press = Press.REFUSE if _signs(page) else Press.ACCEPT


def reject_warnings() -> Human:
    """Accept everything but a page that warns."""
    press = Press.ACCEPT
    while True:
        page = yield press
        press = Press.REFUSE if RISK.search(page.title) else Press.ACCEPT


def approve_transfer(to: str, amount: int, *, decimals: int = 8) -> Human:
    """Accept a payment of ``amount`` base units to ``to`` and no other (see ``approve_payments``)."""
    return approve_payments([(to, amount)], decimals=decimals)


def approve_payments(payments: Sequence[tuple[str, int]], *, decimals: int = 8) -> Human:
    """Accept only what pays exactly ``payments`` (address, base units).

    Refuses at a page that shows an address not among them (a page titled "From" may), and at the page that would sign
    while an address or amount of theirs has not been shown. Closing it raises ``NotShownError`` if that happened, or
    if they never were shown at all.
    """
    yield from _careful(payments, decimals)


def _careful(payments: Sequence[tuple[str, int]], decimals: int) -> Human:
    wanted = [spellings(to) for to, _ in payments]
    pages: list[Page] = []
    trouble: str | None = None
    press = Press.ACCEPT
    try:
        while True:
            page = yield press
            pages.append(page)
            stranger = _stranger(page, wanted)
            missing = _missing(pages, payments, wanted, decimals)
            if stranger is not None:
                trouble = f"it shows a payment to {stranger}"
            elif _signs(page) and missing is not None:
                trouble = f"it asks to sign without having shown {missing}"
            press = Press.ACCEPT if trouble is None else Press.REFUSE
    except GeneratorExit:
        trouble = trouble or _missing(pages, payments, wanted, decimals)
        if trouble is not None:
            raise NotShownError(f"{trouble}; shown: {told(pages)}") from None
        raise


def confirm_address(address: str) -> Human:
    """Accept an address display that shows ``address``, refuse one that has come to its end without it.

    Closing it raises ``NotShownError`` when it was not shown.
    """
    yield from _until_shown(address, spellings(address))


def approve_message(text: str) -> Human:
    """Accept a message to sign that is ``text``, refuse another; ``NotShownError`` at the end if it was not shown."""
    yield from _until_shown(text, frozenset({_squeezed(text)}))


def _until_shown(what: str, wanted: frozenset[str]) -> Human:
    pages: list[Page] = []
    press = Press.ACCEPT
    try:
        while True:
            page = yield press
            pages.append(page)
            seen = shows_address(pages, wanted)
            press = Press.ACCEPT if seen or not _signs(page) else Press.REFUSE
    except GeneratorExit:
        if not shows_address(pages, wanted):
            raise NotShownError(f"{what} was not shown; shown: {told(pages)}") from None
        raise


def matrix_positions(page: Page, pin: str) -> str:
    """What to type at the computer for ``pin`` when the device shows its digits in a 3 x 3 matrix: where each stands.

    Positions are those of a number pad, 7 8 9 on top.
    """
    digits = [letter for letter in "".join(page.lines) if letter.isdigit()]
    if sorted(digits) != list("123456789"):
        raise NotShownError(f"no matrix of digits is on the page {page.title!r}")
    places = dict(zip(digits, "789456123", strict=True))
    return "".join(places[digit] for digit in pin)


def finish(human: Human) -> None:
    """Close ``human``; one that saw less than it must raises ``NotShownError`` here."""
    if getgeneratorstate(human) == GEN_CREATED:
        next(human)
    human.close()


def spellings(address: str) -> frozenset[str]:
    """How devices may write ``address``: without case where case says nothing, with any test network's prefix."""
    if address[:2].lower() == "0x":
        return frozenset({address.lower(), address[2:].lower()})
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import NETWORKS
    from bursar.errors import InvalidInputError

    found = {address}
    for network in NETWORKS:
        try:
            script = Address.from_text(address, network).script
        except InvalidInputError:
            continue
        alike = [other for other in NETWORKS if other.testnet == network.testnet]
        found |= {str(Address.from_script(script, other)) for other in alike}
    return frozenset(text.lower() for text in found)


def shows_address(pages: Iterable[Page], wanted: frozenset[str]) -> bool:
    """Whether one of the spellings stands on the pages, read on from one to the next as a long address is shown."""
    text = "".join(_squeezed(page.text) for page in pages)
    return any(spelling in text for spelling in wanted)


def shows_amount(page: Page, amount: int, decimals: int) -> bool:
    """Whether a number on the page is ``amount``, in whole coins or in a base unit that is named."""
    expected = Decimal(amount).scaleb(-decimals)
    for text in (*page.lines, " ".join(page.lines), page.text):
        for match in _NUMBER.finditer(text):
            number = Decimal(re.sub(r"[,']", "", match[1]))
            if match[2] is not None and number.scaleb(-_UNITS[match[2].lower()]) == expected:
                return True
            if match[2] is None and number == expected:
                return True
    return False


def _signs(page: Page) -> bool:
    return FINAL.search(" ".join((page.title, *page.lines)).strip()) is not None


def _any_amount(page: Page) -> bool:
    return AMOUNT.search(page.title) is not None and any(letter.isdigit() for letter in page.text)


def told(pages: Iterable[Page]) -> str:
    """The pages in one line, for messages."""
    return " | ".join(f"{page.title}: {' '.join(page.lines)}" for page in pages) or "nothing"


def _missing(
    pages: Sequence[Page], payments: Sequence[tuple[str, int]], wanted: Sequence[frozenset[str]], decimals: int
) -> str | None:
    for (to, amount), spelt in zip(payments, wanted, strict=True):
        if not shows_address(pages, spelt):
            return f"the address {to}"
        if not any(shows_amount(page, amount, decimals) for page in pages):
            return f"the amount {Decimal(amount).scaleb(-decimals)}"
    return None


def _stranger(page: Page, wanted: Sequence[frozenset[str]]) -> str | None:
    if re.search(r"\b(from|hash|message|path)\b", page.title, re.I):
        return None
    for match in _PAYEES.finditer("".join(page.text.split())):
        text = match[0].lower()
        if not any(text in one or one in text for spelt in wanted for one in spelt):
            return match[0]
    return None


def _squeezed(text: str) -> str:
    return "".join(text.split()).lower()
