"""The only module that imports wandb: records runs offline, opens live ones, uploads records.

A record goes through these steps. (1) W&B is told to keep everything below the folder of the results, which it
does not by itself. (2) The run is opened offline under its stable id. (3) The curve is logged point by point
over the logarithm of its size, then tables, charts, pictures, summary. (4) Model and dictionary go in as used
artifacts, circuit and result as made ones, by reference to the files where they lie. (5) The run is closed and
older records of the same id, which this one replaces, are removed.
"""

import hashlib
import io
import json
import netrc
import os
import secrets
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import PIL.Image
import plotly.graph_objects
import wandb
from wandb.proto import wandb_internal_pb2

from basisbench.cache import write_atomically
from basisbench.tracking.contents import CURVE, STEP, Contents, Input, Json, Output, Table, artifact_name
from basisbench.tracking.settings import Target

Run = wandb.Run
INIT_SECONDS = 20.0
FINISH_SECONDS = 60.0
WRITE_SECONDS = 20.0
BLOCK = 2**15
# Of the process, not of the run that is uploaded, or they would change which run it is.
OF_THIS_RUN = (
    "WANDB_MODE", "WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_SERVICE",
    "WANDB_PROJECT", "WANDB_ENTITY",
)  # fmt: skip
# wandb asks an absent host for minutes; the records stay, so that giving up loses nothing.
PATIENCE = {
    "WANDB__GRAPHQL_RETRY_MAX": "3",
    "WANDB__GRAPHQL_RETRY_WAIT_MIN_SECONDS": "1",
    "WANDB__GRAPHQL_RETRY_WAIT_MAX_SECONDS": "2",
    "WANDB_HTTP_TIMEOUT": "20",
}


def has_credentials() -> bool:
    """Whether W&B can be reached without asking: ``WANDB_API_KEY``, a token file, or a line in netrc."""
    settings = wandb.setup().settings
    if settings.api_key or settings.identity_token_file:
        return True
    hosts = {urlsplit(settings.base_url).netloc}
    if "WANDB_BASE_URL" not in os.environ:
        hosts.add("api.wandb.ai")  # where keys of the public host are kept, whatever its address has become
    for path in filter(None, (os.environ.get("NETRC"), "~/.netrc", "~/_netrc")):
        try:
            known = netrc.netrc(Path(path).expanduser())
        except (OSError, RuntimeError, netrc.NetrcParseError):
            continue
        if any(known.authenticators(host) for host in hosts):
            return True
    return False


def record(contents: Contents, target: Target) -> Path:
    """Record a run offline and return its folder; raises whatever W&B raises, and then leaves no part of it."""
    settings = _settings()
    # this machine need not be the one that computed
    settings.x_disable_meta = settings.x_disable_stats = True
    settings.x_save_requirements = False
    staging = target.home / "data" / f"{contents.id}-{secrets.token_hex(4)}"
    with _kept_in(target.home, staging):
        run = wandb.init(
            project=target.project,
            entity=target.entity,
            id=contents.id,
            name=contents.name,
            group=contents.group,
            job_type=contents.job_type,
            tags=contents.tags,
            dir=target.home.parent,
            mode="offline",
            reinit="create_new",
            settings=settings,
        )
        folder = Path(run.dir).parent
        try:
            log_contents(run, contents, target.home)
        except BaseException:
            run.finish(exit_code=1)
            for part in (folder, staging):
                shutil.rmtree(part, ignore_errors=True)
            raise
        run.finish()
    _wait_until_whole(folder / f"run-{contents.id}.wandb")
    for older in {*records(target.home, contents.id), *staging.parent.glob(f"{contents.id}-*")} - {folder, staging}:
        shutil.rmtree(older, ignore_errors=True)
    return folder


def log_contents(run: Run, contents: Contents, home: Path) -> None:
    """Log all that `contents` holds, but for the labels that a run is opened with, to `run`."""
    for name, value in contents.config.items():
        run.config[name] = value
    for name in (STEP, "nodes"):
        run.define_metric(name, hidden=True, summary="none")
    run.define_metric(f"{CURVE}/*", step_metric=STEP, summary="none")
    for point in contents.points:
        run.log(point)
    shown: dict[str, object] = {name: _table(table) for name, table in contents.tables.items()}
    for name, chart in contents.charts.items():
        shown[name] = wandb.Plotly(plotly.graph_objects.Figure(chart))
    for name, png in contents.images.items():
        shown[name] = wandb.Image(PIL.Image.open(io.BytesIO(png)))
    run.log(shown)
    run.summary.update(contents.summary)
    for given in contents.inputs:
        # what use_artifact does online; offline it refuses, though a record can say it
        run._log_artifact(_input(given, home), is_user_created=True, use_after_commit=True)
    for made in contents.outputs:
        run.log_artifact(_output(made))


def open_live(target: Target, config: Mapping[str, Json], *, online: bool, job_type: str) -> Run:
    """Open a run that is logged to as it goes, or go on with it; raises whatever W&B raises.

    Its id and place are the target's, but under the agent of a sweep the agent's: W&B then takes no others.
    """
    settings = _settings()
    settings.init_timeout, settings.finish_timeout = INIT_SECONDS, FINISH_SECONDS
    with _kept_in(target.home, target.home / "data"):
        return wandb.init(
            project=target.project,
            entity=target.entity,
            id=target.id,
            resume="allow",
            dir=target.home.parent,
            config=dict(config),
            job_type=job_type,
            mode="online" if online else "offline",
            reinit="create_new",
            settings=settings,
        )


