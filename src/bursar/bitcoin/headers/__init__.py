"""Block headers and what follows from them: proof of work, the best chain, and proofs that it holds a transaction."""

from __future__ import annotations

from bursar.bitcoin.headers.chain import Extension, HeaderChain
from bursar.bitcoin.headers.checkpoints import Checkpoint, latest_checkpoint
from bursar.bitcoin.headers.header import BlockHeader, bits_of, target_of, work_of
from bursar.bitcoin.headers.merkle import check_inclusion

__all__ = [
    "BlockHeader",
    "Checkpoint",
    "Extension",
    "HeaderChain",
    "bits_of",
    "check_inclusion",
    "latest_checkpoint",
    "target_of",
    "work_of",
]
