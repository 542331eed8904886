"""A device that is never connected as a signer: a file goes out, the human carries it, a file comes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bursar.backends.airgap import bbqr, ur
from bursar.bitcoin.psbt import Psbt
from bursar.errors import InvalidInputError, SignerUnavailableError
from bursar.signing.adoption import adopt_signatures
from bursar.signing.protocols import DeviceEvent, SecretRequest

if TYPE_CHECKING:
    from bursar.backends.airgap.public_keys import PublicKeys
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.path import DerivationPath
    from bursar.signing.protocols import Prompt, SignerInfo

_LARGEST: Final = 100_000_000


class AirgapSigner:
    """Fulfils ``PsbtSigner``; made by ``AirgapBackend.open``. ``outbox`` is where unsigned files are put."""

    def __init__(self, info: SignerInfo, keys: PublicKeys, prompt: Prompt, *, outbox: Path) -> None:
        self._info = info
        self._keys = keys
        self._prompt = prompt
        self._outbox = outbox
        self._closed = False

    @property
    def info(self) -> SignerInfo:
        """The device as it was added."""
        return self._info

    def xpub(self, path: DerivationPath) -> ExtendedPublicKey:
        """The extended public key at ``path``, as far as the device exported one at or above it."""
        self._require_open()
        return self._keys.xpub(path)

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        """Write the PSBT, wait for the human to bring it back signed, and take over the signatures."""
        self._require_open()
        self._outbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._outbox / f"{self._info.label}-{str(psbt.tx.txid)[:16]}.psbt"
        path.write_bytes(psbt.serialize())
        words = (
            f"To be signed: {path}\nTake it to {self._info.label} on a card, or as QR codes: bursar airgap show {path}"
        )
        self._prompt.notify(DeviceEvent("confirm", words))
        request = SecretRequest("file", "File that came back signed (empty to stop)")
        name = self._prompt.ask(request).expose().decode(errors="replace").strip()
        # From here on a signature may exist, on a card or on a screen: whatever is missing, this is no refusal.
        if not name:
            raise SignerUnavailableError(f"nothing came back signed yet: go on when it has, {path} is kept")
        try:
            return adopt_signatures(psbt, read_psbt(Path(name).expanduser()))
        except (InvalidInputError, OSError) as error:
            raise SignerUnavailableError(f"{name} is not what came back signed ({error}): look again") from error

    def close(self) -> None:
        """There is nothing to let go of."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise SignerUnavailableError("this signer is closed: open it again")


def read_psbt(path: Path) -> Psbt:
    """A PSBT from a file: binary, base64, or the text of QR codes (UR or BBQr), one on each line."""
    with path.open("rb") as file:
        raw = file.read(_LARGEST + 1)
    if raw.startswith(b"psbt\xff"):
        return Psbt.parse(raw)
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is no psbt: neither binary nor text", code="input.psbt") from error
    return from_texts(text.split())


def from_texts(texts: list[str]) -> Psbt:
    """A PSBT from the texts of QR codes: UR, BBQr, or base64."""
    if texts and bbqr.is_bbqr(texts[0]):
        return Psbt.parse(bbqr.decode(texts))
    if texts and ur.is_ur(texts[0]):
        return Psbt.parse(ur.decode(texts))
    return Psbt.from_text("".join(texts))
