"""Looking after a Ledger: what is done on the device itself or by the vendor's program, and where to find it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from bursar.errors import UnsupportedError

if TYPE_CHECKING:
    from bursar.signing.protocols import Genuineness, SignerInfo

_SET_UP = "switch it on and follow its screen: a new Ledger begins with it, and a reset one again"
_PROGRAM = "Ledger's own program"


class LedgerAdmin:
    """A Ledger takes none of these from a computer, by design: every call raises ``UnsupportedError`` saying where
    on the device, or in the vendor's program, it is done."""

    def __init__(self, info: SignerInfo) -> None:
        self._info = info

    @property
    def info(self) -> SignerInfo:
        return self._info

    def set_up(self, *, label: str, words: int, passphrase: bool) -> None:  # noqa: ARG002
        self._elsewhere("set up", f"choose 'Set up as new device' on it; {_SET_UP}")

    def restore(self, *, label: str, words: int, passphrase: bool) -> None:  # noqa: ARG002
        self._elsewhere("restore", f"choose 'Restore from recovery phrase' on it; {_SET_UP}")

    def wipe(self) -> None:
        self._elsewhere("wipe", "Settings > Security (or General) > Reset device, or enter a wrong PIN three times")

    def set_label(self, label: str) -> None:  # noqa: ARG002
        self._elsewhere("label", f"its name is set in {_PROGRAM}")

    def change_pin(self) -> None:
        self._elsewhere("change-pin", "Settings > Security > Change PIN")

    def remove_pin(self) -> None:
        self._elsewhere("remove-pin", "a Ledger always has a PIN")

    def set_passphrase(self, *, enabled: bool) -> None:  # noqa: ARG002
        self._elsewhere("passphrase", "Settings > Security (or Advanced) > Passphrase")

    def back_up(self) -> None:
        self._elsewhere("backup", "it shows its recovery phrase once, while it is set up; nothing shows it again")

    def check_genuine(self) -> Genuineness:
        self._elsewhere("genuine", f"the genuine check of {_PROGRAM} asks the vendor's server, over the network")

    def close(self) -> None:
        """Nothing is held open."""

    def _elsewhere(self, operation: str, where: str) -> NoReturn:
        raise UnsupportedError(
            f"a ledger does not let a computer do that: {where}", operation=operation, model=self._info.model
        )
