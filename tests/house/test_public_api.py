"""The public face: small, sorted, cheap to import, and the same as the last time somebody decided about it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import bursar

HERE = Path(__file__).parent
HEAVY = ("btclib_secp256k1", "coincurve", "web3", "sqlalchemy", "alembic", "cryptography", "click", "rich", "asyncio")


@pytest.fixture(scope="module")
def public_api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("public_api", HERE / "public_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_snapshot_is_current(public_api: ModuleType) -> None:
    now, then = public_api.api().splitlines(), public_api.SNAPSHOT.read_text().splitlines()
    gone = [f"- {line}" for line in then if line not in now]
    new = [f"+ {line}" for line in now if line not in then]
    assert now == then, (
        "the public interface changed; if that is meant, run `make api` and say so in the changelog:\n"
        + ("\n".join(gone + new))
    )


def test_all_is_sorted_and_every_name_resolves() -> None:
    assert list(bursar.__all__) == sorted(bursar.__all__)
    for name in bursar.__all__:
        assert getattr(bursar, name) is not None
    assert set(bursar.__all__) <= set(dir(bursar))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'unheard_of'"):
        _ = bursar.unheard_of  # type: ignore[attr-defined]


def loaded_after(*command: str) -> set[str]:
    code = f"import sys; {'; '.join(command)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import bursar").intersection(HEAVY)


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_answers_without_curve_web3_or_sql(option: str) -> None:
    run = f"import bursar.cli; sys.argv = ['bursar', '{option}']\ntry: bursar.cli.main()\nexcept SystemExit: pass\n"
    code = f"import sys\n{run}print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not loaded.intersection({*HEAVY, "email", "http", "ssl"} - {"click"})
