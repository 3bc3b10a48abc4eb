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
# # From a mouse session's folder to a DANDI-ready NWB file
#
# You recorded from the cerebellar cortex of a mouse with Neuropixels and SpikeGLX, sorted with Kilosort, looked at some
# clusters in Phy, and switched a laser to find out which units are interneurons. This notebook turns such a folder into
# one [NWB](https://www.nwb.org) file that holds what a reader needs to judge the cell types, and that
# [DANDI](https://dandiarchive.org) takes.
#
# **The session is simulated.** `examples/simulated_run.py` writes 100 s of a Neuropixels 1.0 probe (48 channels saved)
# with 13 units, a laser, and clocks that drift apart, so that we know the truth about everything below. With a folder of
# your own, begin at *Look at the folder*.

# %%
import os
import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

# remarks of the tools themselves, of no concern here
warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, where ipywidgets are not installed
warnings.filterwarnings("ignore", category=UserWarning, module="pynapple")  # tables that it does not know
warnings.filterwarnings("ignore", category=DeprecationWarning, module="numcodecs")  # imported by NeuroConv
warnings.filterwarnings("ignore", category=FutureWarning, module="neuroconv")  # its list of electrode columns
warnings.filterwarnings("ignore", category=UserWarning, module="neuroconv")  # how it merges the schemas of interfaces

sys.path.insert(0, str(Path("../examples").resolve()))
from simulated_run import simulate_run

workplace = tempfile.TemporaryDirectory()
os.chdir(workplace.name)  # everything below is written here, and gone afterwards
simulated = simulate_run(".")

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
LIGHT = "#56B4E9"
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
# ## Look at the folder
#
# One `.bin` with its `.meta` for the probe, one for NIDQ (the box that records the laser's TTL line), and the sorting.

# %%
for path in sorted(Path("simulated_g0").rglob("*")):
    if path.is_file():
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path}")

# %% [markdown]
# Phy writes only the clusters that somebody labelled into `cluster_group.tsv`, here 7 of 13. A converter that takes this
# table for the list of units loses the other six. Ours does not:

# %%
sorting = Path("simulated_g0/simulated_g0_imec0/kilosort")
print((sorting / "cluster_group.tsv").read_text())
print("clusters with spikes:", np.unique(np.load(sorting / "spike_clusters.npy")))

# %% [markdown]
# ## Say what no folder knows
#
# A folder does not know who the mouse was, where the probe went, or what line 3 of NIDQ was wired to. Ask for a template;
# it is filled with what the source does say, and what it does not say is asked for, never guessed. On the command line:
#
# ```console
# $ nwb-celltype convert template spikeglx simulated_g0 --out metadata.yaml
# ```

# %%
from nwb_celltype.converters import SpikeGLXInterface, convert, template

interface = SpikeGLXInterface("simulated_g0")
print(template("spikeglx", interface.session))

# %% [markdown]
# Filled in, it looks like this. The depths and layers are yours to say: from histology, or from where complex spikes and
# the quiet Purkinje layer were met. `tags: MLI` says which cells carry the opsin, and `leave_out: true` keeps the
# stimulated part away from the features that cell types are read from.

# %%
METADATA = """
NWBFile:
  session_start_time: "2026-01-31T14:02:54+00:00"
  session_description: Simulated recording from the cerebellar cortex of a mouse; nothing in it was recorded.
  session_id: simulated-g0
  experimenter: ["Last name, First name"]
  experiment_description: Simulated session with a laser on molecular layer interneurons.
  lab: Simulation
  institution: Simulation
  keywords: [cerebellum, Neuropixels, optotagging, simulated]

Subject:
  subject_id: simulated-mouse
  species: mouse
  sex: U
  age: P90D
  description: No animal was used; the session is simulated.

Devices:
  blue_laser: {description: Simulated 473 nm laser., manufacturer: none, model: none}

Ecephys:
  imec0: {location: Cerebellar cortex}

Layers:
  imec0:
    - {depth_um: [950, 1170], layer: granular}
    - {depth_um: [1170, 1250], layer: Purkinje}
    - {depth_um: [1250, 1430], layer: molecular}

Events:
  nidq.XD0.3: {name: laser, description: The laser is on.}
  nidq.XD0.5: {name: air_puff, description: Puff of air to the eye.}
  nidq.XD0.0: {keep: false}     # the sync wave has done its work once the clocks are aligned
  imec0.SY0.6: {keep: false}

Optogenetics:
  - events: laser
    device: blue_laser
    wavelength_nm: 473
    power_mw: 5
    location: Cerebellar cortex
    opsin: ChR2
    tags: MLI
    leave_out: true
"""
_ = Path("metadata.yaml").write_text(METADATA)

