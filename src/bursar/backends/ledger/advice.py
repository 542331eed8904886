"""What is known against the app that is open (``firmware.toml``), asked before anything is signed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from bursar.signing.firmware import FirmwareKnowledge, FirmwareNotice, check_may_sign

if TYPE_CHECKING:
    from bursar.backends.ledger.dashboard import AppInfo


@cache
def knowledge() -> FirmwareKnowledge:
    """This package's own file."""
    return FirmwareKnowledge.from_toml(files(__package__).joinpath("firmware.toml").read_text("utf-8"))


def notices(app: AppInfo, *features: str) -> tuple[FirmwareNotice, ...]:
    """What is known against this version of this app, where ``features`` are used."""
    return knowledge().judge(f"app:{app.name}", app.version, features=features)


def check_feature(app: AppInfo, feature: str) -> tuple[FirmwareNotice, ...]:
    """Refuse a feature that this version gets wrong (``SignerError``, ``signer.firmware``); the warnings about it."""
    found = notices(app, feature)
    check_may_sign(found)
    known = notices(app)
    return tuple(notice for notice in found if notice not in known)
