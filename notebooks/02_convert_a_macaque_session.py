# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a macaque's Plexon file to a DANDI-ready NWB file
#
# You recorded from the floccular complex of a macaque with an s-Probe and OmniPlex while the monkey pursued a target,
# sorted with Full Binary Pursuit, and curated the neurons in NeuroViz. This notebook turns the `.pl2` file and the `.pkl`
# beside it into one [NWB](https://www.nwb.org) file that holds what a reader needs to judge the cell types, and that
# [DANDI](https://dandiarchive.org) takes. The vendor's library is not needed, so this runs on Linux and macOS too.
#
# **The session is simulated.** `examples/simulated_macaque.py` writes 100 s of 16 channels at 40 kHz with 8 units, trials,
# and a pause in the middle, so that we know the truth about everything below. With a file of your own, begin at
# *Look at the files*. A `.plx` file goes the same way.

# %%
import os
import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

# remarks of the tools themselves, of no concern here
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, where ipywidgets are not installed
warnings.filterwarnings("ignore", category=UserWarning, module="pynapple")  # tables that it does not know

sys.path.insert(0, str(Path("../examples").resolve()))
from simulated_macaque import simulate_macaque

workplace = tempfile.TemporaryDirectory()
os.chdir(workplace.name)  # everything below is written here, and gone afterwards
simulated = simulate_macaque(".")

# %%
# Okabe and Ito's colours, which colour-blind readers can tell apart
COLOURS = {
    "PkC_ss": "#0072B2",
    "PkC_cs": "#D55E00",
    "MLI": "#009E73",
    "GoC": "#CC79A7",
    "MFB": "#E69F00",
    "unclassified": "#999999",
}
MOVING = "#56B4E9"
pd.set_option("display.max_colwidth", 140)
plt.rcParams.update(
    {
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "legend.frameon": False,
    }
)

# %% [markdown]
# ## Look at the files

# %%
for path in sorted(Path().iterdir()):
    print(f"{path.stat().st_size / 1e6:8.2f} MB  {path}")

# %% [markdown]
# What is in the `.pl2`? Ask the reader:

# %%
from nwb_celltype.converters import PlexonInterface, convert, template

on_line = PlexonInterface("simulated.pl2").session
(recording,) = on_line.recordings
print("traces:", recording.traces.name, f"{recording.traces.n_channels} channels at {recording.traces.sampling_rate_hz:g} Hz")
print("units that were sorted on line:", *recording.sorting.unit_names)
for each in on_line.left_out:
    print(f"left out: {each.what}; {each.reason}")

# %% [markdown]
# Unit 0 is Plexon's word for waveforms that nobody sorted; some readers make units of them. The units that count are those
# that you sorted afterwards: the pickle. A pickle can run anything when it is opened; here it is opened by a reader that
# builds numbers, texts and numpy arrays only, and refuses the rest.

# %%
interface = PlexonInterface("simulated.pl2", ["simulated.pkl"])
sorting = interface.session.recordings[0].sorting
pd.DataFrame({"id": sorting.unit_ids, "NeuroViz": sorting.unit_names, "spikes": np.diff(sorting.offsets)})

# %% [markdown]
# Neuron 1 is a `PurkinjeCell` there: it becomes two units, `1s` with the simple spikes and `1c` with the complex spikes.
# NeuroViz keeps the complex spikes once more, as a neuron of their own; they are not counted twice:

# %%
for each in sorting.left_out:
    print(f"left out: {each.what}; {each.reason}")

# %% [markdown]
# ## Say what no file knows
#
# Who the monkey was, where the probe went, which probe it was, and what the words and lines mean. Ask for a template; it is
# filled with what the file does say. On the command line:
#
# ```console
# $ nwb-celltype convert template plexon simulated.pl2 --out metadata.yaml
# ```

# %%
print(template("plexon", interface.session))

# %% [markdown]
# Filled in, it looks like this. `macaque` alone is not enough: DANDI wants the species. A Plexon file says nothing about
# the probe, so `geometry` names one of the arrangements (`SProbe16by2`, `SProbe8by2`, `Tetrode`, `SingleElectrode`), or
# lists a pair of micrometres for each channel.

