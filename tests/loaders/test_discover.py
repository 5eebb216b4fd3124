"""Who has a file: the most specific loader that knows it by its content; what is passed over is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurodata.errors import RawFileError
from neurodata.loaders.base import Claim, Loader
from neurodata.loaders.discover import find_recordings, safe_name


def loader(name: str, specificity: int, claims):
    """A loader of a module called ``name`` that claims what ``claims`` says."""

    class Made(Loader):
        version = 1

        @classmethod
        def claim(cls, path: Path) -> list[Claim]:
            return claims(path)

        def sessions(self):
            return []

        def source_files(self, session):
            return []

        def load(self, session):
            raise NotImplementedError

    Made.__module__, Made.specificity = f"loaders.{name}", specificity
    return Made


def begins(text: str, *, companions=()):
    def claims(path):
        if not path.is_file() or not path.read_text().startswith(text):
            return []
        beside = tuple(path.with_suffix(suffix) for suffix in companions if path.with_suffix(suffix).exists())
        return [Claim(path, (path, *beside))]

    return claims


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "a/run10.x": "MINE 10", "a/run2.x": "MINE 2", "a/run2.dat": "samples", "b/run2.x": "MINE", "notes.md": "hello",
        "table.csv": "1,2", ".hidden.x": "MINE", "odd name!.x": "MINE",
    }.items():  # fmt: skip
        path = tmp_path / "lab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "lab"


def test_files_are_named_by_their_place_and_companions_belong_to_them(folder):
    mine = loader("mine", 3, begins("MINE", companions=(".dat",)))
    found, skipped = find_recordings(folder, [mine])
    assert [entry.name for entry in found] == ["a-run2", "a-run10", "b-run2", "odd_name"]
    assert {entry.path.name for entry in skipped} == {"notes.md", "table.csv"}
    assert {entry.reason for entry in skipped} == {"no loader recognises it"}
    [alone], _ = find_recordings(folder / "b/run2.x", [mine])
    assert alone.name == "run2"


def test_the_most_specific_loader_has_it_and_a_tie_is_named(folder):
    mine, wide = loader("mine", 3, begins("MINE")), loader("wide", 1, begins(""))
    found, _ = find_recordings(folder, [wide, mine])
    assert {entry.name: entry.loader for entry in found}["b-run2"] is mine
    assert {entry.name: entry.loader for entry in found}["table"] is wide
    twin = loader("twin", 3, begins("MINE"))
    found, skipped = find_recordings(folder, [mine, twin])
    assert found == []
    assert "mine and twin both read it; convert it with the one you mean" in {entry.reason for entry in skipped}


def test_what_a_loader_knows_but_cannot_read_is_said_with_its_reason(folder):
    def broken(path):
        if path.suffix == ".csv":
            raise RawFileError(f"{path}: it is truncated")
        return []

    _, skipped = find_recordings(folder, [loader("broken", 3, broken)])
    assert any("it is truncated" in entry.reason for entry in skipped if entry.path.name == "table.csv")


def test_a_loader_that_fails_unforeseen_is_passed_over_only_where_many_are_asked(folder):
    def failing(path):
        if path.suffix == ".csv":
            raise KeyError("rows")
        return []

    loaders = [loader("failing", 3, failing), loader("mine", 3, begins("MINE"))]
    found, skipped = find_recordings(folder, loaders, forgiving=True)
    assert len(found) == 4
    assert "failing failed on it (KeyError: 'rows'); please report this" in {entry.reason for entry in skipped}
    with pytest.raises(KeyError, match="rows"):
        find_recordings(folder, loaders)


def test_a_claimed_folder_owns_what_is_in_it(folder):
    def owner(path):
        return [Claim(path, tuple(path.iterdir()), part) for part in ("one", "two")] if path.name == "a" else []

    found, skipped = find_recordings(folder, [loader("owner", 5, owner), loader("mine", 3, begins("MINE"))])
    assert {entry.name for entry in found} == {"a-one", "a-two", "b-run2", "odd_name"}
    assert not any(entry.path.parent.name == "a" for entry in skipped)
    [one, two], _ = find_recordings(folder / "a", [loader("owner", 5, owner)])
    assert (one.name, two.name) == ("one", "two")


def test_names_that_would_be_alike_are_told_apart(tmp_path):
    for name in ("x.one", "x.two", "x y.one", "x?y.one"):
        (tmp_path / name).write_text(name[-3:])
    one, two = loader("one", 3, begins("one")), loader("two", 3, begins("two"))
    found, _ = find_recordings(tmp_path, [one, two])
    assert sorted(entry.name for entry in found) == ["x_one", "x_two", "x_y_one", "x_y_one_2"]


def test_names_that_some_disks_take_for_one_are_told_apart(tmp_path):
    for name in ("a.one", "A.uno", "b.one"):
        (tmp_path / name).write_text("one")
    found, _ = find_recordings(tmp_path, [loader("one", 3, begins("one"))])
    assert sorted(entry.name for entry in found) == ["A_one", "a_one_2", "b"]


def test_parts_keep_the_names_that_they_have_in_their_folder(tmp_path):
    def claim(path):
        return [Claim(path, (path / "x",), part) for part in ("rest", "Rest")] if path.is_dir() else []

    found, _ = find_recordings(tmp_path, [loader("one", 3, claim)])
    assert [entry.name for entry in found] == ["Rest", "rest"]


def test_links_out_of_the_folder_are_not_entered(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.x").write_text("MINE")
    (folder / "link").symlink_to(outside)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    found, skipped = find_recordings(folder, [loader("mine", 3, begins("MINE"))])
    assert not any("secret" in entry.name for entry in found)
    assert any("broken link" in entry.reason for entry in skipped)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc", "etc"),
        ("a b", "a_b"),
        ("Ünï", "Uni"),
        ("漢字", "recording"),
        ("", "recording"),
        ("...", "recording"),
        ("x" * 300, "x" * 128),
    ],
)
def test_names_are_safe(text, name):
    assert safe_name(text) == name
