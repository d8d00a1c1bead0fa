"""Whether the chosen metrics can be computed, checked before any work."""

from collections.abc import Mapping

from inpaintlab.metrics.metric import PerImageMetric, too_small
from inpaintlab.metrics.sets import SetMetric
from inpaintlab.shapes import Size, height_width, in_pixels


def divided(
    metrics: Mapping[str, PerImageMetric | SetMetric],
) -> tuple[dict[str, PerImageMetric], dict[str, SetMetric]]:
    """The metrics of single images and those of whole sets, by name."""
    of_sets = {name: metric for name, metric in metrics.items() if isinstance(metric, SetMetric)}
    of_images = {name: metric for name, metric in metrics.items() if isinstance(metric, PerImageMetric)}
    return of_images, of_sets


def require_fitting(metrics: Mapping[str, PerImageMetric | SetMetric], size: Size) -> None:
    """Check that settings and metrics agree and that images of ``size`` are large enough.

    Raises:
        ValueError: a metric has another name in the settings, needs larger images, or lacks a package or weights.
    """
    for name, metric in metrics.items():
        if name != metric.name:
            raise ValueError(
                f"metrics.{name} measures {metric.name}: call it metrics.{metric.name}, because a metric's name says "
                "its definition."
            )
        if isinstance(metric, PerImageMetric) and min(height_width(size)) < metric.smallest:
            raise ValueError(too_small(metric, in_pixels(size)))
        metric.require()


def require_enough(metrics: Mapping[str, SetMetric], images: int) -> None:
    """Check that a validation set has as many images as metrics of whole sets need.

    Raises:
        ValueError: it has fewer.
    """
    for name, metric in metrics.items():
        if images < metric.fewest:
            raise ValueError(
                f"{name} needs at least {metric.fewest} images, and validation has {images}: leave it out "
                f"(~metrics.{name}), or raise validation_images and see that there are as many photographs."
            )


def require_direction(monitor: str, higher_is_better: bool, metrics: Mapping[str, PerImageMetric | SetMetric]) -> None:
    """Check that the best checkpoint will be the one with the best score, and not the one with the worst.

    Args:
        monitor: ``val/`` and the name of one of the metrics.
        higher_is_better: what the settings say of it.
        metrics: by name.

    Raises:
        ValueError: it is the other way round.
    """
    metric = metrics.get(monitor.removeprefix("val/"))
    if metric is not None and bool(metric.higher_is_better) != higher_is_better:
        said, direction, right = ("true", "lower", "false") if higher_is_better else ("false", "higher", "true")
        raise ValueError(
            f"monitor.higher_is_better is {said}, but of {monitor} {direction} is better: give "
            f"monitor.higher_is_better={right}."
        )
