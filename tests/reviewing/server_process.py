"""Serve reviews in child processes that can be killed.

Started as ``python -m tests.reviewing.server_process FILE``: a review of FILE is opened once, so that everything heavy
is imported and compiled. Then for each line on the input, a file and a person, a child is forked that serves a review,
the real thing, and tells its address on the output.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path


def say(*words: object) -> None:
    """One line at once, so that lines of two processes never mix."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def serve(file: str, by: str) -> None:
    """What a child does."""
    from nwb_celltype.reviewing import review

    os.environ["NWB_CELLTYPE_CACHE"] = str(Path(file).parent / "cache")
    done = review(file, by=by, explain=False, open_browser=False, on_ready=lambda url: say("ready", url))
    say("done", done.n_decided, done.is_saved)


def main(warm: str) -> None:
    """Fork a child for every line on the input."""
    import ndx_cell_type
    import pynwb
    import uvicorn

    from nwb_celltype.reviewing.access import Access
    from nwb_celltype.reviewing.reviewers import Reviewer
    from nwb_celltype.reviewing.server import make_app
    from nwb_celltype.reviewing.sessions import Asked, ReviewSession

    with ReviewSession(Asked(warm, explain=False), Reviewer("nobody")) as session:
        make_app(session, Access(1, "x"))
    say("warm", pynwb.__version__, ndx_cell_type.__name__, uvicorn.__version__)
    for line in sys.stdin:
        file, _, by = line.strip().partition("\t")
        child = os.fork()
        if child == 0:
            try:
                serve(file, by)
                os._exit(0)
            except BaseException as error:
                say("failed", type(error).__name__, str(error).replace("\n", " "))
                os._exit(1)
        say("child", child)
        threading.Thread(
            target=lambda pid: say("end", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])), args=[child]
        ).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
