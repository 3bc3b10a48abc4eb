"""The verdict that comes before any label: species, region, quality, recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nwb_celltype as nct
from nwb_celltype.quality import TOPICS, Judgement, Scope, Verdict, is_cerebellar_cortex, judge, quality_of, species_of

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
    return nct.Units.from_arrays([np.arange(0, 60, 0.02)] * n, **{**given, **more})


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
