"""The published figures, spot-checked against the paper and against each other."""

import importlib
import re

import pytest

from sugrm_jax.data.mmsa import KNOWN_FILES
from sugrm_jax.results.paper import PUBLISHED


@pytest.mark.parametrize(
    ('table', 'row', 'data', 'figures'),
    [
        ('1', 'TFN', 'MOSI', ('74.1/75.2', '74.8/76.0', '0.955', '0.649')),
        ('1', 'MAG-BERT', 'MOSEI', ('81.7/84.7', '81.3/84.8', '0.567', '0.742')),
        ('1', 'SUGRM', 'MOSI', ('82.8/84.5', '82.8/84.5', '0.723', '0.798')),
        ('2', 'RAVEN+CTC', 'MOSI', ('-/73.1', '-/72.7', '1.076', '0.544')),
        ('2', 'SPT', 'MOSEI', ('-/82.7', '-/82.4', '-', '-')),
        ('3', 'M,A,T', 'MOSI', ('82.7/84.2', '82.7/84.2', '0.804', '0.762')),
        ('3', 'M,V', 'MOSEI', ('79.5/83.7', '78.9/83.6', '0.543', '0.752')),
        (
            '4',
            'SUGRM, ULGM→Self-MM',
            'MOSEI',
            ('79.5/84.1', '78.8/84.0', '0.541', '0.756'),
        ),
        ('4', 'SUGRM, SPT→TE', 'MOSI', ('84.2/85.6', '84.1/85.5', '0.720', '0.802')),
        ('8', 'Huber', 'MOSI', ('78.1/79.2', '78.2/79.2', '0.818', '0.744')),
    ],
)
def test_figures_of_the_paper(table, row, data, figures):
    assert PUBLISHED[table].rows[row][data] == figures


def test_what_the_paper_prints_twice_is_the_same():
    ours = PUBLISHED['2'].rows['SUGRM']
    assert PUBLISHED['4'].rows['SUGRM'] == ours == PUBLISHED['3'].rows['M,T,A,V']
    assert PUBLISHED['8'].rows['L1'] == {'MOSI': ours['MOSI']}
    assert PUBLISHED['4'].rows['Self-MM'] == PUBLISHED['2'].rows['Self-MM']


def test_every_figure_is_one():
    counts = {table: len(found.rows) for table, found in PUBLISHED.items()}
    assert counts == {'1': 10, '2': 8, '3': 8, '4': 9, '8': 3}
    share, pair, points = r'\d\d\.\d', r'(-|{0})/{0}|-', r'[01]\.\d{3}|-'
    for found in PUBLISHED.values():
        for row in found.rows.values():
            for figures in row.values():
                for text in (figures.f1, figures.acc2):
                    assert re.fullmatch(pair.format(share), text)
                for text in (figures.mae, figures.corr):
                    assert re.fullmatch(points, text)


def test_the_data_files_are_known_ones():
    for found in PUBLISHED.values():
        assert set(found.known.values()) <= set(KNOWN_FILES.values())
    assert PUBLISHED['1'].known['MOSEI'] == 'MOSEI aligned_50.pkl'
    assert set(PUBLISHED['8'].known) == {'MOSI'}


@pytest.mark.parametrize('table', PUBLISHED)
def test_sweeps_name_their_runs_as_the_published_rows_are_named(table):
    sweep = importlib.import_module(f'configs.sweeps.table{table}').get_config()
    labels = [label for label, _ in sweep.runs]
    assert set(PUBLISHED[table].rows) <= set(labels)
