"""Make a virtual environment hold exactly what a hashed lock says, and remember that it does."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOCKS = PROJECT / "requirements"
PACKAGES = (PROJECT, PROJECT / "devices")  # the two distributions, installed from their source folders

# Run inside a candidate: what it is, and whether it can make environments at all.
PROBE = """
import json, sys, sysconfig
try:
    import ensurepip, venv
    trouble = ""
except ImportError as error:
    trouble = f"has no {error.name} module (Debian: apt-get install python3-venv)"
print(json.dumps({"version": list(sys.version_info[:3]), "final": sys.version_info.releaselevel == "final",
  "implementation": sys.implementation.name, "base": getattr(sys, "_base_executable", sys.executable),
  "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")), "trouble": trouble}))
"""


class SetupError(Exception):
    """A step of the set-up failed; the message says which and why."""


def run(*command: str | Path, env: dict[str, str] | None = None, quiet: bool = False) -> str:
    """Run one command; its output is shown only when it fails."""
    if not quiet:
        print("+", *(str(word).replace(f"{PROJECT}/", "") for word in command), flush=True)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=PROJECT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(f"{Path(command[0]).name} {command[1]} … failed ({done.returncode}):\n{done.stdout.strip()}")
    return done.stdout


def probe(python: str | Path) -> dict[str, object] | None:
    """What an interpreter says of itself; ``None`` when it does not run or is not a released CPython 3.11 or later."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    answer: dict[str, object] = json.loads(done.stdout)
    usable = answer["implementation"] == "cpython" and answer["final"] and not answer["free_threaded"]
    version = answer["version"]
    return answer if usable and isinstance(version, list) and tuple(version) >= (3, 11) else None


def fingerprint(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure(venv: Path, lock: str, python: str) -> Path:
    """Bring ``venv`` to what ``requirements/<lock>.txt`` says, quickly when it is there; returns its interpreter."""
    state = fingerprint(LOCKS / f"{lock}.txt", LOCKS / "build.txt", *(p / "pyproject.toml" for p in PACKAGES))
    stamp, place = venv / f".bursar-{lock}", venv / ".bursar-place"
    interpreter = venv / "bin" / "python"
    moved = not place.is_file() or place.read_text() != str(venv)  # programs in bin/ name the folder they were made in
    if stamp.is_file() and stamp.read_text() == state and interpreter.exists() and not moved:
        return interpreter
    if moved or probe(interpreter) is None:
        shutil.rmtree(venv, ignore_errors=True)
        found = probe(python)
        if found is None:
            raise SetupError(f"{python} is not a released CPython 3.11 or later")
        if found["trouble"]:
            raise SetupError(f"{python} {found['trouble']}")
        run(str(found["base"]), "-m", "venv", venv)
        place.write_text(str(venv))
    pip = (interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r")
    run(*pip, LOCKS / "uv.txt")
    uv = (venv / "bin" / "uv", "pip", "install", "--quiet", "--python", interpreter)
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env.setdefault("UV_LINK_MODE", "copy")
    env.setdefault("UV_HTTP_TIMEOUT", "120")
    run(*uv, "--require-hashes", "-r", LOCKS / "build.txt", env=env)
    source_only = ("--no-build-isolation-package", "embit")  # has no wheel; built by the locked setuptools
    run(*uv, *source_only, "--require-hashes", "-r", LOCKS / f"{lock}.txt", env=env)
    for package in PACKAGES:
        run(*uv, "--no-deps", "--no-build-isolation", "-e", package, env=env)
    stamp.write_text(state)
    return interpreter


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", choices=sorted(path.stem for path in LOCKS.glob("*.txt")))
    parser.add_argument("--venv", type=Path, default=PROJECT / ".venv")
    options = parser.parse_args()
    try:
        ensure(options.venv.resolve(), options.lock, sys.executable)
    except SetupError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
