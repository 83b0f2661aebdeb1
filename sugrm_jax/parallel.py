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
    """Puts a host batch on the devices, split by sample, packed text by row.

    Args:
      batch: its samples are a multiple of the devices; its packed rows, where there
        are any, get empty ones added until they are.
      mesh: the devices.
    """
    packing = jax.tree.map(lambda x: _fill_rows(x, mesh.size), batch.packing)
    return jax.device_put(batch.replace(packing=packing), by_sample(mesh))


def _fill_rows(x: np.ndarray, multiple: int) -> np.ndarray:
    """Rows of 0 behind `x` until there are a multiple of `multiple`."""
    missing = -len(x) % multiple
    return np.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1))


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
