"""Where the electrodes were: the Ecephys and Layers blocks, and the region of each channel that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.converters.metadata.problems import Problems
from nwb_celltype.converters.metadata.ranges import channel_ranges, depth_range
from nwb_celltype.converters.metadata.records import RegionRule, SessionMetadata, Term
from nwb_celltype.converters.metadata.terms import Location, find_layer, find_location, layer_terms
from nwb_celltype.converters.metadata.values import Block, is_blank
from nwb_celltype.converters.records import Probe, SourceSession
from nwb_celltype.quality import is_cerebellar_cortex
from nwb_celltype.taxonomy import CEREBELLUM

UNKNOWN = "unknown"
"""Location of an electrode that nobody states."""

_REGION_COLUMNS = ("brain_region", "brain_area")
PROBE_KEYS = ("location", "gain_uv", "geometry")
RULE_KEYS = ("channels", "depth_um", "location", "layer")
_MOST_RANGES = 1000
_SMALLEST_GAIN_UV, _LARGEST_GAIN_UV = 1e-4, 1e3
# What NeuroConv's own interfaces keep beside our probes.
_NEUROCONV = ("Device", "Electrode", "ElectricalSeries", "SpikeEventSeries", "UnitProperties", "LFP", "Units")
_LOCATION_EXAMPLE = "location: Cerebellar cortex"
_Ends = tuple[str, float, float]
_TERM_ALONE = "a place by name; a term that is not known here needs its name, in front of it"


@dataclass(frozen=True)
class ChannelRegions:
    """Where each channel of a probe was; tuples of one entry a row of the probe.

    Attributes
    ----------
    location : tuple of n str
        ``unknown`` where nobody says.
    layer : tuple of n str
        Label of the layer (``ML``, ``PCL``, ``GCL``), or the user's own word outside the cerebellum; ``""`` where
        nobody says.
    terms : tuple of n tuples of Term
    """

    location: tuple[str, ...]
    layer: tuple[str, ...]
    terms: tuple[tuple[Term, ...], ...]


def channel_regions(meta: SessionMetadata, probe: Probe) -> ChannelRegions:
    """Find the region and the layer of every channel of a probe.

    What the metadata say wins over what the source says of its channels.

    Parameters
    ----------
    meta : SessionMetadata
        As checked by `check_metadata`.
    probe : Probe
        Its rows are the channels that rules count; depths are compared with the second column of its positions.

    Returns
    -------
    ChannelRegions

    Examples
    --------
    >>> from nwb_celltype.converters.metadata.records import RegionRule, SessionMetadata
    >>> import numpy as np
    >>> probe = Probe("imec0", ("a", "b"), np.array([[0.0, 0.0], [0.0, 20.0]]), np.zeros(2, np.int64), "by hand")
    >>> rule = RegionRule("Crus 1", "GCL", first_channel=1, last_channel=1)
    >>> meta = SessionMetadata({}, {}, regions={"imec0": (rule,)})
    >>> channel_regions(meta, probe).location
    ('unknown', 'Crus 1')
    """
    location, layer = _stated_by_source(probe), [""] * len(probe)
    terms: list[tuple[Term, ...]] = [()] * len(probe)
    for rule in meta.regions.get(probe.name, ()):
        for row in np.flatnonzero(_rows(rule, probe)):
            location[row], layer[row], terms[row] = rule.location, rule.layer, rule.terms
    return ChannelRegions(tuple(location), tuple(layer), tuple(terms))


def _stated_by_source(probe: Probe) -> list[str]:
    """Region of each channel as the source states it."""
    stated = next((probe.columns[name] for name in _REGION_COLUMNS if name in probe.columns), None)
    if stated is None:
        return [UNKNOWN] * len(probe)
    return [str(text).strip() or UNKNOWN for text in stated]


def check_regions(
    top: Block, source: SourceSession | None, *, mouse: bool
) -> tuple[dict[str, tuple[RegionRule, ...]], dict[str, float], dict[str, Any]]:
    """Check the Ecephys and Layers blocks.

    Parameters
    ----------
    top : Block
        The whole of the metadata.
    source : SourceSession or None
        To know the probes, and how many channels they have.
    mouse : bool
        Whether terms of the Allen mouse atlas apply.

    Returns
    -------
    regions : dict of str to tuple of RegionRule
        By probe.
    gains_uv : dict of str to float
        By probe.
    geometries : dict of str to object
        By probe, as written: whether it fits the probe is seen when the electrodes are placed.
    """
    probes = {r.probe.name: r.probe for r in source.recordings} if source is not None else None
    whole: dict[str, Location] = {}
    gains: dict[str, float] = {}
    geometries: dict[str, Any] = {}
    ecephys = top.block("Ecephys")
    for name, entry in ecephys.values.items():
        if isinstance(entry, list | tuple) or name.startswith(_NEUROCONV) or not _is_probe(ecephys, name, probes):
            continue
        block = ecephys.block(name)
        block.check_keys(PROBE_KEYS)
        place = _location(block, mouse=mouse)
        if place is not None:
            whole[name] = place
        gain = _gain(block)
        if gain is not None:
            gains[name] = gain
        if "geometry" in block:
            geometries[name] = block.values["geometry"]
    regions = {name: _whole_probe(place, mouse=mouse) for name, place in whole.items()}
    layers = top.block("Layers")
    for name in layers:
        if name in layers and _is_probe(layers, name, probes):
            rules = _Rules(
                layers,
                name,
                probes[name] if probes else None,
                whole.get(name),
                mouse=mouse,
                is_placed=name in geometries,
            ).check()
            regions[name] = regions.get(name, ()) + rules
    _note_unknown(regions, probes, top.problems)
    return {name: rules for name, rules in regions.items() if rules}, gains, geometries


def _is_probe(block: Block, name: str, probes: Mapping[str, Probe] | None) -> bool:
    if probes is None or name in probes:
        return True
    what = "the recording has no such probe"
    block.problems.unknown(block.path_of(name), name, probes, what)
    return False


def _location(block: Block, *, mouse: bool) -> Location | None:
    text = block.text("location", "the name of a brain region, or a term such as UBERON:0002129", _LOCATION_EXAMPLE)
    if not text or text.lower() == UNKNOWN:
        return None
    place = find_location(text, mouse=mouse)
    if place is None:
        block.wrong("location", _TERM_ALONE, f"location: Name of the region ({text})")
    return place


def _gain(block: Block) -> float | None:
    wanted, example = "microvolts of one count, a positive number", "gain_uv: 2.34375"
    gain = block.number("gain_uv", wanted, example)
    if gain is None or _SMALLEST_GAIN_UV <= gain <= _LARGEST_GAIN_UV:
        return gain
    hint = " (this looks like volts)" if 0 < gain < _SMALLEST_GAIN_UV else ""
    block.wrong("gain_uv", wanted + hint, example)
    return None


def _whole_probe(place: Location, *, mouse: bool) -> tuple[RegionRule, ...]:
    return (RegionRule(place.text, place.layer, terms=_terms(place, place.layer, mouse=mouse)),)


def _terms(place: Location, layer: str, *, mouse: bool) -> tuple[Term, ...]:
    """Terms of a place and of its layer, each once."""
    both = (*place.terms, *(layer_terms(layer, mouse=mouse) if layer else ()))
    return tuple(dict.fromkeys(both))


def _note_unknown(
    regions: Mapping[str, Sequence[RegionRule]], probes: Mapping[str, Probe] | None, problems: Problems
) -> None:
    """Say which electrodes have no region: the annotator and the archive want one, and it is not guessed."""
    wish = "the annotator (it types units of the cerebellar cortex) and DANDI want to know it"
    for name, rules in regions.items():
        if probes is None and any(rule.location == UNKNOWN for rule in rules):
            problems.note(f"Layers.{name}: some rules state no location, so 'unknown' is written; {wish}.")
    for name, probe in (probes or {}).items():
        meta = SessionMetadata({}, {}, regions={name: tuple(regions.get(name, ()))})
        missing = sum(place == UNKNOWN for place in channel_regions(meta, probe).location)
        if missing:
            problems.note(
                f"Ecephys.{name}.location: nothing says where {missing} of {len(probe)} channels were, so 'unknown' is "
                f"written; {wish}."
            )


def _rows(rule: RegionRule, probe: Probe) -> NDArray[np.bool_]:
    """Rows of the probe that a rule speaks of."""
    number = np.arange(len(probe))
    rows = np.ones(len(probe), dtype=bool)
    if rule.first_channel is not None and rule.last_channel is not None:
        rows &= (number >= rule.first_channel) & (number <= rule.last_channel)
    if rule.from_um is not None or rule.to_um is not None:
        depth = probe.positions_um[:, 1]
        rows &= np.isfinite(depth)
        rows &= depth >= rule.from_um if rule.from_um is not None else True
        rows &= depth < rule.to_um if rule.to_um is not None else True
    return rows


class _Rules:
    """The list of rules of one probe while it is checked."""

    def __init__(
        self,
        layers: Block,
        name: str,
        probe: Probe | None,
        whole: Location | None,
        *,
        mouse: bool,
        is_placed: bool = False,
    ) -> None:
        self.is_placed = is_placed  # by the metadata, so that the probe's own positions say nothing
        self.layers, self.name, self.probe, self.mouse = layers, name, probe, mouse
        self.whole = whole
        self.path = layers.path_of(name)
        self.problems = layers.problems

    def check(self) -> tuple[RegionRule, ...]:
        """Return the rules in order."""
        value: Any = self.layers.get(self.name)
        entries = [value] if isinstance(value, Mapping) else value
        if not isinstance(entries, list | tuple):
            self.layers.wrong(self.name, "a list of rules", "- {channels: 0-95, layer: granular}")
            return ()
        found: list[tuple[str, RegionRule]] = []
        for k, entry in enumerate(entries):
            path = f"{self.path}[{k}]"
            block = Block(entry, path, self.problems)
            if not is_blank(entry):
                block.check_keys(RULE_KEYS)
                found += [(path, rule) for rule in self._rule(block)]
        self._find_overlaps(found)
        return tuple(rule for _, rule in found)

    def _rule(self, block: Block) -> list[RegionRule]:
        place = _location(block, mouse=self.mouse) or self.whole or Location(UNKNOWN)
        layer = self._layer(block, place) or place.layer
        if "location" not in block and "layer" not in block:
            block.problems.add(block.path, "states neither location nor layer", "one of them", "layer: granular")
            return []
        rule = RegionRule(place.text, layer, terms=_terms(place, layer, mouse=self.mouse))
        if "channels" in block and "depth_um" in block:
            block.problems.add(block.path, "states channels and depth_um", "one of them", "channels: 0-95")
            return []
        if "channels" in block:
            return [replace(rule, first_channel=a, last_channel=b) for a, b in self._channels(block)]
        if "depth_um" in block:
            return self._depths(block, rule)
        return [rule]

    def _layer(self, block: Block, place: Location) -> str:
        words = ", ".join(f"{layer.full_name} ({layer.label})" for layer in CEREBELLUM.layers)
        text = block.text("layer", f"a layer: {words}", "layer: granular")
        if not text:
            return ""
        layer = find_layer(text)
        if layer is not None:
            return layer.label
        if is_cerebellar_cortex(place.text):
            block.wrong("layer", f"a layer of the cerebellar cortex: {words}", "layer: granular")
            return ""
        block.problems.note(
            f"{block.path}.layer: {text!r} is no layer of the cerebellar cortex; it is kept as written."
        )
        return text

    def _channels(self, block: Block) -> list[tuple[int, int]]:
        wanted = "channels counted from 0, as a range with both ends, or a list of ranges"
        ranges = channel_ranges(block.get("channels"))
        if ranges is None:
            block.wrong("channels", wanted, "channels: 0-95")
            return []
        if self.probe is not None and any(last >= len(self.probe) for _, last in ranges):
            last = len(self.probe) - 1
            found = f"channel {max(b for _, b in ranges)} is beyond the last one"
            block.wrong("channels", f"channels from 0 to {last}", f"channels: 0-{last}", found)
            return []
        return ranges

    def _depths(self, block: Block, rule: RegionRule) -> list[RegionRule]:
        depths = depth_range(block.get("depth_um"))
        if depths is None:
            wanted = "two depths in micrometres from the tip, the smaller first; leave one out with null"
            block.wrong("depth_um", wanted, "depth_um: [960, 1300]")
            return []
        rule = replace(rule, from_um=depths[0], to_um=depths[1])
        if self.probe is not None and not self.is_placed and not _rows(rule, self.probe).any():
            block.problems.note(f"{block.path}.depth_um: no channel of {self.name} lies in this range.")
        return [rule]

    def _find_overlaps(self, found: Sequence[tuple[str, RegionRule]]) -> None:
        """Write down pairs of rules that speak of the same channels; a rule for the whole probe may come first."""
        if len(found) > _MOST_RANGES:
            self.problems.add(self.path, f"{len(found)} ranges", f"at most {_MOST_RANGES}", "channels: 0-95")
            return
        reported = set()
        known = [(path, _ends(rule), None if self.probe is None else _rows(rule, self.probe)) for path, rule in found]
        for j, (path, mine, rows) in enumerate(known):
            for k, (earlier_path, theirs, earlier_rows) in enumerate(known[:j]):
                if (theirs is None and mine is not None and k == 0) or path == earlier_path:
                    continue
                if rows is not None and earlier_rows is not None:
                    do_meet = bool((rows & earlier_rows).any())
                else:
                    do_meet = _meet(mine, theirs)
                if do_meet and (path, earlier_path) not in reported:
                    reported.add((path, earlier_path))
                    hint = "each channel in one rule (a region common to all goes to Ecephys)"
                    self.problems.add(path, f"overlaps with {earlier_path}", hint)


def _meet(one: _Ends | None, other: _Ends | None) -> bool:
    if one is None or other is None:
        return True
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def _ends(rule: RegionRule) -> _Ends | None:
    """Kind and half-open range of a rule; `None` for the whole probe."""
    if rule.first_channel is not None and rule.last_channel is not None:
        return "channels", rule.first_channel, rule.last_channel + 1
    if rule.from_um is None and rule.to_um is None:
        return None
    low = rule.from_um if rule.from_um is not None else -np.inf
    high = rule.to_um if rule.to_um is not None else np.inf
    return "depths", low, high