def records(home: Path, own_id: str = "*") -> list[Path]:
    """The folders of offline runs in `home`, or of those with an id, oldest first."""
    return sorted(file.parent for file in home.glob(f"offline-run-*/run-{own_id}.wandb"))


def id_of(record: Path) -> str:
    """The id of the run in a record."""
    return next(record.glob("run-*.wandb")).stem.removeprefix("run-")


def is_being_written(record: Path) -> bool:
    """Whether a record has no end yet and has grown of late: W&B writes to that of a running run every 15 s."""
    return any(not is_whole(file) and time.time() - file.stat().st_mtime < 120 for file in record.glob("*.wandb"))


def is_uploaded(record: Path) -> bool:
    """Whether W&B has marked a record as uploaded."""
    return any(record.glob("*.wandb.synced"))


def forget() -> None:
    """Stop W&B's own process: after a failed start it holds on to the run's id, which then cannot be used offline."""
    wandb.teardown()


def start_upload(runs: Sequence[Path], target: Target, *, resume: bool) -> subprocess.Popen[bytes]:
    """Begin to upload records, in a process of its own that ends by itself; what it says goes to ``sync.log``.

    A run that is there already is overwritten, or with `resume` gone on with.
    """
    environment = PATIENCE | {name: value for name, value in os.environ.items() if name not in OF_THIS_RUN}
    environment |= _folders(target.home, target.home / "data") | ({"WANDB_RESUME": "allow"} if resume else {})
    environment["WANDB_DIR"] = str(target.home.parent)  # for its logs
    where = ["--project", target.project, *(["--entity", target.entity] if target.entity else [])]
    # -P: a folder called wandb where the command was given is not the package
    command = [sys.executable, "-P", "-m", "wandb", "sync", *where, *map(str, runs)]
    with (target.home / "sync.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=target.home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _wait_until_whole(file: Path) -> None:
    """Wait for the end of a record: W&B's own process writes it, some time after the run has been closed here.

    Raises OSError if it does not come, as on a full disk.
    """
    end = time.monotonic() + WRITE_SECONDS
    while not is_whole(file):
        if time.monotonic() > end:
            raise OSError(f"{file} was not written to its end")
        time.sleep(0.005)


def is_whole(file: Path) -> bool:
    """Whether the last entry of a record is that of a run's end.

    The file is a LevelDB log after a header of seven bytes: blocks of 32 KiB, in each entries or pieces of them,
    each with a checksum, a length and a type (1 whole, 2 first piece, 3 middle, 4 last).
    """
    data = file.read_bytes() if file.exists() else b""
    place, entry, last = 7, b"", b""
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        entry += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            last, entry = entry, b""
    if place != len(data):
        return False
    record = wandb_internal_pb2.Record.FromString(last)  # type: ignore[attr-defined]  # made on import
    return bool(record.HasField("exit"))


def _settings() -> wandb.Settings:
    """Say nothing, catch no output, and take no code, commit or hardware: the config has what matters of these."""
    return wandb.Settings(
        silent=True,
        console="off",
        symlink=False,
        disable_git=True,
        disable_code=True,
        save_code=False,
        x_disable_machine_info=True,
    )


def _folders(home: Path, staging: Path) -> dict[str, str]:
    return {"WANDB_DATA_DIR": str(staging), "WANDB_CACHE_DIR": str(home / "cache")}


@contextmanager
def _kept_in(home: Path, staging: Path) -> Iterator[None]:
    """Have W&B keep files in `home` and stage those of artifacts in `staging`: it reads this from the environment."""
    folders = _folders(home, staging)
    before = {name: os.environ.get(name) for name in folders}
    os.environ.update(folders)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _table(table: Table) -> wandb.Table:
    return wandb.Table(columns=list(table.columns), data=table.rows, allow_mixed_types=True)


def _input(given: Input, home: Path) -> wandb.Artifact:
    """An artifact of one small file that says which model or dictionary; the same one is the same version."""
    text = json.dumps(given.identity, indent=1, sort_keys=True).encode() + b"\n"
    file = home / "inputs" / f"{given.kind}-{hashlib.sha256(text).hexdigest()[:16]}.json"
    if not file.exists():
        write_atomically(file, text)
    artifact = wandb.Artifact(artifact_name(given.kind, given.name), given.kind, metadata=dict(given.identity))
    artifact.add_file(str(file), f"{given.kind}.json", policy="immutable", skip_cache=True)
    return artifact


def _output(made: Output) -> wandb.Artifact:
    artifact = wandb.Artifact(artifact_name(made.name), made.kind, metadata=dict(made.metadata))
    for name, file in made.files.items():
        if isinstance(file, bytes):
            with artifact.new_file(name, "wb") as copy:
                copy.write(file)
        else:
            artifact.add_file(str(file.resolve()), name, policy="immutable", skip_cache=True)
    for name, table in made.tables.items():
        artifact.add(_table(table), name)
    return artifact
