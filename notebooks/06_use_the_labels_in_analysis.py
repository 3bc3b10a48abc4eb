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
# # Use the labels: who responds to a puff of air?
#
# A puff of air hits a mouse's eye, and its cerebellum notices. Which cells respond, and how? Without cell types one sees
# units that fire more and units that fire less. With them one sees a circuit: mossy fibres first, interneurons next, then
# Purkinje cells pause, while climbing fibres bring the news by a way of their own.
#
# This notebook takes labels into [pynapple](https://pynapple.org), asks for activity around events class by class, and
# checks what the labels add. **The session is simulated**: mossy fibres, interneurons and Purkinje cells respond, Golgi
# cells do nothing, and one cell in five does not respond whatever it is. So we know what has to come out.

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
from nwb_celltype.exporting import to_pynapple

sys.path.insert(0, str(Path("../examples").resolve()))
from simulated_sessions import write_behaving_session

warnings.filterwarnings("ignore", message="IProgress not found")  # tqdm, where ipywidgets are not installed
warnings.filterwarnings("ignore", category=UserWarning, module="pynapple")  # tables that it does not know
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

_ = write_behaving_session(Path("session.nwb"), "mouse-1", seed=9, copies=4)
labelled = nct.annotate("session.nwb").file

# %% [markdown]
# ## Units with their labels, trials and puffs
#
# `to_pynapple` gives the units as a `TsGroup` whose metadata are the labels. Units are matched by their id, never by their
# position. pynapple reads the trials from the file itself; the puffs are an `EventsTable`, of which pynwb gives the times.

# %%
import pynapple as nap
from pynwb import read_nwb

units = to_pynapple(labelled)
trials = nap.load_file(str(labelled))["trials"]
puffs = nap.Ts(t=np.asarray(read_nwb(labelled).events["air_puffs"]["timestamp"][:]))
catch = nap.Ts(t=trials.start[~trials["has_puff"].to_numpy(dtype=bool)] + 0.5)  # the same moment, and no puff

print(f"{len(units)} units, {len(trials)} trials: {len(puffs)} with a puff, {len(catch)} without")
units.metadata[["rate", "cell_type", "confidence", "reason"]].round(2).head(6)

# %% [markdown]
# ## Say first who is not in the analysis
#
# Units without an answer are left out of every class. How many, and why, belongs into the methods of a paper: an analysis
# of the units that were easy to name is an analysis of these units.

# %%
ORDER = ["MFB", "MLI", "GoC", "PkC_ss", "PkC_cs"]
NAMES = {
    "MFB": "mossy fibres",
    "MLI": "interneurons",
    "GoC": "Golgi cells",
    "PkC_ss": "simple spikes",
    "PkC_cs": "complex spikes",
}
colours = colours_of([*ORDER, "unclassified"])
about = units.metadata
said = about["cell_type"].value_counts()
print(", ".join(f"{said.get(name, 0)} {NAMES[name]}" for name in ORDER))
without = about[about["is_abstained"].astype(bool)]
print(
    f"{len(without)} without an answer:", ", ".join(f"{n} {why}" for why, n in without["reason"].value_counts().items())
)

# %% [markdown]
# ## One unit of each class
#
# Rasters first, before anything is averaged: every line is a trial.

# %%
BEFORE, AFTER = 0.2, 0.3
figure, axes = plt.subplots(2, len(ORDER), figsize=(13, 4.4), sharex=True, height_ratios=(1.6, 1))
for column, name in enumerate(ORDER):
    top, bottom = axes[:, column]
    of_class = about.query("cell_type == @name")
    unit = of_class["confidence"].idxmax()
    around = nap.compute_perievent(units[unit], puffs, window=(-BEFORE, AFTER))
    for trial, spikes in enumerate(around.values()):
        top.plot(spikes.t, np.full(len(spikes), trial), "|", color=colours[name], ms=3.2, mew=0.9)
    times = np.concatenate([spikes.t for spikes in around.values()])
    counts, edges = np.histogram(times, np.arange(-BEFORE, AFTER + 1e-9, 0.01))
    bottom.stairs(counts / len(puffs) / 0.01, edges, fill=True, color=colours[name])
    for axis in (top, bottom):
        axis.axvline(0, color="0.25", lw=0.8)
    top.set(title=f"{NAMES[name]}\nunit {unit}, confidence {of_class['confidence'].max():.2f}", yticks=[])
    bottom.set(xlabel="time from puff (s)")
