"""The .pl2 reader against the bytes that were written, and a real file against plain struct."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from nwb_celltype.converters.plexon import read_pl2, read_snippets
from nwb_celltype.errors import InputError

from .files import PL2_COEFFICIENT, Analog, real, small_recipe, write_pl2

REAL = "NC16FPSPKEVT_1m.pl2"


def assert_is(content, recipe) -> None:
    for channel, written in zip(content.spikes, recipe.spikes, strict=True):
        assert (channel.name, channel.number, channel.n_before, channel.n_points) == (
            written.name,
            written.number,
            8,
            40,
        )
        np.testing.assert_array_equal(channel.ticks, written.ticks)
        np.testing.assert_array_equal(channel.units, written.units)
        np.testing.assert_array_equal(read_snippets(content.path, channel), written.snippets)
        assert channel.gain_uv == pytest.approx(PL2_COEFFICIENT * 1e6)
    raw = content.path.read_bytes()
    for channel, written in zip(content.analog, recipe.analog, strict=True):
        counts = [np.frombuffer(raw, "<i2", n, p) for n, p in zip(channel.counts, channel.positions, strict=True)]
        np.testing.assert_array_equal(np.concatenate(counts), np.concatenate([part for _, part in written.pieces]))
        assert set(dict(written.pieces)) <= set(channel.ticks.tolist())
    for event, written in zip(content.events, recipe.events, strict=False):
        assert (event.name, event.ticks.tolist()) == (written.name, written.ticks)
    strobed = next(event for event in content.events if event.name == "Strobed")
    assert strobed.values is not None
    assert strobed.values.tolist() == [2, 65_535, 3]
    assert (content.starts.tolist(), content.stops.tolist()) == (recipe.starts, recipe.stops)


@pytest.mark.parametrize("with_footer", [True, False])
@pytest.mark.parametrize("gap", [True, False])
def test_gives_back_what_was_written(tmp_path, with_footer, gap):
    recipe = small_recipe(gap=gap)
    content = read_pl2(write_pl2(tmp_path / "a.pl2", recipe, with_footer=with_footer))
    assert content.version == "pl2, OmniPlex 1.22.0"
    assert str(content.started) == "2021-05-04 10:11:12"
    assert content.comment == recipe.comment
    assert_is(content, recipe)
    assert bool(content.notes) is not with_footer


def test_times_that_count_from_acquisition_are_shifted_to_the_begin_of_recording(tmp_path):
    recipe = small_recipe()
    content = read_pl2(write_pl2(tmp_path / "a.pl2", recipe, counts_from_acquisition=True))
    assert_is(content, recipe)
    assert any("211.902 s" in note for note in content.notes)


def test_a_broken_off_recording_is_read_up_to_its_last_whole_block(tmp_path):
    recipe = small_recipe()
    whole = read_pl2(write_pl2(tmp_path / "a.pl2", recipe, with_footer=False))
    content = read_pl2(write_pl2(tmp_path / "b.pl2", recipe, with_footer=False, cut=40))
    assert len(whole.starts) == 1
    assert len(content.starts) == 0  # the last block holds the starts and stops
    assert any("ends within a block" in note for note in content.notes)
    for channel, written in zip(content.spikes, recipe.spikes, strict=True):
        np.testing.assert_array_equal(channel.ticks, written.ticks)


@pytest.mark.parametrize("what", ["places", "beyond every file", "counts", "short"])
def test_a_damaged_index_is_not_believed(tmp_path, what):
    recipe = small_recipe()
    path = write_pl2(tmp_path / "a.pl2", recipe)
    raw = bytearray(path.read_bytes())
    (footer,) = struct.unpack_from("<Q", raw, 0x38)
    if what == "places":
        struct.pack_into("<Q", raw, footer + 16, 12_345)
    elif what == "beyond every file":
        struct.pack_into("<Q", raw, footer + 16, 2**64 - 1)
    elif what == "counts":
        struct.pack_into("<Q", raw, footer + 8, 12_345)
    else:
        del raw[footer + 100 :]
    path.write_bytes(bytes(raw))
    content = read_pl2(path)
    assert any("looked up one by one" in note for note in content.notes)
    assert_is(content, recipe)


def test_an_index_that_is_missing_altogether(tmp_path):
    recipe = small_recipe()
    path = write_pl2(tmp_path / "a.pl2", recipe)
    raw = path.read_bytes()
    path.write_bytes(raw[: struct.unpack_from("<Q", raw, 0x38)[0]])
    assert_is(read_pl2(path), recipe)


def test_a_time_that_no_recording_has_is_told(tmp_path):
    recipe = small_recipe()
    path = write_pl2(tmp_path / "a.pl2", recipe)
    content = read_pl2(path)
    for place in (
        int(content.spikes[0].positions[0]) - 10 * len(recipe.spikes[0].ticks),
        int(content.analog[0].positions[0]) - 8,
    ):
        raw = bytearray(path.read_bytes())
        struct.pack_into("<Q", raw, place, 2**63 + 5)
        (tmp_path / "b.pl2").write_bytes(raw)
        with pytest.raises(InputError, match=rf"b\.pl2 states a time of 9223372036854775813 ticks at byte {place}"):
            read_pl2(tmp_path / "b.pl2")


def test_a_damaged_block_ends_the_search(tmp_path):
    recipe = small_recipe()
    path = write_pl2(tmp_path / "a.pl2", recipe, with_footer=False)
    raw = bytearray(path.read_bytes())
    second = int(read_pl2(path).spikes[0].positions[0]) - 16 - 10 * len(recipe.spikes[0].ticks)
    struct.pack_into("<H", raw, second + 2, 3)
    path.write_bytes(bytes(raw))
    content = read_pl2(path)
    assert any("is damaged" in note for note in content.notes)
    assert not len(content.spikes[0].ticks)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: b"\0" * 20 + raw[20:], "does not begin like a .pl2 file"),
        (lambda raw: raw[:100], "shorter than the header"),
        (lambda raw: raw[:2000], "ends within its headers"),
        (lambda raw: raw[:0x258] + struct.pack("<d", 0.0) + raw[0x260:], "0 ticks a second"),
        (lambda raw: raw[:0x480] + b"\x11" + raw[0x481:], "not where they should be"),
    ],
)
def test_what_is_no_pl2_file_is_refused(tmp_path, change, said):
    path = write_pl2(tmp_path / "a.pl2", small_recipe(seconds=0.1))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=said):
        read_pl2(path)


def test_kinds_of_analog_channels(tmp_path):
    recipe = small_recipe(seconds=0.1, n_channels=1)
    samples = np.arange(100, dtype="<i2")
    recipe.analog += [
        Analog("SPKC01", "SPKC", 1, 40_000, [(0, samples)]),
        Analog("EyeX", "AI", 1, 1000, [(7, samples)]),
    ]
    content = read_pl2(write_pl2(tmp_path / "a.pl2", recipe))
    assert [(c.name, c.kind, c.electrode) for c in content.analog] == [
        ("WB01", "WB", 1), ("FP01", "FP", 1), ("SPKC01", "SPKC", 1), ("EyeX", "AUX", -1),
    ]  # fmt: skip
    assert content.analog[-1].ticks.tolist() == [7]


def test_real_file():
    path = real(REAL)
    content = read_pl2(path)
    raw = path.read_bytes()
    counts = {c.name: len(c.ticks) for c in content.spikes if len(c.ticks)}
    # the header itself counts the waveforms of each channel and unit, 176 bytes into its header of 2592
    stated = {
        raw[at + 16 : at + 80].split(b"\0")[0].decode(): sum(struct.unpack_from("<256Q", raw, at + 160))
        for at in range(0x480, 0x480 + 16 * 2592, 2592)
    }
    assert counts == {name: n for name, n in stated.items() if n}
    assert counts == {"SPK01": 4065, "SPK05": 4069, "SPK09": 4052, "SPK13": 4059}
    assert all(set(c.units.tolist()) == {0} for c in content.spikes if len(c.units))
    assert content.tick_rate_hz == 40_000
    assert content.last_tick == struct.unpack_from("<Q", raw, 0x48)[0]  # as long as the header says, from 0
    snippets = read_snippets(path, content.spikes[0])
    assert snippets.shape == (4065, 32)
    assert np.all(snippets[:, 8] <= -1905)  # the threshold that the header states is crossed where the reader says
    assert np.mean(snippets[:, 7] <= -1905) < 0.01
    assert content.spikes[0].gain_uv == pytest.approx(0.19487597780970627)
    fields = [c for c in content.analog if c.kind == "FP"]
    assert [(c.name, c.counts.tolist(), c.ticks.tolist()) for c in fields] == [
        (name, [60_055], [69]) for name in ("FP01", "FP05", "FP09", "FP13")
    ]
    lines = {event.name: len(event.ticks) for event in content.events if event.is_line and len(event.ticks)}
    assert list(lines) == [f"EVT{k}" for k in range(17, 33)]
    assert sum(lines.values()) == 8 * 13 + 8 * 13 + 6
    assert (content.starts.tolist(), content.stops.tolist()) == ([0], [2_402_348])
    assert str(content.started) == "2024-09-04 15:11:11"


def test_real_file_without_its_index_gives_the_same(tmp_path):
    raw = bytearray(real(REAL).read_bytes())
    struct.pack_into("<2Q", raw, 0x30, 0, 0)
    path = tmp_path / "broken_off.pl2"
    path.write_bytes(bytes(raw[:1_800_832]))
    with_index, without = read_pl2(real(REAL)), read_pl2(path)
    for one, other in zip(with_index.spikes, without.spikes, strict=True):
        np.testing.assert_array_equal(one.ticks, other.ticks)
        np.testing.assert_array_equal(one.positions, other.positions)
    for one, other in zip(with_index.analog, without.analog, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
    for one, other in zip(with_index.events, without.events, strict=True):
        np.testing.assert_array_equal(one.ticks, other.ticks)


def test_an_index_that_lacks_a_channel_is_not_believed(tmp_path):
    recipe = small_recipe()
    path = write_pl2(tmp_path / "a.pl2", recipe)
    raw = path.read_bytes()
    path.write_bytes(raw[:-48])  # the last record: starts and stops
    content = read_pl2(path)
    assert any("not complete" in note for note in content.notes)
    assert_is(content, recipe)
