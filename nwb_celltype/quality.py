"""Can this recording, and this unit, be typed at all? Said before any label is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nwb_celltype.units import Units

Severity = Literal["flag", "abstain"]
_LONGEST_REGION = 60
# Of 431 labelled C4 units with enough pairs these limits refuse one, a macaque mossy fibre bouton.
_ENOUGH_PAIRS = 20
_NO_REFRACTORY_PERIOD = 0.7
_BURST = 1.5
_Refuse = Callable[[NDArray[np.bool_], str, Sequence[str]], None]
Status = Literal["typable", "typable with caution", "not typable"]

TOPICS = ("species", "region", "filter", "sampling_rate", "duration", "modality", "quality")
"""What is looked at."""

# Names of each species as files write them: binomials, English names, NCBI taxon numbers.
_SPECIES = {
    "mouse": re.compile(r"\b(mus musculus|m\. ?musculus|mouse|mice)\b|(taxon|txid)[_: ]*10090\b"),
    "rat": re.compile(r"\b(rattus|r\. ?norvegicus|rats?)\b|(taxon|txid)[_: ]*10116\b"),
    "human": re.compile(r"\b(homo sapiens|h\. ?sapiens|humans?)\b|(taxon|txid)[_: ]*9606\b"),
    "macaque": re.compile(
        r"\b(macaca|m\. ?(mulatta|fascicularis|nemestrina|fuscata)|macaques?|rhesus|cynomolgus)\b"
        r"|(taxon|txid)[_: ]*(9541|9542|9544|9545|9548)\b"
    ),
}
# These contain the name of a species that they are not.
_OTHER_SPECIES = re.compile(
    r"non[ -]?human|mole[ -]?rats?|mouse[ -]?(lemur|opossum)s?|(kangaroo|sand|cotton|wood|pack|bamboo)[ -]rats?|"
    r"(deer|spiny|harvest|grasshopper|singing|wood|field|striped|pocket)[ -](mouse|mice)"
)

# Words that place an electrode in the cerebellum, most likely in its cortex.
_CEREBELLUM = re.compile(
    r"cerebel|flocc|purkinje|\b(vermis|vermal|vermian|paravermis|paravermal)\b|\bcrus ?(i{1,2}[ab]?|[12][ab]?)?\b|"
    r"\blob(ul(e|es|us|i|ar))?\.? ?(h?[ivx]+[ab]?|\d+[ab]?)?\b|"
    r"\b(ansiform|simplex|uvula|nodulus|declive|pyramus|pyramis|culmen|lingula|copula pyramidis)\b"
)
# Places in the cerebellum that are not its cortex.
_CEREBELLAR_OTHER = re.compile(
    r"nucle(us|i|ar)\b|fastigial|dentate|interpos|white matter|arbor vitae|peduncle|fib(er|re) tract|"
    r"\b(dcn|cbn|dn|ipn?|fn|arb)\b"
)
# Places elsewhere whose names share a word with the cerebellum's, or are named together with it.
_ELSEWHERE = re.compile(
    r"hippocamp|\bca[1-4]\b|\bdg\b|gyrus|subicul|thalam|striat|caudate|putamen|pallid|amygdal|accumbens|sept(um|al)|"
    r"collicul|\bpon(s|tine)\b|medull|\bolive|\bolivary|brain ?stem|midbrain|\bspinal|olfactor|retina|cochlea|"
    r"insula|parietal|paracentral|frontal|temporal|occipital|cingul|entorhinal|piriform|precuneus|quadrate|orbital|"
    r"(motor|visual|auditory|somatosensory|sensory|association) (cortex|area)|neocort|isocort|cerebr(al|i|um)\b|fornix|"
    r"habenul|zona incerta|substantia|tegment|reticular|ventricle|\bnerve|recipient|\b(alm|mop|mos|visp)\b|"
    r"purkinje fib(er|re)|(outside|out of|above) (the )?(brain|cerebell)"
)
# Acronyms of the Allen and Paxinos atlases, with the suffix of a layer; they count only where nothing else is said.
_ACRONYM = re.compile(
    r"(cb|cbx|cbl|cblm|crbl|verm|an|ancr[12]|crus[12]|sim|prm|copy|cop|pfl|[dv]pfl|fl|omv|"
    r"ling|cent[23]?|cul[45]?|dec|fotu|pyr|uvu|nod|hem)(mo|pu|gr)?|\d{1,2}[ab]?cb"
)
# Acronyms that are also words or cell types count only in the atlas's capitals.
_CAPITALS_ONLY = frozenset({"an", "hem", "pyr"})
_BESIDE_ACRONYM = re.compile(
    r"left|right|[lr]h?|side|bilateral|ipsi|contra|hemispheres?|medial|lateral|dorsal|ventral|anterior|posterior|rostral|"
    r"caudal|central|superficial|deep|layer|molecular|granul(ar|e)|cell|cortex|area|region|part|the|of|in|and|or|[a-d]|"
    r"mol|pkc|purkinje|ml|[gp]cl|[ivx]+|\d{0,2}[ab]?(mo|pu|gr)?"
)
# A text of these words alone names no place: it says nothing, or an electrode, a side, a layer found in several places.
_PLACELESS = re.compile(
    r"unknown|none|nan|na|n|null|void|root|whole|brain|head|gr[ae]y|matter|tb[ad]|todo|to|be|determined|undefined|"
    r"unlabel+ed|unassigned|unspecified|not?|specified|recorded|known|available|location|region|area|left|right|[lr]h|"
    r"hemisphere|side|anterior|posterior|lobe|molecular|granul(ar|e)|grc|cell|layer|ml|[gp]cl|[ivx]+|[a-f]|\d+|"
    r"(shank|probe|electrode|tetrode|channel|chan|ch|group|site|imec|unit)s?\d*[a-f]?"
)
# The cerebellum counts its lobules; areas and layers with numbers are the neocortex's.
_NUMBERED_NEOCORTEX = re.compile(r"(left |right )?(area|layer)s? ?(\d.*|[ivx]+)")

_UNSTATED = frozenset({"", "unknown", "none", "nan", "na", "n/a", "null", "?", "unspecified", "not specified"})
_BAD_UNIT = re.compile(r"(noise|noisy|art[ei]facts?|garbage|junk|bad)( unit| cluster)?|mua|multi([ _-]?units?\b.*)?")

_GOOD_UNIT = re.compile(r"(good|sua|single([ _-]?units?)?)( unit| cluster)?")


@dataclass(frozen=True)
class Scope:
    """What a model was made for.

    Attributes
    ----------
    species : tuple of str
        Common names (``mouse``, ``macaque``, ...); a recording known to be of another species is not typed.
    tissue : str
        ``cerebellar_cortex``, or empty for a model that asks nothing of the place.
    min_sampling_rate_hz : float, hertz
        Mean waveforms sampled more coarsely are flagged.
    min_duration_s : float, seconds
        Recordings whose spikes span less are flagged.
    """

    species: tuple[str, ...] = ("mouse", "macaque")
    tissue: str = "cerebellar_cortex"
    min_sampling_rate_hz: float = 20_000.0
    min_duration_s: float = 30.0


@dataclass(frozen=True)
class Finding:
    """One thing about a recording that a reader of its labels should know."""

    topic: str
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """Can this recording be typed?

    Attributes
    ----------
    status : {'typable', 'typable with caution', 'not typable'}
    findings : tuple of Finding
    """

    status: Status
    findings: tuple[Finding, ...] = ()

    @property
    def sentence(self) -> str:
        """The verdict on one line."""
        return f"{self.status}: {' '.join(f.sentence for f in self.findings)}" if self.findings else self.status

    def to_json(self) -> dict[str, object]:
        """Return plain types, for ``--json``."""
        findings = [{"topic": f.topic, "severity": f.severity, "sentence": f.sentence} for f in self.findings]
        return {"status": self.status, "findings": findings}


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdict on a recording and, for each unit, the reason not to type it (empty where there is none)."""

    verdict: Verdict
    reason: NDArray[np.str_]
    reason_detail: NDArray[np.str_]


