"""Ethereum signers elsewhere: web3signer (its eth1 API) and clef (its ``account_`` API), every answer checked again."""

from __future__ import annotations

from bursar.backends.remote.backend import RemoteBackend
from bursar.backends.remote.places import RemotePlace
from bursar.backends.remote.signer import RemoteSigner

__all__ = ["RemoteBackend", "RemotePlace", "RemoteSigner"]
