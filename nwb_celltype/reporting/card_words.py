"""The card of a model in plain sentences: what it is, how good it was found to be, when not to trust it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nwb_celltype.reporting.records import CalibrationPoint, Section

_ALL = "all units"
_SUBSETS = {"waveform": "waveform alone", "train": "spike train alone"}
_ELSEWHERE = re.compile(r"left out|other|elsewhere|another", re.IGNORECASE)
_POOR_RECALL = 0.75
_LOW_COVERAGE = 0.3
_CODES = re.compile(r"_")


def sections_of(card: Mapping[str, Any]) -> tuple[Section, ...]:
    """Say in words what a model's card states; every figure is the card's own.

    Parameters
    ----------
    card : mapping
        The card of a loaded model.

    Returns
    -------
    tuple of Section
        What it is, trained on, one for each protocol it was measured by, its limits (a line each), its licence.

    Examples
    --------
    >>> from nwb_celltype.bundles import read_bundle
    >>> [section.heading for section in sections_of(read_bundle("cerebellum").card)][:2]
    ['What it is', 'Trained on']
    """
    sections = [Section("What it is", _text(card.get("description"), card.get("intended_use")))]
    sections.append(Section("Trained on", _training(card)))
    for name, entry in _protocols(card):
        sections.append(Section(_heading(name), _measured(entry)))
    sections.append(Section("How it answers", _answering(card)))
    sections.append(Section("When not to trust it", _limits(card)))
    sections.append(Section("Licence", _licence(card)))
    return tuple(section for section in sections if section.text)


def reliability_of(card: Mapping[str, Any]) -> tuple[CalibrationPoint, ...]:
    """Confidence against accuracy, where the card states it; the first table that it has.

    Looked for under ``calibration``, and under each protocol of ``metrics`` and its ``all units``.

    Examples
    --------
    >>> reliability_of({"calibration": {"reliability": [{"confidence": 0.9, "accuracy": 0.88, "n": 50}]}})
    (CalibrationPoint(confidence=0.9, accuracy=0.88, n=50),)
    """
    places: list[Any] = [card.get("calibration")]
    for _, entry in _protocols(card):
        places += [entry, entry.get(_ALL)]
    for place in places:
        rows = place.get("reliability") if isinstance(place, Mapping) else None
        if isinstance(rows, Sequence) and not isinstance(rows, str):
            points = [_point(row) for row in rows if isinstance(row, Mapping)]
            found = tuple(point for point in points if point is not None)
            if found:
                return found
    return ()


def _point(row: Mapping[str, Any]) -> CalibrationPoint | None:
    said, right, n = _number(row.get("confidence")), _number(row.get("accuracy")), _number(row.get("n"))
    return CalibrationPoint(said, right, int(n)) if said is not None and right is not None and n else None


def _protocols(card: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    metrics = card.get("metrics")
    for name, entry in metrics.items() if isinstance(metrics, Mapping) else ():
        if isinstance(entry, Mapping) and "protocol" in entry:
            yield str(name), entry


def _heading(name: str) -> str:
    if name == "cross-validation":
        return "How good in the laboratories that taught it"
    if _ELSEWHERE.search(name):
        return "How good in a species that did not teach it" if name == "other" else "How good in another laboratory"
    return f"How good in {name}"


def _measured(entry: Mapping[str, Any]) -> str:
    """Figures of one protocol."""
    figures = entry.get(_ALL)
    figures = figures if isinstance(figures, Mapping) else entry
    sentences = []
    n, accuracy, balanced = (_number(figures.get(key)) for key in ("n", "accuracy", "balanced_accuracy"))
    if accuracy is not None:
        of = f" of {int(n):,} units" if n else " of the units"
        fair = f" ({_share(balanced)} when every class counts alike)" if balanced is not None else ""
        sentences.append(f"{_capital(_share(accuracy))}{of} got the right class when all had to be answered{fair}.")
    coverage, kept = _number(figures.get("coverage")), _number(figures.get("accuracy_kept"))
    if coverage is not None and kept is not None:
        sentences.append(f"With its threshold it answered {_share(coverage)} of them, {_share(kept)} of those rightly.")
    ratio, right = _number(figures.get("coverage_at_ratio")), _number(figures.get("accuracy_at_ratio"))
    if ratio is not None and right is not None:
        sentences.append(f"At its confidence ratio it answered {_share(ratio)}, {_share(right)} of them rightly.")
    recall, covered = _by_class(figures)
    if recall:
        sentences.append(f"Found of each class: {_listed(recall)}.")
    if covered:
        sentences.append(f"Answered of each class: {_listed(covered)}.")
    alone = []
    for subset, words in _SUBSETS.items():
        part = entry.get(subset)
        right_alone = _number(part.get("balanced_accuracy")) if isinstance(part, Mapping) else None
        if right_alone is not None:
            alone.append(f"{_share(right_alone)} from the {words}")
    if alone:
        sentences.append(f"When every class counts alike: {' and '.join(alone)}.")
    error = _number(figures.get("ece"))
    if error is not None:
        sentences.append(f"Its confidence was off by {_share(error)} on average (expected calibration error).")
    sentences.append(f"Protocol: {entry['protocol']}.")
    return " ".join(sentences)


def _by_class(figures: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Recall and coverage of each class, from either form of a card."""
    found: tuple[dict[str, float], dict[str, float]] = {}, {}
    for place, key in zip(found, ("recall", "coverage"), strict=True):
        stated = figures.get(f"{key}_by_class")
        if not isinstance(stated, Mapping):
            per_class = figures.get("per_class")
            rows = per_class.items() if isinstance(per_class, Mapping) else ()
            stated = {label: row.get(key) for label, row in rows if isinstance(row, Mapping)}
        for label, value in stated.items():
            number = _number(value)
            if number is not None:
                place[str(label)] = number
    return found


