"""How often a drawn negative is none: it has the class of its anchor, which hidden labels hide."""

from geomix.config.base import Labels
from geomix.config.studies import Study
from geomix.data.packed import Packed

COUNT = "negatives.count"  # the axis of studies of the number of negatives


def list_collisions(study: Study, packed: Packed, labels: Labels) -> dict[int, float]:
    """Return by number of negatives m the chance that one of them has the anchor's class.

        1 - (1 - 1/C)^m,  C classes of train, all as likely

    It is 0 where labels are given: the loss leaves such negatives out.

    Args:
        study: Nothing is returned of one that does not vary this number.
        packed: The data set.
        labels: What training knows.

    Source:
        Ash et al. (arXiv:2106.09943).
    """
    classes = packed.samples["label"].iloc[packed.rows("train")].nunique()
    hidden = float(study.fixed.get("labels", labels) == "hidden")
    return {m: hidden * (1 - (1 - 1 / classes) ** m) for m in study.axes.get(COUNT, [])}
