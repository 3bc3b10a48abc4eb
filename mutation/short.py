"""A few mutants by hand, as JSON, a line each: `python -m mutation.short`; what `make test` keeps of the long run."""

from __future__ import annotations

import json
import os
import sys

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

from mutation.mutants import by_hand
from mutation.trials import attempt, warm

FEATURES = "nwb_celltype/features"
EXACT = "tests/features/test_exactness.py"

KILLED = {
    "a tie falls into the lower bin": (
        (f"{FEATURES}/counts.py", "bin_ = gap * 1e3 + _TIE_MS", "bin_ = gap * 1e3 - _TIE_MS"),
        ["tests/features/test_counts.py::test_a_tie_belongs_to_the_upper_bin"],
    ),
    "skewness of the wrong sign": (
        (f"{FEATURES}/interval_sums.py", "cube[i] = square[i] * (x[i] - mean)", "cube[i] = square[i] * (mean - x[i])"),
        [f"{EXACT}::test_counts_and_statistics[random-always]"],
    ),
    "a longer boxcar": (
        (f"{FEATURES}/trigger_rows.py", "HALF_BOXCAR_MS = 125", "HALF_BOXCAR_MS = 126"),
        [f"{EXACT}::test_acg_3d[random-always]"],
    ),
    "triggers too near the end": (
        (f"{FEATURES}/trigger_counts.py", "bins[end - 1] + half + 1 >= stop", "bins[end - 1] >= stop"),
        [f"{EXACT}::test_acg_3d[regular-always]"],
    ),
    "polarity upside down": (
        (f"{FEATURES}/waveforms.py", "polarity = 1 if peak > 0 else -1", "polarity = 1 if peak < 0 else -1"),
        ["tests/features/test_waveforms.py::test_polarity_is_recorded_and_not_flipped_away"],
    ),
    "NaN is no problem": (
        (f"{FEATURES}/train_measures.py", "if not is_finite:", "if is_finite:"),
        ["tests/features/test_dataset.py::test_why_there_are_no_train_features[NaN]"],
    ),
    "the median of an even number": (
        (f"{FEATURES}/interval_sums.py", "n // 2 - below]", "n // 2 + 1 - below]"),
        [f"{EXACT}::test_the_middle_value[128]"],
    ),
    "an answer of a stranger": (
        ("nwb_celltype/calibration.py", "nan=np.inf) > ood_threshold", "nan=np.inf) < ood_threshold"),
        ["tests/models/test_calibration.py::test_decide"],
    ),
    "the least confident first": (
        ("nwb_celltype/calibration.py", "np.argsort(-confidence", "np.argsort(confidence"),
        ["tests/models/test_calibration.py::test_risk_coverage"],
    ),
    "another threshold": (
        (
            "nwb_celltype/annotation.py",
            "elif weighed.confidence[k] < limit:",
            "elif weighed.confidence[k] < limit / 2:",
        ),
        ["tests/test_annotation.py::test_each_reason[model9-columns9-low_confidence-0.49]"],
    ),
}
"""Mutants that the tests must notice, and the tests."""

OTHERS = {
    "only speed": (
        (f"{FEATURES}/trigger_counts.py", "_DENSE_PER_NEIGHBOUR = 64", "_DENSE_PER_NEIGHBOUR = 65"),
        [f"{EXACT}::test_acg_3d[random-always]"],
    ),
    "no test": ((f"{FEATURES}/counts.py", "N_ISI_BINS = 100", "N_ISI_BINS = 101"), []),
    "no end": (
        (f"{FEATURES}/interval_sums.py", "i += _STRANDS\n    total", "i += 0\n    total"),
        [f"{EXACT}::test_counts_and_statistics[random-always]"],
    ),
    "no program": (
        ("nwb_celltype/calibration.py", "_TINY = 1e-12", "_TINY = nothing"),
        ["tests/models/test_calibration.py::test_decide"],
    ),
}
"""What shows that the runner can tell outcomes apart."""


def main() -> int:
    """Try them all."""
    warm(["scipy.interpolate", "scipy.ndimage", "scipy.optimize", "scipy.signal", "xarray", "numba", "pandas", "h5py"])
    warm(["torch", "hypothesis.extra.numpy"])
    for name, (change, tests) in {**KILLED, **OTHERS}.items():
        trial = attempt(by_hand(*change), dict.fromkeys(tests, 0.0), lambda _: 2.0)
        print(json.dumps({"name": name, "outcome": trial.outcome, "test": trial.test}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
