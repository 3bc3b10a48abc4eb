"""Records of a session to NWB: the file, its tables and series, and how they are written."""

from nwb_celltype.converters.nwb.file import describe, new_nwbfile, session_identifier
from nwb_celltype.converters.nwb.session import add_session
from nwb_celltype.converters.nwb.writing import compress, write_nwbfile

__all__ = ["add_session", "compress", "describe", "new_nwbfile", "session_identifier", "write_nwbfile"]
