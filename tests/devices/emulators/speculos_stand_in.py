"""Stands for the package "speculos": one review of four pages behind the same REST interface, and no firmware."""

from __future__ import annotations

import http.server
import json
import os
import sys
import time
from pathlib import Path

HOME = [("Stand-in", 29), ("app is ready", 44)]
REVIEW = [
    [("Review message", 36)],
    [("Message", 6), ("hello", 22), ("world", 36)],
    [("Sign message", 36)],
    [("Reject message", 36)],
]
VERSION = "0108" + b"Stand-in".hex() + "05" + b"1.2.3".hex() + "01009000"
BEGIN, QUIT, TRAP = "e0080000", "b0a70000", "e0ff0000"


def with_apdu_client(package: Path) -> None:
    """The class the launcher makes outlive its host."""
    (package / "mcu").mkdir()
    (package / "mcu" / "__init__.py").touch()
    (package / "mcu" / "apdu.py").write_text("class ApduClient:\n    def forward_to_client(self, packet): ...\n")


class State:
    at: int | None = None
    status: str | None = None
    trap = False


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        lines = HOME if State.at is None else REVIEW[State.at]
        if State.trap:
            lines = [("An unknown page", 36)]
        if State.status is not None:
            lines = [(State.status, 36)]
        self.reply({"events": [{"text": t, "x": 10, "y": y, "w": 90, "h": 12, "clear": False} for t, y in lines]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/apdu":
            self.apdu(body["data"])
        elif body["action"] == "release":
            self.pressed(self.path.rpartition("/")[2])
            self.reply({})
        else:
            self.reply({})

    def apdu(self, data: str) -> None:
        if data == QUIT:
            os._exit(0)
        State.status, State.trap = None, data == TRAP
        if data == BEGIN:
            State.at = 0
        self.reply({"data": VERSION if data == "b001000000" else "9000"})

    def pressed(self, button: str) -> None:
        if State.at is None:
            return
        if button == "right":
            State.at = min(State.at + 1, len(REVIEW) - 1)
        elif button == "left":
            State.at = max(State.at - 1, 0)
        elif State.at >= 2:
            State.status = "Message signed" if State.at == 2 else "Message rejected"
            State.at = None

    def reply(self, document: object) -> None:
        text = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> int:
    import socket

    option = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    if "void" in option["--seed"]:
        raise SystemExit("the seed is void")
    apdu = socket.socket()
    apdu.bind(("0.0.0.0", int(option["--apdu-port"])))
    apdu.listen()
    time.sleep(0.1)
    http.server.ThreadingHTTPServer(("0.0.0.0", int(option["--api-port"])), Handler).serve_forever()
    return 0
