"""What a training step sends between devices, counted in its compiled program.

    python -m benchmarks.communication
    python -m benchmarks.communication --devices=8,64 --bert=base --shard_state

Nothing is timed: simulated devices on one host say what is sent, not how fast. The
program is the one that GPUs get; data are random, of the shapes of unaligned MOSI.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from unittest import mock

import jax
import numpy as np

from benchmarks import data
from benchmarks.tables import Table, markdown
from benchmarks.training import config
from sugrm_jax import parallel
from sugrm_jax.config import plain, typed
from sugrm_jax.data.load import load
from sugrm_jax.layers.bert import Bert, BertConfig
from sugrm_jax.training.feed import put_batch
from sugrm_jax.training.plans import Plans
from sugrm_jax.training.programs import make_programs
from sugrm_jax.training.setup import Experiment, Setup, Source, build

# Layers, width, heads, feed-forward width.
BERTS = {
    'tiny': (2, 128, 2, 512),
    'minilm': (6, 384, 12, 1536),
    'base': (12, 768, 12, 3072),
}
# Utterances on each device.
BATCH = 32
BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 'f64': 8, 's64': 8, 'u64': 8}
KINDS = 'all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute'
COLLECTIVE = re.compile(rf'= (.+?) ({KINDS})(?:-start)?\(')
COMPUTATION = re.compile(r'^(?:ENTRY )?%?([\w.\-]+) \(.*\{$', re.MULTILINE)
LOOP = re.compile(r'body=%?([\w.\-]+).*?known_trip_count":\{"n":"(\d+)"')
CALLED = re.compile(
    r'(?:to_apply|calls|body|condition|true_computation|false_computation)='
    r'%?([\w.\-]+)|branch_computations=\{([^}]*)\}'
)
ARRAY = re.compile(r'(\w+)\[([\d,]*)\]')


def sent(hlo: str, devices: int) -> dict[str, float]:
    """Bytes that each device sends in one call, by kind of collective operation.

    Args:
      hlo: text of the program, compiled for that many devices. Where it loops, what is
        inside counts as often as it runs.
      devices: which pass what they have on in a ring.
    """
    names = [(m[1], m.end()) for m in COMPUTATION.finditer(hlo)]
    ends = [*(m.start() for m in COMPUTATION.finditer(hlo)), len(hlo)][1:]
    bodies = {
        name: hlo[start:end] for (name, start), end in zip(names, ends, strict=True)
    }
    total: collections.Counter = collections.Counter()

    def count(name: str, times: int) -> None:
        loops = {}
        for line in bodies[name].splitlines():
            if found := COLLECTIVE.search(line):
                total[found[2]] += times * _on_the_wire(found[1], found[2], devices)
            if found := LOOP.search(line):
                loops[found[1]] = int(found[2])
            for one, several in CALLED.findall(line):
                for called in [one] if one else re.findall(r'[\w.\-]+', several):
                    count(called, times * loops.get(called, 1))

    [entry] = re.findall(r'^ENTRY %?([\w.\-]+)', hlo, re.MULTILINE)
    count(entry, 1)
    return dict(total)


def _on_the_wire(result: str, kind: str, devices: int) -> float:
    """Bytes a device sends for an operation with such a result, as HLO writes it."""
    size = sum(
        BYTES.get(dtype, 4) * math.prod(int(n) for n in shape.split(',') if n)
        for dtype, shape in ARRAY.findall(result)
    )
    share = (devices - 1) / devices
    return {
        'all-reduce': 2 * share * size,
        'reduce-scatter': (devices - 1) * size,
        'collective-permute': size,
    }.get(kind, share * size)


def abstract_setup(bert: str, devices: int, shard_state: bool) -> Setup:
    """A run with a fine-tuned BERT, of whose parameters there are only the shapes."""
    layers, width, heads, inner = BERTS[bert]
    bert_config = BertConfig(
        vocab_size=30522,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        hidden_act='gelu',
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=512,
        type_vocab_size=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        batch = BATCH * devices
        settings = config(data.write_mosi_shaped(folder, None, batch), 'masked')
        settings.train.batch = batch
        settings.parallel.shard_state = shard_state
        experiment = typed(Experiment, plain(settings))
        dataset, _ = load(experiment.data, None, data.TOKENS, fixed_text=False)
    key, ids = jax.random.key(0), np.ones((1, data.TOKENS), np.int32)
    encoder = jax.eval_shape(Bert(bert_config).init, key, ids, ids, ids)['params']
    source = Source(dataset, None, bert_config, {'bert': encoder})
    assembly, optimizer = build(experiment, source)
    params, stats = jax.eval_shape(assembly.init, key)
    return Setup(
        experiment=experiment,
        dataset=dataset,
        scaling=None,
        system=assembly.system,
        params=params | assembly.encoder,
        stats=stats,
        frozen={},
        optimizer=optimizer,
    )


def as_on_accelerators(*arguments, default, **_):
    """In place of `jax.lax.platform_dependent`, whose forms for CPUs gather batches."""
    return default(*arguments)


def measure(bert: str, shard_state: bool) -> dict:
    """The train program on all devices of this process, for `print_table`."""
    mesh = parallel.data_mesh()
    setup = abstract_setup(bert, mesh.size, shard_state)
    programs, plans = make_programs(setup, mesh), Plans(setup, mesh.size)
    label = setup.dataset.train.label
    start = programs.start.lower(setup.params, labels=label, stats=setup.stats)
    state = jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        start.out_info,
        start.compile().output_shardings,
    )
    batch = put_batch(setup.dataset.train, plans.epoch(1)[0], mesh)
    asked = parallel.join(np.zeros(mesh.size, bool), mesh)
    given = state, batch, np.int32(1), np.uint32(1), asked
    with mock.patch.object(jax.lax, 'platform_dependent', as_on_accelerators):
        compiled = programs.train.lower(*given).compile()
    held = [
        math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
        for x in jax.tree.leaves(state)
    ]
    return {
        'devices': mesh.size,
        'sent': sent(compiled.as_text(), mesh.size),
        'parameters': sum(x.size for x in jax.tree.leaves(setup.params)),
        'state': sum(held),
    }


def with_devices(count: int, bert: str, shard_state: bool) -> dict:
    """`measure` in a process of its own: devices are counted when jax starts."""
    flags = os.environ.get('XLA_FLAGS', '')
    flags += f' --xla_force_host_platform_device_count={count}'
    command = [sys.executable, '-m', 'benchmarks.communication', '--measure']
    command += [f'--bert={bert}', *['--shard_state'] * shard_state]
    environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def row(bert: str, shard_state: bool, found: dict) -> dict:
    """Of the table: MiB by kind of operation, in all, and beside the gradients."""
    mib = {kind: size / 2**20 for kind, size in sorted(found['sent'].items())}
    gradients = 4 * found['parameters'] / 2**20
    return {
        'text encoder': bert,
        'state': 'shared' if shard_state else 'whole',
        'devices': found['devices'],
        'state on each, MiB': found['state'] / 2**20,
        **{f'{kind}, MiB': size for kind, size in mib.items()},
        'sent by each, MiB': sum(mib.values()),
        'sent / gradients': sum(mib.values()) / gradients,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--devices', default='2,4,8', help='numbers of them')
    parser.add_argument('--bert', default='minilm', choices=BERTS)
    parser.add_argument('--shard_state', action='store_true')
    parser.add_argument('--measure', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        json.dump(measure(options.bert, options.shard_state), sys.stdout)
        return
    counts = [int(n) for n in options.devices.split(',')]
    rows = [
        row(options.bert, shared, with_devices(n, options.bert, shared))
        for n, shared in itertools.product(counts, sorted({False, options.shard_state}))
    ]
    note = (
        f'One train step with {BATCH} utterances a device, BERT fine-tuned, counted in '
        'the compiled program; gradients are 4 bytes a parameter. Operations pass on '
        'what they have in a ring, so that each device sends 2 (n − 1) / n of what an '
        'all-reduce reduces.'
    )
    print(markdown(Table('communication', 'What a step sends', note, rows)))


if __name__ == '__main__':
    main()
