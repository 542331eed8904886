"""The floor: our C program, built here, once on Debian's libsecp256k1 and once on the library Bursar itself loads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
PACKAGES = ("gcc", "libc6-dev", "libsecp256k1-dev", "libssl-dev")
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")

# The same C code bound to the libsecp256k1 inside Bursar's own curve library: what remains is Python's share.
TWIN = """
import ctypes, sys
from bursar.crypto import secp256k1
module = sys.modules["_btclib_secp256k1" if secp256k1.LIBRARY == "btclib" else "coincurve._libsecp256k1"]
ctypes.CDLL(module.__file__, ctypes.RTLD_GLOBAL)
ctypes.CDLL(sys.argv[1]).floor_main()
"""


class FloorError(Exception):
    """The floor cannot be built here; the message says what is missing."""


def install() -> None:
    """Debian's packages, when they are missing and this is root on a Debian system."""
    if shutil.which("gcc") and Path("/usr/include/secp256k1_schnorrsig.h").exists():
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise FloorError(f"install these packages, or run as root: {' '.join(PACKAGES)}")
    print(f"+ apt-get install {' '.join(PACKAGES)}", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    try:
        subprocess.run([apt, "update"], check=True, **quiet)  # type: ignore[call-overload]
        subprocess.run([apt, "install", "-y", "--no-install-recommends", *PACKAGES], check=True, **quiet)  # type: ignore[call-overload]
    except subprocess.CalledProcessError as error:
        raise FloorError(f"apt-get failed: install {' '.join(PACKAGES)} by hand") from error


def build() -> None:
    """Both forms of the floor, when the source is newer than they are."""
    source = HERE / "floor.c"
    newest = max(one.stat().st_mtime for one in (source, *HERE.glob("*.h")))
    targets = {
        BUILD / "floor": (*FLAGS, str(source), "-lsecp256k1", "-lcrypto"),
        BUILD / "floor.so": (*FLAGS, "-shared", "-fPIC", "-Dmain=floor_main", str(source), "-lcrypto"),
    }
    BUILD.mkdir(exist_ok=True)
    for target, options in targets.items():
        if target.exists() and target.stat().st_mtime > newest:
            continue
        done = subprocess.run(["gcc", "-o", str(target), *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise FloorError(f"the floor does not build:\n{done.stderr}")


class Floor:
    """One running floor; ``ask`` returns (nanoseconds of processor time, on the wall, SHA-256 of the output)."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.openssl = self._read()

    @classmethod
    def debian(cls) -> Floor:
        return cls("debian", [str(BUILD / "floor")])

    @classmethod
    def twin(cls) -> Floor:
        return cls("twin", [sys.executable, "-c", TWIN, str(BUILD / "floor.so")])

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise FloorError(f"the {self.name} floor ended (exit code {self._process.wait()})")
        return line

    def ask(self, request: str) -> tuple[int, int, str]:
        assert self._process.stdin is not None
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        elapsed, busy, digest = self._read().split()
        return int(busy), int(elapsed), digest

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def curve_version() -> str:
    """Debian's package version of libsecp256k1, as far as the machine tells."""
    query = ("dpkg-query", "-W", "-f=${Version}", "libsecp256k1-dev")
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