# %%
METADATA = """
NWBFile:
  session_start_time: "2026-01-31T14:03:00-05:00"
  session_description: Simulated recording from the floccular complex of a macaque; nothing in it was recorded.
  session_id: simulated
  experimenter: ["Last name, First name"]
  experiment_description: Simulated session of smooth pursuit.
  lab: Simulation
  institution: Simulation
  keywords: [cerebellum, flocculus, smooth pursuit, simulated]

Subject:
  subject_id: simulated-macaque
  species: Macaca mulatta
  sex: U
  age: P8Y
  description: No animal was used; the session is simulated.

Ecephys:
  plexon:
    location: Cerebellar cortex
    geometry: SProbe8by2

Layers:
  plexon:
    - {depth_um: [0, 150], layer: granular}
    - {depth_um: [175, 275], layer: Purkinje}
    - {depth_um: [275, 400], layer: molecular}

Events:
  EVT02: {name: target_moves, description: The target begins to move.}
  Strobed: {name: words, description: "Words of the behaviour computer: 2 begins a trial, then its name, 3 ends it."}
"""
_ = Path("metadata.yaml").write_text(METADATA)

# %% [markdown]
# ## Dry run: look before you write
#
# ```console
# $ nwb-celltype convert plexon simulated.pl2 simulated.pkl --metadata metadata.yaml --out dandiset --dry-run
# ```

# %%
files = ["simulated.pl2", "simulated.pkl"]
print(convert("plexon", files, metadata="metadata.yaml", out="dandiset", dry_run=True).plan)

# %% [markdown]
# Line by line:
#
# - **geometry**: as stated, with the nominal distances. s-Probes are made to order; state `along_um` where yours differ.
# - **traces**: the wideband is read for mean waveforms. It still holds slow waves, so it is high-passed for that at 300 Hz,
#   as the recording systems of the training data did. `--raw` would also write the traces, unfiltered.
# - **scale**: microvolts of one count, which a `.pl2` states; in a `.plx` it follows from range, bits and gains.
# - **clock**: 0 s is when recording began. There was a pause: a sorter counts samples as if there were none, and every
#   sample is put back where it belongs.
# - **left out**: everything that will *not* be in the file, with the reason.
#
# ## Convert
#
# The lab's own labels come along. They are an expert's judgement by waveform, layer and firing, and no ground truth, so say
# so:
#
# ```console
# $ nwb-celltype convert plexon simulated.pl2 simulated.pkl --metadata metadata.yaml --out dandiset \
#       --labels our_labels.csv --labels-are expert --by "Last name, First name"
# ```

# %%
print(simulated.labels.read_text())
done = convert(
    "plexon",
    files,
    metadata="metadata.yaml",
    out="dandiset",
    labels="our_labels.csv",
    labels_are="expert",
    by="Last name, First name",
)
print(f"{done.file}: {done.file.stat().st_size / 1e6:.1f} MB")
print("runs:", *done.runs)
print("nwbinspector:", *(done.remarks or ["nothing to say"]), sep="\n")

# %% [markdown]
# ## What is in it
#
# Plain pynwb and pandas read it; neither this package nor an extension is needed.

# %%
from pynwb import read_nwb

nwb = read_nwb(done.file)
columns = ["unit_name", "layer", "peak_channel", "depth", "waveform_source", "n_waveforms"]
nwb.units.to_dataframe(index=True)[columns].round(1)

# %% [markdown]
# Words and lines are tables of events. The name of each trial is spelled out in the words:

# %%
words = nwb.events["words"].to_dataframe()
letters = words["value"][(words["value"] > 3)].head(7)
print("first trial:", "".join(map(chr, letters)))
print("the target moved", len(nwb.events["target_moves"]), "times")
words.head(3)

# %% [markdown]
# The pause is where nothing was observed. Rates of all kinds are computed from observed time only:

# %%
print("observed (s):", nwb.units["obs_intervals"][0].tolist())

# %% [markdown]
# ## Is every spike where its trough is?
#
# We write the traces too (`--raw`), read a second on either side of the pause through the file, and mark the spike
# times of the Purkinje cell on its peak channel.

