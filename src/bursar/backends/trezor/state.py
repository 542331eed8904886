"""What a Trezor says of itself (Features), as a value: untrusted text cleaned, and why it cannot be used now."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from bursar.backends.trezor.abilities import Firmware
from bursar.backends.trezor.failures import shown
from bursar.errors import SignerMisbehavedError
from bursar.signing.firmware import FirmwareKnowledge, FirmwareLevel

if TYPE_CHECKING:
    from collections.abc import Collection

    from bursar.signing.firmware import FirmwareNotice

NAMES = {
    "T1B1": "Trezor One",
    "T2T1": "Trezor Model T",
    "T2B1": "Trezor Safe 3",
    "T3B1": "Trezor Safe 3",
    "T3T1": "Trezor Safe 5",
    "T3W1": "Trezor Safe 7",
}
_CERTIFIED = frozenset(("T2B1", "T3B1", "T3T1", "T3W1"))
_ETHEREUM, _PASSPHRASE_ENTRY = 7, 17


class Trouble(NamedTuple):
    """Why a device cannot be used now: for people, and for programs."""

    text: str
    code: str


BOOTLOADER = Trouble(
    "in bootloader mode: unplug it, and plug it in again without pressing anything", "signer.bootloader"
)
NO_FIRMWARE = Trouble("it has no firmware: install it with the vendor's program", "signer.bootloader")
EMPTY = Trouble(
    "empty: set it up with bursar device setup, or put keys on it with bursar device restore", "signer.uninitialized"
)
RECOVERING = Trouble("in the middle of a recovery: finish it on the device", "signer.uninitialized")
NEEDS_BACKUP = Trouble(
    "its words were never written down: make the backup first (bursar device backup)", "signer.backup"
)
BACKUP_FAILED = Trouble(
    "its backup was broken off and cannot be repeated: move the money, wipe it and set it up anew", "signer.backup"
)
SEEDLESS = Trouble("made without a backup (seedless): when it breaks the money is lost", "signer.backup")
LOCKED = Trouble("locked: the PIN is asked for when it is opened", "signer.locked")
UNKNOWN = Trouble("this release knows no such model: look for an update of bursar", "signer.unknown")
FORBIDDEN = Trouble(
    "no permission to open it: run bursar devices install-udev as root (bursar doctor shows the rule)",
    "signer.permission",
)


@dataclass(frozen=True, slots=True)
class DeviceState:
    """``model`` is the vendor's internal name ("T1B1"), ``name`` the one on the box."""

    model: str
    name: str
    version: tuple[int, int, int]
    label: str | None
    bootloader: bool
    firmware_present: bool
    initialized: bool
    locked: bool
    pin: bool
    passphrase: bool
    passphrase_always_on_device: bool
    passphrase_entry: bool
    ethereum: bool
    needs_backup: bool
    backup_failed: bool
    seedless: bool
    recovering: bool
    strict: bool
    session_id: bytes | None = field(repr=False, default=None)

    @classmethod
    def of(cls, features: Any) -> DeviceState:
        """Read a ``Features`` message."""
        if type(features).__name__ != "Features":
            raise SignerMisbehavedError(
                f"the trezor answered {type(features).__name__} when asked what it is: unplug it and open it again"
            )
        model = shown(features.internal_model, 20) or _old_model(shown(features.model, 20))
        capabilities = {int(one) for one in features.capabilities or ()}
        return cls(
            model=model,
            name=NAMES.get(model, f"Trezor {model}"),
            version=(features.major_version, features.minor_version, features.patch_version),
            label=shown(features.label, 64) or None,
            bootloader=bool(features.bootloader_mode),
            firmware_present=features.firmware_present is not False,
            initialized=bool(features.initialized),
            locked=bool(features.pin_protection) and not features.unlocked,
            pin=bool(features.pin_protection),
            passphrase=bool(features.passphrase_protection),
            passphrase_always_on_device=bool(features.passphrase_always_on_device),
            passphrase_entry=_PASSPHRASE_ENTRY in capabilities,
            ethereum=not capabilities or _ETHEREUM in capabilities,
            needs_backup=int(features.backup_availability or 0) == 1,
            backup_failed=bool(features.unfinished_backup),
            seedless=bool(features.no_backup),
            recovering=int(features.recovery_status or 0) == 1,
            strict=not features.safety_checks,
            session_id=features.session_id,
        )

    @property
    def firmware(self) -> str | None:
        """The version as text; a boot loader's own version is none of the firmware's."""
        return None if self.bootloader else ".".join(map(str, self.version))

    @property
    def abilities(self) -> Firmware:
        """What this model and version can do."""
        return Firmware(self.model, self.version)

    @property
    def core(self) -> bool:
        """Every model but the One."""
        return self.model != "T1B1"

    @property
    def certified(self) -> bool:
        """Whether the model holds a vendor's certificate."""
        return self.model in _CERTIFIED

    def resumed(self, session_id: bytes | None) -> DeviceState:
        """The same in that session: only ``Initialize`` tells which one is active."""
        return replace(self, session_id=session_id)

    def notices(self, features: Collection[str] = ()) -> tuple[FirmwareNotice, ...]:
        """What is known against this firmware, worst first, where these features are going to be used."""
        return () if self.bootloader else knowledge().judge(self.model, self.firmware, features=features)

    def refused(self) -> Trouble | None:
        """Why its firmware may not sign, or ``None``."""
        codes = {FirmwareLevel.REFUSE: "signer.firmware", FirmwareLevel.SEED_COMPROMISED: "signer.seed"}
        return next((Trouble(str(one), codes[one.level]) for one in self.notices() if one.level in codes), None)

    def unfit(self) -> Trouble | None:
        """Why no keys can be used with it as it is, whatever its firmware; ``None`` when they can."""
        if self.bootloader:
            return BOOTLOADER if self.firmware_present else NO_FIRMWARE
        if self.model not in NAMES:
            return UNKNOWN
        if self.recovering:
            return RECOVERING
        return None if self.initialized else EMPTY

    def trouble(self) -> Trouble | None:
        """Why it cannot be used to sign now, as discovery says it."""
        found = self.unfit() or self.refused()
        return found or self.backup_trouble() or (LOCKED if self.locked else None)

    def backup_trouble(self) -> Trouble | None:
        """Why its money hangs on this one device, or ``None``."""
        if self.backup_failed:
            return BACKUP_FAILED
        if self.needs_backup:
            return NEEDS_BACKUP
        return SEEDLESS if self.seedless else None


def _old_model(model: str) -> str:
    """Firmware from before internal names: ``1`` or nothing is the One, ``T`` the Model T."""
    return {"": "T1B1", "1": "T1B1", "T": "T2T1"}.get(model, model)


@cache
def knowledge() -> FirmwareKnowledge:
    """What ``firmware.toml`` beside this file says."""
    from importlib.resources import files

    text = files("bursar.backends.trezor").joinpath("firmware.toml").read_text(encoding="utf-8")
    return FirmwareKnowledge.from_toml(text)
