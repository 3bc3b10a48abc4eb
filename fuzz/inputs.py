"""Inputs that hypothesis makes: sound ones, changed in a few places."""

from __future__ import annotations

from hypothesis import strategies as st

from fuzz.targets import Target


@st.composite
def changed(draw: st.DrawFn, target: Target) -> bytes:
    """A seed, or bytes from nowhere, after up to six changes."""
    data = draw(st.one_of(*[st.sampled_from(target.seeds)] * 7, st.binary(max_size=120)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.integers(0, 6))
        if kind == 0 and data:  # a bit
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :]
        elif kind == 1 and target.words:
            data = data[:at] + draw(st.sampled_from(target.words)) + data[at:]
        elif kind == 2 and target.words:  # in place of what is there
            word = draw(st.sampled_from(target.words))
            data = data[:at] + word + data[at + len(word) :]
        elif kind == 3:
            data = data[:at] + draw(st.binary(max_size=9)) + data[at:]
        elif kind == 4:
            data = data[:at] + data[at + draw(st.integers(1, 60)) :]
        elif kind == 5:  # twice
            data = data[:at] + data[max(0, at - draw(st.integers(1, 60))) : at] + data[at:]
        else:  # the end is missing
            data = data[:at]
    return data