def species_of(text: str) -> str:
    """Common name of a species as NWB files write it; empty if unstated, the text itself if it is another or several.

    Examples
    --------
    >>> species_of("http://purl.obolibrary.org/obo/NCBITaxon_10090"), species_of("Macaca mulatta"), species_of("")
    ('mouse', 'macaque', '')
    """
    lowered = _plain(text)
    if lowered in _UNSTATED:
        return ""
    searched = _OTHER_SPECIES.sub(" ", lowered)
    named = [name for name, pattern in _SPECIES.items() if pattern.search(searched)]
    return named[0] if len(named) == 1 else text.strip()


def is_cerebellar_cortex(region: str) -> bool | None:
    """Whether a region's text places it in the cerebellar cortex; `None` where it names no place.

    Examples
    --------
    >>> is_cerebellar_cortex("Flocculus"), is_cerebellar_cortex("CA1"), is_cerebellar_cortex("unknown")
    (True, False, None)
    >>> is_cerebellar_cortex("deep cerebellar nuclei")
    False
    """
    text = _plain(region)
    if _NUMBERED_NEOCORTEX.fullmatch(text):
        return False
    if all(_PLACELESS.fullmatch(word) for word in re.findall(r"[^\W_]+", text)):
        return None
    if _CEREBELLAR_OTHER.search(text) or _ELSEWHERE.search(text):
        return False
    return bool(_CEREBELLUM.search(text)) or _is_acronym(region)


