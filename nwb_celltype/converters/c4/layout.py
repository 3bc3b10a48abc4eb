"""Names of the fields of the C4 database, and what the database is: its labs, its licence, what to cite."""

from __future__ import annotations

SPIKE_FIELDS = ("spike_indices", "sane_spikes", "fn_fp_filtered_spikes", "amplitudes")
WAVEFORM_FIELDS = ("mean_waveform_preprocessed", "channel_ids", "channelmap", "channel_noise_std")
LABEL_FIELDS = (
    "phyllum_layer",
    "human_layer",
    "expert_label",
    "ground_truth_label",
    "ground_truth_source",
    "mli_cluster",
)
NOT_WRITTEN = ("raw_waveforms", "scaling_factor", "raw_voltage_snippet", "voltage_snippet_start_index")
"""Pieces of raw recording; they are no continuous trace, and the mean waveform is stored beside them."""

FIELDS = frozenset(
    {
        "lab_id", "line", "dataset_id", "neuron_relative_id", "neuron_id", "sampling_rate", "sane_periods", "optostims",
        "peakchan_SNR", "acrosschan_SNR", *SPIKE_FIELDS, *WAVEFORM_FIELDS, *LABEL_FIELDS, *NOT_WRITTEN,
    }
)  # fmt: skip
"""Every field that the published layout names."""

LABS = {"hausser": "mouse", "hull": "mouse", "medina": "mouse", "lisberger": "macaque"}
"""Labs of the database, and the animal that each recorded from."""

PAPER = "doi:10.1016/j.cell.2025.01.041"
DEPOSIT = "doi:10.5522/04/23702850"
CITATION = f"Beau et al., Cell 2025, {PAPER}; C4 database, {DEPOSIT}"
LICENCE = "CC BY-NC-SA 4.0"
LICENCE_SENTENCE = (
    f"The data come from the C4 database and are under the licence {LICENCE} "
    "(https://creativecommons.org/licenses/by-nc-sa/4.0/): not for commercial use, and what is made of them is shared "
    f"under the same licence. Cite {CITATION}."
)
NOT_STATED = (
    "The C4 database does not state when the recording began and how long it lasted, which animal it was, its sex and "
    "age, the model and the place of the probe, the wavelength, power and target of the light, drugs, and, beside the "
    "word optotagged, what the identification rests on."
)


def known_lab(text: str) -> str:
    """Name of a lab as the database uses it; ``""`` for a lab that it does not have.

    Examples
    --------
    >>> known_lab("Häusser"), known_lab("HULL"), known_lab("Smith")
    ('hausser', 'hull', '')
    """
    plain = text.strip().lower().replace("ä", "a").removesuffix("_lab").removesuffix(" lab")
    plain = {"haeusser": "hausser"}.get(plain, plain)
    return plain if plain in LABS else ""
