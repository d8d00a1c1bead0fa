"""Importing what others published: the same outputs as before, every tensor in its place, all or nothing."""

import functools
import json
import os
import re
import subprocess
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.feature import canny
from torch import Tensor, nn

from inpaintlab.evaluation import Result
from inpaintlab.importers import LAYOUTS, import_checkpoint
from inpaintlab.importers.checkpoint import read_published
from inpaintlab.inpainting.checkpoints import rebuild
from inpaintlab.models import GLCIC, EdgeConnect
from inpaintlab.testsets import Manifest
from stand_ins import published_files as files
from stand_ins.building import compose_train
from stand_ins.commands import TINY, checkpoint, run_here
from stand_ins.published_files import COMPLETION, FILES, MEAN, UPWARDS, save
from stand_ins.torch7_writer import Object, dumps

WRITERS: dict[str, Callable[..., list[Path]]] = {
    "edgeconnect": files.edgeconnect,
    "glcic-otenim": files.otenim,
    "glcic-mmagic": files.mmagic,
    "glcic-official": files.official,
    "pconv-naoto0804": files.naoto0804,
    "pconv-mmagic": files.mmagic_pconv,
    "ce-official": files.centre,
    "ce-boyuanjiang": files.boyuanjiang,
    "ca-official": functools.partial(files.ca_official, n=1),
    "ca-daa233": functools.partial(files.ca_daa233, n=1),
    "ca-mmagic": functools.partial(files.ca_mmagic, n=1, image=96, patch=48),  # it learns from 72 pixels or more
}
BINS = "bins={fixed:{_target_:inpaintlab.masks.Block,fraction:0.25}}"
ALIVE = 8  # channels with which no network of random weights is dead; narrower ones are quicker to read and train
NARROW = "model.width=0.03125"  # 2 / 64, as wide as the synthetic files

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The files of each layout; never written to."""
    folder = tmp_path_factory.mktemp("published")
    return {layout: write(folder / layout) for layout, write in WRITERS.items()}


@pytest.fixture(scope="module")
def imported(published: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest and a checkpoint of each layout, called as it."""
    folder = tmp_path_factory.mktemp("imported")
    for layout, paths in published.items():
        import_checkpoint(paths, layout, folder / f"{layout}.ckpt")
    toy = ("data=toy", "data.size=32", "images=2", "~bins", f"+{BINS}")
    succeeded(run_here("manifest", *toy, "out=test.json", cwd=folder))
    return folder


@pytest.fixture
def scene() -> dict[str, Tensor]:
    """A picture with a rectangle as its hole, in which nothing is visible."""
    generator = torch.Generator().manual_seed(5)
    image = F.interpolate(torch.rand(2, 3, 8, 8, generator=generator), size=32, mode="bicubic").clamp(0, 1)
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, :, 8:20, 10:26] = 1
    mask[1, :, 4:12, 16:32] = 1
    return {"image": image, "mask": mask, "visible": image * (1 - mask)}


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stderr
    return done


def close(ours: Tensor, theirs: Tensor) -> None:
    assert (theirs[0] - theirs[1]).abs().max() > 1e-3  # no ReLU has ended what comes of the input
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)


# --- before = after: GLCIC -------------------------------------------------------------------------------------------


