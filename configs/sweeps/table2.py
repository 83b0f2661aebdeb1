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


def with_ctc(config: ConfigDict) -> ConfigDict:
    config.model.align = 'ctc'
    return config


def get_config(variants: str = '') -> ConfigDict:
    runs = {
        'EF-LSTM+CTC': with_ctc(ef_lstm.get_config(variants)),
        'LF-LSTM': lf_lstm.get_config(variants),
        'TFN+CTC': with_ctc(tfn.get_config(variants)),
        'RAVEN+CTC': with_ctc(raven.get_config(variants)),
        'MCTN+CTC': with_ctc(mctn.get_config(variants)),
        'MulT': mult.get_config(variants),
        'SPT': spt.get_config(variants),
        'MAG-BERT+CTC': with_ctc(mag_bert.get_config(variants)),
        'Self-MM': self_mm.get_config(variants),
        'SUGRM': common.sugrm(variants),
    }
    return common.sweep('table2', '2', 'SUGRM', runs, variants)
