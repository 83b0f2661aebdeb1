"""A folder of made clips and their labels."""

import csv

import pytest

COLUMNS = ('video_id', 'clip_id', 'text', 'label', 'mode')


@pytest.fixture
def clips(tmp_path):
    """Writes clips: 'video/clip.mp4' → what is in it. Returns their folder."""
    folder = tmp_path / 'clips'
    folder.mkdir()

    def write(content):
        for name, text in content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    return write


@pytest.fixture
def table(tmp_path):
    """Writes labels.csv; returns its path."""

    def write(rows, columns=COLUMNS):
        path = tmp_path / 'labels.csv'
        with open(path, 'w', newline='', encoding='utf-8') as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def six(clips, table):
    """Folder and labels of six utterances, two a split, all with audio and vision."""
    modes = ('train', 'train', 'valid', 'valid', 'test', 'test')
    rows = [
        (f'v{i}', f'c{i}', f'text {i}', i - 2.5, mode) for i, mode in enumerate(modes)
    ]
    content = {f'v{i}/c{i}.mp4': 'audio vision' for i in range(len(modes))}
    return clips(content), table(rows)
