"""Devices: data parallelism over one mesh axis, `data`, and compiled programs.

A device alone is a mesh of one; the same program runs on any number.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sugrm_jax.cache import cache_folder
from sugrm_jax.types import Batch, PyTree


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over the given devices, or all visible ones."""
    devices = np.array(devices or jax.devices())
    return Mesh(devices, ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def by_sample(mesh: Mesh) -> NamedSharding:
    """The first axis is split over the devices."""
    return NamedSharding(mesh, PartitionSpec('data'))


def place_batch(batch: Batch, mesh: Mesh) -> Batch:
    """Puts a host batch on the devices, split by sample.

    The plan of packed text rows, which all samples share, goes to every device.
    """
    packing = jax.device_put(batch.packing, replicated(mesh))
    samples = jax.device_put(batch.replace(packing=None), by_sample(mesh))
    return samples.replace(packing=packing)


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
