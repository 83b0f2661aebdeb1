"""What bfloat16 costs: SUGRM on the demo's simulated videos in either compute type.

For other data copy this file and put another config in the demo's place.
"""

from ml_collections import ConfigDict

from configs import demo
from configs.sweeps import common


def get_config(variants: str = '') -> ConfigDict:
    runs = {
        'float32': demo.get_config(variants),
        'bfloat16': demo.get_config(f'{variants},bfloat16'),
    }
    return common.sweep('precision', '', 'float32', runs, variants)
