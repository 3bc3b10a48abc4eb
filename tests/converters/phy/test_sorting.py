from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.phy import arrays, read_probe, read_sorting, spikes
from nwb_celltype.converters.records import Sorting
from nwb_celltype.errors import InputError

from . import folders

KILOSORT4 = folders.simulate(length=61, n_before=20)
KILOSORT2 = folders.simulate(length=82, n_before=40)


def has_note(sorting: Sorting, *words: str) -> bool:
    return any(all(word in note for word in words) for note in sorting.notes)


def reasons(sorting: Sorting) -> dict[str, str]:
    return {item.what: item.reason for item in sorting.left_out}


@pytest.fixture(params=["kilosort25", "kilosort4", "spikeinterface"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, folders.Session]:
    if request.param == "kilosort25":
        return folders.kilosort25(tmp_path / "ks", KILOSORT2), KILOSORT2
    if request.param == "kilosort4":
        return folders.kilosort4(tmp_path / "ks", KILOSORT4), KILOSORT4
    return folders.spikeinterface_export(tmp_path / "phy", KILOSORT2), KILOSORT2


def test_every_writer(written: tuple[Path, folders.Session]) -> None:
    folder, truth = written
    sorting = read_sorting(folder)
    assert sorting.unit_ids.tolist() == list(range(truth.n_units))
    assert sorting.spike_samples.dtype == np.int64
    assert sorting.amplitudes is not None
    stored = np.load(folder / "amplitudes.npy").reshape(-1)
    for row, unit in enumerate(sorting.unit_ids):
        np.testing.assert_array_equal(sorting.samples_of(row), truth.samples_of(unit))
        piece = slice(sorting.offsets[row], sorting.offsets[row + 1])
        np.testing.assert_array_equal(sorting.amplitudes[piece], stored[truth.units == unit])
    assert sorting.peak_channels is not None
    np.testing.assert_array_equal(sorting.peak_channels, truth.peaks)
    assert sorting.left_out == ()
    assert sorting.amplitude_description.endswith(".")
    np.testing.assert_allclose(read_probe(folder).positions_um, truth.positions)


@pytest.mark.parametrize(
    ("write", "truth", "words"),
    [
        (folders.kilosort25, KILOSORT2, "Factor by which the sorter scaled the template"),
        (folders.kilosort4, KILOSORT4, "Norm of the features"),
        (folders.spikeinterface_export, KILOSORT2, "as SpikeInterface exported it"),
    ],
)
def test_amplitudes_are_said_to_be_what_they_are(
    tmp_path: Path, write: Callable[..., Path], truth: folders.Session, words: str
) -> None:
    assert words in read_sorting(write(tmp_path / "ks", truth)).amplitude_description


def test_small_blocks_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folders.kilosort25(tmp_path / "ks", KILOSORT2)
    whole = read_sorting(folder)
    monkeypatch.setattr(arrays, "BLOCK", 7)
    monkeypatch.setattr(spikes, "_DENSE", 3)
    pieces = read_sorting(folder)
    np.testing.assert_array_equal(whole.spike_samples, pieces.spike_samples)
    np.testing.assert_array_equal(whole.amplitudes, pieces.amplitudes)
    np.testing.assert_array_equal(whole.peak_channels, pieces.peak_channels)
    assert whole.templates is not None
    assert pieces.templates is not None
    np.testing.assert_array_equal(whole.templates.waveforms, pieces.templates.waveforms)


def test_merged_and_split_clusters(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path / "ks", KILOSORT2)
    folders.merge(folder, [0, 1], 6)
    folders.split(folder, 4, (7, 8))
    folders.save_in_phy(folder, {6: "good", 3: "noise"})
    sorting = read_sorting(folder)
    assert sorting.unit_ids.tolist() == [2, 3, 5, 6, 7, 8]
    merged = np.sort(np.concatenate([KILOSORT2.samples_of(0), KILOSORT2.samples_of(1)]))
    np.testing.assert_array_equal(sorting.samples_of(3), merged)
    assert sorting.columns["quality"].values.tolist() == [
        "unsorted",
        "noise",
        "unsorted",
        "good",
        "unsorted",
        "unsorted",
    ]
    assert sorting.peak_channels is not None
    larger = int(np.argmax([len(KILOSORT2.samples_of(0)), len(KILOSORT2.samples_of(1))]))
    expected = [KILOSORT2.peaks[k] for k in (2, 3, 5, larger, 4, 4)]
    assert sorting.peak_channels.tolist() == expected
    assert set(reasons(sorting)) == {"cluster 0", "cluster 1", "cluster 4"}
    assert "now belong to cluster 6" in reasons(sorting)["cluster 0"]
    assert "now belong to clusters 7, 8" in reasons(sorting)["cluster 4"]
    assert "cluster_KSLabel.tsv" in reasons(sorting)["cluster 4"]


def test_clusters_without_spikes_are_reported(tmp_path: Path) -> None:
    folder = folders.kilosort4(tmp_path / "ks", KILOSORT4)
    keep = KILOSORT4.units != 2
    for name in ("spike_times", "spike_clusters", "spike_templates", "amplitudes"):
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[keep])
    folders.write_table(folder, "cluster_group.tsv", ["cluster_id", "group"], [(0, "good"), (77, "mua")])
    found = reasons(read_sorting(folder))
    assert set(found) == {"cluster 2", "cluster 77"}
    assert "assigned no spike" in found["cluster 2"]
    assert "merged or split away in Phy (listed in cluster_group.tsv)" in found["cluster 77"]


