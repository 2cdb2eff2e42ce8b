"""A store of lower states of the tiny backbone."""

from omni_msa.model.forward import Forward
from omni_msa.model.prefix_cache import PrefixStore

ANSWERS = [(43, 46, 200), (45,), (43, 46)]


def cached(backbone, folder, weights="weights", settings=""):
    return Forward(backbone, 2, PrefixStore(folder, weights, 2, settings))
