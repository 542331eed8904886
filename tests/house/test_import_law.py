"""The import law of the house: floors, neighbours, no loops, every third-party library in its one place."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

PROJECT = Path(__file__).resolve().parents[2]
SOURCE = PROJECT / "src" / "bursar"

# Where each third-party library may be named: one file for a vendor's library, one room for the others.
HOMES = {
    "_pysha3": "crypto/hashes.py",
    "Crypto": "crypto/hashes.py",
    "btclib_secp256k1": "crypto/secp256k1.py",
    "coincurve": "crypto/secp256k1.py",
    "mnemonic": "keys/wordlist.py",
    "cryptography": "crypto",
    "click": "cli",
    "rich": "cli",
    "sqlalchemy": "wallet",
    "alembic": "wallet",
    "web3": "nodes/ethrpc/wire.py",
    "eth_abi": "ethereum/abi",
    "ckzg": "ethereum/blobs/kzg.py",
    "ens_normalize": "ethereum/ens/names.py",
    "pbk": "nodes/sandbox",
    "eth": "nodes/sandbox",
    "keyring": "cli",
    "hid": "backends/ledger/vendor.py",
    "ledger_bitcoin": "backends/ledger/vendor.py",
    "trezorlib": "backends/trezor/vendor.py",
    "usb1": "backends/trezor/vendor.py",
    "segno": "backends/airgap/qr.py",
    "zxingcpp": "backends/airgap/qr.py",
    "PIL": "backends/airgap/qr.py",
}
# Vendors' libraries: named in one file only, and only inside functions, so that importing that file costs nothing.
VENDORS = (
    "trezor",
    "trezorlib",
    "ledger_bitcoin",
    "ledgerblue",
    "hid",
    "usb1",
    "web3",
    "bip_utils",
    "pkcs11",
    "keyring",
)


def imports(path: Path) -> list[tuple[str, bool]]:
    """Every top-level module name imported in a file, with whether the import stands at module level."""
    tree = ast.parse(path.read_text(), str(path))
    deep = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
    }
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
        found += [(name.partition(".")[0], id(node) not in deep | typing_only) for name in names]
    return found


@pytest.fixture(scope="module")
def libraries() -> dict[str, list[tuple[str, bool]]]:
    """Third-party library -> the files that import it, each with whether it does so at module level."""
    found = defaultdict(list)
    for path in sorted(SOURCE.rglob("*.py")):
        for name, eager in imports(path):
            if name != "bursar" and name not in sys.stdlib_module_names:
                found[name].append((path.relative_to(SOURCE).as_posix(), eager))
    return dict(found)


def test_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(PROJECT)
    code = lint_imports(cache_dir=None)
    assert code == 0, capsys.readouterr().out


def test_no_import_loops() -> None:
    """Among modules, counting imports for type checking only."""
    import grimp

    graph = grimp.build_graph("bursar", exclude_type_checking_imports=False, cache_dir=None)
    order = TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail("import loop: " + " -> ".join(error.args[1]))


def test_each_library_is_named_at_home_only(libraries: dict[str, list[tuple[str, bool]]]) -> None:
    homeless = sorted(set(libraries) - set(HOMES))
    assert not homeless, f"give these libraries a home in HOMES, and an ADR: {homeless}"
    astray = [
        f"{name} in {file}"
        for name, places in libraries.items()
        for file, _ in places
        if file != HOMES[name] and not file.startswith(HOMES[name] + "/")
    ]
    assert not astray


def test_vendor_libraries_are_imported_in_one_file_and_late(libraries: dict[str, list[tuple[str, bool]]]) -> None:
    for name in VENDORS:
        places = libraries.get(name, [])
        assert len({file for file, _ in places}) <= 1, (name, places)
        assert not [file for file, eager in places if eager], f"{name} is imported at module level"


def test_one_file_names_the_curve_library() -> None:
    naming = [path for path in SOURCE.rglob("*.py") if re.search("btclib_secp256k1|coincurve[.]", path.read_text())]
    assert [path.relative_to(SOURCE).as_posix() for path in naming] == ["crypto/secp256k1.py"]


def test_a_production_install_holds_no_device_simulator() -> None:
    named = [path for path in SOURCE.rglob("*.py") if "bursar_devices" in path.read_text()]
    assert not named
