"""Speculos, kept on the loopback interface: a bind of a wildcard address goes to 127.0.0.1, any other fails."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

APDU_PORT, API_PORT = 1, 2
"""Given to Speculos as port numbers, these mean: one the kernel chooses. Which, stands in the report."""
_NAMES = {APDU_PORT: "apdu", API_PORT: "api"}
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - what is replaced
LOOPBACK = "127.0.0.1"


def loopback_only(report: Callable[[str, int], None]) -> None:
    """Patch ``socket.bind`` in this process; ``report(name, port)`` tells where "apdu" and "api" came to listen."""
    plain = socket.socket.bind

    def bind(self: socket.socket, address: Any, /) -> None:
        if self.family not in (socket.AF_INET, socket.AF_INET6):
            return plain(self, address)
        host, port = address[0], address[1]
        if host in (LOOPBACK, "::1"):
            return plain(self, address)
        if host not in _WILDCARDS:
            raise SystemExit(f"refused to listen on {host}: this runs on {LOOPBACK} only")
        if port == 0:
            raise SystemExit("refused to listen on another port than the one asked for, which is taken")
        name = _NAMES.get(port)
        plain(self, (LOOPBACK, 0 if name else port))
        if name:
            report(name, self.getsockname()[1])
        return None

    socket.socket.bind = bind  # type: ignore[method-assign, assignment]


def outliving_its_host(client: Any) -> None:
    """Patch the class that answers a host: as a device does, and Speculos does not, it goes on without one."""
    plain = client.forward_to_client

    def forward_to_client(self: Any, packet: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            plain(self, packet)

    client.forward_to_client = forward_to_client


def main(arguments: list[str]) -> int:
    """``REPORT ARGUMENT…``: run Speculos with the arguments; a line "name port" for each port goes to the report."""
    report = Path(arguments[0])

    def write(name: str, port: int) -> None:
        with report.open("a") as file:
            file.write(f"{name} {port}\n")

    loopback_only(write)
    from speculos.main import main as speculos  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from speculos.mcu.apdu import ApduClient  # type: ignore[import-not-found, import-untyped, unused-ignore]

    outliving_its_host(ApduClient)

    sys.argv = ["speculos", *arguments[1:]]
    return int(speculos() or os.EX_OK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
