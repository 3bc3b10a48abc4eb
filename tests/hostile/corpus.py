"""The corpus: each broken file with what must be said about it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from . import files
from .files import attribute, beside, cut, edit, every_train, instead, link, overwrite, put, replace, spikes

LONG = "Ω<script>alert(1)</script>\x1b[2J" * 300  # 10 kB
N = 400


@dataclass(frozen=True)
class Case:
    """One input.

    ``said``: what the error matches, where the file cannot be read at all. Otherwise it is annotated: ``reasons``
    are the words by unit id that must be there (no such unit may get a class), ``noted`` is in the notes of the units.
    """

    name: str
    make: files.Make
    said: str = ""
    reasons: dict[int, str] = field(default_factory=dict)
    noted: str = ""
    is_same: bool = True  # units of which nothing is said must be what they are in the sound file


def refused(name: str, make: files.Make, said: str) -> Case:
    return Case(name, make, said=said)


def odd(name: str, make: files.Make, noted: str = "", *, is_same: bool = True, **reasons: str) -> Case:
    """Readable; `reasons` by unit (``u10="no spike times"``)."""
    return Case(name, make, reasons={int(k[1:]): v for k, v in reasons.items()}, noted=noted, is_same=is_same)


def _folder(other: Path, _: Path) -> None:
    other.mkdir()


def _zarr(other: Path, _: Path) -> None:
    other.mkdir()
    (other / ".zgroup").touch()


def _claim(file: h5py.File) -> None:
    """Headers that claim 8 TiB of spikes and store none."""
    replace(file, "units/spike_times", None, shape=(2**40,), dtype="f8", chunks=(2**16,))
    file["units/spike_times_index"][...] = 5
    replace(file, "units/spike_times_index", np.array([1, 2, 3, 2**40], dtype=np.uint64))


def _compound(file: h5py.File) -> None:
    replace(file, "units/spike_times", np.zeros(4 * N, dtype=[("t", "f8"), ("ch", "i4")]))


def _vlen(file: h5py.File) -> None:
    rows = np.empty(4, dtype=object)
    rows[:] = [np.arange(3.0)] * 4
    replace(file, "units/spike_times", rows, dtype=h5py.vlen_dtype(np.float64))


def _outside(file: h5py.File) -> None:
    """Spike times whose bytes are said to lie in another file, which may be anybody's."""
    n = file["units/spike_times"].shape[0]
    del file["units/spike_times"]
    file.create_dataset("units/spike_times", shape=(n,), dtype="f8", external=[("/etc/hostname_nowhere", 0, n * 8)])


def _many_names(file: h5py.File) -> None:
    for k in range(300):
        file["units"].create_dataset(f"column {k}", data=np.zeros(4))


def _reverse(file: h5py.File) -> None:
    file["units/obs_intervals"][...] = file["units/obs_intervals"][()][:, ::-1]


def _not_a_module(file: h5py.File) -> None:
    file.require_group("processing")["ecephys"] = np.arange(3)


def _strangers_annotations(file: h5py.File) -> None:
    """A container of that name, with a table in it, that another program wrote."""
    group = file.create_group(files.RUNS)
    group.parent.attrs.update(
        {"neurodata_type": "ProcessingModule", "namespace": "core", "object_id": "x", "description": "d"}
    )
    group.attrs.update({"neurodata_type": "DynamicTable", "namespace": "hdmf-common", "object_id": "y"})
    table = group.create_group("run1")
    table.attrs.update({"neurodata_type": "DynamicTable", "namespace": "hdmf-common", "colnames": ["cell_type"]})
    table["cell_type"] = np.array([b"basket"] * 4)


def _half_a_run(file: h5py.File) -> None:
    """A run by name that lacks everything."""
    table = file.create_group(f"{files.RUNS}/run1")
    table.attrs["neurodata_type"] = "CellTypeAnnotationTable"


def _circles_alone(file: h5py.File) -> None:
    files.circles(file)
    del file["units"]


