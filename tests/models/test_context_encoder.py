"""Laws of Context Encoder: its networks and what they see, the joint loss, the step, and what it refuses."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from PIL import Image
from torch import Tensor, nn

from inpaintlab.evaluation import Result
from inpaintlab.inpainting import Steps, fit
from inpaintlab.models import ContextEncoder
from inpaintlab.models.context_encoder import FILL, stages
from stand_ins.building import Builder, Composer, Watch
from stand_ins.building import fit as train
from stand_ins.commands import TINY, checkpoint, run_here, same_weights

NAME, RANDOM = "context_encoder", "context_encoder_random"
PRESETS = (NAME, "context_encoder_boyuanjiang", RANDOM)
CENTRE = ("model.bottleneck=8", "mask=center")
ONE = "model.schedule.phases.train.batches=1"


def scene(size: int = 32) -> tuple[Tensor, Tensor]:
    """Two pictures; the hole is the 14 of 32 pixels that the network never sees."""
    generator = torch.Generator().manual_seed(5)
    image = F.interpolate(torch.rand(2, 3, 8, 8, generator=generator), size=size, mode="bilinear")
    mask, inside = torch.zeros(2, 1, size, size), slice(size // 4 + 4, 3 * size // 4 - 4)
    mask[..., inside, inside] = 1
    return image, mask


# -------------------------------------------------------------------------------------------------------- the networks


def test_the_last_layers_are_the_same_at_every_size() -> None:
    assert stages(128) == [64, 64, 128, 256, 512]
    assert stages(64) == [64, 128, 256, 512]
    assert stages(8) == [512]


@pytest.mark.parametrize(
    ("preset", "size", "generator", "discriminator"),
    [
        (NAME, 128, 71_124_544, 2_765_568),
        ("context_encoder_boyuanjiang", 128, 71_124_544, 2_765_568),
        # a stage 64 -> 64 with its norm more than for the centre, in the decoder and in D
        (RANDOM, 128, 71_124_544 + 64 * 64 * 16 + 128, 2_765_568 + 64 * 64 * 16 + 128),
        (RANDOM, 64, 71_124_544 - 64 * 64 * 16 - 128, 2_765_568),
    ],
)
def test_the_networks_have_the_published_parameters(
    composed: Composer, preset: str, size: int, generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        model = instantiate(composed(f"model={preset}", "data=toy", f"data.size={size}").model)
    counts = [sum(p.numel() for p in network.parameters()) for network in (model.generator, model.discriminator)]
    assert counts == [generator, discriminator]


def test_weights_are_drawn_as_the_code_draws_them(built: Builder) -> None:
    model = built(NAME, "model.width=0.5", "model.bias=true")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.2)
            assert module.bias is not None
            assert (module.bias == 0).all()
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.03)
            assert 0.005 < module.weight.std() < 0.04
            assert (module.bias == 0).all()


@pytest.mark.parametrize("preset", [NAME, RANDOM])
def test_what_is_erased_holds_the_two_swapped_values_of_caffes_mean(built: Builder, preset: str) -> None:
    model, seen = built(preset).eval(), []
    model.generator.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image, mask = scene()
    mask[:, :, 9, 10] = 1  # in the overlap
    model.complete(image, mask)
    erased = (torch.tensor([117, 104, 123]).view(3, 1, 1) / 127.5 - 1).expand_as(image)
    torch.testing.assert_close(seen[0], torch.where(mask > 0.5, erased, 2 * image - 1))
    assert FILL == pytest.approx((-0.0823529, -0.1843137, -0.0352941), abs=1e-7)


def test_the_overlap_is_predicted_but_stays_as_it_is_known(built: Builder) -> None:
    """At 128 pixels rows and columns 36 to 91 come from 4 to 59 of the prediction."""
    model: ContextEncoder = built(NAME, "data.size=128").eval()
    image, hole = torch.rand(1, 3, 128, 128), torch.zeros(1, 1, 128, 128)
    predicted = model.generator(image, hole)
    assert predicted.shape == (1, 3, 64, 64)
    expected = image.clone()
    expected[..., 36:92, 36:92] = predicted[..., 4:60, 4:60]
    assert torch.equal(model(image, hole), expected)
    hole[..., 32:96, 32:96] = 1
    assert torch.equal(model(image, hole)[..., 32:96, 32:96], model.generator(image, hole))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["data.size=256"], "model.image_size is 256 x 256; this network is for 128 x 128 pixels"),
        (["data.size=[64,32]"], "model.image_size is 64 x 32; this network"),
        (["model.region=left"], "model.region is 'left'"),
        (["model.overlap=8"], "model.overlap is 8; give 0 to 7 pixels of the 16"),
        (["model.region=random"], "model.overlap is 4; .* 0 for random regions"),
        (["model.bottleneck=0"], "model.bottleneck is 0"),
    ],
)
def test_settings_of_no_network_are_refused(built: Builder, settings: list[str], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        built(NAME, *settings)


# ---------------------------------------------------------------------------------------------------------- the losses


@pytest.mark.parametrize("preset", PRESETS)
def test_every_loss_is_the_codes_formula(built: Builder, preset: str) -> None:
    model: ContextEncoder = built(preset, ONE, "model.seen_weight=10.0").double()
    image, mask = (plane.double() for plane in scene())
    fake, real = model.generator(image * (1 - mask), mask), image[..., model.window, model.window]
    losses = model.generator_losses(fake, real, mask)
    weight = torch.full_like(fake, 10)
    inside = slice(12, 20) if preset == RANDOM else slice(4, 12)  # of 32 pixels, or of the centre 16
    weight[..., inside, inside] = 1
    error = ((2 * fake - 1) - (2 * real - 1)) ** 2
    torch.testing.assert_close(losses["reconstruction"], (weight * error).mean())
    verdict = model.discriminator(fake).sigmoid()
    torch.testing.assert_close(losses["adversarial"], F.binary_cross_entropy(verdict, torch.ones_like(verdict)))
    of_d = model.discriminator_losses(real, fake)
    verdicts = model.discriminator(real).sigmoid(), verdict
    torch.testing.assert_close(of_d["real"], F.binary_cross_entropy(verdicts[0], torch.ones_like(verdict)))
    torch.testing.assert_close(of_d["fake"], F.binary_cross_entropy(verdicts[1], torch.zeros_like(verdict)))


def test_the_overlaps_weight_is_in_the_gradient(built: Builder) -> None:
    """By finite differences: a pixel of the overlap moves the loss ten times as much as one of the hole."""
    model: ContextEncoder = built(NAME, ONE).double()
    image, mask = (plane.double() for plane in scene())
    real = image[..., model.window, model.window]
    slopes = []
    for row in (1, 8):
        moved = [real + 0.1 for _ in range(2)]
        for sign, patch in zip((-1, 1), moved, strict=True):
            patch[0, 0, row, 8] += sign * 1e-4
        high, low = (model.reconstruction(patch, real, mask).item() for patch in reversed(moved))
        slopes.append((high - low) / 2e-4)
    assert slopes[0] == pytest.approx(10 * slopes[1], rel=1e-6)


# ------------------------------------------------------------------------------------------------------------ the step


@pytest.mark.parametrize(("preset", "ratio"), [(NAME, 10), ("context_encoder_boyuanjiang", 1)])
def test_d_learns_first_and_then_g_from_the_same_prediction(built: Builder, preset: str, ratio: int) -> None:
    model = built(preset, "model.schedule.phases.train.batches=2")
    watch, passes = Watch(["generator", "discriminator"]), []
    model.generator.register_forward_hook(lambda *_: passes.append(1))
    train(model, watch)
    assert [step.stepped for step in watch.steps] == [{"discriminator"}, {"generator"}] * 2
    assert [step.with_gradients for step in watch.steps] == [{"discriminator"}, {"generator"}] * 2
    assert len(passes) == 2
    assert watch.batches[0].rates == pytest.approx([2e-4 * ratio, 2e-4])
    assert watch.batches[0].losses.keys() >= {"reconstruction", "adversarial", "squared_error", "discriminator_real"}


def test_a_run_that_ended_early_goes_on_like_an_unbroken_one(tmp_path: Path) -> None:
    settings = [f"model={NAME}", *TINY, *CENTRE, "accumulate=2", "every.checkpoint=2"]
    for name, lengths in (("broken", (2, 4)), ("unbroken", (4,))):
        for length in lengths:
            given = [*settings, f"name={name}", f"model.schedule.phases.train.batches={length}"]
            done = run_here("train", *given, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
    one, other = (checkpoint(tmp_path / "runs" / name) for name in ("broken", "unbroken"))
    assert same_weights(one, other)


def test_accumulated_batches_descend_the_mean_of_their_losses(built: Builder) -> None:
    """Batch norm normalises each batch by itself, so it is in evaluation mode."""
    models = [built(NAME, f"model.schedule.phases.train.batches={n}", steps=Steps(accumulate=n)).eval() for n in (1, 2)]
    image, mask = scene()
    for model, parts in zip(models, ([slice(0, 2)], [slice(0, 1), slice(1, 2)]), strict=True):
        for part in parts:
            fake = model.generator(image[part], mask[part])
            losses = model.generator_losses(fake, image[part][..., 8:24, 8:24], mask[part])
            total = sum(weight * losses[name] for name, weight in model.weights["generator"].items())
            (total / len(parts)).backward()
    for one, two in zip(models[0].generator.parameters(), models[1].generator.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-6)


def gradients(built: Builder, precision: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Of both networks, by their names, after a step whose optimizers stand still."""
    model: ContextEncoder = built(NAME, "data.size=64", "model.width=0.25", "model.bottleneck=64", ONE).to(dtype)
    fit(model.networks(), "cpu", precision)
    found: dict[str, Tensor] = {}

    def descend(loss: Tensor, optimizer: str) -> None:
        loss.backward()
        parameters = list(model.get_submodule(optimizer).parameters())
        found[optimizer] = torch.cat([p.grad.double().flatten() for p in parameters if p.grad is not None])

    model.optimizers = lambda: ("generator", "discriminator")  # type: ignore[method-assign,assignment,return-value]
    model.descend = descend  # type: ignore[method-assign,assignment]
    image, mask = (torch.cat([plane.to(dtype)] * 2) for plane in scene(64))
    image = image + 0.2 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    rounded = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    with torch.autocast("cpu", rounded, enabled=precision.endswith("mixed"), cache_enabled=False):
        model.learn_train({"image": image, "mask": mask})
    return found


