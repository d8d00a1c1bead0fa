"""Checks before a comparison: whether results belong into one table, and whether its settings can be met."""

from collections.abc import Sequence
from pathlib import Path

from inpaintlab.comparison.papers import PaperMethod, load_papers
from inpaintlab.evaluation import Result
from inpaintlab.metrics import Meaning


def check(results: list[Result]) -> None:
    """Check that results belong into one table.

    Raises:
        ValueError: the manifests differ, the images or masks differ although the manifests' hashes agree, two results
            have the same label, or two results define a metric differently.
    """
    _check_manifests(results)
    seen: dict[str, Result] = {}
    for result in results:
        if other := seen.get(result.label):
            raise ValueError(
                f'Two results are called "{result.label}" ({other.folder} and {result.folder}): '
                "evaluate one of them again with another label=..."
            )
        seen[result.label] = result
    for metric in {name: None for result in results for name in result.metrics}:
        first, *others = [result for result in results if metric in result.metrics]
        for other in others:
            if other.metrics[metric] != first.metrics[metric]:
                raise ValueError(
                    f"{metric} means different things in {first.folder} ({_in_words(first.metrics[metric])}) and in "
                    f"{other.folder} ({_in_words(other.metrics[metric])}): evaluate one of them again, "
                    "so that both use one definition."
                )


def check_settings(
    labels: Sequence[str], out: Path, pictures: int, reference: str | None, published: Sequence[str]
) -> None:
    """Check the settings of a comparison before any long work.

    Args:
        labels: the methods that will be compared.
        out: the folder for tables and report.
        pictures: number of test images in the report.
        reference: the label that differences are taken from; None for the best method.
        published: names of published tables.

    Raises:
        ValueError: ``pictures`` is negative, ``out`` is a file, or there is no such reference or published table.
    """
    if pictures < 0:
        raise ValueError(f"pictures={pictures} is negative: give the number of test images that the report shows.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={out} is a file: name the folder that the tables and the report go to.")
    if reference is not None and reference not in labels:
        raise ValueError(f"reference={reference} is none of the results: give one of {', '.join(labels)}.")
    load_papers(published)


def _in_words(metric: Meaning) -> str:
    direction = "higher" if metric.higher_is_better else "lower"
    return f"{metric.definition} Unit: {metric.unit or 'none'}, {direction} is better"


def comparable(published: list[PaperMethod], results: list[Result]) -> list[PaperMethod]:
    """The published methods, after checking that they share a metric with the results.

    Raises:
        ValueError: no result has a metric of the published tables.
    """
    measured = {metric for result in results for metric in result.metrics}
    names = dict.fromkeys(metric for method in published for metric, _ in method.means)
    if published and not measured & set(names):
        raise ValueError(
            f"The published numbers are {', '.join(names)}, and no result was scored so: evaluate with those metrics, "
            "or leave out published=."
        )
    return published


def _check_manifests(results: list[Result]) -> None:
    hashes = {result.manifest["sha256"] for result in results}
    if len(hashes) > 1:
        which = ", ".join(f"{result.folder} has {result.manifest['sha256'][:12]}" for result in results)
        raise ValueError(
            f"The results come from different manifests ({which}): evaluate every method on the same manifest."
        )
    columns = ["name", "bin", "mask_sha256"]
    first = results[0].per_image.select(columns).sort("name")
    for other in results[1:]:
        if not first.equals(other.per_image.select(columns).sort("name")):
            raise ValueError(
                f"{results[0].folder} and {other.folder} name the same manifest, but their per_image.parquet list "
                "other images or masks: evaluate both again."
            )
