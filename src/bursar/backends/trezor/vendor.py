"""The one door to trezorlib (0.20) and the USB libraries below it; nothing is imported before it is asked for."""

from __future__ import annotations

import sys
import time
import warnings
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from bursar.backends.trezor import decoding, encoding
from bursar.errors import InvalidInputError, MissingExtraError, SignerMisbehavedError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bursar.crypto.secret import Secret

EXTRA = "trezor"
APP = "bursar"
_USB_STEP = 300  # milliseconds
# What trezorlib's protobuf reader raises on bytes that are no message (seen by fuzzing it).
_MALFORMED = (ValueError, TypeError, OSError, EOFError, LookupError, ArithmeticError, AssertionError, RecursionError)


def require() -> None:
    """``MissingExtraError`` unless trezorlib is installed; imports nothing of it."""
    if find_spec("trezorlib") is None:
        raise MissingExtraError("trezor devices need trezorlib: pip install 'bursar[trezor]'", extra=EXTRA)


@cache
def _hush() -> None:
    """Keep trezorlib's logs out: below INFO they hold PINs and passphrases."""
    require()
    from trezorlib.transport import LOG

    LOG.root.getChild("trezorlib").setLevel("ERROR")


def messages() -> Any:
    """trezorlib's protobuf message classes."""
    _hush()
    from trezorlib import messages as found

    return found


def encode(message: Any) -> tuple[int, bytes]:
    """A message's type number and its protobuf bytes; ``ValueError`` where it is ill made."""
    return message.MESSAGE_WIRE_TYPE, encoding.encode(message)


def decode(kind: int, data: bytes) -> Any:
    """The message in ``data``; ``SignerMisbehavedError`` where it is none."""
    _hush()
    from trezorlib.mapping import DEFAULT_MAPPING

    try:
        return decoding.decode(DEFAULT_MAPPING.type_to_class[kind], data)
    except _MALFORMED as error:
        raise SignerMisbehavedError(
            f"the trezor sent bytes that are no message (type {kind}): unplug it and open it again"
        ) from error


# --- transports ---


def timeout_type() -> type[Exception]:
    """What transports raise when nothing came in time."""
    _hush()
    from trezorlib.transport import Timeout

    return Timeout


def fault_types() -> tuple[type[Exception], ...]:
    """What transports raise when a device is gone, busy or forbidden: trezorlib's errors and those it lets through."""
    _hush()
    from trezorlib.exceptions import TrezorException

    return (TrezorException, OSError, *_usb_errors())


def _usb_errors(name: str = "USBError") -> tuple[type[Exception], ...]:
    try:
        import usb1  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
    except (ImportError, OSError):
        return ()
    library: Any = usb1
    return (getattr(library, name),)


def is_busy(error: BaseException) -> bool:
    """Whether a transport's error says that another program holds the device."""
    from trezorlib.transport import DeviceIsBusy

    return isinstance(error, DeviceIsBusy) and type(error.__cause__).__name__ != "USBErrorAccess"


def is_forbidden(error: BaseException) -> bool:
    """Whether a transport's error says that the operating system does not let us."""
    names = {type(one).__name__ for one in (error, error.__cause__) if one is not None}
    return bool(names & {"USBErrorAccess", "PermissionError"})


def usb_reason() -> str | None:
    """Why WebUSB cannot be used here (libusb is not installed), or ``None``."""
    try:
        _webusb()
    except (ImportError, OSError):
        return "libusb-1.0 is not installed: install the package libusb-1.0-0"
    return None