axes[0, 0].set_ylabel("trials")
axes[1, 0].set_ylabel("spikes/s")
plt.show()

# %% [markdown]
# ## All units of each class
#
# Rates differ a hundredfold between mossy fibres and complex spikes, so each unit is measured against its own rate before
# the puff. The line is the mean over units, the band its standard error **over units**: trials of one unit are no
# independent cells. Dashed, the same moment in trials without a puff.

# %%
WIDTH, SMOOTH = 0.005, 3  # bins of 5 ms, averaged over three
TIME = np.arange(-BEFORE, AFTER - 1e-9, WIDTH) + WIDTH / 2


def rates(events):
    """(n_units, n_bins) rate of every unit around events, spikes/s, smoothed a little."""
    table = []
    for unit in units.index:
        lags = units[unit].t[:, None] - events.t
        counts, _ = np.histogram(lags[(lags >= -BEFORE) & (lags < AFTER)], len(TIME), (-BEFORE, AFTER))
        table.append(np.convolve(counts / len(events) / WIDTH, np.ones(SMOOTH) / SMOOTH, mode="same"))
    return np.array(table)


around_puff, around_nothing = rates(puffs), rates(catch)
own = np.array([units[unit].rate for unit in units.index])[:, None]
relative, relative_catch = around_puff / own, around_nothing / own

figure, axes = plt.subplots(1, len(ORDER) + 1, figsize=(14, 3.3), sharex=True)
labels = about["cell_type"].to_numpy()
inside = slice(SMOOTH, -SMOOTH)  # the ends of a smoothed line lack neighbours
for axis, name in zip(axes, [*ORDER, "unclassified"], strict=True):
    mine = relative[labels == name]
    mean, error = mine.mean(axis=0), mine.std(axis=0, ddof=1) / np.sqrt(len(mine))
    axis.fill_between(
        TIME[inside], (mean - error)[inside], (mean + error)[inside], color=colours[name], alpha=0.3, lw=0
    )
    axis.plot(TIME[inside], mean[inside], color=colours[name], lw=1.8)
    axis.plot(TIME[inside], relative_catch[labels == name].mean(axis=0)[inside], color="0.5", lw=0.7, ls="--")
    axis.axvline(0, color="0.25", lw=0.8)
    axis.set(title=f"{NAMES.get(name, 'no answer')} ({len(mine)})", xlabel="time from puff (s)", ylim=(0, None))
axes[0].set_ylabel("rate / own mean rate")
plt.show()

# %% [markdown]
# Mossy fibres lead, interneurons follow, simple spikes pause, complex spikes come once and in time; Golgi cells stay as
# they were. Units without an answer are no class: their mean is one of cells that have nothing in common.
#
# ## In numbers, with a control
#
# One number a unit: the rate 10 to 120 ms after the puff over that before it, as a logarithm. Two controls:
#
# - **trials without a puff**: there the same number must be around zero;
# - **labels shuffled**: if the labels carry nothing, classes differ from one another as much when labels are dealt out
#   at random. A permutation test says how rarely chance does as well.


# %%
def response(rate, events):
    """(n_units,) log2 of the rate after the event over that before; half a spike is added to both."""
    after, before = rate[:, (TIME > 0.01) & (TIME < 0.12)].mean(axis=1), rate[:, TIME < -0.01].mean(axis=1)
    floor = 0.5 / (len(events) * 0.11)
    return np.log2((after + floor) / (before + floor))


def between(value, label):
    """How far the classes lie apart: their share of the variance."""
    mean = value.mean()
    groups = [value[label == name] for name in ORDER]
    return sum(len(group) * (group.mean() - mean) ** 2 for group in groups) / ((value - mean) ** 2).sum()


is_named = np.isin(labels, ORDER)
changed, control = response(around_puff, puffs), response(around_nothing, catch)
summary = pd.DataFrame({"cell_type": labels, "after a puff": changed, "without": control})[is_named]
means, errors = (summary.groupby("cell_type").agg(how).loc[ORDER] for how in ("mean", "sem"))
means.join(errors.add_suffix(", s.e.m.")).assign(units=said.loc[ORDER]).round(2)

