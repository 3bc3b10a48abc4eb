"""A small recording with labels, made by hand: three units, five classes, what each function needs."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nwb_celltype.classifier.neighbourhood import Location
from nwb_celltype.runs import Method, Run
from nwb_celltype.units import Session, Units

RATE_HZ = 30_000.0
CLASSES = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
IDS = (3, 7, 11)
POSITIONS = np.column_stack([np.tile([0.0, 32.0], 6), np.repeat(np.arange(6) * 20.0, 2)])


def recording() -> Units:
    """Unit 3 is regular, unit 7 slow and without a waveform, unit 11 has two spikes."""
    rng = np.random.default_rng(0)
    t = np.arange(90) - 30
    course = -80 * np.exp(-((t / 5.0) ** 2)) + 25 * np.exp(-(((t - 18) / 9.0) ** 2))
    decay = np.exp(-((np.linalg.norm(POSITIONS - POSITIONS[4], axis=1) / 30.0) ** 2))
    waveform = course[:, None] * decay
    return Units.from_arrays(
        [np.cumsum(rng.gamma(8, 0.002, 4000)), np.cumsum(rng.gamma(3, 0.3, 80)), np.array([1.0, 2.0])],
        unit_ids=IDS,
        waveform_mean=[waveform, None, waveform * 0.4],
        waveform_rate_hz=RATE_HZ,
        electrodes=[np.arange(12), np.arange(12), np.arange(12)],
        channel_positions=POSITIONS,
        region=["Cerebellar cortex"] * 3,
        session=Session(path="made_up.nwb"),
    )


def run() -> Run:
    """Unit 3 is a Purkinje cell; 7 was not sure enough; 11 is like nothing known, and has no probabilities."""
    probability = np.array([[0.02, 0.03, 0.05, 0.1, 0.8], [0.5, 0.1, 0.1, 0.2, 0.1], [np.nan] * 5], dtype=np.float32)
    return Run(
        name="cerebellum_3",
        method=Method("classifier", {"model_name": "cerebellum", "model_version": "2"}),
        classes=CLASSES,
        unit_ids=np.array(IDS),
        cell_type=np.array(["PkC_ss", "unclassified", "unclassified"]),
        is_abstained=np.array([False, True, True]),
        reason=np.array(["", "low_confidence", "out_of_distribution"]),
        reason_detail=np.array(["", "0.50 is below 0.7.", "Unlike all training units."]),
        probability=probability,
        confidence=np.array([0.8, 0.5, np.nan], dtype=np.float32),
        ood_score=np.array([0.1, 0.3, 0.9], dtype=np.float32),
        confidence_threshold=0.7,
    )


def location() -> Location:
    """Six training units; unit 11 has no place among them."""
    return Location(
        unit_ids=np.array(IDS),
        xy=np.array([[0.0, 0.0], [1.0, 1.0], [np.nan, np.nan]]),
        training_xy=np.column_stack([np.arange(6.0), np.zeros(6)]),
        training_label=np.array(["PkC_ss", "PkC_ss", "GoC", "GoC", "MLI", "MFB"]),
        training_source=np.array(["Hull", "", "Hull", "Hausser", "Hull", "Hull"]),
        neighbours=np.array([[0, 1], [2, -1], [-1, -1]]),
        distance=np.array([[0.5, 0.75], [1.0, np.nan], [np.nan, np.nan]]),
        is_training_unit=np.zeros(3, dtype=bool),
        axes=("first", "second"),
        method="By hand.",
    )


def explanation() -> xr.Dataset:
    """What spoke for each label; nothing is known of unit 11."""
    lags = np.geomspace(1, 100, 20)
    by_lag = np.outer([1.0, 0.5, np.nan], np.linspace(-0.1, 0.2, 20))
    return xr.Dataset(
        {
            "cell_type": ("unit", np.array(["PkC_ss", "GoC", ""])),
            "contribution": (("unit", "modality"), np.array([[0.3, -0.1], [0.2, np.nan], [np.nan, np.nan]])),
            "acg": (("unit", "lag"), by_lag),
        },
        coords={"unit": list(IDS), "modality": ["waveform", "train"], "lag": lags},
    )
