"""Devices: data parallelism over one mesh axis, `data`, and compiled programs.

A device alone is a mesh of one; the same program runs on any number.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sugrm_jax.cache import cache_folder
from sugrm_jax.types import PyTree


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over the given devices, or all visible ones."""
    devices = np.array(devices or jax.devices())
    return Mesh(devices, ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def split_rows(tree: PyTree, mesh: Mesh, axis: int = 0) -> PyTree:
    """Puts host arrays on the devices, each with its share of one axis.

    Rows of 0 are added until the devices divide them; packed text needs that, while
    batches are made so that their samples divide.

    Args:
      tree: arrays that all have the axis, such as a `Batch`.
      mesh: the devices.
      axis: of samples or of packed rows.
    """
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, 'data'))
    tree = jax.tree.map(lambda x: _fill_rows(x, mesh.size, axis), tree)
    return jax.device_put(tree, sharding)


def _fill_rows(x: np.ndarray, multiple: int, axis: int) -> np.ndarray:
    """Rows of 0 behind `x` until there are a multiple of `multiple`."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = 0, -x.shape[axis] % multiple
    return np.pad(x, widths)


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """Puts a pytree on every device, whole."""
    return jax.device_put(tree, replicated(mesh))


def keep_compiled() -> None:
    """Keeps compiled programs in the user's cache folder, for the next start.

    A folder that `JAX_COMPILATION_CACHE_DIR` names is left as it is.
    """
    if jax.config.jax_compilation_cache_dir is None:
        folder = cache_folder() / 'compiled'
        jax.config.update('jax_compilation_cache_dir', str(folder))