def test_mixed_precision_keeps_the_direction_of_the_gradients(built: Builder) -> None:
    exact = gradients(built, "64-true", torch.float64)
    for precision in ("bf16-mixed", "16-mixed"):
        for network, rounded in gradients(built, precision).items():
            cosine = torch.cosine_similarity(exact[network], rounded, dim=0)
            assert 0.999 < cosine < 1 - 1e-9, (precision, network)


# ------------------------------------------------------------------------------------------------- what it was made for


def refused(verb: str, *settings: str, cwd: Path) -> str:
    done = run_here(verb, *settings, cwd=cwd)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()[-1:]
    return line


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["data.size=256"], "model.image_size is 256 x 256"),
        (["model.image_size=64"], "made for images of 64 x 64 pixels.* but data.size is 32 x 32 pixels; give others"),
        (["mask=block"], "holes inside rows and columns 8 to 23, but a picture with this mask has its hole in rows"),
        (["data.batch_size=1"], "trains on at least 2 pictures a batch"),
        (["-m", "mask=center,half"], "a picture with this mask has its hole in rows 0 to 31"),
    ],
)
def test_a_training_of_what_it_was_not_made_for_is_refused(tmp_path: Path, settings: list[str], sentence: str) -> None:
    line = refused("train", f"model={NAME}", *TINY, *CENTRE, *settings, cwd=tmp_path)
    assert re.search(sentence, line), line
    assert not list(tmp_path.rglob("*.ckpt"))


