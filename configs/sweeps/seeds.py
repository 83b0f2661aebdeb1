"""SUGRM alone, over seeds. For another config over seeds copy this file."""

from ml_collections import ConfigDict

from configs.sweeps import common


def get_config(variants: str = '') -> ConfigDict:
    runs = {'SUGRM': common.sugrm(variants)}
    return common.sweep('seeds', '', 'SUGRM', runs, variants)