# %%
whole = convert("plexon", files, metadata="metadata.yaml", out="raw.nwb", raw=True, inspect=False)
with_traces = read_nwb(whole.file)
series = next(iter(with_traces.acquisition.values()))
row = list(with_traces.units.id[:]).index(1)
electrode = with_traces.units.get((row, "electrodes")).index[0]
spikes = {"1s": with_traces.units["spike_times"][row], "1c": with_traces.units["spike_times"][row + 1]}
stamps = series.timestamps[:]
last = int(np.argmax(np.diff(stamps)))  # sample before the pause

figure, axes = plt.subplots(1, 2, figsize=(11, 3), sharey=True)
for axis, start, title in zip(axes, (last - 40_000, last + 1), ("before the pause", "after it"), strict=True):
    seconds = stamps[start : start + 40_000]
    trace = series.data[start : start + 40_000, electrode] * series.conversion * 1e6
    axis.plot(seconds, trace, color="0.35", lw=0.5)
    for (name, times), kind in zip(spikes.items(), ("PkC_ss", "PkC_cs"), strict=True):
        shown = times[(times >= seconds[0]) & (times <= seconds[-1])]
        axis.plot(shown, np.full(len(shown), -380 if kind == "PkC_ss" else -420), "^", color=COLOURS[kind], ms=5, label=name)
    axis.set(xlabel="session time (s)", title=title)
axes[0].set_ylabel("potential (µV)")
axes[0].set(ylim=(-560, 230))
axes[1].legend(loc="lower right", ncols=2)
plt.show()

# %% [markdown]
# ## Mean waveforms

# %%
units = nwb.units
ids = [int(unit) for unit in units.id[:]]
sites = nwb.electrodes.to_dataframe()[["rel_x", "rel_y"]].to_numpy()
time_ms = np.arange(units["waveform_mean"].data.shape[1]) / units.waveform_rate * 1e3
time_ms -= units.waveform_time_before_peak_in_ms
truth = {1: "PkC_ss", 1001: "PkC_cs", 3: "MLI", 5: "GoC", 6: "MFB"}

figure, axes = plt.subplots(1, len(truth), figsize=(11, 4.2), sharex=True)
for axis, (unit, kind) in zip(axes, truth.items(), strict=True):
    microvolts = units["waveform_mean"][ids.index(unit)] * 1e6
    channels = units.get((ids.index(unit), "electrodes")).index
    swing = np.ptp(microvolts)
    for channel, waveform in zip(channels, microvolts.T, strict=True):
        x, y = sites[channel]
        axis.plot(x + 8 * time_ms, y + 60 * waveform / swing, color=COLOURS[kind], lw=1)
    axis.set(title=f"unit {unit}\n{swing:.0f} µV peak to peak", xlabel="across (µm)")
axes[0].set_ylabel("distance from the tip (µm)")
figure.suptitle("Mean waveforms, 4 ms each", fontsize="medium")
plt.show()

# %% [markdown]
# ## One Purkinje cell, two units
#
# A complex spike silences the simple spikes of its own cell. A person paired units 1 and 1001 in NeuroViz, and the rule
# that looks for this pause found the same pair by itself. In both runs the two units share one `cell_id`:

# %%
import nwb_celltype as nct

runs = {run.name: run for run in nct.read_runs(done.file)}
pd.DataFrame(
    [
        {"run": name, "source": run.method.source_type, "unit": unit, "label": label, "cell": cell}
        for name, run in runs.items()
        if run.cell_id is not None
        for unit, label, cell in zip(run.unit_ids, run.cell_type, run.cell_id, strict=True)
        if cell
    ]
)

# %%
import pynapple as nap

