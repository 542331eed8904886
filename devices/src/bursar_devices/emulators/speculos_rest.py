"""Speculos' REST interface: what its screen shows, its buttons and its glass, and one APDU."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SETTLED_AFTER = 3
_BETWEEN_LOOKS = 0.01
_TOUCHING = 3
HOLD = 2.0
"""Seconds a finger stays on "Hold to sign"."""


class NoAnswerError(Exception):
    """Speculos does not answer: not yet, or no more."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text on the screen, with its place in pixels."""

    text: str
    x: int
    y: int
    width: int
    height: int

    @property
    def centre(self) -> tuple[int, int]:
        """Where a finger would touch it."""
        return self.x + self.width // 2, self.y + self.height // 2


def joined(pieces: Sequence[Line]) -> list[Line]:
    """The pieces with those put together that Speculos tells apart although they touch, as "OP" and "_RETURN"."""
    lines: list[Line] = []
    for piece in sorted(pieces, key=lambda piece: piece.x):
        before = next((line for line in lines if _goes_on(line, piece)), None)
        if before is None:
            lines.append(piece)
            continue
        y, width = min(before.y, piece.y), piece.x + piece.width - before.x
        height = max(before.y + before.height, piece.y + piece.height) - y
        lines[lines.index(before)] = Line(before.text + piece.text, before.x, y, width, height)
    return lines


def _goes_on(line: Line, piece: Line) -> bool:
    gap = piece.x - (line.x + line.width)
    return -_TOUCHING <= gap <= _TOUCHING and line.y < piece.y + piece.height / 2 < line.y + line.height + _TOUCHING


class Rest:
    """The interface on a loopback port. Every call may raise ``NoAnswerError``."""

    def __init__(self, port: int) -> None:
        self._port = port

    def screen(self) -> tuple[Line, ...]:
        """The screen's lines from top to bottom, once three looks in a row saw the same."""
        shown, same = self._look(), 1
        while same < _SETTLED_AFTER:
            time.sleep(_BETWEEN_LOOKS)
            look = self._look()
            shown, same = look, same + 1 if look == shown else 1
        return shown

    def button(self, which: str) -> None:
        """Press and release "left", "right" or "both"."""
        self._call("POST", f"/button/{which}", {"action": "press"})
        self._call("POST", f"/button/{which}", {"action": "release"})

    def tap(self, x: int, y: int, *, seconds: float = 0.1) -> None:
        """Touch the glass for that long."""
        self._call("POST", "/finger", {"action": "press-and-release", "x": x, "y": y, "delay": seconds})

    def apdu(self, command: bytes) -> bytes:
        """The reply to a command that waits for no human, with its status word."""
        reply = self._call("POST", "/apdu", {"data": command.hex()})
        return bytes.fromhex(reply["data"])

    def _look(self) -> tuple[Line, ...]:
        events = self._call("GET", "/events?currentscreenonly=true")["events"]
        lines = [Line(e["text"].strip(), e["x"], e["y"], e["w"], e["h"]) for e in events]
        return tuple(sorted(joined(lines), key=lambda line: (line.y, line.x)))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HOLD + 8)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            reply = connection.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswerError(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if reply.status != http.client.OK:
            raise NoAnswerError(f"{method} {path}: {reply.status} {text[:200]!r}")
        return json.loads(text)
