"""PocketBackend: finds vaults and opens them; named by the entry point in ``pyproject.toml``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing

from bursar.errors import SignerError, SignerNotFoundError
from bursar.keys.origin import Fingerprint
from bursar.signing.protocols import Prompt, SecretRequest, SignerInfo
from pocket_vault.link import Link
from pocket_vault.signer import PocketSigner

DEVICE = (sys.executable, "-m", "pocket_vault.device")


class PocketBackend:
    """One vault behind ``command``: here the emulator in ``device.py``, in earnest a program that speaks to yours."""

    name = "pocket"

    def __init__(self, command: Sequence[str] = DEVICE, *, timeout: float = 30.0) -> None:
        self._command = list(command)
        self._timeout = timeout

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:
        """What is there, broken or not. The vault of this example is an emulator: seen only by who asks for those."""
        if not emulators:
            return ()
        try:
            with closing(Link(self._command, timeout=self._timeout)) as link:
                return (self._info(link, trouble="locked: it asks for its PIN when opened"),)
        except SignerError as error:
            return (self._broken(error.message),)

    def open(self, info: SignerInfo, prompt: Prompt) -> PocketSigner:
        """Start the vault and unlock it with the PIN the human gives."""
        if info.backend != self.name:
            raise SignerNotFoundError(f"{info.backend}:{info.location} is no vault: open it by its own backend")
        link = Link(self._command, timeout=self._timeout)
        try:
            with prompt.ask(SecretRequest("pin", "PIN of the Pocket Vault")) as pin:
                link.ask("unlock", pin=pin.expose().decode(errors="replace"))
            return PocketSigner(link, self._info(link, trouble=None), prompt)
        except BaseException:
            link.close()
            raise

    def _info(self, link: Link, *, trouble: str | None) -> SignerInfo:
        answer = link.ask("info")
        return SignerInfo(
            backend=self.name,
            location="emulator",
            model="Pocket Vault",
            firmware=str(answer.get("firmware"))[:20],
            label="vault",
            fingerprint=Fingerprint.from_text(str(answer.get("fingerprint"))),
            trouble=trouble,
            emulated=True,
        )

    def _broken(self, trouble: str) -> SignerInfo:
        return SignerInfo(self.name, "emulator", "Pocket Vault", label="vault", trouble=trouble, emulated=True)