# %% [markdown]
# ## Dry run: look before you write
#
# ```console
# $ nwb-celltype convert spikeglx simulated_g0 --metadata metadata.yaml --out dandiset --dry-run
# ```

# %%
dry = convert("spikeglx", "simulated_g0", metadata="metadata.yaml", out="dandiset", dry_run=True)
print(dry.plan)

# %% [markdown]
# Line by line:
#
# - **probe**, **geometry**: which probe it was, and where the site positions come from. Here the table in the header; with
#   older files it is the readout table and the maker's catalogue.
# - **traces**: found, and used for mean waveforms. `--raw` would also write them.
# - **scale**: microvolts of one count, from range, bits and gain in the header. If this is wrong, every amplitude is.
# - **clock** of the probe: SpikeGLX counts samples from when acquisition began, and the file begins 5.9 s later. Spikes,
#   traces and TTLs all keep this offset, so they agree with each other.
# - **clock** of NIDQ: another box with a quartz of its own. It runs 50 ppm fast, 5 ms in 100 s and 180 ms in an hour, while
#   an optotagging latency is 3 ms. The 1 Hz square wave that both boxes record is matched edge by edge; *residual* says
#   how far the edges lie from the fit: a fraction of a sample of NIDQ (40 us).
# - **units**: 13 clusters hold spikes, and 13 are written, curated or not.
# - **left out**: everything that will *not* be in the file, with the reason. Cluster 9 became part of 14 when somebody
#   merged it in Phy.
#
# ## Convert
#
# The lab's own labels come along: a table with a unit id and a cell type per row. Whoever says so signs with a name.
#
# ```console
# $ nwb-celltype convert spikeglx simulated_g0 --metadata metadata.yaml --out dandiset \
#       --labels our_labels.csv --by "Last name, First name"
# ```

# %%
print(simulated.labels.read_text())
done = convert(
    "spikeglx",
    "simulated_g0",
    metadata="metadata.yaml",
    out="dandiset",
    labels="our_labels.csv",
    by="Last name, First name",
)
print(f"{done.file}: {done.file.stat().st_size / 1e6:.1f} MB")
print("runs:", *done.runs)
print("nwbinspector:", *done.remarks, sep="\n")

# %% [markdown]
# The file is checked before it is kept: a file that would not validate is never written. nwbinspector has one remark, and
# it is true: spikes fired under the laser lie in time that we declared as not observed (`leave_out: true`).
#
# ## What is in it
#
# Plain pynwb and pandas read it; neither this package nor an extension is needed.

# %%
from pynwb import read_nwb

nwb = read_nwb(done.file)
columns = ["quality", "KSLabel", "layer", "peak_channel", "depth", "waveform_source", "n_waveforms", "drift_um"]
nwb.units.to_dataframe(index=True)[columns].round(1)

# %% [markdown]
# Units that nobody labelled in Phy are `unsorted`, and there. `waveform_source` is `raw`: mean waveforms come from the
# traces, from 1000 spikes spread over the whole recording. How each clock was aligned is in the file too:

# %%
nwb.processing["ecephys"]["clock_alignment"].to_dataframe().round(2).T

# %%
pd.DataFrame(
    {
        name: {
            "description": table.description,
            "pulses": len(table),
            "first (s)": round(table["timestamp"][0], 4),
            "each (ms)": round(1e3 * np.median(table["duration"][:]), 2),
        }
        for name, table in nwb.events.items()
    }
).T

# %% [markdown]
# ## Is every spike where its trough is?
#
# The one question that decides whether times can be trusted. We write the first 10 s with traces (`--stub --raw`), read
# them through the file, and mark the spike times of a unit on its peak channel.

# %%
stub = convert("spikeglx", "simulated_g0", metadata="metadata.yaml", out="stub.nwb", stub_s=10, raw=True, inspect=False)
first_seconds = read_nwb(stub.file)
series = first_seconds.acquisition["ElectricalSeriesAP"]
unit = 0
row = list(first_seconds.units.id[:]).index(unit)
electrode = first_seconds.units["electrodes"].target.data[16 * row]  # of 16 a unit, the peak comes first
times = first_seconds.units["spike_times"][row]