def _plain(text: str) -> str:
    """Lower case, with one space for every run of spaces and underscores."""
    return re.sub(r"[\s_]+", " ", text).strip().lower()


def _is_acronym(region: str) -> bool:
    """Whether a text is an atlas's acronym of the cerebellar cortex and says nothing else but side, part or layer."""
    words = re.findall(r"[A-Za-z0-9]+", region)
    acronyms = [
        word
        for word in words
        if _ACRONYM.fullmatch(word.lower()) and (word.lower() not in _CAPITALS_ONLY or word.isupper())
    ]
    rest = [word.lower() for word in words if word not in acronyms]
    return bool(acronyms) and all(_BESIDE_ACRONYM.fullmatch(word) for word in rest)


def judge(
    units: Units,
    scope: Scope,
    duration_s: float | None = None,
    acg_counts: NDArray[np.integer] | None = None,
) -> Judgement:
    """Say whether a recording and each of its units are within a model's scope.

    What is known to be outside is abstained on; what is not stated is flagged, and answered.

    Parameters
    ----------
    units : Units
    scope : Scope
        What the model was made for.
    duration_s : float or None, seconds
        Time from the first to the last spike of the recording, where known.
    acg_counts : (n, 201) array, optional
        Pairs of spikes in 1 ms bins of lag, to find units without a refractory period.

    Returns
    -------
    Judgement

    Examples
    --------
    >>> import numpy as np
    >>> import nwb_celltype as nct
    >>> units = nct.Units.from_arrays(spike_times=[np.arange(0, 60, 0.02)], region=["CA1"])
    >>> judge(units, Scope()).reason.tolist()
    ['region']
    """
    n = len(units.unit_ids)
    reason = np.full(n, "", dtype=object)
    detail = np.full(n, "", dtype=object)
    findings: list[Finding] = []

    def refuse(rows: NDArray[np.bool_], word: str, sentences: Sequence[str]) -> None:
        for k in np.flatnonzero(rows):
            if not reason[k]:
                reason[k], detail[k] = word, sentences[int(k)]

    findings += _judge_species(units, scope, refuse)
    findings += _judge_region(units, scope, refuse)
    findings += _judge_quality(units, refuse)
    findings += _judge_refractoriness(acg_counts, refuse)
    findings += _judge_recording(units, scope, duration_s)
    if n and all(reason):
        status: Status = "not typable"
    else:
        status = "typable with caution" if any(f.topic != "quality" for f in findings) else "typable"
    return Judgement(Verdict(status, tuple(findings)), reason.astype(str), detail.astype(str))


def quality_of(labels: Mapping[str, Sequence[str] | NDArray[np.str_]], row: int) -> tuple[str, str] | None:
    """Return (column, text) of a label that calls the unit noise or multi-unit activity; `None` where none does.

    What a person called good stays good, whatever the sorter's own label says.
    """
    good_by_hand = any(
        _GOOD_UNIT.fullmatch(str(values[row]).strip().lower()) and not _is_automatic(column)
        for column, values in labels.items()
    )
    for column, values in labels.items():
        if good_by_hand and _is_automatic(column):
            continue
        if _BAD_UNIT.fullmatch(str(values[row]).strip().lower()):
            return column, str(values[row])
    return None


def _is_automatic(column: str) -> bool:
    """Whether a column is the sorter's own label, given before anybody looked."""
    return re.sub(r"[^a-z]", "", column.lower()) in {"kslabel", "kilosortlabel"}


def _judge_species(units: Units, scope: Scope, refuse: _Refuse) -> list[Finding]:
    species = species_of(units.session.species)
    if not scope.species:
        return []
    made_for = " and ".join(scope.species)
    if not species:
        return [Finding("species", "flag", f"The file does not state the species; the model was made from {made_for}.")]
    if species in scope.species:
        return []
    sentence = f"The species is {species}; the model was made from {made_for}."
    refuse(np.ones(len(units.unit_ids), dtype=bool), "species", [sentence] * len(units.unit_ids))
    return [Finding("species", "abstain", sentence)]


