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
# # Annotate a dandiset, publish the labels, learn from them
#
# Recordings lie in an archive, [DANDI](https://dandiarchive.org) for example. This notebook names the cells of a whole
# dandiset without downloading it, looks at the labels, publishes them as a dandiset of their own, fetches them back as
# somebody else would, and trains a model on ground truth that another lab has published.
#
# **The archive here is a small one on this machine, and its sessions are simulated**, so that everything below can run
# anywhere, without an account and without a trace on a public server. It answers the same requests as DANDI does, and
# the code below does not know the difference. With DANDI itself, leave out the next cell.

# %%
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import nwb_celltype as nct
from nwb_celltype.colours import colours_of

sys.path[:0] = [str(Path(folder).resolve()) for folder in ("../examples", "../tests")]
from archive_double import DandiDouble
from simulated_sessions import write_sessions

warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, where ipywidgets are not installed
logging.getLogger("nwb_celltype").setLevel(logging.ERROR)  # training remarks that complex spikes are rare: they are
workplace = tempfile.TemporaryDirectory()
os.chdir(workplace.name)  # everything below is written here, and gone afterwards

archive = DandiDouble()
archive.start()
os.environ.update(archive.env)  # DANDI_INSTANCE says which archive DANDI: means, and a token lets us publish

# a lab's recordings, without labels ...
recordings = write_sessions(Path("lab A"), ["mouse-a", "mouse-b"], seed=6)
archive.add_dandiset(name="Simulated recordings", identifier="900001", files=recordings, published="0.260101.1200")
# ... and sessions of another lab, which knows what its units are
write_sessions(Path("lab B"), ["mouse-p", "mouse-q", "mouse-r"], seed=11, ground_truth=True)
archive.add_dandiset(name="Simulated ground truth", identifier="900002")
nct.publish("lab B", dandiset="900002")
archive.publish("900002", "0.260101.1200");

# %% [markdown]
# ## Where things are
#
# An address is `DANDI:ID`, with `@VERSION` and `/PATH` where you want them. On DANDI the first could be `DANDI:000409`,
# the brain-wide map of the International Brain Laboratory, and the labels would go to the sandbox first
# (`instance="dandi-sandbox"`). Dandisets 900001 and 900002 exist only here.

# %%
RECORDINGS = "DANDI:900001"
GROUND_TRUTH = "DANDI:900002"

COLOURS = colours_of(["PkC_ss", "PkC_cs", "MLI", "GoC", "MFB", "unclassified"])  # the same in every figure
pd.set_option("display.max_colwidth", 90)
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
# A single recording opens where it is. Only the small columns are read at once; spikes and waveforms come when they are
# asked for, and only those of the units that are asked for.

# %%
with nct.read_units(f"{RECORDINGS}/sub-mouse-a/sub-mouse-a_ses-1_ecephys.nwb") as units:
    print(units.session.identifier, "|", units.session.species, "|", len(units), "units")
    print(pd.Series(units.region).value_counts().to_dict())
    some = units.select([0, 1])
    print("spikes of units 0 and 1:", [len(times) for times in some.spike_times])

# %% [markdown]
# ## Plan, then annotate
#
# The plan costs a few small requests. It says which files would be annotated, how many units and bytes that is, and what is
# left out: here units of the inferior colliculus, which the probe came past. The model knows cerebellar cortex only, so
# their spikes are not asked for.
#
# (An archive that is not DANDI is shown by its URL; from DANDI itself the first line would say `DANDI:900001@...`.)

# %%
plan = nct.annotate_many(RECORDINGS, out="labels", dry_run=True, scheduler="threads")
print(plan)

# %% [markdown]
# On the command line this is `nwb-celltype annotate DANDI:900001 --out labels --dry-run`. Now for real. The work is a Dask
# graph: threads here, local processes by default, or a cluster (`scheduler="tcp://..."`, `cluster="slurm"`).

# %%
result = nct.annotate_many(RECORDINGS, out="labels", scheduler="threads")
print(result)

# %% [markdown]
# Stopped half-way, or called again, it does only what is missing:

# %%
print(nct.annotate_many(RECORDINGS, out="labels", scheduler="threads").counts)
for path in sorted(Path("labels").rglob("*")):
    if path.is_file() and ".nwb-celltype" not in path.parts:
        print(f"{path.stat().st_size / 1e6:.2f} MB  {path}")

# %% [markdown]
# One small NWB file a session, under the name that DANDI wants, with the labels, the model, its hash and where the units
# are, but without the units. `units.parquet` has all of them in one table, and `dandiset.yaml` is a draft of what the
# archive will be told.
#
# ## Look at the labels
#
# `load_labels` makes one table of any number of files, folders and dandisets.

# %%
labels = nct.load_labels("labels")
labels[["subject_id", "unit_id", "cell_type", "confidence", "ood_score", "reason", "model"]].round(2).head(8)

# %%
counts = labels.groupby(["subject_id", "cell_type"]).size().unstack().reindex(columns=list(COLOURS)).fillna(0).astype(int)
counts

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(1, 1.5))
below = np.zeros(len(counts))
for name, colour in COLOURS.items():
    left.bar(counts.index, counts[name], bottom=below, color=colour, label=name.replace("_", " "), width=0.7)
    below += counts[name].to_numpy()
left.set(ylabel="units", title="Labels of each mouse")
left.legend(loc="center left", bbox_to_anchor=(1, 0.5))

jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(labels))
place = labels["cell_type"].map(list(COLOURS).index) + jitter
right.scatter(place, labels["confidence"], c=labels["cell_type"].map(COLOURS), s=28, alpha=0.85, edgecolor="white", lw=0.5)
(run,) = nct.read_runs("labels/sub-mouse-a/sub-mouse-a_ses-1_desc-celltype_ecephys.nwb")
right.axhline(run.confidence_threshold, color="0.6", lw=0.8, ls=":")  # below it the model gives no answer
right.set_xticks(range(len(COLOURS)), [name.replace("_", " ") for name in COLOURS])
right.set(ylabel="confidence", ylim=(0, 1.03), title="Confidence of every unit")
plt.show()

# %% [markdown]
# A unit can have a high probability and no label. Why a unit is `unclassified` is always said: of most of these the model
# is not sure, and some are multi-unit activity by the lab's own curation.

# %%
without = labels.query("is_abstained").groupby("reason")
without.agg(units=("unit_id", "size"), the_first=("reason_detail", "first")).reset_index()

# %% [markdown]
# ## Publish: look first
#
# With `dry_run=True` everything is checked as the archive will check it, and every problem is told at once. Nothing is sent.

# %%
rehearsal = nct.publish("labels", dandiset="new", dry_run=True)
for problem in rehearsal.problems:
    print("-", problem)

# %% [markdown]
# Both are ours to decide. Somebody has to be the contact. And the weights of `cerebellum` are licensed CC BY-NC-SA, as the
# data they were trained on: labels made with them can be published under the licence of the recordings, if the metadata
# say so. Nobody should do that unawares, so it takes a flag.

# %%
answers = {"contact": "Doe, Jane <jane@example.org>", "accept_model_licence": True}
rehearsal = nct.publish("labels", dandiset="new", dry_run=True, **answers)
print("problems:", list(rehearsal.problems))
for file in rehearsal.files:
    print(f"{file.state:9} {file.path}")

# %% [markdown]
# In this archive we may go on. The files end up in a draft, which can be changed and deleted. A *version* of it gets a DOI
# and stays for ever; it is made with `publish_version=True` only, and you will want to look at the draft before.

# %%
published = nct.publish("labels", dandiset="new", **answers)
print(f"dandiset {published.dandiset}: {published.version}, {published.status}; {published.count('new')} files sent")
again = nct.publish("labels", dandiset="new", **answers)
print(f"dandiset {again.dandiset} again: {again.count('unchanged')} files there already, {again.count('new')} sent")

# %% [markdown]
# ## Found and fetched by somebody else
#
# An archive cannot search inside files. Published labels have fixed keywords, and `find` looks for these.

# %%
pd.DataFrame(
    [
        {
            "dandiset": found.dandiset,
            "name": found.name,
            "labels from": ", ".join(found.sources),
            "files": found.n_files,
            **found.units,
        }
        for found in nct.find()
        if not found.is_catalogued
    ]
)

# %% [markdown]
# Labels without units are of little use, so `with_sources` fetches the recordings that they belong to, and `merge` puts
# them together into a copy. Identifier, object id, unit ids and a hash of spikes and waveforms must agree, or it is refused.

# %%
del os.environ[archive.token_variable]  # somebody else: no token
fetched = nct.fetch(f"DANDI:{published.dandiset}", out="elsewhere", with_sources=True, merge=True)
print(fetched)

# %% [markdown]
# What came out is the recording with its labels, and plain pynwb reads it:

# %%
from pynwb import read_nwb

nwb = read_nwb(fetched.joined[0].file)
table = nwb.processing["ecephys"]["cell_type_annotations"].cell_type_annotation_tables[run.name]
table.to_dataframe(index=True)[["unit", "unit_id", "cell_type", "confidence"]].round(2).head(4)

# %% [markdown]
# ## Train on what others know
#
# The other lab's dandiset holds ground truth. `load_labels` reads it from the archive, of each file only the labels:

# %%
truth = nct.load_labels(GROUND_TRUTH, source_types=["ground_truth"])
truth.groupby(["subject_id", "cell_type"]).size().unstack()

# %% [markdown]
# `train` and `evaluate` take addresses too. Two mice teach, the third examines; a session is never on both sides. (One
# network and 60 rounds are enough to show how it goes; leave these two out for a model that you mean to use.)

# %%
path = GROUND_TRUTH + "/sub-{0}/sub-{0}_ses-1_ecephys.nwb"
model = nct.train(
    [path.format("mouse-p"), path.format("mouse-q")], out="my_model", name="mine", members=1, epochs=60
)
scores = nct.evaluate(model, path.format("mouse-r"))
print(f"{scores.model}: balanced accuracy {scores.scores.balanced_accuracy:.2f} on {scores.scores.n} units of a new mouse")
print(f"answers {scores.coverage:.0%} of them, {scores.accuracy_kept:.0%} of these rightly")

# %%
names = [name.replace("_", " ") for name in scores.classes]
figure, axis = plt.subplots(figsize=(4.2, 3.6))
share = scores.confusion / scores.confusion.sum(axis=1, keepdims=True)
axis.imshow(share, cmap="cividis", vmin=0, vmax=1)
for (row, column), n in np.ndenumerate(scores.confusion):
    axis.text(column, row, n, ha="center", va="center", color="black" if share[row, column] > 0.5 else "white")
axis.set_xticks(range(len(names)), names)
axis.set_yticks(range(len(names)), names)
axis.set(xlabel="the model says", ylabel="it is", title="Units of the third mouse")
axis.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# Simulated units are easier than real ones: this shows the way, not how good a model is. For that see
# [the model's page](../docs/model_cerebellum.md). Everything about archives, addresses, clusters and what happens when
# something goes wrong: [docs/archives.md](../docs/archives.md).

# %%
archive.stop()
os.chdir(Path(workplace.name).parent)
workplace.cleanup()
