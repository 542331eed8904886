"""The other end of the wire for tests: simulators, emulator runners, and the bench they stand on."""

from __future__ import annotations

__all__: list[str] = []
