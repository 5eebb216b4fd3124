"""One self-contained HTML file that lets a person judge a run by eye."""

from __future__ import annotations

from pathlib import Path

from neurodata.errors import NeurodataError
from neurodata.predictions import MODEL, write_whole
from neurodata.report import markup
from neurodata.report.provenance import make_data_card, make_provenance_section
from neurodata.report.run_folder import Run, read_run
from neurodata.report.scores import make_scores
from neurodata.report.sections import (
    make_curve_section,
    make_forecast_section,
    make_heatmap_section,
    make_target_sections,
)
from neurodata.report.verdict import make_verdict

REPORT_NAME = "report.html"


def write_report(run_folder: Path | str) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    Raises
    ------
    NeurodataError
        As :func:`neurodata.report.run_folder.read_run` and :func:`make_page`; nothing is written then.
    """
    path = Path(run_folder) / REPORT_NAME
    write_whole(make_page(read_run(run_folder)).encode("utf-8"), path)
    return path


def make_page(run: Run, seed: int = 0) -> str:
    """Return the report of a run as one HTML document that loads nothing from anywhere.

    Sections whose data the run does not have (forecasts, curves, heat map) are left out.

    Parameters
    ----------
    run
        The run, as ``read_run`` gives it.
    seed
        Of the bootstrap.

    Raises
    ------
    NeurodataError
        If a model would be shown without its baselines on the same split.
    """
    scores = make_scores(run.predictions, seed=seed)
    title = str(run.provenance.get("title") or run.name)
    main = choose_main_model(run)
    verdict = [markup.paragraph(words) for words in make_verdict(scores, main)]
    parts = [
        f"<header><h1>{markup.text(title)}</h1>",
        markup.paragraph(f"Run {run.name}; model under test: {main}", "note"),
        f'<div class="verdict">{"".join(verdict)}</div></header>',
        *make_target_sections(run, scores, main),
        make_forecast_section(scores),
        make_heatmap_section(run),
        make_curve_section(run),
        make_data_card(run.provenance["recordings"]),
        make_provenance_section(run),
    ]
    return markup.page(title, [part for part in parts if part])


def choose_main_model(run: Run) -> str:
    """Return the model a run is about: ``main_model`` of run.json, else the only one.

    Raises
    ------
    NeurodataError
        If ``main_model`` is not among the models, or if there are several and none is named: the best one is not
        picked afterwards by its scores.
    """
    models = sorted({part.info["model"] for part in run.predictions if part.info["role"] == MODEL})
    main = run.provenance.get("main_model") or (models[0] if len(models) == 1 else None)
    if main not in models:
        raise NeurodataError(
            f"run.json must name one of the models as 'main_model': expected one of {', '.join(models)}, got {main!r}"
        )
    return str(main)
