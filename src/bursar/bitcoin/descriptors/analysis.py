"""What a descriptor means, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.descriptor import Descriptor


def describe(descriptor: Descriptor) -> tuple[str, ...]:
    """The ways to spend, one line each: ``2 of 3 now``, ``or 1 of 3 after 90 days``."""
    raise NotImplementedError