def _webusb() -> Sequence[Any]:
    _hush()
    from trezorlib.transport.webusb import WebUsbTransport

    if not WebUsbTransport.ENABLED:
        raise ImportError("usb1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # libusb1's, about the way trezorlib opens it
        try:
            return list(WebUsbTransport.enumerate())
        except _usb_errors() as error:
            raise OSError("libusb cannot list the devices") from error


def webusb() -> Sequence[Any]:
    """The Trezors with a WebUSB interface, as transports; none where libusb is missing."""
    if usb_reason() is not None:
        return []
    from trezorlib.transport.webusb import WebUsbTransport

    class Bounded(WebUsbTransport):
        """A write ends: trezorlib's own repeats for ever while the device takes nothing."""

        deadline: float = 0.0

        def write_chunk(self, chunk: bytes, /) -> None:
            from trezorlib.transport import Timeout, TransportException

            late = _usb_errors("USBErrorTimeout")
            handle: Any = self.handle
            while handle is not None:
                try:
                    if handle.interruptWrite(self.endpoint, chunk, _USB_STEP) == len(chunk):
                        return
                    raise TransportException("a packet was written by halves")
                except late as error:
                    if getattr(error, "transferred", 0):
                        raise TransportException("a packet was written by halves") from error
                    if time.monotonic() > self.deadline:
                        raise Timeout("the device takes no packet") from error
            raise TransportException("the device is closed")

    return [Bounded(found.device) for found in _webusb()]


def hid() -> Sequence[Any]:
    """The Trezors with a HID interface (old boot loaders and firmware of the Trezor One), as transports."""
    _hush()
    from trezorlib.transport.hid import HidTransport

    try:
        return list(HidTransport.enumerate()) if HidTransport.ENABLED else []
    except OSError:
        return []


def bridge(*, timeout: float = 1.0) -> Sequence[Any]:
    """What a bridge on this machine (port 21325) holds, as transports; none where no bridge runs."""
    _hush()
    from trezorlib.transport import TransportException
    from trezorlib.transport import bridge as library

    library.CONNECTION.trust_env = False  # a proxy has no business with a device
    try:
        version = tuple(map(int, library.call_bridge("configure", timeout=timeout).json()["version"].split(".")))
        listed = library.call_bridge("enumerate", timeout=timeout).json()
        return [library.BridgeTransport(one, version < library.TREZORD_VERSION_MODERN) for one in listed]
    except (OSError, TransportException, ValueError, LookupError, TypeError, AttributeError):
        return []


def udp(host: str, port: int) -> Any:
    """A transport to an emulator."""
    _hush()
    from trezorlib.transport.udp import UdpTransport

    return UdpTransport(f"{host}:{port}")


# --- THP, the protocol of the Safe 7 ---


def thp_faults() -> tuple[type[Exception], ...]:
    """What trezorlib's THP raises: its own errors, the cipher's, and those of bytes that are no message."""
    _hush()
    from trezorlib import authentication
    from trezorlib.exceptions import TrezorException
    from trezorlib.thp import channel

    noise: Any = sys.modules[vars(channel)["NoiseConnection"].__module__]
    cipher: Any = vars(authentication)["exceptions"]
    faults = (cipher.InvalidTag, noise.NoiseHandshakeError, noise.NoiseInvalidMessage, noise.NoiseValueError)
    return (TrezorException, *faults, *_MALFORMED)


def thp_client(wire: Any, credentials: Sequence[Any], confirm: Callable[[Any], None]) -> Any:
    """A channel to a device that speaks THP; its properties are known, pairing may still be due."""
    _hush()
    from trezorlib.client import AppManifest
    from trezorlib.thp.client import TrezorClientThp

    app = AppManifest(app_name=APP, button_callback=confirm, credentials=credentials)
    return TrezorClientThp(app=app, transport=wire, mapping=_bounded_mapping(), model=None)


@cache
def _bounded_mapping() -> Any:
    """trezorlib's table of messages with a reader that a device cannot exhaust."""
    from trezorlib import messages as found
    from trezorlib.mapping import ProtobufMapping

    class Bounded(ProtobufMapping):
        def decode(self, msg_wire_type: int, msg_bytes: bytes) -> Any:
            return decoding.decode(self.type_to_class[msg_wire_type], msg_bytes)

    return Bounded.from_module(found)


def thp_model(wire: Any) -> str:
    """The internal model name that a device that speaks THP tells anybody."""
    _hush()
    from trezorlib.thp.channel import Channel

    return str(Channel.allocate(wire).device_properties.internal_model)


def thp_session(client: Any, number: int) -> Any:
    """Session ``number`` (0: without a seed) of a paired client."""
    from trezorlib.thp.client import ThpSession

    return ThpSession(client, number)


def thp_pair(client: Any, ask: Callable[[], Secret]) -> Any:
    """Pair by the code the device shows; returns the new credential. A wrong code or a stranger in between raises."""
    from trezorlib.thp.pairing import CodeEntry

    pairing = client.pairing
    if CodeEntry not in pairing.methods:
        raise UnsupportedError("the trezor offers no pairing by code: update its firmware", operation="pair")
    method = CodeEntry(pairing)
    with ask() as code:
        digits = code.expose()
        if len(digits) != 6 or not digits.isdigit():
            raise InvalidInputError("the pairing code has six digits: open the trezor again", code="signer.pairing")
        method.send_code(digits.decode())
    return pairing.request_credential()


def thp_credential(trezor: bytes, host: bytes, credential: bytes) -> Any:
    """A stored credential in trezorlib's form."""
    from trezorlib.thp.credentials import StaticCredential

    return StaticCredential(trezor_pubkey=trezor, host_privkey=host, credential=credential)


def is_cancelled(error: BaseException) -> bool:
    """Whether a human refused on the device, inside a flow of trezorlib's own."""
    from trezorlib.exceptions import Cancelled

    return isinstance(error, Cancelled)


def is_lost(error: BaseException) -> bool:
    """Whether the channel or the wire below it ended, which says nothing against the device."""
    from trezorlib.exceptions import DeviceLockedError
    from trezorlib.thp.channel import ChannelClosedError
    from trezorlib.thp.exceptions import ThpError
    from trezorlib.transport import TransportException

    return isinstance(error, (TransportException, DeviceLockedError, ThpError, ChannelClosedError))


# --- administration ---


def authenticate(call: Callable[[Any], Any], model: str) -> bool:
    """Whether a certificate under the vendor's root keys proves the device; ``call`` asks it one thing."""
    _hush()
    from types import SimpleNamespace

    from trezorlib import authentication, exceptions

    check: Any = authentication.authenticate_device  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]

    class Calls:
        """What trezorlib's check uses of a session."""

        model: Any = None

        def call(self, message: Any, *, expect: type[Any] = object) -> Any:
            reply = call(message)
            if not isinstance(reply, expect):
                raise exceptions.UnexpectedMessageError(expect, reply)
            return reply

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *unused: object) -> None:
            return None

    session: Any = Calls()
    session.model = SimpleNamespace(internal_name=model)
    try:
        check(session)
    except (authentication.DeviceNotAuthentic, exceptions.UnexpectedMessageError, *_MALFORMED):
        return False
    return True