UNTRAINED = (f"model={NAME}", "untrained=true", "data.size=32", "model.width=0.0625", "model.bottleneck=8")


def manifest(folder: Path, size: int, fraction: float) -> None:
    bins = f"bins={{fixed:{{_target_:inpaintlab.masks.Center,fraction:{fraction}}}}}"
    toy = ("data=toy", f"data.size={size}", "images=2", "~bins", f"+{bins}", "out=test.json")
    assert run_here("manifest", *toy, cwd=folder).returncode == 0


def evaluating(*settings: str) -> list[str]:
    return [*UNTRAINED, "manifest=test.json", "trainer=cpu", "workers=0", "label=ce", *settings]


@pytest.mark.parametrize(
    ("size", "fraction", "fault"),
    [(48, 0.5, "all are 48 x 48 pixels"), (32, 0.75, "has its hole in rows 4 to 27 and columns 4 to 27")],
)
def test_other_test_sets_are_refused_or_resized_and_the_result_says_so(
    tmp_path: Path, size: int, fraction: float, fault: str
) -> None:
    manifest(tmp_path, size, fraction)
    line = refused("evaluate", *evaluating(), cwd=tmp_path)
    assert "ce completes images of 32 x 32 pixels, with holes inside rows and columns 8 to 23; 2 of 2 images" in line
    assert fault in line
    assert "fit=resize" in line
    assert not (tmp_path / "results").exists()
    if size != 32:
        return
    study = tmp_path / "study.yaml"
    study.write_text(
        f"manifest: test.json\nmethods: {{ce: {{{', '.join(s.replace('=', ': ') for s in UNTRAINED)}}}}}\n"
    )
    assert fault in refused("compare", "study=study.yaml", cwd=tmp_path)
    done = run_here("evaluate", *evaluating("fit=resize"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Result.load(tmp_path / "results/ce").switches["fit"] == "resize (2 of 2 images)"


def test_a_test_set_that_fits_has_the_same_result_whatever_fit_says(tmp_path: Path) -> None:
    manifest(tmp_path, 32, 0.5)
    for setting in ("fit=refuse", "fit=resize"):
        done = run_here("evaluate", *evaluating(setting), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "is there already" in done.stdout
    assert "fit" not in Result.load(tmp_path / "results/ce").switches


def test_other_photographs_are_refused_or_resized_and_known_pixels_stay(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(256, (40, 60, 3), generator=generator).byte().numpy()
    mask = torch.zeros(40, 60)
    mask[3:21, 30:58] = 255
    Image.fromarray(picture).save(tmp_path / "photo.png")
    Image.fromarray(mask.byte().numpy()).save(tmp_path / "mask.png")
    given = [*UNTRAINED, "image=photo.png", "holes=mask.png", "out=done.png"]
    line = refused("complete", *given, cwd=tmp_path)
    assert "photo.png is 40 x 60 pixels: give fit=resize" in line
    assert not (tmp_path / "done.png").exists()
    done = run_here("complete", *given, "fit=resize", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "21.0% filled, resized to 32 pixels" in done.stdout
    completed: Any = torch.frombuffer(bytearray(Image.open(tmp_path / "done.png").tobytes()), dtype=torch.uint8)
    same = (completed.view(40, 60, 3) == torch.from_numpy(picture)).all(dim=2)
    assert same[mask == 0].all()
    assert not same[mask > 0].all()
