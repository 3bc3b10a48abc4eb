"""Terms of public ontologies for species, regions and layers, as NWB's own table of external resources (HERD)."""

from __future__ import annotations

from typing import Any

from nwb_celltype.converters.metadata.records import Term
from nwb_celltype.converters.nwb.probes import WrittenProbe, layer_terms


def write_species_term(nwbfile: Any, term: Term | None) -> None:
    """Say which term of the NCBI taxonomy the subject's species is."""
    if term is not None and nwbfile.subject is not None and nwbfile.subject.species:
        _add(nwbfile, nwbfile.subject, "species", nwbfile.subject.species, term)


def write_region_terms(nwbfile: Any, probes: tuple[WrittenProbe, ...]) -> None:
    """Say which terms the regions and layers of the electrodes are.

    A file read from disk keeps the table that it has, because such a table cannot grow; the identifiers are in the
    columns ``location_ontology_id`` and ``layer_ontology_id`` in every case.
    """
    if nwbfile.read_io is not None:
        return
    seen: set[tuple[str, str, str]] = set()
    for probe in probes:
        regions = probe.regions
        for location, layer, terms in zip(regions.location, regions.layer, regions.terms, strict=True):
            of_layer = layer_terms(terms, layer)
            for term in terms:
                column, key = ("layer", layer) if term in of_layer else ("location", location)
                if key and (column, key, term.curie) not in seen and column in nwbfile.electrodes.colnames:
                    seen.add((column, key, term.curie))
                    _add(nwbfile, nwbfile.electrodes, column, key, term)


def _add(nwbfile: Any, container: Any, attribute: str, key: str, term: Term) -> None:
    resources = nwbfile.get_external_resources()
    resources.add_ref(container=container, attribute=attribute, key=key, entity_id=term.curie, entity_uri=term.uri)
