from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nwb_celltype.converters.pickles import read_sorting
from nwb_celltype.errors import CellTypeError, InputError, RefusedError

RATE = 40_000
SIMPLE = np.array([100, 900, 1500, 2600, 3700])
COMPLEX = np.array([1200, 3000])
OTHER = np.array([0, 40, 3999])


def save(path: Path, content: Any, protocol: int = 3) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def curated(spikes: np.ndarray, channel: Any, kind: str = "Neuron", **more: Any) -> dict[str, Any]:
    """As NeuroViz saves a neuron: samples and channels count from 1."""
    return {
        "spike_indices__": np.uint32(spikes + 1),
        "channel_id__": channel + 1,
        "spike_indices_channel__": np.full(len(spikes), channel + 1, dtype=np.uint16),
        "type__": kind,
        "sampling_rate__": RATE,
        "filename__": "C:\\data\\monkey.pl2",
        **more,
    }


def neuroviz() -> list[dict[str, Any]]:
    return [
        curated(OTHER, 0, label="putative_golgi"),
        curated(SIMPLE, 2, "PurkinjeCell", cs_spike_indices__=np.uint32(COMPLEX + 1), snr=7.5, cs_snr=3.0),
        curated(COMPLEX, 2),
        curated(SIMPLE + 3, 1, label="unlabeled"),
        curated(SIMPLE[:0], 1),
        curated(COMPLEX + 9, 3, "NeurophysToolbox.ComplexSpikes"),
    ]


def sorter(spikes: np.ndarray, channel: int, neighbours: list[int], rng: np.random.Generator) -> dict[str, Any]:
    """As Full Binary Pursuit summarizes a neuron: samples and channels count from 0, clips channel after channel."""
    shape = np.zeros((len(neighbours), 10), dtype=np.float32)
    shape[:, 4] = [-(10.0 + n) for n in neighbours]
    clips = (shape.ravel() + rng.normal(size=(len(spikes), shape.size))).astype(np.float32)
    return {
        "spike_indices": spikes,
        "channel": channel,
        "neighbors": np.array(neighbours),
        "chan_neighbor_ind": neighbours.index(channel),
        "main_win": [0, 10],
        "clips": clips,
        "template": clips.mean(axis=0),
        "snr": 4.0 + channel,
        "fraction_mua": 0.01,
        "quality_score": 3.9,
        "binary_pursuit_bool": np.arange(len(spikes)) % 2 == 0,
        "sort_info": {
            "sampling_rate": RATE, "n_samples_per_chan": 10, "n_channels": 4, "clip_width": [-1e-4, 1.25e-4],
        },
    }  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_neuroviz(tmp_path: Path, protocol: int) -> None:
    sorting = read_sorting(save(tmp_path / "neurons.pkl", neuroviz(), protocol))
    assert sorting.unit_names == ("1", "2s", "2c", "4", "6")
    assert sorting.unit_ids.tolist() == [1, 2, 1002, 4, 6]
    for row, spikes in enumerate((OTHER, SIMPLE, COMPLEX, SIMPLE + 3, COMPLEX + 9)):
        np.testing.assert_array_equal(sorting.samples_of(row), spikes)
    assert sorting.sampling_rate_hz == RATE
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [0, 2, 2, 1, 3]
    assert [item.what for item in sorting.left_out] == ["neuron 3", "neuron 5"]
    assert "complex spikes of Purkinje cell 2" in sorting.left_out[0].reason
    assert any("repeats the complex spikes" in note for note in sorting.notes)
    assert any("monkey.pl2" in note and "C:" not in note for note in sorting.notes)
    np.testing.assert_array_equal(sorting.columns["snr"].values, [np.nan, 7.5, 3.0, np.nan, np.nan])
    assert sorting.columns["curation_label"].values.tolist() == ["putative_golgi", "", "", "unlabeled", ""]
    assert sorting.templates is None


def test_labels_are_those_of_a_person_who_is_not_named(tmp_path: Path) -> None:
    (prior,) = read_sorting(save(tmp_path / "neurons.pkl", neuroviz())).prior_labels
    assert prior.source_type == "expert"
    assert prior.person == ""
    assert prior.unit_rows.tolist() == [0, 1, 2, 4]
    assert prior.labels == ("GoC", "PkC_ss", "PkC_cs", "PkC_cs")
    assert prior.cell_ids == ("", "purkinje_2", "purkinje_2", "")
    assert {piece["kind"] for pieces in prior.evidence for piece in pieces} == {"expert"}
    assert "putative_golgi" in prior.evidence[0][0]["note"]


