"""Names of weights in files and in the installed transformers, which renames parts of its models now and then.

DINOv2's files say `attention.attention.query` where the model of today has `attention.q_proj`; transformers keeps the
list, and files stay as they were.
"""

from collections.abc import Mapping
from typing import TypeVar

from torch import nn
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming

T = TypeVar("T")


def own_names(part: nn.Module, tensors: Mapping[str, T]) -> dict[str, T]:
    """The tensors of a file, or whatever stands for them, under the names of the part that they are for.

    Args:
        part: a model of transformers; of any other one the names are left as they are.
        tensors: by their names in the file.
    """
    if not isinstance(part, PreTrainedModel):
        return dict(tensors)
    known = part.state_dict().keys()
    listed = get_model_conversion_mapping(part, add_legacy=False)
    renamings = [entry for entry in listed if isinstance(entry, WeightRenaming)]
    named = {}
    for name, tensor in tensors.items():
        own = name
        for renaming in renamings if name not in known else ():
            own, _ = renaming.rename_source_key(own)
        named[own] = tensor
    return named