def _judge_region(units: Units, scope: Scope, refuse: _Refuse) -> list[Finding]:
    if scope.tissue != "cerebellar_cortex":
        return []
    regions = [str(r) for r in units.region]
    inside = [is_cerebellar_cortex(r) for r in regions]
    outside = np.array([i is False for i in inside], dtype=bool)
    refuse(outside, "region", [f"The region is {_short(r)!r}, not cerebellar cortex." for r in regions])
    findings = []
    n_unknown = sum(i is None for i in inside)
    if n_unknown:
        sentence = f"The region of {n_unknown} of {len(inside)} units is not stated; cerebellar cortex is assumed."
        findings.append(Finding("region", "flag", sentence))
    if outside.any():
        named = sorted({_short(r) for r, i in zip(regions, inside, strict=True) if i is False})
        shown = ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
        sentence = f"{outside.sum()} of {len(inside)} units lie outside cerebellar cortex ({shown})."
        findings.append(Finding("region", "abstain", sentence))
    return findings


def _short(region: str) -> str:
    """Cut a region for a sentence; some files put a whole record into the text."""
    return region if len(region) <= _LONGEST_REGION else f"{region[: _LONGEST_REGION - 3]}..."


def _judge_quality(units: Units, refuse: _Refuse) -> list[Finding]:
    n = len(units.unit_ids)
    marked = [quality_of(units.quality, k) for k in range(n)]
    bad = np.array([m is not None for m in marked], dtype=bool)
    refuse(bad, "poor_quality", [f"Column {m[0]!r} calls the unit {m[1]!r}." if m else "" for m in marked])
    if not bad.any():
        return []
    return [Finding("quality", "abstain", f"{bad.sum()} of {n} units are labelled noise or multi-unit activity.")]


def _judge_refractoriness(acg_counts: NDArray[np.integer] | None, refuse: _Refuse) -> list[Finding]:
    """Refuse units whose spikes follow one another within 1.5 ms as often as by chance: no single cell does that.

    Burst-firing units do it more often than by chance (mossy fibre boutons of mice: above 1.5 times), and pass.
    """
    if acg_counts is None:
        return []
    lags = np.asarray(acg_counts, dtype=np.float64)[:, 100:]
    by_chance = lags[:, 61:].mean(axis=1)
    share = np.divide(lags[:, 1], by_chance, out=np.zeros(len(lags)), where=by_chance >= _ENOUGH_PAIRS)
    peak = np.divide(lags[:, 1:11].max(axis=1), by_chance, out=np.zeros(len(lags)), where=by_chance > 0)
    bad = (share > _NO_REFRACTORY_PERIOD) & (peak < _BURST)
    sentences = [
        f"No refractory period: spikes 1 ms apart are {s:.0%} as frequent as spikes 61 to 100 ms apart." for s in share
    ]
    refuse(bad, "poor_quality", sentences)
    if not bad.any():
        return []
    return [Finding("quality", "abstain", f"{bad.sum()} of {len(bad)} units have no refractory period.")]


def _judge_recording(units: Units, scope: Scope, duration_s: float | None) -> list[Finding]:
    findings = []
    n = len(units.unit_ids)
    rates = units.waveform_rates_hz[np.isfinite(units.waveform_rates_hz)]
    has_waveform = units.waveform_mean.are_present
    if len(rates) and (rate := float(rates.min())) < scope.min_sampling_rate_hz:
        sentence = f"Waveforms are sampled at {rate:g} Hz; the model was made from 30 and 40 kHz."
        findings.append(Finding("sampling_rate", "flag", sentence))
    without = int(np.count_nonzero(~has_waveform))
    if without:
        sentence = f"{without} of {n} units have no mean waveform; only their spike times are used."
        findings.append(Finding("modality", "flag", sentence))
    if units.is_whitened.any():
        sentence = (
            f"{int(units.is_whitened.sum())} of {n} mean waveforms are of whitened data, which changes their shape; "
            "only the spike times of these units are used."
        )
        findings.append(Finding("modality", "flag", sentence))
    if has_waveform.any() and not len(rates):
        sentence = "The sampling rate of the mean waveforms is not stated; only spike times are used."
        findings.append(Finding("modality", "flag", sentence))
    stated = [text for text in units.session.filtering if text.strip().lower() not in _UNSTATED]
    if has_waveform.any() and len(rates) and not stated:
        sentence = "The filter is not stated; it shapes the waveform. The model was made from 300 Hz high-pass data."
        findings.append(Finding("filter", "flag", sentence))
    if duration_s is not None and n and duration_s < scope.min_duration_s:
        sentence = f"The spikes span {duration_s:.0f} s; {scope.min_duration_s:g} s or more are wanted."
        findings.append(Finding("duration", "flag", sentence))
    return findings