def _other_version(file: h5py.File) -> None:
    """The cached specification of a version that does not exist yet."""
    place = file.require_group("specifications/ndx-cell-type/99.0.0")
    place["namespace"] = '{"namespaces": [{"name": "ndx-cell-type", "version": "99.0.0", "schema": []}]}'


def _same_spike(values: np.ndarray) -> np.ndarray:
    return np.full_like(values, 1.0)


def _one_nan(values: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(values)) == 100, np.nan, values)


def _index(values: list[float], dtype: str = "i8") -> files.Make:
    return put(spike_times_index=np.array(values, dtype=dtype))


def _waves(change: object) -> files.Make:
    return put(waveform_mean=change(files.waveforms()))  # type: ignore[operator]


REFUSED = [
    refused("cut in half", cut(), "is truncated"),
    refused("cut by one byte", cut(-1), "is truncated"),
    refused("cut to a header", cut(100), "is truncated|cannot be opened"),
    refused("empty file", cut(0), "not an HDF5 file"),
    refused("text", instead(b"spikes\n" * 100), "not an HDF5 file"),
    refused("gzip", files.zipped, "not an HDF5 file"),
    refused("signature gone", overwrite(0, b"\0" * 8), "not an HDF5 file"),
    refused("superblock of the future", overwrite(8, b"\x63"), "cannot be opened as HDF5"),
    refused("root nowhere", overwrite(64, b"\xff" * 8), "cannot be opened|cannot read|cannot be read"),
    refused("a folder", beside("folder.nwb", _folder), "is a folder"),
    refused("NWB-Zarr", beside("a.nwb.zarr", _zarr), "NWB-Zarr"),
    refused("absent", beside("absent.nwb", lambda *_: None), "does not exist"),
    refused("below a file", lambda path: path / "a.nwb", "does not exist"),
    refused("name too long", beside("x" * 300 + ".nwb", lambda *_: None), "does not exist|name too long"),
    refused("NUL in the name", lambda path: Path(f"{path}\0.nwb"), "does not exist"),
    refused("link to nothing", beside("link.nwb", lambda a, b: a.symlink_to("nowhere.nwb")), "does not exist"),
    refused("link to itself", beside("link.nwb", lambda a, b: a.symlink_to(a)), "does not exist"),
    refused("a pipe", beside("pipe.nwb", lambda a, b: os.mkfifo(a)), "no regular file"),
    refused("a device", beside("zero.nwb", lambda a, b: a.symlink_to("/dev/zero")), "no regular file"),
    refused("ids twice", put(id=np.array([1, 1, 2, 3])), r"repeats unit ids \(1\)"),
    refused("ids are floats", put(id=np.arange(4.0)), "id in .* must be a vector of integers"),
    refused("ids too large", put(id=np.array([1, 2, 3, 2**63], dtype=np.uint64)), "too large"),
    refused("ids in two columns", put(id=np.zeros((4, 2), dtype=int)), "must be a vector of integers"),
    refused("no ids", put(id=None), "has no id column"),
    refused("more ids than trains", put(id=np.arange(5)), "4 entries for 5 rows"),
    refused("units is an array", link("units", np.arange(4)), "is no units table"),
    refused("units links to itself", link("units", h5py.SoftLink("/units")), "too many links"),
    refused("units links to nothing", link("units", h5py.SoftLink("/nowhere")), "link to /nowhere, which does not"),
    refused("units in a file that is gone", link("units", h5py.ExternalLink("gone.nwb", "/units")), "external link to"),
    refused(
        "spikes in a file that is gone", link("units/spike_times", h5py.ExternalLink("gone.nwb", "/x")), "gone.nwb"
    ),
    refused("spikes in a view of nothing", edit(files.virtual), "view of other files"),
    refused("bytes of spikes elsewhere", edit(_outside), "spike_times"),
    refused("ends past the end", _index([400, 800, 1200, 9999]), r"unit 40 \(row 3\) ends at row 9999"),
    refused("ends go back", _index([400, 300, 1200, 1600]), "decreases at unit 20"),
    refused("ends below zero", _index([-1, 800, 1200, 1600]), "unit 10"),
    refused("ends are floats", _index([400, 800, 1200, 1600], "f8"), "vector of integers"),
    refused("ends too few", _index([400, 800, 1600]), "3 entries for 4 rows"),
    refused("no ends", put(spike_times_index=None), "spike_times_index in .* is missing"),
    refused(
        "ends beyond 64 bits", put(spike_times_index=np.array([1, 2, 3, 2**64 - 1], dtype=np.uint64)), "ends at row"
    ),
    refused("times are bytes", every_train(lambda t: t.astype("S")), "must be a vector of seconds"),
    refused(
        "times are texts", edit(lambda f: replace(f, "units/spike_times", ["a"] * 1600)), "must be a vector of seconds"
    ),
    refused("times are complex", every_train(lambda t: t.astype(complex)), "must be a vector of seconds"),
    refused("times are truth values", every_train(lambda t: t > 1), "must be a vector of seconds"),
    refused("times are records", edit(_compound), "must be a vector of seconds"),
    refused("times are ragged inside", edit(_vlen), "must be a vector of seconds"),
    refused("times in two columns", every_train(lambda t: np.column_stack([t, t])), "must be a vector of seconds"),
    refused("8 TiB are claimed", edit(_claim), "claims .* GiB, far more than it stores"),
    refused("a damaged chunk", files.damaged_chunk, "Cannot read /units/spike_times"),
    refused("waveforms are texts", put(waveform_mean=np.array([b"a"] * 4)), "waveform_mean in .* must be numeric"),
    refused("waveforms of other units", put(waveform_mean=np.ones((3, 60, 4))), "3 rows for 4 units"),
    refused("electrodes are floats", put(electrodes=np.full(16, 0.5)), "must be a vector of electrode rows"),
    refused("electrodes without ends", put(electrodes_index=None), "electrodes_index in .* is missing"),
    refused("electrodes past the end", put(electrodes_index=np.array([4, 8, 12, 99])), "unit 40"),
    refused("intervals past the end", put(obs_intervals_index=np.array([1, 2, 3, 99])), "unit 40"),
    refused("intervals in three columns", put(obs_intervals=np.ones((4, 3))), "must hold pairs"),
    refused("no units but circles", edit(_circles_alone), "has no units table"),
    refused("no units", link("units", h5py.SoftLink("/general/nothing")), "link to"),
]

