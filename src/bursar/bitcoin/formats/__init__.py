"""Wallet files of other programs, public halves only: each read into and written from one value, ``WalletFile``."""

from __future__ import annotations

from bursar.bitcoin.formats.recognition import WalletFormat, read_wallet_files, write_wallet_files
from bursar.bitcoin.formats.wallet_file import KeyName, WalletFile

__all__ = ["KeyName", "WalletFile", "WalletFormat", "read_wallet_files", "write_wallet_files"]
