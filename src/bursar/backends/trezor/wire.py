"""Wire: a transport with a clock and a limit, so that no read and no flood of packets lasts for ever."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from bursar.backends.trezor import vendor
from bursar.backends.trezor.state import FORBIDDEN
from bursar.errors import SignerError, SignerMisbehavedError, SignerUnavailableError

if TYPE_CHECKING:
    from types import TracebackType

MOST_PACKETS = 1 << 15  # two megabytes of packets for one answer
_PINGS = 10  # each waits a tenth of a second
_FORGOTTEN = (AttributeError, AssertionError)  # trezorlib's transports, closed by another thread while they wait


class Wire:
    """Has the face of trezorlib's transports, and is one to it.

    ``allow(seconds)`` starts the clock of the next answer; without it there is none to wait for. The transport is
    open from ``open()`` to ``close()``; the context manager does nothing.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._timeout = vendor.timeout_type()
        self._faults = vendor.fault_types()
        self._until = 0.0
        self._packets = 0
        self._seconds = 0.0
        self._open = False
        self.CHUNK_SIZE: int | None = transport.CHUNK_SIZE

    def open(self) -> None:
        """Open the transport; ``SignerUnavailableError`` when it is busy, forbidden or gone."""
        try:
            self._transport.open()
        except self._faults as error:
            raise self._refused(error) from error
        self._open = True

    def close(self) -> None:
        """Close the transport; idempotent, never fails."""
        if self._open:
            self._open = False
            try:
                self._transport.close()
            except self._faults:
                return  # it is gone: so much the better

    def allow(self, seconds: float) -> None:
        """The next answer must be whole within ``seconds``."""
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._packets = MOST_PACKETS

    def write_chunk(self, chunk: bytes, /) -> None:
        self._alive()
        if time.monotonic() > self._until:
            raise self._late()
        self._transport.deadline = self._until
        try:
            self._transport.write_chunk(chunk)
        except self._timeout as error:
            raise self._late() from error
        except self._faults as error:
            raise self._lost() from error
        except _FORGOTTEN:
            self._alive()
            raise

    def read_chunk(self, *, timeout: float | None = None) -> bytes:
        """One packet. Raises the library's time-out after ``timeout``, ``SignerUnavailableError`` when all is over."""
        self._alive()
        left = self._until - time.monotonic()
        if left <= 0:
            raise self._late()
        self._packets -= 1
        if self._packets < 0:
            raise SignerMisbehavedError("the trezor sends without end: unplug it")
        patient = timeout is None or timeout >= left
        try:
            return bytes(self._transport.read_chunk(timeout=left if patient else timeout))
        except self._timeout as error:
            if patient:
                raise self._late() from error
            raise
        except self._faults as error:
            raise self._lost() from error
        except _FORGOTTEN:
            self._alive()
            raise

    def poll(self, seconds: float) -> bytes | None:
        """One packet if one comes within ``seconds``."""
        try:
            return self.read_chunk(timeout=seconds)
        except self._timeout:
            return None

    def get_path(self) -> str:
        return str(self._transport.get_path())

    def is_open(self) -> bool:
        return self._open

    def is_ready(self) -> bool:
        """For UDP, whether anything answers, now or on a busy machine a moment later; elsewhere, whether it is open."""
        try:
            return self._open and any(self._transport.is_ready() for _ in range(_PINGS))
        except self._faults:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _alive(self) -> None:
        if not self._open:
            raise SignerUnavailableError("the trezor is closed: open it again")

    def _late(self) -> SignerUnavailableError:
        return SignerUnavailableError(
            f"the trezor did not answer within {self._seconds:g} seconds: open it again, or unplug it first"
        )

    def _lost(self) -> SignerUnavailableError:
        return SignerUnavailableError("the trezor is gone or its connection broke: plug it in and open it again")

    def _refused(self, error: BaseException) -> SignerError:
        if vendor.is_forbidden(error):
            return SignerUnavailableError(FORBIDDEN.text, code=FORBIDDEN.code)
        if vendor.is_busy(error):
            return SignerUnavailableError(BUSY, code="signer.busy")
        return SignerUnavailableError(f"{self.get_path()} cannot be opened: plug the trezor in again")


BUSY = "busy: another program is using it, close that one first"
