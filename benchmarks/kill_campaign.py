"""Kills runs at random moments until they are done; every one must end as unbroken.

python -m benchmarks.kill_campaign --runs=100 --signal=KILL
python -m benchmarks.kill_campaign --runs=100 --signal=TERM

One small run, whole: data read, BERT, ULGM, checkpoints, figures, report. Each run is
killed twice on average, half of the times at a random moment, else right before a
random write, and started again until it is done. After every kill all files under their
final names must be readable; at the end all figures must be those of the unbroken run,
bit for bit. Prints how often each phase was hit. Ends with status 1 at a fault.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from benchmarks import dying, mutations
from sugrm_jax import archives
from sugrm_jax.results import files

SIZES = {'train': 40, 'valid': 12, 'test': 9}
SETTINGS = (
    'text.pretrained=tests/fixtures/bert_tiny',
    'model.spt.width=8',
    'model.spt.heads=2',
    'model.spt.layers=1',
    'train.batch=8',
    'train.eval_batch=4',
    'train.epochs=3',
    'data.standardize=true',
)
# Of a run that was resumed: who did what when.
OTHER = ('seconds', 'seconds_per_epoch', 'inference_ms', 'command', 'resumed_by')
# Seconds after which a process that was asked to stop hangs.
PATIENCE = 120

# Runs after which a line says how it goes.
TOLD = 10


@dataclasses.dataclass
class Campaign:
    """A command, its unbroken run, and what was found so far.

    Attributes:
      folder: of all runs.
      signum: to kill with.
      seconds, writes: of the unbroken run.
      phases: how often each was hit.
      faults: what was wrong.
    """

    folder: pathlib.Path
    signum: signal.Signals
    seconds: float = 0.0
    writes: int = 0
    phases: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    faults: list[str] = dataclasses.field(default_factory=list)

    def start(
        self,
        workdir: pathlib.Path,
        write: int,
        within: Sequence[str] = (),
    ) -> subprocess.Popen:
        """A process of the run.

        Args:
          workdir: the run's folder.
          write: dies before that write if it is not 0.
          within: a command that starts it.
        """
        settings = [f'--config.{x}' for x in SETTINGS]
        settings.append(f'--config.data.path={self.folder / "data.pkl"}')
        words = [str(write), str(int(self.signum)), str(self.folder / 'phase')]
        # Until it says more, and over what the last process said.
        (self.folder / 'phase').write_text(dying.START)
        own = ['--config=configs/mosi.py', f'--workdir={workdir}', *settings]
        return subprocess.Popen(
            [*within, sys.executable, '-m', 'benchmarks.dying', *words, *own],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def unbroken(self) -> None:
        """The run to compare with; twice, for the first one compiles."""
        rng = np.random.default_rng(0)
        data = mutations.as_pickle(mutations.sound(rng, SIZES), rng)
        (self.folder / 'data.pkl').write_bytes(data)
        for name in ('compiled', 'unbroken'):
            started = time.monotonic()
            self._finish(self.folder / name)
            self.seconds = time.monotonic() - started
        end, writes = self._phase().split()
        assert end == dying.END
        self.writes = int(writes)

    def _phase(self) -> str:
        return (self.folder / 'phase').read_text().strip()

    def _finish(self, workdir: pathlib.Path) -> None:
        process = self.start(workdir, 0)
        _, told = process.communicate()
        if process.returncode:
            raise SystemExit(f'{workdir}: status {process.returncode}: {told}')

    def killed(self, workdir: pathlib.Path, rng: random.Random) -> bool:
        """Starts the run and kills it; whether it was still at work then."""
        aimed = rng.random() < 0.5
        process = self.start(workdir, rng.randint(1, self.writes) if aimed else 0)
        phase = None
        if not aimed:
            try:
                process.wait(rng.uniform(0, self.seconds))
            except subprocess.TimeoutExpired:
                # Now: after SIGTERM it goes on to an orderly end.
                phase = self._phase()
                process.send_signal(self.signum)
        try:
            _, told = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            self.faults.append(f'{workdir}: hangs after {self.signum.name}')
            return True
        if process.returncode == 0:
            return False
        # Before any of our handlers is there the system's own is at work.
        usual = {-self.signum} | ({128 + self.signum} - {128 + signal.SIGKILL})
        if process.returncode not in usual:
            self.faults.append(f'{workdir}: status {process.returncode}: {told}')
        phase = phase or self._phase()
        self.phases[phase] += 1
        self.faults += [f'{workdir}, {phase}: {x}' for x in unreadable(workdir)]
        return True

    def run(self, number: int, rng: random.Random) -> None:
        """One run, killed until it is done or chance lets it finish."""
        workdir = self.folder / str(number)
        while self.killed(workdir, rng) and rng.random() < 0.5:
            pass
        process = self.start(workdir, 0)
        _, told = process.communicate()
        if process.returncode:
            self.faults.append(f'{workdir}: status {process.returncode}: {told}')
            return
        self.faults += [f'{workdir}: {x}' for x in unreadable(workdir)]
        self.faults += [
            f'{workdir}: {name} is not as in the unbroken run'
            for name in differing(workdir, self.folder / 'unbroken')
        ]
        if not self.faults:
            shutil.rmtree(workdir)


# What a run leaves. ----------------------------------------------------------------


def read_picture(path: pathlib.Path) -> None:
    import matplotlib.image

    matplotlib.image.imread(path)


def read_page(path: pathlib.Path) -> None:
    if not path.read_text('utf-8').rstrip().endswith('</html>'):
        raise ValueError('the page has no end')


def read_events(path: pathlib.Path) -> None:
    """TensorBoard's records: a length, its checksum, as many bytes, their checksum."""
    data = path.read_bytes()
    while data:
        size = 8 + 4 + int.from_bytes(data[:8], 'little') + 4
        if len(data) < size:
            raise ValueError('the last event is cut short')
        data = data[size:]