start = int(4.0 * series.rate)
trace = series.data[start : start + 3000, electrode] * series.conversion * 1e6
seconds = series.starting_time + np.arange(start, start + 3000) / series.rate
shown = times[(times > seconds[0]) & (times < seconds[-1])]

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), width_ratios=(3, 1))
left.plot(seconds, trace, color="0.35", lw=0.6)
left.plot(shown, np.full(len(shown), trace.min() - 30), "^", color=COLOURS["PkC_ss"], ms=6, label=f"spikes of unit {unit}")
left.set(xlabel="session time (s)", ylabel="potential (µV)", title="Trace of the peak channel")
left.legend(loc="lower right", bbox_to_anchor=(1, 1))
samples = np.round((times[:200] - series.starting_time) * series.rate).astype(int)
window = np.arange(-30, 45)
around = np.stack([series.data[s - 30 : s + 45, electrode] for s in samples]) * series.conversion * 1e6
right.plot(window / series.rate * 1e3, around.T, color="0.8", lw=0.4)
right.plot(window / series.rate * 1e3, around.mean(axis=0), color=COLOURS["PkC_ss"], lw=2)
right.axvline(0, color="k", lw=0.8, ls=":")
right.set(xlabel="time from spike (ms)", ylabel="potential (µV)", title="the first 200 spikes")
plt.show()

# %% [markdown]
# The trough is at 0, to the sample.
#
# ## Mean waveforms on the nearest channels
#
# Each unit has its mean waveform on its 16 nearest channels, peak channel first, in volts, with the standard deviation.
# Drawn at the sites of the probe:

# %%
units = nwb.units
ids = list(units.id[:])
sites = nwb.electrodes.to_dataframe()[["rel_x", "rel_y"]].to_numpy()
time_ms = np.arange(units["waveform_mean"].data.shape[1]) / units.waveform_rate * 1e3
time_ms -= units.waveform_time_before_peak_in_ms
truth = {0: "PkC_ss", 1: "PkC_cs", 5: "MLI", 8: "GoC", 10: "MFB"}

figure, axes = plt.subplots(1, len(truth), figsize=(11, 4.2), sharex=True)
for axis, (unit, kind) in zip(axes, truth.items(), strict=True):
    row = ids.index(unit)
    microvolts = units["waveform_mean"][row] * 1e6
    channels = units.get((row, "electrodes")).index
    swing = np.ptp(microvolts)
    for channel, waveform in zip(channels, microvolts.T, strict=True):
        x, y = sites[channel]
        axis.plot(x + 5 * time_ms, y + 35 * waveform / swing, color=COLOURS[kind], lw=1)
    axis.set(title=f"unit {unit}\n{swing:.0f} µV peak to peak", xlabel="across (µm)")
axes[0].set_ylabel("distance from the tip (µm)")
figure.suptitle("Mean waveforms, 4 ms each", fontsize="medium")
plt.show()

# %% [markdown]
# ## Who answers the laser?
#
# Pulses and spikes are on one clock, so a raster around the pulses is a line of pynapple. Units 4 and 5 carry the opsin
# (we know: it is simulated), unit 6, their neighbour, does not.

# %%
import pynapple as nap

trains = nap.load_file(str(done.file))["units"]
laser = nwb.events["laser"].to_dataframe()
pulses = nap.Ts(laser["timestamp"].to_numpy())

figure, axes = plt.subplots(2, 3, figsize=(10, 4.4), sharex=True, sharey="row", height_ratios=(2, 1))
for (top, bottom), unit in zip(axes.T, (4, 5, 6), strict=True):
    raster = nap.compute_perievent(trains[unit], pulses, (-0.02, 0.03))
    for trial in raster.index:
        top.plot(1e3 * raster[trial].t, np.full(len(raster[trial]), trial), "|", color="0.2", ms=3)
    counts, edges = np.histogram(1e3 * raster.to_tsd().t, np.arange(-20, 30.5, 1.0))
    bottom.stairs(counts / len(pulses) / 1e-3, edges, fill=True, color=COLOURS["MLI"])
    for axis in (top, bottom):
        axis.axvspan(0, 1e3 * laser["duration"].median(), color=LIGHT, alpha=0.35, lw=0)
    top.set(title=f"unit {unit}")
    bottom.set(xlabel="time from light (ms)")
