from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.converters.phy import find_folder, read_params
from nwb_celltype.errors import InputError

from . import folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "run_g0" / "run_g0_imec0" / "kilosort"
    place.mkdir(parents=True)
    np.save(place / "spike_times.npy", np.arange(3))
    return place


def write(folder: Path, text: str) -> None:
    (folder / "params.py").write_text(text, encoding="utf-8")


def test_plain_values(folder: Path) -> None:
    write(
        folder,
        "# made by a sorter\ndat_path = ['a' + '.bin', r'b.bin']\nn_channels_dat = 385\ndtype = 'int16'\noffset = +16\n"
        "sample_rate: float = 30000.\nhp_filtered = False",
    )
    params = read_params(folder)
    assert params.dat_paths == ("a.bin", "b.bin")
    assert params.sampling_rate_hz == 30_000
    assert (params.n_channels_dat, params.offset, params.is_hp_filtered) == (385, 16, False)
    assert params.dtype == np.int16
    assert params.raw_paths == ()


def test_nothing_is_executed(folder: Path) -> None:
    trap = folder / "trap"
    write(
        folder,
        f"import pathlib\npathlib.Path({str(trap)!r}).touch()\nsample_rate = 3e4\n"
        f"dat_path = str(pathlib.Path({str(trap)!r}).touch())\ndtype = np.int16\n",
    )
    params = read_params(folder)
    assert not trap.exists()
    assert set(params.unreadable) == {"dat_path", "dtype"}
    assert params.unreadable["dtype"] == "dtype = np.int16"
    assert params.dtype is None
    assert any("dtype = np.int16" in note for note in params.notes)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (r"dat_path = 'C:\Users\lab\new\run.bin'", "run.bin"),  # no Python at all: \U
        (r"dat_path = 'D:\test\new.bin'", "new.bin"),  # Python, but with a tab and a line feed
        (r"dat_path = r'D:\test\new.bin'", "new.bin"),
        (r"dat_path = 'D:\data\run.bin'", "run.bin"),  # an escape that Python does not know
        ("dat_path = 'D:/data/run.bin'", "run.bin"),
    ],
)
def test_windows_paths(folder: Path, line: str, name: str) -> None:
    write(folder, f"sample_rate = 30000\n{line}\nn_channels_dat = 4\ndtype = 'int16'\n")
    (folder.parent / name).touch()
    assert read_params(folder).raw_paths == (folder.parent.resolve() / name,)
    assert read_params(folder).n_channels_dat == 4


@pytest.mark.parametrize("place", [".", "..", "../..", "../other"])
def test_a_recording_that_moved_is_found(folder: Path, place: str) -> None:
    write(folder, "sample_rate = 30000\ndat_path = '/gone/away/run.ap.bin'\nn_channels_dat = 2\n")
    there = (folder / place).resolve()
    there.mkdir(exist_ok=True)
    (there / "run.ap.bin").write_bytes(bytes(40))
    params = read_params(folder)
    assert params.raw_paths == (there / "run.ap.bin",)
    assert params.n_raw_samples == 10
    assert any("run.ap.bin is not where params.py says" in note for note in params.notes)
    assert any("no dtype" in note for note in params.notes)


def test_a_relative_path_needs_no_note(folder: Path) -> None:
    write(folder, "sample_rate = 30000\ndat_path = '../run.bin'\ndtype = 'int16'\n")
    (folder.parent / "run.bin").touch()
    assert read_params(folder).raw_paths[0].resolve() == (folder.parent / "run.bin").resolve()
    assert read_params(folder).notes == ()


def test_two_files_of_one_name_are_not_chosen_between(folder: Path) -> None:
    write(folder, "sample_rate = 30000\ndat_path = '/gone/run.bin'\ndtype = 'int16'\n")
    for name in ("a", "b"):
        (folder.parent / name).mkdir()
        (folder.parent / name / "run.bin").touch()
    params = read_params(folder)
    assert params.raw_paths == ()
    assert any("several files have its name (../a/run.bin, ../b/run.bin)" in note for note in params.notes)


def test_half_of_a_recording_is_none(folder: Path) -> None:
    write(folder, "sample_rate = 30000\ndat_path = ['../a.bin', '../b.bin']\ndtype = 'int16'\n")
    (folder.parent / "a.bin").touch()
    assert read_params(folder).raw_paths == ()
    (folder.parent / "b.bin").touch()
    assert len(read_params(folder).raw_paths) == 2


@pytest.mark.parametrize("value", ["None", "r'None'", "''", "[]"])
def test_no_recording(folder: Path, value: str) -> None:
    write(folder, f"sample_rate = 30000\ndtype = 'int16'\ndat_path = {value}\n")
    params = read_params(folder)
    assert params.dat_paths == ()
    assert params.n_raw_samples is None
    assert params.notes == ()


@pytest.mark.parametrize(
    "line", ["", "sample_rate = 0", "sample_rate = 'fast'", "sample_rate = True", "sample_rate = f()"]
)
def test_a_sampling_rate_is_needed(folder: Path, line: str) -> None:
    write(folder, line)
    with pytest.raises(InputError, match=r"params\.py states no usable sample_rate"):
        read_params(folder)


def test_missing_params_says_what_to_add(folder: Path) -> None:
    np.save(folder / "ops.npy", np.array({"fs": 30000}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"no params\.py.*Add a file params\.py.*sample_rate = 30000\.0"):
        read_params(folder)


def test_odd_values_are_noted(folder: Path) -> None:
    write(folder, "sample_rate = 30000\nn_channels_dat = 3.5\noffset = -2\ndtype = 'sound'\ndat_path = 5\n")
    params = read_params(folder)
    assert (params.n_channels_dat, params.offset, params.dtype, params.dat_paths) == (None, 0, None, ())
    assert len(params.notes) == 4


def test_find_folder(tmp_path: Path) -> None:
    session = folders.simulate(n_units=2)
    inside = folders.kilosort4(tmp_path / "sorting" / "sorter_output", session)
    for given in (tmp_path, tmp_path / "sorting", inside, inside / "params.py"):
        assert find_folder(given) == inside
    (inside / ".phy").mkdir()
    np.save(inside / ".phy" / "spike_times.npy", np.arange(2))
    assert find_folder(tmp_path) == inside
    folders.kilosort4(tmp_path / "again", session)
    with pytest.raises(InputError, match=r"holds 2 sortings \(again, sorting/sorter_output\)"):
        find_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no spike_times\.npy"):
        find_folder(tmp_path / "empty")