def write_spikes(folder: Path, times: object, clusters: object, **arrays_: object) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "spike_times.npy", np.asarray(times))
    np.save(folder / "spike_clusters.npy", np.asarray(clusters))
    for name, values in arrays_.items():
        np.save(folder / f"{name}.npy", np.asarray(values))
    np.save(folder / "channel_map.npy", np.arange(4))
    folders.write_params(folder, n_channels_dat=4, dat_path="'../raw.bin'")
    return folder


def test_times_out_of_order_and_twice(tmp_path: Path) -> None:
    folder = write_spikes(tmp_path / "ks", [30, 10, 20, 20, 5], [1, 1, 2, 2, 2], amplitudes=[3.0, 1, 20, 21, 5])
    sorting = read_sorting(folder)
    assert sorting.samples_of(0).tolist() == [10, 30]
    assert sorting.samples_of(1).tolist() == [5, 20, 20]
    assert sorting.amplitudes is not None
    assert sorting.amplitudes.tolist() == [1, 3, 5, 20, 21]
    assert has_note(sorting, "not in order of time", "1, 2")
    assert has_note(sorting, "same sample", "kept", "2 (1)")


def test_spikes_outside_the_recording(tmp_path: Path) -> None:
    times = np.array([-5, 3, 40, 98, 99, 100, 150]).astype(np.uint64)  # the negative sample wraps round
    folder = write_spikes(tmp_path / "ks", times, [1, 1, 2, 2, 2, 2, 3], amplitudes=np.arange(7.0))
    (tmp_path / "raw.bin").write_bytes(bytes(100 * 4 * 2))
    sorting = read_sorting(folder)
    assert sorting.unit_ids.tolist() == [1, 2]
    assert sorting.samples_of(0).tolist() == [3]
    assert sorting.samples_of(1).tolist() == [40, 98, 99]
    assert sorting.amplitudes is not None
    assert sorting.amplitudes.tolist() == [1, 2, 3, 4]
    assert has_note(sorting, "1 spikes lie before the first sample", "1 (1)")
    assert has_note(sorting, "2 spikes lie after the last sample (100)", "2 (1), 3 (1)")
    assert "outside the recording" in reasons(sorting)["cluster 3"]
    assert read_sorting(folder, n_samples=1000).unit_ids.tolist() == [1, 2, 3]


def test_a_recording_that_was_cut_short_costs_no_spikes(tmp_path: Path) -> None:
    folder = write_spikes(tmp_path / "ks", np.arange(50) * 30_000, [1, 2] * 25)
    (tmp_path / "raw.bin").write_bytes(bytes(100 * 4 * 2))
    sorting = read_sorting(folder)
    assert len(sorting.spike_samples) == 50
    assert has_note(sorting, "not the whole recording", "All spikes are kept")


def test_negative_clusters(tmp_path: Path) -> None:
    sorting = read_sorting(write_spikes(tmp_path / "ks", [1, 2, 3, 4], [-1, 5, -1, 5]))
    assert sorting.unit_ids.tolist() == [5]
    assert sorting.samples_of(0).tolist() == [2, 4]
    assert reasons(sorting) == {"2 spikes": "a negative cluster id names no unit"}


def test_huge_cluster_ids(tmp_path: Path) -> None:
    sorting = read_sorting(write_spikes(tmp_path / "ks", [1, 2, 3], [2**33, 4, 2**33]))
    assert sorting.unit_ids.tolist() == [4, 2**33]
    assert sorting.samples_of(1).tolist() == [1, 3]


