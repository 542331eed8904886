"""Devices that are never connected, each known by the public keys it exported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError, SignerError, SignerNotFoundError
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.airgap.signer import AirgapSigner
    from bursar.signing.protocols import Prompt


class AirgapBackend:
    """The signer backend ``airgap``. A location is the device's file in ``folder`` (default: ``airgap`` in the wallet's
    folder, ``$BURSAR_HOME``, else ``~/.bursar``); its name is the label.
    """

    name = "airgap"

    def __init__(self, folder: Path | None = None) -> None:
        home = os.environ.get("BURSAR_HOME")
        self._folder = folder or (Path(home) if home else Path.home() / ".bursar") / "airgap"

    def add(self, name: str, export: Path) -> SignerInfo:
        """Keep the public keys of an export under ``name``."""
        from bursar.backends.airgap.public_keys import PublicKeys, read_text

        return self._info(PublicKeys.from_export(read_text(export)).save(self._folder, name))

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:  # noqa: ARG002
        """Every device that was added."""
        return tuple(self._info(path) for path in sorted(self._folder.glob("*.txt")))

    def open(self, info: SignerInfo, prompt: Prompt) -> AirgapSigner:
        """Open a device; nothing is asked for until something is to be signed."""
        from bursar.backends.airgap.public_keys import PublicKeys
        from bursar.backends.airgap.signer import AirgapSigner

        path = Path(info.location)
        if not path.is_file():
            raise SignerNotFoundError(f"{path} is gone: add the device again")
        keys = PublicKeys.load(path)
        if info.fingerprint is not None and info.fingerprint != keys.fingerprint:
            raise SignerError(f"{path} has the keys of {keys.fingerprint}", code="signer.fingerprint")
        return AirgapSigner(self._info(path), keys, prompt, outbox=self._folder / "outbox")

    def _info(self, path: Path) -> SignerInfo:
        from bursar.backends.airgap.public_keys import PublicKeys

        try:
            fingerprint, trouble = PublicKeys.load(path).fingerprint, None
        except (InvalidInputError, OSError) as error:
            fingerprint, trouble = None, str(error)
        return SignerInfo("airgap", str(path), "airgap", label=path.stem, fingerprint=fingerprint, trouble=trouble)
