"""Table 4: Self-MM on the way to SUGRM, and SUGRM without each of its parts."""

from ml_collections import ConfigDict

from configs.baselines import self_mm
from configs.sweeps import common

# SUGRM's labels need the features of all tasks in one space; it is as wide as SUGRM's.
ONE_SPACE = {f'model.common_width.{task}': 32 for task in 'mtav'}
SELF_MM = {
    'Self-MM': {},
    'Self-MM, +MRM': {'model.mrm': True},
    'Self-MM, LSTM→SPT': {'model.encoder': 'spt'},
    'Self-MM, ULGM→SUGRM': {'objective.labels': 'sugrm', **ONE_SPACE},
}
SUGRM = {
    'SUGRM': {},
    'SUGRM, −MRM': {'model.mrm': False},
    'SUGRM, SPT→TE': {'model.encoder': 'transformer'},
    'SUGRM, SPT→LSTM': {'model.encoder': 'lstm'},
    'SUGRM, ULGM→Self-MM': {'objective.labels': 'self_mm'},
}


def self_mm_config(variants: str) -> ConfigDict:
    return common.baselines({'': self_mm}, variants)['']


def get_config(variants: str = '') -> ConfigDict:
    runs = common.changed(self_mm_config, SELF_MM, variants)
    runs |= common.changed(common.sugrm, SUGRM, variants)
    return common.sweep('table4', '4', 'SUGRM', runs, variants)
