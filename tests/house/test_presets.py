"""What each preset in conf/model and conf/experiment holds, and that it differs from its parent in that alone."""

from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from inpaintlab.inpainting import Schedule
from inpaintlab.recipes import plain
from stand_ins.building import Composer

ABSENT = "(absent)"
Settings = dict[str, Any]

AS_IT_IS = {"learning_rate": None, "warm_up": 0, "rate": "constant"}
GLCIC_PHASES = {
    "completion": {"batches": 90_000, **AS_IT_IS},
    "discriminator": {"batches": 10_000, **AS_IT_IS},
    "joint": {"batches": 400_000, **AS_IT_IS},
}


def flat(settings: Any, prefix: str = "") -> Settings:
    """Dotted keys to their values; a list is one value."""
    found: Settings = {}
    for key, value in plain(settings).items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def delta(child: Any, parent: Any) -> Settings:
    """What a child changes: key to its value, or to ABSENT where it has no such key."""
    ours, theirs = flat(child), flat(parent)
    missing = object()
    changed = {key: value for key, value in ours.items() if theirs.get(key, missing) != value}
    return changed | dict.fromkeys(theirs.keys() - ours.keys(), ABSENT)


def preset(composed: Composer, name: str, size: int = 256) -> DictConfig:
    return composed(f"model={name}", "data=toy", f"data.size={size}").model


def experiment(composed: Composer, name: str) -> DictConfig:
    folders = ["data.root=/pictures", *(["mask.root=/masks"] if "edgeconnect" in name else [])]
    cfg = composed(f"experiment={name}", *folders)
    return DictConfig({"model": plain(cfg.model), "data": plain(cfg.data), "mask": plain(cfg.mask)})


def test_a_delta_tells_what_is_changed_added_and_missing() -> None:
    parent = {"a": 1, "b": {"c": None, "d": [1, 2]}, "e": None}
    child = {"a": 1, "b": {"c": 0, "d": [1, 2], "f": None}}
    assert delta(child, parent) == {"b.c": 0, "b.f": None, "e": ABSENT}


# -------------------------------------------------------------------------------------------------------------- GLCIC


def test_glcic_has_the_papers_numbers(composed: Composer) -> None:
    assert plain(preset(composed, "glcic")) == {
        "_target_": "inpaintlab.models.GLCIC",
        "_convert_": "all",
        "schedule": {"_target_": "inpaintlab.inpainting.Schedule", "phases": GLCIC_PHASES},
        "optimizer": {"_target_": "torch.optim.Adadelta", "_partial_": True, "rho": 0.9, "eps": 1e-6},
        "weights": {
            "completion": {"reconstruction": 1.0},
            "joint": {"reconstruction": 1.0, "adversarial": 4e-4},
            "discriminator": {"real": 1.0, "fake": 1.0},
            "joint_discriminator": {"real": 1.0, "fake": 1.0},
        },
        "image_size": 256,
        "patch_size": 128,
        "global_convolutions": 6,
        "local_convolutions": 5,
        "width": 1.0,
        "pixels": "centred",
        "norm_first": True,
        "bias": True,
        "learning_rate": 1.0,
        "mean_pixel": None,
        "reconstruction": "mse",
        "reduction": "all",
        "judged": "completed",
        "real_patch": "random",
        "frozen_norm": "batch",
    }


