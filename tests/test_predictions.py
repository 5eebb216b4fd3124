"""Predictions come back as they were written, and wrong ones never get that far."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
import pytest

from neurodata.errors import NeurodataError, SchemaError
from neurodata.predictions import Predictions, concat, read_predictions, write_predictions, write_whole

INFO = {
    "model": "gru", "kind": "class", "target": "state", "classes": ["fwd", "rev"], "role": "model", "fold": 0,
    "seed": 1, "split_hash": "abc", "trained_on": ["kato/worm1"], "evaluated_on": ["kato/worm2"], "units": "",
}  # fmt: skip
FORECAST = INFO | {"kind": "forecast", "target": "calcium", "classes": None, "units": "dF/F"}


def make_table(**columns) -> pd.DataFrame:
    base = {
        "recording": "kato/worm2", "subject": "kato/w2", "time": [0.0, 0.5, 1.0], "truth": [0, 1, 1],
        "prediction": [0, 1, 0], "probability_0": [0.75, 0.5, 1.0], "probability_1": [0.25, 0.5, 0.0],
    }  # fmt: skip
    return pd.DataFrame(base | columns)


def make_forecast_table(**columns) -> pd.DataFrame:
    base = {
        "recording": "kato/worm2", "subject": "kato/w2", "time": [1.0, 1.0], "truth": [0.1, 0.2],
        "prediction": [0.1, 0.1], "channel": "AVAL", "horizon_seconds": [1.0, 2.0], "last": [0.0, 0.1],
    }  # fmt: skip
    return pd.DataFrame(base | columns)


@pytest.mark.parametrize(
    ("table", "info"),
    [
        pytest.param(make_table(), INFO, id="class"),
        pytest.param(make_forecast_table(), FORECAST, id="forecast"),
        pytest.param(
            make_table(recording="a/β <b>"), INFO | {"evaluated_on": ["a/β <b>"], "more": [1]}, id="odd names"
        ),
    ],
)
def test_written_then_read_is_the_same(tmp_path, table, info):
    write_predictions(Predictions(table, info), tmp_path / "new" / "p.parquet")
    found = read_predictions(tmp_path / "new" / "p.parquet")
    pd.testing.assert_frame_equal(found.table, table)
    assert found.info == info
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["p.parquet"]


def test_any_parquet_reader_reads_the_table(tmp_path):
    write_predictions(Predictions(make_table(), INFO), tmp_path / "p.parquet")
    assert pd.read_parquet(tmp_path / "p.parquet")["truth"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param({"time": [0.0, float("nan"), 1.0]}, "'time' has 1 NaN or infinite values of 3", id="time NaN"),
        pytest.param({"time": [0, 1, 2]}, "'time' must be floating point, got int64", id="time integer"),
        pytest.param(
            {"truth": [0.0, 1.0, 1.0]}, "'truth' must hold integer class codes, got float64", id="codes float"
        ),
        pytest.param({"prediction": [0, 2, 0]}, "runs from 0 to 2 but the classes are 0 to 1", id="code beyond"),
        pytest.param({"truth": [-1, 1, 0]}, "'truth' runs from -1 to 1", id="code below"),
        pytest.param({"probability_1": [0.5, 0.5, 0.0]}, "probabilities of 1 of 3 rows do not add up", id="not one"),
        pytest.param({"subject": [1, 2, 3]}, "'subject' must be text, got int64", id="subject number"),
        pytest.param({"time": [0.0, 0.0, 1.0]}, "1 rows repeat another's recording, time", id="moment twice"),
        pytest.param({"recording": "kato/worm9"}, r"'evaluated_on' is \['kato/worm2'\].*worm9", id="other recording"),
    ],
)
def test_wrong_columns_are_refused(columns, message):
    with pytest.raises(SchemaError, match=message):
        Predictions(make_table(**columns), INFO)


def test_every_missing_column_is_named():
    with pytest.raises(SchemaError, match="breaks the schema in 2 places") as caught:
        Predictions(make_table().drop(columns=["subject", "probability_1"]), INFO)
    assert caught.value.problems == (
        "table: column 'subject' is missing",
        "table: column 'probability_1' is missing",
    )


def test_no_rows_are_refused():
    with pytest.raises(SchemaError, match="no rows"):
        Predictions(make_table().iloc[:0], INFO)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"role": "winner"}, "'role' must be one of model, baseline, chance, got 'winner'", id="role"),
        pytest.param({"kind": "classes"}, "'kind' must be one of class, continuous, forecast", id="kind"),
        pytest.param({"classes": None}, "'classes' must list the names", id="classes"),
        pytest.param({"trained_on": "kato/worm1"}, "'trained_on' must be a list of recording ids", id="trained on"),
        pytest.param({"model": ""}, "'model' must be a name, got ''", id="model"),
        pytest.param({"note": float("nan")}, "must be plain JSON", id="NaN"),
    ],
)
def test_wrong_info_is_refused(change, message):
    with pytest.raises(SchemaError, match=message):
        Predictions(make_table(), INFO | change)


def test_missing_info_is_named():
    with pytest.raises(SchemaError, match="info: 'split_hash' is missing"):
        Predictions(make_table(), {key: value for key, value in INFO.items() if key != "split_hash"})


def test_forecast_horizons_are_positive():
    with pytest.raises(SchemaError, match=r"'horizon_seconds' must be positive, got 0\.0"):
        Predictions(make_forecast_table(horizon_seconds=[0.0, 1.0]), FORECAST)


def test_files_that_hold_no_predictions_are_refused(tmp_path):
    with pytest.raises(NeurodataError, match="does not exist"):
        read_predictions(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(NeurodataError, match=r"'text.parquet': not a whole parquet file"):
        read_predictions(tmp_path / "text.parquet")
    make_table().to_parquet(tmp_path / "other.parquet")
    with pytest.raises(NeurodataError, match="schema lacks the JSON metadata 'neurodata_predictions'"):
        read_predictions(tmp_path / "other.parquet")


def test_a_truncated_file_is_refused(tmp_path):
    write_predictions(Predictions(make_table(), INFO), tmp_path / "p.parquet")
    (tmp_path / "p.parquet").write_bytes((tmp_path / "p.parquet").read_bytes()[:-20])
    with pytest.raises(NeurodataError, match="not a whole parquet file"):
        read_predictions(tmp_path / "p.parquet")


def test_an_edited_file_is_checked_again(tmp_path):
    write_predictions(Predictions(make_table(), INFO), tmp_path / "p.parquet")
    pq.write_table(pq.read_table(tmp_path / "p.parquet").drop_columns(["truth"]), tmp_path / "p.parquet")
    with pytest.raises(SchemaError, match="column 'truth' is missing"):
        read_predictions(tmp_path / "p.parquet")


def test_folds_concatenate():
    other = INFO | {"fold": 1, "trained_on": ["kato/worm2"], "evaluated_on": ["kato/worm1"]}
    both = concat([Predictions(make_table(), INFO), Predictions(make_table(recording="kato/worm1"), other)])
    assert len(both.table) == 6
    assert both.info["evaluated_on"] == ["kato/worm1", "kato/worm2"]
    assert (both.info["fold"], both.info["trained_on"], both.info["seed"]) == (None, None, 1)
    assert [part["fold"] for part in both.info["parts"]] == [0, 1]


def test_only_like_concatenates_with_like():
    part = Predictions(make_table(), INFO)
    with pytest.raises(NeurodataError, match=r"differ in 'model': \['gru', 'linear'\]"):
        concat([part, Predictions(make_table(), INFO | {"model": "linear"})])
    with pytest.raises(SchemaError, match="3 rows repeat another's recording, time"):
        concat([part, Predictions(make_table(), INFO | {"seed": 2})])
    with pytest.raises(NeurodataError, match="at least one part"):
        concat([])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_whole(b"old", tmp_path / "file")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neurodata.predictions.os.fsync", full)
    with pytest.raises(NeurodataError, match=r"cannot write 'file' in .*: No space left on device"):
        write_whole(b"new", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
