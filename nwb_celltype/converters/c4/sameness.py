"""Reports about many neurons, made short: what is said of each of them in the same words is said once."""

from __future__ import annotations

from collections.abc import Iterable

from nwb_celltype.converters.records import LeftOut

_OF_NEURON = " of neuron "
_NEURON = "Neuron "


def joined_left_out(items: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """Join what was left out of several neurons for the same reason; every neuron stays named.

    Examples
    --------
    >>> joined_left_out([LeftOut("field line of neuron a", "broken"), LeftOut("field line of neuron b", "broken")])
    (LeftOut(what='field line of neurons a, b', reason='broken'),)
    """
    names: dict[tuple[str, str], list[str]] = {}
    for item in items:
        what, _, neuron = item.what.partition(_OF_NEURON)
        names.setdefault((what, item.reason), []).append(neuron)
    return tuple(LeftOut(_of(what, neurons), reason) for (what, reason), neurons in names.items())


def joined_notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Join notes that say the same of several neurons.

    Examples
    --------
    >>> joined_notes(["Neuron a: odd.", "Neuron b: odd.", "Something else."])
    ('Neurons a, b: odd.', 'Something else.')
    """
    names: dict[str, list[str]] = {}
    for note in notes:
        name, colon, text = note.partition(": ")
        is_of_neuron = name.startswith(_NEURON) and bool(colon)
        names.setdefault(text if is_of_neuron else note, []).append(name.removeprefix(_NEURON) if is_of_neuron else "")
    return tuple(
        f"Neuron{'s' * (len(neurons) > 1)} {', '.join(neurons)}: {text}" if neurons[0] else text
        for text, neurons in names.items()
    )


def _of(what: str, neurons: list[str]) -> str:
    if not neurons[0]:
        return what
    return f"{what} of neuron{'s' * (len(neurons) > 1)} {', '.join(neurons)}"
