"""The verb `review`: a local page on which an expert walks the units of a file and says what they are."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nwb_celltype.errors import UsageError
from nwb_celltype.labelling import TaxonomyName
from nwb_celltype.reviewing.access import Access, close_door, open_door
from nwb_celltype.reviewing.reviewers import reviewer_of
from nwb_celltype.reviewing.sessions import Asked, ReviewSession

if TYPE_CHECKING:
    from nwb_celltype.features.dataset import Progress


@dataclass(frozen=True)
class Reviewed:
    """How a review stood when it was ended.

    Attributes
    ----------
    file : Path
        Where decisions are saved.
    journal : Path
    n_units, n_decided : int
    is_saved : bool
        Whether the file holds all decisions.
    run : str
        Name of the run that was saved last; empty for none.
    """

    file: Path
    journal: Path
    n_units: int
    n_decided: int
    is_saved: bool
    run: str


def review(
    file: str | Path,
    *,
    by: str | None = None,
    orcid: str | None = None,
    run: str | None = None,
    units_table: str | None = None,
    out: str | Path | None = None,
    taxonomy: TaxonomyName = "auto",
    classes: Sequence[str] = (),
    model: str | Path | None = None,
    explain: bool = True,
    blind: bool = False,
    port: int = 0,
    open_browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Reviewed:
    """Show the units of an annotated file on a local page, where an expert agrees, disagrees or names a class.

    Returns when the server is ended (Ctrl-C). Every decision is in the journal beside the file as soon as the page says
    so; saving on the page adds a run of the expert to the file, and never touches other runs.

    Parameters
    ----------
    file : str or Path
        An annotated NWB file on this machine.
    by : str
        Name or ORCID of the person.
    orcid : str, optional
        ORCID besides the name.
    run : str, optional
        The run that is shown; by default the published one of those that no expert made.
    units_table : str, optional
        HDF5 path of the units table, where a file has runs about several.
    out : str or Path, optional
        A copy to save into; by default the file itself.
    taxonomy : {'auto', 'cerebellum', 'forebrain', 'free'}
        Whose classes are offered; 'auto' takes the first that knows all classes of the runs, 'free' takes these.
    classes : sequence of str, optional
        Further classes to offer.
    model : str or Path, optional
        As for `report`.
    explain : bool
        Say what moved each decision of the model.
    blind : bool
        Do not show what other experts say, so that agreement with them means something.
    port : int
        Of this machine; 0 takes a free one.
    open_browser : bool
        Open the page in the user's browser.
    on_ready : callable, optional
        Told the address of the page when the server listens. It holds a secret: who has it can decide.
    progress : callable, optional
        Told a task, the steps done and the number of steps.

    Returns
    -------
    Reviewed

    Raises
    ------
    UsageError
        If nobody is named, the port is taken, or what is needed is not installed.
    InputError
        If the file cannot be read or holds no runs.
    RefusedError
        If the file must not be changed, or is under review already.

    Examples
    --------
    >>> import nwb_celltype as nct
    >>> nct.review("session_celltype.nwb", by="Jane Doe")  # doctest: +SKIP
    """
    from nwb_celltype.reviewing.server import MISSING, make_app

    try:
        import fastapi  # noqa: F401  said before the work, not after
        import uvicorn
    except ImportError as error:
        raise UsageError(MISSING) from error

    reviewer = reviewer_of(by, orcid)
    asked = Asked(
        file=file,
        run=run,
        units_table=units_table,
        out=None if out is None else Path(out),
        taxonomy=taxonomy,
        classes=tuple(classes),
        model=model,
        explain=explain,
        blind=blind,
    )
    with ReviewSession(asked, reviewer, progress) as session:
        access, listener = open_door(session.file, port)
        config = uvicorn.Config(
            make_app(session, access),
            log_level="warning",
            access_log=False,  # the address holds the secret
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        try:
            if on_ready is not None:
                on_ready(access.url)
            if open_browser:
                _open_browser(access)
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # what the server passes on after it has stopped
            pass
        finally:
            listener.close()
            close_door(session.file, access)
        state = session.state(0)
        return Reviewed(
            file=session.target,
            journal=session.journal.path,
            n_units=len(session.reviewed),
            n_decided=sum(bool(one.verdict) for one in session.decisions.values()),
            is_saved=bool(state["is_saved"]),
            run=str((state["saved"] or {}).get("run", "")),
        )


def _open_browser(access: Access) -> None:
    """Open the page, unless that would start a browser in the terminal."""
    has_screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if has_screen:
        threading.Timer(0.3, webbrowser.open, [access.url]).start()
