"""Header of a SpikeGLX stream: the ``.meta`` text file beside every ``.bin`` file, with typed and checked values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.spikeglx import header
from nwb_celltype.converters.spikeglx.header import broken

Integer = NDArray[np.int64]
Kind = Literal["ap", "lf", "nidq", "obx"]

TYPES: Mapping[str, tuple[str, ...]] = {
    "imec": ("AP", "LF", "SY"),
    "nidq": ("MN", "MA", "XA", "XD"),
    "obx": ("XA", "XD", "SY"),
}
"""Types of channels of each kind of stream, in the order in which a sample holds them."""

_COUNTS = {"imec": "ApLfSy", "nidq": "MnMaXaDw", "obx": "XaDwSy"}
_PREFIX = {"imec": "im", "nidq": "ni", "obx": "ob"}
_GROUP = re.compile(r"\(([^()]*)\)")
_SYNC_BIT = 6  # of the status word of a probe or a OneBox, by the format's description


@dataclass(frozen=True)
class Sync:
    """How the square wave that all streams share was recorded.

    Attributes
    ----------
    source : int or None
        0 when SpikeGLX was told that there is none; None when the header does not say.
    period_s : float
    status_bit : int
        Bit of the status word of a probe or a OneBox.
    ni_channel : int or None
        Digital bit, or acquired analog channel, of NIDQ.
    is_ni_analog : bool
    ni_threshold_v : float
        For an analog channel.
    """

    source: int | None
    period_s: float
    status_bit: int
    ni_channel: int | None
    is_ni_analog: bool
    ni_threshold_v: float

    @property
    def is_on(self) -> bool:
        """Whether a shared square wave may be expected."""
        return self.source != 0


@dataclass(frozen=True, eq=False)
class Meta:
    """What a header says.

    Attributes
    ----------
    path : Path
    values : mapping of str to str
        Every line as it stands there, by key without ``~``.
    kind : {'ap', 'lf', 'nidq', 'obx'}
    sampling_rate_hz : float
    n_saved_channels : int
        Columns of the ``.bin`` file.
    counts, acquired_counts : mapping of str to int
        Channels of each type (`TYPES`) in the file, and as they were acquired.
    saved_channels : (n_saved_channels,) int64 array
        Acquired number of each column.
    first_sample : int
        Number of the file's first sample since acquisition began; 0 when the header does not say.
    n_bytes : int or None
        Size of the ``.bin`` file as the header says it.
    created : datetime or None
        When the recording's file was begun, local time of the acquisition computer, without a zone.
    sync : Sync
    notes : tuple of str
        What was odd, a sentence each.
    """

    path: Path
    values: Mapping[str, str]
    kind: Kind
    sampling_rate_hz: float
    n_saved_channels: int
    counts: Mapping[str, int]
    acquired_counts: Mapping[str, int]
    saved_channels: Integer
    first_sample: int
    n_bytes: int | None
    created: datetime | None
    sync: Sync
    notes: tuple[str, ...] = ()

    @property
    def is_probe(self) -> bool:
        """Whether the stream comes from a probe."""
        return self.kind in ("ap", "lf")

    @property
    def is_phase3a(self) -> bool:
        """Whether the probe is a prototype of phase 3A, whose header has keys of its own."""
        return "imDatPrb_type" not in self.values and "imProbeOpt" in self.values

    @property
    def part_number(self) -> str:
        """Part number of the probe, ``""`` when the header does not say."""
        return self.values.get("imDatPrb_pn", "")

    @property
    def probe_type(self) -> int | None:
        """Type of the probe as SpikeGLX numbers it; None for phase 3A."""
        return None if "imDatPrb_type" not in self.values else self.integer("imDatPrb_type")

    @property
    def serial_number(self) -> str:
        """Serial number of the probe, ``""`` when the header does not say."""
        return self.values.get("imDatPrb_sn") or self.values.get("imProbeSN", "")

    @property
    def connection(self) -> Mapping[str, str]:
        """Slot, port and dock of the probe, as far as the header says."""
        named = {name: self.values.get(f"imDatPrb_{name}", "") for name in ("slot", "port", "dock")}
        return {name: value for name, value in named.items() if value}

    @property
    def recorded_name(self) -> str:
        """Name of the ``.bin`` file when it was recorded, ``""`` when the header does not say."""
        return re.split(r"[/\\]", self.values.get("fileName", ""))[-1]

    def columns_of(self, channel_type: str) -> Integer:
        """Columns of the ``.bin`` file that hold channels of one type (`TYPES`), ascending."""
        first, stop = _range_of(channel_type, self.acquired_counts)
        return np.flatnonzero((self.saved_channels >= first) & (self.saved_channels < stop)).astype(np.int64)

    def numbers_of(self, channel_type: str) -> Integer:
        """Numbers of the saved channels of one type, counted within it: ``AP12`` is 12."""
        first, _ = _range_of(channel_type, self.acquired_counts)
        return self.saved_channels[self.columns_of(channel_type)] - first

    def integer(self, key: str) -> int:
        """Return an integer value; InputError when it is missing or none."""
        return header.integer(self.path, self.values, key)

    def number(self, key: str) -> float:
        """Return a finite number; InputError when it is missing or none."""
        return header.number(self.path, self.values, key)

    def table(self, key: str) -> tuple[str, ...]:
        """Bracketed groups of a table, the header first; InputError when the table is missing or broken.

        Raises
        ------
        InputError
            The key is missing, or its value is not a sequence of groups in brackets (a file cut short).
        """
        text = self.values.get(key, "")
        groups = tuple(_GROUP.findall(text))
        if not groups or sum(len(group) + 2 for group in groups) != len(text.strip()):
            shown = f"ends with {text[-30:]!r}" if text else "is missing or empty"
            raise broken(self.path, key, f"{shown}; it should be groups in round brackets")
        return groups


def read_meta(path: Path | str) -> Meta:
    r"""Read the header of a SpikeGLX stream.

    Parameters
    ----------
    path : str or Path
        The ``.meta`` file.

    Returns
    -------
    Meta

    Raises
    ------
    InputError
        The file is missing or is no SpikeGLX header, a value that is needed is missing or makes no sense, or values
        contradict each other; the message names the line or the key.

    Notes
    -----
    Format: SpikeGLX "Metadata" help pages (3A, 3B1, 20, 30) and real headers from 2018 to 2026.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "run_g0_t0.nidq.meta"
    >>> lines = ["typeThis=nidq", "niSampRate=25000", "nSavedChans=2", "acqMnMaXaDw=0,0,1,1", "snsMnMaXaDw=0,0,1,1"]
    >>> _ = path.write_text("\n".join([*lines, "snsSaveChanSubset=all", "firstSample=50", "niAiRangeMax=5"]))
    >>> meta = read_meta(path)
    >>> meta.kind, meta.sampling_rate_hz, meta.first_sample, meta.columns_of("XD").tolist()
    ('nidq', 25000.0, 50, [1])
    >>> folder.cleanup()
    """
    path = Path(path)
    values = header.read_values(path)
    source = values.get("typeThis", "")
    if source not in TYPES:
        found = f"is {source!r}" if source else "is missing"
        raise broken(path, "typeThis", f"{found}; SpikeGLX writes imec, nidq or obx")
    counts = _counts(path, values, f"sns{_COUNTS[source]}", TYPES[source])
    n_saved = header.integer(path, values, "nSavedChans")
    if n_saved < 1 or sum(counts.values()) != n_saved:
        raise broken(path, "nSavedChans", f"is {n_saved}, but sns{_COUNTS[source]} adds up to {sum(counts.values())}")
    acquired = _acquired(path, values, source, counts)
    saved = _saved(path, values, source, counts, acquired)
    rate = header.number(path, values, f"{_PREFIX[source]}SampRate")
    if rate <= 0:
        raise broken(path, f"{_PREFIX[source]}SampRate", f"is {rate:g}; it should be above 0 Hz")
    first_sample, notes = 0, []
    if "firstSample" in values:
        first_sample = header.integer(path, values, "firstSample")
    else:
        notes.append(
            f"{path.name} has no firstSample (the header was never finished), so its first sample is taken as the "
            "moment when acquisition began."
        )
    return Meta(
        path=path,
        values=values,
        kind=_kind(source, counts, path, values),
        sampling_rate_hz=rate,
        n_saved_channels=n_saved,
        counts=counts,
        acquired_counts=acquired,
        saved_channels=saved,
        first_sample=first_sample,
        n_bytes=header.integer(path, values, "fileSizeBytes") if values.get("fileSizeBytes") else None,
        created=_created(path, values),
        sync=_sync(path, values),
        notes=tuple(notes),
    )


def _counts(path: Path, values: Mapping[str, str], key: str, types: tuple[str, ...]) -> dict[str, int]:
    parts = header.required(path, values, key).split(",")
    if len(parts) != len(types) or not all(re.fullmatch(r"[ \t]*[0-9]{1,6}[ \t]*", part) for part in parts):
        raise broken(path, key, f"is {values[key][:40]!r}; it should be {len(types)} numbers ({', '.join(types)})")
    return {name: int(part) for name, part in zip(types, parts, strict=True)}


def _acquired(path: Path, values: Mapping[str, str], source: str, counts: Mapping[str, int]) -> Mapping[str, int]:
    key = f"acq{_COUNTS[source]}"
    if key not in values and values.get("snsSaveChanSubset") == "all":
        return counts
    return _counts(path, values, key, TYPES[source])


def _range_of(channel_type: str, acquired: Mapping[str, int]) -> tuple[int, int]:
    names = list(acquired)
    if channel_type not in names:
        return 0, 0
    first = sum(acquired[name] for name in names[: names.index(channel_type)])
    return first, first + acquired[channel_type]


def _saved(
    path: Path, values: Mapping[str, str], source: str, counts: Mapping[str, int], acquired: Mapping[str, int]
) -> Integer:
    key = "snsSaveChanSubset"
    text = header.required(path, values, key)
    if text == "all":
        # Types that the file leaves out altogether (LF in an AP file) are no contradiction of "all".
        numbers = [n for name, count in counts.items() if count for n in range(*_range_of(name, acquired))]
    else:
        try:
            numbers = header.channel_list(text)
        except ValueError as error:
            raise broken(path, key, f"is {text[:40]!r}; it should be 'all' or a list such as 0:383,768") from error
    saved = np.asarray(numbers, dtype=np.int64)
    for name, count in counts.items():
        first, stop = _range_of(name, acquired)
        listed = int(np.count_nonzero((saved >= first) & (saved < stop)))
        if listed != count:
            raise broken(path, key, f"lists {listed} {name} channels, but sns{_COUNTS[source]} says {count}")
    if len(np.unique(saved)) != len(saved) or len(saved) != sum(counts.values()):
        raise broken(path, key, "repeats a channel, or lists one that was not acquired")
    return saved


def _kind(source: str, counts: Mapping[str, int], path: Path, values: Mapping[str, str]) -> Kind:
    if source == "nidq":
        return "nidq"
    if source == "obx":
        return "obx"
    if counts["AP"] and counts["LF"]:
        raise broken(path, "snsApLfSy", "lists AP and LF channels in one file; SpikeGLX writes a file for each")
    if not counts["AP"] and not counts["LF"]:
        is_lf = ".lf." in path.name or ".lf." in values.get("fileName", "")
        return "lf" if is_lf else "ap"
    return "ap" if counts["AP"] else "lf"


def _created(path: Path, values: Mapping[str, str]) -> datetime | None:
    # CatGT writes a file of its own and keeps the recording's time under another key.
    key = "fileCreateTime_original" if values.get("fileCreateTime_original") else "fileCreateTime"
    if not values.get(key):
        return None
    try:
        return datetime.fromisoformat(values[key]).replace(tzinfo=None)
    except ValueError as error:
        raise broken(path, key, f"is {values[key][:40]!r}; it should be like 2026-01-31T14:03:00") from error


def _sync(path: Path, values: Mapping[str, str]) -> Sync:
    period = header.number(path, values, "syncSourcePeriod") if values.get("syncSourcePeriod") else 1.0
    if period <= 0:
        raise broken(path, "syncSourcePeriod", f"is {period:g}; it should be above 0 s")
    # Phase 3A chose one of 16 digital lines; later probes always use bit 6.
    bit = header.integer(path, values, "syncImChan") % 16 if values.get("syncImChan") else _SYNC_BIT
    return Sync(
        source=header.integer(path, values, "syncSourceIdx") if values.get("syncSourceIdx") else None,
        period_s=period,
        status_bit=bit,
        ni_channel=header.integer(path, values, "syncNiChan") if values.get("syncNiChan") else None,
        is_ni_analog=values.get("syncNiChanType", "0") == "1",
        ni_threshold_v=header.number(path, values, "syncNiThresh") if values.get("syncNiThresh") else 1.1,
    )
