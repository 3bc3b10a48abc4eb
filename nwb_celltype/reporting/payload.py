"""What a report shows as one JSON object, which the pages of report and review read."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from nwb_celltype.plotting.channels import ChannelWaveforms
from nwb_celltype.reporting.packing import listed, number, pack
from nwb_celltype.reporting.records import (
    Axes,
    Explanation,
    FileView,
    ModelView,
    RateCorrelograms,
    ReportView,
    TrainingMap,
    UnitView,
)
from nwb_celltype.runs import Run

FORMAT = 1
"""Version of the object; a page refuses another."""

_METHOD_FIELDS = ("model_name", "model_version", "model_licence", "weights_sha256")


def to_payload(view: ReportView) -> dict[str, Any]:
    """Turn a report into plain types: what is missing is None, arrays are packed by `packing.pack`.

    Parameters
    ----------
    view : ReportView

    Returns
    -------
    dict
        Keys ``format``, ``title``, ``created``, ``software``, ``notes``, ``classes``, ``files``, ``model``, ``map``,
        ``axes``, ``units``. `probability` of a unit stands in the order of the classes, without the last one.

    Examples
    --------
    >>> from nwb_celltype.reporting import gather, to_payload
    >>> payload = to_payload(gather("session_celltype.nwb"))  # doctest: +SKIP
    >>> payload["units"][0]["label"]  # doctest: +SKIP
    'PkC_ss'
    """
    payload = {
        "format": FORMAT,
        "title": view.title,
        "created": view.created,
        "software": view.software,
        "notes": list(view.notes),
        "classes": [
            {"label": c.label, "name": c.name, "definition": c.definition, "colour": c.colour} for c in view.classes
        ],
        "files": [_file(file) for file in view.files],
        "model": _model(view.model),
        "map": _map(view.training_map),
        "axes": _axes(view.axes),
        "units": [_unit(unit) for unit in view.units],
    }
    plain: dict[str, Any] = _plain(payload)
    return plain


def _file(file: FileView) -> dict[str, Any]:
    run, session = file.run, file.session
    n = len(run)
    counts = Counter(run.cell_type.tolist())
    abstained = Counter(reason for reason, is_so in zip(run.reason.tolist(), run.is_abstained, strict=True) if is_so)
    return {
        "name": file.name,
        "session_id": session.session_id or None,
        "identifier": session.identifier or run.source_identifier or None,
        "subject_id": session.subject_id or None,
        "species": session.species or None,
        "start_time": session.session_start_time or None,
        "units_path": run.units_path or session.units_path or None,
        "source": file.source.address or file.source.path or None if file.source is not None else None,
        "run": _run(file),
        "runs": [
            {"name": r.name, "source_type": r.method.source_type, "who": r.method.who, "created": r.created or None}
            for r in file.runs
        ],
        "verdict": {
            "status": file.status or None,
            "findings": [
                {"about": r.about or None, "effect": r.effect or None, "sentence": r.sentence} for r in file.findings
            ],
        },
        "probe": None
        if file.probe_x_um is None
        else {"x_um": listed(file.probe_x_um), "y_um": listed(file.probe_y_um)},
        "counts": {str(label): int(k) for label, k in counts.items()},
        "abstained": {str(reason): int(k) for reason, k in abstained.items()},
        "coverage": [{"threshold": p, "n": k, "share": round(k / n, 6) if n else None} for p, k in file.coverage],
        "notes": list(file.notes),
    }


def _run(file: FileView) -> dict[str, Any]:
    run: Run = file.run
    fields = run.method.fields
    software = f"{fields.get('software', '')} {fields.get('software_version', '')}".strip()
    ood = file.parameters.get("ood_threshold")
    return {
        "name": run.name,
        "created": run.created or None,
        "source_type": run.method.source_type or None,
        "who": run.method.who,
        **{name: str(fields[name]) if fields.get(name) else None for name in _METHOD_FIELDS},
        "input_sha256": run.input_sha256 or None,
        "software": software or None,
        "threshold": number(run.confidence_threshold),
        "ood_threshold": number(float(ood)) if isinstance(ood, int | float) else None,
        "parameters": dict(file.parameters),
    }


def _unit(unit: UnitView) -> dict[str, Any]:
    return {
        "key": unit.key,
        "file": unit.file,
        "id": unit.unit_id,
        "name": unit.name,
        "label": unit.label,
        "is_abstained": unit.is_abstained,
        "reason": unit.reason or None,
        "reason_detail": unit.reason_detail or None,
        "confidence": number(unit.confidence, 5),
        "ood_score": number(unit.ood_score, 5),
        "probability": listed(unit.probability, 5),
        "spread": number(unit.spread, 5),
        "cell_id": unit.cell_id or None,
        "partner": unit.partner,
        "layer": unit.layer,
        "region": unit.region,
        "x_um": number(unit.x_um),
        "y_um": number(unit.y_um),
        "n_spikes": unit.n_spikes,
        "rate_hz": number(unit.rate_hz),
        "quality": {name: value if isinstance(value, str) else number(value) for name, value in unit.quality.items()},
        "map": None if unit.map_xy is None else listed(np.array(unit.map_xy)),
        "neighbours": [{"label": n.label, "lab": n.lab, "distance": number(n.distance, 5)} for n in unit.neighbours],
        "is_training_unit": unit.is_training_unit,
        "waveform": _waveform(unit.waveform),
        "waveform_reason": unit.waveform_reason or None,
        "isi": None if unit.isi is None else pack(unit.isi),
        "acg": None if unit.acg_hz is None else pack(unit.acg_hz),
        "acg_3d": _acg_3d(unit.acg_3d),
        "train_reason": unit.train_reason or None,
        "explanation": _explanation(unit.explanation),
        "labels": dict(unit.labels),
    }


def _waveform(waveform: ChannelWaveforms | None) -> dict[str, Any] | None:
    if waveform is None:
        return None
    nowhere = [None] * len(waveform.values)
    xs, ys = listed(waveform.x_um) or nowhere, listed(waveform.y_um) or nowhere
    return {
        "t0_ms": number(waveform.start_ms),
        "dt_ms": number(waveform.step_ms, 8),
        "n": waveform.values.shape[1],
        "scale_unit": waveform.scale_unit,
        "peak": waveform.peak,
        "channels": [
            {"x_um": x, "y_um": y, "values": pack(values)} for x, y, values in zip(xs, ys, waveform.values, strict=True)
        ],
    }


def _acg_3d(acg: RateCorrelograms | None) -> dict[str, Any] | None:
    return None if acg is None else {"rates_hz": listed(acg.rates_hz, 4), "values": pack(acg.values, "u8")}


def _explanation(explanation: Explanation | None) -> dict[str, Any] | None:
    if explanation is None:
        return None
    arrays = {"waveform": explanation.waveform, "isi": explanation.isi, "acg": explanation.acg}
    return {
        "label": explanation.label,
        "modalities": {name: number(value, 5) for name, value in explanation.modalities.items()},
        **{name: None if values is None else pack(values) for name, values in arrays.items()},
        "statistics": [{"name": name, "value": number(value, 4)} for name, value in explanation.statistics.items()],
    }


def _model(model: ModelView | None) -> dict[str, Any] | None:
    if model is None:
        return None
    points = [{"confidence": p.confidence, "accuracy": p.accuracy, "n": p.n} for p in model.reliability]
    return {
        "name": model.name,
        "version": model.version,
        "licence": model.licence,
        "weights_sha256": model.weights_sha256,
        "sections": [{"heading": s.heading, "text": s.text} for s in model.sections],
        "reliability": points or None,
    }


def _map(training: TrainingMap | None) -> dict[str, Any] | None:
    if training is None:
        return None
    x, y = training.xy.T
    labels, labs = training.label.tolist(), training.lab.tolist()
    return {
        "method": training.method,
        "axes": list(training.axes),
        "training": {"x": pack(x), "y": pack(y), "label": labels, "lab": labs},
    }


def _axes(axes: Axes) -> dict[str, Any]:
    names = (
        "isi_ms", "acg_ms", "acg_3d_ms", "waveform_explained_ms", "isi_explained_ms", "acg_explained_ms",
    )  # fmt: skip
    return {name: listed(getattr(axes, name)) for name in names}


def _plain(value: Any) -> Any:
    """Plain types of whatever a file holds: what is not finite becomes None, and half a character a question mark."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value if np.isfinite(value) else None
    return _plain(str(value))
