"""The verdict that comes before any label: species, region, quality, recording."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile

import nwb_celltype as nct
from nwb_celltype.quality import TOPICS, Judgement, Scope, Verdict, is_cerebellar_cortex, judge, quality_of, species_of
from nwb_celltype.quality.filters import filter_sentences, read_filter
from nwb_celltype.quality.regions import cerebellar_part
from nwb_celltype.quality.sorting import contamination, count_violations, missed_share

from .nwb_io.files import plain

MOUSE = [
    "Mus musculus", "mus musculus", "Mus musculus - House mouse", "Mus_musculus", "M. musculus", "mouse", "Mouse",
    "mice", "C57BL/6 mouse", "laboratory mouse", "NCBITaxon:10090", "NCBITaxon_10090", "NCBI:txid10090",
    "http://purl.obolibrary.org/obo/NCBITaxon_10090",
]  # fmt: skip
MACAQUE = [
    "Macaca mulatta", "Macaca fascicularis", "Macaca nemestrina", "Macaca", "M. mulatta", "rhesus", "Rhesus macaque",
    "rhesus monkey", "macaques", "cynomolgus monkey", "Macaca mulatta - Rhesus monkey", "non-human primate (Macaca)",
    "http://purl.obolibrary.org/obo/NCBITaxon_9544", "NCBITaxon:9541", "NCBITaxon_9545", "NCBITaxon_9548",
]  # fmt: skip
RAT = ["Rattus norvegicus", "rat", "Rats", "Long-Evans rat", "NCBITaxon_10116", "NCBI:txid10116", "R. norvegicus"]
HUMAN = ["Homo sapiens", "Homo sapiens - Human", "human", "Humans", "NCBITaxon_9606"]
UNSTATED = ["", " ", "unknown", "Unknown", "none", "N/A", "nan", "not specified"]
OTHER = [
    "Callithrix jacchus", "marmoset", "monkey", "non-human primate", "nonhuman primate", "naked mole-rat", "mole rat",
    "Heterocephalus glaber - Naked mole-rat", "mouse lemur", "deer mouse", "African spiny mice", "kangaroo rat",
    "dormouse", "rattlesnake", "Carassius auratus", "NCBITaxon_100901", "NCBITaxon:95440", "human neurons in a mouse",
    "rat and mouse",
]  # fmt: skip

CORTEX = [
    # Allen acronyms, names and layers
    "CB", "CBX", "CBXmo", "CBXpu", "CBXgr", "VERM", "HEM", "AN", "ANcr1", "ANcr2", "ANcr1mo", "SIM", "SIMgr", "PRM",
    "PRMpu", "COPY", "PFL", "PFLmo", "FL", "FLgr", "LING", "LINGmo", "CENT", "CENT2", "CENT3", "CUL", "CUL4", "CUL5",
    "CUL4, 5", "CUL4, 5gr", "CUL4,5mo", "DEC", "DECpu", "FOTU", "PYR", "PYRmo", "UVU", "UVUgr", "NOD", "NODmo",
    "Cerebellum", "Cerebellar cortex", "Cerebellar cortex, molecular layer", "Vermal regions of the cerebellum",
    "Lingula (I)", "Central lobule", "Lobule II", "Culmen", "Culmen, lobules 4-5", "Declive (VI)",
    "Folium-tuber vermis (VII)", "Pyramus (VIII)", "Uvula (IX)", "Nodulus (X)", "Simple lobule", "Ansiform lobule",
    "Ansiform lobule Crus 1", "Crus 2, granular layer", "Paramedian lobule", "Copula pyramidis", "Paraflocculus",
    "Flocculus", "Lobules IV-V, Purkinje layer",
    # other atlases
    "Cb", "6Cb", "4/5Cb", "10Cb", "Crus1", "Sim", "PFl", "Fl", "Cerebelum_Crus1_L", "Left_CrusI", "Vermis_VI",
    # as people write
    "cerebellum", "CEREBELLUM", "mouse cerebellum", "cerebellar_cortex", "cerebellar cortex, lobule VI",
    "left cerebellum", "lateral cerebellum", "cerebellar vermis lobule 6", "Cerebellum - Crus I",
    "Cerebellum, 1200 um deep", "Lobule VI", "lobule V", "lobule HVI", "lobulus simplex", "Lobule VI?", "Lob V",
    "LobV", "lob. VI", "lobule 4/5", "simplex", "Crus I", "crus II", "Crus I/II", "crus 1", "vermis",
    "vermal lobule VI", "oculomotor vermis", "OMV", "paravermis", "floccular complex", "flocculus/paraflocculus",
    "flocculonodular lobe", "right ventral paraflocculus", "VPFL", "uvula", "nodulus", "superior semilunar lobule",
    "Purkinje cell layer", "left SIM", "SIM, right", "PRM left hemisphere", "Sim/Crus1", "Cb cortex",
    "vestibulocerebellum", "spinocerebellum", "pontocerebellum", "cblm", "SIM layer gr", "CBX GCL",
]  # fmt: skip

ELSEWHERE = [
    # in the cerebellum, not in its cortex
    "deep cerebellar nuclei", "Deep Cerebellar Nucleus", "cerebellar nuclei", "cerebellar_nuclei", "DCN", "CBN", "DN",
    "FN", "IP", "IPN", "VeCB", "dentate", "dentate nucleus", "fastigial nucleus", "fastigial", "interposed nucleus",
    "nucleus interpositus", "cerebellar interposed nucleus", "cerebellum (dentate nucleus)", "Cerebellum - FN",
    "cerebellum DCN", "CBX, DCN", "vermis and fastigial nucleus", "cerebellar white matter", "arbor vitae", "arb",
    "middle cerebellar peduncle", "cerebellum related fiber tracts", "cerebellar cortex and nuclei",
    # neocortex
    "VISp", "VISp5", "MOp", "MOs2/3", "SSp-bfd", "ALM", "left ALM", "anterior lateral motor cortex", "M1", "right M2",
    "S1", "V1", "V4", "FEF", "motor cortex", "secondary motor cortex", "motor cortex layer 5",
    "primary visual area layer 2/3", "posterior parietal cortex", "cerebral cortex", "neocortex", "cortex", "area 17",
    "left area 6", "layer 5", "layer 2/3", "Layer VI", "insula", "frontal lobe", "occipital lobe",
    # lobules and layers of other places
    "paracentral lobule", "inferior parietal lobule", "superior parietal lobule", "insular lobule",
    "lobulus parietalis", "precuneus lobule", "olfactory lobule", "optic lobe", "lobectomy",
    "granule cell layer of dentate gyrus", "molecular layer of dentate gyrus", "granule layer olfactory bulb",
    "MOB granule layer", "cochlear nucleus, granular layer", "pyramidal layer CA1", "CA1 pyr", "pyr",
    "pyramidal cell layer", "stratum moleculare",
    # words that look like the cerebellum's
    "cerebral", "crus cerebri", "crus of fornix", "lingual gyrus", "piriform", "parafascicular nucleus",
    "paramedian pontine reticular formation", "vestibular nucleus", "red nucleus", "Purkinje fibre", "area X", "flap",
    "cerebellar-recipient thalamus", "cerebellothalamic tract in the VPL of the thalamus", "Dec 2019 V1", "NOD mouse",
    # named together with another place
    "cerebral cortex and cerebellum", "SIM in V1", "brainstem below the cerebellum", "outside the brain",
    "above the cerebellum",
    # hippocampus and the rest
    "hippocampus", "CA1", "CA3", "DG", "dentate gyrus", "HPF", "striatum", "CP", "thalamus", "LGd", "GPe", "STN",
    "VTA", "SNr", "superior colliculus", "Superior colliculus, intermediate gray layer", "inferior olive", "IO",
    "pontine nuclei", "PN", "medulla", "brainstem", "spinal cord", "fiber tracts", "nucleus accumbens",
]  # fmt: skip

NOWHERE = [
    "", " ", "unknown", "Unknown", "unknown region", "none", "NaN", "N/A", "n.a.", "null", "void", "root", "brain",
    "whole brain", "grey", "gray matter", "TBD", "to be determined", "not specified", "not recorded", "no location",
    "location", "unlabeled", "?", "--", "3", "1.5", "VI", "left", "right hemisphere", "shank 1", "probe A", "ProbeA",
    "probe00", "Probe 1 shank 2", "imec0", "imec0 shank 3", "tetrode_12", "electrode 3", "channel 5", "ch_12",
    "Channel Group 2", "group0", "molecular layer", "granular layer", "granule cell layer", "GrC_layer", "ML_layer",
    "GCL", "ML", "PCL", "anterior lobe",
]  # fmt: skip


def units(n: int = 1, **more: Any) -> nct.Units:
    """Units that nothing is wrong with, unless asked for."""
    waveform = -np.exp(-((np.arange(-30, 45) / 3) ** 2)) * 80
    given: dict[str, Any] = {
        "waveform_mean": [waveform] * n,
        "waveform_rate_hz": 30_000.0,
        "region": ["Flocculus"] * n,
        "session": nct.Session(species="Mus musculus", filtering=("300 Hz high-pass",)),
    }
    spikes = more.pop("spike_times", [np.arange(0, 60, 0.02)] * n)
    return nct.Units.from_arrays(spikes, **{**given, **more})


def findings(judgement: Judgement) -> dict[str, tuple[str, str]]:
    return {f.topic: (f.severity, f.sentence) for f in judgement.verdict.findings}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (name, text)
        for name, texts in (("mouse", MOUSE), ("macaque", MACAQUE), ("rat", RAT), ("human", HUMAN))
        for text in texts
    ],
)
def test_species_as_files_write_them(name: str, text: str) -> None:
    assert species_of(text) == name
    assert species_of(f" {text.upper()} ") == name


@pytest.mark.parametrize("text", UNSTATED)
def test_no_species(text: str) -> None:
    assert species_of(text) == ""


@pytest.mark.parametrize("text", OTHER)
def test_another_species_keeps_its_name(text: str) -> None:
    assert species_of(f" {text}") == text


@pytest.mark.parametrize("region", CORTEX)
def test_cerebellar_cortex(region: str) -> None:
    assert is_cerebellar_cortex(region) is True
    assert is_cerebellar_cortex(f"  {region} ") is True


@pytest.mark.parametrize("region", ELSEWHERE)
def test_not_cerebellar_cortex(region: str) -> None:
    assert is_cerebellar_cortex(region) is False


@pytest.mark.parametrize("region", NOWHERE)
def test_no_place(region: str) -> None:
    assert is_cerebellar_cortex(region) is None


@pytest.mark.parametrize("acronym", ["an", "hem", "pyr"])
def test_acronyms_that_are_words_need_their_capitals(acronym: str) -> None:
    assert is_cerebellar_cortex(acronym.upper()) is True
    assert is_cerebellar_cortex(acronym) is False


def test_a_long_text_is_read_quickly() -> None:
    assert is_cerebellar_cortex("channel 1 " * 2000) is None
    assert is_cerebellar_cortex("channel 1 " * 2000 + "x!y") is False
    assert is_cerebellar_cortex("lobule " * 2000 + "thalamus") is False


def test_nothing_to_say() -> None:
    judgement = judge(units(2), Scope(), duration_s=600.0)
    assert judgement.verdict == Verdict("typable")
    assert judgement.verdict.sentence == "typable"
    assert judgement.verdict.to_json() == {"status": "typable", "findings": []}
    assert judgement.reason.tolist() == judgement.reason_detail.tolist() == ["", ""]


def test_unstated_species_is_flagged_and_answered() -> None:
    judgement = judge(units(session=nct.Session(filtering=("300 Hz high-pass",))), Scope())
    assert judgement.verdict.status == "typable with caution"
    assert findings(judgement) == {
        "species": ("flag", "The file does not state the species; the model was made from mouse and macaque.")
    }
    assert judgement.reason.tolist() == [""]


@pytest.mark.parametrize(
    ("species", "name"), [("Homo sapiens", "human"), ("Rattus norvegicus", "rat"), ("zebra finch",) * 2]
)
def test_another_species_is_not_typed(species: str, name: str) -> None:
    judgement = judge(units(2, session=nct.Session(species=species)), Scope())
    assert judgement.verdict.status == "not typable"
    sentence = f"The species is {name}; the model was made from mouse and macaque."
    assert findings(judgement)["species"] == ("abstain", sentence)
    assert judgement.reason.tolist() == ["species"] * 2
    assert judgement.reason_detail.tolist() == [sentence] * 2
    assert sentence in judgement.verdict.sentence
    assert judgement.verdict.sentence.startswith("not typable: ")


def test_a_model_may_be_for_any_species_and_any_place() -> None:
    scope = Scope(species=(), tissue="")
    human = nct.Session(species="Homo sapiens", filtering=("none of it",))
    assert judge(units(session=human, region=["CA1"]), scope).verdict == Verdict("typable")


def test_regions_are_judged_unit_by_unit() -> None:
    judgement = judge(units(4, region=["Flocculus", "CA1", "unknown", "DCN"]), Scope())
    assert judgement.verdict.status == "typable with caution"
    assert judgement.reason.tolist() == ["", "region", "", "region"]
    assert judgement.reason_detail[1] == "The region is 'CA1', not cerebellar cortex."
    said = [(f.topic, f.severity, f.sentence) for f in judgement.verdict.findings]
    assert said == [
        ("region", "flag", "The region of 1 of 4 units is not stated; cerebellar cortex is assumed."),
        ("region", "abstain", "2 of 4 units lie outside cerebellar cortex (CA1, DCN)."),
    ]


def test_a_recording_from_elsewhere_is_not_typable() -> None:
    places = ["CA1", "CA3", "DG", "MOp", "VISp", "LGd", "CP"]
    judgement = judge(units(7, region=places), Scope())
    assert judgement.verdict.status == "not typable"
    assert findings(judgement)["region"][1] == (
        "7 of 7 units lie outside cerebellar cortex (CA1, CA3, CP, DG, LGd, ...)."
    )


def test_the_first_reason_holds() -> None:
    judgement = judge(units(session=nct.Session(species="human"), region=["CA1"], quality={"q": ["mua"]}), Scope())
    assert judgement.reason.tolist() == ["species"]
    assert set(findings(judgement)) >= {"species", "region", "quality"}


def test_a_train_without_refractory_period_is_no_single_cell() -> None:
    acg = np.full((4, 201), 50)
    acg[1, 99:102] = 0  # refractory
    acg[2, 90:111] = 200  # bursts
    acg[3] = 0  # no pairs at all
    judgement = judge(units(4), Scope(), acg_counts=acg)
    assert judgement.reason.tolist() == ["poor_quality", "", "", ""]
    assert "spikes 1 ms apart are 100% as frequent" in judgement.reason_detail[0]
    assert findings(judgement)["quality"] == ("abstain", "1 of 4 units have no refractory period.")
    too_few_to_tell = judge(units(1), Scope(), acg_counts=acg[:1] // 10)
    assert too_few_to_tell.reason.tolist() == [""]


@pytest.mark.parametrize(
    "text",
    [
        "noise", "Noise", " noise ", "noisy", "artifact", "artefacts", "garbage", "junk", "bad", "noise cluster", "mua",
        "MUA", "multi", "multiunit", "multi-unit", "multi unit", "multi_unit", "multiunit activity",
        "Multi-unit activity",
    ],
)  # fmt: skip
def test_noise_and_multi_unit_activity_are_not_typed(text: str) -> None:
    judgement = judge(units(2, quality={"group": ["good", text]}), Scope())
    assert judgement.verdict.status == "typable"
    assert judgement.reason.tolist() == ["", "poor_quality"]
    assert judgement.reason_detail[1] == f"Column 'group' calls the unit {text!r}."
    assert findings(judgement)["quality"] == ("abstain", "1 of 2 units are labelled noise or multi-unit activity.")


@pytest.mark.parametrize(
    "text", ["good", "single unit", "sua", "SU", "", "unsorted", "0.93", "ok", "not noise", "multipolar"]
)
def test_other_quality_labels_refuse_nothing(text: str) -> None:
    assert quality_of({"quality": [text]}, 0) is None
    assert judge(units(quality={"quality": [text]}), Scope()).verdict == Verdict("typable")


def test_any_column_may_call_a_unit_noise() -> None:
    labels = {"quality": ["unsorted", "", "good"], "KSLabel": ["good", "mua", "good"], "group": ["", "", "noise"]}
    assert quality_of(labels, 0) is None
    assert quality_of(labels, 1) == ("KSLabel", "mua")
    assert quality_of(labels, 2) == ("group", "noise")


def test_what_a_person_called_good_is_good_whatever_the_sorter_says() -> None:
    assert quality_of({"quality": ["good"], "KSLabel": ["mua"]}, 0) is None
    assert quality_of({"quality": ["mua"], "KSLabel": ["good"]}, 0) == ("quality", "mua")


def test_coarse_waveforms_are_flagged() -> None:
    judgement = judge(units(waveform_rate_hz=10_000.0), Scope())
    assert findings(judgement) == {
        "sampling_rate": ("flag", "Waveforms are sampled at 10000 Hz; the model was made from 30 and 40 kHz.")
    }


def test_missing_waveforms_are_flagged() -> None:
    judgement = judge(units(2, waveform_mean=[None, [0.0, -1.0, 0.0]]), Scope())
    assert findings(judgement) == {
        "modality": ("flag", "1 of 2 units have no mean waveform; only their spike times are used.")
    }


def test_a_missing_waveform_rate_is_flagged() -> None:
    judgement = judge(units(waveform_rate_hz=None), Scope())
    assert findings(judgement) == {
        "modality": ("flag", "The sampling rate of the mean waveforms is not stated; only spike times are used.")
    }


@pytest.mark.parametrize("filtering", [(), ("",), ("unknown", "None")])
def test_an_unstated_filter_is_flagged(filtering: tuple[str, ...]) -> None:
    judgement = judge(units(session=nct.Session(species="mouse", filtering=filtering)), Scope())
    assert set(findings(judgement)) == {"filter"}
    assert judgement.verdict.status == "typable with caution"


def test_a_filter_does_not_matter_without_waveforms() -> None:
    alone = units(waveform_mean=[None], session=nct.Session(species="mouse"))
    assert set(findings(judge(alone, Scope()))) == {"modality"}


@pytest.mark.parametrize(("duration_s", "flagged"), [(12.4, True), (30.0, False), (None, False)])
def test_a_short_recording_is_flagged(duration_s: float | None, flagged: bool) -> None:
    judgement = judge(units(), Scope(), duration_s=duration_s)
    expected = {"duration": ("flag", "The spikes span 12 s; 30 s or more are wanted.")}
    assert findings(judgement) == (expected if flagged else {})


def test_no_units() -> None:
    judgement = judge(units(0), Scope(), duration_s=0.0)
    assert judgement.reason.shape == (0,)
    assert judgement.verdict.status == "typable"


def test_findings_speak_of_known_topics_and_can_be_stored() -> None:
    session = nct.Session(species="human")
    judgement = judge(
        units(2, session=session, region=["", "CA1"], quality={"q": ["mua", ""]}), Scope(), duration_s=1.0
    )
    assert {f.topic for f in judgement.verdict.findings} <= set(TOPICS)
    stored = judgement.verdict.to_json()
    assert stored["status"] == "not typable"
    assert isinstance(stored["findings"], list)
    assert stored["findings"][0] == {
        "topic": "species", "severity": "abstain",
        "sentence": "The species is human; the model was made from mouse and macaque.",
    }  # fmt: skip
    assert judgement.reason.dtype.kind == judgement.reason_detail.dtype.kind == "U"


@pytest.mark.parametrize(
    ("text", "corner_hz", "order", "is_causal"),
    [
        ("300 Hz high-pass", 300, None, None),
        ("high-pass 300 Hz, first order", 300, 1, None),
        ("hardware: 300 Hz high-pass (AP filter on), 10 kHz low-pass", 300, None, True),
        ("hardware: full band up to 10 kHz (AP high-pass filter off)", 0, None, True),
        ("hardware: full band, 0.5 Hz to 10 kHz", 0.5, None, True),
        ("hardware: 300 Hz high-pass (AP filter on), 10 kHz low-pass; CatGT: -apfilter=butter,12,300,9000",
         300, 12, None),
        ("Bandpass filtered 300-6K Hz", 300, None, None),
        ("0.3 to 6 kHz", 300, None, None),
        ("0.6-7.5kHz", 600, None, None),
        ("300-6000 Hz", 300, None, None),
        ("10 kHz low-pass, high-pass 300 Hz", 300, None, None),
        ("1st order Butterworth high-pass at 1.2 kHz", 1200, 1, None),
        ("Butterworth, 3rd order, 250-8000 Hz, zero-phase", 250, 3, False),
        ("filtfilt, highpass 300 Hz", 300, None, False),
        ("a causal filter, 300 Hz highpass", 300, None, True),
        ("non-causal 300 Hz high-pass", 300, None, False),
        ("acausal 250-8000 Hz", 250, None, False),
        ("SpikeInterface: BandpassFilter (freq_min 300.0, freq_max 6000.0, filter_order 5)", 300, 5, False),
        ("SpikeInterface: CommonReference (reference global, operator median)", None, None, None),
        ("Wideband, as digitized.", 0, None, None),
        ("raw", 0, None, None),
        ("high-passed before it was stored (hp_filtered in params.py)", None, None, None),
        ("Low-pass 6 kHz", None, None, None),
        ("1000Hz", None, None, None),
    ],
)  # fmt: skip
def test_filters_as_files_write_them(
    text: str, corner_hz: float | None, order: int | None, is_causal: bool | None
) -> None:
    found = read_filter(text)
    assert (found.high_pass_hz, found.order, found.is_causal) == (corner_hz, order, is_causal)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("as usual", "The corner of the high-pass filter is not stated ('as usual')"),
        ("0.5 Hz to 10 kHz", "were high-passed at 0.5 Hz only"),
        ("Wideband, as digitized.", "The signals were not high-passed"),
        ("600 Hz high-pass", "The high-pass is 600 Hz ('600 Hz high-pass'), which distorts the waveform"),
        ("300 Hz high-pass, zero-phase", "The filter is not causal"),
        ("300 Hz high-pass, 4th order", "The filter is of order 4"),
        ("1000 Hz high-pass", "only spike times are used"),
        ("1 kHz high-pass, first order, causal", "which distorts the waveform"),
    ],
)
def test_filters_that_are_not_the_models(text: str, says: str) -> None:
    judgement = judge(units(session=nct.Session(species="mouse", filtering=(text,))), Scope())
    assert says in findings(judgement)["filter"][1]
    assert judgement.verdict.status == "typable with caution"
    assert judgement.reason.tolist() == [""]
    assert bool(judgement.waveform_problem) is ("only spike times" in says)


@pytest.mark.parametrize("text", ["300 Hz high-pass", "300-6000 Hz", "high-pass 250 Hz, first order, causal"])
def test_filters_like_the_models_are_not_spoken_of(text: str) -> None:
    assert filter_sentences([text, "", "unknown"]) == []


def test_one_good_filter_among_several_keeps_the_waveforms() -> None:
    both = nct.Session(species="mouse", filtering=("1000 Hz high-pass", "300 Hz high-pass"))
    judgement = judge(units(session=both), Scope())
    assert judgement.waveform_problem == ""
    assert "filter" in findings(judgement)


def test_what_the_waveforms_say_of_themselves_goes_first() -> None:
    wideband = units(2, session=nct.Session(species="mouse", filtering=("Wideband, as digitized.",)))
    filtered = replace(wideband, waveform_source=np.array(["raw, high-passed at 300 Hz"] * 2))
    assert judge(filtered, Scope()).verdict == Verdict("typable")
    assert "not high-passed" in findings(judge(wideband, Scope()))["filter"][1]


def test_templates_have_a_filter_of_their_own() -> None:
    templates = replace(units(3), waveform_source=np.array(["template, unwhitened", "raw", "template, whitened"]))
    assert findings(judge(templates, Scope()))["filter"][1].startswith(
        "1 of 3 mean waveforms are the sorter's templates"
    )


@pytest.mark.parametrize(
    ("region", "part"),
    [
        ("deep cerebellar nuclei", "cerebellar nuclei"), ("DCN", "cerebellar nuclei"),
        ("fastigial nucleus", "cerebellar nuclei"), ("arbor vitae", "cerebellar white matter"),
        ("cerebellar white matter", "cerebellar white matter"), ("CA1", ""), ("dentate gyrus", ""),
        ("cochlear nucleus", ""), ("Flocculus", ""),
    ],
)  # fmt: skip
def test_parts_of_the_cerebellum_outside_its_cortex(region: str, part: str) -> None:
    assert cerebellar_part(region) == part
    detail = judge(units(region=[region]), Scope()).reason_detail[0]
    assert (f"in the {part}, not cerebellar cortex" in detail) is bool(part)


def trains(share: float, seed: int = 0, n: int = 6000) -> np.ndarray:
    """A regular cell of 50 spikes/s and, as a share of all spikes, others at random."""
    rng = np.random.default_rng(seed)
    own = np.cumsum(0.003 + rng.gamma(3, 0.017 / 3, n))
    return np.sort(np.concatenate([own, rng.uniform(0, own[-1], int(n * share / (1 - share)))]))


def counts(times: np.ndarray) -> np.ndarray:
    from nwb_celltype.features.counts import count_train

    return count_train(times).acg_counts


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_contamination_is_estimated(share: float) -> None:
    times = trains(share)
    found = contamination(np.array([count_violations(times)]), counts(times)[None])
    assert found[0] == pytest.approx(share, abs=0.05)


def test_contaminated_units_are_flagged_and_typed() -> None:
    both = [trains(0.0), trains(0.3, 1)]
    judgement = judge(units(2, spike_times=both), Scope(), acg_counts=np.stack([counts(each) for each in both]))
    assert judgement.reason.tolist() == ["", ""]
    assert judgement.verdict.status == "typable"
    assert findings(judgement)["quality"] == (
        "flag", "1 of 2 units hold an estimated 20% or more of other cells' spikes.",
    )  # fmt: skip
    assert judgement.caution[0] == ""
    assert "of its spikes are of other cells" in judgement.caution[1]


def test_bursts_of_a_mossy_fibre_are_its_own() -> None:
    rng = np.random.default_rng(2)
    bursts = np.cumsum(rng.gamma(2, 0.03, 2000))[:, None] + np.array([0, 0.0007, 0.0014, 0.0021])
    times = np.sort(bursts.ravel())
    violations = count_violations(times)
    assert violations > 0.4 * len(times)
    judgement = judge(units(spike_times=[times]), Scope(), acg_counts=counts(times)[None])
    assert judgement.verdict == Verdict("typable")
    assert np.isnan(contamination(np.array([violations]), counts(times)[None])[0])
    assert contamination(np.array([violations]), counts(times)[None], spare_bursts=False)[0] > 0.5


def test_spikes_stored_twice_are_no_violations() -> None:
    assert count_violations(np.array([0.1, 0.1, 0.2, 0.2005])) == 1


def test_missed_spikes_by_their_amplitudes() -> None:
    every = np.random.default_rng(0).normal(100, 12, 30_000)
    assert missed_share(every) < 0.01
    for cut in (85, 95):
        kept = every[every > cut]
        assert missed_share(kept) == pytest.approx(1 - len(kept) / len(every), abs=0.05)
    assert missed_share(-every) < 0.01
    assert np.isnan(missed_share(every[:100]))
    assert np.isnan(missed_share(np.ones(1000)))


def test_missed_spikes_that_the_file_states_are_flagged(tmp_path: Path) -> None:
    file = plain(tmp_path / "session.nwb")
    with NWBHDF5IO(file, "a") as io:
        nwb = io.read()
        nwb.units.add_column("amplitude_cutoff", "estimated share of missed spikes", data=[0.3, 0.01, float("nan")])
        io.write(nwb)
    with nct.read_units(file) as stored:
        judgement = judge(stored, Scope())
    assert judgement.caution.tolist() == [
        "An estimated 30% of its spikes were missed (amplitude cut-off).", "", "",
    ]  # fmt: skip
    assert findings(judgement)["quality"][1] == "1 of 3 units lack an estimated 10% or more of their spikes."


def test_missed_spikes_are_told_from_stored_amplitudes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = [np.sort(rng.normal(100, 12, 4000))[2000:], rng.normal(100, 12, 4000), rng.normal(100, 12, 50)]
    nwb = NWBFile(session_description="d", identifier="i", session_start_time=datetime(2026, 1, 1, tzinfo=UTC))
    nwb.add_unit_column("spike_amplitudes", "of each spike", index=True)
    for each in sizes:
        nwb.add_unit(spike_times=np.arange(len(each)) * 0.02, spike_amplitudes=each)
    with NWBHDF5IO(tmp_path / "session.nwb", "w") as io:
        io.write(nwb)
    with nct.read_units(tmp_path / "session.nwb") as stored:
        judgement = judge(stored.select([1, 0, 2]), Scope())
        assert judgement.caution[1].startswith("An estimated ")
        assert judgement.caution[[0, 2]].tolist() == ["", ""]
    with h5py.File(tmp_path / "session.nwb", "r+") as file:
        file["units/spike_amplitudes_index"][0] = 60_000
    with nct.read_units(tmp_path / "session.nwb") as stored:
        assert judge(stored, Scope()).caution.tolist() == ["", "", ""]
