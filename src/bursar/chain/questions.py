"""Drives a generator of questions about an Ethereum chain with the answers of one source."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bursar.errors import ChainError
from bursar.ethereum.questions import Call

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.ethereum.questions import Answers

Result = TypeVar("Result")


def answered(questions: Answers[Result], backend: EthereumBackend) -> Result:
    """What ``questions`` ends with, each question answered by ``backend``; a refused call is answered by ``None``."""
    answer: bytes | None = None
    started = False
    while True:
        try:
            question = questions.send(answer) if started else next(questions)
        except StopIteration as end:
            result: Result = end.value
            return result
        started = True
        if not isinstance(question, Call):
            answer = backend.code(question.address)
            continue
        try:
            answer = backend.call(question.to, question.data)
        except ChainError as error:
            if error.code != "chain.reverted":
                raise
            answer = None
