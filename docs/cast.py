"""Draw docs/_static/demo.svg from a real run of ``bursar demo`` in a terminal (``make cast``)."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

TARGET = Path(__file__).parent / "_static" / "demo.svg"
COLUMNS = 124


def recorded() -> str:
    """What the demonstration writes to a terminal."""
    os.environ.update(COLUMNS=str(COLUMNS), LINES="200", TERM="xterm-256color")
    os.environ.pop("NO_COLOR", None)
    heard = bytearray()

    def listen(descriptor: int) -> bytes:
        data = os.read(descriptor, 65536)
        heard.extend(data)
        return data

    status = pty.spawn([str(Path(sys.executable).with_name("bursar")), "demo"], listen)
    if status:
        raise SystemExit(f"the demonstration failed ({status})")
    return heard.decode()


def final_lines(raw: str) -> list[str]:
    """The lines that stay: progress is drawn over itself by carriage returns and erasures."""
    text = re.sub(r"\x1b\[\??[0-9;]*[A-HJKSTfhilsu]", "\r", raw.replace("\r\n", "\n"))
    lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in lines if not re.match("[\u2800-\u28ff]", Text.from_ansi(line).plain)]  # spinners


def excerpt(lines: list[str]) -> list[str]:
    """The beginning, the first transfer, the refusals and the end; what is left out is said."""
    plain = [Text.from_ansi(line).plain for line in lines]
    second = next(number for number, line in enumerate(plain) if line.startswith("Transfer 2"))
    refused = next(number for number, line in enumerate(plain) if line.startswith("What is refused"))
    return ["$ make demo", *lines[:second], "\x1b[2m[… transfers 2 to 8 …]\x1b[0m", "", *lines[refused:]]


def main() -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in excerpt(final_lines(recorded())):
        console.print(Text.from_ansi(line), soft_wrap=True)
    drawing = console.export_svg(title="make demo")
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)  # no font is fetched from elsewhere
    TARGET.write_text(drawing.replace("Fira Code", "DejaVu Sans Mono"))


if __name__ == "__main__":
    main()
