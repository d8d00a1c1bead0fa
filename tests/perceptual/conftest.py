"""Random weights in the form and under the names of the published ones, in a torch.hub folder of the tests' own."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))  # tests/stand_ins
STARTED = runpy.run_path(str(HERE / "start" / "sitecustomize.py"))  # before anything imports torchvision

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as TORCH_HOME that holds weights for every network, random but the same each time."""
    import torchvision
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    home = tmp_path_factory.mktemp("torch")
    checkpoints = home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.manual_seed(0)
    models = torchvision.models
    networks = {
        "alexnet-owt-7be5be79.pth": models.alexnet(),
        "vgg16-397923af.pth": models.vgg16(),
        "inception_v3_google-0cc3c7bd.pth": models.inception_v3(init_weights=False),
    }
    with pytest.MonkeyPatch.context() as patch:  # torch-fidelity makes no network without a file of weights
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr(torch, "load", lambda *args, **options: None)
        networks["weights-inception-2015-12-05-6726825d.pth"] = FeatureExtractorInceptionV3("any", ["2048"], "none")
    for name, network in networks.items():
        for part in network.modules():
            if isinstance(part, nn.Conv2d):  # as they are made, features of the last layers are all but zero
                nn.init.kaiming_normal_(part.weight)
        torch.save(network.state_dict(), checkpoints / name)
    return home


@pytest.fixture
def weights(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files, where torch.hub looks for them in this test."""
    monkeypatch.setenv("TORCH_HOME", str(hub))
    return hub / "hub" / "checkpoints"


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of torch.hub's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"
