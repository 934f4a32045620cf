"""Where models lie, and folders of diffusers that do not fit."""

import json
from pathlib import Path

import pytest

from roadstill.errors import UserError
from roadstill.names import trusting
from roadstill.weights import WEIGHTS, diffusers_class, local, on_hub, open_model, require_all_fetched, shipped


def test_what_the_package_brings_has_names_like_the_hubs():
    for name in ("dit", "codec", "edm-cifar10"):
        assert local(Path(f"roadstill/{name}")) == shipped(f"{name}.safetensors")
        assert shipped(f"{name}.safetensors").is_file()
    with pytest.raises(UserError, match=r"roadstill/dog does not come with the package; it has roadstill/codec, "):
        local(Path("roadstill/dog"))


def test_a_path_that_is_there_or_is_no_name_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roadstill").mkdir()
    (tmp_path / "roadstill" / "dit").write_text("mine")
    assert local(Path("roadstill/dit")) == Path("roadstill/dit")
    for path in ("a/b/c", "no such file", "/root/x"):
        assert local(Path(path)) == Path(path)


def test_what_the_hub_cannot_give_is_one_line(monkeypatch):
    import huggingface_hub

    asked = []

    def offline(repository, *, revision, allow_patterns=None, local_files_only=False):
        if not local_files_only:
            asked.append((repository, revision, allow_patterns))
        raise OSError("no\nnetwork")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(UserError, match=r"someone/model@v2 does not exist here, .* \(no network\)"):
        local(Path("someone/model@v2"))
    assert asked == [("someone/model", "v2", ["*.json", "*.safetensors"])]


def test_what_was_fetched_is_not_fetched_again(tmp_path, monkeypatch):
    import huggingface_hub

    def cache(repository, *, revision, local_files_only):  # and no other call
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cache)
    (tmp_path / "model.safetensors").touch()
    assert local(Path("someone/model")) == tmp_path


@pytest.mark.parametrize(
    "name", ["../model", "./model", "a/b/c", "model", "/a/b", "roadstill/dit", ".a/b", "a/.b", "a b/c"]
)
def test_what_is_no_name_of_the_hub_is_not_looked_for_there(name, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    assert not on_hub(name)
    require_all_fetched({"base": name, "arms": [{"weights": name}], "label": "someone/model"}, "file")
    local(Path(name))


def test_models_of_a_file_are_found_at_any_depth(monkeypatch):
    import huggingface_hub

    def offline(*_, **__):
        raise OSError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    for fields in ({"base": "a/b"}, {"arms": {"x": {"agent": {"weights": "a/b"}}}}, [{"codec": "a/b"}],
                   {"network": "transformers:a/b"}):  # fmt: skip
        with pytest.raises(UserError, match=r"my file: \w+ 'a/b' is not one of roadstill's own; it would be fetched"):
            require_all_fetched(fields, "my file")
        with trusting():
            require_all_fetched(fields, "my file")


def test_quantised_models_are_refused(tmp_path):
    kind = {"_class_name": "AutoencoderKL", "quantization_config": {"quant_method": "torchao"}}
    (tmp_path / "config.json").write_text(json.dumps(kind))
    with pytest.raises(UserError, match="holds quantised weights, which are not read"):
        open_model(tmp_path, ("AutoencoderKL",))


def test_the_class_of_a_model_folder(tmp_path):
    assert diffusers_class(tmp_path) is None
    for text, kind in (("[]", None), ("{}", None), ('{"_class_name": "VQModel"}', "VQModel")):
        (tmp_path / "config.json").write_text(text)
        assert diffusers_class(tmp_path) == kind


def test_folders_that_do_not_fit_are_refused(tmp_path):
    from diffusers import AutoencoderKL
    from safetensors.torch import load_file, save_file

    with pytest.raises(UserError, match="is not a diffusers model folder with one of AutoencoderKL, VQModel"):
        open_model(tmp_path, ("AutoencoderKL", "VQModel"))
    sizes = {"block_out_channels": (4,), "norm_num_groups": 2, "latent_channels": 2}
    AutoencoderKL(**sizes).save_pretrained(tmp_path)
    assert open_model(tmp_path, ("AutoencoderKL",)).config.latent_channels == 2
    tensors = load_file(tmp_path / WEIGHTS)
    tensors.pop(first := min(tensors))
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match=f"tensors do not fit.*{first}"):
        open_model(tmp_path, ("AutoencoderKL",))
    (tmp_path / WEIGHTS).rename(tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="other formats may run code"):
        open_model(tmp_path, ("AutoencoderKL",))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"_class_name": "UNet2DModel"}))
    with pytest.raises(UserError, match="is not a diffusers model folder"):
        open_model(tmp_path, ("AutoencoderKL",))
