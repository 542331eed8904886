"""How cost grows: PSBTs by inputs, addresses by number, coins by number; measured as `make bench` does, then drawn."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coin_selection
import ours
from floor import BUILD, Floor, build, install
from pairing import Contender, clock, measure
from peers import PEERS
from workload import BRANCHES, psbt

INPUTS = (1, 10, 100, 1_000)
NUMBERS = (1_000, 10_000, 100_000, 1_000_000)
PSBT_PEERS = {"wallycore": 1_000, "bdkpython": 1_000, "embit": 300}
ADDRESS_PEERS = {"wallycore": 100_000, "bdkpython": 10_000, "embit": 10_000}
ROUNDS = 5
Series = dict[str, list[tuple[int, float]]]
STATIC = Path(__file__).resolve().parent.parent / "docs" / "_static"

# Bytes of resident memory for each script of an index beside the script itself, in a process of its own.
MEMORY = """
import gc, resource, sys
from workload import bitcoin_account
from bursar.bitcoin.script_index import ScriptIndex
from bursar.keys.scheme import Scheme
def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
account, count = bitcoin_account(Scheme.BIP84), int(sys.argv[1])
account.scripts(0, 0, 2000)
before = resident()
index = ScriptIndex()
for start in range(0, count, 10_000):
    index.extend(0, account.scripts(0, start, min(10_000, count - start)))
print((resident() - before) / count - 22)
"""


def psbt_series(floor: Floor, kind: str) -> Series:
    """Microseconds for each input of parse, sign, finalise and extract, before verifying after signing."""
    found: Series = {"C floor": []}
    for size in INPUTS:
        keys = BRANCHES[kind].floor(private=True)
        request = f"psbt {kind} {{}} 1 {keys} {psbt(kind, size).hex()}"
        contenders = [Contender("Bursar", ours.psbt_signed(kind, size, verify=False), kind == "wpkh")]
        for name, most in PSBT_PEERS.items():
            peer = PEERS[name](f"psbt {kind}", size) if size <= most else None
            contenders += [] if peer is None else [peer]
        for number, contender in enumerate(contenders):
            ask = lambda n, request=request: floor.ask(request.format(n))  # noqa: E731
            one = measure(contender, ask, count=max(1, 2000 // size), rounds=ROUNDS)
            if number == 0:
                found["C floor"].append((size, one.floor_ns / size / 1000))
            found.setdefault(contender.name.replace("bursar", "Bursar"), []).append(
                (size, one.ratio * one.floor_ns / size / 1000)
            )
    return found


def address_series(floor: Floor, kind: str) -> Series:
    """Milliseconds for so many addresses below an extended public key, in one call."""
    letter = {"wpkh": "w", "tr": "t"}[kind]
    keys = BRANCHES[kind].floor(private=False)
    found: Series = {"C floor": [], "Bursar": []}
    for number in NUMBERS:
        rounds = 1 if number > 100_000 else 3
        found["C floor"].append(
            (number, statistics.median([floor.ask(f"public {letter} {number} {keys}")[0] for _ in range(rounds)]) / 1e6)
        )
        found["Bursar"].append((number, _median(ours.addresses("public", kind), number, rounds)))
        for name, most in ADDRESS_PEERS.items():
            peer = PEERS[name](f"public {kind}", 0) if number <= most else None
            if peer is not None:
                found.setdefault(name, []).append((number, _median(peer.run, number, rounds)))
    return found


def _median(run: Callable[[int], object], number: int, rounds: int) -> float:
    run(20)
    return statistics.median([clock(lambda: run(number))[0] for _ in range(rounds)]) / 1e6


def coin_series() -> Series:
    """Milliseconds for a transfer of one percent of so many coins."""
    found: Series = {"Bursar, selection": [], "Bursar, transfer": []}
    for number, alone, whole in coin_selection.curve(ROUNDS):
        found["Bursar, selection"].append((number, alone))
        found["Bursar, transfer"].append((number, whole))
    for number in NUMBERS[:3]:
        peer = coin_selection.bdkpython(coin_selection.Coins(number))
        if peer is not None:
            peer(12_500)
            times = [peer(12_500).ns / 1e6 for _ in range(3)]
            found.setdefault("bdkpython, transfer", []).append((number, statistics.median(times)))
        gc.collect()
    return found


def memory_series() -> Series:
    """Bytes for each script of an index, beside the script."""
    found: Series = {"Bursar": []}
    for number in NUMBERS[1:]:
        command = [sys.executable, "-c", MEMORY, str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
        found["Bursar"].append((number, float(done.stdout)))
    return found


STYLES: dict[str, dict[str, Any]] = {"Bursar": {"linewidth": 2.5}, "C floor": {"linestyle": "--", "color": "black"}}
TITLES = {
    "psbt-wpkh": ("Signing a PSBT, P2WPKH", "inputs", "µs for each input"),
    "psbt-tr": ("Signing a PSBT, P2TR", "inputs", "µs for each input"),
    "addresses-wpkh": ("P2WPKH addresses below an xpub", "addresses", "ms"),
    "addresses-tr": ("P2TR addresses below an xpub", "addresses", "ms"),
    "coins": ("Paying one percent of all coins", "coins", "ms"),
    "memory": ("Index of derived scripts", "scripts", "bytes for each, beside the script"),
}


def draw(curves: dict[str, Series], folder: Path) -> None:
    """One picture for each curve."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bursar"  # the same picture from the same figures
    from matplotlib import pyplot

    for name, series in curves.items():
        title, across, up = TITLES[name]
        figure, axes = pyplot.subplots(figsize=(6.4, 3.8))
        for label, points in series.items():
            style: dict[str, Any] = STYLES.get(label, {})
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=label, **style)
        axes.set(title=title, xlabel=across, ylabel=up, xscale="log")
        if name != "memory":
            axes.set_yscale("log")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(frameon=False)
        figure.tight_layout()
        figure.savefig(folder / f"curve-{name}.svg", metadata={"Date": None})
        pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=BUILD / "curves.json")
    parser.add_argument("--only", default="", help="curves whose name contains this; the others stay as they are")
    options = parser.parse_args()
    install()
    build()
    floor = Floor.twin()
    makers: dict[str, Callable[[], Series]] = {
        "psbt-wpkh": lambda: psbt_series(floor, "wpkh"),
        "psbt-tr": lambda: psbt_series(floor, "tr"),
        "addresses-wpkh": lambda: address_series(floor, "wpkh"),
        "addresses-tr": lambda: address_series(floor, "tr"),
        "coins": coin_series,
        "memory": memory_series,
    }
    curves: dict[str, Any] = json.loads(options.json.read_text()) if options.json.is_file() else {}
    for name, make in makers.items():
        if options.only not in name:
            continue
        curves[name] = make()
        print(TITLES[name][0])
        for label, points in curves[name].items():
            print(f"  {label:<22}" + "  ".join(f"{x:,}: {y:,.2f}" for x, y in points), flush=True)
        options.json.write_text(json.dumps(curves, indent=1))
    floor.close()
    draw(curves, STATIC)
    return 0


if __name__ == "__main__":
    sys.exit(main())
