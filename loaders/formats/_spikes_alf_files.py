"""Names of ALF files, and what each object of a session consists of."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from neurodata.errors import RawFileError

# ONE's one/alf/spec.py: [_namespace_]object.attribute[_timescale][.extra].extension. Attribute and timescale stay
# together here: they name a column. An attribute may have a namespace of its own (clusters._phy_annotation.npy).
_NAME = re.compile(
    r"(?:_(?P<namespace>[A-Za-z0-9]+)_)?(?P<object>[A-Za-z]\w*)\.(?P<attribute>_?[A-Za-z]\w*)"
    r"(?P<extra>(?:\.[\w-]+)*)\.(?P<extension>npy|pqt|parquet|tsv|htsv|csv|ssv)"
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REVISION = re.compile(r"#[\w.-]+#")
_PREFERRED = ("npy", "pqt", "parquet", "tsv", "htsv", "csv", "ssv")
_DEEPEST = 4
_MOST_FILES = 20_000


@dataclass(frozen=True)
class AlfFile:
    """One file: where it lies below the session and what its name says; uuid and revision are no part of that."""

    path: Path
    collection: str
    namespace: str
    object: str
    attribute: str
    extra: str
    extension: str
    revision: str


@dataclass(frozen=True, eq=False)
class AlfObject:
    """An object: attribute → the files it is read from, several where it is in parts."""

    collection: str
    name: str
    attributes: dict[str, list[AlfFile]] = field(default_factory=dict)

    @property
    def paths(self) -> list[Path]:
        """Every file of the object."""
        return [file.path for files in self.attributes.values() for file in files]


def parse_name(path: Path, collection: str = "", revision: str = "") -> AlfFile | None:
    """Return what a file's name says, None where it is no ALF name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    extra = [part for part in match["extra"].split(".") if part and not _UUID.fullmatch(part)]
    return AlfFile(
        path, collection, match["namespace"] or "", match["object"], match["attribute"], ".".join(extra),
        match["extension"], revision,
    )  # fmt: skip


def list_files(session: Path) -> list[AlfFile]:
    """Return the ALF files of a session: beside each other, in ``alf`` and below; raw data are left out.

    The newest revision (``#2024-05-06#``, in the order of their names) of each file is kept.
    """
    newest: dict[tuple[str, ...], AlfFile] = {}
    # The folder `alf` may be given itself: then everything in it is processed.
    for file in _walk(session, "", "", int(session.resolve().name == "alf")):
        key = (file.collection, file.namespace, file.object, file.attribute, file.extra, file.extension)
        other = newest.get(key)
        if other is not None and other.revision == file.revision:
            raise RawFileError(
                f"{file.path}: {other.path.name!r} beside it is the same attribute; keep the one that is meant"
            )
        if other is None or file.revision > other.revision:
            newest[key] = file
        if len(newest) > _MOST_FILES:
            raise RawFileError(f"{session}: more than {_MOST_FILES} files; give the folder of one session")
    return [newest[key] for key in sorted(newest)]


def _walk(folder: Path, collection: str, revision: str, depth: int) -> Iterator[AlfFile]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.is_symlink() or depth >= _DEEPEST or not _is_collection(path, depth):
                continue
            if _REVISION.fullmatch(path.name):
                yield from _walk(path, collection, path.name, depth + 1)
            else:
                # What lies in alf/ and what lies beside it belong together; so says the folder's own name only.
                inner = path.name if depth or path.name != "alf" else ""
                yield from _walk(path, "/".join(filter(None, (collection, inner))), revision, depth + 1)
        else:
            file = parse_name(path, collection, revision)
            if file is not None and not file.extra.endswith("metadata"):
                yield file


def _is_collection(path: Path, depth: int) -> bool:
    """Whether a folder may hold processed files of the session it lies in."""
    if depth == 0:
        return path.name == "alf" or re.fullmatch(r"probe\w*|FOV_\d+|task_\d+|#[\w.-]+#", path.name) is not None
    return not path.name.startswith("raw_")


def group_objects(files: list[AlfFile]) -> tuple[dict[tuple[str, str], AlfObject], list[Path]]:
    """Return ``(collection, object)`` → object, and the files that another one of the same attribute stands before."""
    candidates: dict[tuple[str, str, str], list[AlfFile]] = defaultdict(list)
    for file in files:
        candidates[file.collection, file.object, file.attribute].append(file)
    objects: dict[tuple[str, str], AlfObject] = {}
    passed: list[Path] = []
    for (collection, name, attribute), found in candidates.items():
        best = min(found, key=lambda file: (file.namespace != "ibl", file.namespace, _PREFERRED.index(file.extension)))
        kept = [file for file in found if (file.namespace, file.extension) == (best.namespace, best.extension)]
        passed += [file.path for file in found if file not in kept]
        owner = objects.setdefault((collection, name), AlfObject(collection, name))
        owner.attributes[attribute] = sorted(kept, key=lambda file: file.extra.split("."))
    return objects, passed


def is_session(objects: dict[tuple[str, str], AlfObject]) -> bool:
    """Tell whether objects have times of anything that is recorded in sessions."""
    for (_, name), owner in objects.items():
        has = set(owner.attributes)
        if (
            (name == "spikes" and {"times", "clusters"} <= has)
            or (name == "trials" and has & {"intervals", "table"})
            or ("timestamps" in has and len(has) > 1)
            or ("times" in has and (is_continuous(name) or name == "licks"))
        ):
            return True
    return False


def is_continuous(name: str) -> bool:
    """Tell whether an object's ``times`` are those of frames: cameras and two-photon imaging say times for timestamps."""
    return re.fullmatch(r"\w*Camera|mpci|\w*[iI]maging\w*|photometry\w*|widefield\w*", name) is not None
