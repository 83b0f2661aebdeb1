"""Runs that meet a full disk, a limit on files or a read-only disk, at any write.

python -m benchmarks.full_disk --runs=40

Needs Linux, `unshare` and `prlimit` (util-linux): each run has a small disk in memory
of its own. A run on a disk that is too small must end with status 2 and one sentence,
leave nothing unreadable, and with room made end as the unbroken run did, bit for bit;
so must one whose files may not grow beyond a limit, and one on a read-only disk.
Ends with status 1 at a fault.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from benchmarks.kill_campaign import Campaign, differing, unreadable

INSIDE = 'SUGRM_DISK'


def mount(*words: str) -> None:
    subprocess.run(['mount', *words], check=True)


def attempt(
    campaign: Campaign, workdir: pathlib.Path, limit: int | None = None
) -> tuple[int, str]:
    """Status and standard error of the run, whose files may grow up to `limit`."""
    within = () if limit is None else ('prlimit', f'--fsize={limit}')
    process = campaign.start(workdir, 0, within)
    _, told = process.communicate()
    return process.returncode, told


def refused(campaign: Campaign, workdir: pathlib.Path, status: int, told: str) -> None:
    """Notes what is wrong with the end of a run that could not write."""
    if status != 2 or len(told.splitlines()) != 1:
        campaign.faults.append(f'{workdir}: status {status}: {told[:2000]}')
    else:
        campaign.phases[reason(told)] += 1
    if workdir.exists():
        campaign.faults += [f'{workdir}: {x}' for x in unreadable(workdir)]


def reason(told: str) -> str:
    """The sentence as far as it is the same for many runs."""
    for sign in ('checkpoint of', '.npz', '.jsonl', 'tensorboard', '.csv', '.json'):
        if sign in told:
            return sign
    return told.split(':')[0][-40:]


def on_a_small_disk(campaign: Campaign, disk: pathlib.Path, size: int) -> None:
    disk.mkdir()
    mount('-t', 'tmpfs', '-o', f'size={size}', 'none', str(disk))
    status, told = attempt(campaign, disk / 'run')
    if status:
        refused(campaign, disk / 'run', status, told)
    mount('-o', 'remount,size=1g', str(disk))
    ends_alike(campaign, disk / 'run')
    mount('-o', 'remount,ro', str(disk))
    refused(campaign, disk / 'run', *attempt(campaign, disk / 'run'))
    subprocess.run(['umount', str(disk)], check=True)


def under_a_limit(campaign: Campaign, workdir: pathlib.Path, limit: int) -> None:
    status, told = attempt(campaign, workdir, limit)
    if status:
        refused(campaign, workdir, status, told)
    ends_alike(campaign, workdir)
    shutil.rmtree(workdir)


def ends_alike(campaign: Campaign, workdir: pathlib.Path) -> None:
    status, told = attempt(campaign, workdir)
    if status:
        campaign.faults.append(f'{workdir}, with room: status {status}: {told[:2000]}')
        return
    campaign.faults += [f'{workdir}: {x}' for x in unreadable(workdir)]
    unlike = differing(workdir, campaign.folder / 'unbroken')
    campaign.faults += [f'{workdir}: {x} is not as in the unbroken run' for x in unlike]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = '%(default)s by default'
    parser.add_argument('--runs', type=int, default=40, help=default)
    parser.add_argument('--seed', type=int, default=1, help=default)
    options = parser.parse_args()
    if INSIDE not in os.environ:
        again = [
            'unshare',
            '--mount',
            '--map-root-user',
            sys.executable,
            *sys.orig_argv[1:],
        ]
        return subprocess.run(again, env=os.environ | {INSIDE: '1'}).returncode
    rng, started = random.Random(options.seed), time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp())
    campaign = Campaign(folder, signal.SIGKILL)
    campaign.unbroken()
    left = folder / 'unbroken'
    sizes = collections.Counter({x: x.stat().st_size for x in left.rglob('*')})
    for number in range(options.runs):
        if number % 2:
            on_a_small_disk(
                campaign, folder / str(number), rng.randint(4096, sizes.total())
            )
        else:
            # Files of all sizes, of which the small ones are the many.
            limit = int(max(sizes.values()) ** rng.random())
            under_a_limit(campaign, folder / str(number), limit)
    for fault in campaign.faults:
        print(fault)
    for sign, count in campaign.phases.most_common():
        print(f'{sign:40}{count:5} times refused')
    print(
        f'{options.runs} runs, {campaign.phases.total()} times refused, '
        f'{len(campaign.faults)} faults, {time.monotonic() - started:.0f} s'
    )
    shutil.rmtree(folder)
    return 1 if campaign.faults else 0


if __name__ == '__main__':
    sys.exit(main())
