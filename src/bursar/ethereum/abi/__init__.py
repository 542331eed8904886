"""Contract ABI: types, signatures, selectors, topics; encoding and strict decoding."""

from __future__ import annotations

from bursar.ethereum.abi.codec import decode, encode
from bursar.ethereum.abi.signatures import PANIC, REVERT, AbiEvent, AbiFunction, Parameter, read_abi
from bursar.ethereum.abi.types import AbiType, Kind

__all__ = [
    "PANIC",
    "REVERT",
    "AbiEvent",
    "AbiFunction",
    "AbiType",
    "Kind",
    "Parameter",
    "decode",
    "encode",
    "read_abi",
]
