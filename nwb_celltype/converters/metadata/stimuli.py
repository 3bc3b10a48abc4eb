"""The Optogenetics block: which pulses were light, what light, and where it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nwb_celltype.converters.metadata.problems import closest
from nwb_celltype.converters.metadata.records import Blocker, EventMetadata, StimulusMetadata
from nwb_celltype.converters.metadata.terms import find_location
from nwb_celltype.converters.metadata.values import Block, as_number
from nwb_celltype.converters.records import SourceSession
from nwb_celltype.errors import UsageError
from nwb_celltype.taxonomy import map_label, vocabularies

STIMULUS_KEYS = (
    "events", "location", "site", "site_description", "device", "wavelength_nm", "power_mw", "opsin", "tags",
    "blockers", "leave_out",
)  # fmt: skip
BLOCKER_KEYS = ("name", "from_s", "to_s")
_WAVELENGTHS_NM = (200.0, 2000.0)
_MOST_POWER_MW = 1000.0
_USUAL_POWER_MW = (0.01, 100.0)
_REQUIRED = {
    "events": ("the name of the events (see Events) that hold the pulses", "events: laser"),
    "device": ("the light source, a key of Devices", "device: laser"),
    "wavelength_nm": ("the wavelength in nanometres", "wavelength_nm: 473"),
    "power_mw": ("the power in milliwatts while a pulse lasts", "power_mw: 5"),
    "location": ("the brain region that the light reached", "location: Cerebellar cortex"),
}


def check_stimuli(
    top: Block, events: Mapping[str, EventMetadata], devices: Mapping[str, str], source: SourceSession | None
) -> tuple[StimulusMetadata, ...]:
    """Check the Optogenetics block.

    Parameters
    ----------
    top : Block
        The whole of the metadata.
    events : mapping of str to EventMetadata
        By line.
    devices : mapping of str to str
        Name of each device by its key.
    source : SourceSession or None
        To know how many pulses there were.

    Returns
    -------
    tuple of StimulusMetadata
    """
    value = top.get("Optogenetics")
    entries = [value] if isinstance(value, Mapping) else value
    if entries is None:
        return ()
    if not isinstance(entries, list | tuple):
        top.wrong("Optogenetics", "a list of stimuli", "- {events: laser, ...}")
        return ()
    checked: list[StimulusMetadata] = []
    for k, entry in enumerate(entries):
        block = Block(entry, f"Optogenetics[{k}]", top.problems)
        block.check_keys(STIMULUS_KEYS)
        for key, (wanted, example) in _REQUIRED.items():
            block.require(key, wanted, example)
        checked.append(_stimulus(block, events, devices, source, checked))
    return tuple(checked)


def _stimulus(
    block: Block,
    events: Mapping[str, EventMetadata],
    devices: Mapping[str, str],
    source: SourceSession | None,
    earlier: Sequence[StimulusMetadata],
) -> StimulusMetadata:
    name = _events_of(block, events, source)
    device = _device_of(block, devices)
    wavelength, power = _wavelength(block), _power(block)
    location = _location(block)
    description = block.text("site_description", "a sentence on the place that the light reached")
    opsin = block.text("opsin", "the light-sensitive protein", "opsin: ChR2")
    about = description or f"Light of {wavelength:g} nm in {location}{f' on cells with {opsin}' if opsin else ''}."
    leave_out, from_s, to_s = _leave_out(block)
    stimulus = StimulusMetadata(
        events=name,
        site_name=block.name("site", "a name for the place that the light reached", "site: crus1_surface"),
        site_description=about,
        location=location,
        device=device,
        wavelength_nm=wavelength,
        power_mw=power,
        opsin=opsin,
        tags=_tags(block),
        blockers=_blockers(block),
        leave_out=leave_out,
        leave_out_from_s=from_s,
        leave_out_to_s=to_s,
    )
    _compare_tags(block, stimulus, earlier)
    return _with_site(block, stimulus, earlier)


def _compare_tags(block: Block, stimulus: StimulusMetadata, earlier: Sequence[StimulusMetadata]) -> None:
    """Write down cells that the same pulses are said to tag otherwise: the responses could not be told apart."""
    tags = {other.tags for other in earlier if other.events == stimulus.events} - {"", stimulus.tags}
    if stimulus.events and stimulus.tags and tags:
        found = f"{stimulus.tags!r} and, for the same pulses, {sorted(tags)[0]!r}"
        block.wrong(
            "tags", f"one label for the cells that respond to {stimulus.events}", f"tags: {sorted(tags)[0]}", found
        )


def _events_of(block: Block, events: Mapping[str, EventMetadata], source: SourceSession | None) -> str:
    """Name of the events table; the line itself is understood too."""
    wanted, example = _REQUIRED["events"]
    text = block.text("events", wanted, example)
    if not text:
        return ""
    lines = {line: event for line, event in events.items() if text in (line, event.name)}
    kept = [line for line, event in lines.items() if event.keep]
    if not kept:
        if lines:
            found = f"{text!r} is not kept: its line says keep: false"
            block.wrong("events", "events that are kept", example, found)
        else:
            names = [event.name for event in events.values() if event.keep]
            what = f"no line under Events is called {text!r}"
            block.problems.unknown(block.path_of("events"), text, names, what)
        return ""
    line = kept[0]
    if source is not None and any(p.name == line and not len(p) for p in source.pulses):
        block.problems.note(f"{block.path_of('events')}: the line {line} has no pulse.")
    return lines[line].name


def _device_of(block: Block, devices: Mapping[str, str]) -> str:
    wanted, example = _REQUIRED["device"]
    text = block.text("device", wanted, example)
    if not text:
        return ""
    if text in devices:
        return devices[text]
    if text in devices.values():
        return text
    guess = closest(text, devices)
    hint = f"; did you mean {guess!r}?" if guess else ""
    block.wrong("device", wanted, f"Devices: {{{text}: {{description: ...}}}}", f"Devices has no {text!r}{hint}")
    return ""


def _location(block: Block) -> str:
    wanted, example = _REQUIRED["location"]
    text = block.text("location", wanted, example)
    place = find_location(text, mouse=True)
    if place is None:
        block.wrong("location", f"{wanted}, by name", f"location: Name of the region ({text})")
    return place.text if place else ""


def _wavelength(block: Block) -> float:
    wanted, example = _REQUIRED["wavelength_nm"]
    value = block.number("wavelength_nm", wanted, example)
    if value is None:
        return 0.0
    low, high = _WAVELENGTHS_NM
    if low <= value <= high:
        return value
    for unit, factor in (("micrometres", 1e3), ("metres", 1e9)):
        if low <= value * factor <= high:
            block.wrong("wavelength_nm", wanted, f"wavelength_nm: {value * factor:g}", f"{value:g} looks like {unit}")
            return 0.0
    block.wrong("wavelength_nm", f"{wanted}, {low:g} to {high:g}", example)
    return 0.0


def _power(block: Block) -> float:
    wanted, example = _REQUIRED["power_mw"]
    value = block.number("power_mw", wanted, example)
    if value is None:
        return 0.0
    if not 0 < value <= _MOST_POWER_MW:
        block.wrong("power_mw", f"{wanted}, above 0 and at most {_MOST_POWER_MW:g}", example)
        return 0.0
    low, high = _USUAL_POWER_MW
    if not low <= value <= high:
        block.problems.note(f"{block.path_of('power_mw')}: {value:g} mW is unusual; is it in milliwatts?")
    return value


def _tags(block: Block) -> str:
    """Label of the tagged cells, in the words of a taxonomy where it is one of theirs."""
    text = block.text("tags", "the label of the cells that carry the opsin", "tags: MLI")
    if not text:
        return ""
    for vocabulary in vocabularies():
        try:
            label = map_label(text, vocabulary)
        except UsageError:
            continue
        return label or ""
    block.problems.note(
        f"{block.path_of('tags')}: {text!r} is no label that is known here; it is kept as written, and units that "
        "respond to the light are proposed to be that."
    )
    return text


def _blockers(block: Block) -> tuple[Blocker, ...]:
    value = block.get("blockers")
    if value is None:
        return ()
    example = "blockers: [{name: gabazine, from_s: 1800}]"
    entries = [value] if isinstance(value, Mapping) else value
    if not isinstance(entries, list | tuple):
        block.wrong("blockers", "a list of blockers with the time from which each acts", example)
        return ()
    return tuple(
        blocker
        for k, entry in enumerate(entries)
        if (blocker := _blocker(Block(entry, f"{block.path_of('blockers')}[{k}]", block.problems)))
    )


def _blocker(block: Block) -> Blocker | None:
    block.check_keys(BLOCKER_KEYS)
    named = block.require("name", "what was given", "name: gabazine")
    timed = block.require("from_s", "seconds of the session from which it acts", "from_s: 1800")
    from_s, to_s = _interval(block)
    name = block.text("name", "what was given", "name: gabazine")
    return Blocker(name, from_s, to_s) if named and timed and from_s is not None else None


def _interval(block: Block) -> tuple[float | None, float | None]:
    """Read ``from_s`` and ``to_s``, in this order and not negative."""
    from_s = block.number("from_s", "seconds of the session", "from_s: 1800")
    to_s = block.number("to_s", "seconds of the session", "to_s: 2400")
    for key, value in (("from_s", from_s), ("to_s", to_s)):
        if value is not None and value < 0:
            block.wrong(key, "seconds of the session, 0 or more", f"{key}: 1800")
    if from_s is not None and to_s is not None and to_s <= from_s:
        block.wrong("to_s", "seconds after from_s", f"to_s: {from_s + 600:g}")
    return from_s, to_s


def _leave_out(block: Block) -> tuple[bool, float | None, float | None]:
    """Whether, and from when to when, the stimulated part is left out: yes or no, two times, or from_s and to_s."""
    value: Any = block.get("leave_out")
    if isinstance(value, list | tuple):
        numbers = [as_number(end) for end in value]
        if len(numbers) != 2 or None in numbers:
            block.wrong("leave_out", "true, false, or two times in seconds of the session", "leave_out: [1200, 2400]")
            return False, None, None
        value = {"from_s": numbers[0], "to_s": numbers[1]}
    if isinstance(value, Mapping):
        part = Block(value, block.path_of("leave_out"), block.problems)
        part.check_keys(("from_s", "to_s"))
        return True, *_interval(part)
    return block.flag("leave_out", default=False), None, None


def _with_site(block: Block, stimulus: StimulusMetadata, earlier: Sequence[StimulusMetadata]) -> StimulusMetadata:
    """Name the site after its device where it has no name; one name is one place, device and wavelength."""
    facts = (stimulus.device, stimulus.wavelength_nm, stimulus.location, stimulus.site_description)
    by_name = {s.site_name: (s.device, s.wavelength_nm, s.location, s.site_description) for s in earlier}
    if stimulus.site_name:
        if by_name.get(stimulus.site_name, facts) != facts:
            found = f"{stimulus.site_name!r} is the name of another place, device or wavelength"
            block.wrong("site", "a name of its own for each", f"site: {stimulus.site_name}_2", found)
        return stimulus
    same = [name for name, known in by_name.items() if known == facts]
    base = f"{stimulus.device or 'light'}_site"
    names = (base if k == 1 else f"{base}_{k}" for k in range(1, len(earlier) + 2))
    return replace(stimulus, site_name=same[0] if same else next(name for name in names if name not in by_name))
