"""Finds and opens remote signers, each described by a file in the wallet's folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError, SignerError, SignerNotFoundError
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.remote.dialects import Dialect
    from bursar.backends.remote.places import RemotePlace
    from bursar.backends.remote.signer import RemoteSigner
    from bursar.ethereum.address import Address
    from bursar.signing.protocols import Prompt

_NAME: Final = "remote"
_LISTED: Final = 20


class RemoteBackend:
    """The signer backend ``remote``. A location is the signer's file (``*.toml``) in ``folder`` (default: ``remote``
    in the wallet's folder, ``$BURSAR_HOME``, else ``~/.bursar``); its name is the label.
    """

    name = _NAME

    def __init__(self, folder: Path | None = None) -> None:
        home = os.environ.get("BURSAR_HOME")
        self._folder = folder or (Path(home) if home else Path.home() / ".bursar") / "remote"

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:  # noqa: ARG002
        """Every signer that has a file; ``trouble`` says why one cannot be used. No human is asked for this."""
        return tuple(self._look(path) for path in sorted(self._folder.glob("*.toml")))

    def open(self, info: SignerInfo, prompt: Prompt) -> RemoteSigner:
        """Open a signer; ``SignerNotFoundError`` when a server that says what it holds does not hold the account."""
        from bursar.backends.remote.places import RemotePlace
        from bursar.backends.remote.signer import RemoteSigner

        path = Path(info.location)
        if not path.is_file():
            raise SignerNotFoundError(f"{path} is gone: it said where the remote signer is")
        place = RemotePlace.load(path)
        dialect = _dialect(place)
        model = dialect.model()
        if not dialect.asks_human:
            held = dialect.accounts()
            if place.address not in held:
                raise SignerNotFoundError(
                    f"the remote signer at {place.name} holds {_listed(held)}, and not {place.address}"
                )
        return RemoteSigner(_info(path, model), place, dialect, prompt)

    def accounts(self, place: RemotePlace) -> tuple[Address, ...]:
        """The accounts a server holds, or its human lets us see; the address of ``place`` need not be among them."""
        dialect = _dialect(place)
        dialect.model()
        return dialect.accounts()

    def _look(self, path: Path) -> SignerInfo:
        from bursar.backends.remote.places import RemotePlace

        kind = _NAME
        try:
            place = RemotePlace.load(path)
            kind = place.kind
            return _info(path, _dialect(place).model())
        except (InvalidInputError, SignerError) as error:
            return _info(path, kind, trouble=error.message, code=error.code)


def _info(path: Path, model: str, *, trouble: str | None = None, code: str | None = None) -> SignerInfo:
    shown = code if code is not None and code.startswith("signer.") else None
    return SignerInfo(_NAME, str(path), model, label=path.stem, trouble=trouble, trouble_code=shown)


def _dialect(place: RemotePlace) -> Dialect:
    from bursar.backends.remote.channel import channel_to
    from bursar.backends.remote.dialects import Clef, Web3Signer
    from bursar.backends.remote.json_rpc import RpcClient

    client = RpcClient(channel_to(place), name=place.name, model=place.kind)
    return Web3Signer(client) if place.kind == "web3signer" else Clef(client)


def _listed(held: tuple[Address, ...]) -> str:
    shown = ", ".join(str(one) for one in held[:_LISTED])
    return (shown + (f" and {len(held) - _LISTED} more" if len(held) > _LISTED else "")) or "no accounts"
