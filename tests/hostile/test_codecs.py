"""Bad codecs: our own file, and diffusers' autoencoders."""

import math

import torch
from hostile import Case, check, copied, each, edited
from safetensors.torch import save_file
from weightfiles import flipped, rewritten, tiny_codec, with_header


def codec(name, says, change):
    """A case of a codec file that is changed."""

    def command(folder, good):
        copied(good, "set", folder)
        change(tiny_codec(folder / "codec.safetensors"))
        return "encode", "set", "out", "--codec", "codec.safetensors"

    return Case(name, command, says)


def told(name, says, **settings):
    return codec(name, says, lambda path: rewritten(path, about=lambda about: about["config"].update(settings)))


def held(name, says, change):
    return codec(name, says, lambda path: rewritten(path, tensors=change))


def autoencoder(name, says, change):
    """A case of a diffusers folder whose config.json is changed."""

    def command(folder, good):
        from diffusers import AutoencoderKL

        copied(good, "set", folder)
        made = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2, latent_channels=2)
        made.save_pretrained(folder / "vae")
        edited(folder / "vae" / "config.json", change)
        return "encode", "set", "out", "--codec", "vae"

    return Case(f"autoencoder-{name}", command, says)


CASES = [
    told("width-1e6", r"more parameters than", width=10**6),
    told("width-1e9", r"config: width is 1000000000", width=10**9),
    told("width-0", r"config: width is 0", width=0),
    told("width-text", r"config, width: ", width="8"),
    told("blocks-1e6", r"more parameters than|missing", encoder_blocks=[10**6, 1]),
    told("blocks-many", r"config: .*same number of levels", encoder_blocks=[1] * 1000, decoder_blocks=[1] * 1000),
    told("blocks-none", r"config: .*same number of levels", encoder_blocks=[], decoder_blocks=[]),
    told("blocks-differ", r"config: .*same number of levels", encoder_blocks=[1]),
    told("patch-0", r"config: patch is 0", patch=0),
    told("patch-1e5", r"more parameters than", patch=10**5),
    told("channels-3", r"has the shape", latent_channels=3),
    told("std-negative", r"config: posterior_std is -1", posterior_std=-1),
    told("unknown", r"config has the setting depth", depth=3),
    codec(
        "config-list", r"config: Expected", lambda path: rewritten(path, about=lambda about: about.update(config=[]))
    ),
    codec("config-gone", r"config: Expected", lambda path: rewritten(path, about=lambda a: a.pop("config") and None)),
    codec("format", r"has format 'x'", lambda path: rewritten(path, about=lambda about: about.update(format="x"))),
    codec("metadata-none", r"has format 'None'", lambda path: save_file({"x": torch.ones(1)}, path)),
    held(
        "nan",
        r"project\.bias holds numbers that are not",
        lambda t: t["project.bias"][:1].fill_(math.nan) is None or None,
    ),
    held("infinity", r"std holds numbers that are not finite", lambda t: t["std"][:1].fill_(math.inf) is None or None),
    held("missing", r"1 missing \[mean\]", lambda t: t.pop("mean") is None or None),
    held("more", r"1 unexpected \[x\]", lambda t: t.update(x=torch.ones(1))),
    codec("flip", r"is damaged: its tensors are not those", lambda path: flipped(path, -3)),
    codec("cut", r"cannot be read as safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    codec(
        "lies",
        r"cannot be read as safetensors",
        lambda path: with_header(path, {"x": {"dtype": "F16", "shape": [2**50], "data_offsets": [0, 2**51]}}),
    ),
    codec(
        "folder", r"is not a diffusers model folder", lambda path: (path.unlink(), path.mkdir(), (path / "a").touch())
    ),
    autoencoder(
        "channels-1e6", r"more parameters than|cannot be opened", lambda c: c.update(block_out_channels=[10**6])
    ),
    autoencoder("layers-1e6", r"more parameters than", lambda config: config.update(layers_per_block=10**6)),
    autoencoder(
        "blocks-many",
        r"more parameters than|cannot be opened",
        lambda config: config.update(
            block_out_channels=[4] * 5000,
            down_block_types=["DownEncoderBlock2D"] * 5000,
            up_block_types=["UpDecoderBlock2D"] * 5000,
        ),
    ),
    autoencoder("scale-text", r"config\.json, scaling_factor: ", lambda config: config.update(scaling_factor="x")),
    autoencoder("scale-0", r"config\.json, scaling_factor: ", lambda config: config.update(scaling_factor=0)),
    autoencoder(
        "scale-nan", r"cannot be read as JSON: it holds NaN", lambda config: config.update(scaling_factor=math.nan)
    ),
    autoencoder(
        "kind", r"is not a diffusers model folder with one of", lambda config: config.update(_class_name="os.system")
    ),
    autoencoder("blocks-odd", r"cannot be opened", lambda config: config.update(down_block_types=["os.system"])),
]


@each(CASES)
def test_a_bad_codec(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
