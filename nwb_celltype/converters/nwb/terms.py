"""Terms of public ontologies for species, regions and layers, as NWB's own table of external resources (HERD)."""

from __future__ import annotations

from typing import Any

from nwb_celltype.converters.metadata.records import Term
from nwb_celltype.converters.metadata.terms import uri_of

_COLUMNS = {"location": "location_ontology_id", "layer": "layer_ontology_id"}


def write_species_term(nwbfile: Any, term: Term | None) -> None:
    """Say which term of the NCBI taxonomy the subject's species is."""
    if term is not None and nwbfile.subject is not None and nwbfile.subject.species:
        _add(nwbfile, nwbfile.subject, "species", nwbfile.subject.species, term.curie, term.uri)


def write_region_terms(nwbfile: Any) -> None:
    """Say which terms the regions and layers of the electrodes are, from the identifiers in their own columns.

    This is done when a file is written to HDF5: hdmf-zarr cannot write a table of external resources of several rows. A
    file read from disk keeps the table that it has, because such a table cannot grow.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    """
    table = nwbfile.electrodes
    if table is None or nwbfile.read_io is not None:
        return
    for name, ids in _COLUMNS.items():
        if name not in table.colnames or ids not in table.colnames:
            continue
        pairs = dict.fromkeys(zip(table[name].data, table[ids].data, strict=True))
        for key, curies in pairs:
            for curie in filter(None, str(curies).split(", ")):
                _add(nwbfile, table, name, str(key), curie, uri_of(curie))


def _add(nwbfile: Any, container: Any, attribute: str, key: str, curie: str, uri: str) -> None:
    resources = nwbfile.get_external_resources()
    resources.add_ref(container=container, attribute=attribute, key=key, entity_id=curie, entity_uri=uri)
