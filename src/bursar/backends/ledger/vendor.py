"""The one door to the vendor's Python packages: ``ledger_bitcoin`` and ``hid``, imported when first used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bursar.errors import MissingExtraError

EXTRA = "ledger"


def hid() -> Any:
    """The module ``hid`` of hidapi; ``MissingExtraError`` names the extra that brings it."""
    try:
        import hid as module  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise _missing("hidapi") from error
    return module


@dataclass(frozen=True, slots=True)
class BitcoinLibrary:
    """What is used of ``ledger_bitcoin``: classes, two constants and the exceptions it raises of its own."""

    new_client: Any
    wallet_policy: Any
    main: Any
    test: Any
    partial_signature: type
    apdu_exception: type[Exception]
    faults: tuple[type[Exception], ...]


def bitcoin() -> BitcoinLibrary:
    """The vendor's client of the Bitcoin app; ``MissingExtraError`` names the extra that brings it."""
    try:
        from ledger_bitcoin import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            Chain,
            PartialSignature,
            WalletPolicy,
            client,
            client_base,
            errors,
            exception,
        )
        from ledger_bitcoin._embit.base import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            EmbitError,
        )
    except ImportError as error:
        raise _missing("ledger-bitcoin") from error
    refusals = [one for one in vars(exception.errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    return BitcoinLibrary(
        new_client=client.NewClient,
        wallet_policy=WalletPolicy,
        main=Chain.MAIN,
        test=Chain.TEST,
        partial_signature=PartialSignature,
        apdu_exception=vars(client_base)["ApduException"],
        faults=(errors.HWWError, EmbitError, *refusals),
    )


def _missing(package: str) -> MissingExtraError:
    return MissingExtraError(
        f"{package} is not installed, and a ledger needs it: pip install 'bursar[{EXTRA}]'", extra=EXTRA
    )
