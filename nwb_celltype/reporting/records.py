"""What a report shows, in memory: files, units and their panels, the model, and the map of its training units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.plotting.channels import ChannelWaveforms
from nwb_celltype.provenance import SourceAsset
from nwb_celltype.runs import Run
from nwb_celltype.units import Session

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ReportClass:
    """A class that a run of the report knows; `colour` is ``#rrggbb``."""

    label: str
    name: str
    definition: str
    colour: str


@dataclass(frozen=True, eq=False)
class RateCorrelograms:
    """The 3D-ACG: autocorrelograms at ten firing rates.

    Attributes
    ----------
    rates_hz : (10,) array
        Mean firing rate of the triggers of each row, slowest first; NaN for a row without triggers.
    values : (10, 100) array
        Probability of a spike in a millisecond, at the positive lags `axes.acg_3d_ms`; negative lags are the same.
    """

    rates_hz: Float
    values: Float


@dataclass(frozen=True)
class Neighbour:
    """A training unit close to a unit on the model's own terms."""

    label: str
    lab: str
    distance: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """What moved the decision on a unit.

    Attributes
    ----------
    label : str
        Class that is explained.
    modalities : mapping of str to float
        Contribution of each modality to the probability of that class, before calibration.
    waveform, isi, acg : array or None
        Contribution of each sample, interval bin and lag; the axes are those of the report.
    statistics : mapping of str to float
        Contribution of single statistics, largest first.
    """

    label: str
    modalities: Mapping[str, float]
    waveform: Float | None = None
    isi: Float | None = None
    acg: Float | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class UnitView:
    """One unit with its answer and its panels; what is not known is None.

    Attributes
    ----------
    key : str
        Number of the file and id of the unit: ``0:17``.
    file : int
        Number of the file in the report.
    unit_id : int
    label : str
    is_abstained : bool
    reason, reason_detail : str
    confidence, ood_score : float or None
    probability : (k,) array or None
        In the order of the classes of the report, ``unclassified`` left out; NaN for a class that the run lacks.
    spread : float or None
        Standard deviation over the ensemble of the probability of its most probable class, before calibration.
    partner : str or None
        Key of the other unit of the same cell.
    x_um, y_um : float or None
        Position on the probe.
    isi : (80,) array or None
        Intervals in the logarithmic bins `axes.isi_ms`, from 1 ms to 10 s.
    acg_hz : (201,) array or None
        Spikes per second at lags from -100 to 100 ms.
    map_xy : (float, float) or None
        Place on the map of the training units.
    is_training_unit : bool
        Whether the model was trained on this very unit, so that its answer proves nothing.
    waveform_reason, train_reason : str
        Why there is no usable waveform or spike train; empty where there is.
    labels : mapping of str to str
        What each run of the file says.
    """

    key: str
    file: int
    unit_id: int
    label: str
    is_abstained: bool
    reason: str
    reason_detail: str
    name: str | None = None
    confidence: float | None = None
    ood_score: float | None = None
    probability: Float | None = None
    spread: float | None = None
    cell_id: str = ""
    partner: str | None = None
    layer: str | None = None
    region: str | None = None
    x_um: float | None = None
    y_um: float | None = None
    n_spikes: int | None = None
    rate_hz: float | None = None
    quality: Mapping[str, str | float] = field(default_factory=dict)
    map_xy: tuple[float, float] | None = None
    neighbours: tuple[Neighbour, ...] = ()
    is_training_unit: bool = False
    waveform: ChannelWaveforms | None = None
    waveform_reason: str = ""
    isi: Float | None = None
    acg_hz: Float | None = None
    acg_3d: RateCorrelograms | None = None
    train_reason: str = ""
    explanation: Explanation | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Remark:
    """One thing that was found about a recording; `about` and `effect` are empty where only the sentence is known."""

    sentence: str
    about: str = ""
    effect: str = ""


@dataclass(frozen=True, eq=False)
class FileView:
    """One annotated file.

    Attributes
    ----------
    name : str
        Name of the file, without its folder.
    run : Run
        The run that is shown.
    runs : tuple of Run
        All runs of the file about the same units table.
    session : Session
        Where the units come from.
    source : SourceAsset or None
        What a detached file says about its source.
    status : str
        Verdict on the recording; empty where the run has none.
    findings : tuple of Remark
    probe_x_um, probe_y_um : (n,) array or None
        All electrodes of the file.
    coverage : tuple of (threshold, units at or above it)
    notes : tuple of str
        What could not be shown, and why.
    """

    name: str
    run: Run
    runs: tuple[Run, ...]
    session: Session
    source: SourceAsset | None
    parameters: Mapping[str, Any]
    status: str
    findings: tuple[Remark, ...]
    probe_x_um: Float | None
    probe_y_um: Float | None
    coverage: tuple[tuple[float, int], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A heading and its text."""

    heading: str
    text: str


@dataclass(frozen=True)
class CalibrationPoint:
    """Units of about one confidence: how many of them were right."""

    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True, eq=False)
class ModelView:
    """The model behind the runs, its card in words."""

    name: str
    version: str
    licence: str
    weights_sha256: str
    sections: tuple[Section, ...]
    reliability: tuple[CalibrationPoint, ...] = ()


@dataclass(frozen=True, eq=False)
class TrainingMap:
    """Where the training units of the model lie.

    Attributes
    ----------
    xy : (m, 2) array
    label, lab : (m,) arrays of str
    axes : (str, str)
        What the two axes are called.
    method : str
    """

    xy: Float
    label: NDArray[np.str_]
    lab: NDArray[np.str_]
    axes: tuple[str, str]
    method: str


@dataclass(frozen=True, eq=False)
class Axes:
    """Axes that the panels of all units share; those of explanations are None where nothing is explained."""

    isi_ms: Float
    acg_ms: Float
    acg_3d_ms: Float
    waveform_explained_ms: Float | None = None
    isi_explained_ms: Float | None = None
    acg_explained_ms: Float | None = None


@dataclass(frozen=True, eq=False)
class ReportView:
    """All that a report shows.

    Attributes
    ----------
    classes : tuple of ReportClass
        The last one is ``unclassified``.
    units : tuple of UnitView
        Of all files, in their order.
    notes : tuple of str
        What was left out of the report, and why.
    """

    title: str
    created: str
    software: str
    classes: tuple[ReportClass, ...]
    files: tuple[FileView, ...]
    units: tuple[UnitView, ...]
    axes: Axes
    model: ModelView | None = None
    training_map: TrainingMap | None = None
    notes: tuple[str, ...] = ()

    def units_of(self, file: int) -> tuple[UnitView, ...]:
        """Units of one file, by its number."""
        return tuple(unit for unit in self.units if unit.file == file)
