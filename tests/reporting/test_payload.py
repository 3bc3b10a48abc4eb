"""The JSON object that pages read."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nwb_celltype.reporting import to_payload
from nwb_celltype.reporting.packing import pack, unpack
from nwb_celltype.reporting.records import ReportView

FINITE = st.floats(-1e12, 1e12, allow_subnormal=False)


@pytest.fixture(scope="module")
def payload(view: ReportView) -> dict[str, Any]:
    return to_payload(view)


@given(arrays(np.float64, st.integers(0, 50), elements=FINITE), st.sampled_from(["i16", "u8", "f32"]))
def test_packing_keeps_values(values: np.ndarray, kind: Any) -> None:
    packed = pack(values, kind)
    span = float(np.ptp(values) if kind == "u8" else np.abs(values).max(initial=0)) if values.size else 0.0
    step = {"i16": span / 65_000, "u8": span / 500, "f32": span * 1e-7}[kind]
    np.testing.assert_allclose(
        unpack(packed), values, rtol=1e-12, atol=step + 1e-37
    )  # what single precision calls zero


def test_counts_are_exact_and_nan_is_kept() -> None:
    assert unpack(pack(np.arange(1000))).tolist() == list(range(1000))
    packed = pack([1.0, np.nan])
    assert packed["d"] == "f32"
    assert np.isnan(unpack(packed)[1])


def test_it_is_plain_json(payload: dict[str, Any]) -> None:
    text = json.dumps(payload, allow_nan=False)
    assert json.loads(text) == payload
    assert len(gzip.compress(text.encode())) < 8_000 * len(payload["units"])  # 4 MB for 500


def test_units_have_all_keys(payload: dict[str, Any], view: ReportView) -> None:
    (keys,) = {tuple(unit) for unit in payload["units"]}
    assert {"key", "label", "spread", "waveform", "isi", "acg", "acg_3d", "explanation", "labels"} <= set(keys)
    unit, shown = payload["units"][0], view.units[0]
    assert shown.waveform is not None
    assert shown.acg_3d is not None
    channel = unit["waveform"]["channels"][unit["waveform"]["peak"]]
    np.testing.assert_allclose(unpack(channel["values"]), shown.waveform.values[0], atol=0.01)
    values = unpack(unit["acg_3d"]["values"]).reshape(10, -1)
    np.testing.assert_allclose(values, shown.acg_3d.values, atol=shown.acg_3d.values.max() / 400)
    assert len(payload["axes"]["acg_3d_ms"]) == values.shape[1]
    assert len(payload["axes"]["isi_ms"]) == len(unpack(unit["isi"])) + 1
    assert len(unit["probability"]) == len(payload["classes"]) - 1


def test_file_says_where_it_comes_from(payload: dict[str, Any], view: ReportView) -> None:
    (file,) = payload["files"]
    assert len(file["run"]["weights_sha256"]) == len(file["run"]["input_sha256"]) == 64
    assert sum(file["counts"].values()) == len(payload["units"])
    abstained = [unit.reason for unit in view.units if unit.is_abstained]
    assert file["abstained"] == {reason: abstained.count(reason) for reason in abstained}
    n_answered = len(payload["units"]) - len(abstained)
    assert 0 < n_answered < len(payload["units"])
    assert {row["threshold"]: row["n"] for row in file["coverage"]}[file["run"]["threshold"]] == n_answered


def test_what_is_no_number_or_no_character_does_no_harm(view: ReportView) -> None:
    unit = replace(view.units[0], name="</script>\udce9", confidence=float("nan"), quality={"snr": float("inf")})
    (shown,) = to_payload(replace(view, units=(unit,)))["units"]
    assert (shown["name"], shown["confidence"], shown["quality"]) == ("</script>?", None, {"snr": None})
