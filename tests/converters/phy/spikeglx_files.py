"""A SpikeGLX recording of the first channels of a probe, for sortings that name it."""

from __future__ import annotations

from pathlib import Path

from . import folders

FIRST_SAMPLE = 177_385
GAIN_UV = 0.6 / 512 / 500 * 1e6


def write_ap(path: Path, session: folders.Session) -> Path:
    """``.ap.bin`` with the channels of the session and the status word, and its header."""
    n = session.n_channels
    folders.write_recording(path, session, n_file_channels=n + 1)
    xy = session.positions.astype(int).tolist()
    values: dict[str, object] = {
        "acqApLfSy": "384,384,1",
        "appVersion": 20230815,
        "fileCreateTime": "2026-01-31T14:03:00",
        "fileName": f"D:/data/{path.name}",
        "fileSizeBytes": path.stat().st_size,
        "fileTimeSecs": session.n_samples / folders.RATE,
        "firstSample": FIRST_SAMPLE,
        "imAiRangeMax": 0.6,
        "imAiRangeMin": -0.6,
        "imDatPrb_pn": "PRB_1_4_0480_1",
        "imDatPrb_sn": 18194809281,
        "imDatPrb_type": 0,
        "imMaxInt": 512,
        "imSampRate": 30000,
        "nSavedChans": n + 1,
        "snsApLfSy": f"{n},0,1",
        "snsSaveChanSubset": f"0:{n - 1},768",
        "syncSourceIdx": 0,
        "typeThis": "imec",
        "~imroTbl": "(0,384)" + "".join(f"({c} 0 0 500 250 1)" for c in range(384)),
        "~snsGeomMap": "(PRB_1_4_0480_1,1,0,70)" + "".join(f"(0:{x}:{y}:1)" for x, y in xy),
        "~snsShankMap": "(1,2,480)" + "".join(f"(0:{c % 2}:{c // 2}:1)" for c in range(n)),
        "~snsChanMap": "(384,384,1)" + "".join(f"(AP{c};{c}:{c})" for c in range(n)) + f"(SY0;768:{n})",
    }
    path.with_suffix(".meta").write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    return path
