"""What holds for every system: a fitting config, and padding as long as it likes."""

import pathlib
import re

import jax
import numpy as np
import pytest

from sugrm_jax import models
from sugrm_jax.config import plain, typed
from sugrm_jax.layers.text import TextEncoder
from sugrm_jax.main import load_config
from sugrm_jax.training.optim import assign_groups
from sugrm_jax.training.setup import Experiment
from tests.models.batches import BERT, aligned_batch

ROOT = pathlib.Path(__file__).parents[2]
BASELINES = sorted((ROOT / 'configs' / 'baselines').glob('[a-z]*.py'))
FILES = ['configs/mosi.py', *(str(x.relative_to(ROOT)) for x in BASELINES)]


def build(file, *overrides):
    config = load_config(ROOT / file, [f'--config.{x}' for x in overrides])
    experiment = typed(Experiment, plain(config))
    # Its steps and vocabulary are those of the small batches.
    text = TextEncoder(BERT, experiment.text)
    return experiment, models.build(experiment.model, experiment.objective, text)


def lengthened(batch, more):
    """The same batch with more padding behind audio and vision."""
    longer = {
        field: np.pad(getattr(batch, field), ((0, 0), (0, more), (0, 0)))
        for field in ('audio', 'vision')
    }
    return batch.replace(**longer)


def test_every_system_has_a_config():
    assert {load_config(ROOT / file).model.name for file in FILES} == set(
        models.names()
    )


def test_the_readme_names_configs_that_are_there():
    example = 'configs/baselines/mean_text.py'  # of a reader's own
    named = re.findall(
        '`(configs/baselines/[a-z_]+[.]py)`', (ROOT / 'README.md').read_text()
    )
    assert len(named) >= 9 and set(named) - {example} <= set(FILES)


def test_the_readme_shows_the_model_that_is_tested():
    own = (ROOT / 'tests/models/mean_text.py').read_text()
    assert own in (ROOT / 'README.md').read_text()


@pytest.mark.parametrize('file', FILES)
@pytest.mark.parametrize('variant', ['', ':aligned,fixed', ':frozen,minilm', ':mosei'])
def test_groups_cover_the_parameters(file, variant):
    if 'mag_bert' in file and 'fixed' in variant:
        variant = ':aligned'  # its gate is inside BERT
    if file == 'configs/mosi.py' and variant == ':mosei':
        file, variant = 'configs/mosei.py', ''
    experiment, system = build(file + variant)
    batch = aligned_batch([6, 3], [6, 2], [5, 1])
    key = jax.random.key(0)
    params = jax.eval_shape(lambda: system.model.init(key, batch, True))['params']
    assign_groups(params, experiment.optim.groups)


@pytest.mark.parametrize('file', FILES)
def test_the_length_of_padding_changes_nothing(file):
    """Evaluation cuts it, so an utterance must not hang on its batch's longest."""
    _, system = build(file, 'model.padding=masked')
    batch = aligned_batch([6, 3, 4, 2], [4, 2, 0, 1], [3, 1, 2, 0])
    model = system.model
    if model.align is None and 'align' in model.config.__dataclass_fields__:
        _, system = build(file, 'model.padding=masked', 'model.align=pool')
        model = system.model
    variables = jax.jit(model.init, static_argnums=2)(jax.random.key(0), batch, True)
    evaluate = jax.jit(lambda x: model.apply(variables, x, True).prediction)
    wanted, found = evaluate(batch), evaluate(lengthened(batch, 7))
    assert np.ptp(wanted['m']) > 0
    for task, prediction in wanted.items():
        # The same sums in another order, of values of order 1, in float32.
        np.testing.assert_allclose(prediction, found[task], atol=1e-5)