@pytest.mark.parametrize("size", [64, 256, 512])
def test_glcics_window_is_half_the_image_of_any_size(composed: Composer, size: int) -> None:
    model = preset(composed, "glcic", size)
    assert (model.image_size, model.patch_size) == (size, size // 2)


@pytest.mark.parametrize("name", ["glcic", "glcic_celeba", "glcic_otenim", "glcic_mmagic"])
def test_every_glcic_preset_changes_phase_at_the_papers_batches(composed: Composer, name: str) -> None:
    schedule: Schedule = instantiate(preset(composed, name).schedule, _convert_="all")
    found = []
    for batch in (0, 89_999, 90_000, 99_999, 100_000, 499_999):
        schedule.iteration = batch
        found.append((schedule.phase.name, schedule.phase.learning_rate, schedule.finished))
    names = ["completion", "completion", "discriminator", "discriminator", "joint", "joint"]
    assert found == [(phase, None, False) for phase in names]
    schedule.advance()
    assert schedule.finished


def test_celeba_changes_the_window_and_the_global_branch_alone(composed: Composer) -> None:
    child, parent = preset(composed, "glcic_celeba", 160), preset(composed, "glcic", 160)
    assert child.image_size == 160
    assert delta(child, parent) == {"patch_size": 96, "global_convolutions": 5}


def test_otenim_changes_what_its_code_does_differently(composed: Composer) -> None:
    child, parent = preset(composed, "glcic_otenim", 160), preset(composed, "glcic_celeba", 160)
    assert delta(child, parent) == {
        "weights.joint.reconstruction": 1 / 2,  # (reconstruction + alpha * adversarial) / 2
        "weights.joint.adversarial": 4e-4 / 2,
        "weights.discriminator.real": 1 / 2,  # (real + fake) / 2
        "weights.discriminator.fake": 1 / 2,
        "weights.joint_discriminator.real": 4e-4 / 2,  # in phase 3 times alpha
        "weights.joint_discriminator.fake": 4e-4 / 2,
        "pixels": "filled",
        "norm_first": False,
        "judged": "raw",
        "frozen_norm": "moving",
    }


def test_mmagic_changes_what_its_code_does_differently(composed: Composer) -> None:
    assert delta(preset(composed, "glcic_mmagic"), preset(composed, "glcic")) == {
        "optimizer._target_": "torch.optim.Adam",
        "optimizer.betas": [0.9, 0.999],
        "optimizer.rho": ABSENT,
        "optimizer.eps": ABSENT,
        "weights.completion.reconstruction": 2.0,  # weight 1 in [-1, 1] is weight 2 in [0, 1]
        "weights.joint.reconstruction": 2.0,
        "weights.joint.adversarial": 1e-3,
        "pixels": "signed",
        "bias": False,
        "learning_rate": 4e-4,
        "mean_pixel": [0.5, 0.5, 0.5],
        "reconstruction": "l1",
        "reduction": "hole",
        "real_patch": "same",
    }


# -------------------------------------------------------------------------------------------------------- EdgeConnect


def test_edgeconnect_has_the_released_examples_numbers(composed: Composer) -> None:
    assert plain(preset(composed, "edgeconnect")) == {
        "_target_": "inpaintlab.models.EdgeConnect",
        "_convert_": "all",
        "schedule": {
            "_target_": "inpaintlab.inpainting.Schedule",
            "phases": {
                "edge": {"batches": 2_000_000, **AS_IT_IS},
                "inpaint": {"batches": 2_000_000, **AS_IT_IS},
                "edge_inpaint": {"batches": 0, **AS_IT_IS},
                "joint": {"batches": 2_000_000, **AS_IT_IS},
            },
        },
        "gan": {"_target_": "inpaintlab.losses.NonSaturating"},
        "weights": {
            "edge": {"adversarial": 1.0, "feature_matching": 10.0},
            "inpaint": {"l1": 1.0, "adversarial": 0.1, "perceptual": 0.1, "style": 250.0},
            "discriminator": {"real": 0.5, "fake": 0.5},
        },
        "width": 1.0,
        "learning_rate": 1e-4,
        "discriminator_ratio": 0.1,
        "betas": [0.0, 0.9],
        "edges": {"_target_": "inpaintlab.edges.Canny", "sigma": 2.0},
        "vgg": "imagenet",
        "vgg_normalised": False,
        "spectral_norm": ["edge_generator", "edge_discriminator", "inpaint_discriminator"],
        "fill": "white",
        "output": "colours",
        "conditional": False,
        "style_region": "hole",
        "joint": "code",
        "train_edges": "whole",
        "test_edges": "known",
        "hole_edges": "drawn",
        "test_composite": True,
    }


def test_the_paper_of_edgeconnect_changes_what_it_says_differently(composed: Composer) -> None:
    rule = {"shape": "plateau", "factor": 0.1, "end": 1e-5, "window": 5000, "patience": 50_000, "threshold": 0.01}
    assert delta(preset(composed, "edgeconnect_paper"), preset(composed, "edgeconnect")) == {
        **{f"schedule.phases.{phase}.rate": ABSENT for phase in ("edge", "inpaint")},  # a word in the parent
        **{f"schedule.phases.{phase}.rate.{key}": of for phase in ("edge", "inpaint") for key, of in rule.items()},
        "schedule.phases.joint.learning_rate": 1e-6,
        "spectral_norm": ["edge_generator", "edge_discriminator"],
        "fill": "zero",
        "conditional": True,
        "style_region": "known",
        "joint": "paper",
    }


@pytest.mark.parametrize("phase", ["edge", "inpaint", "edge_inpaint", "joint"])
@pytest.mark.parametrize("name", ["edgeconnect", "edgeconnect_paper"])
def test_a_schedule_of_one_phase_runs_that_phase_alone(composed: Composer, name: str, phase: str) -> None:
    phases = composed(f"model={name}", f"model/schedule={phase}_only").model.schedule.phases
    assert {key: settings.batches for key, settings in phases.items() if settings.batches} == {phase: 2_000_000}


# ----------------------------------------------------------------------------------------------- partial convolutions


def test_partial_convolutions_have_the_papers_numbers(composed: Composer) -> None:
    assert plain(preset(composed, "partial_convolution", 512)) == {
        "_target_": "inpaintlab.models.PartialConvolution",
        "_convert_": "all",
        "schedule": {
            "_target_": "inpaintlab.inpainting.Schedule",
            "phases": {
                "train": {"batches": 500_000, **AS_IT_IS},
                "finetune": {"batches": 500_000, **AS_IT_IS, "learning_rate": 5e-5},
            },
        },
        "weights": {"network": {"valid": 1.0, "hole": 6.0, "perceptual": 0.05, "style": 120.0, "total_variation": 0.1}},
        "image_size": 512,
        "levels": 8,
        "width": 1.0,
        "first_bias": False,
        "pixels": "normalised",
        "reduction": "all",
        "variation": "near",
        "frozen_norm": "all",
        "learning_rate": 2e-4,
        "betas": [0.9, 0.999],
        "vgg": "imagenet",
        "vgg_planes": "rgb",
    }


def test_naoto0804_and_mmagic_change_what_their_code_does_differently(composed: Composer) -> None:
    parent = preset(composed, "partial_convolution")
    assert delta(preset(composed, "partial_convolution_naoto0804"), parent) == {
        "levels": 7,
        "variation": "everywhere",
        "frozen_norm": "statistics",
    }
    assert delta(preset(composed, "partial_convolution_mmagic"), parent) == {
        "schedule.phases.train.batches": 800_000,
        "levels": 7,
        "first_bias": True,
        "pixels": "signed",
        "reduction": "hole",
        "variation": "from",
        "vgg_planes": "bgr",
    }


# ------------------------------------------------------------------------------------------------ contextual attention


def test_contextual_attention_has_the_released_codes_numbers(composed: Composer) -> None:
    assert plain(preset(composed, "contextual_attention", 256)) == {
        "_target_": "inpaintlab.models.ContextualAttention",
        "_convert_": "all",
        "schedule": {
            "_target_": "inpaintlab.inpainting.Schedule",
            "phases": {"train": {"batches": 6_000_000, **AS_IT_IS}},
        },
        "weights": {
            "generator": {"l1": 1.2, "ae": 1.2, "adversarial": 0.001},
            "critics": {"wgan": 1.0, "penalty": 10.0, "drift": None},
        },
        "coarse_weight": 1.2,
        "image_size": 256,
        "patch_size": 128,
        "width": 1.0,
        "flavour": "released",
        "planes": "bgr",
        "reconstruction": "released",
        "discount": 0.9,
        "penalty": "hole",
        "critic_steps": 5,
        "generator_batch": "own",
        "learning_rate": 1e-4,
        "betas": [0.5, 0.9],
    }


def test_the_ports_of_contextual_attention_change_what_their_code_does_differently(composed: Composer) -> None:
    parent = preset(composed, "contextual_attention")
    assert delta(preset(composed, "contextual_attention_daa233"), parent) == {
        "schedule.phases.train.batches": 500_000,
        "flavour": "daa233",
        "planes": "rgb",
        "reconstruction": "daa233",
        "penalty": "everywhere",
        "generator_batch": "shared",
    }
    assert delta(preset(composed, "contextual_attention_mmagic"), parent) == {
        "schedule.phases.train.batches": 5_000_003,
        "weights.generator.l1": 1.0,
        "weights.generator.ae": 1.0,
        "weights.generator.adversarial": 1e-4,
        "weights.critics.drift": 5e-4,
        "coarse_weight": 1.0,
        "flavour": "mmagic",
        "reconstruction": "mmagic",
        "penalty": "pixels",
        "generator_batch": "shared",
        "betas": [0.9, 0.999],
    }


# ----------------------------------------------------------------------------------------------------- Context Encoder


def test_context_encoder_has_the_codes_numbers(composed: Composer) -> None:
    assert plain(preset(composed, "context_encoder", 128)) == {
        "_target_": "inpaintlab.models.ContextEncoder",
        "_convert_": "all",
        "schedule": {
            "_target_": "inpaintlab.inpainting.Schedule",
            "phases": {"train": {"batches": 500 * -(-14_900 // 64), **AS_IT_IS}},
        },
        "weights": {
            "generator": {"reconstruction": 0.999, "adversarial": 0.001},
            "discriminator": {"real": 1.0, "fake": 1.0},
        },
        "image_size": 128,
        "region": "centre",
        "overlap": 4,
        "seen_weight": 10.0,
        "bottleneck": 4000,
        "width": 1.0,
        "bias": False,
        "learning_rate": 2e-4,
        "generator_ratio": 10.0,
        "betas": [0.5, 0.999],
    }


def test_random_regions_and_boyuanjiang_change_what_their_code_does_differently(composed: Composer) -> None:
    parent = preset(composed, "context_encoder")
    assert delta(preset(composed, "context_encoder_random"), parent) == {
        "region": "random",
        "overlap": 0,
        "seen_weight": 1.0,
    }
    assert delta(preset(composed, "context_encoder_boyuanjiang"), parent) == {
        "schedule.phases.train.batches": 200 * -(-14_900 // 64),
        "weights.generator.reconstruction": pytest.approx(0.999**2),
        "generator_ratio": 1.0,
    }


# ---------------------------------------------------------------------------------------------------------- PatchMatch


def test_patchmatch_has_the_papers_patches_search_and_votes(composed: Composer) -> None:
    assert plain(preset(composed, "patchmatch")) == {
        "_target_": "inpaintlab.models.PatchMatch",
        "patch_size": 7,
        "smallest": 32,
        "ratio": 0.5**0.5,
        "rounds": 30,
        "fewer_rounds": 4,
        "least_rounds": 2,
        "scans": 2,
        "falloff": 1.3,
        "percentile": 75.0,
        "tolerance": 0.0005,
        "last": "copy",
        "seed": 0,
    }


# ------------------------------------------------------------------------------------------------------ Image Melding


def test_image_melding_has_the_scripts_numbers_and_says_which_switches_are_off(composed: Composer) -> None:
    assert plain(preset(composed, "image_melding")) == {
        "_target_": "inpaintlab.models.ImageMelding",
        "_convert_": "all",
        "patch_size": 10,
        "levels": 10,
        "smallest": 35,
        "rounds": 30 - 3,
        "fewer_rounds": 3,
        "least_rounds": 5,
        "speed": 2,
        "guesses": 30,
        "rotation": 45.0,
        "scale": [0.9, 1.2],
        "stretch": [1.0, 1.0],
        "reflection": False,
        "adjust": False,
        "gain": [0.95, 1.05],
        "bias": 5.0,
        "gradients": 0.1,
        "smoothness": 0.1,
        "certainty": 200.0,
        "falloff": 1.3,
        "far": 5.0,
        "coherence": False,
        "seed": 0,
    }


# ---------------------------------------------------------------------------------------------------- planar structure


def test_planar_structure_has_the_authors_last_numbers_and_the_terms_that_they_switched_off(composed: Composer) -> None:
    found = flat(preset(composed, "planar_structure"))
    assert {key: value for key, value in found.items() if not key.startswith("detector.") and key[0] != "_"} == {
        "planes._target_": "inpaintlab.imaging.PlaneFinder",
        "planes.blur": 120.7,  # 20 times a Gaussian of 50 cut at 100 pixels: tests/imaging/test_planes
        "planes.parallel_density": 1e-4,
        "planes.floor": 0.05,
        "regularity._target_": "inpaintlab.imaging.RegularityFinder",
        "regularity.most_features": 1000,
        "regularity.contrast": 0.04,
        "regularity.least_posterior": 0.5,
        "regularity.shortest": 10.0,  # the square root of 100
        "regularity.longest": 1000.0,
        "regularity.bandwidth": 20.0,
        "regularity.least_members": 5,
        "patch_size": 9,
        "patch_sigma": 4.0,
        "smallest": 32,
        "iterations": [max(10 - level, 3) for level in range(1, 11)],
        "most_bias": 0.05,
        "scales": [0.75, 1.25],
        "plane_weight": 0.05,
        "direction_weight": 5.0,
        "direction_limit": 0.05,
        "proximity_weight": 0.2,
        "proximity_slack": 0.25,
        "regularity_bonus": 0.02,
        "regularity_draws": 5,
        "propagated_plane": "neighbour",
        "nearness": [1.0, 2.0],
        "seed": 0,
    }


def test_the_release_of_planar_structure_lacks_two_terms(composed: Composer) -> None:
    child, parent = preset(composed, "planar_structure_release"), preset(composed, "planar_structure")
    assert delta(child, parent) == {
        "proximity_weight": 0.0,
        "regularity_bonus": 0.0,
        "regularity_draws": 0,
        "propagated_plane": "own",
    }


# --------------------------------------------------------------------------------------------------------- parameters

D_WITHOUT_BIAS = 45_063_681 - (64 + 128 + 256 + 512 + 512 + 512) - (64 + 128 + 256 + 512 + 512)
PAPERS_D2 = 16 * (4 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1) + (64 + 128 + 256 + 512 + 1)

COUNTS = [
    ("contextual_attention", 256, {"generator": 3_601_542, "critics": 4_339_329 + 2_733_441}),
    ("contextual_attention_daa233", 256, {"generator": 3_601_542, "critics": 2_684_289 + 2_733_441}),
    ("contextual_attention_mmagic", 256, {"generator": 3_601_542, "critics": 4_339_329 + 2_733_441}),
    ("glcic", 256, {"completion": 6_072_131, "discriminator": 45_063_681}),
    ("glcic_celeba", 160, {"completion": 6_072_131, "discriminator": 39_557_121}),
    ("glcic_otenim", 160, {"completion": 6_072_131, "discriminator": 39_557_121}),
    ("glcic_mmagic", 256, {"completion": 6_069_155, "discriminator": D_WITHOUT_BIAS}),
    (
        "edgeconnect",
        256,
        {
            "edge_generator": 10_761_089,
            "edge_discriminator": 2_762_752,
            "inpaint_generator": 10_774_595,
            "inpaint_discriminator": 2_763_776,
        },
    ),
    (
        "edgeconnect_paper",
        256,
        {
            "edge_generator": 10_761_089,
            "edge_discriminator": 2_762_752,
            "inpaint_generator": 10_774_595,
            "inpaint_discriminator": PAPERS_D2,
        },
    ),
]


@pytest.mark.parametrize(("name", "size", "counts"), COUNTS, ids=[name for name, _, _ in COUNTS])
def test_a_presets_networks_have_the_published_parameters(
    composed: Composer, name: str, size: int, counts: dict[str, int]
) -> None:
    with torch.device("meta"):
        model = instantiate(preset(composed, name, size))
    parts: dict[str, nn.Module] = {part: getattr(model, part) for part in counts}
    assert {part: sum(p.numel() for p in net.parameters()) for part, net in parts.items()} == counts


def test_discriminators_without_biases_have_mmagics_parameters() -> None:
    assert D_WITHOUT_BIAS == 45_060_225


# -------------------------------------------------------------------------------------------------------- experiments


def test_glcics_experiment_has_the_papers_data(composed: Composer) -> None:
    found = experiment(composed, "paper_glcic")
    assert delta(found.model, preset(composed, "glcic")) == {}
    assert (found.data.size, found.data.batch_size, found.data.flip) == (256, 96, 0.0)
    assert found.data.crop == {
        "_target_": "inpaintlab.data.RandomCrop",
        "size": 256,
        "shortest_edge": [256 / 256, 384 / 256],
    }
    assert found.mask._target_ == "inpaintlab.masks.Rectangle"
    assert list(found.mask.height) == list(found.mask.width) == [96 / 256, 128 / 256]


CELEBA_HOLES = {"mask.height": [48 / 160, 96 / 160], "mask.width": [48 / 160, 96 / 160]}

EXPERIMENTS = {
    "paper_glcic_celeba": {
        "data.size": 160,
        "data.crop.size": 160,
        "data.crop.shortest_edge": [160 / 160, 178 / 160],
        **CELEBA_HOLES,
    },
    "otenim_glcic": {
        "data.size": 160,
        "data.batch_size": 16,
        "data.crop.size": 160,
        "data.crop.shortest_edge": [160 / 160, 160 / 160],
        **CELEBA_HOLES,
    },
    "mmagic_glcic": {"mask.height": [108 / 256, 128 / 256], "mask.width": [108 / 256, 128 / 256]},
    "paper_glcic_freeform": {
        "mask._target_": "inpaintlab.masks.RandomRegion",
        "mask.cell": 0.0651,
        "mask.level": 0.25,
        "mask.coverage": [0.2, 0.3],
        "mask.height": ABSENT,
        "mask.width": ABSENT,
    },
}
MODELS = {
    "paper_glcic_celeba": ("glcic_celeba", 160),
    "otenim_glcic": ("glcic_otenim", 160),
    "mmagic_glcic": ("glcic_mmagic", 256),
    "paper_glcic_freeform": ("glcic", 256),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_of_glcic_changes_its_data_and_names_its_preset(composed: Composer, name: str) -> None:
    child, parent = experiment(composed, name), experiment(composed, "paper_glcic")
    data_and_mask = {key: value for key, value in delta(child, parent).items() if not key.startswith("model.")}
    assert data_and_mask == EXPERIMENTS[name]
    assert delta(child.model, preset(composed, *MODELS[name])) == {}


def test_edgeconnects_experiment_has_the_released_codes_data(composed: Composer) -> None:
    found = experiment(composed, "released_edgeconnect")
    assert delta(found.model, preset(composed, "edgeconnect")) == {}
    assert (found.data.size, found.data.batch_size, found.data.flip) == (256, 8, 0.5)
    assert found.data.crop == {"_target_": "inpaintlab.data.CentreSquare", "size": 256}
    assert found.mask._target_ == "inpaintlab.masks.MaskFolder"
    assert (found.mask.threshold, found.mask.hole, found.mask.dilate) == (0.0, "white", 0)


def test_the_paper_of_edgeconnect_is_trained_on_the_released_codes_data(composed: Composer) -> None:
    child, parent = experiment(composed, "paper_edgeconnect"), experiment(composed, "released_edgeconnect")
    assert all(key.startswith("model.") for key in delta(child, parent))
    assert delta(child.model, preset(composed, "edgeconnect_paper")) == {}