def test_without_spike_clusters_the_sorters_units_are_read(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path / "ks", KILOSORT2)
    (folder / "spike_clusters.npy").unlink()
    sorting = read_sorting(folder)
    assert len(sorting) == KILOSORT2.n_units
    assert has_note(sorting, "spike_clusters.npy is missing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: np.save(f / "spike_times.npy", np.array([0.1, 0.2, 0.3])), "no whole samples"),
        (lambda f: np.save(f / "spike_times.npy", np.arange(4)), r"spike_times\.npy 4, spike_clusters\.npy 3"),
        (lambda f: np.save(f / "amplitudes.npy", np.arange(2.0)), r"amplitudes\.npy 2"),
        (lambda f: np.save(f / "spike_clusters.npy", np.array([0.5, 1, 2])), "no whole numbers"),
        (lambda f: np.save(f / "spike_clusters.npy", np.array([{}, 1, 2])), "cannot be read as an array of numbers"),
        (lambda f: (f / "spike_times.npy").write_bytes(b"\x93NUMPY"), "cannot be read as an array of numbers"),
        (lambda f: (f / "spike_clusters.npy").unlink(), "neither spike_clusters"),
        (lambda f: np.save(f / "spike_times.npy", np.ones((3, 2), dtype=int)), "one number a spike"),
        (lambda f: np.save(f / "channel_map.npy", np.array([0, 1, 2, 9])), "names channel 9"),
        (lambda f: np.save(f / "channel_map.npy", np.array([0, 1, 1])), "twice"),
        (lambda f: np.save(f / "templates.npy", np.ones((3, 5, 7), dtype="f4")), "7 channels, but 4"),
    ],
)
def test_folders_that_cannot_be_read(tmp_path: Path, change: Callable[[Path], object], message: str) -> None:
    folder = write_spikes(tmp_path / "ks", [1, 2, 3], [0, 1, 2])
    read_sorting(folder)
    change(folder)
    with pytest.raises(InputError, match=message):
        read_sorting(folder)


def test_spikes_alone_are_enough(tmp_path: Path) -> None:
    folder = write_spikes(tmp_path / "ks", [1, 2, 3], [0, 1, 2])
    (folder / "channel_map.npy").unlink()
    sorting = read_sorting(folder)
    assert (sorting.peak_channels, sorting.templates) == (None, None)
    assert has_note(sorting, "nothing of channels")


def test_empty_sorting(tmp_path: Path) -> None:
    folder = write_spikes(tmp_path / "ks", np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32))
    with pytest.raises(InputError, match="holds no spikes"):
        read_sorting(folder)


def test_channels_become_rows_of_the_recordings_probe(tmp_path: Path) -> None:
    used = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14]
    folder = folders.kilosort4(tmp_path / "ks", KILOSORT4, columns=used, n_file_channels=17)
    columns = np.arange(16)[::-1].copy()  # row r of the probe is column 15 - r
    sorting = read_sorting(folder, columns=columns)
    assert sorting.peak_channels is not None
    assert sorting.peak_channels.tolist() == [15 - used[k] for k in KILOSORT4.peaks]
    assert sorting.templates is not None
    assert sorting.templates.waveforms.shape == (6, 61, 16)
    assert not sorting.templates.waveforms[:, :, [15, 11, 2, 0]].any()  # columns 0, 4, 13, 15 were not sorted
    own = read_sorting(folder)
    assert own.templates is not None
    np.testing.assert_array_equal(sorting.templates.waveforms[:, :, [15 - c for c in used]], own.templates.waveforms)


def test_maps_that_count_from_one(tmp_path: Path) -> None:
    folder = folders.kilosort25(tmp_path / "ks", KILOSORT2)
    np.save(folder / "channel_map.npy", np.arange(1, 13)[None, :])
    assert read_probe(folder).channel_names[0] == "CH0"
    assert has_note(read_sorting(folder), "counts channels from 1")
    folders.write_params(folder, n_channels_dat=13)  # now channel 12 exists: 1 to 12 can be meant
    assert read_probe(folder).channel_names[0] == "CH1"


def test_positions_of_the_recording_are_compared(tmp_path: Path) -> None:
    folder = folders.kilosort4(tmp_path / "ks", KILOSORT4)
    probe = read_probe(folder)
    assert not has_note(read_sorting(folder, probe=probe), "channel_positions.npy places")
    np.save(folder / "channel_positions.npy", probe.positions_um + np.array([0, 500]))  # the tip lies elsewhere
    assert not has_note(read_sorting(folder, probe=probe), "channel_positions.npy places")
    np.save(folder / "channel_positions.npy", probe.positions_um[::-1])
    assert has_note(read_sorting(folder, probe=probe), "channel_positions.npy places", "220 um")


def test_shanks(tmp_path: Path) -> None:
    folder = folders.kilosort4(tmp_path / "ks", KILOSORT4)
    np.save(folder / "channel_shanks.npy", np.repeat([1.0, 2.0, 4.0], 4))
    assert read_probe(folder).shanks.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_missing_geometry_is_noted(tmp_path: Path) -> None:
    folder = folders.kilosort4(tmp_path / "ks", KILOSORT4)
    (folder / "channel_positions.npy").unlink()
    (folder / "channel_map.npy").unlink()
    assert np.isnan(read_probe(folder).positions_um).all()
    sorting = read_sorting(folder)
    assert has_note(sorting, "channel_map.npy is missing")
    assert has_note(sorting, "channel_positions.npy is missing")
