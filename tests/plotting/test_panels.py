"""Each function draws what it says into the axes that it is given, in the colour of the class."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from nwb_celltype import plotting
from nwb_celltype.colours import GREY, colour_of
from nwb_celltype.errors import InputError, UsageError
from nwb_celltype.features import compute
from nwb_celltype.plotting.canvas import print_style
from nwb_celltype.plotting.places import unit_places
from nwb_celltype.runs import Run
from nwb_celltype.units import Units

from .examples import CLASSES, POSITIONS, explanation, location, recording, run


@pytest.fixture(scope="module")
def units() -> Units:
    return recording()


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


@pytest.fixture(autouse=True)
def no_figure_is_left_open() -> Iterator[None]:
    import matplotlib.pyplot as plt

    yield
    left = plt.get_fignums()
    plt.close("all")
    assert not left


def test_what_is_public_is_what_is_promised() -> None:
    assert set(plotting.__all__) == {f"plot_{name}" for name in (
        "acg", "acg_3d", "counts", "coverage", "depth", "explanation", "isi", "map", "probabilities", "unit", "waveform"
    )}  # fmt: skip


DRAWN: dict[str, Callable[[Units, Axes], Axes]] = {
    "waveform": lambda units, ax: plotting.plot_waveform(units, 3, ax=ax),
    "channels": lambda units, ax: plotting.plot_waveform(units, 3, n_channels=9, ax=ax),
    "isi": lambda units, ax: plotting.plot_isi(units, 3, ax=ax),
    "acg": lambda units, ax: plotting.plot_acg(units, 3, ax=ax),
    "acg_3d": lambda units, ax: plotting.plot_acg_3d(units, 3, ax=ax),
    "probabilities": lambda _, ax: plotting.plot_probabilities(run(), 3, ax=ax),
    "counts": lambda _, ax: plotting.plot_counts(run(), ax=ax),
    "coverage": lambda _, ax: plotting.plot_coverage([run(), run()], ax=ax),
    "depth": lambda units, ax: plotting.plot_depth(units, run(), ax=ax),
    "map": lambda _, ax: plotting.plot_map(location(), run(), ax=ax),
    "explanation": lambda _, ax: plotting.plot_explanation(explanation(), 3, ax=ax),
}


@pytest.mark.parametrize("name", DRAWN)
def test_the_axes_given_are_drawn_into_and_returned(name: str, units: Units, ax: Axes) -> None:
    assert DRAWN[name](units, ax) is ax
    assert ax.has_data()
    ax.figure.draw_without_rendering()


def test_without_axes_there_is_a_new_figure(units: Units) -> None:
    import matplotlib.pyplot as plt

    made = plotting.plot_acg(units, 3)
    assert plt.get_fignums() == [made.figure.number]
    plt.close(made.figure)


def test_the_waveform_is_that_of_the_peak_channel_with_its_peak_at_zero(units: Units, ax: Axes) -> None:
    plotting.plot_waveform(units, 3, cell_type="MLI", ax=ax)
    line = ax.lines[-1]
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert to_hex(line.get_color()) == colour_of("MLI")
    assert x[np.abs(y).argmax()] == 0
    assert np.array_equal(y, units.peak_waveform(0))


def test_channels_stand_where_they_lie(units: Units, ax: Axes) -> None:
    plotting.plot_waveform(units, 3, n_channels=5, ax=ax)
    traces = [np.asarray(line.get_xydata()) for line in ax.lines[:5]]
    first = np.array([trace[0] for trace in traces])
    near = POSITIONS[np.argsort(np.linalg.norm(POSITIONS - POSITIONS[4], axis=1), kind="stable")[:5]]
    # far from the spike the trace lies at the height of its channel
    assert np.allclose(first[:, 1], near[:, 1], atol=1)
    assert np.allclose([trace[:, 0].mean() for trace in traces], near[:, 0])


def test_the_autocorrelogram_is_in_spikes_per_second(units: Units, ax: Axes) -> None:
    plotting.plot_acg(units, 3, ax=ax)
    values = ax.patches[0].get_data().values  # type: ignore[attr-defined]
    times = units.spike_times[0]
    lags = (times[:, None] - times[None, :]) * 1e3
    expected = ((lags >= 19.5) & (lags < 20.5)).sum() / len(times) * 1e3
    assert values[120] == pytest.approx(expected, rel=0.01)
    assert ax.get_ylabel() == "spikes/s"


def test_features_alone_will_do(units: Units, ax: Axes) -> None:
    features = compute(units)
    plotting.plot_isi(features, 3, ax=ax)
    intervals = np.diff(units.spike_times[0])
    assert ax.patches[0].get_data().values.sum() == (intervals < 0.1).sum()  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="intervals up to 100 ms only"):
        plotting.plot_isi(features, 3, log=True)
    assert plotting.plot_acg(features, 3, ax=ax).get_ylabel() == "pairs of spikes"


def test_intervals_on_a_logarithmic_axis_show_slow_cells(units: Units, ax: Axes) -> None:
    plotting.plot_isi(units, 7, log=True, ax=ax)
    assert ax.patches[0].get_data().values.sum() == 79  # type: ignore[attr-defined]
    assert ax.get_xscale() == "log"


def test_probabilities_have_the_colours_of_their_classes(ax: Axes) -> None:
    plotting.plot_probabilities(run(), 3, spread=0.1, ax=ax)
    bars = ax.containers[0]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [colour_of(label) for label in CLASSES]
    assert [bar.get_width() for bar in bars] == pytest.approx([0.02, 0.03, 0.05, 0.1, 0.8])
    (segment,) = ax.collections[0].get_segments()  # type: ignore[attr-defined]
    assert segment[:, 0] == pytest.approx([0.7, 0.9])


def test_counts_and_reasons(ax: Axes) -> None:
    plotting.plot_counts([run(), run()], ax=ax)
    widths = dict(zip([t.get_text() for t in ax.get_yticklabels()], [p.get_width() for p in ax.patches], strict=True))
    assert widths["PkC_ss"] == 2
    assert widths["GoC"] == 0
    assert widths["no answer: low confidence"] == widths["no answer: out of distribution"] == 2
    assert to_hex(ax.patches[-1].get_facecolor()) == GREY


def test_coverage_counts_what_only_confidence_held_back(ax: Axes) -> None:
    plotting.plot_coverage(run(), ax=ax)
    x, y = (np.asarray(each) for each in ax.lines[0].get_data())
    assert [y[np.searchsorted(x, at)] for at in (0.0, 0.49, 0.6, 0.9)] == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0])


def test_units_stand_at_their_peak_electrode(units: Units, ax: Axes) -> None:
    places = unit_places(units)
    assert places[0].tolist() == places[2].tolist() == POSITIONS[4].tolist()
    plotting.plot_depth(units, run(), layers={3: "PCL", 7: "GCL", 11: "PCL"}, ax=ax)
    assert "1 unit without a position" in ax.get_title(loc="left")
    assert "PCL" in {text.get_text() for text in ax.texts}


def test_the_map_has_training_units_behind_and_one_unit_marked(ax: Axes) -> None:
    plotting.plot_map(location(), run(), highlight=7, legend=False, ax=ax)
    assert len(ax.collections[0].get_offsets()) == 6
    assert np.asarray(ax.collections[1].get_offsets()).tolist() == [[1.0, 1.0]]
    with pytest.raises(UsageError, match="Unit 5 is not on the map"):
        plotting.plot_map(location(), run(), highlight=5, ax=ax)


def test_explanations_by_modality_and_by_lag(units: Units, ax: Axes) -> None:
    plotting.plot_explanation(explanation(), 3, ax=ax)
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([0.3, -0.1])
    assert ax.get_title(loc="left") == "for PkC_ss"
    plotting.plot_explanation(explanation(), 3, part="acg", ax=ax)
    with pytest.raises(UsageError, match="it has modalities, acg"):
        plotting.plot_explanation(explanation(), 3, part="statistics", ax=ax)
    with pytest.raises(InputError, match="Nothing is explained"):
        plotting.plot_explanation(explanation(), 11, ax=ax)


@pytest.mark.parametrize("unit_id", [3, 7, 11])
def test_a_unit_on_one_figure(units: Units, unit_id: int) -> None:
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    made = plotting.plot_unit(units, unit_id, run(), location=location(), explanation=explanation(), figure=figure)
    assert made is figure
    titles = [one.get_title(loc="left") for one in figure.axes]
    assert titles[:5] == ["mean waveform", "intervals", "ACG", "ACG by firing rate", "classes"]
    if unit_id == 7:  # what it lacks is said in its place
        assert "no mean waveform" in figure.axes[0].texts[0].get_text().replace("\n", " ")
    figure.draw_without_rendering()


FAILS: list[tuple[Callable[[Units], Any], type[Exception], str]] = [
    (lambda units: plotting.plot_waveform(units, 5), UsageError, "no unit 5"),
    (lambda units: plotting.plot_waveform(units, 7), InputError, "Unit 7 of made_up.nwb has no mean waveform"),
    (lambda units: plotting.plot_waveform(units, 3, n_channels=0), UsageError, "one channel or more"),
    (lambda units: plotting.plot_acg_3d(units, 11), InputError, "Unit 11 of made_up.nwb has no 3D-ACG"),
    (lambda _: plotting.plot_probabilities(run(), 11), InputError, "no probabilities of unit 11"),
    (lambda _: plotting.plot_probabilities(run(), 5), UsageError, "does not name unit 5"),
    (lambda _: plotting.plot_probabilities(run(), 3, spread=[0.1, 0.2]), UsageError, "shape"),
    (lambda _: plotting.plot_counts([]), UsageError, "no run to plot"),
    (lambda _: plotting.plot_depth(Units.from_arrays([[0.1]] * 3, unit_ids=[3, 7, 11]), run()), InputError, "rel_x"),
]


@pytest.mark.parametrize(("draw", "kind", "words"), FAILS)
def test_what_cannot_be_drawn_is_said(
    draw: Callable[[Units], Any], kind: type[Exception], words: str, units: Units
) -> None:
    import matplotlib.pyplot as plt

    with pytest.raises(kind, match=words):
        draw(units)
    plt.close("all")


def test_a_run_without_confidence_has_no_coverage() -> None:
    bare = Run(**{**run().__dict__, "confidence": None})
    with pytest.raises(InputError, match="states no confidence"):
        plotting.plot_coverage(bare)


def test_matplotlib_is_asked_for_by_name(units: Units, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nwb_celltype.plotting.canvas.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'nwb-celltype\[report\]'"):
        plotting.plot_acg(units, 3)


def test_the_users_settings_stay_as_they_were() -> None:
    before = dict(rcParams)
    with print_style():
        assert rcParams["pdf.fonttype"] == 42
    assert dict(rcParams) == before


def test_importing_it_loads_no_matplotlib() -> None:
    code = "import sys, nwb_celltype.plotting; print(*sorted({'matplotlib', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
