"""How a Safe runs a call."""

from __future__ import annotations

from enum import IntEnum


class Operation(IntEnum):
    """As a call of its own, or as code that runs with the Safe's storage and money."""

    CALL = 0
    DELEGATE_CALL = 1
