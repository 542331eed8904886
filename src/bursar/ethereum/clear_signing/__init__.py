"""Clear signing (ERC-7730): calls and typed data in the words of their makers, read from hostile files."""

from __future__ import annotations

from bursar.ethereum.clear_signing.descriptor import Descriptor
from bursar.ethereum.clear_signing.descriptors import Descriptors
from bursar.ethereum.clear_signing.known import Known, KnownToken
from bursar.ethereum.clear_signing.own_descriptors import own_descriptors
from bursar.ethereum.clear_signing.render import Call, render_call, render_typed_data
from bursar.ethereum.clear_signing.rendering import Rendering, Row

__all__ = [
    "Call",
    "Descriptor",
    "Descriptors",
    "Known",
    "KnownToken",
    "Rendering",
    "Row",
    "own_descriptors",
    "render_call",
    "render_typed_data",
]
