"""Odd values that files of the database hold: each read, or refused with neuron and field named."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest

from nwb_celltype.converters.c4 import read_database, read_session
from nwb_celltype.errors import InputError

from .database import ABSENT, MOUSE_HZ, NULL, macaque, mouse, places, waveform, write


def one(tmp_path, fields):
    """Read the only neuron of a file."""
    path = write(tmp_path / "c4.h5", [fields])
    database = read_database(path)
    neurons, left_out = database.read(database.recordings[0])
    assert not left_out, left_out
    return neurons[0]


def refused(neuron):
    return {item.what.split()[1]: item.reason for item in neuron.left_out}


@pytest.mark.parametrize(
    "stored", [30_000, 30_000.0, np.array([30_000]), np.float32(30_000), "30000", b"30000.0", np.array([[30_000]])]
)
def test_rates_of_every_type(tmp_path, stored):
    assert one(tmp_path, mouse(0, sampling_rate=stored)).sampling_rate_hz == MOUSE_HZ


@pytest.mark.parametrize("dtype", ["uint32", "int64", "float64", "uint64"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1)])
def test_spikes_of_every_type(tmp_path, dtype, shape):
    spikes = mouse(0)["spike_indices"]
    neuron = one(tmp_path, mouse(0, spike_indices=spikes.astype(dtype).reshape(shape)))
    assert neuron.train.samples.dtype == np.int64
    assert np.array_equal(neuron.train.samples, spikes)


def test_spikes_out_of_order_are_sorted_with_what_belongs_to_them(tmp_path):
    plain = mouse(0)
    order = np.random.default_rng(0).permutation(len(plain["spike_indices"]))
    per_spike = ("spike_indices", "amplitudes", "sane_spikes", "fn_fp_filtered_spikes")
    neuron = one(tmp_path, mouse(0, **{name: plain[name][order] for name in per_spike}))
    assert np.array_equal(neuron.train.samples, plain["spike_indices"])
    assert np.array_equal(neuron.train.amplitudes, plain["amplitudes"])
    assert np.array_equal(neuron.train.is_sane, plain["sane_spikes"])
    assert np.array_equal(neuron.train.is_filtered, plain["fn_fp_filtered_spikes"])
    assert any("not in order" in note for note in neuron.notes)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"spike_indices": ABSENT}, "spike_indices", "missing"),
        ({"spike_indices": NULL}, "spike_indices", "missing"),
        ({"spike_indices": np.array([1.5, 2.0])}, "spike_indices", "not whole"),
        ({"spike_indices": np.array([-5, 3])}, "spike_indices", "before the recording"),
        ({"spike_indices": np.ones((5, 5), int)}, "spike_indices", r"shape \(5, 5\)"),
        ({"spike_indices": "many"}, "spike_indices", "'many'"),
        ({"spike_indices": np.array([True, False])}, "spike_indices", "whole numbers"),
        ({"spike_indices": np.array([2**63 + 5], np.uint64)}, "spike_indices", "too large"),
        ({"sampling_rate": ABSENT}, "sampling_rate", "missing"),
        ({"sampling_rate": "fast"}, "sampling_rate", "'fast'"),
        ({"sampling_rate": 0}, "sampling_rate", "no rate"),
        ({"sampling_rate": np.nan}, "sampling_rate", "missing"),
        ({"sampling_rate": np.array([30_000, 40_000])}, "sampling_rate", "one number"),
    ],
)
def test_a_neuron_that_cannot_be_read_is_left_out_and_the_rest_goes_on(tmp_path, changes, field, reason):
    path = write(tmp_path / "c4.h5", [mouse(0), mouse(1, **changes), mouse(2)])
    sorting = read_session(path).recordings[0].sorting
    assert sorting.unit_names == ("hausser_neuron_0", "hausser_neuron_2")
    found = {item.what: item.reason for item in sorting.left_out}
    assert field in found["neuron hausser_neuron_1"]
    assert re.search(reason, found["neuron hausser_neuron_1"])


def test_a_recording_without_any_readable_neuron_is_refused_by_name(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, spike_indices=ABSENT)])
    with pytest.raises(InputError, match="hausser_neuron_0, field spike_indices"):
        read_session(path)


@pytest.mark.parametrize("stored", [NULL, ABSENT, "null", "None", b"", np.nan, np.empty(0)])
def test_a_null_mask_is_one_that_is_not_stated(tmp_path, stored):
    neuron = one(tmp_path, mouse(0, fn_fp_filtered_spikes=stored))
    assert neuron.train.is_filtered is None
    assert neuron.left_out == ()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_masks_of_every_type(tmp_path, dtype):
    plain = mouse(0)
    neuron = one(tmp_path, mouse(0, sane_spikes=plain["sane_spikes"].astype(dtype)[:, None]))
    assert np.array_equal(neuron.train.is_sane, plain["sane_spikes"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sane_spikes": np.ones(3, bool)}, "3 values for"),
        ({"sane_spikes": "yes"}, "'yes'"),
        ({"fn_fp_filtered_spikes": np.full(len(mouse(0)["spike_indices"]), 2)}, "other than 0 and 1"),
        ({"amplitudes": np.ones(4)}, "4 values where"),
        ({"sane_periods": "some"}, "'some'"),
        ({"sane_periods": np.array([1.0, 2.0, 3.0])}, "pairs of seconds"),
        ({"sane_periods": np.array([[5.0, 1.0]])}, "ends before"),
        ({"sane_periods": np.array([[np.nan, 1.0]])}, "NaN"),
        ({"sane_periods": np.array([[30_000.0, 900_000.0]])}, "not in seconds"),
        ({"optostims": np.array([[2.0, 1.0]])}, "ends before"),
        ({"optostims": np.array([[2.0, np.inf]])}, "not finite"),
        ({"peakchan_SNR": "high"}, "'high'"),
        ({"phyllum_layer": np.array(["ML", "GCL"], dtype=object)}, "one text"),
        ({"channel_ids": np.zeros(22, int)}, "twice"),
        ({"channel_ids": np.arange(22) + 0.5}, "not whole"),
        ({"channelmap": np.zeros((21, 2))}, "22 places"),
        ({"channel_noise_std": np.ones(5)}, "5 values where 22"),
        ({"mean_waveform_preprocessed": np.zeros((5, 180))}, "5 channels beside 22"),
        ({"mean_waveform_preprocessed": np.full((22, 180), np.nan)}, "not finite"),
        ({"mean_waveform_preprocessed": np.full((22, 180), 1e60)}, "not finite"),
        ({"mean_waveform_preprocessed": "flat"}, "'flat'"),
        ({"mean_waveform_preprocessed": 3.5}, "no waveform"),
    ],
)
def test_any_other_field_is_refused_alone(tmp_path, changes, reason):
    neuron = one(tmp_path, mouse(0, **changes))
    (field,) = changes
    assert list(refused(neuron)) == [field]
    assert reason in refused(neuron)[field]
    assert len(neuron.train) == len(mouse(0)["spike_indices"])


def test_a_field_that_is_a_group_or_a_dead_link_or_damaged_is_refused(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, amplitudes=ABSENT, optostims=ABSENT, channelmap=ABSENT)])
    with h5py.File(path, "a") as file:
        neuron = file["hausser_neuron_0"]
        neuron.create_group("amplitudes")
        neuron["optostims"] = h5py.SoftLink("/nowhere")
        neuron["channelmap"] = np.zeros(22, dtype=[("x", "f4"), ("y", "f4")])
    ((neuron,), _) = read_database(path).read("20-03-06_DK186_probe1")
    assert set(refused(neuron)) == {"amplitudes", "optostims", "channelmap"}


def test_a_damaged_chunk_costs_its_field_alone(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, amplitudes=ABSENT)])
    n = len(mouse(0)["spike_indices"])
    with h5py.File(path, "a") as file:
        file["hausser_neuron_0"].create_dataset("amplitudes", data=np.linspace(0, 1, n), chunks=(n,), fletcher32=True)
        offset = file["hausser_neuron_0/amplitudes"].id.get_chunk_info(0).byte_offset
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xff" * 16)
    neurons, left_out = read_database(path).read("20-03-06_DK186_probe1")
    assert left_out == ()
    assert "damaged" in refused(neurons[0])["amplitudes"]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("all", None),
        (b"all", None),
        (np.array(["all"], dtype=object), None),
        ("ALL", None),
        (ABSENT, None),
        (NULL, None),
        (np.empty((0, 2)), None),
        (np.array([[0.0, 10.0], [20.0, 30.0]]), [[0, 10], [20, 30]]),
        (np.array([[0, 10], [20, 30], [40, 50]]).T, [[0, 10], [20, 30], [40, 50]]),
        (np.array([[0.0, 20.0], [10.0, 30.0]]), [[0, 10], [20, 30]]),
        (np.array([[20.0, 0.0], [30.0, 10.0]]), [[0, 10], [20, 30]]),
        (np.array([[0.0, 20.0], [5.0, 10.0]]), [[0, 20]]),
        (np.array([0.0, 10.0]), [[0, 10]]),
        (np.array([[20, 30], [0, 10], [5, 15]]), [[0, 15], [20, 30]]),
        (np.array([[-1.0, 10.0]]), [[0, 10]]),
    ],
)
def test_sane_periods_in_every_form(tmp_path, stored, expected):
    neuron = one(tmp_path, mouse(0, sane_periods=stored))
    assert neuron.left_out == ()
    if expected is None:
        assert neuron.sane_periods is None
    else:
        assert neuron.sane_periods.tolist() == expected


@pytest.mark.parametrize("turn", [lambda w: w, lambda w: w.T, lambda w: w[None], lambda w: w.astype("f8")])
def test_waveforms_lie_channels_by_samples_whichever_way_they_are_stored(tmp_path, turn):
    plain = waveform(22, 180, 11, depth_uv=-100.0)
    neuron = one(tmp_path, mouse(0, mean_waveform_preprocessed=turn(plain)))
    assert np.array_equal(neuron.channels.waveform, plain)
    assert neuron.channels.peak == 11


def test_more_channels_than_samples_are_told_by_the_number_of_channels(tmp_path):
    plain = waveform(200, 180, 11, depth_uv=-100.0)
    channels = np.arange(200)
    stored = {"channel_ids": channels, "channelmap": places(channels), "channel_noise_std": np.ones(200)}
    for turned in (plain, plain.T):
        neuron = one(tmp_path, mouse(0, mean_waveform_preprocessed=turned, **stored))
        assert np.array_equal(neuron.channels.waveform, plain)


def test_a_waveform_of_one_channel(tmp_path):
    plain = waveform(1, 240, 0, depth_uv=70.0)
    neuron = one(tmp_path, macaque(0, n_channels=1, mean_waveform_preprocessed=plain[0]))
    assert np.array_equal(neuron.channels.waveform, plain)
    among_22 = one(tmp_path, mouse(0, mean_waveform_preprocessed=waveform(1, 180, 0, depth_uv=-50.0)[0]))
    assert among_22.channels.peak == 11
    assert np.isnan(np.delete(among_22.channels.waveform, 11, axis=0)).all()
    assert any("middle one" in note for note in among_22.notes)


def test_places_of_channels_in_every_form(tmp_path):
    channels = np.arange(40, 62)
    for stored in (places(channels), places(channels).T, np.column_stack([channels, places(channels)])):
        neuron = one(tmp_path, mouse(0, channelmap=stored))
        assert np.array_equal(neuron.channels.positions_um, places(channels))
    listed = one(tmp_path, mouse(0, channel_ids=ABSENT, channelmap=np.column_stack([channels, places(channels)])))
    assert np.array_equal(listed.channels.ids, channels)


def test_ids_of_every_type(tmp_path):
    for stored, expected in ((5, "5"), (np.int64(5), "5"), (5.0, "5"), ("5", "5"), (np.array([b"5"]), "5"), (NULL, "")):
        assert one(tmp_path, mouse(0, unit=5, neuron_relative_id=stored)).relative_id == expected


def test_the_lab_may_come_from_the_name(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0)])
    with h5py.File(path, "a") as file:
        del file["hausser_neuron_0/lab_id"]
    assert read_session(path).facts["Subject.species"] == "mouse"


def test_a_field_that_the_layout_does_not_know_is_named(tmp_path):
    path = write(tmp_path / "c4.h5", [mouse(0, extra=5)])
    out = [item.what for item in read_session(path).recordings[0].sorting.left_out]
    assert "field extra (1 neurons)" in out
    assert any("raw_waveforms" in what and "raw_voltage_snippet" in what for what in out)
