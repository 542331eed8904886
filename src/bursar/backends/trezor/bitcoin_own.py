"""An input that a Trezor is to sign, in its own terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.script import ScriptType

if TYPE_CHECKING:
    from bursar.backends.trezor.bitcoin_keys import Path
    from bursar.backends.trezor.bitcoin_multisig import Placed

_LEGACY: Final = frozenset({"SPENDADDRESS", "SPENDMULTISIG"})


@dataclass(frozen=True, slots=True)
class OwnInput:
    """An input the device is to sign: its type by the device's name, the key as the PSBT names it, and where it is.

    ``script_type`` is that of a single key, ``None`` for a multisig script.
    """

    spend: str
    key: bytes
    path: Path
    script_type: ScriptType | None = None
    placed: Placed | None = None
    multisig: Any = None

    @property
    def taproot(self) -> bool:
        return self.script_type is ScriptType.P2TR

    @property
    def legacy(self) -> bool:
        """Whether its signature hashes the whole transaction anew."""
        return self.spend in _LEGACY