axes[0, 0].set_ylabel("pulse")
axes[1, 0].set_ylabel("spikes/s")
plt.show()

# %% [markdown]
# The conversion has measured this already. Every unit that was tested has its evidence in the file, whether the rule holds
# for it or not: SALT's p value, latency and jitter (corrected for spontaneous spikes), and how well the mean waveform of
# evoked spikes matches that of spontaneous ones.

# %%
import nwb_celltype as nct

runs = {run.name: run for run in nct.read_runs(done.file)}
tagging = runs["optotag_rule"]
evidence = pd.DataFrame(
    [{"unit": unit, "rule says": label, **pieces[0]} for unit, label, pieces in
     zip(tagging.unit_ids, tagging.cell_type, tagging.evidence, strict=True) if pieces]
)  # fmt: skip
evidence.set_index("unit").drop(columns=["kind", "note"]).round(3)

# %%
for unit in (4, 5, 6):
    print(f"unit {unit}: {tagging.reason_detail[list(tagging.unit_ids).index(unit)]}")

# %% [markdown]
# No synaptic blockers were given, so the rule asks for a shorter latency (5 ms), because a later response may have come
# through a synapse. With blockers in the bath you would say so under `Optogenetics`, and the response under them decides.
#
# **The rule proposes; it never says "ground truth".** Only your own table does.
#
# ## One Purkinje cell, two units
#
# A complex spike silences the simple spikes of its own cell. Pairs that show this pause share one `cell_id`:

# %%
pairs = runs["cs_ss_pause_rule"]
pd.DataFrame({"unit": pairs.unit_ids, "label": pairs.cell_type, "cell": pairs.cell_id}).query("cell != ''")

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, (complex_unit, simple_unit) in zip(axes, ((1, 0), (1, 2)), strict=True):
    around = nap.compute_perievent(trains[simple_unit], nap.Ts(trains[complex_unit].t), (-0.06, 0.06))
    counts, edges = np.histogram(1e3 * around.to_tsd().t, np.arange(-60, 61, 3.0))
    axis.stairs(counts / len(trains[complex_unit]) / 3e-3, edges, fill=True, color=COLOURS["PkC_ss"])
    axis.axvline(0, color=COLOURS["PkC_cs"], lw=2)
    axis.set(xlabel=f"time from complex spike of unit {complex_unit} (ms)", title=f"simple spikes of unit {simple_unit}")
axes[0].set_ylabel("spikes/s")
plt.show()

# %% [markdown]
# Left: the same cell. Right: the Purkinje cell next door, which does not care.
#
# ## What counts as the label
#
# Three runs lie side by side in the file and never mix: your own labels, and one for each rule.

# %%
own = runs["ground_truth_last_name_first_name"]
pd.DataFrame(
    {
        "source": {name: run.method.source_type for name, run in runs.items()},
        "labelled units": {name: int((~run.is_abstained).sum()) for name, run in runs.items()},
    }
)

# %%
print("counts as the label:", nct.published_run(runs.values()).name)
for unit, label, pieces in zip(own.unit_ids, own.cell_type, own.evidence, strict=True):
    print(f"unit {unit}: {label}, evidence: {', '.join(piece['kind'] for piece in pieces) or 'none measured'}")

# %% [markdown]
# ## Annotate
#
# Now the classifier names the rest. It reads only the observed time, so the laser cannot disguise an interneuron as
# something else. The converted file is left alone; the answer goes into a copy.
#
# ```console
# $ nwb-celltype annotate dandiset/sub-simulated-mouse/sub-simulated-mouse_ses-simulated-g0_ecephys.nwb
# ```

# %%
annotated = nct.annotate(done.file)
answers = nct.choose_run(annotated.file, "cerebellum_3")
pd.DataFrame(
    {
        "cell type": answers.cell_type,
        "confidence": answers.confidence.round(2),
        "note": answers.reason_detail,
    },
    index=pd.Index(answers.unit_ids, name="unit"),
)

