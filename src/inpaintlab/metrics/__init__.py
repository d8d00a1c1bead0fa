"""Metrics of completed images, each with its definition; nothing here knows of test sets."""

from inpaintlab.metrics.edges import EdgeF1, EdgeMetric, EdgePrecision, EdgeRecall
from inpaintlab.metrics.features import FeatureNetwork, HEDFeatures, InceptionTF2015
from inpaintlab.metrics.fitting import divided, require_direction, require_enough, require_fitting
from inpaintlab.metrics.gray import MAERelativeGray, PSNRGray, SSIMUniform51Gray
from inpaintlab.metrics.lpips import LPIPS
from inpaintlab.metrics.meaning import Meaning
from inpaintlab.metrics.metric import PerImageMetric, finite_mean, score
from inpaintlab.metrics.rgb import MAE, PSNR, SSIM, MAEBand, MAEHole
from inpaintlab.metrics.sets import FD, FID, KID, PIDS, UIDS, FeaturePairs, SetMetric, Times, networks_of

__all__ = [
    "FD",
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
    "HEDFeatures",
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
    "divided",
    "finite_mean",
    "networks_of",
    "require_direction",
    "require_enough",
    "require_fitting",
    "score",
]
