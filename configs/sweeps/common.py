"""What the sweeps share: how one is written down, and SUGRM's config.

A sweep is plain values, too:

- `name`: of the sweep;
- `table`: number of the paper's table that it reruns, or '';
- `reference`: label of the run that the others are compared with;
- `runs`: labels and configs in the table's order, a tuple of pairs. Every run is a
  whole config, so it may be changed in any way before it goes in.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from configs import mosei, mosi


def sweep(
    name: str, table: str, reference: str, runs: Mapping[str, ConfigDict], variants: str
) -> ConfigDict:
    """A sweep from its runs by label; `variants` were applied to them."""
    name = '-'.join([name, *split(variants)])
    for label, config in runs.items():
        config.name = f'{name}: {label}'
    return ConfigDict(
        dict(name=name, table=table, reference=reference, runs=tuple(runs.items()))
    )


def split(variants: str) -> list[str]:
    """Names of variants, each once, in one order."""
    return sorted(set(filter(None, variants.split(','))))


def baselines(systems: Mapping[str, Any], variants: str) -> dict[str, ConfigDict]:
    """By label, the configs of baselines.

    Args:
      systems: modules of `configs.baselines` by label.
      variants: with commas between; `released` says something about SUGRM only.
    """
    names = ','.join(name for name in split(variants) if name != 'released')
    return {label: system.get_config(names) for label, system in systems.items()}


def sugrm(variants: str) -> ConfigDict:
    """SUGRM's config; the variant `mosei` is a file of its own."""
    names = split(variants)
    module = mosei if 'mosei' in names else mosi
    return module.get_config(','.join(name for name in names if name != 'mosei'))


def changed(
    get_config: Callable[[str], ConfigDict],
    changes: Mapping[str, Mapping[str, Any]],
    variants: str,
) -> dict[str, ConfigDict]:
    """By label, a config in which the fields `changes[label]` have other values."""
    runs = {label: get_config(variants) for label in changes}
    for label, fields in changes.items():
        runs[label].update_from_flattened_dict(fields)
    return runs
