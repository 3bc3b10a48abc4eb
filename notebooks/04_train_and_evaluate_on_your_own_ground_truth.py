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
# # Train a model on your own ground truth, and find out how good it is
#
# You know what some of your units are: you tagged them with light, filled them, or blocked their synapses. This notebook
# turns that knowledge into a model for the units that you could not tag, and asks the question that matters: how good
# will its labels be **in an animal that it has never seen**?
#
# The cells are those of the neocortex: pyramidal cells and three kinds of interneurons. Nothing here is special to the
# cerebellum; the classes are those that your labels name.
#
# **The sessions are simulated**, so that the notebook runs anywhere in a few seconds. The classes overlap, and the spikes
# of each mouse have a width of their own, as in life.

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
from nwb_celltype.colours import GREY, colours_of

sys.path.insert(0, str(Path("../examples").resolve()))
from simulated_sessions import write_cortex_session

warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, where ipywidgets are not installed
logging.getLogger("nwb_celltype").setLevel(logging.ERROR)
workplace = tempfile.TemporaryDirectory()
os.chdir(workplace.name)  # everything below is written here, and gone afterwards
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

sessions = {}
for seed, mouse in enumerate(("mouse-a", "mouse-b", "mouse-c"), start=21):
    file = Path(f"{mouse}.nwb")
    tagged = write_cortex_session(file, mouse, seed=seed, n_a_class=9)
    table = pd.DataFrame({"unit_id": list(tagged), "cell_type": list(tagged.values())})
    table.to_csv(file.with_suffix(".csv"), index=False)
    sessions[mouse] = file

# %% [markdown]
# ## What you start from
#
# A sorted session as NWB, and a table of the units that you know. A CSV with two columns is enough.

# %%
pd.read_csv("mouse-a.csv").groupby("cell_type", sort=False).head(2)

# %% [markdown]
# ## Put the labels into the files
#
# Ground truth becomes a *run* in the file: who said it, when, and about which spikes. A model's answers would be another
# run beside it. The two are never mixed, and a model never learns from a model.

# %%
for file in sessions.values():
    nct.annotate(
        file, labels=file.with_suffix(".csv"), source_type="ground_truth", by="light, simulated", in_place=True
    )

truth = nct.load_labels(list(sessions.values()), source_types=["ground_truth"])
CLASSES = ["pyramidal", "PV", "SST", "VIP"]
truth.groupby(["subject_id", "cell_type"]).size().unstack()[CLASSES]

# %% [markdown]
# ## Look before you train
#
# Two numbers a unit already tell some classes apart: how long a spike takes from trough to peak, and how fast the cell
# fires. The overlap is real too. `features.compute` gives everything that a model sees, as an `xarray.Dataset`.

# %%
rows = []
for mouse, file in sessions.items():
    with nct.read_units(file) as units:
        features = nct.features.compute(units)
    two = {
        "trough_to_peak": features["waveform_statistics"].sel(waveform_statistic="peak_after_ms"),
        "firing_rate": features["train_statistics"].sel(statistic="mfr"),
    }
    known = truth.query("subject_id == @mouse").set_index("unit_id")["cell_type"]
    rows.append(pd.DataFrame(two, index=features["unit"]).assign(mouse=mouse, cell_type=known))
described = pd.concat(rows)

colours = colours_of(CLASSES)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), width_ratios=(1.35, 1))
for name in CLASSES:
    mine = described.query("cell_type == @name")
    left.scatter(
        mine["trough_to_peak"], mine["firing_rate"], color=colours[name], s=34, lw=0.5, edgecolor="white", label=name
    )
left.set(xlabel="trough to peak (ms)", ylabel="firing rate (spikes/s)", yscale="log", title="Units of three mice")
left.set_yticks([5, 10, 20, 40], ["5", "10", "20", "40"])
left.set_yticks([], minor=True)
left.legend(loc="center left", bbox_to_anchor=(1, 0.5))
for k, (_, of_mouse) in enumerate(described.groupby("mouse")):
    for name in CLASSES:
        values = of_mouse.query("cell_type == @name")["trough_to_peak"]
        right.scatter(np.full(len(values), k) + 0.15 * (CLASSES.index(name) - 1.5), values, color=colours[name], s=14)
right.set_xticks(range(len(sessions)), sessions)
right.set(ylabel="trough to peak (ms)", title="Every mouse is a little different")
plt.show()

# %% [markdown]
# ## Train, one mouse kept aside
#
# Mouse c takes no part: it will examine the model. With the other two, `group_by="subject"` means that whenever the
# model is measured on the way, all units of a mouse are on the same side. Neighbouring units share their rig, their
# filter and their noise; a model that has seen some of them does better on the rest than it ever will again.
#
# (One network and 40 rounds show how it goes in seconds. Leave these two out for a model that you mean to use.)

# %%
teachers = [sessions[mouse] for mouse in ("mouse-a", "mouse-b")]
model = nct.train(teachers, out="my_model", name="my-interneurons", group_by="subject", members=1, epochs=40)

# %% [markdown]
# On the command line: `nwb-celltype train mouse-a.nwb mouse-b.nwb --out my_model --group-by subject`.
#
# ## Read its card
#
# A model is a folder with a card. The card says what it learnt from and what was measured, and the figures cannot be
# edited by hand: they come out of the training.

# %%
card = model.card
(protocol,) = card["metrics"]
measured = card["metrics"][protocol]
print(f"{card['name']} {card['version']}, licence {card['licence']}; classes {', '.join(card['classes'])}")
for source in card["training_data"]:
    print(f"  {source['name']}  {sum(source['n_used'].values())} units")
