"""The other end of the wire for tests: simulators and emulator runners (none yet)."""

from __future__ import annotations

__all__: list[str] = []
