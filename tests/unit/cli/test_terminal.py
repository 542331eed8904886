"""The real terminal, by a pseudo-terminal: hidden input, the vanishing screen, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

SECONDS = 60


class Dialogue:
    """A bursar process on a terminal of its own."""

    def __init__(self, *words: str, home: Path) -> None:
        self.said = ""
        self._read_to = 0
        self._terminal, theirs = pty.openpty()
        # a session of its own, whose controlling terminal is ours
        begin = (
            "import fcntl, runpy, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            "runpy.run_module('bursar.cli', run_name='__main__')"
        )
        self._child = subprocess.Popen(
            [sys.executable, "-c", begin, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "BURSAR_HOME": str(home)},
        )
        os.close(theirs)

    def expect(self, pattern: str) -> str:
        """Wait for ``pattern`` in what is shown after the last answer; what was shown."""
        until = time.monotonic() + SECONDS
        while not re.search(pattern, self.said[self._read_to :]):
            assert time.monotonic() < until, f"{pattern!r} was not shown: {self.said!r}"
            assert self._read(), f"it ended before {pattern!r} was shown: {self.said!r}"
        shown = self.said[self._read_to :]
        self._read_to = len(self.said)
        return shown

    def answer(self, text: str) -> None:
        time.sleep(0.1)  # the question is on the terminal a moment before its echo is off
        os.write(self._terminal, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._terminal)
        return self._child.wait(SECONDS)

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], SECONDS)[0]:
            return False
        try:
            got = os.read(self._terminal, 65536)
        except OSError:  # the other side is closed
            return False
        self.said += got.decode(errors="replace")
        return bool(got)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_init_by_hand(home: Path) -> None:
    dialogue = Dialogue("init", "--words", "12", "--network", "regtest", home=home)
    page = dialogue.expect("written down: ")
    assert "\x1b[?1049h" in page
    words = dict(re.findall(r"(\d+)\. (\w+)", page))
    assert len(words) == 12
    dialogue.answer("\n")
    for _question in range(3):
        asked = re.search(r"Word (\d+): ", dialogue.expect(r"Word \d+: "))
        assert asked is not None
        dialogue.answer(words[asked[1]] + "\n")
    dialogue.expect("New password")
    dialogue.answer("a secret password\n")
    dialogue.expect("Again")
    dialogue.answer("a secret password\n")
    assert dialogue.end() == 0
    assert "Wallet ready" in dialogue.said
    assert "a secret password" not in dialogue.said
    assert "\x1b[?1049l" in dialogue.said


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x04", 2)])
def test_ctrl_c_and_ctrl_d_at_a_question(home: Path, key: str, code: int) -> None:
    dialogue = Dialogue("restore", home=home)
    dialogue.expect("Mnemonic: ")
    dialogue.answer(key)
    assert dialogue.end() == code
    assert "Traceback" not in dialogue.said
    assert "\x1b[?1049l" in dialogue.said
    assert not home.exists()