READERS = {
    '.json': files.read_json,
    '.jsonl': files.read_history,
    '.npz': archives.read_npz,
    '.csv': files.read_predictions,
    '.png': read_picture,
    '.html': read_page,
    '.sugrm_jax': read_events,
}


def unreadable(workdir: pathlib.Path) -> list[str]:
    """Files under their final names that cannot be read, with the reason."""
    found = []
    for path in sorted(workdir.rglob('*')):
        inside = path.relative_to(workdir).parts[0] == 'checkpoints'
        if path.name.startswith('.') or inside or not path.is_file():
            continue
        found += _complaints(READERS[path.suffix], path)
    for path in sorted(workdir.glob('checkpoints/[!.]*/*')):
        if path.name.isdigit():  # a temporary one has a longer name
            found += _complaints(_restore, path)
    return found


def _restore(path: pathlib.Path) -> None:
    for item in path.iterdir():
        if item.name in ('state', 'labels', 'variables'):
            ocp.StandardCheckpointer().restore(item)
    json.loads((path / 'meta' / 'metadata').read_text())


def _complaints(read: Any, path: pathlib.Path) -> list[str]:
    try:
        read(path)
    except Exception as error:  # whatever it is, it is what this looks for
        return [f'{path.name}: {type(error).__name__}: {error!s:.300}']
    return []


def differing(workdir: pathlib.Path, other: pathlib.Path) -> list[str]:
    """What is not the same, bit for bit, of two runs' figures."""
    found = [
        name
        for name in ('labels.npz', 'predictions.csv', 'scaling.npz')
        if _content(workdir / name) != _content(other / name)
    ]
    results, theirs = (files.read_json(x / files.RESULTS) for x in (workdir, other))
    found += [x for x in theirs if x not in OTHER and results[x] != theirs[x]]
    history, theirs = (files.read_history(x / files.HISTORY) for x in (workdir, other))
    if [x | {'seconds': 0} for x in history] != [x | {'seconds': 0} for x in theirs]:
        found.append(files.HISTORY)
    return found


def _content(path: pathlib.Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def summary(campaign: Campaign, done: int, started: float) -> str:
    return (
        f'{done} runs, {campaign.phases.total()} times {campaign.signum.name}, '
        f'{len(campaign.faults)} faults, {time.monotonic() - started:.0f} s; '
        f'unbroken: {campaign.seconds:.1f} s, {campaign.writes} writes'
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = '%(default)s by default'
    parser.add_argument('--runs', type=int, default=100, help=default)
    parser.add_argument(
        '--signal', choices=['KILL', 'TERM'], default='KILL', help=default
    )
    parser.add_argument('--seed', type=int, default=1, help=default)
    options = parser.parse_args()
    rng, started = random.Random(options.seed), time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp())
    campaign = Campaign(folder, signal.Signals[f'SIG{options.signal}'])
    campaign.unbroken()
    done = 0
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C: what there is so far
        for done in range(1, options.runs + 1):
            campaign.run(done, rng)
            if done % TOLD == 0:
                print(summary(campaign, done, started), file=sys.stderr, flush=True)
    for fault in campaign.faults:
        print(fault)
    for phase, count in campaign.phases.most_common():
        print(f'{phase:12}{count:5} kills')
    print(summary(campaign, done, started))
    if campaign.faults:
        print(f'Look into {folder}.')
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == '__main__':
    sys.exit(main())
