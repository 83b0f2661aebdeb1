"""Our BERT against hidden states recorded from PyTorch's BertModel."""

import jax
import numpy as np
import pytest

from sugrm_jax.layers.bert import Bert
from sugrm_jax.layers.pretrained import load_params, read_config, resolve
from tests import recordings

# Both sides compute in float32; through a few layers with sums of up to 1536 terms
# their rounding differs by up to 2e-6 of the largest value (measured).
RELATIVE = 1e-5


def assert_hidden_states(folder, recording):
    """All rows count: padded ones are part of the released semantics."""
    config = read_config(folder)
    ids, mask = recording['ids'], recording['mask']
    assert not mask.all(), 'the recording has no padding to check'
    segments = recording.get('segments', np.zeros_like(ids))
    params = load_params(folder, config)
    ours = jax.jit(Bert(config).apply)({'params': params}, ids, mask, segments)
    recorded = recording['last_hidden_state']
    error = np.abs(np.asarray(ours) - recorded).max()
    assert error <= RELATIVE * np.abs(recorded).max()


@pytest.mark.parametrize('checkpoint', ['bert_tiny', 'bert_tiny_old'])
def test_tiny_bert_in_new_and_old_layout(checkpoint):
    recording = recordings.load('bert_tiny/recorded')
    assert recording['segments'].any(), 'the recording has one segment only'
    assert_hidden_states(recordings.FIXTURES / checkpoint, recording)


def test_minilm_on_sentences():
    assert_hidden_states(resolve('minilm'), recordings.load('minilm_sentences'))
