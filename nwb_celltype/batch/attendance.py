"""Whether a Dask scheduler has workers: what has none is not waited for without a word, or for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from nwb_celltype.errors import NetworkError

LOST = "The scheduler was lost, or gave the work up; run the same command again to go on."

_REMIND_S = 30.0
_LOOK_S = 0.2
_COUNT_S = 2.0
_ANSWER_S = 10.0


class Attendance:
    """Counts the workers of a scheduler.

    Parameters
    ----------
    client : distributed.Client
    where : str
        Name of the scheduler in messages.
    wait_s : float, seconds
        How long there may be no worker.
    say : callable
        Told a line when workers are waited for, and every half minute while they are.
    queues : bool
        Whether workers are jobs that may queue, for however long.
    is_far : bool
        Whether the scheduler is another process; one in this process that does not answer is only busy.
    """

    def __init__(
        self, client: Any, where: str, wait_s: float, say: Callable[[str], None], *, queues: bool, is_far: bool
    ) -> None:
        self._client, self._where, self._wait_s, self._say = client, where, wait_s, say
        self._queues, self._is_far = queues, is_far
        self._seen = self._said = self._counted = time.monotonic()

    def begin_work(self) -> None:
        """Count anew how long there has been no worker."""
        self._seen = self._said = self._counted = time.monotonic()

    def n_workers(self, at_most_s: float | None = None) -> int | None:
        """Ask how many workers there are; None if the scheduler does not answer in time.

        Raises
        ------
        NetworkError
            If it is lost.
        """
        try:
            return len(self._client.sync(self._client.scheduler.ncores, callback_timeout=at_most_s))
        except TimeoutError:
            return None
        except OSError as error:
            raise NetworkError(LOST) from error

    def wait_for_first(self) -> int:
        """Wait until there is a worker; return how many there are.

        Raises
        ------
        NetworkError
            If none comes in time, or the scheduler is lost.
        """
        began = said = time.monotonic()
        while not (n_workers := self.n_workers()):
            now = time.monotonic()
            if now - began >= self._wait_s:
                message = (
                    f"No worker came to {self._where} in {self._wait_s:g} s; start some (dask worker {self._where}), "
                    "and try again."
                )
                raise NetworkError(message)
            if said == began or now - said >= _REMIND_S:
                self._say(f"waiting for workers at {self._where}")
                said = now
            time.sleep(min(_LOOK_S, self._wait_s))
        return n_workers

    def require(self) -> None:
        """Count the workers, if that was not done in the last two seconds.

        Raises
        ------
        NetworkError
            If there has been none for too long, or a scheduler elsewhere has not answered for as long.
        """
        now = time.monotonic()
        if now - self._counted < _COUNT_S:
            return
        n_workers = self.n_workers(_ANSWER_S)
        self._counted = now = time.monotonic()
        if n_workers:
            self._seen = self._said = now
            return
        is_silent = n_workers is None
        if now - self._said >= min(_REMIND_S, self._wait_s / 2):
            self._said = now
            gone = f"waiting for workers at {self._where}: all are gone"
            self._say(f"waiting for an answer from {self._where}" if is_silent else gone)
        if now - self._seen < self._wait_s or self._queues or (is_silent and not self._is_far):
            return
        what = "did not answer" if is_silent else "had no worker any more"
        message = (
            f"{self._where} {what} for {self._wait_s:g} s; what is done stays done. Start workers again, and run the "
            "same command to go on."
        )
        raise NetworkError(message)
