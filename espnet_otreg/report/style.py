"""How pictures look: readable on white, distinguishable with any colour vision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from espnet_otreg.errors import UserError

# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
GREY = "#666666"
SETTINGS = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def load_pyplot() -> Any:
    """matplotlib.pyplot, drawing to files only.

    Raises:
        UserError: if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(
            "pictures need matplotlib, which is not installed",
            mend="pip install 'espnet_otreg[report]'",
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: str | Path) -> None:
    """Write a PNG whole or not at all, without the date that would make every file differ."""
    from espnet_otreg.files import atomic_write

    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=160, metadata={"Software": None})
    load_pyplot().close(figure)