SAMPLES = "samples instead of seconds"


def every_train_gone(path: Path) -> Path:
    return _index([0, 0, 0, 0])(path)


ODD = [
    odd("one unit has no spikes", _index([0, 800, 1200, 1600]), u10="waveform alone: no spike times", u20="not sorted"),
    odd("one unit has one spike", _index([1, 800, 1200, 1600]), u10="waveform alone: too few", u20="not sorted"),
    odd("nobody has a spike", every_train_gone, u10="no spike times", u40="no spike times"),
    odd("times out of order", spikes(lambda t: t[::-1]), u10="not sorted"),
    odd("times below zero", spikes(lambda t: t - 100), u10="negative"),
    odd("a time is NaN", spikes(_one_nan), u10="NaN or infinite"),
    odd("a time is infinite", spikes(lambda t: np.where(t > 9, np.inf, t)), u10="NaN or infinite"),
    odd("all times alike", spikes(_same_spike), u10="waveform alone: too few"),
    odd("times in samples", every_train(lambda t: (t * 30_000).astype(np.int64)), "sample numbers", u10=SAMPLES),
    odd("times in samples, as floats", every_train(lambda t: np.round(t * 30_000)), u10=SAMPLES, u40=SAMPLES),
    odd("times in milliseconds", every_train(lambda t: t * 1000), u10="waveform alone: too few", u40="alone: too few"),
    odd("times beyond all years", spikes(lambda t: t * 1e300), u10="samples instead of seconds"),
    odd("single precision", every_train(lambda t: t.astype("f4")), "too coarse", is_same=False),
    odd("half precision", every_train(lambda t: t.astype("f2")), "too coarse", is_same=False),
    odd("big-endian", every_train(lambda t: t.astype(">f8"))),
    odd("negative ids", put(id=np.array([-1, -2, -3, -4]))),
    odd("largest id", put(id=np.array([2**63 - 1, 0, 1, 2]))),
    odd("no electrodes table", link("general/extracellular_ephys", h5py.SoftLink("/nowhere"))),
    odd("no electrodes column", put(electrodes=None, electrodes_index=None)),
    odd("electrodes that there are not", put(electrodes=np.full(16, 99)), "name electrodes that do not exist"),
    odd("electrodes below zero", put(electrodes=np.full(16, -1)), "name electrodes that do not exist"),
    odd("waveforms of no channel", put(waveform_mean=np.zeros((4, 60, 0)))),
    odd("waveforms of no sample", put(waveform_mean=np.zeros((4, 0, 4)))),
    odd("waveforms of one sample", put(waveform_mean=np.ones((4, 1, 4)))),
    odd("waveforms all zero", _waves(lambda w: w * 0)),
    odd("waveforms NaN", _waves(lambda w: w * np.nan)),
    odd("waveforms infinite", _waves(lambda w: np.where(w < -50, -np.inf, w))),
    odd("waveforms beyond single precision", _waves(lambda w: w * 1e300)),
    odd("waveforms of five axes", put(waveform_mean=np.ones((4, 2, 2, 2, 2))), "unknown layout"),
    odd("sampling rate 0", attribute("units/waveform_mean", "sampling_rate", 0.0)),
    odd("sampling rate a word", attribute("units/waveform_mean", "sampling_rate", "fast")),
    odd("sampling rate in kHz", attribute("units/waveform_mean", "sampling_rate", 30.0), "impossible"),
    odd("intervals backwards", edit(_reverse)),
    odd("intervals NaN", put(obs_intervals=np.full((4, 2), np.nan))),
    odd("10 kB of text", put(quality=[LONG] * 4, region=[LONG] * 4)),
    odd("control characters", put(region=["\x1b[31m\r\n\u202e", "", "\ufeff", "�"])),
    odd("bytes that are no UTF-8", put(quality=np.array([b"\xff\xfe"] * 4), region=np.array([b"\xc3("] * 4))),
    odd("a session name of 10 kB", edit(lambda f: replace(f, "identifier", LONG))),
    odd("identifier is an array", edit(lambda f: replace(f, "identifier", np.arange(3)))),
    odd("no identifier", edit(lambda f: replace(f, "identifier", None))),
    odd("began before 1970", edit(lambda f: replace(f, "session_start_time", "1890-01-01T00:00:00+00:00"))),
    odd("began never", edit(lambda f: replace(f, "session_start_time", "yesterday"))),
    odd("no version", attribute("/", "nwb_version", None), "states no NWB version"),
    odd("a version to come", attribute("/", "nwb_version", "99.0")),
    odd("version is a number", attribute("/", "nwb_version", np.arange(3))),
    odd("columns that are not listed", attribute("units", "colnames", None)),
    odd("columns that are numbers", attribute("units", "colnames", np.arange(3))),
    odd("300 columns", edit(_many_names)),
    odd("groups in circles", edit(files.circles)),
    odd("a specification of another version", edit(_other_version)),
    odd("a file from before 1970", lambda path: os.utime(path, (-1e9, -1e9)) or path),
    odd("a link", beside("link.nwb", lambda a, b: a.symlink_to(b))),
    odd("a name of odd letters", beside("Ω 'x' \"y\"\n$(id).nwb", lambda a, b: b.rename(a))),
]
"""Readable files; what is wrong is said of the unit or in a note, or does no harm."""

