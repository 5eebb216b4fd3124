"""The generated part of docs/performance.md and its plot, from the results that the benchmarks left in docs/results.

Each benchmark saves what it measured as ``docs/results/benchmark_NAME.json``; the page is made from those files, so one
benchmark can be repeated without the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE, PLOT, RESULTS = ROOT / "docs/performance.md", ROOT / "docs/performance.png", ROOT / "docs/results"
BEGIN, END = "<!-- measured: begin (written by scripts/benchmarks) -->", "<!-- measured: end -->"
KINDS = {"field": "field, 64 × 512", "calcium": "calcium, 200 × 30", "spikes": "spikes, 100 × 50 bins"}
"""Kind → how it is called in tables and plot."""


@dataclass(frozen=True)
class Bar:
    """What was asked for, and where the number that answers it is.

    Parameters
    ----------
    what
        The work, in words.
    result
        Which benchmark measured it.
    path
        Keys that lead to the number.
    bar
        The number asked for.
    at_least
        Whether more is better.
    unit
        What comes after the number.
    """

    what: str
    result: str
    path: tuple[str, ...]
    bar: float
    at_least: bool = True
    unit: str = ""


BARS = (
    Bar("field windows, warm, 1 process: × torch_brain", "windows", ("field", "ratio"), 20, unit=" ×"),
    Bar("field windows: share of the RAM-copy limit", "windows", ("field", "of_ram_copy"), 0.5),
    Bar("field windows, scaled per channel: share of the RAM-copy limit", "windows", ("field", "of_ram_copy_scaled"), 0.25),
    Bar("calcium windows: × torch_brain", "windows", ("calcium", "ratio"), 30, unit=" ×"),
    Bar("spikes, binned: × torch_brain", "windows", ("spikes", "ratio"), 20, unit=" ×"),
    Bar("first epoch of field windows, cold: × torch_brain warm", "windows", ("field", "cold_ratio"), 1, unit=" ×"),
    Bar("bytes on disk, EEGMMIDB subject 1: × its EDF files", "disk", ("bytes_ratio",), 0.6, False, " ×"),
    Bar("files on disk per recording, at most", "disk", ("most_files",), 40, False),
    Bar("10,000 recordings: `open_store`", "scale", ("open_store_seconds",), 1, False, " s"),
    Bar("10,000 recordings: memory without torch", "scale", ("open_store_rss_mb",), 300, False, " MB"),
    Bar("10,000 recordings: window time over that with 16", "scale", ("window_time_ratio",), 1.2, False, " ×"),
    Bar("HTTP, 50 ms latency: share of local cold throughput", "remote", ("of_local_cold",), 0.8),
    Bar("HTTP: bytes over bytes strictly needed", "remote", ("bytes_ratio",), 1.3, False, " ×"),
    Bar("HTTP: requests of a first batch of 32 from one recording", "remote", ("first_batch", "one_recording"), 12, False),
    Bar("HTTP: requests of a first batch of 32 from 16 recordings", "remote", ("first_batch", "all_recordings"), 36, False),
    Bar("training step on the CPU: share of waiting for data", "training", ("cpu", "data_wait_share"), 0.02, False),
    Bar("training step on a GPU, batch 256: share of waiting", "training", ("gpu", "data_wait_share"), 0.02, False),
)  # fmt: skip


def save_result(name: str, result: Mapping[str, Any]) -> None:
    """Write what a benchmark measured to its file in docs/results."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (RESULTS / f"benchmark_{name}.json").write_text(text + "\n", encoding="utf-8")


def read_results() -> dict[str, Any]:
    """Return the saved results by the name of their benchmark."""
    paths = sorted(RESULTS.glob("benchmark_*.json"))
    return {path.stem.removeprefix("benchmark_"): json.loads(path.read_text(encoding="utf-8")) for path in paths}


def write_page() -> None:
    """Rewrite the generated part of docs/performance.md, and its plot, from the saved results."""
    results = read_results()
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = [*bars_table(results), "", *windows_tables(results.get("windows", {})), "", *other_lines(results)]
    text_made = "\n".join([BEGIN, "", *made, END])
    PAGE.write_text(f"{before}{text_made}{after}", encoding="utf-8")
    if "windows" in results:
        write_plot(results["windows"])


def found(results: Mapping[str, Any], bar: Bar) -> float | None:
    """Return the measured number of a bar, None where it was not measured."""
    value: Any = results.get(bar.result, {})
    for key in bar.path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, (int, float)) else None


