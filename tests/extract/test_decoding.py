"""Decoding and measuring made clips; needs the extra `video`."""

import fractions
import shutil
import subprocess
import wave

import numpy as np
import pytest

av = pytest.importorskip('av', reason='needs requirements-video.txt')
pytest.importorskip('opensmile', reason='needs requirements-video.txt')
pytest.importorskip('mediapipe', reason='needs requirements-video.txt')

from sugrm_jax.extract import acoustics, command, faces, geometry, media  # noqa: E402
from sugrm_jax.extract.clip import decoding, describe, extract  # noqa: E402
from sugrm_jax.extract.types import Piece  # noqa: E402

RATE, FPS = 16_000, 25
PLAIN = np.full((120, 160, 3), 120, np.uint8)


def tone(*frequencies):
    """A second of each frequency, Hz, one after the other; 0 is silence."""
    time = np.arange(RATE) / RATE
    waves = [np.sin(2 * np.pi * hertz * time) for hertz in frequencies]
    return (8000 * np.concatenate(waves)).astype(np.int16)


def spoken(folder):
    """Somebody speaking, where espeak-ng is installed, else a tone."""
    if shutil.which('espeak-ng') is None:
        return tone(220, 180)
    path = folder / 'spoken.wav'
    subprocess.run(['espeak-ng', '-w', path, 'I really loved this film'], check=True)
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return samples[:: round(file.getframerate() / RATE)]


def write(path, samples=None, frames=(), turned=0, begins=0):
    """Encodes a clip with PyAV: samples int16 `[S]`, frames uint8 `[H, W, 3]`.

    The frames are turned, and come behind as many as `begins` says.
    """
    sound = {'.wav': 'pcm_s16le', '.mp3': 'mp3'}.get(path.suffix, 'aac')
    with av.open(str(path), 'w') as container:
        if len(frames):
            film = container.add_stream('mpeg4', rate=FPS)
            film.height, film.width = frames[0].shape[:2]
            film.pix_fmt = 'yuv420p'
            if turned:
                film.set_display_rotation(turned)
        if samples is not None:
            track = container.add_stream(sound, rate=RATE, layout='mono')
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), 'rgb24')
            picture.pts, picture.time_base = begins + i, fractions.Fraction(1, FPS)
            container.mux(film.encode(picture))
        if len(frames):
            container.mux(film.encode())
        if samples is not None:
            whole = av.AudioFrame.from_ndarray(samples[None], 's16', 'mono')
            whole.rate, whole.pts = RATE, 0
            size = track.codec_context.frame_size or 1024
            cutter = av.AudioResampler(track.format, 'mono', RATE, frame_size=size)
            for part in (*cutter.resample(whole), *cutter.resample(None)):
                container.mux(track.encode(part))
            container.mux(track.encode())
    return str(path)


def pitch(samples):
    """The loudest frequency, Hz."""
    return np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples)


def sound(path, start=None, end=None):
    return media.sound(Piece(path, start, end), RATE, media.Damage())


