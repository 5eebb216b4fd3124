"""Break each contract in a copy of the repository and see that the tests named for it fail.

A test that still passes when its contract is broken proves nothing. Each `Mutation` replaces one piece of text in one
file; its tests must then fail. Run it after changing a contract or its test:

    python scripts/mutate_contracts.py [NAME …] [--markdown docs/mutations.md]

Exit code 1 if a mutation survived, or if its text is no longer in the file. To add one, add a row to
`mutations.py`, or to the file beside it that is about its part.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mutations import MUTATIONS as OTHER_MUTATIONS
from mutations import Mutation
from mutations_states import STATE_MUTATIONS

MUTATIONS = OTHER_MUTATIONS + STATE_MUTATIONS
ROOT = Path(__file__).resolve().parents[1]
COPIED = ("neurodata", "loaders", "models", "tests", "pyproject.toml")


def make_copy(folder: Path) -> None:
    """Copy what the tests need; `neurodata.loaders` and `neurodata.models` become links, as an install would have them."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    for name in ("loaders", "models"):
        if (folder / name).exists() and not (folder / "neurodata" / name).exists():
            (folder / "neurodata" / name).symlink_to(folder / name)


def run_tests(folder: Path, tests: tuple[str, ...]) -> tuple[bool, str]:
    """Run tests on a copy; return whether they passed, and the first that failed (or pytest's last line)."""
    # The copy goes first on the path, before the editable install of the repository itself.
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); import neurodata; import pytest; "
    start += f"assert neurodata.__file__.startswith({str(folder)!r}), neurodata.__file__; "
    start += f"sys.exit(pytest.main(['-q', '-x', '--no-header', '-p', 'no:cacheprovider', *{list(tests)!r}]))"
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    failed = [
        line.split(" ", 1)[1].split(" - ")[0]
        for line in done.stdout.splitlines()
        if line.startswith(("FAILED ", "ERROR "))
    ]
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest could not run {tests}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.returncode == 0, failed[0] if failed else done.stdout.strip().splitlines()[-1]


def try_mutation(mutation: Mutation) -> tuple[bool, str]:
    """Return whether a mutation was caught, and the line that says so."""
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    if mutation.old not in text:
        return False, f"{mutation.name}: NOT FOUND, {mutation.old!r} is no longer in {mutation.file}"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        make_copy(folder)
        (folder / mutation.file).write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        passed, what = run_tests(folder, mutation.tests)
    return not passed, f"{mutation.name}: " + ("SURVIVED" if passed else f"caught by {what}")


def main() -> int:
    """Try every mutation, or those named; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="only these mutations (default: all)")
    parser.add_argument("--markdown", type=Path, help="also write the lines into this file")
    arguments = parser.parse_args()
    chosen = [m for m in MUTATIONS if not arguments.names or m.name in arguments.names]
    if not chosen:
        parser.error(f"no such mutation; known: {', '.join(m.name for m in MUTATIONS)}")
    with tempfile.TemporaryDirectory() as place:
        make_copy(Path(place).resolve())
        passed, what = run_tests(Path(place).resolve(), tuple(dict.fromkeys(t for m in chosen for t in m.tests)))
    if not passed:
        print(f"the tests fail before anything is broken: {what}")
        return 1
    lines, caught_all = [], True
    for mutation in chosen:
        caught, line = try_mutation(mutation)
        caught_all &= caught
        lines.append(line)
        print(line, flush=True)
    print(f"{len(lines)} mutations, " + ("all caught" if caught_all else "NOT all caught"))
    if arguments.markdown:
        head = (
            "# Each contract broken once, and the test that noticed\n\nWritten by `python scripts/mutate_contracts.py"
        )
        body = "\n".join(f"- {line}" for line in lines)
        arguments.markdown.write_text(f"{head} --markdown {arguments.markdown}`.\n\n{body}\n", encoding="utf-8")
    return 0 if caught_all else 1


if __name__ == "__main__":
    sys.exit(main())
