"""Which spikes of a unit light evoked under each set of blockers, where enough of them are there to be averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from nwb_celltype.evidence.optotag import SpikeGroups, spike_groups, tagging_response
from nwb_celltype.evidence.pulse_sets import PulseSet
from nwb_celltype.evidence.pulses import OptotagWindows, Stimulation

_ENOUGH_SPIKES = 20
_SHARE_EVOKED = 0.5
_NARROWEST_MS = 0.2


def evoked_groups(
    spike_times: ArrayLike,
    stimulation: Stimulation,
    pulse_sets: Sequence[PulseSet],
    windows: OptotagWindows,
    *,
    others: Sequence[Stimulation] = (),
) -> Mapping[str, SpikeGroups]:
    """Evoked and spontaneous spikes of one unit for each set of blockers under which light evokes spikes.

    Evoked are the first spikes at the latency of the response, plus and minus three times its jitter. Where light
    evokes fewer than 20, or less than half of these, the set of blockers is missing: their mean would be that of
    spontaneous spikes, and its correlation with them would say nothing.

    Parameters
    ----------
    spike_times : (n_spikes,) array, seconds, ascending
    stimulation : Stimulation
    pulse_sets : sequence of PulseSet
        Its pulses, from `choose_pulses`.
    windows : OptotagWindows
    others : sequence of Stimulation
        Other lights; no spike near them is spontaneous.

    Returns
    -------
    mapping of str to SpikeGroups
        By blockers. Spontaneous spikes are those under the same blockers, of the whole session where these are few.

    Examples
    --------
    >>> import numpy as np
    >>> from nwb_celltype.evidence.pulse_sets import choose_pulses
    >>> windows, laser = OptotagWindows(), Stimulation("laser", np.arange(1.0, 101.0), 0.005)
    >>> spikes = np.sort(np.concatenate([laser.onsets_s + 0.003, laser.onsets_s + 0.4]))
    >>> groups = evoked_groups(spikes, laser, choose_pulses(laser, windows, start_s=0.0), windows)
    >>> {blocker: (len(found.evoked), len(found.spontaneous)) for blocker, found in groups.items()}
    {'': (100, 100)}
    """
    found = {}
    for pulses in pulse_sets:
        seen = tagging_response(spike_times, pulses, windows)
        if seen.problem or np.isnan(seen.latency_ms) or seen.n_evoked < _ENOUGH_SPIKES:
            continue
        spread = max(3 * seen.jitter_ms, _NARROWEST_MS)
        at = (seen.latency_ms - spread, seen.latency_ms + spread)
        masks_end = seen.is_end_masked
        own = spike_groups(
            spike_times, stimulation, windows, latency_ms=at, others=others, blocker=pulses.blocker, masks_end=masks_end
        )
        n_evoked = seen.excess * np.sum(stimulation.blocker_at(stimulation.onsets_s) == pulses.blocker)
        if len(own.evoked) < _ENOUGH_SPIKES or n_evoked < _SHARE_EVOKED * len(own.evoked):
            continue
        if len(own.spontaneous) < _ENOUGH_SPIKES:
            own = replace(own, spontaneous=spike_groups(spike_times, stimulation, windows, others=others).spontaneous)
        if len(own.spontaneous) >= _ENOUGH_SPIKES:
            found[pulses.blocker] = own
    return found
