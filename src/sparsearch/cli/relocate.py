"""``sparsearch relocate``: where the model of an index lies now."""

from __future__ import annotations

from typing import Annotated

import typer

from sparsearch.cli._arguments import IndexFolder
from sparsearch.cli._opening import open_index

EXAMPLES = ("sparsearch relocate papers /srv/models/splade",)


def relocate(
    index: IndexFolder,
    model: Annotated[str, typer.Argument(help="Folder of the model, or its name on the hub.")],
) -> None:
    """Tell an index that the model it was made with has been moved.

    The model is loaded to make sure that it is the same; what counts are its files. A service that
    runs finds it there when it is started again.
    """
    with open_index(index) as target:
        target.relocate_encoder(model)
        print(f"{index} finds its model in {model}")
