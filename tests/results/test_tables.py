import re

import pytest

from sugrm_jax.results import blocks, tables
from sugrm_jax.results.blocks import Folded, Picture, Section, Text, Verbatim
from sugrm_jax.results.tables import Cell, Table, cells

HOSTILE = '<b>a|b</b> *c* _d_ `e` $f$ & #g 50% \\h {i} [j](k) ~l~ "m"'
TABLE = Table(
    ['system', 'MAE', 'Corr'],
    [
        [*cells('SPT'), Cell('0.750', '± 0.010'), *cells('–')],
        [*cells('SUGRM'), Cell('0.703', '± 0.005', bold=True), *cells('−0.800')],
    ],
    groups=[('', 1), ('here', 2)],
)


def test_markdown():
    assert tables.to_markdown(TABLE).splitlines() == [
        '| system | here: MAE | here: Corr |',
        '| :-- | --: | --: |',
        '| SPT | 0.750 ± 0.010 | – |',
        '| SUGRM | **0.703** ± 0.005 | −0.800 |',
    ]


def test_latex():
    lines = tables.to_latex(TABLE, 'All of it, 100 %', 'tab:all').splitlines()
    assert lines == [
        r'% \usepackage{booktabs,graphicx}',
        r'\begin{table*}',
        r'  \centering',
        r'  \caption{All of it, 100 \%}',
        r'  \label{tab:all}',
        r'  \resizebox{\textwidth}{!}{%',
        r'  \begin{tabular}{lrr}',
        r'    \toprule',
        r'    \multicolumn{1}{c}{} & \multicolumn{2}{c}{here} \\',
        r'    \cmidrule(lr){2-3}',
        r'    system & MAE & Corr \\',
        r'    \midrule',
        r'    SPT & 0.750 {\scriptsize $\pm$ 0.010} & -- \\',
        r'    SUGRM & \textbf{0.703} {\scriptsize $\pm$ 0.005} & $-$0.800 \\',
        r'    \bottomrule',
        r'  \end{tabular}}',
        r'\end{table*}',
    ]


def test_html():
    text = tables.to_html(TABLE)
    assert '<td class="number start"><b>0.703</b><small>± 0.005</small></td>' in text
    assert '<th scope="colgroup" class="group" colspan="2">here</th>' in text
    assert text.count('<tr>') == 4


def test_html_tints_by_sign_and_strength():
    tinted = Table(['a', 'b'], [[Cell('x', tint=-0.5), Cell('y', tint=9.0)]])
    first, second = re.findall(r'rgba\((\d+), .*?, ([\d.]+)\)', tables.to_html(tinted))
    assert first == ('178', '0.25')
    assert second == ('33', '0.50')


def test_text_for_the_terminal():
    assert tables.to_text(TABLE).splitlines() == [
        'system      here: MAE  here: Corr',
        'SPT     0.750 ± 0.010           –',
        'SUGRM   0.703 ± 0.005*     −0.800',
    ]


def test_hostile_words_stay_words_in_markdown():
    text = tables.to_markdown(Table([HOSTILE], [cells(f'{HOSTILE}\n{HOSTILE}')]))
    assert len(text.splitlines()) == 3
    assert '<b>' not in text and '&lt;b&gt;a\\|b&lt;/b&gt; \\*c\\* \\_d\\_' in text
    assert '\\$f\\$ &amp; \\#g 50% \\\\h \\{i\\} \\[j\\](k)' in text
    unescaped = re.findall(r'(?<!\\)\|', text.splitlines()[0])
    assert len(unescaped) == 2


def test_hostile_words_stay_words_in_latex():
    assert tables.latex_text(HOSTILE) == (
        r'\textless{}b\textgreater{}a\textbar{}b\textless{}/b\textgreater{} '
        r'{*}c{*} \_d\_ `e` \$f\$ \& \#g 50\% \textbackslash{}h \{i\} {[}j](k) '
        r"\textasciitilde{}l\textasciitilde{} ''m''"
    )
    # A row that began with a bracket would be an argument of the row before.
    assert tables.latex_text('[SUGRM], SPT→TE') == r'{[}SUGRM], SPT$\to$TE'


def test_hostile_words_stay_words_in_html():
    text = tables.to_html(Table([HOSTILE], [[Cell(HOSTILE, HOSTILE, True)]]))
    assert '<b>a' not in text and text.count('&lt;b&gt;a|b&lt;/b&gt;') == 3


SECTION = Section(
    'Results & more',
    [
        Text('One *paragraph*.'),
        Picture('boxes', 'A caption.'),
        Folded('Every <seed>', [Table(['a'], [cells('1')])]),
        Verbatim('Traceback:\n  <line> 1'),
    ],
)


def test_a_section_in_markdown():
    assert blocks.to_markdown(SECTION) == (
        '## Results &amp; more\n\n'
        'One \\*paragraph\\*.\n\n'
        '![boxes](figures/boxes.png)\n\nA caption.\n\n'
        '<details><summary>Every &lt;seed&gt;</summary>\n\n'
        '| a |\n| :-- |\n| 1 |\n\n</details>\n\n'
        '    Traceback:\n      <line> 1\n\n'
    )


def test_a_section_in_html():
    text = blocks.to_html(SECTION, {'boxes': b'picture'})
    assert '<h2>Results &amp; more</h2>' in text
    assert '<p>One *paragraph*.</p>' in text
    assert 'src="data:image/png;base64,cGljdHVyZQ=="' in text
    assert '<details><summary>Every &lt;seed&gt;</summary>' in text
    assert '<pre>Traceback:\n  &lt;line&gt; 1</pre>' in text


def test_rows_must_fit_the_heads():
    with pytest.raises(ValueError, match='zip'):
        tables.to_text(Table(['a', 'b'], [cells('1', '2'), cells('1', '2', '3')]))
