"""Table 3: which unimodal tasks are trained beside the multimodal one."""

from ml_collections import ConfigDict

from configs.sweeps import common

TASKS = {
    'M': ('m',),
    'M,V': ('m', 'v'),
    'M,A': ('m', 'a'),
    'M,T': ('m', 't'),
    'M,A,V': ('m', 'a', 'v'),
    'M,A,T': ('m', 't', 'a'),
    'M,V,T': ('m', 't', 'v'),
    'M,T,A,V': ('m', 't', 'a', 'v'),
}


def get_config(variants: str = '') -> ConfigDict:
    changes = {label: {'model.tasks': tasks} for label, tasks in TASKS.items()}
    runs = common.changed(common.sugrm, changes, variants)
    return common.sweep('table3', '3', 'M,T,A,V', runs, variants)
