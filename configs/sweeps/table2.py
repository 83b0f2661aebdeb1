"""Table 2: every system on unaligned data.

What needs aligned data learns to align by itself, with CTC. The paper's table lacks TFN
and MAG-BERT, which are here, too.
"""

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
    'EF-LSTM+CTC': ef_lstm,
    'LF-LSTM': lf_lstm,
    'TFN+CTC': tfn,
    'RAVEN+CTC': raven,
    'MCTN+CTC': mctn,
    'MulT': mult,
    'SPT': spt,
    'MAG-BERT+CTC': mag_bert,
    'Self-MM': self_mm,
}


def get_config(variants: str = '') -> ConfigDict:
    runs = common.baselines(SYSTEMS, variants)
    for label, config in runs.items():
        if label.endswith('+CTC'):
            config.model.align = 'ctc'
    runs['SUGRM'] = common.sugrm(variants)
    return common.sweep('table2', '2', 'SUGRM', runs, variants)
