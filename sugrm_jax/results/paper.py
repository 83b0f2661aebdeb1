"""The published figures: tables 1, 2, 3, 4 and 8 of Hwang & Kim, EACL 2023."""

from __future__ import annotations

from typing import NamedTuple

# As printed: F1-Score, Acc2 (each negative/non-negative, then negative/positive), MAE
# and Corr on MOSI, then the same four on MOSEI; '-' where the paper gives none.
TABLE_1 = """
EF-LSTM  | -/75.6    | -/75.8    | 1.053 | 0.613 | -/78.8    | -/79.1    | 0.665 | 0.621
LF-LSTM  | -/75.4    | -/76.4    | 1.037 | 0.620 | -/80.0    | -/79.4    | 0.625 | 0.655
TFN      | 74.1/75.2 | 74.8/76.0 | 0.955 | 0.649 | -         | -         | -     | -
RAVEN    | -/76.6    | -/78.0    | 0.915 | 0.691 | -/79.5    | -/79.1    | 0.614 | 0.662
MCTN     | -/79.1    | -/79.3    | 0.909 | 0.676 | -/80.6    | -/79.8    | 0.609 | 0.670
MulT     | -/82.8    | -/83.0    | 0.871 | 0.698 | -/82.3    | -/82.5    | 0.580 | 0.703
SPT      | -/82.9    | -/82.8    | -     | -     | -/82.8    | -/82.6    | -     | -
MAG-BERT | 82.4/84.0 | 82.5/84.0 | 0.778 | 0.766 | 81.7/84.7 | 81.3/84.8 | 0.567 | 0.742
Self-MM  | 82.3/84.4 | 82.4/84.5 | 0.736 | 0.786 | 83.2/85.0 | 82.9/84.8 | 0.533 | 0.766
SUGRM    | 82.8/84.5 | 82.8/84.5 | 0.723 | 0.798 | 83.9/85.1 | 83.9/85.0 | 0.541 | 0.758
"""

TABLE_2 = """
EF-LSTM+CTC | -/74.5    | -/73.6    | 1.078 | 0.542 | -/75.9    | -/76.1    | 0.680 | 0.585
LF-LSTM     | -/77.8    | -/77.6    | 0.988 | 0.624 | -/78.2    | -/77.5    | 0.624 | 0.656
RAVEN+CTC   | -/73.1    | -/72.7    | 1.076 | 0.544 | -/75.7    | -/75.4    | 0.664 | 0.599
MCTN+CTC    | -/76.4    | -/75.9    | 0.991 | 0.613 | -/79.7    | -/79.3    | 0.631 | 0.645
MulT        | -/81.0    | -/81.1    | 0.889 | 0.686 | -/81.6    | -/81.6    | 0.591 | 0.694
SPT         | -/81.3    | -/81.2    | -     | -     | -/82.7    | -/82.4    | -     | -
Self-MM     | 82.8/84.6 | 82.9/84.6 | 0.733 | 0.780 | 82.0/84.6 | 81.7/84.7 | 0.530 | 0.765
SUGRM       | 84.3/86.3 | 84.4/86.3 | 0.703 | 0.800 | 83.6/84.0 | 83.7/84.4 | 0.544 | 0.748
"""  # noqa: E501

TABLE_3 = """
M       | 82.5/84.1 | 82.5/84.0 | 0.755 | 0.779 | 81.5/84.7 | 80.9/84.7 | 0.539 | 0.759
M,V     | 81.1/82.1 | 81.1/82.0 | 0.774 | 0.757 | 79.5/83.7 | 78.9/83.6 | 0.543 | 0.752
M,A     | 81.9/83.6 | 81.9/83.5 | 0.764 | 0.770 | 82.7/85.2 | 82.4/85.3 | 0.532 | 0.763
M,T     | 81.0/81.5 | 80.9/81.4 | 0.773 | 0.779 | 80.8/83.7 | 80.4/83.8 | 0.530 | 0.763
M,A,V   | 83.6/85.0 | 83.5/84.9 | 0.731 | 0.782 | 81.6/84.4 | 83.3/84.6 | 0.533 | 0.757
M,A,T   | 82.7/84.2 | 82.7/84.2 | 0.804 | 0.762 | 82.9/84.5 | 82.8/84.8 | 0.535 | 0.752
M,V,T   | 83.6/84.7 | 83.5/84.6 | 0.748 | 0.778 | 82.9/82.7 | 83.4/83.4 | 0.540 | 0.748
M,T,A,V | 84.3/86.3 | 84.4/86.3 | 0.703 | 0.800 | 83.6/84.0 | 83.7/84.4 | 0.544 | 0.748
"""

