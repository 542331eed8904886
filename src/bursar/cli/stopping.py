"""SIGINT and SIGTERM as exceptions, raised only where the interpreter survives them."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

_AGAIN_SECONDS = 0.005


class TerminatedError(BaseException):
    """SIGTERM: unwinds like Ctrl-C, so that chains are shut down and temporary folders removed."""


_RAISED: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: TerminatedError}


def install() -> None:
    """Make both signals unwind the program. A SIGINT that whoever started it had ignored stays ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    if sys.unraisablehook is not _swallowed:
        global _others
        _others = sys.unraisablehook
        sys.unraisablehook = _swallowed


_others: Any = sys.__unraisablehook__


def _stop(number: int, frame: FrameType | None) -> None:
    # An exception in the midst of the import machinery is swallowed by it and can leave the import lock held for good,
    # so that the next import of another thread waits for ever.
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        _again(number)
        return
    raise _RAISED[number]


def _again(number: int) -> None:
    signal.signal(signal.SIGALRM, lambda _alarm, frame: _stop(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


def _swallowed(fault: Any) -> None:
    """A signal that struck inside a destructor or a callback, where its exception goes no further, strikes again."""
    for number, kind in _RAISED.items():
        if fault.exc_type is kind:
            _again(number)
            return
    _others(fault)