def _training(card: Mapping[str, Any]) -> str:
    total: dict[str, int] = {}
    places = []
    for data in card.get("training_data") or ():
        if not isinstance(data, Mapping):
            continue
        used = data.get("n_used")
        counts = {str(k): int(v) for k, v in used.items()} if isinstance(used, Mapping) else {}
        for label, n in counts.items():
            total[label] = total.get(label, 0) + n
        who = str(data.get("lab") or data.get("name") or "")
        species = f", {data['species']}" if data.get("species") else ""
        n_units = f": {sum(counts.values()):,} units" if counts else ""
        places.append(f"{who}{species}{n_units}")
    sentences = []
    if total:
        each = ", ".join(f"{n:,} {label}" for label, n in total.items())
        sentences.append(f"{sum(total.values()):,} labelled units: {each}.")
    if places:
        sentences.append(f"From {'; '.join(places)}.")
    cited = list(dict.fromkeys(str(d["citation"]) for d in card.get("training_data") or () if _has(d, "citation")))
    if cited:
        sentences.append(f"Cite {'; '.join(cited)}.")
    return " ".join(sentences)


def _answering(card: Mapping[str, Any]) -> str:
    threshold, ood = _number(card.get("default_threshold")), card.get("ood")
    sentences = []
    if threshold is not None:
        sentences.append(
            f"It answers where the largest calibrated probability is {threshold:.2f} or more, "
            "and leaves the unit unclassified below."
        )
    limit = _number(ood.get("threshold")) if isinstance(ood, Mapping) else None
    if limit is not None:
        sentences.append(f"Units unlike those it learnt from (score above {limit:.2f}) are left unclassified, too.")
        if isinstance(ood, Mapping) and ood.get("meaning"):
            sentences.append(f"Of that score: {str(ood['meaning']).rstrip('.')}.")
    calibration = card.get("calibration")
    fitted = calibration.get("fitted_on") if isinstance(calibration, Mapping) else None
    if fitted:
        sentences.append(f"Its probabilities were calibrated on {str(fitted).rstrip('.')}.")
    return " ".join(sentences)


def _limits(card: Mapping[str, Any]) -> str:
    sentences = [_sentence(str(one)) for one in card.get("limits") or ()]
    applies = card.get("applies_to")
    if isinstance(applies, Mapping):
        species = [str(one) for one in applies.get("species") or ()]
        tissue = _CODES.sub(" ", str(applies.get("tissue") or ""))
        if species or tissue:
            made = " of ".join(part for part in (tissue, " and ".join(species)) if part)
            sentences.append(f"Made for {made}; everything else is refused or uncertain.")
        seconds, rate = _number(applies.get("min_duration_s")), _number(applies.get("min_sampling_rate_hz"))
        if seconds:
            sentences.append(f"Recordings shorter than {seconds:g} s say little.")
        if rate:
            sentences.append(f"Mean waveforms sampled below {rate / 1e3:g} kHz are flagged.")
    for name, entry in _protocols(card):
        figures = entry.get(_ALL)
        recall, covered = _by_class(figures if isinstance(figures, Mapping) else entry)
        poor = {label: value for label, value in recall.items() if value < _POOR_RECALL}
        where = _heading(name).removeprefix("How good ")
        if poor:
            sentences.append(f"Often missed {where}: found were {_listed(poor)}.")
        hidden = {label: value for label, value in covered.items() if value < _LOW_COVERAGE}
        if hidden:
            sentences.append(
                f"Seldom answered {where}: {_listed(hidden)}; few answers of a class do not mean few such cells."
            )
    return "\n".join(sentences)


def _licence(card: Mapping[str, Any]) -> str:
    licence = str(card.get("licence") or "")
    if not licence:
        return ""
    non_commercial = " It forbids commercial use." if "NC" in licence.upper().split("-") else ""
    return f"The weights are under {licence}.{non_commercial}"


def _text(*parts: object) -> str:
    return " ".join(_sentence(str(part)) for part in parts if part)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {_share(value)}" for label, value in shares.items())


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if 0 < value < 0.1 or 0.995 <= value < 1 else f"{100 * value:.0f} %"


def _has(data: object, key: str) -> bool:
    return isinstance(data, Mapping) and bool(data.get(key))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(value)