# %%
rng = np.random.default_rng(1)
measured = between(changed[is_named], labels[is_named])
by_chance = np.array([between(changed[is_named], rng.permutation(labels[is_named])) for _ in range(5000)])
p = (1 + np.sum(by_chance >= measured)) / (1 + len(by_chance))
print(f"labels explain {measured:.2f} of the variance between units; shuffled labels {by_chance.mean():.2f} on average")
print(f"as much by chance: p = {p:.4f} (5000 shuffles)")

figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.6), width_ratios=(1.6, 1))
for k, name in enumerate(ORDER):
    for shift, values, alpha in ((-0.17, changed, 0.9), (0.17, control, 0.35)):
        mine = values[labels == name]
        spread = k + shift + np.random.default_rng(k).uniform(-0.08, 0.08, len(mine))
        left.scatter(spread, mine, color=colours[name], alpha=alpha, s=26, lw=0)
        left.plot([k + shift - 0.12, k + shift + 0.12], [mine.mean()] * 2, color="0.15", lw=1.8)
left.axhline(0, color="0.6", lw=0.8)
left.set_xticks(range(len(ORDER)), [NAMES[name] for name in ORDER])
left.set(ylabel="log2 of rate after / before", title="Every unit: after a puff (strong), without one (pale)")
right.hist(by_chance, np.linspace(0, 1, 41), color=GREY)
right.axvline(measured, color="#d55e00", lw=2)
right.annotate(
    "labels of\nthe model",
    (measured, right.get_ylim()[1] * 0.8),
    xytext=(-8, 0),
    textcoords="offset points",
    ha="right",
    color="#d55e00",
)
right.set(xlabel="variance explained", ylabel="shuffles", title="Labels shuffled")
plt.show()

# %% [markdown]
# ## What if the model is wrong sometimes?
#
# It is. Repeat the analysis with the units that it is surest of. If a result hangs on the doubtful ones, it shows here. (The
# other way round is worth a thought too: a class of which only the textbook examples get an answer looks more uniform
# than it is.)

# %%
confidence = about["confidence"].to_numpy()
named = pd.DataFrame({"cell_type": labels, "changed": changed, "confidence": confidence})[is_named]
surest = {f"confidence >= {least}": named.query("confidence >= @least").groupby("cell_type") for least in (0, 0.7, 0.9)}
columns = {
    least: of["changed"].mean().round(2).astype(str) + " (" + of.size().astype(str) + ")"
    for least, of in surest.items()
}
pd.DataFrame(columns).reindex(ORDER).fillna("no unit")

# %% [markdown]
# ## Two units, one cell
#
# `cell_id` joins the simple and the complex spikes of one Purkinje cell. Counted as two cells they would be twice in every
# average; joined, they can be asked something that no class average answers: do simple spikes pause in trials in which
# the climbing fibre fired, or in all?

# %%
pairs = about[about["cell_id"] != ""].groupby("cell_id").filter(lambda both: len(both) == 2)
found = []
for cell, both in pairs.groupby("cell_id"):
    if set(both["cell_type"]) != {"PkC_ss", "PkC_cs"}:
        continue
    simple = units[both.index[both["cell_type"] == "PkC_ss"][0]].t
    complex_ = units[both.index[both["cell_type"] == "PkC_cs"][0]].t
    fired = np.array([((complex_ > t) & (complex_ < t + 0.1)).any() for t in puffs.t])
    count = np.array([((simple > t + 0.05) & (simple < t + 0.12)).sum() for t in puffs.t]) / 0.07
    before = np.array([((simple > t - 0.2) & (simple < t)).sum() for t in puffs.t]) / 0.2
    found.append(
        {
            "cell": cell,
            "before": before.mean(),
            "after, CS": count[fired].mean(),
            "after, no CS": count[~fired].mean(),
            "trials with CS": fired.sum(),
        }
    )
print(f"{len(found)} Purkinje cells with both units named; simple spikes/s")
pd.DataFrame(found).set_index("cell").round(1)

# %% [markdown]
# Simple spikes pause alike in trials with and without a complex spike (CS), so the pause is not the work of the climbing
# fibre: the interneurons, which fired just before, are the likely cause. No average over a class could have told.
#
# In every analysis of your own: state the model and its version, the threshold, and how many units got no answer
# (`nct.load_labels` has it all). How to read labels elsewhere (SpikeInterface, Phy, CSV) is said in the documentation.

# %%
os.chdir(Path(workplace.name).parent)
workplace.cleanup()
