"""Published weights become a model folder; whatever is not a tensor is refused."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from nwb_celltype.c4 import import_published
from nwb_celltype.c4.laplace import calibrated, curvature_of, logit_variance, prior_precision
from nwb_celltype.c4.networks import Classifier
from nwb_celltype.classifier import load_model
from nwb_celltype.cli import main
from nwb_celltype.errors import InputError, RefusedError, UsageError


def network(seed, **options):
    torch.manual_seed(seed)
    return Classifier(5, **{"has_layer": False, **options}).eval()


def curvature(made, x):
    with torch.no_grad():
        hidden = made.hidden(x)
        return curvature_of(hidden.numpy(), made.fc2(hidden).numpy())


def stored(c):
    def tensor(a):
        return torch.from_numpy(a.astype(np.float32))

    return {
        "eigenvalues": [[tensor(c.class_values), tensor(c.input_values)], [tensor(c.bias_values)]],
        "eigenvectors": [[tensor(c.class_vectors), tensor(c.input_vectors)], [tensor(c.bias_vectors)]],
        "deltas": torch.zeros(2),
        "damping": False,
    }


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def published():
    """Files of eleven networks, so that natural order differs from that of letters."""
    x = torch.randn(20, 1100, generator=torch.Generator().manual_seed(1))
    made = [network(k) for k in range(11)]
    curvatures = [curvature(one, x) for one in made]
    files = {f"trained_models/model_{k}.pt": saved(one.state_dict()) for k, one in enumerate(made)}
    files["trained_models/hessians.pt"] = saved([stored(c) for c in curvatures])
    return files, made, curvatures, x


def tar(path, files, mode):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip", "folder"])
def test_archives_become_the_same_model(kind, published, tmp_path):
    from nwb_celltype.c4.ensemble import predict

    files, made, curvatures, x = published
    source = {
        "tar.gz": lambda: tar(tmp_path / "a.tar.gz", files, "w:gz"),
        "tar": lambda: tar(tmp_path / "a.tar", files, "w"),
        "zip": lambda: zipped(tmp_path / "a.zip", files),
        "folder": lambda: folder(tmp_path / "a", files),
    }[kind]()
    model = import_published(source, out=tmp_path / "c4")
    assert sorted(p.name for p in (tmp_path / "c4").iterdir()) == ["LICENSE", "model.json", "model.safetensors"]
    assert model.card["licence"] == "GPL-3.0-only"
    assert model.classes == ("GoC", "MLI", "MFB", "PkC_ss", "PkC_cs")
    answers = np.concatenate(list(predict(model.tensors, x.numpy())))
    for k, (one, c) in enumerate(zip(made, curvatures, strict=True)):
        squared = sum(float((p.detach().double() ** 2).sum()) for p in one.fc2.parameters())
        with torch.no_grad():
            hidden = one.hidden(x)
            variance = logit_variance(hidden.numpy(), c, prior_precision(c, squared))
            np.testing.assert_allclose(answers[k], calibrated(one.fc2(hidden).numpy(), variance), atol=1e-5)


class Bad:
    """Something that runs code when it is unpickled."""

    def __reduce__(self):
        return (print, ("this ran",))


def test_anything_but_tensors_is_refused(published, tmp_path, capsys):
    files = {**published[0], "trained_models/model_3.pt": saved({"fc1.weight": Bad()})}
    with pytest.raises(RefusedError, match=r"model_3\.pt holds more than tensors and is refused") as error:
        import_published(tar(tmp_path / "a.tar.gz", files, "w:gz"), out=tmp_path / "c4")
    assert error.value.exit_code == 4
    assert "this ran" not in capsys.readouterr().out
    assert not (tmp_path / "c4").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_whole_module_is_refused(published, tmp_path):
    files = {**published[0], "trained_models/model_0.pt": saved(network(0))}
    with pytest.raises(RefusedError, match=r"model_0\.pt"):
        import_published(folder(tmp_path / "a", files), out=tmp_path / "c4")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trained_models/hessians.pt": None}, "11 .pt files of networks and 0 of curvatures"),
        ({"trained_models/model_4.pt": None}, "10 networks and 11 curvatures"),
        ({"trained_models/model_4.pt": b"torn"}, "cannot be read as tensors|holds more than tensors"),
        ({"trained_models/model_4.pt": saved([1.0])}, "no state of a network"),
        ({"trained_models/model_4.pt": saved({"fc1.weight": torch.zeros(2)})}, "no network of this variant"),
        ({"trained_models/model_4.pt": saved(network(0, has_layer=True).state_dict())}, "another variant"),
        ({"trained_models/hessians.pt": saved([{"eigenvalues": []}] * 11)}, "entry 0"),
        ({"trained_models/hessians.pt": saved({})}, "no list of curvatures"),
    ],
)
def test_what_does_not_belong_together_is_said(change, message, published, tmp_path):
    files = {name: data for name, data in {**published[0], **change}.items() if data is not None}
    with pytest.raises((InputError, RefusedError), match=message):
        import_published(folder(tmp_path / "a", files), out=tmp_path / "c4")
    assert not (tmp_path / "c4").exists()


def test_other_variants_and_places(published, tmp_path):
    source = folder(tmp_path / "a", published[0])
    with pytest.raises(UsageError, match="no variant 'deep'"):
        import_published(source, out=tmp_path / "c4", variant="deep")
    with pytest.raises(InputError, match="another variant"):
        import_published(source, out=tmp_path / "c4", variant="layer")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(InputError, match=r"no \.tar"):
        import_published(tmp_path / "text", out=tmp_path / "c4")


def test_an_archive_that_unpacks_without_end_is_refused(published, tmp_path, monkeypatch):
    source = tar(tmp_path / "a.tar.gz", published[0], "w:gz")
    monkeypatch.setattr("nwb_celltype.c4.published._MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(RefusedError, match=r"a\.tar\.gz unpacks to more than .* download it again"):
        import_published(source, out=tmp_path / "c4")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tar.gz"]


def test_the_command_takes_them_into_the_store_as_a_whole(published, tmp_path, monkeypatch, capsys):
    def answer(*options):
        try:
            main(["models", "import", "--c4", "base", source, *options])
        except SystemExit as end:
            return end.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    monkeypatch.setenv("NWB_CELLTYPE_CACHE", str(tmp_path / "cache"))
    source = str(tar(tmp_path / "a.tar", published[0], "w"))
    store = tmp_path / "cache" / "models"
    assert answer() == (0, "")
    assert load_model(store / "c4-base").card["name"] == "c4-base"
    code, said = answer()
    assert code == 2
    assert "There is a model 'c4-base'" in said
    assert answer("--replace") == (0, "")
    assert [p.name for p in store.iterdir()] == ["c4-base"]