NO_PLACE = [
    refused("annotations of somebody else", edit(_strangers_annotations), "has DynamicTable at .*cannot be added"),
    refused("ecephys is an array", edit(_not_a_module), "processing/ecephys"),
    refused("half a run", edit(_half_a_run), "Run 'run1' in .* cannot be read"),
]
"""Readable units, but nothing can be added to the file."""


def _no_units(file: h5py.File) -> None:
    del file["units"]


def _empty_table(file: h5py.File) -> None:
    for name in list(file["units"]):
        dataset = file["units"][name]
        replace(file, f"units/{name}", np.empty((0, *dataset.shape[1:]), dataset.dtype))


NOTHING = [
    (edit(_no_units), "has no units table"),
    (edit(_empty_table), "has no units in /units; nothing to annotate"),
    (edit(lambda file: [_empty_table(file), replace(file, "units/id", np.empty(0))]), "has no units in /units"),
]
"""Sound, and nothing in it to annotate."""


def run_of(file: h5py.File) -> h5py.Group:
    """The run of an annotated file."""
    container = file[files.RUNS]
    kind = "CellTypeAnnotationTable"
    return next(g for g in container.values() if g.attrs.get("neurodata_type") == kind)


def in_run(name: str, data: object) -> files.Make:
    """A column of the run in place of what is there."""
    return edit(lambda file: replace(file, f"{run_of(file).name}/{name}", data))


