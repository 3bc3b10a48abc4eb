"""Files that laboratories wrote with old NWB versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nwb_celltype.units import read_units, units_tables

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "nwb"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"real files are not here: {FOLDER}")


def test_nwb_2_0_2_with_one_labelled_unit() -> None:
    with read_units(FOLDER / "sub-anm369963_ses-20170228.nwb") as units:
        assert units.session.nwb_version == "2.0.2"
        assert units.unit_ids.tolist() == [1001]
        assert units.label_columns["cell_type"].tolist() == ["PTlower"]
        assert units.quality["quality"].tolist() == ["Excellent"]
        assert units.spike_times.counts.tolist() == [1679]
        assert units.spike_times[0][0] == pytest.approx(372.76025)
        assert (np.diff(units.spike_times[0]) < 0).sum() == 21
        assert units.electrodes is not None
        assert units.electrodes[0].tolist() == [48]
        assert units.region[0].startswith("brain_region: ALM")
        assert units.session.filtering == ("Bandpass filtered 300-6K Hz",)
        assert units.session.species == "Mus musculus"
        assert units.channel_positions is None
        assert units.notes == (("no waveform_mean",),)


def test_nwb_2_1_0_with_waveforms_and_rate_column() -> None:
    with read_units(FOLDER / "sub_anm00239123_ses_20170627T093549_ecephys_and_ogen.nwb") as units:
        assert units.session.nwb_version == "2.1.0"
        assert units.unit_ids.tolist() == [1, 2, 3, 4]
        assert units.label_columns["cell_type"].tolist() == ["Cannot be determined"] + ["Narrow width spiking"] * 3
        assert units.spike_times.counts.tolist() == [12992, 3458, 2714, 14893]
        assert units.waveform_rate_hz == 25000.0
        assert [mean.shape for mean in units.waveform_mean if mean is not None] == [(29, 1)] * 4
        assert units.peak_waveform(1).min() == pytest.approx(-154.295, abs=0.01)
        assert "states no unit" in str(units.waveform_unit_note)
        assert all("Thalamus" in region for region in units.region)
        assert units.channel_positions is not None
        assert units.channel_positions[0].tolist() == pytest.approx([1157.39, -4524.35, -1578.26])
        assert "electrode x, y, z were read as millimetres" in units.table_notes
        assert units.notes == ((),) * 4


def test_nwb_2_4_0_with_spikes_only() -> None:
    with read_units(FOLDER / "pynapple_A8604-211122.nwb") as units:
        assert units.session.nwb_version == "2.4.0"
        assert units.unit_ids.tolist() == [6, 191, 206]
        assert units.spike_times.counts.tolist() == [11020, 4690, 5644]
        assert [len(train) for train in units.spike_times] == [11020, 4690, 5644]
        assert units.region.tolist() == ["", "", ""]
        assert not units.label_columns
        assert not units.quality
        assert units.session.species == ""
        assert units.notes[0] == ("no waveform_mean", "no electrodes")


def test_nwb_2_5_0_with_microvolts_under_the_name_of_volts() -> None:
    with read_units(FOLDER / "ecephys_tutorial_v2.5.0.nwb") as units:
        assert units.session.nwb_version == "2.5.0"
        assert units.unit_ids.tolist() == list(range(10))
        assert int(units.spike_times.counts.sum()) == 195
        assert units.quality["quality"].tolist() == ["good"] * 10
        assert units.waveform_mean[3].ravel().tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert "can only be microvolts" in str(units.waveform_unit_note)
        assert units.waveform_rate_hz is None
        assert units.region.tolist() == ["brain area"] * 10


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.nwb")) if FOLDER.is_dir() else [])
def test_every_file_hashes_and_lists_its_table(name: str) -> None:
    assert units_tables(FOLDER / name) == ["/units"]
    with read_units(FOLDER / name) as units:
        assert len(units.sha256()) == 64