# The last row's F1 on MOSEI is printed as '0.79.5/84.1'.
TABLE_4 = """
Self-MM             | 82.8/84.6 | 82.9/84.6 | 0.733 | 0.780 | 82.0/84.6 | 81.7/84.7 | 0.530 | 0.765
Self-MM, +MRM       | 82.4/84.1 | 82.5/84.2 | 0.718 | 0.791 | 83.5/85.0 | 83.3/85.1 | 0.542 | 0.756
Self-MM, LSTM→SPT   | 82.8/84.3 | 82.8/84.3 | 0.735 | 0.785 | 82.7/85.6 | 82.3/85.7 | 0.534 | 0.771
Self-MM, ULGM→SUGRM | 83.5/85.6 | 83.7/85.7 | 0.710 | 0.790 | 83.0/85.3 | 82.7/85.3 | 0.538 | 0.757
SUGRM               | 84.3/86.3 | 84.4/86.3 | 0.703 | 0.800 | 83.6/84.0 | 83.7/84.4 | 0.544 | 0.748
SUGRM, −MRM         | 81.5/82.9 | 81.5/82.8 | 0.761 | 0.767 | 79.2/83.4 | 78.5/83.4 | 0.541 | 0.746
SUGRM, SPT→TE       | 84.2/85.6 | 84.1/85.5 | 0.720 | 0.802 | 82.1/81.9 | 83.8/82.8 | 0.553 | 0.750
SUGRM, SPT→LSTM     | 79.2/81.7 | 79.5/81.9 | 0.801 | 0.740 | 77.3/82.1 | 76.5/82.0 | 0.556 | 0.744
SUGRM, ULGM→Self-MM | 82.1/83.3 | 82.1/83.2 | 0.726 | 0.797 | 79.5/84.1 | 78.8/84.0 | 0.541 | 0.756
"""  # noqa: E501

TABLE_8 = """
L1    | 84.3/86.3 | 84.4/86.3 | 0.703 | 0.800
L2    | 80.8/81.0 | 80.8/81.0 | 0.832 | 0.737
Huber | 78.1/79.2 | 78.2/79.2 | 0.818 | 0.744
"""


class Figures(NamedTuple):
    """One system on one data set, as printed: shares in percent."""

    f1: str
    acc2: str
    mae: str
    corr: str


class Published(NamedTuple):
    """One table of the paper.

    Attributes:
      known: what the data files it was measured on are called (`data.mmsa`), by set.
      rows: by the system's name, its figures by set, 'MOSI' or 'MOSEI'.
    """

    known: dict[str, str]
    rows: dict[str, dict[str, Figures]]


def _read(table: str, alignment: str) -> Published:
    rows, sets = {}, ('MOSI', 'MOSEI')
    for line in table.strip().splitlines():
        name, *cells = (cell.strip() for cell in line.split('|'))
        fours = [cells[i : i + 4] for i in range(0, len(cells), 4)]
        # Table 8 has MOSI only.
        rows[name] = {s: Figures(*four) for s, four in zip(sets, fours, strict=False)}
    found = {s for figures in rows.values() for s in figures}
    return Published({s: f'{s} {alignment}_50.pkl' for s in sets if s in found}, rows)


PUBLISHED = {
    '1': _read(TABLE_1, 'aligned'),
    '2': _read(TABLE_2, 'unaligned'),
    '3': _read(TABLE_3, 'unaligned'),
    '4': _read(TABLE_4, 'unaligned'),
    '8': _read(TABLE_8, 'unaligned'),
}
