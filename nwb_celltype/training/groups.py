"""What is kept together when a model is measured: whole recordings, or all recordings of a subject."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from nwb_celltype.errors import UsageError
from nwb_celltype.labels import LabelledUnits

GroupBy = Literal["recording", "subject"]


def grouped(labelled: LabelledUnits, by: GroupBy | None, position: int) -> LabelledUnits:
    """Return units with groups of the kind asked for.

    Parameters
    ----------
    labelled : LabelledUnits
    by : {'recording', 'subject'} or None
        `None` keeps the groups that the source names. ``recording``: a file that names one group, or none, is one
        recording. ``subject``: rows of a table go by their subjects.
    position : int
        Of the source among all, to tell recordings of one subject apart.

    Returns
    -------
    LabelledUnits

    Raises
    ------
    UsageError
        If there is no such kind of group.
    """
    if by is None:
        return labelled
    if by not in ("recording", "subject"):
        message = f"Units are kept together by 'recording' or 'subject', not by {by!r}."
        raise UsageError(message)
    groups = labelled.groups
    if by == "recording":
        if len(np.unique(groups)) <= 1:
            return replace(labelled, groups=np.full(len(labelled), f"recording {position + 1}"))
        return labelled
    if "subject" in labelled.features.coords:
        subject = np.broadcast_to(labelled.features["subject"].values.astype(str), groups.shape)
        return replace(labelled, groups=np.where(subject == "", groups, subject))
    return labelled
