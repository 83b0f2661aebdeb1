"""Where to look for SUGRM's settings: for configs/mosi.py, mosei.py and variants.

By field of the config: numbers from `low` to `high` (with `log`, small ones are looked
at as closely as large ones; with `step`, only every so often), or one of `choices`.
"""


def get_space() -> dict[str, dict]:
    rate = dict(low=1e-4, high=1e-2, log=True)
    dropout = dict(low=0.0, high=0.5, step=0.1)
    return {
        'optim.groups.encoder.lr': rate,
        'optim.groups.other.lr': rate,
        'optim.groups.encoder.weight_decay': dict(choices=(0.0, 1e-4, 1e-3, 1e-2)),
        'optim.accumulate': dict(choices=(1, 2, 4)),
        'objective.loss': dict(choices=('l1', 'huber')),
        # Of all heads, as long as the config does not part them.
        'model.output_dropout.m': dropout,
        'model.spt.dropout.embedding': dropout,
        'model.spt.dropout.attention': dropout,
        'model.spt.dropout.relu': dropout,
        'model.spt.dropout.residual': dropout,
        'model.spt.heads': dict(choices=(2, 4, 8)),
    }
