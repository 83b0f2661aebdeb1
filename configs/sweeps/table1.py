"""Table 1: every system on aligned data."""

from ml_collections import ConfigDict

from configs.baselines import (
    ef_lstm,
    lf_lstm,
    mag_bert,
    mctn,
    mult,
    raven,
    self_mm,
    spt,
    tfn,
)
from configs.sweeps import common

SYSTEMS = {
    'EF-LSTM': ef_lstm,
    'LF-LSTM': lf_lstm,
    'TFN': tfn,
    'RAVEN': raven,
    'MCTN': mctn,
    'MulT': mult,
    'SPT': spt,
    'MAG-BERT': mag_bert,
    'Self-MM': self_mm,
}


def get_config(variants: str = '') -> ConfigDict:
    names = ','.join(['aligned', *common.split(variants)])
    runs = common.baselines(SYSTEMS, names)
    runs['SUGRM'] = common.sugrm(names)
    return common.sweep('table1', '1', 'SUGRM', runs, variants)
