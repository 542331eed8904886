"""The wallet's home folder: where it is and what is in it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from bursar.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below one folder; only ``create`` writes."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.toml"

    @property
    def wallet(self) -> Path:
        return self.folder / "wallet.db"

    @property
    def keystores(self) -> Path:
        return self.folder / "keystores"

    @property
    def chains(self) -> Path:
        """A file for each Ethereum chain that is not built in, or has providers of its own."""
        return self.folder / "chains"

    @property
    def airgap(self) -> Path:
        return self.folder / "airgap"

    @property
    def remote(self) -> Path:
        """A file for each remote signer."""
        return self.folder / "remote"

    @property
    def trezor_definitions(self) -> Path:
        """The vendor's signed definitions of Ethereum networks and tokens, where somebody put them."""
        return self.folder / "trezor" / "definitions"

    @property
    def ledger_tokens(self) -> Path:
        """The vendor's signed token descriptors, where somebody put them."""
        return self.folder / "ledger" / "tokens"

    @property
    def ledger_policies(self) -> Path:
        """What is registered on Ledgers."""
        return self.folder / "ledger" / "policies.json"

    @property
    def clear_signing(self) -> Path:
        """Descriptors of contracts (ERC-7730), where somebody put them."""
        return self.folder / "clear-signing"

    @property
    def sandbox(self) -> Path:
        return self.folder / "sandbox"

    def keystore(self, name: str) -> Path:
        """The file of one keystore; ``name`` is letters, digits, ``-`` and ``_``."""
        if not name or not all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name):
            raise InvalidInputError(
                f"keystore name {name!r} is not usable: take letters, digits, '-' and '_'", code="input.name"
            )
        return self.keystores / f"{name}.json"

    def create(self) -> None:
        """Make the folder and its keystore folder, readable by their owner alone."""
        for folder in (self.folder, self.keystores):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) & 0o077:
                folder.chmod(0o700)

    def require(self) -> None:
        """Raise unless ``init`` or ``restore`` was run here."""
        if not self.config.is_file():
            raise InvalidInputError(
                f"no wallet in {self.folder}: run 'bursar init' or 'bursar restore', or name its folder with --home",
                code="input.home",
            )


def locate(option: str | None) -> Home:
    """``--home``, else ``$BURSAR_HOME``, else ``~/.bursar``; always absolute."""
    chosen = option or os.environ.get("BURSAR_HOME") or "~/.bursar"
    return Home(Path(chosen).expanduser().absolute())


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; an existing file is left alone and is an error."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
