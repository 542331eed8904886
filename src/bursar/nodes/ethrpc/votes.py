"""What several providers answered to one question, and whether enough of them say the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from bursar.errors import ChainError, ChainUnavailableError, ProvidersDisagreeError

_LONGEST: Final = 120
_ALIKE: Final = ("chain.too-many", "chain.reply")  # what lies in the question, or in what strangers put in a block


@dataclass(frozen=True, slots=True)
class Vote:
    """One provider's answer, or the error it gave instead."""

    provider: str
    value: Any = None
    error: ChainError | None = None

    def __str__(self) -> str:
        text = str(self.error.message if self.error is not None else self.value)
        shown = "".join(one if one.isprintable() else "?" for one in text[:_LONGEST])
        return shown + ("..." if len(text) > _LONGEST else "")


def ask(providers: Mapping[str, Any], question: Callable[[Any], Any]) -> tuple[Vote, ...]:
    """Every provider's answer, one after the other; only errors of the chain are answers."""
    votes = []
    for name, provider in providers.items():
        try:
            votes.append(Vote(name, question(provider)))
        except ChainError as error:
            votes.append(Vote(name, error=error))
    return tuple(votes)


def answers(votes: Sequence[Vote], need: int, what: str) -> list[Any]:
    """The values given, when at least ``need`` providers gave one; their error where as many cannot be read alike."""
    found = [one.value for one in votes if one.error is None]
    if len(found) < need:
        for code in _ALIKE:
            alike = [one.error for one in votes if one.error is not None and one.error.code == code]
            if len(alike) >= need:
                raise alike[0]
        refuse(votes, f"{len(found)} of {len(votes)} providers answered about {what}, {need} have to")
    return found


def agreed(votes: Sequence[Vote], need: int, what: str) -> Any:
    """The one value that at least ``need`` providers gave; two such values are no agreement."""
    found = answers(votes, need, what)
    most = [
        value for position, value in enumerate(found) if value not in found[:position] and found.count(value) >= need
    ]
    if len(most) != 1:
        refuse(votes, f"the providers disagree about {what}, {need} have to say the same")
    return most[0]


def dissent(votes: Sequence[Vote], value: Any) -> tuple[Vote, ...]:
    """The votes for something else than ``value``."""
    return tuple(one for one in votes if one.error is not None or one.value != value)


def refuse(votes: Sequence[Vote], message: str, *, code: str | None = None) -> NoReturn:
    """``ProvidersDisagreeError`` with what each said; ``ChainUnavailableError`` where some are away and none differ."""
    said = "; ".join(f"{one.provider}: {one}" for one in votes)
    missing = [one.error for one in votes if one.error is not None]
    if missing and code is None and all(isinstance(one, ChainUnavailableError) for one in missing):
        values = [one.value for one in votes if one.error is None]
        if all(value == values[0] for value in values):
            raise ChainUnavailableError(f"{message}: {said}")
    evidence = tuple((one.provider, str(one)) for one in votes)
    raise ProvidersDisagreeError(f"{message}: {said}", evidence=evidence, code=code)