def pictures(path, start=None, end=None):
    return list(media.pictures(Piece(path, start, end), 10, media.Damage()))


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    """Three seconds, each with a tone and a grey of its own."""
    path = tmp_path_factory.mktemp('film') / 'a.mp4'
    greys = [
        np.full((48, 64, 3), 60 * (i // FPS + 1), np.uint8) for i in range(3 * FPS)
    ]
    return write(path, tone(300, 500, 700), greys)


def test_a_stretch_is_cut_where_it_was_asked_for(film):
    assert media.duration(film) == pytest.approx(3, abs=0.1)
    heard = sound(film, 0.5, 1.5)
    assert len(heard) == RATE and heard.dtype == np.float32
    assert pitch(heard[: RATE // 2 - 400]) == pytest.approx(300, abs=5)
    assert pitch(heard[RATE // 2 + 400 :]) == pytest.approx(500, abs=5)
    assert np.abs(heard).max() == pytest.approx(8000 / 2**15, rel=0.1)
    greys = [frame.mean() for frame in pictures(film, 0.5, 1.5)]
    assert greys == pytest.approx([60] * 5 + [120] * 5, abs=4)
    assert len(pictures(film)) == 30


def test_tracks_that_are_not_there(tmp_path):
    assert sound(write(tmp_path / 'a.mp4', None, [PLAIN] * 5)) is None
    assert pictures(write(tmp_path / 'a.wav', tone(300))) == []


@pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.avi'])
def test_a_film_of_one_picture_has_a_picture(tmp_path, name):
    path = write(tmp_path / name, tone(300, 300), [PLAIN])
    assert len(pictures(path)) == len(pictures(path, 0, 2)) == 1


def test_nothing_is_seen_before_the_film_begins(tmp_path):
    path = write(tmp_path / 'a.mkv', tone(300, 300), [PLAIN] * FPS, begins=FPS)
    assert len(pictures(path)) == len(pictures(path, 0, 2)) == 10
    assert pictures(path, 0, 0.9) == []


def lossy(path, lost):
    """Ten seconds of sound, each with a pitch of its own; some packets do not arrive.

    Args:
      path: to write.
      lost: which packets of 1024 samples, 21 ms, are left out: of a number's function.
    """
    time = np.arange(10 * 48_000) / 48_000
    samples = 8000 * np.sin(2 * np.pi * (300 + 100 * time.astype(int)) * time)
    with av.open(str(path), 'w') as container:
        track = container.add_stream('pcm_s16le', rate=48_000, layout='mono')
        for i, part in enumerate(np.split(samples, range(1024, len(samples), 1024))):
            frame = av.AudioFrame.from_ndarray(
                part.astype(np.int16)[None], 's16', 'mono'
            )
            frame.rate, frame.pts = 48_000, 1024 * i
            frame.time_base = fractions.Fraction(1, 48_000)
            for packet in track.encode(frame):
                if not lost(i):
                    container.mux(packet)
    return str(path)


@pytest.mark.parametrize('every', [2, 4, 30])
def test_lost_packets_do_not_shift_what_follows(tmp_path, every):
    path = lossy(tmp_path / 'a.mkv', lambda i: i % every == 1)
    heard = sound(path)
    assert len(heard) == pytest.approx(10 * RATE, abs=2 * media.GAP * RATE)
    for second in (0, 4, 9):
        middle = heard[int((second + 0.2) * RATE) : int((second + 0.8) * RATE)]
        # Pieces of a tone are loudest beside it, by at most their own rate.
        assert pitch(middle) == pytest.approx(300 + 100 * second, abs=50)


def test_sound_of_either_rate_and_channels(tmp_path):
    path = tmp_path / 'a.wav'
    with wave.open(str(path), 'w') as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        hertz = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000) * 8000
        file.writeframes(np.repeat(hertz.astype(np.int16), 2).tobytes())
    heard = sound(str(path))
    assert len(heard) == pytest.approx(RATE, abs=20)
    assert pitch(heard) == pytest.approx(440, abs=2)


def test_films_of_telephones_are_turned_upright(tmp_path):
    upright = np.zeros((64, 48, 3), np.uint8)
    upright[:20] = 200
    path = write(tmp_path / 'a.mp4', None, [np.rot90(upright)] * 5, turned=-90)
    frame = pictures(path)[0]
    assert frame.shape == (64, 48, 3)
    assert frame[:16].mean() == pytest.approx(200, abs=8) and frame[24:].mean() < 8


def test_large_pictures_are_scaled_down(tmp_path):
    path = write(tmp_path / 'a.mp4', None, [np.zeros((720, 1280, 3), np.uint8)] * 2)
    assert pictures(path)[0].shape == (360, 640, 3)


def test_the_descriptors_of_a_tone():
    found = acoustics.acoustics((tone(0, 220) / 2**15).astype(np.float32))
    assert found.shape == (40, 25) and np.isfinite(found).all()
    semitones = found[25:35, acoustics.NAMES.index('F0semitoneFrom27.5Hz_sma3nz')]
    np.testing.assert_allclose(semitones, 36, atol=0.5)  # three octaves above 27.5 Hz
    loudness = found[:, 0]
    assert loudness[:17].max() < 0.1 * loudness[25:35].min()


@pytest.mark.parametrize(
    ('name', 'content', 'problems'),
    [
        ('plain.mp4', 'both', ('no face in 20 frames',)),
        ('mute.mp4', 'film', ('no sound track', 'no face in 20 frames')),
        ('silent.mp4', 'silence', ('sound track is silent', 'no face in 20 frames')),
        ('voice.wav', 'voice', ('no picture',)),
        ('short.wav', 'short', ('no sound there, or less than 0.06 s', 'no picture')),
    ],
)
def test_what_a_clip_lacks_has_no_length(tmp_path, name, content, problems):
    sounds = {
        'both': tone(220, 180),
        'film': None,
        'silence': np.zeros(RATE, np.int16),
        'voice': spoken(tmp_path),
        'short': tone(220)[:800],
    }
    frames = [] if name.endswith('.wav') else [PLAIN] * (2 * FPS)
    path = write(tmp_path / name, sounds[content], frames)
    found = extract(Piece(path))
    assert (found.problems, found.readable) == (problems, True)
    assert found.vision.shape == (0, len(geometry.NAMES))
    assert (len(found.audio) > 0) == (content in ('both', 'voice'))


def test_files_that_are_no_media(tmp_path):
    path = tmp_path / 'a.mp4'
    path.write_bytes(b'not a film' * 100)
    with pytest.raises(media.Unreadable, match='Invalid data'):
        media.duration(str(path))
    found = extract(Piece(str(path)))
    assert not found.readable and len(found.problems) == 1
    assert found.problems[0].startswith('unreadable: Invalid data')
    assert not extract(Piece(str(tmp_path / 'none.mp4'))).readable


def test_what_decodes_is_no_part_of_what_features_are():
    assert decoding()['source'] == f'av {av.__version__}'
    assert av.__version__ not in str(describe())


def test_memory_that_runs_out_is_told(film, monkeypatch):
    def greedy(*_, **__):
        raise MemoryError

    monkeypatch.setattr(av, 'open', greedy)
    with pytest.raises(media.Unreadable, match='memory ran out'):
        media.duration(film)
    assert extract(Piece(film)).problems == ('unreadable: memory ran out',)


def test_damage_in_the_middle_is_left_out_and_told(tmp_path):
    path = tmp_path / 'a.mp4'
    write(path, tone(220, 200, 180, 160))
    content = bytearray(path.read_bytes())
    middle = content.index(b'mdat') + 8000
    content[middle : middle + 900] = np.random.default_rng(0).bytes(900)
    path.write_bytes(content)
    found = extract(Piece(str(path)))
    assert found.readable and 78 <= len(found.audio) <= 81
    assert 'sound track is damaged' in found.problems[0]


def test_no_face_in_plain_pictures():
    rows, count = faces.faces([PLAIN] * 3)
    assert rows.shape == (0, 24) and count == 3


def portrait():
    """A real face: the photograph in matplotlib, which mediapipe brings along."""
    cbook = pytest.importorskip('matplotlib.cbook')
    image = pytest.importorskip('PIL.Image')
    try:
        path = cbook.get_sample_data('grace_hopper.jpg', asfileobj=False)
    except FileNotFoundError:
        pytest.skip('needs the photograph of a face that matplotlib comes with')
    return np.asarray(image.open(path).convert('RGB'))


def test_the_measures_of_a_real_face():
    face = portrait()
    rows, count = faces.faces([face] * 4)
    assert (len(rows), count) == (4, 4)
    found = dict(zip(geometry.NAMES, rows[-1], strict=True))
    # A woman in her seventies, mouth closed, eyes open, facing the camera.
    assert found['mouth_opening'] < 0.05 < found['eye_opening_left']
    assert 0.4 < found['mouth_width'] < 0.8
    assert abs(found['head_yaw']) < 0.2 and abs(found['head_roll']) < 0.15
    mirrored = faces.faces([face[:, ::-1].copy()] * 4)[0][-1]
    roll = geometry.NAMES.index('head_roll')
    assert mirrored[roll] == pytest.approx(-found['head_roll'], abs=0.03)


def test_frames_without_a_face_are_left_out(tmp_path):
    face = portrait()
    frames = [np.zeros_like(face)] * FPS + [face] * FPS
    found = extract(Piece(write(tmp_path / 'a.mp4', spoken(tmp_path), frames)))
    assert found.problems == () and 8 <= len(found.vision) <= 10


def test_the_whole_command(tmp_path, capfd):
    folder = tmp_path / 'clips'
    (folder / 'v').mkdir(parents=True)
    lines = ['video_id,clip_id,text,label,mode']
    for i, mode in enumerate(('train', 'train', 'valid', 'valid', 'test', 'test')):
        write(folder / 'v' / f'{i}.mp4', tone(200 + 20 * i), [PLAIN] * FPS)
        lines.append(f'v,{i},text,{i},{mode}')
    (tmp_path / 'l.csv').write_text('\n'.join(lines))
    out = tmp_path / 'o.pkl'
    assert command.main([str(folder), f'{tmp_path}/l.csv', str(out), '--jobs=1']) == 0
    from sugrm_jax.data import pickles

    content = pickles.load(out)
    assert content['features'] == describe()
    assert content['features']['audio']['source'].startswith('opensmile 2.')
    assert content['train']['audio'].shape[2] == 25
    assert content['test']['vision'].shape == (2, 1, 24)
    said = capfd.readouterr().err
    assert 'no face in 10 frames' in said and 'W0000' not in said
