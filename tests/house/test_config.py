"""The configuration is found, and its own functions give what they say."""

from omegaconf import OmegaConf

from inpaintlab.config import CONF


def test_the_folder_of_all_yaml_is_found() -> None:
    assert {path.name for path in CONF.glob("*.yaml")} >= {"train.yaml", "evaluate.yaml", "complete.yaml"}


def test_half_a_side_is_a_whole_number_of_pixels() -> None:
    cfg = OmegaConf.create({"size": 32, "patch": "${half:${size}}"})
    assert cfg.patch == 16
    assert isinstance(cfg.patch, int)
