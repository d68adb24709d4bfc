"""Where a model runs."""

from __future__ import annotations

import torch

from espnet_otreg.errors import UserError


def usable_device(name: str | torch.device) -> str:
    """The name of a device on which a tensor can be made and read again.

    Asked before a model is loaded, so that nobody waits for it in vain.

    Raises:
        UserError: if there is no such device here.

    >>> usable_device("cpu")
    'cpu'
    >>> usable_device("gpu")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    espnet_otreg.errors.UserError: gpu: this device cannot be used; give --device cpu...
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError, TypeError, ValueError, ImportError) as error:
        mend = "give --device cpu" + (", cuda or cuda:1" if torch.cuda.is_available() else "")
        raise UserError("this device cannot be used", str(name), mend) from error
    return str(device)
