"""Write the two YAML files of the ndx-cell-type schema: ``python src/spec/create_extension_spec.py [FOLDER]``."""

from __future__ import annotations

import sys
from pathlib import Path

from pynwb.spec import (
    NWBAttributeSpec,
    NWBDatasetSpec,
    NWBGroupSpec,
    NWBLinkSpec,
    NWBNamespaceBuilder,
    export_spec,
)

NAME = "ndx-cell-type"
VERSION = "0.1.0"


def attribute(name: str, doc: str, *, required: bool = False, dtype: str = "text") -> NWBAttributeSpec:
    return NWBAttributeSpec(name=name, doc=doc, dtype=dtype, required=required)


def column(name: str, doc: str, dtype: str = "text", *, required: bool = False) -> NWBDatasetSpec:
    return NWBDatasetSpec(
        name=name, doc=doc, dtype=dtype, neurodata_type_inc="VectorData", quantity=1 if required else "?"
    )


def region(name: str, doc: str) -> NWBDatasetSpec:
    return NWBDatasetSpec(name=name, doc=doc, neurodata_type_inc="DynamicTableRegion", quantity="?")


def index(name: str) -> NWBDatasetSpec:
    doc = f"For each row, the end of its entries in `{name}`."
    return NWBDatasetSpec(name=f"{name}_index", doc=doc, neurodata_type_inc="VectorIndex", quantity="?")


def class_table() -> NWBGroupSpec:
    return NWBGroupSpec(
        neurodata_type_def="CellTypeClassTable",
        neurodata_type_inc="DynamicTable",
        doc=(
            "The cell types that an annotation run can choose from, one row a class. The order of the rows is the "
            "order of the columns of `probability` in every run that links here. 'unclassified' is a reserved word "
            "and is never a row."
        ),
        attributes=[
            attribute("taxonomy_name", "Name of the set of classes, e.g. 'C4 cerebellar cortex'.", required=True),
            attribute("taxonomy_version", "Version of the set of classes.", required=True),
            attribute("taxonomy_uri", "Where the set of classes is defined (URL or DOI)."),
            attribute("ontology_version", "Release of the ontology that `ontology_id` was looked up in."),
        ],
        datasets=[
            column("label", "Short unique name of the class, as written in `cell_type`, e.g. 'PkC_ss'.", required=True),
            column("full_name", "Name in words, e.g. 'Purkinje cell, simple spikes'. Empty where not stated."),
            column("definition", "What makes a unit a member of this class. Empty where not stated."),
            column(
                "ontology_id",
                "Nearest ontology term as a CURIE, e.g. 'CL:0000121'. Empty where there is none. Several classes may "
                "share a term (the simple and the complex spikes of one Purkinje cell), so it is not a key.",
            ),
            column("ontology_label", "Name of that ontology term. Empty where there is none."),
            column(
                "mapping_relation",
                "How the class relates to the term: skos:exactMatch, skos:closeMatch, skos:broadMatch (the term is "
                "broader than the class), skos:narrowMatch or skos:relatedMatch. Empty where there is no term.",
            ),
            column("parent_label", "Label of the broader class that this one belongs to. Empty at the top."),
        ],
    )


def method() -> NWBGroupSpec:
    return NWBGroupSpec(
        neurodata_type_def="CellTypeAnnotationMethod",
        neurodata_type_inc="NWBContainer",
        doc="Who or what said which unit is which cell type, and how. State the `person`, the `software`, or both.",
        attributes=[
            attribute(
                "source_type",
                "Where the labels come from: 'ground_truth' (an experiment identified the cell, e.g. optotagging with "
                "synaptic blockers), 'expert' (a person judged), 'classifier' (a trained model with probabilities), "
                "'rule' (a fixed rule such as spike width).",
                required=True,
            ),
            attribute("person", "Who labelled, as 'Last, First' or an ORCID."),
            attribute("software", "Name of the program that labelled."),
            attribute("software_version", "Its version."),
            attribute("software_url", "Where to get it."),
            attribute("model_name", "Name of the trained model."),
            attribute("model_version", "Version of the trained model."),
            attribute("model_licence", "Licence of the model's weights, as an SPDX identifier."),
            attribute("weights_sha256", "SHA-256 of the model's weights, 64 hexadecimal digits."),
            attribute("feature_spec_version", "Version of the definition of the features that the model was given."),
            attribute("training_data", "What the model was trained on: data set, version, DOI."),
            attribute("parameters", "All settings of the run, as JSON text."),
            attribute(
                "confidence_definition",
                "What a number in `confidence` means, e.g. 'largest calibrated probability' or 'ratio of the largest "
                "to the second largest probability'.",
            ),
            NWBAttributeSpec(
                name="references",
                doc="What to cite: DOIs or URLs.",
                dtype="text",
                shape=(None,),
                dims=("num_references",),
                required=False,
            ),
        ],
    )


