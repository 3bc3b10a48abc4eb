"""Made-up tables of statistics: three classes, two species that differ in one group of columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

CLASSES = ("GoC", "PkC_cs", "PkC_ss")
RATES_HZ = (12.0, 1.2, 70.0)
WIDTHS = (450.0, 900.0, 250.0)


def make_table(n: int, seed: int, *, species: tuple[str, ...] = ("mouse", "macaque")) -> pd.DataFrame:
    """`n` units of each class and species; times as in the tables of the C4 project."""
    rng = np.random.default_rng(seed)
    rows = []
    for name in species:
        for k, label in enumerate(CLASSES):
            for i in range(n):
                rate, width = RATES_HZ[k] * rng.lognormal(0, 0.35), WIDTHS[k] * rng.lognormal(0, 0.25)
                # Variability tells the classes of mice apart; macaques are all as regular as one class of mice.
                cv2 = (0.2, 0.5, 0.9)[k if name == "mouse" else 0] * rng.lognormal(0, 0.15)
                amplitude = -100 * rng.lognormal(0, 0.5)
                rows.append(
                    {
                        "lab": f"lab of {name}", "species": name, "subject": f"{name} {i % 4}",
                        "recording": f"r{i % 8}", "unit": i, "cell_type": label,
                        "mfr": rate, "mifr": rate * rng.lognormal(0.4, 0.1),
                        "med_isi": 1 / rate * rng.lognormal(-0.1, 0.1),
                        "mode_isi": 0.7 / rate * rng.lognormal(0, 0.3), "prct5ISI": 0.3 / rate * rng.lognormal(0, 0.2),
                        "entropy": rng.normal(6.5, 0.3), "CV2_mean": cv2,
                        "CV2_median": 0.9 * cv2 * rng.lognormal(0, 0.05),
                        "CV": rng.lognormal(-0.5, 0.2), "IR": cv2 * rng.lognormal(0.1, 0.1), "Lv": cv2**2,
                        "LvR": 20 * cv2 * rng.lognormal(0, 0.2), "LcV": -0.3 * rng.lognormal(0, 0.2),
                        "SI": 0.04 * cv2, "SKW": rng.normal(1.2, 0.5), "acg_burst_vs_mfr": rng.lognormal(-2, 1),
                        "acg_oscill_vs_mfr": rng.lognormal(0, 0.3), "trough_voltage": amplitude, "trough_t": 3033.0,
                        "peak_voltage": -0.4 * amplitude, "peak_t": 3033 + 2 * width, "repolarisation_t": -1.5 * width,
                        "depolarisation_t": 0.6 * width, "peak_50_width": 1.5 * width * rng.lognormal(0, 0.1),
                        "trough_50_width": width, "onset_t": 3033 - 1.2 * width, "onset_amp": 0.05 * amplitude,
                        "wvf_width": 2 * width, "peak_trough_ratio": 0.4 * rng.lognormal(0, 0.2),
                        "tau_recovery": 12 * rng.lognormal(0, 0.5), "multiplicative_a_recovery": 50.0,
                        "repolarisation_slope": 50 / width, "depolarisation_slope": -50 / width,
                        "relevant_channel": 5,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def write(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False)
    return path