print(f"{protocol}: {measured['protocol']}")
pd.DataFrame({seeing: one for seeing, one in measured.items() if isinstance(one, dict)}).loc[
    ["n", "balanced_accuracy", "coverage", "accuracy_kept", "ece"]
].astype(float).round(2)

# %% [markdown]
# A column for everything together, and one for each thing that a unit may have: sometimes there is only a spike train, or
# only a waveform. Guessing gives a balanced accuracy of 0.25 with four classes.
#
# ## The examination
#
# `evaluate` asks the model about units that it has not seen. If you give it training units by mistake, it finds them by
# their hashes and leaves them out.

# %%
result = nct.evaluate(model, [*teachers, sessions["mouse-c"]])
print("left out:", result.left_out)
low, high = result.interval
print(f"{result.scores.n} units of mouse c: balanced accuracy {result.scores.balanced_accuracy:.2f}", end=" ")
print(f"(95 % interval {low:.2f} to {high:.2f}; guessing 0.25)")
print(f"it answers {result.coverage:.2f} of them, and of these {result.accuracy_kept:.2f} are right")

# %% [markdown]
# The interval is wide, because 36 units are few. One mouse cannot tell a good model from a very good one; say so when you
# report it.

# %%
names = result.classes
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 3.9))
share = result.confusion / result.confusion.sum(axis=1, keepdims=True)
left.imshow(share, cmap="Blues", vmin=0, vmax=1)
for (row, column), n in np.ndenumerate(result.confusion):
    left.text(column, row, n, ha="center", va="center", color="white" if share[row, column] > 0.6 else "black")
left.set_xticks(range(len(names)), names)
left.set_yticks(range(len(names)), names)
for label in [*left.get_xticklabels(), *left.get_yticklabels()]:
    label.set_color(colours[label.get_text()])
left.set(xlabel="the model says", ylabel="it is", title="Who is taken for whom")
left.spines[:].set_visible(False)

bins = pd.DataFrame(result.reliability(n_bins=5))
middle.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="exactly as sure")
whiskers = np.clip([bins["accuracy"] - bins["low"], bins["high"] - bins["accuracy"]], 0, None)
middle.errorbar(
    bins["confidence"], bins["accuracy"], whiskers, fmt="o", color="#0072b2", capsize=3, label="95 % interval"
)
for confidence, accuracy, n in bins[["confidence", "accuracy", "n"]].itertuples(index=False):
    middle.annotate(f"{n:.0f}", (confidence, accuracy), xytext=(7, -4), textcoords="offset points", color="0.4")
middle.set(
    xlabel="confidence",
    ylabel="share that is right",
    xlim=(0, 1.03),
    ylim=(0, 1.03),
    title="Is it as sure as it is right?",
)
middle.legend(loc="upper left")

curve = pd.DataFrame(result.curve())
right.step(curve["coverage"], curve["accuracy"], where="post", color="#0072b2")
right.plot(result.coverage, result.accuracy_kept, "o", color="#d55e00", label="at the model's threshold")
right.set(xlabel="share of units answered", ylabel="share of these that is right", xlim=(0, 1.03), ylim=(0, 1.03))
right.set_title("What keeping quiet buys")
right.legend(loc="lower left")
plt.show()

# %% [markdown]
# - **Left:** wrong answers lie between classes that overlap in the figure above, not anywhere.
# - **Middle:** of the units for which the model says 0.8, about 80 % should be right. Numbers are units; with so few, a
#   point off the line is no news, several on the same side would be.
# - **Right:** a model that may say *I do not know* is right more often about the rest. The threshold was chosen during
#   training, on mice kept aside, not here.
#
# Each class by itself, because an average can hide one that fails:

# %%
table = pd.DataFrame(result.to_json()["per_class"]).T.loc[CLASSES, ["n", "recall", "precision", "f1", "coverage"]]
ends = pd.DataFrame(result.to_json()["recall_interval"], index=["recall from", "to"]).T
table.join(ends).astype(float).round(2)

# %% [markdown]
# ## Was it luck? Shuffle the labels
#
# A check that costs little and catches much: the same units with their labels shuffled within each mouse. If a model still
# did well, something other than the cells would be giving the answer away.

# %%
rng = np.random.default_rng(0)
answer, is_ = result.answers.answer, result.answers.truth
shuffled = [
    np.mean([(answer[s == name] == name).mean() for name in names]) for s in (rng.permutation(is_) for _ in range(2000))
]
at_least = np.mean(np.array(shuffled) >= result.scores.balanced_accuracy)
print(
    f"shuffled labels: {np.mean(shuffled):.2f} on average, {np.quantile(shuffled, 0.975):.2f} at the 97.5th percentile"
)
print(f"as good as the model: {at_least:.4f} of 2000 shuffles")

# %% [markdown]
# ## Use it
#
# The model's folder is all that a colleague needs. Labels go into a copy of the file as a run of their own, next to the
# ground truth that was there.

# %%
labelled = nct.annotate(sessions["mouse-c"], model="my_model", out="mouse-c_labelled.nwb")
runs = nct.read_runs(labelled.file)
print("published:", nct.published_run(runs).name)
pd.DataFrame(
    [
        {
            "run": run.name,
            "from": run.method.source_type,
            "units": len(run),
            "without an answer": run.is_abstained.sum(),
        }
        for run in runs
    ]
)

# %% [markdown]
# Ground truth stays the published label where there is some. How to train on the database of C4, on tables of statistics or
# on other people's dandisets, and what every figure means: [docs/training.md](../docs/training.md).

# %%
os.chdir(Path(workplace.name).parent)
workplace.cleanup()
