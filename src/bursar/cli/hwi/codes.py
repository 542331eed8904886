"""HWI's error codes, and which of our errors is which."""

from __future__ import annotations

from enum import IntEnum

from bursar import errors


class Code(IntEnum):
    """The numbers programs written for ``hwi`` know."""

    NO_DEVICE_TYPE = -1
    MISSING_ARGUMENTS = -2
    DEVICE_CONN_ERROR = -3
    UNKNOWN_DEVICE_TYPE = -4
    INVALID_TX = -5
    NO_PASSWORD = -6
    BAD_ARGUMENT = -7
    NOT_IMPLEMENTED = -8
    UNAVAILABLE_ACTION = -9
    DEVICE_ALREADY_INIT = -10
    DEVICE_ALREADY_UNLOCKED = -11
    DEVICE_NOT_READY = -12
    UNKNOWN_ERROR = -13
    ACTION_CANCELED = -14
    DEVICE_BUSY = -15
    NEED_TO_BE_ROOT = -16
    HELP_TEXT = -17
    DEVICE_NOT_INITIALIZED = -18
    INVALID_POLICY = -19


_BY_CODE = {
    "signer.busy": Code.DEVICE_BUSY,
    "signer.uninitialized": Code.DEVICE_NOT_INITIALIZED,
    "signer.initialized": Code.DEVICE_ALREADY_INIT,
    "signer.unlocked": Code.DEVICE_ALREADY_UNLOCKED,
    "signer.locked": Code.DEVICE_NOT_READY,
    "signer.bootloader": Code.DEVICE_NOT_READY,
    "signer.app": Code.DEVICE_NOT_READY,
    "signer.backup": Code.DEVICE_NOT_READY,
    "signer.pin": Code.ACTION_CANCELED,
    "signer.fingerprint": Code.DEVICE_CONN_ERROR,
    "signer.permission": Code.DEVICE_CONN_ERROR,
    "input.no-terminal": Code.NO_PASSWORD,
    "input.root": Code.NEED_TO_BE_ROOT,
    "input.interactive": Code.UNAVAILABLE_ACTION,
    "input.no-device": Code.NO_DEVICE_TYPE,
    "input.policy": Code.INVALID_POLICY,
    "input.wallet-policy": Code.INVALID_POLICY,
    "input.registration": Code.BAD_ARGUMENT,
    "signer.registration": Code.BAD_ARGUMENT,
}

_BY_CLASS: dict[type[errors.BursarError], Code] = {
    errors.InvalidInputError: Code.BAD_ARGUMENT,
    errors.SignerNotFoundError: Code.DEVICE_CONN_ERROR,
    errors.SignerUnavailableError: Code.DEVICE_CONN_ERROR,
    errors.UserCancelledError: Code.ACTION_CANCELED,
    errors.UnsupportedError: Code.UNAVAILABLE_ACTION,
    errors.WrongPasswordError: Code.NO_PASSWORD,
    errors.KeystoreBusyError: Code.DEVICE_BUSY,
    errors.KeystoreError: Code.DEVICE_CONN_ERROR,
    errors.MissingExtraError: Code.UNKNOWN_DEVICE_TYPE,
    errors.BursarError: Code.UNKNOWN_ERROR,
}


def code_of(error: errors.BursarError) -> Code:
    """The number of an error: by its own code where that says more, else by its class."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if error.code.startswith("input.psbt"):
        return Code.INVALID_TX
    return next(_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _BY_CLASS)


def code_of_trouble(code: str | None) -> Code:
    """The number of what keeps a device from being used."""
    return _BY_CODE.get(code or "", Code.DEVICE_NOT_READY)
