"""Metrics of completed images, each with its definition; nothing here knows of test sets."""

from inpaintlab.metrics.edges import EdgeF1, EdgeMetric, EdgePrecision, EdgeRecall
from inpaintlab.metrics.features import FeatureNetwork, InceptionTF2015
from inpaintlab.metrics.gray import MAERelativeGray, PSNRGray, SSIMUniform51Gray
from inpaintlab.metrics.lpips import LPIPS
from inpaintlab.metrics.meaning import Meaning
from inpaintlab.metrics.metric import PerImageMetric, finite_mean, require_called_by_its_name, require_fitting, score
from inpaintlab.metrics.rgb import MAE, PSNR, SSIM, MAEBand, MAEHole
from inpaintlab.metrics.sets import FID, KID, PIDS, UIDS, FeaturePairs, SetMetric, Times

__all__ = [
    "FID",
    "KID",
    "LPIPS",
    "MAE",
    "PIDS",
    "PSNR",
    "SSIM",
    "UIDS",
    "EdgeF1",
    "EdgeMetric",
    "EdgePrecision",
    "EdgeRecall",
    "FeatureNetwork",
    "FeaturePairs",
    "InceptionTF2015",
    "MAEBand",
    "MAEHole",
    "MAERelativeGray",
    "Meaning",
    "PSNRGray",
    "PerImageMetric",
    "SSIMUniform51Gray",
    "SetMetric",
    "Times",
    "finite_mean",
    "require_called_by_its_name",
    "require_fitting",
    "score",
]
