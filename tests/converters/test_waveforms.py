"""Mean waveforms: equal to slow obvious loops and to SpikeInterface, in the right place, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import butter, lfilter

from nwb_celltype.converters import snippets
from nwb_celltype.converters.neighbours import nearest_channels
from nwb_celltype.converters.records import Probe, Sorting, Templates, UnitWaveforms
from nwb_celltype.converters.slow_potentials import suggest_high_pass
from nwb_celltype.converters.spike_selection import N_BLOCKS, spread_spikes
from nwb_celltype.converters.traces import BinaryTraces
from nwb_celltype.converters.waveforms import mean_waveforms, template_waveforms
from nwb_celltype.errors import InputError, UsageError

RATE = 30_000.0
N_BEFORE, N_AFTER = 45, 75


def make_probe(n: int, *, shanks: Sequence[int] | None = None, **options: Any) -> Probe:
    """Two columns, 20 um from row to row, as on a Neuropixels shank."""
    positions = np.column_stack([32.0 * (np.arange(n) % 2), 20.0 * (np.arange(n) // 2)])
    names = tuple(f"AP{i}" for i in range(n))
    options = {"positions_um": positions, "shanks": np.array(shanks or [0] * n)} | options
    return Probe("imec0", names, geometry_source="by hand", **options)


def make_sorting(trains: Sequence[Any], *, peaks: Sequence[int] | None = None, **options: Any) -> Sorting:
    trains = [np.sort(np.asarray(train, dtype=np.int64)) for train in trains]
    ids = options.pop("unit_ids", np.arange(10, 10 + len(trains)))
    return Sorting(
        unit_ids=ids,
        unit_names=tuple(map(str, ids)),
        spike_samples=np.concatenate([np.empty(0, dtype=np.int64), *trains]),
        offsets=np.cumsum([0, *map(len, trains)]),
        sampling_rate_hz=options.pop("rate", RATE),
        source="by hand",
        peak_channels=None if peaks is None else np.array(peaks),
        **options,
    )


def make_traces(folder: Path, counts: np.ndarray, *, cuts: Sequence[int] = (), **options: Any) -> BinaryTraces:
    """Write counts into several files with headers, with a column of sync words first."""
    paths = []
    rows = np.column_stack([np.full(len(counts), 64), counts]).astype(counts.dtype)
    for a, b in zip((0, *cuts), (*cuts, len(counts)), strict=True):
        paths.append(folder / f"{a}.bin")
        paths[-1].write_bytes(b"head" + rows[a:b].tobytes())
    given: dict[str, Any] = {
        "name": "imec0.ap",
        "paths": tuple(paths),
        "dtype": counts.dtype,
        "n_file_channels": rows.shape[1],
        "columns": np.arange(1, rows.shape[1]),
        "sampling_rate_hz": RATE,
        "gains_uv": np.full(counts.shape[1], 2.34375),
        "header_bytes": 4,
    }
    return BinaryTraces(**(given | options))


class ArrayTraces:
    """A recording in memory: any other kind of source."""

    name, sampling_rate_hz, filtering, paths = "array", RATE, "", ()

    def __init__(self, counts: np.ndarray, gains_uv: Any = None, offsets_uv: Any = None) -> None:
        self.counts, self.gains_uv, self.offsets_uv = counts, gains_uv, offsets_uv
        self.n_samples, self.n_channels = counts.shape
        self.dtype = counts.dtype
        self.largest = 0

    def read(self, start: int, stop: int, channels: Any = None) -> np.ndarray:
        assert 0 <= start < stop <= self.n_samples
        self.largest = max(self.largest, stop - start)
        return self.counts[start:stop] if channels is None else self.counts[start:stop, channels]


def chosen(sorting: Sorting, n_samples: int, *, max_spikes: int = 500, seed: int = 0) -> list[np.ndarray]:
    return [
        spread_spikes(
            sorting.samples_of(row),
            n_samples,
            n_before=N_BEFORE,
            n_after=N_AFTER,
            max_spikes=max_spikes,
            seed=(seed, int(unit)),
        ).samples
        for row, unit in enumerate(sorting.unit_ids)
    ]


def slow_mean(counts: np.ndarray, spikes: np.ndarray, channel: int, gain: float, offset: float) -> tuple[Any, Any]:
    """Mean and population standard deviation of one channel, a value at a time."""
    means, sds = [], []
    for w in range(-N_BEFORE, N_AFTER):
        values = [float(counts[int(t) + w, channel]) * gain + offset for t in spikes]
        mean = sum(values) / len(values)
        means.append(mean)
        sds.append((sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5)
    return means, sds


def check_against_loops(
    waveforms: UnitWaveforms, spikes: list[np.ndarray], counts: np.ndarray, gains: Any, offsets: Any
) -> None:
    assert waveforms.sd is not None
    for row, times in enumerate(spikes):
        assert waveforms.n_spikes_used[row] == len(times)
        for k, channel in enumerate(waveforms.channels[row]):
            mean, sd = slow_mean(counts, times, channel, gains[channel], offsets[channel])
            np.testing.assert_allclose(waveforms.mean[row, :, k], mean, rtol=2e-7, atol=1e-5)
            np.testing.assert_allclose(waveforms.sd[row, :, k], sd, rtol=2e-7, atol=1e-5)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).integers(-300, 300, (20_000, 24)).astype("<i2")


@pytest.fixture
def trains() -> list[np.ndarray]:
    """Many spikes, bursts whose windows overlap, one spike, spikes at the very ends, doubles."""
    rng = np.random.default_rng(2)
    burst = np.concatenate([np.arange(5_000, 5_100, 3), np.arange(12_345, 12_500, 40)])
    ends = np.array([-5, 0, N_BEFORE - 1, N_BEFORE, 9_999, 20_000 - N_AFTER, 20_000 - N_AFTER + 1, 19_999, 30_000])
    doubles = np.repeat(rng.integers(100, 19_900, 30), 3)
    return [rng.integers(100, 19_900, 80), burst, np.array([7_000]), ends, doubles]


@pytest.mark.parametrize("kind", ["<i2", ">i2", "<u2", "<f4", "array"])
def test_equals_loops_over_single_values(tmp_path, noise, trains, kind):
    rng = np.random.default_rng(3)
    gains, offsets = rng.uniform(0.5, 3, 24), rng.uniform(-50, 50, 24)
    if kind == "array":
        counts, source = noise, ArrayTraces(noise, gains, offsets)
    else:
        counts = (noise.astype("i4") + (32_768 if kind == "<u2" else 0)).astype(kind)
        source = make_traces(tmp_path, counts, cuts=(5_050, 12_400), gains_uv=gains, offsets_uv=offsets)
    sorting = make_sorting(trains)
    waveforms = mean_waveforms(sorting, source, make_probe(24), n_channels=6)
    spikes = chosen(sorting, 20_000)
    assert spikes[3].tolist() == [N_BEFORE, 9_999, 20_000 - N_AFTER]
    assert len(spikes[4]) == len(np.unique(trains[4]))
    assert waveforms.mean.shape == (5, N_BEFORE + N_AFTER, 6)
    assert (waveforms.n_before, waveforms.unit, set(waveforms.source)) == (N_BEFORE, "microvolts", {"raw"})
    check_against_loops(waveforms, spikes, counts, gains, offsets)


def test_batches_threads_and_small_buffers_change_nothing(tmp_path, noise, trains, monkeypatch):
    sorting, probe = make_sorting(trains), make_probe(24)
    source = make_traces(tmp_path, noise, cuts=(5_050,))
    whole = mean_waveforms(sorting, source, probe)
    monkeypatch.setattr(snippets, "_SUMS_BYTES", 1)
    monkeypatch.setattr(snippets, "_MAX_THREADS", 1)
    monkeypatch.setattr(snippets, "_BUFFER_BYTES", 1)
    monkeypatch.setattr(snippets, "_READ_BYTES", 1)
    for same in (source, ArrayTraces(noise, source.gains_uv)):
        pieces = mean_waveforms(sorting, same, probe)
        for name in ("mean", "sd", "channels", "peak_channels", "n_spikes_used", "drift_um"):
            np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def test_channels_scattered_over_the_file(tmp_path, noise, trains):
    """The map from probe to file is any permutation of a part of the columns."""
    order = np.random.default_rng(4).permutation(24)[:15]
    source = make_traces(tmp_path, noise, columns=1 + order, gains_uv=np.ones(15))
    sorting = make_sorting(trains[:2])
    waveforms = mean_waveforms(sorting, source, make_probe(15), n_channels=4)
    check_against_loops(waveforms, chosen(sorting, 20_000), noise[:, order], np.ones(15), np.zeros(15))


def test_units_without_usable_spikes_have_nan_and_a_reason(tmp_path, noise):
    sorting = make_sorting([[], [10], [5_000], [19_990]], peaks=[3, -1, 3, 99])
    waveforms = mean_waveforms(sorting, make_traces(tmp_path, noise), make_probe(24), n_channels=4)
    assert waveforms.source == (
        "none: the unit has no spikes",
        "none: every spike's window leaves the recording",
        "raw",
        "none: every spike's window leaves the recording",
    )
    assert np.isnan(waveforms.mean).all(axis=(1, 2)).tolist() == [True, True, False, True]
    assert waveforms.n_spikes_used.tolist() == [0, 0, 1, 0]
    assert np.isnan(waveforms.drift_um).all()
    assert waveforms.peak_channels[[0, 1, 3]].tolist() == [3, -1, -1]
    assert waveforms.channels[0].tolist() == [3, 1, 5, 2]
    assert waveforms.channels[1].tolist() == [-1] * 4
    assert (waveforms.sd[2] == 0).all()


def test_no_units_at_all(tmp_path, noise):
    waveforms = mean_waveforms(make_sorting([]), make_traces(tmp_path, noise), make_probe(24))
    assert waveforms.mean.shape == (0, N_BEFORE + N_AFTER, 16)
    assert waveforms.source == ()


def test_without_gains_the_unit_is_counts(tmp_path, noise, trains):
    waveforms = mean_waveforms(make_sorting(trains[:1]), make_traces(tmp_path, noise, gains_uv=None), make_probe(24))
    assert waveforms.unit == "a.u."
    check_against_loops(waveforms, chosen(make_sorting(trains[:1]), 20_000), noise, np.ones(24), np.zeros(24))


SHAPE = np.zeros(N_BEFORE + N_AFTER)
SHAPE[N_BEFORE - 6 : N_BEFORE + 25] = np.interp(np.arange(-6, 25), [-6, 0, 8, 24], [0, -1, 0.4, 0])


def planted(
    probe: Probe, n_samples: int, spikes: np.ndarray, depths_um: np.ndarray, *, uv: float = 150.0, noise_uv: float = 8.0
) -> np.ndarray:
    """One unit in noise, counts of 1 uV; its amplitude falls off with distance from x = 8 um and its depth."""
    counts = np.random.default_rng(5).normal(0, noise_uv, (n_samples, len(probe)))
    for t, depth in zip(spikes, depths_um, strict=True):
        apart = np.hypot(*(probe.positions_um - [8.0, depth]).T)
        counts[t - N_BEFORE : t + N_AFTER] += SHAPE[:, None] * uv * np.exp(-((apart / 45) ** 2))
    return counts.round().astype("<i2")


@pytest.fixture(scope="module")
def drifting() -> tuple[Probe, np.ndarray, np.ndarray]:
    """A unit that stays at 300 um for 70 % of 10 s and then sits at 340 um."""
    probe = make_probe(64)
    spikes = np.arange(400, 299_500, 300)
    depths = np.where(spikes < 0.7 * 300_000, 300.0, 340.0)
    return probe, spikes, planted(probe, 300_000, spikes, depths)


@pytest.fixture(scope="module")
def drifting_traces(drifting, tmp_path_factory) -> BinaryTraces:
    return make_traces(tmp_path_factory.mktemp("drifting"), drifting[2], gains_uv=np.ones(64))


@pytest.mark.parametrize("hint", [None, 30, 0])
def test_drift_is_found_and_kept_out_of_the_mean(drifting, drifting_traces, hint):
    probe, spikes, _ = drifting
    sorting = make_sorting([spikes], peaks=None if hint is None else [hint])
    waveforms = mean_waveforms(sorting, drifting_traces, probe)
    assert waveforms.drift_um[0] == pytest.approx(40, abs=3)
    assert waveforms.peak_channels.tolist() == [30]  # at 300 um, in the column of x = 0
    assert waveforms.channels[0, 0] == 30
    assert waveforms.n_spikes_used.tolist() == [350]  # 7 blocks of 50
    alone = mean_waveforms(make_sorting([spikes[spikes < 200_000]]), drifting_traces, probe)
    assert np.abs(waveforms.mean - alone.mean).max() < 3
    assert waveforms.mean[0].min() == pytest.approx(-150 * np.exp(-((8 / 45) ** 2)), rel=0.02)


def test_few_spikes_are_all_used_though_the_unit_moved(drifting, drifting_traces):
    probe, spikes, _ = drifting
    waveforms = mean_waveforms(make_sorting([spikes]), drifting_traces, probe, max_spikes=40)
    assert waveforms.n_spikes_used.tolist() == [40]


def test_a_unit_that_stays_loses_no_spikes_to_noise(tmp_path):
    """Between two rows, so that noise decides which channel is larger."""
    probe, spikes = make_probe(64), np.arange(400, 299_500, 300)
    counts = planted(probe, 300_000, spikes, np.full(len(spikes), 310.0), uv=60.0, noise_uv=15.0)
    waveforms = mean_waveforms(make_sorting([spikes]), make_traces(tmp_path, counts, gains_uv=np.ones(64)), probe)
    assert waveforms.n_spikes_used.tolist() == [500]
    assert waveforms.peak_channels[0] in (30, 32)
    assert waveforms.drift_um[0] < 12


def test_depth_of_a_unit_lost_in_noise_is_unknown(tmp_path):
    probe, spikes = make_probe(16), np.arange(400, 59_000, 300)
    counts = planted(probe, 60_000, spikes, np.full(len(spikes), 40.0), uv=0.0)
    waveforms = mean_waveforms(make_sorting([spikes]), make_traces(tmp_path, counts), probe)
    assert np.isnan(waveforms.drift_um[0])


def test_the_sorters_channel_guides_where_two_units_fire_together(tmp_path):
    """The same spike times, a larger unit 1 mm away: each is looked for near where the sorter saw it."""
    probe, spikes = make_probe(160), np.arange(400, 59_000, 600)
    counts = planted(probe, 60_000, spikes, np.full(len(spikes), 100.0))
    counts += planted(probe, 60_000, spikes, np.full(len(spikes), 1_300.0), uv=300.0)
    source = make_traces(tmp_path, counts, gains_uv=np.ones(160))
    waveforms = mean_waveforms(make_sorting([spikes] * 3, peaks=[14, 128, -1]), source, probe)
    assert waveforms.peak_channels.tolist() == [10, 130, 130]


def test_reference_channels_are_neither_peak_nor_neighbour(drifting, drifting_traces):
    _, spikes, _ = drifting
    is_reference = np.zeros(64, dtype=bool)
    is_reference[[30, 31]] = True
    marked = make_probe(64, is_reference=is_reference)
    sorting = make_sorting([spikes[spikes < 200_000]], peaks=[30])
    waveforms = mean_waveforms(sorting, drifting_traces, marked, n_channels=200)
    assert waveforms.channels.shape == (1, 62)
    assert not np.isin([30, 31], waveforms.channels).any()
    assert waveforms.peak_channels[0] in (28, 32)


def test_nearest_channels_prefer_the_shank_and_fill_up_from_others():
    positions = np.column_stack([np.repeat([0.0, 15.0], 4), np.tile([0.0, 20.0, 40.0, 60.0], 2)])
    probe = make_probe(8, shanks=[0, 0, 0, 0, 1, 1, 1, 1], positions_um=positions)
    assert nearest_channels(probe, 1, 3).tolist() == [1, 0, 2]
    assert nearest_channels(probe, 1, 6).tolist() == [1, 0, 2, 3, 5, 4]
    assert nearest_channels(probe, 1, 99).tolist() == [1, 0, 2, 3, 5, 4, 6, 7]
    assert nearest_channels(probe, 1, 6, same_shank=True).tolist() == [1, 0, 2, 3]


def test_channels_of_unknown_place_go_by_row():
    unknown = make_probe(6, positions_um=np.full((6, 2), np.nan))
    assert nearest_channels(unknown, 3, 4).tolist() == [3, 2, 4, 1]
    positions = np.column_stack([np.zeros(6), [0.0, 20.0, np.nan, 60.0, 80.0, 100.0]])
    assert nearest_channels(make_probe(6, positions_um=positions), 3, 6).tolist() == [3, 4, 1, 5, 0, 2]


def test_unknown_positions_give_waveforms_and_no_drift(drifting, drifting_traces):
    _, spikes, _ = drifting
    probe = make_probe(64, positions_um=np.full((64, 2), np.nan))
    waveforms = mean_waveforms(make_sorting([spikes]), drifting_traces, probe)
    assert waveforms.peak_channels.tolist() == [30]
    assert waveforms.channels[0, :3].tolist() == [30, 29, 31]
    assert np.isnan(waveforms.drift_um[0])


def test_spikes_are_spread_over_time_not_over_spikes():
    late = np.arange(540_000, 599_000, 10)
    early = np.arange(1_000, 540_000, 5_000)
    spread = spread_spikes(np.concatenate([early, late]), 600_000, n_before=45, n_after=75, max_spikes=100, seed=(0, 1))
    assert np.bincount(spread.blocks, minlength=N_BLOCKS).tolist() == [10] * N_BLOCKS
    assert spread.n_usable == len(early) + len(late)
    few = spread_spikes(np.array([50, 50, 70]), 600_000, n_before=45, n_after=75, max_spikes=2, seed=(0, 1))
    assert few.samples.tolist() == [50, 70]
    some = spread_spikes(np.concatenate([early[:5], late]), 600_000, n_before=45, n_after=75, max_spikes=99, seed=(3,))
    assert np.bincount(some.blocks, minlength=N_BLOCKS).tolist() == [5, *[0] * 8, 94]
    assert (np.diff(some.samples) > 0).all()


def test_the_seed_and_the_unit_decide_and_nothing_else(drifting, drifting_traces):
    probe, spikes, _ = drifting
    source = drifting_traces
    options: dict[str, Any] = {"max_spikes": 60}
    both = make_sorting([spikes, spikes[::2]])
    first, again = (mean_waveforms(both, source, probe, **options) for _ in range(2))
    np.testing.assert_array_equal(first.mean, again.mean)
    np.testing.assert_array_equal(first.sd, again.sd)
    second_alone = mean_waveforms(make_sorting([spikes[::2]], unit_ids=np.array([11])), source, probe, **options)
    np.testing.assert_array_equal(first.mean[1], second_alone.mean[0])
    other = mean_waveforms(both, source, probe, seed=1, **options)
    assert (first.mean != other.mean).any()
    assert spread_spikes(spikes, 300_000, n_before=45, n_after=75, max_spikes=9, seed=(2**63, 5)).n_usable == len(
        spikes
    )


def test_high_pass_equals_filtering_the_whole_recording(tmp_path, noise, trains):
    slow = 3_000 * np.sin(np.arange(20_000) / 800)[:, None]
    counts = (noise + slow + 500).astype("<i2")
    sorting = make_sorting(trains[:4])
    filtered = lfilter(*butter(1, 300, "high", fs=RATE), counts - counts[0].astype(float), axis=0)
    expected = mean_waveforms(sorting, ArrayTraces(filtered), make_probe(24))
    for source in (make_traces(tmp_path, counts, gains_uv=np.ones(24)), ArrayTraces(counts)):
        found = mean_waveforms(sorting, source, make_probe(24), high_pass_hz=300)
        assert set(found.source) == {"raw, high-passed at 300 Hz"}
        np.testing.assert_array_equal(found.channels, expected.channels)
        np.testing.assert_allclose(found.mean, expected.mean, atol=0.3)
        np.testing.assert_allclose(found.sd, expected.sd, atol=0.3)


def test_slow_potentials_are_noticed(tmp_path, noise):
    assert suggest_high_pass(make_traces(tmp_path, noise)) is None
    slow = 1_000 * np.sin(2 * np.pi * 6 * np.arange(20_000) / RATE)[:, None]
    assert suggest_high_pass(ArrayTraces((noise + slow).astype("<i2"))) == 300
    assert suggest_high_pass(ArrayTraces(np.zeros((20_000, 3), dtype="<i2"))) is None
    assert suggest_high_pass(ArrayTraces(noise[:100])) is None


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:spikeinterface.*")
def test_equals_the_templates_of_spikeinterface(tmp_path):
    import spikeinterface.core as si

    recording, truth = si.generate_ground_truth_recording(
        durations=[8.0], num_channels=24, num_units=4, sampling_frequency=RATE, seed=3
    )
    counts = np.clip((recording.get_traces() * 5).round(), -32_768, 32_767).astype("<i2")
    source = make_traces(tmp_path, counts, gains_uv=np.full(24, 0.2), offsets_uv=np.full(24, 1.5))
    probe = make_probe(24, positions_um=recording.get_channel_locations().astype(float))
    sorting = make_sorting([truth.get_unit_spike_train(unit) for unit in truth.unit_ids])
    ours = mean_waveforms(sorting, source, probe, max_spikes=60, n_channels=8)

    spikes = chosen(sorting, len(counts), max_spikes=60)
    stored = si.NumpyRecording([counts], RATE)
    stored.set_channel_gains(0.2)
    stored.set_channel_offsets(1.5)
    stored.set_probe(recording.get_probe())
    same = si.NumpySorting.from_unit_dict({str(i): times for i, times in enumerate(spikes)}, RATE)
    analyzer = si.create_sorting_analyzer(same, stored, sparse=False, format="memory")
    analyzer.compute("random_spikes", method="all")
    analyzer.compute("templates", operators=["average", "std"], ms_before=1.5, ms_after=2.5)
    templates = analyzer.get_extension("templates")
    assert ours.n_spikes_used.tolist() == [len(times) for times in spikes]
    for row, channels in enumerate(ours.channels):
        mean = templates.get_templates(operator="average")[row][:, channels]
        sd = templates.get_templates(operator="std")[row][:, channels]
        np.testing.assert_allclose(ours.mean[row], mean, atol=1e-4)
        np.testing.assert_allclose(ours.sd[row], sd, atol=1e-2)  # single precision there


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """2 GB that are holes, 20 units all over it."""
    path, n_channels = tmp_path / "large.bin", 385
    n_samples = 2 * 2**30 // (2 * n_channels)
    with open(path, "wb") as file:
        file.truncate(n_samples * 2 * n_channels)
    source = BinaryTraces(
        name="large",
        paths=(path,),
        dtype=np.dtype("<i2"),
        n_file_channels=n_channels,
        columns=np.arange(384),
        sampling_rate_hz=RATE,
        gains_uv=np.ones(384),
    )
    rng = np.random.default_rng(0)
    sorting = make_sorting([rng.integers(0, n_samples, 2_000) for _ in range(20)])
    mean_waveforms(make_sorting([[100]]), source, make_probe(384))  # compiled outside of the measure
    tracemalloc.start()
    try:
        waveforms = mean_waveforms(sorting, source, make_probe(384), max_spikes=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (waveforms.mean == 0).all()
    assert peak < 130 * 2**20


def test_other_sources_are_read_a_second_at_a_time(noise):
    counts = np.tile(noise[:, :4], (20, 1))
    source = ArrayTraces(counts)
    mean_waveforms(make_sorting([np.arange(100, 399_000, 50)]), source, make_probe(4))
    assert 10_000 < source.largest <= 30_000


def test_progress_ends_with_all_spikes(tmp_path, noise, trains):
    told: list[tuple[str, int, int]] = []
    sorting = make_sorting(trains)
    mean_waveforms(sorting, make_traces(tmp_path, noise), make_probe(24), progress=lambda *said: told.append(said))
    total = sum(map(len, chosen(sorting, 20_000)))
    assert [said for said in told if said[1] == said[2]][-1] == ("mean waveforms", total, total)
    assert told[0][0] == "peak channels"


@pytest.mark.parametrize(
    ("probe", "rate", "options", "error", "words"),
    [
        (make_probe(23), RATE, {}, InputError, "the probe has 23 channels and the recording 24"),
        (make_probe(24, is_reference=np.ones(24, dtype=bool)), RATE, {}, InputError, "every channel is a reference"),
        (make_probe(24), 25_000.0, {}, InputError, "sampled at 25000 Hz and the recording at 30000 Hz"),
        (make_probe(24), RATE, {"ms_before": 0}, UsageError, "too short"),
        (make_probe(24), RATE, {"n_channels": 0}, UsageError, "0 channels"),
        (make_probe(24), RATE, {"max_spikes": 0}, UsageError, "0 spikes"),
        (make_probe(24), RATE, {"high_pass_hz": 15_000}, UsageError, "high-pass at 15000 Hz is impossible"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, noise, probe, rate, options, error, words):
    with pytest.raises(error, match=words):
        mean_waveforms(make_sorting([[500]], rate=rate), make_traces(tmp_path, noise), probe, **options)


def test_a_file_that_is_cut_while_it_is_read(tmp_path, noise):
    source = make_traces(tmp_path, noise)
    with open(source.paths[0], "r+b") as file:
        file.truncate(1_000)
    with pytest.raises(InputError, match="became shorter"):
        mean_waveforms(make_sorting([[15_000]]), source, make_probe(24))


def test_templates_go_to_the_channels_nearest_to_their_peak():
    probe = make_probe(12)
    shapes = np.zeros((4, 30, 12))
    shapes[0, 10, 7], shapes[0, 10, 5] = -5, -3
    shapes[1] = np.nan
    shapes[3, 10, 0] = 2
    templates = Templates(shapes, 10, "a.u.", ("template, unwhitened", "", "template", "template, whitened"))
    sorting = make_sorting([[1], [2], [3], [4]], peaks=[5, 2, -1, -1], templates=templates)
    waveforms = template_waveforms(sorting, probe, n_channels=4)
    assert waveforms is not None
    assert waveforms.peak_channels.tolist() == [7, 2, -1, 0]
    assert waveforms.channels.tolist() == [[7, 5, 9, 6], [2, 0, 4, 3], [-1] * 4, [0, 2, 1, 3]]
    np.testing.assert_array_equal(waveforms.mean[0], shapes[0][:, [7, 5, 9, 6]])
    assert np.isnan(waveforms.mean).all(axis=(1, 2)).tolist() == [False, True, True, False]
    assert waveforms.source == (
        "template, unwhitened",
        "none: the sorter kept no template",
        "none: the template is zero everywhere",
        "template, whitened",
    )
    assert (waveforms.sd, waveforms.unit, waveforms.n_before) == (None, "a.u.", 10)


def test_templates_that_are_absent_or_do_not_fit():
    assert template_waveforms(make_sorting([[1]]), make_probe(4)) is None
    odd = Templates(np.zeros((1, 30, 5)), 10, "a.u.", ("template",))
    with pytest.raises(InputError, match="templates of 1 units on 5 channels, but 1 units and 4 channels of imec0"):
        template_waveforms(make_sorting([[1]], templates=odd), make_probe(4))
