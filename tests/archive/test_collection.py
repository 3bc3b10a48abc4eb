import gc
import multiprocessing
import os
import subprocess
import sys
import weakref
from pathlib import Path

import h5py
import numpy as np

from nwb_celltype.archive import collection

from .range_server import RangeServer


def test_pauses_overlap():
    assert gc.isenabled()
    with collection.paused():
        with collection.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_that_somebody_switched_off_stays_off():
    gc.disable()
    try:
        with collection.paused():
            collection.catch_up()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_forked_process_collects():
    with collection.paused():
        process = multiprocessing.get_context("fork").Process(target=lambda: os._exit(not gc.isenabled()))
        process.start()
        process.join(10)
    assert process.exitcode == 0


class Circle:
    def __init__(self) -> None:
        self.self = self


def test_what_is_due_is_collected_during_a_pause():
    with collection.paused():
        circle = weakref.ref(Circle())
        junk = [[] for _ in range(5000)]
        assert circle() is not None
        collection.catch_up()
        assert circle() is None
        assert junk


SCRIPT = """
import gc, sys, time
import h5py
from nwb_celltype.archive.remote_file import RemoteFile
from nwb_celltype.archive.transport import RangeSource

class Littering(RangeSource):
    def _fetch(self, start, stop):
        time.sleep(0.1)  # until the reader waits
        junk = [[] for _ in range(100_000)]  # what wakes the collector, in this thread
        return super()._fetch(start, stop)

local = h5py.File(sys.argv[2], "r")
remote = RemoteFile(Littering(sys.argv[1], name="a.h5"))
file = h5py.File(remote, "r")
dataset = file["spike_times"]
gc.collect()
ring = []
ring += [ring, local["spike_times"]]
del ring  # for the collector: nothing else throws it away
remote.prefetch([(0, remote.size)])
print(dataset[-1])
"""  # it ends with the file open, which must not crash it either


def test_collector_does_not_stop_a_reader(tmp_path: Path):
    """An h5py object that is thrown away by the thread that brings the bytes which HDF5 waits for: see `collection`."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["spike_times"] = np.arange(200_000.0)
    with RangeServer(tmp_path) as server:
        command = [sys.executable, "-c", SCRIPT, server.url("a.h5"), str(tmp_path / "a.h5")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split() == ["199999.0"]