def evidence_table() -> NWBGroupSpec:
    return NWBGroupSpec(
        neurodata_type_def="CellTypeEvidenceTable",
        neurodata_type_inc="DynamicTable",
        doc=(
            "Observations that speak for the cell type of a unit, one row a piece of evidence. A unit can have "
            "several pieces; the column `evidence` of the annotation table says which."
        ),
        datasets=[
            column(
                "kind",
                "'optotag' (responds to light as cells do that express the opsin), 'cs_ss_pause' (complex spikes "
                "followed by a pause of simple spikes), 'juxtacellular' (labelled through a pipette and found), "
                "'morphology' (reconstructed), 'pharmacology' (response to a drug), 'expert' (a judgement).",
                required=True,
            ),
            column("latency_ms", "Median latency of the response after pulse onset, in ms. NaN: unknown.", "float32"),
            column("jitter_ms", "Standard deviation of that latency, in ms. NaN: unknown.", "float32"),
            column("reliability", "Fraction of pulses with a response, 0 to 1. NaN: unknown.", "float32"),
            column(
                "salt_p",
                "P value of the stimulus-associated spike latency test (SALT). NaN: unknown.",
                "float32",
            ),
            column(
                "waveform_correlation",
                "Correlation of the evoked with the spontaneous mean waveform, -1 to 1. NaN: unknown.",
                "float32",
            ),
            column("blocker", "Synaptic blockers present during the test, e.g. 'NBQX, APV, gabazine'. Empty: none."),
            column("n_pulses", "Number of light pulses tested. -1: unknown, or the evidence has no pulses.", "int32"),
            column("note", "Anything else, in a sentence."),
            region(
                "pulses",
                "The pulses that were tested, as rows of the table that holds them. Left out by default, because "
                "older readers do not know every type of pulse table.",
            ),
            index("pulses"),
        ],
    )


def annotation_table() -> NWBGroupSpec:
    return NWBGroupSpec(
        neurodata_type_def="CellTypeAnnotationTable",
        neurodata_type_inc="DynamicTable",
        doc=(
            "One annotation run: what one method said about each unit, one row a unit. Runs are added and never "
            "overwritten, so that several opinions about the same units stand side by side."
        ),
        attributes=[
            attribute("created", "When the run was made, ISO 8601 with time zone.", required=True),
            attribute(
                "input_sha256",
                "SHA-256 over what the run was computed from (unit ids, spike times, mean waveforms and their rate), "
                "to notice that units changed afterwards.",
            ),
            attribute("units_object_id", "object_id of the units table that was annotated."),
            attribute(
                "source_identifier",
                "`identifier` of the NWB file that holds the units, where the run is kept in another file.",
            ),
            attribute("supersedes", "Name of the run that this one replaces."),
            attribute(
                "confidence_threshold",
                "Units below this confidence were left unclassified.",
                dtype="float64",
            ),
            attribute("verdict", "One line on whether the recording as a whole can be typed by this method."),
        ],
        links=[
            NWBLinkSpec(name="classes", doc="The classes of this run.", target_type="CellTypeClassTable", quantity=1),
            NWBLinkSpec(
                name="method", doc="Who or what made this run.", target_type="CellTypeAnnotationMethod", quantity=1
            ),
        ],
        datasets=[
            column("unit_id", "The unit's id in the units table (the value of `id`, not a row).", "int", required=True),
            column(
                "cell_type",
                "The answer: a `label` of the class table, or 'unclassified' exactly where `is_abstained`.",
                required=True,
            ),
            column("is_abstained", "True where the method declined to name a class.", "bool", required=True),
            column(
                "reason",
                "Why the method abstained, one word of a closed list (see the package's `REASONS`). Empty where it "
                "did not.",
                required=True,
            ),
            column("reason_detail", "The reason in a sentence. Empty where there is nothing to add."),
            region("unit", "The unit as a row of the units table. Absent where the units are in another file."),
            NWBDatasetSpec(
                name="probability",
                doc=(
                    "Probability of each class, in the order of the class table; a row sums to 1, and is all NaN "
                    "where nothing could be computed. Kept for abstained units too."
                ),
                dtype="float32",
                neurodata_type_inc="VectorData",
                dims=("num_units", "num_classes"),
                shape=(None, None),
                quantity="?",
            ),
            column("confidence", "How sure the method is; defined in the method's text. NaN: not computed.", "float32"),
            column(
                "ood_score",
                "How unlike the training data the unit is; larger is stranger. NaN: not computed.",
                "float32",
            ),
            column(
                "cell_id",
                "Name of the biological cell. Two units with one name are one cell, e.g. the simple and the complex "
                "spikes of a Purkinje cell. Empty: not stated.",
            ),
            column("split", "Part that the unit played in training: 'train', 'validate', 'test' or 'none'."),
            region("evidence", "Evidence for the label, as rows of the evidence table; a unit may have several."),
            index("evidence"),
        ],
    )


def container() -> NWBGroupSpec:
    return NWBGroupSpec(
        neurodata_type_def="CellTypeAnnotations",
        neurodata_type_inc="NWBDataInterface",
        default_name="cell_type_annotations",
        doc=(
            "All annotation runs of the units of a file, with their classes, methods and evidence. Kept in the "
            "processing module 'ecephys'."
        ),
        groups=[
            NWBGroupSpec(neurodata_type_inc="CellTypeClassTable", doc="Sets of classes.", quantity="*"),
            NWBGroupSpec(neurodata_type_inc="CellTypeAnnotationMethod", doc="Methods of annotation.", quantity="*"),
            NWBGroupSpec(neurodata_type_inc="CellTypeAnnotationTable", doc="Annotation runs.", quantity="*"),
            NWBGroupSpec(neurodata_type_inc="CellTypeEvidenceTable", doc="Evidence.", quantity="*"),
        ],
    )


def main(folder: Path) -> None:
    """Write ndx-cell-type.namespace.yaml and ndx-cell-type.extensions.yaml into `folder`."""
    namespace = NWBNamespaceBuilder(
        name=NAME,
        version=VERSION,
        doc="Cell types of extracellular units: label, probability, method and evidence.",
        author=["nwb-celltype developers"],
        contact=["nwb-celltype developers"],
    )
    namespace.include_namespace("core")
    types = [class_table(), method(), evidence_table(), annotation_table(), container()]
    export_spec(namespace, types, str(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "spec")
