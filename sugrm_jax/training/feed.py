"""From samples on the host to a batch on the devices."""

from __future__ import annotations

from jax.sharding import Mesh

from sugrm_jax import parallel
from sugrm_jax.data.batches import gather
from sugrm_jax.types import Batch, Plan, Samples


def put_batch(samples: Samples, plan: Plan, mesh: Mesh) -> Batch:
    """One batch on the devices; each process reads only the samples of its own.

    Args:
      samples: of the split, on the host.
      plan: of one batch, index `[B]`, of which `B` the devices divide.
      mesh: the devices.
    """
    return parallel.join(gather(samples, parallel.share(plan, mesh)), mesh)