def bars_table(results: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of the table of bars."""
    yield "| work | bar | measured | met |"
    yield "|---|---|---|---|"
    for bar in BARS:
        value = found(results, bar)
        sign = "≥" if bar.at_least else "≤"
        met = (
            "not measured"
            if value is None
            else "yes"
            if (value >= bar.bar) == bar.at_least or value == bar.bar
            else "**no**"
        )
        shown = "–" if value is None else f"{value:.3g}{bar.unit}"
        yield f"| {bar.what} | {sign} {bar.bar:g}{bar.unit} | {shown} | {met} |"


def windows_tables(result: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines that say how fast each reader was, and on what."""
    if not result:
        return
    size = next(result[kind]["details"] for kind in KINDS if kind in result)
    yield f"### Windows per second, {size['recordings']} recordings × {size['seconds']:g} s"
    yield ""
    yield f"Median of {size['rounds']} interleaved rounds, batches of {size['batch_size']}, one process, page cache warm."
    yield ""
    kinds = [kind for kind in KINDS if kind in result]
    yield "| reader | " + " | ".join(KINDS[kind] for kind in kinds) + " |"
    yield "|---|" + "---:|" * len(kinds)
    for name in result[kinds[0]]["details"]["rates"]:
        rates = [result[kind]["details"]["rates"].get(name, {}).get("median") for kind in kinds]
        yield f"| {name} | " + " | ".join("–" if rate is None else f"{rate:,.0f}" for rate in rates) + " |"
    cold = [result[kind]["details"]["cold"]["windows_per_second"] for kind in kinds]
    yield "| neurodata, first epoch, cold | " + " | ".join(f"{rate:,.0f}" for rate in cold) + " |"
    yield ""
    yield "![windows per second of every reader](performance.png)"
    yield ""
    yield from facts_table(result, kinds)


def facts_table(result: Mapping[str, Any], kinds: list[str]) -> Iterator[str]:
    """Give the lines about bytes, the cold epoch, the machine and the versions."""
    yield "| | " + " | ".join(KINDS[kind] for kind in kinds) + " |"
    yield "|---|" + "---:|" * len(kinds)
    details = [result[kind]["details"] for kind in kinds]
    rows = {
        "store (MB)": [d["bytes"]["store"] / 1e6 for d in details],
        "torch_brain's files (MB)": [d["bytes"]["torch_brain"] / 1e6 for d in details],
        "decoded cache (MB)": [d["bytes"]["cache"] / 1e6 for d in details],
        "read from disk in the cold epoch (MB)": [d["cold"]["bytes_read"] / 1e6 for d in details],
        "× torch_brain's Data in RAM": [result[kind]["ratio_to_rival_in_memory"] for kind in kinds],
        "× torch_brain, both through their DataLoader": [result[kind]["ratio_dataloaders"] for kind in kinds],
        "first epoch, cold: × torch_brain warm": [result[kind]["cold_ratio"] for kind in kinds],
    }
    for name, values in rows.items():
        yield (
            f"| {name} | " + " | ".join(f"{value:,.3g}" if value < 100 else f"{value:,.0f}" for value in values) + " |"
        )
    machine, versions = result["machine"], result["versions"]
    yield ""
    yield (
        f"Cold: {details[0]['cold']['page_cache']}. Machine: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']:g} GiB, {machine['system']}. Versions: "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + "."
    )


def other_lines(results: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines about braindecode, workers, training and remote stores, each where it was measured."""
    if "braindecode" in results:
        found = results["braindecode"]
        rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in found["windows_per_second"].items())
        versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        yield f"**braindecode**, field windows per second in an environment of its own: {rates} ({versions})."
        yield ""
    if "workers" in results:
        yield "| field windows per second through the data loaders | neurodata | torch_brain |"
        yield "|---|---:|---:|"
        for name, rates in results["workers"]["rates"].items():
            cells = [f"{rate:,.0f}" if isinstance(rate, float) else rate for rate in rates.values()]
            yield f"| {name} | " + " | ".join(cells) + " |"
        yield ""
    if "training" in results:
        for device in ("cpu", "cpu_tiny", "gpu"):
            if device in results["training"]:
                found = results["training"][device]
                yield (
                    f"**Training** on {found.get('device', 'the CPU')}: {found['weights']:,} weights, batch "
                    f"{found['batch_size']}, step {found['median_step_ms']:.3g} ms, of it waiting for data "
                    f"{found['median_wait_ms']:.2g} ms."
                )
                yield ""
    if "remote" in results:
        found = results["remote"]
        yield (
            f"**HTTP** with {found['delay_ms']:g} ms per response: {found['windows_per_second']['remote']:,.0f} windows per "
            f"second in the first epoch, {found['windows_per_second']['local']:,.0f} from the disk; "
            f"{found['requests'][-1]} requests for {found['bytes_needed'] / 1e6:,.0f} MB. A first batch that is drawn at "
            f"random instead of streamed takes {found['first_batch_random']['one_recording']} requests from one recording "
            f"and {found['first_batch_random']['all_recordings']} from {found['first_batch_random']['recordings']}."
        )
        yield ""


def write_plot(result: Mapping[str, Any]) -> None:
    """Draw windows per second of every reader, one panel per kind, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = [kind for kind in KINDS if kind in result]
    figure, axes = pyplot.subplots(
        1, len(kinds), figsize=(4.2 * len(kinds), 3.8), squeeze=False, sharex=True, sharey=True
    )
    names = list(reversed(result[kinds[0]]["details"]["rates"]))
    for axis, kind in zip(axes[0], kinds, strict=True):
        rates = result[kind]["details"]["rates"]
        values = [rates.get(name, {}).get("median", float("nan")) for name in names]
        axis.barh(names, values, color=[_colour(name) for name in names])
        for position, value in enumerate(values):
            axis.text(value * 1.15, position, f"{value:,.0f}", va="center", fontsize=8)
        axis.set(xscale="log", title=KINDS[kind], xlabel="windows per second")
        axis.spines[["top", "right"]].set_visible(False)
    least, most = axes[0][0].get_xlim()
    axes[0][0].set_xlim(least, most * 5)  # room for the numbers
    figure.tight_layout()
    figure.savefig(PLOT, dpi=130, metadata={"Software": None})
    pyplot.close(figure)


def _colour(name: str) -> str:
    if name.startswith("neurodata"):
        return "#2f6f9f"
    return "#c26a3d" if name.startswith("torch_brain") else "#9a9a9a"


if __name__ == "__main__":
    write_page()
