"""Blobs of data that travel beside a transaction (EIP-4844, EIP-7594)."""

from __future__ import annotations

from bursar.ethereum.blobs.sidecar import BlobSidecar

__all__ = ["BlobSidecar"]