# %%
frame = nwb.units.to_dataframe(index=True)
bands = {"granular": (950, 1170), "Purkinje": (1170, 1250), "molecular": (1250, 1430)}
figure, axis = plt.subplots(figsize=(5, 6))
for k, (name, (low, high)) in enumerate(bands.items()):
    axis.axhspan(low, high, color=("0.93", "0.86", "0.97")[k], lw=0)
    axis.text(118, (low + high) / 2, f"{name}\nlayer", va="center", color="0.35")
axis.scatter(*sites.T, marker="s", s=16, color="0.75", lw=0)
for label, x, y in zip(answers.cell_type, frame["rel_x"], frame["rel_y"], strict=True):
    axis.scatter(x, y, s=210, color=COLOURS[label], alpha=0.85, edgecolor="white", zorder=3)
for unit, x, y in zip(frame.index, frame["rel_x"], frame["rel_y"], strict=True):
    axis.annotate(str(unit), (x, y), color="white", ha="center", va="center", fontsize="small", zorder=4)
handles = [
    Line2D([], [], marker="o", ls="", ms=10, color=colour, label=label.replace("_", " "))
    for label, colour in COLOURS.items()
]
axis.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5))
axis.set(xlim=(0, 160), ylim=(950, 1430), xlabel="across (µm)", ylabel="distance from the tip (µm)")
axis.set_title("Units at their peak channels, by the class that the model gave")
plt.show()

# %% [markdown]
# ## Others read it
#
# SpikeInterface finds the same spikes, in samples of the probe's file:

# %%
from spikeinterface.extractors import read_nwb_sorting

start_s = float(interface.session.recordings[0].clock.seconds(np.zeros(1))[0])
read = read_nwb_sorting(done.file, sampling_frequency=30_000.0, t_start=start_s, load_unit_properties=False)
same = [np.array_equal(read.get_unit_spike_train(unit), simulated.samples[int(unit)]) for unit in read.unit_ids]
print(f"{len(same)} units read by SpikeInterface, {sum(same)} with every spike at its true sample")

# %% [markdown]
# pynapple, with the columns of the units as metadata:

# %%
trains[["layer", "depth", "quality", "waveform_source"]]

# %% [markdown]
# ## Will DANDI take it?
#
# `dandi validate` is what DANDI itself runs. Inside a dandiset (a folder with a `dandiset.yaml`, which `dandi download`
# makes for you) it has nothing to say but nwbinspector's remark from above:

# %%
import json
import subprocess

_ = Path("dandiset/dandiset.yaml").write_text('identifier: "000000"\nname: simulated\n')
dandi = Path(sys.executable).with_name("dandi")
command = [dandi, "validate", "--format", "json", done.file]
report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
pd.DataFrame(report)[["id", "severity", "message"]]

# %% [markdown]
# ## Together with NeuroConv
#
# You have a NeuroConv pipeline with behaviour and video already? `SpikeGLXInterface` drops into its `NWBConverter`. Put it
# after NeuroConv's own recording interface: ours finds the electrodes that are there and uses them again. NeuroConv
# checks metadata against its own schema, so species need their Latin name there, and devices a `name`.

# %%
import yaml
from neuroconv import NWBConverter
from neuroconv.datainterfaces import SpikeGLXRecordingInterface
from neuroconv.utils import dict_deep_update


class MouseLab(NWBConverter):
    data_interface_classes = {"traces": SpikeGLXRecordingInterface, "units": SpikeGLXInterface}


converter = MouseLab(
    source_data={
        "traces": {"folder_path": "simulated_g0", "stream_id": "imec0.ap"},
        "units": {"folder_path": "simulated_g0"},
    }
)
metadata = yaml.safe_load(METADATA)
metadata["Subject"]["species"] = "Mus musculus"
metadata["Devices"]["blue_laser"]["name"] = "blue_laser"
converter.run_conversion(
    "neuroconv.nwb",
    metadata=dict_deep_update(converter.get_metadata(), metadata, append_list=False),
    conversion_options={"traces": {"stub_test": True}},  # of the traces a few samples only
)
both = read_nwb("neuroconv.nwb")
print("traces:", *both.acquisition, "| electrodes:", len(both.electrodes), "| units:", len(both.units))

# %% [markdown]
# Further: [docs/converting.md](../docs/converting.md) says what is read from every kind of folder, where each thing goes in
# NWB, which rules and thresholds were used and where they come from.

# %%
os.chdir(Path(workplace.name).parent)
workplace.cleanup()
