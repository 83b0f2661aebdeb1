"""Table 8: the loss function, on unaligned data."""

from ml_collections import ConfigDict

from configs.sweeps import common

CHANGES = {
    'L1': {'objective.loss': 'l1'},
    'L2': {'objective.loss': 'l2'},
    'Huber': {'objective.loss': 'huber'},
}


def get_config(variants: str = '') -> ConfigDict:
    runs = common.changed(common.sugrm, CHANGES, variants)
    return common.sweep('table8', '8', 'L1', runs, variants)