trains = nap.load_file(str(done.file))["units"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, simple_unit in zip(axes, (1, 2), strict=True):
    around = nap.compute_perievent(trains[simple_unit], nap.Ts(trains[1001].t), (-0.06, 0.06))
    counts, edges = np.histogram(1e3 * around.to_tsd().t, np.arange(-60, 61, 3.0))
    axis.stairs(counts / len(trains[1001]) / 3e-3, edges, fill=True, color=COLOURS["PkC_ss"])
    axis.axvline(0, color=COLOURS["PkC_cs"], lw=2)
    axis.set(xlabel="time from complex spike of unit 1001 (ms)", title=f"simple spikes of unit {simple_unit}")
axes[0].set_ylabel("spikes/s")
plt.show()

# %% [markdown]
# Left: the same cell. Right: another Purkinje cell 60 µm away, which does not care.
#
# ## What the cells do in a trial
#
# Words, lines and spikes are on one clock, so a histogram around the moving target is a line of pynapple:

# %%
moves = nap.Ts(nwb.events["target_moves"].to_dataframe()["timestamp"].to_numpy())
figure, axes = plt.subplots(1, 3, figsize=(10, 2.8))
for axis, (unit, kind) in zip(axes, ((1, "PkC_ss"), (2, "PkC_ss"), (6, "MFB")), strict=True):
    around = nap.compute_perievent(trains[unit], moves, (-0.5, 1.0))
    counts, edges = np.histogram(1e3 * around.to_tsd().t, np.arange(-500, 1001, 25.0))
    axis.axvspan(0, 650, color=MOVING, alpha=0.25, lw=0)
    axis.stairs(counts / len(moves) / 25e-3, edges, fill=True, color=COLOURS[kind])
    axis.set(xlabel="time from the target's motion (ms)", title=f"unit {unit}, {kind.replace('_', ' ')}")
axes[0].set_ylabel("spikes/s")
plt.show()

# %% [markdown]
# ## Annotate
#
# Now the classifier names the units. It was trained on labelled units of mice and of macaques. The converted file is left
# alone; the answer goes into a copy.
#
# ```console
# $ nwb-celltype annotate dandiset/sub-simulated-macaque/sub-simulated-macaque_ses-simulated_ecephys.nwb
# ```

# %%
annotated = nct.annotate(done.file)
answers = nct.choose_run(annotated.file, "cerebellum_3")
own = runs["expert_last_name_first_name"]
pd.DataFrame(
    {
        "our label": own.labels_for(answers.unit_ids),
        "classifier": answers.cell_type,
        "confidence": answers.confidence.round(2),
        "note": answers.reason_detail,
    },
    index=pd.Index(answers.unit_ids, name="unit"),
)

# %% [markdown]
# Four runs lie side by side and never mix. What counts as the label is the expert's, because a person goes before a model:

# %%
every = nct.read_runs(annotated.file)
print("counts as the label:", nct.published_run(every).name)
pd.DataFrame(
    {
        "source": {run.name: run.method.source_type for run in every},
        "labelled units": {run.name: int((~run.is_abstained).sum()) for run in every},
    }
)

# %% [markdown]
# ## Others read it
#
# SpikeInterface calls units by the names that they have in NeuroViz. Every spike is where we put it:

# %%
from spikeinterface.extractors import read_nwb_sorting

read = read_nwb_sorting(done.file, sampling_frequency=40_000.0, t_start=0.0, load_unit_properties=False)
names = ["1s", "1c", "2", "3", "4", "5", "6", "7"]
same = [
    np.array_equal(read.get_unit_spike_train(name), np.rint(times * 40_000))
    for name, times in zip(names, simulated.seconds, strict=True)
]
print(f"{len(same)} units read by SpikeInterface, {sum(same)} with every spike at its true time")

# %% [markdown]
# pynapple, with the columns of the units as metadata:

# %%
trains[["unit_name", "layer", "depth", "waveform_source"]]

# %% [markdown]
# ## A whole folder of sessions
#
# One command converts them all, says for each what went wrong where something did, and goes on where it was stopped:
#
# ```console
# $ nwb-celltype convert plexon 'recordings/*/*.pl2' --metadata lab.yaml --out dandiset
# ```
#
# Further: [docs/converting.md](../docs/converting.md) says what is read from every kind of file, where each thing goes in
# NWB, how to give each session of a folder its own metadata, and how MATLAB reads the result.

# %%
os.chdir(Path(workplace.name).parent)
workplace.cleanup()
