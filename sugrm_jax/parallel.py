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

# Elements of the smallest array that is not kept whole on every device.
WORTH_SPREADING = 2**16


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over the given devices, or all visible ones."""
    devices = np.array(devices or jax.devices())
    return Mesh(devices, ('data',), axis_types=(AxisType.Auto,))


def spread(tree: PyTree, mesh: Mesh) -> PyTree:
    """Where each array lies when every device holds a part of the large ones.

    An array is split along its largest axis that the devices divide. What has one axis
    only stays whole, such as generated labels, which the host reads.

    Args:
      tree: arrays, or their shapes.
      mesh: the devices.
    """

    def place(x) -> NamedSharding:
        axes = [k for k, size in enumerate(x.shape) if size % mesh.size == 0]
        if len(x.shape) < 2 or x.size < WORTH_SPREADING or not axes:
            return replicated(mesh)
        axis = max(axes, key=lambda k: x.shape[k])
        return NamedSharding(mesh, PartitionSpec(*[None] * axis, 'data'))

    return jax.tree.map(place, tree)


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def share(tree: PyTree, mesh: Mesh) -> PyTree:
    """The rows of host arrays that the devices of this process are to hold.

    Rows of 0 are added until the devices divide them; packed text needs that, while
    batches are made so that their samples divide.

    Args:
      tree: arrays whose first axis is of samples or of packed rows.
      mesh: the devices of all processes.
    """
    own = [d.process_index == jax.process_index() for d in mesh.devices.flat]
    first, last = own.index(True), len(own) - own[::-1].index(True)

    def rows(x: np.ndarray) -> np.ndarray:
        count = -(-len(x) // mesh.size)
        x = x[first * count : last * count]
        fill = (last - first) * count - len(x)
        return np.pad(x, [(0, fill)] + [(0, 0)] * (x.ndim - 1)) if fill else x

    return jax.tree.map(rows, tree)


def join(tree: PyTree, mesh: Mesh) -> PyTree:
    """Arrays over all devices, from what every process has as its `share`."""
    sharding = NamedSharding(mesh, PartitionSpec('data'))
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
    )


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