def test_sorter_output(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    neurons = [sorter(SIMPLE, 1, [0, 1, 2], rng), sorter(OTHER, 3, [2, 3], rng)]
    sorting = read_sorting(save(tmp_path / "fbp.pickle", neurons, 4))
    np.testing.assert_array_equal(sorting.samples_of(0), SIMPLE)
    assert sorting.unit_ids.tolist() == [1, 2]
    assert sorting.prior_labels == ()
    assert sorting.source == "Full Binary Pursuit: fbp.pickle"
    assert list(sorting.columns) == ["snr", "fraction_mua", "quality_score", "fraction_binary_pursuit"]
    assert sorting.columns["fraction_binary_pursuit"].values.tolist() == [0.6, 2 / 3]
    templates = sorting.templates
    assert templates is not None
    assert (templates.waveforms.shape, templates.n_before, templates.unit) == ((2, 10, 4), 4, "a.u.")
    clips = neurons[0]["clips"].astype(np.float64).reshape(5, 3, 10)
    np.testing.assert_allclose(templates.waveforms[0, :, :3], clips.mean(axis=0).T, rtol=1e-5)
    assert templates.sd is not None
    np.testing.assert_allclose(templates.sd[0, :, :3], clips.std(axis=0).T, rtol=1e-5)
    assert np.isnan(templates.waveforms[0, :, 3]).all()
    assert templates.n_spikes_used is not None
    assert templates.n_spikes_used.tolist() == [5, 3]
    assert templates.source == ("mean of 5 clips of the sorter", "mean of 3 clips of the sorter")


def test_template_without_clips_and_values_by_channel(tmp_path: Path) -> None:
    one = sorter(SIMPLE, 1, [0, 1], np.random.default_rng(1))
    del one["clips"]
    one |= {"channel": [1, 0], "snr": {1: 9.0, 0: 2.0}, "neighbors": {np.int64(1): np.array([0, 1]), 0: np.array([0])}}
    one["template"] = {1: one["template"], 0: one["template"][:10]}
    sorting = read_sorting(save(tmp_path / "fbp.pkl", [one]))
    assert sorting.columns["snr"].values.tolist() == [9.0]
    assert sorting.templates is not None
    assert sorting.templates.source == ("template of the sorter",)
    assert sorting.templates.sd is None
    np.testing.assert_allclose(sorting.templates.waveforms[0, :, 1], one["template"][1][10:])


def test_clips_of_the_main_channel_alone_are_averaged(tmp_path: Path) -> None:
    one = sorter(SIMPLE, 1, [0, 1], np.random.default_rng(1))
    chosen = np.array([True, False, True, True, False])
    one["waveforms"] = one.pop("clips")
    one |= {"channel": [1], "channel_selector": {1: chosen}, "neighbors": {1: [0, 1]}}
    templates = read_sorting(save(tmp_path / "fbp.pkl", [one])).templates
    assert templates is not None
    expected = one["waveforms"][chosen].astype(np.float64).mean(axis=0)[10:]
    np.testing.assert_allclose(templates.waveforms[0, :, 1], expected, rtol=1e-5)


def test_curated_list_goes_before_the_sorters(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    same = {**sorter(SIMPLE, 1, [0, 1], rng), **curated(SIMPLE, 1)}
    edited = {**sorter(SIMPLE, 1, [0, 1], rng), **curated(SIMPLE[1:], 1)}
    sorting = read_sorting(save(tmp_path / "both.pkl", [same, edited]))
    np.testing.assert_array_equal(sorting.samples_of(0), SIMPLE)
    np.testing.assert_array_equal(sorting.samples_of(1), SIMPLE[1:])
    assert sorting.templates is not None
    assert [bool(source) for source in sorting.templates.source] == [True, False]
    assert any("neuron 2" in note and "changed after sorting" in note for note in sorting.notes)


def test_index_0_shows_that_a_list_counts_from_0(tmp_path: Path) -> None:
    neuron = curated(OTHER - 1, 0)
    sorting = read_sorting(save(tmp_path / "a.pkl", [neuron]))
    np.testing.assert_array_equal(sorting.samples_of(0), OTHER)
    assert any("count from 0" in note for note in sorting.notes)


def test_twin_that_counts_otherwise_is_a_twin(tmp_path: Path) -> None:
    cell = curated(SIMPLE, 2, "PurkinjeCell", cs_spike_indices__=np.uint32(COMPLEX))
    sorting = read_sorting(save(tmp_path / "a.pkl", [curated(COMPLEX, 2), cell]))
    assert sorting.unit_names == ("2s", "2c")


def test_channels_become_rows_of_the_probe(tmp_path: Path) -> None:
    path = save(tmp_path / "fbp.pkl", [sorter(SIMPLE, 1, [0, 1, 2], np.random.default_rng(0))])
    sorting = read_sorting(path, columns=np.array([2, 1, 7]))
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [1]
    assert sorting.templates is not None
    assert sorting.templates.waveforms[0, 4].round(-1).tolist()[:2] == [-10.0, -10.0]
    assert np.isnan(sorting.templates.waveforms[0, 4, 2])
    off = read_sorting(path, columns=np.array([5, 6]))
    assert off.peak_channels is not None
    assert off.peak_channels.tolist() == [-1]
    assert any("no electrodes" in note for note in off.notes)


def test_many_neurons_keep_their_ids_apart(tmp_path: Path) -> None:
    cell = curated(SIMPLE, 2, "PurkinjeCell", cs_spike_indices__=np.uint32(COMPLEX + 1))
    sorting = read_sorting(save(tmp_path / "a.pkl", [*[curated(OTHER, 0)] * 1000, cell]))
    assert sorting.unit_ids[-2:].tolist() == [1001, 11_001]
    assert len(np.unique(sorting.unit_ids)) == len(sorting)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "no list of neurons"),
        ("text", "holds a str"),
        ([1, 2], "no list of neurons"),
        ([{"a": 1}], "neither spike_indices"),
        ([{"spike_indices__": np.array([1.5]), "sampling_rate__": RATE}], "no whole number"),
        ([{"spike_indices": np.array([-3]), "sampling_rate__": RATE}], "before the recording"),
        ([{"spike_indices": np.array([3])}], "no sampling rate"),
        ([{"spike_indices": "abc", "sampling_rate__": RATE}], "whole numbers are needed"),
        ([{"spike_indices": np.array([np.inf]), "sampling_rate__": RATE}], "no whole number"),
        ([{"spike_indices": np.array([2**63], dtype=np.uint64), "sampling_rate__": RATE}], "no whole number"),
        ([{"spike_indices": np.array([3]), "sampling_rate__": 0}], "must be positive"),
        ([{"spike_indices": np.array([3]), "sampling_rate__": RATE, "channel": 10**9}], "names channel"),
        ([{"spike_indices": [3], "sampling_rate__": r} for r in (RATE, 30_000)], "different sampling rates"),
    ],
)
def test_what_is_no_sorting(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_sorting(save(tmp_path / "a.pkl", content))


def test_another_recordings_rate(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pkl", neuroviz())
    assert read_sorting(path, sampling_rate_hz=40_000.0).sampling_rate_hz == 40_000
    with pytest.raises(InputError, match="different sampling rates"):
        read_sorting(path, sampling_rate_hz=30_000.0)


def test_a_program_is_refused(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return eval, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    with pytest.raises(RefusedError, match="eval"):
        read_sorting(save(tmp_path / "a.pkl", [curated(OTHER, 0), Bad()]))
    assert not (tmp_path / "ran").exists()


FILES = [
    pickle.dumps(neuroviz(), protocol=3),
    pickle.dumps([sorter(SIMPLE, 1, [0, 1, 2], np.random.default_rng(0))], protocol=4),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.data())
def test_damaged_files_raise_our_own_errors(tmp_path: Path, whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(1, len(damaged)))]
    path = tmp_path / "odd.pkl"
    path.write_bytes(bytes(damaged))
    try:
        sorting = read_sorting(path)
    except CellTypeError:
        return
    assert len(np.unique(sorting.unit_ids)) == len(sorting) == len(sorting.offsets) - 1
