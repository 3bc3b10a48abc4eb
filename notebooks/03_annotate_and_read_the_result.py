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
# # Annotate a recording and read the result
#
# You have a sorted recording as an NWB file. This notebook names its cells, shows how to read the answers with pandas,
# pynwb and xarray, and looks at the units themselves: **no label should be believed that has not been looked at.**
#
# **The session is simulated**: a mouse, a probe through the inferior colliculus into lobule V, 180 s.

# %%
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import nwb_celltype as nct
from nwb_celltype import plotting
from nwb_celltype.colours import colours_of

sys.path.insert(0, str(Path("../examples").resolve()))
from simulated_sessions import write_behaving_session

warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, where ipywidgets are not installed
logging.getLogger("nwb_celltype").setLevel(logging.ERROR)
workplace = tempfile.TemporaryDirectory()
os.chdir(workplace.name)  # everything below is written here, and gone afterwards
pd.set_option("display.max_colwidth", 90)
plt.rcParams.update({"figure.dpi": 80, "figure.constrained_layout.use": True, "legend.frameon": False})

_ = write_behaving_session(Path("session.nwb"), "mouse-1", seed=9, copies=4)
# %% [markdown]
# ## Annotate
#
# One call, or one command: `nwb-celltype annotate session.nwb`. The recording is only read; the answer is a copy of it
# with one thing more, a *run*: what one model said about each unit, and everything that is needed to say it again.

# %%
result = nct.annotate("session.nwb")
print(result.file.name)
print("run:", result.run.name)

# %% [markdown]
# ## Can this recording be typed at all?
#
# That comes before any label. The verdict looks at species, region, filter, duration and quality, and says what it found
# in sentences. It is kept in the file.

# %%
print(*result.run.verdict.replace(": ", ":\n", 1).split(". "), sep="\n")

# %% [markdown]
# ## pandas: all answers as one table
#
# `load_labels` takes a file, a folder, a dandiset, or a list of them. A unit is a row.

# %%
labels = nct.load_labels(result.file)
labels[["unit_id", "cell_type", "confidence", "ood_score", "is_abstained", "reason", "cell_id"]].round(2).head(9)

# %% [markdown]
# - `cell_type` is the answer. `confidence` is a calibrated probability: of the units with 0.9, nine in ten should be right.
# - `ood_score` says how unlike the training units a unit is; above 0.5 it gets no answer.
# - `unclassified` means that there is no answer, and `reason` says why.
# - `cell_id` joins units of one cell: the simple and the complex spikes of a Purkinje cell, found by the pause.
#
# Who got no answer, and why:

# %%
labels.query("is_abstained").groupby(["reason", "reason_detail"]).unit_id.agg(list).rename("units").reset_index()

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 3.9), width_ratios=(1, 1, 0.75))
with nct.read_units(result.file) as units:
    plotting.plot_counts(result.run, ax=left).set_title("What the model said")
    plotting.plot_coverage(result.run, ax=middle).set_title("Answers at other thresholds")
    plotting.plot_depth(units, result.run, ax=right).set_title("Along the probe")
plt.show()

# %% [markdown]
# Colours are the same for a class in every figure of this package. A stricter threshold needs no new run: `confidence` is
# in the table.
#
# ## Look at the units
#
# `plot_unit` puts all that one looks at on one figure. First a simple-spike unit: biphasic spike, regular train, a dip
# of a few ms around zero in its autocorrelogram.

# %%
clear = labels.query("cell_type == 'PkC_ss'").sort_values("confidence").unit_id.iloc[-1]
with nct.read_units(result.file) as units:
    plotting.plot_unit(units, int(clear), result.run)
plt.show()

# %% [markdown]
# And one that got no answer. The bars show why: no class is probable enough. But look at the sentence below: another unit
# falls silent whenever this one fires. The model has not seen that, and the run says so without overruling it.

# %%
in_doubt = labels.query("reason == 'low_confidence' and reason_detail.str.contains('pause')")
doubtful = in_doubt.sort_values("confidence").unit_id.iloc[0]
with nct.read_units(result.file) as units:
    plotting.plot_unit(units, int(doubtful), result.run)
plt.show()

# %% [markdown]
# ## xarray: what the model saw
#
# The features are an `xarray.Dataset` with named dimensions and units of measure. Labels go in as a coordinate, and then
# one can group by them.

# %%
with nct.read_units(result.file) as units:
    features = nct.features.compute(units)
cell_type = labels.set_index("unit_id")["cell_type"]
features = features.assign_coords(cell_type=("unit", cell_type.loc[features["unit"].values].to_numpy()))
features[["waveform", "isi_histogram", "acg", "train_statistics"]]

# %%
answered = features.where(features["cell_type"] != "unclassified", drop=True)
colours = colours_of(answered["cell_type"].values.tolist())
figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.4))
panels = (
    ("waveform", "waveform_time", "spike, peak = 1"),
    ("isi_histogram", "isi_time", "share of intervals"),
    ("acg", "lag", "log of ACG over plateau"),
)
for axis, (name, x, title) in zip(axes, panels, strict=True):
    for label, of_class in answered[name].groupby("cell_type"):
        axis.plot(of_class[x], of_class.values.T, color=colours[label], lw=0.6, alpha=0.35)
        axis.plot(of_class[x], of_class.mean("unit"), color=colours[label], lw=2, label=label)
    axis.set(xlabel="ms", title=title, xscale="linear" if name == "waveform" else "log")
    axis.spines[["top", "right"]].set_visible(False)
axes[0].legend(handlelength=1, fontsize="small")
plt.show()

# %% [markdown]
# Each thin line is a unit, each thick one the mean of a class. A line far from its own class deserves a look.
#
# ## pynwb: what lies in the file
#
# The run is a plain table of the `ndx-cell-type` extension. Whoever has pynwb can read it, without this package:

# %%
from pynwb import read_nwb

nwb = read_nwb(result.file)
annotations = nwb.processing["ecephys"]["cell_type_annotations"]
table = annotations.cell_type_annotation_tables[result.run.name]
table.to_dataframe(index=True)[["unit", "cell_type", "probability", "confidence"]].head(3)

# %%
method = table.method
print(f"{method.source_type}: {method.model_name} {method.model_version}, licence {method.model_licence}")
print("weights sha256:", method.weights_sha256[:16], "...")
print("units sha256:", table.input_sha256[:16], "...")
classes = table.classes.to_dataframe()
classes[["label", "full_name", "ontology_id", "mapping_relation"]]

# %% [markdown]
# The hash of the input is over ids, spikes and waveforms: if somebody sorts the recording again, `nct.check` notices that
# the labels are about other units.
#
# ## Once more, and in another opinion
#
# The same model on the same units adds nothing. An expert's labels become a run of their own beside the model's, and one
# rule decides which is published: ground truth before an expert, an expert before a model.

# %%
print("a new run:", nct.annotate("session.nwb", out=result.file).is_new)

Path("mine.csv").write_text(f"unit_id,cell_type\n{doubtful},MLI\n")
nct.annotate(result.file, labels="mine.csv", source_type="expert", by="Doe, Jane", in_place=True)
for run in nct.read_runs(result.file):
    print(f"{run.name}: {run.method.source_type}, {len(run)} units")

# %% [markdown]
# Where to go from here: labels in an analysis ([notebook 06](06_use_the_labels_in_analysis.ipynb)), a whole dandiset
# ([notebook 05](05_annotate_a_dandiset_and_publish.ipynb)), and when not to trust the model
# ([its page](../docs/model_cerebellum.md)).

# %%
os.chdir(Path(workplace.name).parent)
workplace.cleanup()