def convolved(x: Tensor, index: int, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution ``index`` of the completion network."""
    _, _, kernel, stride, dilation = COMPLETION[index]
    if index in UPWARDS:
        return F.conv_transpose2d(x, weight, bias, stride, padding=1)
    return F.conv2d(x, weight, bias, stride, dilation * (kernel - 1) // 2, dilation)


def normalised(x: Tensor, norm: dict[str, Tensor], eps: float = 1e-5) -> Tensor:
    return F.batch_norm(x, norm["running_mean"], norm["running_var"], norm["weight"], norm["bias"], eps=eps)


def under(state: State, prefix: str) -> State:
    return {key.removeprefix(f"{prefix}."): value for key, value in state.items() if key.startswith(f"{prefix}.")}


def otenim_paints(state: State, visible: Tensor, mask: Tensor) -> Tensor:
    """Raw RGB with the mean pixel in the hole; convolution, ReLU, batch norm; sigmoid."""
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    x = torch.cat([visible * (1 - mask) + mean * mask, mask], dim=1)
    for index in range(16):
        layer = under(state, f"{'deconv' if index in UPWARDS else 'conv'}{index + 1}")
        x = normalised(convolved(x, index, layer["weight"], layer["bias"]).relu(), under(state, f"bn{index + 1}"))
    return convolved(x, 16, state["conv17.weight"], state["conv17.bias"]).sigmoid()


def otenim_judges(state: State, image: Tensor, window: Tensor) -> Tensor:
    """Convolution, ReLU, batch norm; local features first."""
    features = []
    for branch, x in (("model_ld", window), ("model_gd", image)):
        count = 6 if f"{branch}.conv6.weight" in state else 5
        for i in range(1, count + 1):
            x = F.conv2d(x, state[f"{branch}.conv{i}.weight"], state[f"{branch}.conv{i}.bias"], 2, 2).relu()
            x = normalised(x, under(state, f"{branch}.bn{i}"))
        linear = under(state, f"{branch}.linear{count + 1}")
        features.append(F.linear(x.flatten(1), linear["weight"], linear["bias"]).relu())
    return F.linear(torch.cat(features, dim=1), state["linear1.weight"], state["linear1.bias"])


def mmagic_sees(image: Tensor) -> Tensor:
    """BGR from 0 to 255, shifted and scaled to [-1, 1]."""
    return (255 * image[:, [2, 1, 0]] - 127.5) / 127.5


def mmagic_paints(state: State, visible: Tensor, mask: Tensor) -> Tensor:
    """0 in the hole; convolution, batch norm, ReLU; clamped."""
    stems = [f"encoder.enc{i}" for i in range(1, 7)] + [f"dilation_neck.dilation_convs.{i}" for i in range(4)]
    stems = [f"generator.{stem}" for stem in [*stems, *(f"decoder.dec{i}" for i in range(1, 8))]]
    x = torch.cat([mmagic_sees(visible) * (1 - mask), mask], dim=1)
    for index, stem in enumerate(stems[:16]):
        x = normalised(convolved(x, index, state[f"{stem}.conv.weight"], None), under(state, f"{stem}.bn")).relu()
    last = under(state, f"{stems[16]}.conv")
    bgr = convolved(x, 16, last["weight"], last["bias"]).clamp(-1, 1)
    return (127.5 * bgr + 127.5)[:, [2, 1, 0]] / 255


def mmagic_judges(state: State, image: Tensor, window: Tensor) -> Tensor:
    """Convolution, batch norm, ReLU; global features first."""
    features = []
    for branch, x, count in (("global_disc", mmagic_sees(image), 6), ("local_disc", mmagic_sees(window), 5)):
        part = under(state, f"disc.{branch}")
        for i in range(1, count + 1):
            x = normalised(F.conv2d(x, part[f"conv{i}.conv.weight"], None, 2, 2), under(part, f"conv{i}.bn")).relu()
        features.append(F.linear(x.flatten(1), part["fc.linear.weight"], part["fc.linear.bias"]).relu())
    return F.linear(torch.cat(features, dim=1), state["disc.fc.weight"], state["disc.fc.bias"])


def official_paints(content: dict[str, Any], visible: Tensor, mask: Tensor) -> Tensor:
    """The mean pixel subtracted, 0 in the hole; convolution, batch norm with its own epsilon, ReLU; sigmoid."""
    modules = content["model"].fields["modules"]
    x = torch.cat([(visible - torch.tensor(content["mean"]).view(1, 3, 1, 1)) * (1 - mask), mask], dim=1)
    for index in range(17):
        layer = {k: torch.from_numpy(v) for k, v in modules[3 * index].fields.items() if isinstance(v, np.ndarray)}
        x = convolved(x, index, layer["weight"], layer["bias"])
        if index < 16:
            fields = modules[3 * index + 1].fields
            norm = {k: torch.from_numpy(v) for k, v in fields.items() if isinstance(v, np.ndarray)}
            x = normalised(x, norm, fields["eps"]).relu()
    return x.sigmoid()


@torch.no_grad()
def test_otenims_networks_paint_and_judge_as_before(tmp_path: Path, scene: dict[str, Tensor]) -> None:
    model, _, _ = read_published(files.otenim(tmp_path, ALIVE), "glcic-otenim")
    model.eval()
    assert isinstance(model, GLCIC)
    theirs = otenim_paints(files.otenim_completion(ALIVE), scene["visible"], scene["mask"])
    close(model(scene["visible"], scene["mask"]), theirs)
    window = scene["image"].flip(3)
    state = files.otenim_discriminator(ALIVE)
    judged = otenim_judges(state, scene["image"], window)
    close(model.discriminator(scene["image"], window), judged)
    assert not torch.allclose(judged, otenim_judges(state, window, scene["image"]), atol=1e-3)


@torch.no_grad()
def test_mmagics_networks_paint_and_judge_as_before_in_rgb(tmp_path: Path, scene: dict[str, Tensor]) -> None:
    model, _, _ = read_published(files.mmagic(tmp_path, ALIVE), "glcic-mmagic")
    model.eval()
    assert isinstance(model, GLCIC)
    assert (model.image_size, model.patch_size) == (64, 32)
    state = files.mmagic_state(ALIVE)
    theirs = mmagic_paints(state, scene["visible"], scene["mask"])
    close(model(scene["visible"], scene["mask"]), theirs)
    image = F.interpolate(scene["image"], size=64)
    close(model.discriminator(image, scene["image"]), mmagic_judges(state, image, scene["image"]))


@pytest.mark.parametrize("eps", [1e-5, 0.01, 0.0])
@torch.no_grad()
def test_the_authors_network_paints_as_before_with_any_epsilon(
    tmp_path: Path, scene: dict[str, Tensor], eps: float
) -> None:
    model, _, _ = read_published(files.official(tmp_path, ALIVE, eps), "glcic-official")
    theirs = official_paints(files.official_content(ALIVE, eps), scene["visible"], scene["mask"])
    close(model.eval()(scene["visible"], scene["mask"]), theirs)
    if eps == 0.01:
        other = official_paints(files.official_content(ALIVE), scene["visible"], scene["mask"])
        assert not torch.allclose(theirs, other, atol=1e-3)


@torch.no_grad()
def test_the_authors_network_is_read_in_other_guises(tmp_path: Path, scene: dict[str, Tensor]) -> None:
    """cuDNN's classes, double precision, weights as matrices, a mean that is a tensor."""
    content = files.official_content(ALIVE)
    theirs = official_paints(content, scene["visible"], scene["mask"])
    for module in content["model"].fields["modules"]:
        for name, value in module.fields.items():
            if isinstance(value, np.ndarray):
                module.fields[name] = value.astype(np.float64)
        if module.kind == "nn.SpatialConvolution":
            module.kind = "nn.SpatialConvolutionMM"
            module.fields["weight"] = module.fields["weight"].reshape(len(module.fields["weight"]), -1)
        else:
            module.kind = module.kind.replace("nn.", "cudnn.")
    content["mean"] = np.array(MEAN, dtype=np.float32)
    path = tmp_path / "a.t7"
    path.write_bytes(dumps(content))
    model, record, _ = read_published([path], "glcic-official")
    assert record["model"]["mean_pixel"] == MEAN
    close(model.eval()(scene["visible"], scene["mask"]), theirs)


# --- before = after: EdgeConnect -------------------------------------------------------------------------------------


def gray_of(image: Tensor) -> Tensor:
    red, green, blue = image.split(1, dim=1)
    return 0.2125 * red + 0.7154 * green + 0.0721 * blue


def edges_of(visible: Tensor, mask: Tensor) -> Tensor:
    """scikit-image's Canny of the known region."""
    maps = [
        canny(gray.double().numpy(), sigma=2.0, mask=known.numpy() == 0)
        for gray, known in zip(gray_of(visible)[:, 0], mask[:, 0], strict=True)
    ]
    return torch.from_numpy(np.stack(maps)).float()[:, None]


def released_paints(networks: dict[str, nn.Module], visible: Tensor, mask: Tensor) -> Tensor:
    """White holes; G2 sees G1's edges in the hole and Canny's elsewhere."""
    edges = edges_of(visible, mask) * (1 - mask)
    assert edges.any()
    drawn = networks["edge_generator"](torch.cat([gray_of(visible) * (1 - mask) + mask, edges, mask], dim=1)).sigmoid()
    filled = visible * (1 - mask) + mask
    return (networks["inpaint_generator"](torch.cat([filled, drawn * mask + edges], dim=1)).tanh() + 1) / 2


@torch.no_grad()
def test_edgeconnects_networks_paint_and_judge_as_before(tmp_path: Path, scene: dict[str, Tensor]) -> None:
    model, _, _ = read_published(files.edgeconnect(tmp_path, ALIVE), "edgeconnect")
    networks = files.released(ALIVE)
    model.eval()
    assert isinstance(model, EdgeConnect)
    close(model(scene["visible"], scene["mask"]), released_paints(networks, scene["visible"], scene["mask"]))
    inputs = {"inpaint_discriminator": scene["image"], "edge_discriminator": scene["image"][:, :2]}
    for name, x in inputs.items():
        for ours, theirs in zip(getattr(model, name)(x), networks[name](x), strict=True):
            close(ours, theirs)


def effective(state: State, stem: str) -> Tensor:
    """What spectral norm makes of a published weight."""
    weight, u, v = (state[f"{stem}.weight_{part}"] for part in ("orig", "u", "v"))
    return weight / (u @ as_matrix(weight, u) @ v)


def as_matrix(weight: Tensor, u: Tensor) -> Tensor:
    """As spectral norm flattens it: along the output channels, which come second in a transposed convolution."""
    turned = weight.shape[0] != len(u)
    return (weight.transpose(0, 1) if turned else weight).flatten(1)


def of_torch_04(contents: dict[str, dict[str, Any]], with_normalised: bool) -> dict[str, dict[str, Any]]:
    """The same networks as torch 0.4 wrote them: without v, with the normalised weight."""
    for content in contents.values():
        for kind in ("generator", "discriminator"):
            state = content.get(kind, {})
            for stem in [key.removesuffix(".weight_u") for key in state if key.endswith(".weight_u")]:
                if with_normalised:
                    state[f"{stem}.weight"] = effective(state, stem)
                del state[f"{stem}.weight_v"]
    return contents


def written(folder: Path, contents: dict[str, dict[str, Any]], zipped: bool = True) -> list[Path]:
    return [save(folder / FILES[name], content, zipped) for name, content in contents.items()]


@torch.no_grad()
def test_files_of_torch_04_have_the_same_weights_as_before(tmp_path: Path, scene: dict[str, Tensor]) -> None:
    """Not those of the largest singular value: three batches of training have not found it yet."""
    contents = files.edgeconnect_contents(ALIVE)
    state = contents["edge_generator"]["generator"]
    expected = {stem: effective(state, stem) for stem in ("encoder.4", "middle.3.conv_block.1", "decoder.0")}
    paths = written(tmp_path, of_torch_04(contents, with_normalised=True), zipped=False)
    model, _, _ = read_published(paths, "edgeconnect")
    model.eval()
    for their, layer in three_layers(model).items():
        torch.testing.assert_close(layer.weight, expected[their], atol=1e-6, rtol=1e-4)
        assert not torch.allclose(layer.weight, of_largest(state, their), atol=1e-6, rtol=1e-3)
    for name, x in (("inpaint_discriminator", scene["image"]), ("edge_discriminator", scene["image"][:, :2])):
        for ours, theirs in zip(getattr(model, name)(x), files.released(ALIVE)[name](x), strict=True):
            close(ours, theirs)


@torch.no_grad()
def test_without_the_normalised_weight_the_largest_singular_value_is_taken(tmp_path: Path) -> None:
    contents = of_torch_04(files.edgeconnect_contents(), with_normalised=False)
    model, _, _ = read_published(written(tmp_path, contents), "edgeconnect")
    model.eval()
    for their, layer in three_layers(model).items():
        expected = of_largest(contents["edge_generator"]["generator"], their)
        torch.testing.assert_close(layer.weight, expected, atol=1e-5, rtol=1e-3)


def three_layers(model: Any) -> dict[str, nn.Module]:
    """A convolution, one of a residual block, and a transposed one of ours, by their names."""
    body = model.edge_generator.body
    return {"encoder.4": body[4], "middle.3.conv_block.1": body[13].block[1], "decoder.0": body[18]}


def of_largest(state: State, stem: str) -> Tensor:
    """A published weight divided by its largest singular value."""
    original = state[f"{stem}.weight_orig"]
    return original / torch.linalg.matrix_norm(as_matrix(original, state[f"{stem}.weight_u"]), ord=2)


def with_prefix(contents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for content in contents.values():
        for kind in ("generator", "discriminator"):
            if kind in content:
                content[kind] = OrderedDict((f"module.{key}", value) for key, value in content[kind].items())
    return contents


def without_second_name(contents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name in ("edge_discriminator", "inpaint_discriminator"):
        state = contents[name]["discriminator"]
        contents[name]["discriminator"] = {k: v for k, v in state.items() if not k.startswith("features.")}
    return contents


@pytest.mark.parametrize("change", [with_prefix, without_second_name])
def test_other_names_of_the_same_networks_change_nothing(
    tmp_path: Path, published: dict[str, list[Path]], change: Callable[[Any], Any]
) -> None:
    _, _, expected = read_published(published["edgeconnect"], "edgeconnect")
    _, _, found = read_published(written(tmp_path, change(files.edgeconnect_contents())), "edgeconnect")
    assert_same(found, expected)


def test_the_four_files_are_told_apart_in_any_order_and_under_any_names(
    tmp_path: Path, published: dict[str, list[Path]]
) -> None:
    _, _, expected = read_published(published["edgeconnect"], "edgeconnect")
    paths = [save(tmp_path / f"{i}.bin", c) for i, c in enumerate(files.edgeconnect_contents().values())]
    for order in (paths[::-1], [paths[2], paths[0], paths[3], paths[1]]):
        model, record, found = read_published(order, "edgeconnect")
        assert_same(found, expected)
        assert record["iterations"] == 12  # of the inpainting generator
        assert model.recipe["width"] == 2 / 64


@pytest.mark.parametrize("iteration", [-1, 2**60, True, "12", None])
def test_an_iteration_that_is_none_is_left_out(tmp_path: Path, iteration: Any) -> None:
    contents = files.edgeconnect_contents()
    contents["inpaint_generator"]["iteration"] = iteration
    _, record, _ = read_published(written(tmp_path, contents), "edgeconnect")
    assert record["iterations"] is None


def test_without_discriminators_they_are_absent(tmp_path: Path, published: dict[str, list[Path]]) -> None:
    _, record, found = read_published(published["edgeconnect"][:2], "edgeconnect")
    assert record["absent"] == ["edge_discriminator", "inpaint_discriminator"]
    assert {key.partition(".")[0] for key in found} == {"edge_generator", "inpaint_generator"}
    told = import_checkpoint(published["edgeconnect"][:2], "edgeconnect", tmp_path / "a.ckpt")
    assert "edge_discriminator: not in the files; it starts from random weights if it is trained" in told
    model, _ = rebuild(tmp_path / "a.ckpt")
    assert torch.equal(model.state_dict()["edge_generator.body.1.bias"], found["edge_generator.body.1.bias"])


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


# --- what the files are ----------------------------------------------------------------------------------------------


def test_the_synthetic_files_have_as_many_tensors_as_the_published_ones() -> None:
    contents = files.edgeconnect_contents()
    assert len(contents["edge_generator"]["generator"]) == 70
    assert len(contents["inpaint_generator"]["generator"]) == 44
    assert len(contents["edge_discriminator"]["discriminator"]) == 18
    assert len(contents["inpaint_discriminator"]["discriminator"]) == 18
    assert len(files.otenim_completion()) == 114
    assert len(files.otenim_discriminator()) == 76
    assert len(files.otenim_discriminator(image=64, global_convolutions=6)) == 83
    modules = files.official_content()["model"].fields["modules"]
    assert [modules[i - 1].kind for i in (37, 43, 49, 50)] == [
        *("nn.SpatialFullConvolution", "nn.SpatialFullConvolution", "nn.SpatialConvolution", "nn.Sigmoid"),
    ]


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if not layout.endswith("-official")])  # not torch's
def test_both_file_formats_of_torch_are_read(tmp_path: Path, published: dict[str, list[Path]], layout: str) -> None:
    older = WRITERS[layout](tmp_path, zipped=False)
    assert older[0].read_bytes()[:2] == b"\x80\x02"
    assert published[layout][0].read_bytes()[:2] == b"PK"
    assert_same(read_published(older, layout)[2], read_published(published[layout], layout)[2])


@pytest.mark.parametrize(("image", "patch", "convolutions"), [(64, 32, 6), (128, 96, 6), (160, 96, 5)])
def test_the_sizes_that_discriminators_were_built_for_are_found(
    tmp_path: Path, image: int, patch: int, convolutions: int
) -> None:
    paths = files.otenim(tmp_path, n=1, image=image, patch=patch, global_convolutions=convolutions)
    model, record, _ = read_published(paths, "glcic-otenim")
    assert isinstance(model, GLCIC)
    assert (model.image_size, model.patch_size) == (image, patch)
    assert record["model"]["global_convolutions"] == convolutions
    model.discriminator(torch.rand(2, 3, image, image), torch.rand(2, 3, patch, patch))


def test_half_precision_is_widened(tmp_path: Path) -> None:
    state = files.otenim_completion()
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    _, record, found = read_published([save(tmp_path / "cn", half)], "glcic-otenim", [0.5, 0.25, 0.125])
    assert found["completion.layers.0.0.weight"].dtype == torch.float32
    assert torch.equal(found["completion.layers.0.0.weight"], state["conv1.weight"].half().float())
    assert record["model"]["mean_pixel"] == [0.5, 0.25, 0.125]
    assert record["absent"] == ["discriminator"]


def test_importing_leaves_the_random_state_alone(published: dict[str, list[Path]]) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    read_published(published["glcic-official"], "glcic-official")
    assert torch.equal(torch.rand(3), expected)


# --- a checkpoint like our own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_imported_checkpoint_is_evaluated_like_one_of_ours(imported: Path, layout: str) -> None:
    done = run_here(
        "evaluate",
        f"checkpoint={layout}.ckpt",
        "manifest=test.json",
        "trainer=cpu",
        "workers=0",
        f"label={layout}",
        "fit=resize",
        cwd=imported,
    )
    succeeded(done)
    result = Result.load(imported / "results" / layout)
    assert result.trained
    assert len(result.per_image) == len(Manifest.load(imported / "test.json").items) == 2
    assert all(0 < mae < 1 for mae in result.per_image["mae"])
    assert result.config["width"] == 2 / 64


FOR_THE_CENTRE = ("data.size=128", "mask=center", "model.bottleneck=5")

ALL_AT_ONCE = ("model.critic_steps=1", "model.generator_batch=shared")  # learn from one batch
FINE_TUNED = {
    "edgeconnect": ("edgeconnect", "model.vgg=random"),
    "glcic-otenim": ("glcic_otenim", "model.patch_size=32"),
    "glcic-mmagic": ("glcic_mmagic", "data.size=64"),
    "glcic-official": ("glcic",),
    "pconv-naoto0804": ("partial_convolution_naoto0804", "model.vgg=random"),
    "pconv-mmagic": ("partial_convolution_mmagic", "model.vgg=random"),
    "ce-official": ("context_encoder", *FOR_THE_CENTRE, "model.bias=true"),
    "ce-boyuanjiang": ("context_encoder_boyuanjiang", *FOR_THE_CENTRE),
    "ca-official": ("contextual_attention", "data.size=64", *ALL_AT_ONCE),
    "ca-daa233": ("contextual_attention_daa233", "data.size=64", *ALL_AT_ONCE),
    "ca-mmagic": ("contextual_attention_mmagic", "data.size=96", *ALL_AT_ONCE),
}


def fine_tuned(folder: Path, cwd: Path, layout: str, preset: str, *settings: str) -> dict[str, Any]:
    """The last checkpoint of a training from an imported one, a batch in each phase."""
    phases = compose_train(f"model={preset}").model.schedule.phases
    lengths = [f"model.schedule.phases.{phase}.batches={int(of.batches > 0)}" for phase, of in phases.items()]
    tiny = [setting for setting in TINY if not setting.startswith("model.width")]
    given = (f"model={preset}", *tiny, *lengths, NARROW, "name=a", f"init={folder / layout}.ckpt", *settings)
    succeeded(run_here("train", *given, cwd=cwd))
    return checkpoint(cwd / "runs/a")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_imported_checkpoint_is_fine_tuned_like_one_of_ours(imported: Path, tmp_path: Path, layout: str) -> None:
    preset, *settings = FINE_TUNED[layout]
    before = checkpoint(imported, f"{layout}.ckpt")["state_dict"]
    after = fine_tuned(imported, tmp_path, layout, preset, *settings)["state_dict"]
    parameters = [key for key in before if key.endswith((".weight", ".original"))]
    changed = [key for key in parameters if not torch.equal(after[key], before[key])]
    assert len(changed) > 0.9 * len(parameters)
    if "mean_pixel" in before:
        assert torch.equal(after["mean_pixel"], before["mean_pixel"])  # not measured on the new data


@pytest.mark.parametrize("preset", ["glcic", "glcic_celeba"])
def test_what_was_not_published_starts_from_the_runs_own_random_weights(
    imported: Path, tmp_path: Path, preset: str
) -> None:
    before = checkpoint(imported, "glcic-official.ckpt")
    assert before["inpaintlab"]["absent"] == ["discriminator"]
    assert not [key for key in before["state_dict"] if key.startswith("discriminator.")]
    still = ("model.learning_rate=0.0", "model.patch_size=16")
    runs = [
        fine_tuned(imported, tmp_path / str(seed), "glcic-official", preset, *still, f"seed={seed}")["state_dict"]
        for seed in (1, 2)
        if not (tmp_path / str(seed)).mkdir()
    ]
    weights = [key for key in runs[0] if key.endswith("weight") and runs[0][key].ndim > 1]
    for key in weights:
        if key.startswith("discriminator."):
            assert not torch.equal(runs[0][key], runs[1][key])
        else:
            assert torch.equal(runs[0][key], before["state_dict"][key])
            assert torch.equal(runs[1][key], before["state_dict"][key])
    assert runs[0]["mean_pixel"].tolist() == MEAN


def test_the_checkpoint_tells_where_it_comes_from(published: dict[str, list[Path]], imported: Path) -> None:
    saved = checkpoint(imported, "edgeconnect.ckpt")["inpaintlab"]
    assert saved["imported"]["layout"] == "edgeconnect"
    assert [file["name"] for file in saved["imported"]["files"]] == [path.name for path in published["edgeconnect"]]
    assert saved["iterations"] == 12
    assert saved["images_seen"] is None


# --- strictness ------------------------------------------------------------------------------------------------------


def refused(folder: Path, paths: list[Path], layout: str, *more: str) -> str:
    """The one sentence with which the command refuses, and leaves everything as it was."""
    target = folder / "kept" / "a.ckpt"
    target.parent.mkdir()
    target.write_bytes(b"trained for a week")
    arguments = ("import", *map(str, paths), "--as", layout, *more)
    done = run_here("weights", *arguments, "--force", "--out", "kept/a.ckpt", cwd=folder)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert [path.name for path in target.parent.iterdir()] == ["a.ckpt"]
    assert target.read_bytes() == b"trained for a week"
    return done.stderr.removeprefix("inpaintlab weights: ").strip()


def change_otenim(change: Callable[[State], Any]) -> Callable[[Path], list[Path]]:
    """otenim's completion network with a change, and its config."""

    def write(folder: Path) -> list[Path]:
        paths = files.otenim(folder)
        state = files.otenim_completion()
        change(state)
        return [save(paths[0], state), paths[2]]

    return write


def change_mmagic(change: Callable[[State], Any]) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        state = files.mmagic_state()
        change(state)
        return [save(folder / "gl.pth", {"meta": {}, "state_dict": state})]

    return write


def change_edgeconnect(change: Callable[[Any], Any]) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        contents = files.edgeconnect_contents()
        change(contents)
        return written(folder, contents)

    return write


def change_official(change: Callable[[Any, list[Object]], Any]) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        content = files.official_content()
        change(content, content["model"].fields["modules"])
        path = folder / "a.t7"
        path.write_bytes(dumps(content))
        return [path]

    return write


def without(*keys: str) -> Callable[[State], Any]:
    return lambda state: [state.pop(key) for key in keys]


def put(key: str, value: Any) -> Callable[[Any], Any]:
    return lambda state: state.update({key: value})


def generator(change: Callable[[State], Any]) -> Callable[[Any], Any]:
    return lambda contents: change(contents["inpaint_generator"]["generator"])


def poisoned(key: str) -> Callable[[State], Any]:
    return lambda state: state[key].view(-1)[-1:].fill_(float("nan"))


def linear_without_a_square(folder: Path) -> list[Path]:
    state = files.otenim_discriminator() | {"model_gd.linear6.weight": torch.ones(32, 32)}
    paths = files.otenim(folder)
    return [paths[0], save(paths[1], state), paths[2]]


def same_role_twice(folder: Path) -> list[Path]:
    paths = files.edgeconnect(folder)
    return [*paths, save(folder / "another.pth", files.edgeconnect_contents()["edge_generator"])]


REFUSED: dict[str, tuple[str, Callable[[Path], list[Path]], list[str]]] = {
    "missing": (
        "glcic-otenim",
        change_otenim(without("bn3.running_mean", "conv9.bias")),
        ["does not hold this completion", "2 missing: bn3.running_mean, conv9.bias"],
    ),
    "unexpected": (
        "glcic-otenim",
        change_otenim(lambda state: state.update(extra=torch.ones(1), **{"conv18.weight": torch.ones(1)})),
        ["2 unexpected: conv18.weight, extra"],
    ),
    "many": (
        "glcic-mmagic",
        change_mmagic(lambda state: [state.pop(k) for k in list(state) if k.endswith("num_batches_tracked")]),
        ["16 missing: generator.decoder.dec1.bn.num_batches_tracked, ", " and 4 more"],
    ),
    "shape": (
        "glcic-otenim",
        change_otenim(put("conv5.weight", torch.ones(8, 8, 5, 5))),
        ["1 of another shape: conv5.weight (8, 8, 5, 5) instead of (8, 8, 3, 3)"],
    ),
    "all kinds": (
        "edgeconnect",
        change_edgeconnect(
            generator(
                lambda state: (
                    without("encoder.7.bias")(state),
                    put("encoder.9.bias", torch.ones(1))(state),
                    put("decoder.7.bias", torch.ones(4))(state),
                    put("encoder.4.bias", torch.ones(()))(state),
                )
            )
        ),
        ["1 missing: encoder.7.bias", "1 unexpected: encoder.9.bias", "2 of another shape", "decoder.7.bias (4,)"],
    ),
    "whole numbers": (
        "glcic-otenim",
        change_otenim(put("bn1.num_batches_tracked", torch.tensor(1.5))),
        ["1 of other numbers: bn1.num_batches_tracked torch.float32"],
    ),
    "not a number": (
        "glcic-mmagic",
        change_mmagic(poisoned("disc.fc.weight")),
        ["numbers that are not finite, in disc.fc.weight"],
    ),
    "infinite": (
        "edgeconnect",
        change_edgeconnect(generator(lambda state: state["decoder.0.weight"].view(-1)[:1].fill_(float("inf")))),
        ["InpaintingModel_gen.pth holds numbers that are not finite, in decoder.0.weight"],
    ),
    "spectral vector": (
        "edgeconnect",
        change_edgeconnect(
            lambda contents: poisoned("conv3.0.weight_v")(contents["edge_discriminator"]["discriminator"])
        ),
        ["EdgeModel_dis.pth holds numbers that are not finite, in conv3.0.weight_v"],
    ),
    "no direction": (
        "edgeconnect",
        change_edgeconnect(
            lambda contents: put("conv1.0.weight_orig", torch.zeros(2, 2, 4, 4))(
                of_torch_04(contents, with_normalised=False)["edge_discriminator"]["discriminator"]
            )
        ),
        ["EdgeModel_dis.pth: the spectral norm of conv1.0 is 0, by which nothing is divided"],
    ),
    "variance": (
        "glcic-otenim",
        change_otenim(lambda state: state["bn4.running_var"].fill_(-1)),
        ["variances below 0, in bn4.running_var"],
    ),
    "no generator": ("edgeconnect", lambda folder: files.edgeconnect(folder)[1:], ["No file holds the edge generator"]),
    "discriminators alone": (
        "edgeconnect",
        lambda folder: files.edgeconnect(folder)[2:],
        ["No file holds the edge generator (EdgeModel_gen.pth"],
    ),
    "role twice": ("edgeconnect", same_role_twice, ["another.pth and ", "both hold the edge generator"]),
    "stage unknown": (
        "edgeconnect",
        change_edgeconnect(generator(put("encoder.1.weight", torch.ones(2, 5, 7, 7)))),
        ["encoder.1 should be a convolution of 3 or 4 planes"],
    ),
    "normalised weight of another shape": (
        "edgeconnect",
        change_edgeconnect(
            lambda contents: put("conv2.0.weight", torch.ones(4, 2, 3, 3))(
                of_torch_04(contents, with_normalised=True)["edge_discriminator"]["discriminator"]
            )
        ),
        ["1 unexpected: conv2.0.weight"],
    ),
    "second name alone": (
        "edgeconnect",
        change_edgeconnect(lambda c: put("features.3.weight", torch.ones(1))(c["edge_discriminator"]["discriminator"])),
        ["1 unexpected: features.3.weight"],
    ),
    "prefix on some": (
        "edgeconnect",
        change_edgeconnect(generator(put("module.encoder.1.bias", torch.ones(2)))),
        ["a name twice, with 'module.' in front and without"],
    ),
    "no completion network": (
        "glcic-otenim",
        lambda folder: files.otenim(folder)[1:],
        ["Give one file with the completion network"],
    ),
    "two completion networks": (
        "glcic-otenim",
        lambda folder: [*files.otenim(folder), save(folder / "again", files.otenim_completion())],
        ["Give one file with the completion network", "again"],
    ),
    "the same file twice": (
        "glcic-otenim",
        lambda folder: files.otenim(folder)[:1] * 2 + files.otenim(folder)[2:],
        ["Give one file with the completion network"],
    ),
    "two configurations": (
        "glcic-otenim",
        lambda folder: [*files.otenim(folder), *files.otenim(folder / "b")[2:]],
        ["Give one file with the completion network"],
    ),
    "two files": ("glcic-mmagic", lambda folder: files.mmagic(folder) * 2, ["is one file; got 2"]),
    "linear without a square": (
        "glcic-otenim",
        linear_without_a_square,
        ["model_gd.linear6.weight has 32 inputs, which is no square of features"],
    ),
    "window larger than the image": (
        "glcic-otenim",
        lambda folder: files.otenim(folder, image=32, patch=64),
        ["its local branch is built for 64 pixels, its global one for 32"],
    ),
    "wider than published": (
        "glcic-otenim",
        change_otenim(put("conv1.weight", torch.ones(65, 4, 5, 5))),
        ["conv1.weight has shape (65, 4, 5, 5)"],
    ),
    "another network": (
        "glcic-mmagic",
        lambda folder: files.otenim(folder)[:1],
        ["is not a checkpoint of mmagic: it has no entry 'state_dict'"],
    ),
    "no tensor": (
        "glcic-mmagic",
        change_mmagic(put("generator.a", "text")),
        ["state_dict holds something else than a tensor of real numbers as generator.a"],
    ),
    "no name": ("glcic-mmagic", change_mmagic(put((1,), torch.ones(1))), ["names and tensors: a tuple"]),
    "steering a terminal": (
        "glcic-otenim",
        change_otenim(put("\x1b[2J\nunseen", torch.ones(1))),
        [r"1 unexpected: \x1b[2J\nunseen"],
    ),
    "expanded": (
        "glcic-otenim",
        change_otenim(put("conv5.weight", torch.ones(1).expand(8, 8, 3, 3))),
        ["conv5.weight claims more numbers than the file holds"],
    ),
    "a module less": ("glcic-official", change_official(lambda _, modules: modules.pop()), ["has 49 modules"]),
    "another module": (
        "glcic-official",
        change_official(lambda _, modules: setattr(modules[2], "kind", "nn.LeakyReLU")),
        ["module 3 is 'nn.LeakyReLU', not nn.ReLU"],
    ),
    "another dilation": (
        "glcic-official",
        change_official(lambda _, modules: modules[18].fields.update(dilationH=3)),
        ["module 19 has dilationH = 3.0; the paper's completion network has 2"],
    ),
    "another padding": (
        "glcic-official",
        change_official(lambda _, modules: modules[36].fields.update(padW=0)),
        ["module 37 has padW = 0.0; the paper's completion network has 1"],
    ),
    "too large for float32": (
        "glcic-official",
        change_official(lambda _, modules: modules[0].fields.update(bias=np.array([1e300, 1.0]))),
        ["numbers that are not finite, in 1.bias"],
    ),
    "epsilon": (
        "glcic-official",
        change_official(lambda _, modules: modules[1].fields.update(eps="small")),
        ["module 2 has eps = 'small'"],
    ),
    "no mean": (
        "glcic-official",
        change_official(lambda content, _: content.pop("mean")),
        ["'mean' in ", "--mean-pixel"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_told_in_one_sentence_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    layout, write, parts = REFUSED[case]
    sentence = refused(tmp_path, write(tmp_path), layout)
    for part in parts:
        assert part in sentence


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "cannot be read as otenim's config.json"),
        ("[1, 2]", "its top is no object"),
        ("{}", "config.json gives no mean pixel"),
        ('{"mpv": [0.5, 0.5]}', "gives no mean pixel"),
        ('{"mpv": [0.5, 0.5, 1.01]}', "gives no mean pixel"),
        ('{"mpv": [0.5, 0.5, -0.01]}', "gives no mean pixel"),
        ('{"mpv": [0.5, 0.5, NaN]}', "the number NaN, which JSON has not"),
        ('{"mpv": "010"}', "gives no mean pixel"),
        ('{"mpv": {"0": 1, "1": 1, "2": 1}}', "gives no mean pixel"),
        (f'{{"mpv": [0, 0, 1{"0" * 400}]}}', "a whole number that is too large"),
        ("[" * 100_000, "cannot be read as otenim's config.json"),
        (" " * 1_000_001, "larger than 1000000 bytes"),
    ],
    ids=lambda text: text[:20],
)
def test_a_config_without_a_mean_pixel_is_told(tmp_path: Path, text: str, part: str) -> None:
    paths = files.otenim(tmp_path)
    paths[2].write_text(text)
    assert part in refused(tmp_path, paths, "glcic-otenim")


def test_a_mean_pixel_is_taken_where_a_network_has_one(tmp_path: Path, published: dict[str, list[Path]]) -> None:
    mean = ("--mean-pixel", "0", "1", "0.5")
    for layout in ("glcic-otenim", "glcic-official"):
        paths = [path for path in published[layout] if path.suffix != ".json"]
        arguments = ("import", *map(str, paths), "--as", layout, "--out", f"{layout}.ckpt", *mean)
        succeeded(run_here("weights", *arguments, cwd=tmp_path))
        assert checkpoint(tmp_path, f"{layout}.ckpt")["state_dict"]["mean_pixel"].tolist() == [0, 1, 0.5]
    (tmp_path / "a").mkdir()
    assert "'mpv' of config.json" in refused(tmp_path / "a", published["glcic-otenim"][:2], "glcic-otenim")
    for layout in LAYOUTS.keys() - {"glcic-otenim", "glcic-official"}:
        with pytest.raises(ValueError, match="leave"):
            read_published(published[layout], layout, [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match="gives no mean pixel"):
        read_published(published["glcic-official"], "glcic-official", [0.5, 0.5, 2.0])


def test_no_file_and_no_layout_are_told(tmp_path: Path, published: dict[str, list[Path]]) -> None:
    with pytest.raises(ValueError, match="Give the files to import as edgeconnect"):
        read_published([], "edgeconnect")
    with pytest.raises(ValueError, match=r"There is no layout 'x'; it can be edgeconnect, glcic-otenim"):
        read_published(published["edgeconnect"], "x")
    for layout in LAYOUTS:
        with pytest.raises(ValueError, match=re.escape(f"There is no file {tmp_path / 'none'}")):
            read_published([tmp_path / "none"], layout)


# --- code in a pickle ------------------------------------------------------------------------------------------------


class Call:
    """Asks to be loaded by calling ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch executed",), "posix.system"),
        (open, ("executed", "w"), r"io\.open"),
        (Path, ("executed",), r"pathlib\.Path"),
        (Result, (Path("executed"),), r"inpaintlab\.evaluation\.results\.Result"),
        (torch.load, ("executed",), r"torch\.serialization\.load"),
        (bytearray, (b"",), r"(__builtin__|builtins)\.bytearray"),
        (F.relu, (torch.ones(1),), r"torch\.nn\.functional\.relu"),
    ],
    ids=["os", "open", "class", "ours", "torch.load", "bytearray", "relu"],
)
def test_a_pickle_that_asks_for_code_is_refused_and_nothing_runs(
    tmp_path: Path, function: Callable[..., Any], arguments: tuple[Any, ...], name: str, zipped: bool
) -> None:
    content = files.edgeconnect_contents()["edge_generator"] | {"extra": Call(function, *arguments)}
    path = save(tmp_path / "evil.pth", content, zipped)
    sentence = refused(tmp_path, [path], "edgeconnect")
    assert re.search(f"evil.pth asks for '{name}", sentence), sentence
    assert not (tmp_path / "executed").exists()


HIDDEN = ("items", "keys", "values", "get")


def test_a_table_that_hides_its_methods_is_read_all_the_same(tmp_path: Path, published: dict[str, list[Path]]) -> None:
    contents = files.edgeconnect_contents()
    for content in contents.values():
        for value in content.values():
            if isinstance(value, OrderedDict):
                value.__dict__.update({f"%{method[1:]}": "hidden" for method in HIDDEN})
    paths = written(tmp_path, contents, zipped=False)
    for path in paths:
        content = path.read_bytes()
        for method in HIDDEN:
            assert f"%{method[1:]}".encode() in content
            content = content.replace(f"%{method[1:]}".encode(), method.encode())
        path.write_bytes(content)
    _, _, found = read_published(paths, "edgeconnect")
    assert_same(found, read_published(published["edgeconnect"], "edgeconnect")[2])


def test_a_refusal_makes_no_folder(tmp_path: Path, published: dict[str, list[Path]]) -> None:
    with pytest.raises(ValueError, match="No file holds the edge generator"):
        import_checkpoint(published["edgeconnect"][1:], "edgeconnect", tmp_path / "new" / "a.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing(
    tmp_path: Path, published: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        import_checkpoint(published["glcic-official"], "glcic-official", tmp_path / "a.ckpt")
    assert list(tmp_path.iterdir()) == []


def test_the_config_is_what_json_says(published: dict[str, list[Path]]) -> None:
    _, record, _ = read_published(published["glcic-otenim"], "glcic-otenim")
    assert record["model"]["mean_pixel"] == json.loads(published["glcic-otenim"][2].read_text())["mpv"]


def test_a_mean_in_a_lua_table_is_read_by_its_places_not_by_their_order_in_the_file(tmp_path: Path) -> None:
    content = files.official_content()
    content["mean"] = {3: 0.3, 1: 0.1, 2: 0.2}
    (tmp_path / "model.t7").write_bytes(dumps(content))
    _, record, _ = read_published([tmp_path / "model.t7"], "glcic-official")
    assert record["model"]["mean_pixel"] == [0.1, 0.2, 0.3]