def _wrong_evidence(file: h5py.File) -> None:
    """Evidence that ends behind the table that it points into."""
    run = run_of(file)
    table = file.create_group(f"{files.RUNS}/evidence")
    table.attrs["colnames"] = ["kind"]
    table["id"], table["kind"] = np.arange(1), np.array([b"expert"])
    run["evidence"], run["evidence_index"] = np.array([0, 5, 7]), np.array([1, 2, 3, 3], dtype=np.uint8)
    run["evidence"].attrs["table"] = table.ref


RUNS = [
    refused("a column too short", in_run("cell_type", [b"GoC"] * 3), "columns of different lengths"),
    refused("no labels", in_run("cell_type", None), "Run '.*' in .* cannot be read"),
    refused("ids are texts", in_run("unit_id", [b"a"] * 4), "Run '.*' in .* cannot be read"),
    refused("ids in two columns", in_run("unit_id", np.zeros((4, 2))), "Run '.*' in .*"),
    refused("probabilities of other classes", in_run("probability", np.ones((4, 2))), "probabilities of shape"),
    refused("a probability for each unit", in_run("probability", np.ones(4)), "probabilities of shape"),
    refused("confidences are texts", in_run("confidence", [b"high"] * 4), "Run '.*' in .* cannot be read"),
    refused("no method", edit(lambda f: run_of(f).__delitem__("method")), "Run '.*' in .* cannot be read"),
    refused("the method is an array", in_run("method", np.arange(3)), "Run '.*' in .*"),
    refused("no classes", edit(lambda f: run_of(f).__delitem__("classes")), "Run '.*' in .* cannot be read"),
    refused("labels are numbers", in_run("cell_type", np.ones((4, 2, 2))), "Run '.*' in .*"),
    refused("evidence that there is not", edit(_wrong_evidence), "Run '.*' in .* cannot be read"),
    refused("a threshold in words", edit(lambda f: run_of(f).attrs.__setitem__("confidence_threshold", "high")), "Run"),
    odd("a label that is no class", in_run("cell_type", [b"basket"] * 4), "basket"),
    odd("probabilities above 1", in_run("probability", np.full((4, 5), 2.0)), "probabilit"),
    odd("abstained without a reason", in_run("is_abstained", np.ones(4, dtype=bool)), "unclassified"),
    odd("another unit twice", in_run("unit_id", np.array([10, 10, 30, 40])), "unit"),
    odd("units that were changed since", spikes(lambda t: t + 0.01), "The units have changed since"),
    odd("units that are gone", edit(lambda f: replace(f, "units/id", np.arange(4))), "unit"),
    odd("no digest", edit(lambda f: run_of(f).attrs.__delitem__("input_sha256")), "no hash of its input"),
    odd("made in no year", edit(lambda f: run_of(f).attrs.__setitem__("created", "never")), ""),
    odd("classes without definitions", edit(lambda f: run_of(f)["classes"].__delitem__("definition")), ""),
]
"""Broken annotation runs."""
