"""Which assets of a dandiset are fetched, which only in part, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from nwb_celltype.archive import keywords as words
from nwb_celltype.archive.assets import Asset
from nwb_celltype.fetching.contents import Contents
from nwb_celltype.fetching.records import Action, SkippedAsset

NOT_NWB = "no NWB file"
ZARR = "NWB-Zarr, which the archive does not offer as a file"
NO_LABELS = "no cell type labels"
NO_GROUND_TRUTH = "no ground truth labels"

_DESC = "desc-celltype"


@dataclass(frozen=True)
class Wanted:
    """Which assets are wanted, and how much of each.

    Attributes
    ----------
    labels_only : bool
    ground_truth : bool
    whole : bool
        Whether annotated files come whole even with `labels_only`, because their units are wanted too.
    needs_source : bool
        Whether it must be known before what each detached file's source is.
    """

    labels_only: bool = False
    ground_truth: bool = False
    whole: bool = False
    needs_source: bool = False


@dataclass(frozen=True)
class Chosen:
    """An asset that is to be fetched.

    Attributes
    ----------
    asset : Asset
    action : {'download', 'detach'}
    contents : Contents or None
        What is in it, where that had to be found out.
    """

    asset: Asset
    action: Action = "download"
    contents: Contents | None = None


def choose(asset: Asset, wanted: Wanted, look: Callable[[Asset], Contents]) -> Chosen | SkippedAsset:
    """Decide about one asset, by its keywords where it has ours, else by what is in it.

    With `Wanted.labels_only` a file that holds labels alone comes as it is, and of an annotated file with its data only
    the runs come. With `Wanted.ground_truth` a file is wanted if at least one of its runs is ground truth; all of its
    runs come then, because a file that its digest proves cannot be cut, and each run says what it is.

    Parameters
    ----------
    asset : Asset
    wanted : Wanted
    look : callable
        Looks into an asset over the network.

    Returns
    -------
    Chosen or SkippedAsset

    Raises
    ------
    InputError, NetworkError
        From `look`.
    """
    if asset.is_zarr or asset.path.lower().endswith(".zarr"):
        return SkippedAsset(asset.path, ZARR)
    if not (wanted.labels_only or wanted.ground_truth):
        is_nwb = asset.path.lower().endswith(".nwb")
        return Chosen(
            asset, contents=look(asset) if wanted.needs_source and is_nwb and may_be_detached(asset) else None
        )
    if not asset.path.lower().endswith(".nwb"):
        return SkippedAsset(asset.path, NOT_NWB)
    says_detached, says_labels = words.DETACHED in asset.keywords, words.LABELS in asset.keywords
    sources = words.sources_in(asset.keywords)
    contents = None
    is_known = says_detached or (says_labels and not wanted.needs_source)
    if not is_known or (wanted.ground_truth and not sources) or (wanted.needs_source and says_detached):
        contents = look(asset)
    has_labels = says_detached or says_labels if contents is None else bool(contents.runs)
    if not has_labels:
        return SkippedAsset(asset.path, NO_LABELS)
    truth = "ground_truth" in sources if contents is None else bool(contents.ground_truth)
    if wanted.ground_truth and not truth:
        return SkippedAsset(asset.path, NO_GROUND_TRUTH)
    is_detached = says_detached if contents is None else contents.is_detached
    part = wanted.labels_only and not is_detached and not wanted.whole
    return Chosen(asset, "detach" if part else "download", contents)


def may_be_detached(asset: Asset) -> bool:
    """Whether an asset may hold labels alone, by its keywords and its name."""
    return words.DETACHED in asset.keywords or _DESC in asset.path


def detached_path(path: str, taken: Collection[str]) -> str:
    """Path of the file that holds the labels of an asset alone.

    Parameters
    ----------
    path : str
        Of the annotated asset.
    taken : collection of str
        Paths that other files have.

    Returns
    -------
    str

    Examples
    --------
    >>> detached_path("sub-A/sub-A_ses-1_desc-sorted_behavior+ecephys.nwb", ())
    'sub-A/sub-A_ses-1_desc-celltype_ecephys.nwb'
    >>> detached_path("sub-A/sub-A_ses-1_desc-sorted_ecephys.nwb", ["sub-A/sub-A_ses-1_desc-celltype_ecephys.nwb"])
    'sub-A/sub-A_ses-1_desc-celltypesorted_ecephys.nwb'
    >>> detached_path("mouse 7.nwb", ())
    'mouse 7_desc-celltype_ecephys.nwb'
    """
    parent, stem = PurePosixPath(path).parent, PurePosixPath(path).stem
    entities = [part.partition("-") for part in stem.split("_")]
    kept = [f"{key}-{value}" for key, dash, value in entities if dash and key in {"sub", "ses"}]
    others = [value for key, dash, value in entities if dash and key not in {"sub", "ses"}]
    base = "_".join(kept) if kept else stem
    own = re.sub(r"[^A-Za-z0-9]", "", "".join(others))
    own = own.replace("celltype", "") or "other"
    occupied = {name.lower() for name in taken}
    for number in range(len(occupied) + 2):
        more = "" if number == 0 else own if number == 1 else f"{own}{number}"
        name = (parent / f"{base}_{_DESC}{more}_ecephys.nwb").as_posix()
        if name.lower() not in occupied:
            break
    return name


def selected(rows: Iterable[Chosen | SkippedAsset]) -> tuple[list[Chosen], list[SkippedAsset]]:
    """Part what is to be fetched from what is not."""
    chosen, skipped = [], []
    for row in rows:
        if isinstance(row, Chosen):
            chosen.append(row)
        else:
            skipped.append(row)
    return chosen, skipped
