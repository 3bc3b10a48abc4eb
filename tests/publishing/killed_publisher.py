"""Publishes a folder and is killed, by its own hand, when a request of a kind is about to be sent or was answered."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from dandi.dandiapi import RESTFullAPIClient

from nwb_celltype.publishing import publish


def main(folder: str, method: str, part: str, moment: str) -> None:
    whole = RESTFullAPIClient.request

    def request(self: RESTFullAPIClient, sent_method: str, path: str, **options: Any) -> Any:
        fits = sent_method == method and part in path
        if fits and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = whole(self, sent_method, path, **options)
        if fits:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    RESTFullAPIClient.request = request
    publish(folder, dandiset="new", jobs=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
