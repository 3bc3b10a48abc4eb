"""A payload as the report's page reads it, of units that look like cerebellar ones, drawn from a seed."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.colours import colour_of
from nwb_celltype.taxonomy import CEREBELLUM

LABELS = ("GoC", "MFB", "MLI", "PkC_cs", "PkC_ss")
_FOLDS = (
    ("ML", 350.0),
    ("PCL", 120.0),
    ("GCL", 700.0),
    ("PCL", 120.0),
    ("ML", 500.0),
    ("PCL", 120.0),
    ("GCL", 600.0),
    (None, 1300.0),
)
_SHARES = {  # of GoC, MFB, MLI, PkC_cs and PkC_ss in each layer
    "ML": (0.02, 0.02, 0.6, 0.26, 0.1),
    "PCL": (0.02, 0.03, 0.05, 0.1, 0.8),
    "GCL": (0.25, 0.65, 0.03, 0.02, 0.05),
    None: (0.1, 0.3, 0.15, 0.1, 0.35),
}
_RATE = {"GoC": 11.0, "MFB": 38.0, "MLI": 22.0, "PkC_cs": 1.1, "PkC_ss": 78.0}
_REGULARITY = {"GoC": 5.0, "MFB": 0.7, "MLI": 1.7, "PkC_cs": 1.1, "PkC_ss": 4.0}  # shape of the gamma of intervals
_WIDTH_MS = {"GoC": 0.34, "MFB": 0.12, "MLI": 0.2, "PkC_cs": 0.3, "PkC_ss": 0.18}
_LABS = ("hausser", "hull", "lisberger", "medina")
_LAGS = np.arange(-100, 101)
_ISI_EDGES = np.geomspace(0.5, 2000, 81)
_LAGS_3D = np.arange(-100, 101)
_WAVE_EXPLAINED = np.round(np.arange(-1.0, 2.001, 0.05), 3)
_ACG_EXPLAINED = np.arange(1, 101)


def packed(values: NDArray[np.floating[Any]], kind: str = "i16") -> dict[str, Any]:
    """Pack an array as the page unpacks it: value = raw * s + o."""
    values = np.asarray(values, dtype=float).ravel()
    if kind == "f32":
        return {"d": "f32", "s": 1.0, "o": 0.0, "b": base64.b64encode(values.astype("<f4").tobytes()).decode()}
    limit, dtype, low = (32767, "<i2", -32767) if kind == "i16" else (255, "u1", 0)
    scale = float(np.abs(values).max() / limit) or 1.0
    raw = np.clip(np.round(values / scale), low, limit).astype(dtype)
    return {"d": kind, "s": scale, "o": 0.0, "b": base64.b64encode(raw.tobytes()).decode()}


def _waveform(rng: np.random.Generator, label: str, x_um: float, y_um: float) -> dict[str, Any]:
    t = -1.3 + np.arange(108) / 30.0
    width = _WIDTH_MS[label] * rng.uniform(0.85, 1.2)
    wave = -np.exp(-0.5 * (t / (width / 2)) ** 2) + 0.35 * np.exp(-0.5 * ((t - 2.1 * width) / (1.3 * width)) ** 2)
    if label == "PkC_cs":
        for k in range(1, 4):
            wave -= 0.3 * 0.7**k * np.exp(-0.5 * ((t - 0.55 * k) / 0.09) ** 2)
    if label == "MFB":
        wave -= 0.12 * np.exp(-0.5 * ((t - 0.9) / 0.25) ** 2)
    amplitude = rng.uniform(60, 260)
    channels = []
    for k, offset in enumerate((0, -1, 1, -2, 2, -3, 3, -4, 4)):
        x, y = 27.0 + 16.0 * ((k % 4) - 1.5), y_um + 20.0 * (offset // 2)
        fall = np.exp(-np.hypot(x - x_um, y - y_um) / 38.0) if k else 1.0
        noise = rng.normal(0, 1.5, t.size)
        channels.append(
            {"x_um": x, "y_um": y, "values": packed(amplitude * fall * np.interp(t - 0.03 * k, t, wave) + noise)}
        )
    return {"t0_ms": -1.3, "dt_ms": 1 / 30.0, "n": 108, "scale_unit": "uV", "peak": 0, "channels": channels}


def _train(rng: np.random.Generator, label: str) -> dict[str, Any]:
    rate = _RATE[label] * rng.lognormal(0, 0.25)
    shape = _REGULARITY[label]
    intervals = 1.5e-3 + rng.gamma(shape, (1 / rate - 1.5e-3) / shape if rate < 500 else 1e-4, 4000)
    times = np.cumsum(intervals)
    acg = np.zeros(_LAGS.size)
    for step in range(1, 60):
        lag = (times[step:] - times[:-step]) * 1e3
        close = lag[lag < 100.5]
        if close.size == 0:
            break
        counts = np.bincount(np.round(close).astype(int), minlength=101)[:101]
        acg[100:] += counts
        acg[:101] += counts[::-1]
    acg = acg / times.size / 1e-3
    rates = rate * np.linspace(0.4, 1.7, 10)
    stretch = [
        np.interp(np.abs(_LAGS_3D) * r / rate, np.arange(101), acg[100:], right=acg[-1]) * r / rate for r in rates
    ]
    return {
        "n_spikes": int(rng.integers(2_000, 90_000)),
        "rate_hz": round(float(rate), 3),
        "isi": packed(np.histogram(intervals * 1e3, _ISI_EDGES)[0]),
        "acg": packed(acg),
        "acg_3d": {"rates_hz": [round(float(r), 2) for r in rates], "values": packed(np.array(stretch), "u8")},
    }


def _explanation(rng: np.random.Generator, label: str) -> dict[str, Any]:
    wave = 0.02 * np.exp(-0.5 * ((_WAVE_EXPLAINED - 0.1) / 0.25) ** 2) - 0.006 * np.exp(
        -0.5 * ((_WAVE_EXPLAINED - 0.9) / 0.2) ** 2
    )
    acg = 0.01 * np.exp(-_ACG_EXPLAINED / 8.0) - 0.003 * np.exp(-0.5 * ((_ACG_EXPLAINED - 40) / 12.0) ** 2)
    return {
        "label": label,
        "modalities": {"waveform": float(rng.normal(0.3, 0.1)), "train": float(rng.normal(0.25, 0.2))},
        "waveform": packed(wave * rng.uniform(0.5, 1.5) + rng.normal(0, 0.001, wave.size)),
        "acg": packed(acg * rng.uniform(0.5, 1.5) + rng.normal(0, 0.0004, acg.size)),
        "statistics": [
            {"name": name, "value": float(rng.normal(0, 0.08))}
            for name in (
                "trough_to_peak",
                "half_width",
                "repolarisation_slope",
                "cv2",
                "local_variation",
                "burst_share",
            )
        ],
    }


def _unit(rng: np.random.Generator, file: int, unit_id: int, centres: dict[str, NDArray[Any]]) -> dict[str, Any]:
    depth = float(rng.integers(0, 190) * 20)
    layer = next(
        (
            name
            for name, top in zip((n for n, _ in _FOLDS), np.cumsum([t for _, t in _FOLDS]), strict=True)
            if depth < top
        ),
        None,
    )
    true = str(rng.choice(LABELS, p=_SHARES[layer]))
    sharpness = rng.uniform(1.0, 6.0)
    logits = np.array([sharpness * (label == true) for label in LABELS]) + rng.normal(0, 0.5, len(LABELS))
    probability = np.exp(logits) / np.exp(logits).sum()
    confidence = float(probability.max())
    ood = float(np.clip(rng.gamma(2, 0.12), 0, 1))
    reason, detail = None, None
    if ood > 0.5:
        reason, detail = (
            "out_of_distribution",
            f"Further from the training units than 98 % of real ones ({ood:.2f}, limit 0.50).",
        )
    elif confidence < 0.70:
        reason, detail = "low_confidence", f"The most probable class has {confidence:.2f}, less than 0.70."
    elif rng.random() < 0.04:
        reason, detail = "poor_quality", "2.1 % of the intervals are shorter than 1 ms."
    x_um = float(11 + 16 * rng.integers(0, 4))
    named = str(LABELS[int(probability.argmax())])
    has_waveform = rng.random() > 0.03
    place = centres[true] + rng.normal(0, 0.9, 2)
    near = [str(rng.choice(LABELS)) if rng.random() < 0.2 else true for _ in range(5)]
    return {
        "key": f"{file}:{unit_id}",
        "file": file,
        "id": unit_id,
        "name": None,
        "label": "unclassified" if reason else named,
        "is_abstained": reason is not None,
        "reason": reason,
        "reason_detail": detail,
        "confidence": round(confidence, 4),
        "ood_score": round(ood, 4),
        "probability": [round(float(p), 4) for p in probability],
        "spread": round(float(rng.uniform(0.01, 0.12)), 4),
        "cell_id": None,
        "partner": None,
        "layer": layer,
        "region": "Simplex lobule",
        "x_um": x_um,
        "y_um": depth,
        **_train(rng, true),
        "quality": {
            "refractory_violations": round(float(rng.uniform(0, 0.01)), 4),
            "missed_spikes": round(float(rng.uniform(0, 0.1)), 3),
        },
        "map": [round(float(v), 3) for v in place],
        "neighbours": [
            {
                "label": label,
                "lab": str(rng.choice(_LABS)),
                "distance": round(0.3 + 0.1 * k + float(rng.uniform(0, 0.1)), 3),
            }
            for k, label in enumerate(near)
        ],
        "waveform": _waveform(rng, true, x_um, depth) if has_waveform else None,
        "explanation": _explanation(rng, named),
        "labels": {"cerebellum_3": "unclassified" if reason else named},
    }


def _file(file: int, units: list[dict[str, Any]]) -> dict[str, Any]:
    bare = sum(u["waveform"] is None for u in units)
    reasons = [u["reason"] for u in units if u["reason"]]
    thresholds = (0.5, 0.6, 0.7, 0.7043, 0.8, 0.9, 0.95)
    reached = {
        p: sum(u["confidence"] >= p and u["reason"] in (None, "low_confidence") for u in units) for p in thresholds
    }
    sites = np.arange(384)
    return {
        "name": f"sub-M{file + 1:02d}_ses-20250{file + 3}14_ecephys.nwb",
        "session_id": f"M{file + 1:02d}-20250{file + 3}14",
        "identifier": f"9f1c2a0{file}-1b7e-4f0e-9a58-6a2f8f1b7c3d",
        "subject_id": f"M{file + 1:02d}",
        "species": "Mus musculus",
        "start_time": f"2025-0{file + 3}-14T10:21:00+00:00",
        "units_path": "/units",
        "run": {
            "name": "cerebellum_3",
            "created": "2025-11-21T18:02:11+00:00",
            "source_type": "classifier",
            "who": "nwb-celltype",
            "model_name": "cerebellum",
            "model_version": "2",
            "model_licence": "CC-BY-NC-SA-4.0",
            "weights_sha256": "4be1" * 16,
            "input_sha256": "07af" * 16,
            "software": "nwb-celltype 0.1.0",
            "threshold": 0.7043,
            "ood_threshold": 0.5,
            "parameters": {"modalities": "waveform, train", "prior": "training"},
        },
        "runs": [
            {
                "name": "cerebellum_3",
                "source_type": "classifier",
                "who": "nwb-celltype",
                "created": "2025-11-21T18:02:11+00:00",
            }
        ],
        "verdict": {
            "status": "typable with caution",
            "findings": [
                {
                    "about": "filter",
                    "effect": "flag",
                    "sentence": "The voltage's filter is not stated; waveforms may have another shape.",
                },
                {
                    "about": "quality",
                    "effect": "abstain",
                    "sentence": f"{reasons.count('poor_quality')} units fall short of the quality asked for.",
                },
            ],
        },
        "probe": {
            "x_um": (11.0 + 16 * (2 * (sites % 2) + (sites // 2) % 2)).tolist(),
            "y_um": (20.0 * (sites // 2)).tolist(),
        },
        "counts": {label: sum(u["label"] == label for u in units) for label in (*LABELS, "unclassified")},
        "abstained": {r: reasons.count(r) for r in sorted(set(reasons))},
        "coverage": [{"threshold": p, "n": n, "share": n / len(units)} for p, n in reached.items()],
        "notes": [f"{bare} of {len(units)} units have no mean waveform; they were typed by their spikes alone."],
    }


def payload(n_units: int, *, n_files: int = 1, seed: int = 0) -> dict[str, Any]:
    """Make a payload of `n_units` units in all, evenly over `n_files` files."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, len(LABELS), endpoint=False)
    centres = {label: 4 * np.array([np.cos(a), np.sin(a)]) for label, a in zip(LABELS, angle, strict=True)}
    units = [_unit(rng, k % n_files, k // n_files + 1, centres) for k in range(n_units)]
    for simple in units:  # the first pair of each file: one Purkinje cell with its complex spikes
        mates = [u for u in units if u["file"] == simple["file"] and u["label"] == "PkC_cs" and u["partner"] is None]
        if (
            simple["label"] == "PkC_ss"
            and mates
            and not any(u["partner"] for u in units if u["file"] == simple["file"])
        ):
            simple["partner"], mates[0]["partner"] = mates[0]["key"], simple["key"]
            simple["cell_id"] = mates[0]["cell_id"] = "Purkinje_1"
    training = rng.choice(LABELS, 672)
    where = np.array([centres[str(label)] for label in training]) + rng.normal(0, 0.8, (672, 2))
    return {
        "format": 1,
        "title": "Cell types of two sessions" if n_files > 1 else "Cell types of sub-M01",
        "created": "2025-11-21T18:02:15+00:00",
        "software": "nwb-celltype 0.1.0",
        "classes": [
            *(
                {
                    "label": c,
                    "name": CEREBELLUM[c].full_name,
                    "definition": CEREBELLUM[c].definition,
                    "colour": colour_of(c),
                }
                for c in LABELS
            ),
            {
                "label": "unclassified",
                "name": "Unclassified",
                "definition": "No answer: the reason stands beside the unit.",
                "colour": colour_of("unclassified"),
            },
        ],
        "files": [_file(f, [u for u in units if u["file"] == f]) for f in range(n_files)],
        "model": {
            "name": "cerebellum",
            "version": "2",
            "licence": "CC-BY-NC-SA-4.0",
            "sections": [
                {"heading": "What it was trained on", "text": "Units of mice and macaques from four laboratories."},
                {
                    "heading": "When not to trust it",
                    "text": "- Granule cells are not a class.\n- Other tissues are unknown to it.",
                },
            ],
            "reliability": [
                {"confidence": c, "accuracy": min(1.0, c + d), "n": n}
                for c, d, n in ((0.35, 0.04, 20), (0.55, -0.03, 60), (0.75, 0.02, 120), (0.95, 0.01, 400))
            ],
        },
        "map": {
            "method": "UMAP of the model's embedding",
            "axes": ["UMAP 1", "UMAP 2"],
            "training": {
                "x": packed(where[:, 0]),
                "y": packed(where[:, 1]),
                "label": training.tolist(),
                "lab": rng.choice(_LABS, 672).tolist(),
            },
        },
        "axes": {
            "isi_ms": _ISI_EDGES.tolist(),
            "acg_ms": _LAGS.tolist(),
            "acg_3d_ms": _LAGS_3D.tolist(),
            "waveform_explained_ms": _WAVE_EXPLAINED.tolist(),
            "acg_explained_ms": _ACG_EXPLAINED.tolist(),
        },
        "units": sorted(units, key=lambda u: (u["file"], u["id"])),
    }
