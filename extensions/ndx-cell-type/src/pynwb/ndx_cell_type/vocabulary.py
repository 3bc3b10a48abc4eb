"""The closed word lists of the extension: the NWB schema cannot express them, so they live here."""

from __future__ import annotations

UNCLASSIFIED = "unclassified"
"""Reserved word in `cell_type` of a unit that the method declined to name; never a class."""

SOURCE_TYPES = ("ground_truth", "expert", "classifier", "rule")
"""Where labels come from, most trusted first: this order decides which run is *the* label of a file."""

EVIDENCE_KINDS = ("optotag", "cs_ss_pause", "juxtacellular", "morphology", "pharmacology", "expert")
"""Kinds of evidence for a cell type."""

REASON_MEANINGS = {
    "too_few_spikes": "the unit has too few spikes to describe its firing",
    "no_waveform": "no usable waveform is stored, and the method needs one",
    "no_modality": "nothing that the method can use is stored for the unit",
    "poor_quality": "refractory violations, noise or multi-unit label, or another quality limit",
    "region": "recorded in a brain region outside what the method was made for",
    "species": "recorded in a species outside what the method was made for",
    "filter": "the voltage was filtered in a way that the method was not made for",
    "sampling_rate": "the sampling rate is outside what the method was made for",
    "duration": "the recording is too short",
    "out_of_distribution": "the unit is unlike everything the method was made from",
    "low_confidence": "no class is likely enough",
    "not_labelled": "nobody has labelled this unit",
    "invalid_data": "the stored data are damaged: unsorted or negative times, NaN, wrong shape",
    "other": "another reason, given in `reason_detail`",
}
"""Each reason for abstaining and what it means."""

REASONS = tuple(REASON_MEANINGS)
"""Why a method may abstain; `reason` is one of these where `is_abstained`, else empty."""

SPLITS = ("train", "validate", "test", "none")
"""Part that a unit played in training the method; 'none' when it played none."""

MAPPING_RELATIONS = (
    "skos:exactMatch",
    "skos:closeMatch",
    "skos:broadMatch",
    "skos:narrowMatch",
    "skos:relatedMatch",
)
"""How a class relates to its ontology term."""
