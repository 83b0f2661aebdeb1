import base64
import re
from html.parser import HTMLParser

import pytest

from sugrm_jax.errors import UserError
from sugrm_jax.results import figures, files, page

HOSTILE = '</td><script>alert("x")</script><img src=x onerror=alert(1)> & \'y\' \ud83d'


class Reader(HTMLParser):
    """Tags, attributes and table cells of a page; checks that tags nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.images, self.tables, self.open = set(), [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == 'img':
            self.images.append(dict(attrs))
        if tag not in ('img', 'meta'):
            self.open.append(tag)
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {'td', 'th'} & set(self.open):
            self.tables[-1][-1][-1] += data


@pytest.fixture
def undrawn(monkeypatch):
    """Spares the tests of the words the drawing of the pictures."""
    monkeypatch.setattr(figures, 'png', lambda figure: b'picture')


def read(path):
    return Reader(path.read_text('utf-8'))


def test_the_page_holds_its_pictures_and_needs_nothing_else(run):
    path = page.write_report(run)
    assert path == run / 'report.html'
    saved = {file.stem: file.read_bytes() for file in (run / 'figures').iterdir()}
    assert set(saved) == {'curves', 'predicted_true', 'label_paths', 'planted'}
    found = read(path)
    sources = [image['src'].partition('base64,')[2] for image in found.images]
    assert {base64.b64decode(source) for source in sources} == set(saved.values())
    assert all(image['alt'] for image in found.images)
    assert not re.search(r'src=(?!"data:)|href=|url\(|@import', path.read_text())


def test_metrics_in_plain_words(run, undrawn):
    heads, valid, test = read(page.write_report(run)).tables[0]
    assert heads[:3] == ['split', 'mean absolute error', 'correlation']
    assert valid[:4] == ['valid', '0.812', '0.750', '80.1 %']
    assert test[:4] == ['test', '0.812', '–', '80.1 %']  # undefined, not hidden
    assert valid[4:] == ['80.2 %', '80.3 %', '80.4 %', '40.5 %', '30.7 %']


def test_unimodal_table(run, undrawn):
    rows = read(page.write_report(run)).tables[1]
    assert rows[1] == ['text', '1.000', '1.000', '0.000', '1.000', '6']
    assert rows[2] == ['audio', '−1.000', '−1.000', '3.333', '3.000', '6']
    assert rows[3] == ['vision', '1.000', '1.000', '0.000', '0.000', '5']


def test_examples_are_the_worst_first(run, undrawn):
    tables = read(page.write_report(run)).tables
    heads, first, second = tables[2]
    # t, a, v are empty for all test utterances here, so they have no column.
    assert heads == ['utterance', 'text', 'label', 'predicted multimodal']
    assert first == ['test1', 'I <b>loved</b> it', '−2.00', '+1.00']
    assert second[0] == 'test0'
    # In epoch 2 audio has moved by 2, text by 1; sample 0 has no vision.
    assert len(tables[3]) == 7
    assert tables[3][1][2:] == ['−3.00', '−2.00', '−5.00', '–']


def test_no_labels_are_furthest_where_none_are_generated(run, undrawn, tiny):
    """As after epoch 1, when every label is still y_m."""
    rows = [
        row | ({f'generated_{s}': row['label'] for s in 'ta'} if train else {})
        for row in tiny['predictions']()
        for train in [row['split'] == 'train']
    ]
    rows = [row | {'generated_v': None} for row in rows]
    files.write_predictions(run / files.PREDICTIONS, rows)
    path = page.write_report(run)
    tables = read(path).tables
    assert 'no labels were generated yet' in path.read_text('utf-8')
    assert not any('generated text' in table[0] for table in tables)


def test_only_so_many_examples(run, undrawn, tiny, monkeypatch):
    monkeypatch.setattr(page, 'SHOWN', 2)
    assert [len(table) for table in read(page.write_report(run)).tables[2:4]] == [3, 3]


def test_hostile_words_stay_words(run, undrawn, tiny):
    results = tiny['results']()
    results['name'] = results['git_revision'] = HOSTILE
    results['data'] |= {'path': HOSTILE, 'notes': [HOSTILE], 'known': HOSTILE}
    results['config'] = {HOSTILE: HOSTILE}
    results['data']['samples'] = {HOSTILE: 3}
    results['versions'] = {HOSTILE: HOSTILE}
    files.write_json(run / files.RESULTS, results)
    rows = [row | {'id': HOSTILE, 'text': HOSTILE} for row in tiny['predictions']()]
    files.write_predictions(run / files.PREDICTIONS, rows)
    path = page.write_report(run)
    plain, found = path.read_text('utf-8'), read(path)
    assert 'script' not in found.tags
    assert '<script' not in plain
    assert '<img src=x' not in plain
    # The words themselves are there to be read, wherever they came from.
    assert plain.count('&lt;script&gt;') >= 10
    assert all(image['src'].startswith('data:image/png') for image in found.images)


def test_a_model_without_generated_labels(run, undrawn, tiny):
    (run / files.LABELS).unlink()
    files.write_json(run / files.RESULTS, tiny['results']() | {'unimodal': None})
    rows = [
        row | {name: None for name in files.GENERATED} for row in tiny['predictions']()
    ]
    files.write_predictions(run / files.PREDICTIONS, rows)
    path = page.write_report(run)
    assert len(read(path).images) == 2
    assert 'Generated' not in path.read_text('utf-8')


def test_known_labels_meet_those_of_the_best_epoch(run, undrawn, monkeypatch):
    asked = []
    monkeypatch.setattr(
        figures, 'planted', lambda labels, epoch=None: asked.append(epoch)
    )
    page.write_report(run)
    assert asked == [2]


def test_the_report_can_be_rebuilt(run):
    first = page.write_report(run).read_bytes()
    assert page.write_report(run).read_bytes() == first


def test_a_run_that_has_not_finished(run, undrawn):
    (run / files.RESULTS).unlink()
    with pytest.raises(UserError, match='There is no'):
        page.write_report(run)


def test_settings_versions_and_origin(run, undrawn):
    *_, origin, settings = read(page.write_report(run)).tables
    assert ['optim.batch', '32'] in settings
    assert ['model', '"sugrm"'] in settings
    assert ['parameters', '1,234, 234 of them trained'] in origin
    assert ['jax', 'not installed'] in origin
    assert ['git revision', 'unknown'] in origin


@pytest.mark.parametrize(
    ('path', 'known', 'said'),
    [
        ('simulated', None, 'simulated'),
        ('a.pkl', None, 'no: not one of the published files'),
        ('a.pkl', 'MOSI aligned_50.pkl', 'MOSI aligned_50.pkl'),
    ],
)
def test_known_data(run, undrawn, tiny, path, known, said):
    results = tiny['results']()
    results['data'] |= {'path': path, 'known': known}
    files.write_json(run / files.RESULTS, results)
    *_, origin, _ = read(page.write_report(run)).tables
    assert ['known data', said] in origin


def test_one_minus_sign_on_the_page_and_another_in_the_terminal(run, undrawn, tiny):
    results = tiny['results']()
    results['test'] |= {'corr': -0.25, 'mae': -0.0001}
    files.write_json(run / files.RESULTS, results)
    text = page.write_report(run).read_text('utf-8')
    cells = re.findall(r'<td class="number"[^>]*>([^<]*)<|<b>([^<]*)</b>', text)
    shown = [a or b for a, b in cells]
    assert shown.count('−0.250') == 2 and not any('-' in cell for cell in shown)
    assert '−0.000' not in shown  # what rounds to zero has no sign
    assert '-0.250' in page.summary_table(results, 'x')


def test_summary_table(tiny):
    text = page.summary_table(tiny['results'](), 'runs/x/report.html')
    lines = text.splitlines()
    assert lines[-1] == 'Report: runs/x/report.html'
    assert ['correlation', '0.750', '–'] in [line.split() for line in lines]
    assert max(map(len, lines)) <= 80
    assert text.isprintable() or '\x1b' not in text
    plain = page.summary_table(tiny['results']() | {'unimodal': None}, 'r')
    assert 'known' not in plain
