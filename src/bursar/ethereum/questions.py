"""What a check needs to know of a chain, asked by generators: no node is named here, whoever drives them asks one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from bursar.ethereum.address import Address

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call:
    """What does the contract ``to`` answer to ``data`` now?"""

    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class CodeAt:
    """Which code is at ``address``? Empty for an account of a key."""

    address: Address


Question: TypeAlias = Call | CodeAt
Answers: TypeAlias = "Generator[Question, bytes | None, Result]"
"""Each answer is sent back: the bytes, or ``None`` where a contract refused the call (it reverted)."""
