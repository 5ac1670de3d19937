# /// script
# requires-python = ">=3.11"
# dependencies = ["huggingface_hub==2.4.0"]
# ///
"""Carry one run inside a Hugging Face Job or Space: fetch it, build its engine, run its worker, bring home the result.

Started by `uv run run.py` on an image that has uv and Python and nothing else (in a Space by `space.py`); it imports
the standard library and huggingface_hub only. It is told by its environment:

    ALIGN_STUDIO_RUN        id of the run
    ALIGN_STUDIO_STORE      the private dataset repository in which the run is, under runs/<id>/
    ALIGN_STUDIO_REVISION   the commit of it to read
    ALIGN_STUDIO_STARTED    when the Job began, Unix seconds
    ALIGN_STUDIO_ENGINE     an environment that has the engine's packages already, without torch; optional
    SPACE_ID                there in a Space, which anybody who may see it can start again: it then carries nothing
    HF_TOKEN                a secret; it is never written anywhere

and by run.json there (`job`, see `pipeline/carriers/bundle.py`). What it prints is either a plain line or an event,
`@@EVT {json}`. Events are numbered (`seq`) and say how many plain lines came before them (`at`), so that whoever reads
the log twice can tell what is new. The store gets events.jsonl and log.txt now and then and at the end. A file `stop`
in the store, and the soft stop before the Job's hard one, ask the worker to stop and keep what it has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session
from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError
from huggingface_hub.utils import disable_progress_bars

T = TypeVar("T")
Event = dict[str, Any]

ENDS = ("done", "error", "cancelled")
STOP_POLL_S = 5.0
PUSH_FIRST_S, PUSH_MOST_S = 60.0, 300.0  # the Hub limits commits per hour: a long run is written down less often
LAST_S = 30.0  # before the hard stop, a worker that has not stopped is ended, so that the log can be saved
GRACE_S = 10.0  # between SIGTERM and SIGKILL
BEGUN, FINISHED = "begun", "finished"  # marks in the store, of a run in a Space
AGAIN = 1_000_000  # first number of the events of a Space that was started again
KEPT = (".gitattributes", ".eval_results/")  # in a model's repository, not the model's
LINE_CHARS = 4000
LOG_BYTES = 2_000_000
RESULTS = "<!-- align-studio:results -->"
PASSING = frozenset({408, 409, 412, 429, 500, 502, 503, 504})


class Problem(Exception):
    """Something the user can act on."""

    def __init__(self, code: str, /, **values: Any) -> None:
        super().__init__(code)
        self.code, self.values = code, values


class Stopped(Exception):
    """A stop was asked for before the worker began."""


class Relay:
    """What the Job prints, numbered, and the same in two files for the store."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.events, self.log = folder / "events.jsonl", folder / "log.txt"
        self._secret = secret
        self._seq = self._lines = 0
        self._lock = threading.Lock()

    def emit(self, event: str, /, **values: Any) -> None:
        """Print an event of our own."""
        self.pass_on({"ts": time.time(), "event": event, **values})

    def stage(self, stage: str, code: str, /, **values: Any) -> None:
        """Print what is being done now; the words of `code` are the app's."""
        self.emit("stage", stage=stage, code=code, values=values)

    def resume(self, events: bytes, log: bytes) -> None:
        """Go on from what a former program of the same run has saved, with numbers that it cannot have reached."""
        with self._lock:
            self.events.write_bytes(events)
            self.log.write_bytes(log)
            self._seq, self._lines = self._seq + AGAIN, log.count(b"\n")

    def pass_on(self, event: Event) -> None:
        """Print an event of the worker."""
        with self._lock:
            self._seq += 1
            text = self._clean(json.dumps({**event, "seq": self._seq, "at": self._lines}, ensure_ascii=False))
            self._write(f"@@EVT {text}", self.events, text)

    def line(self, text: str) -> None:
        """Print a plain line; of one that a progress bar has drawn over, what is seen last."""
        shown = self._clean(text.rstrip().rsplit("\r", 1)[-1][:LINE_CHARS])
        if not shown.strip():
            return
        with self._lock:
            self._lines += 1
            self._write(shown, self.log, shown)

    def _clean(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text

    def _write(self, printed: str, file: Path, text: str) -> None:
        sys.stdout.write(f"{printed}\n")
        sys.stdout.flush()
        with file.open("a", encoding="utf-8", errors="replace") as out:
            out.write(f"{text}\n")


class Job:
    """One run in one Job."""

    def __init__(self, folder: Path) -> None:
        self.run = os.environ["ALIGN_STUDIO_RUN"]
        self.store = os.environ["ALIGN_STUDIO_STORE"]
        self.started = float(os.environ.get("ALIGN_STUDIO_STARTED") or time.time())
        self.folder = folder
        self.api = HfApi(token=os.environ.get("HF_TOKEN") or False)
        self.relay = Relay(folder, os.environ.get("HF_TOKEN", ""))
        self.work: dict[str, Any] = {}
        self.cause = ""  # why it stops: user, time, end (the Job is being ended)
        self.finished = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.in_space = "SPACE_ID" in os.environ
        self.working = False  # whether that process is the worker, which knows how to stop

    @property
    def hard_stop(self) -> float:
        """When the Hub ends the Job, Unix seconds."""
        return self.started + float(self.work.get("timeout", 86400))

    def carry(self) -> int:
        """Carry the run to its end; return the exit code."""
        if self.in_space and self.is_finished():
            return 0
        self.relay.stage("fetching", "engines.job_begun")
        try:
            self.begin_once()
            self.fetch_bundle()
            for task in (self.watch, self.keep_saving):
                threading.Thread(target=task, daemon=True).start()
            self.fetch_data()
            python = self.build_engine()
            end = self.run_worker(python)
            if end["event"] == "done":
                end = {**end, **self.upload(end)}
            else:
                self.save_partial_output()
        except Stopped:
            end = self.ended_early()
        except Problem as error:
            end = error_event(error.code, **error.values)
        except Exception as error:  # the boundary of the program: whatever it is, the user must see it
            for line in traceback.format_exc().splitlines():
                self.relay.line(line)
            end = unexpected(error)
        self.finished.set()
        self.relay.pass_on({**end, "ts": time.time()})
        self.save(tries=6, last=True)
        if self.cause == "end" and end["event"] == "cancelled":
            return 128 + signal.SIGTERM  # the Hub's page is to show that it did not end by itself
        return 1 if end["event"] == "error" else 0

    def is_finished(self) -> bool:
        """Return whether this run has ended before: somebody has woken its Space."""
        return self.again(lambda: self.in_store(FINISHED))

    def begin_once(self) -> None:
        """Mark the run as begun in a Space, where it must not begin a second time: its time limit would begin anew.

        Raises:
            Problem: It has begun before, and whatever it had made is lost.
        """
        if not self.in_space:
            return
        if self.again(lambda: self.in_store(BEGUN)):
            self.relay.resume(self.saved("events.jsonl"), self.saved("log.txt"))
            raise Problem("engines.space_again")
        self.again(lambda: self.commit({BEGUN: b"begun\n"}, f"Begin {self.run}"))

    def saved(self, name: str) -> bytes:
        """Return a file of the run's folder in the store, nothing where it is not there."""
        if not self.again(lambda: self.in_store(name)):
            return b""
        wanted = {"repo": self.store, "file": f"runs/{self.run}/{name}"}
        return Path(self.download(wanted)).read_bytes()

    def in_store(self, name: str) -> bool:
        """Return whether the run's folder in the store has a file."""
        return bool(self.api.file_exists(self.store, f"runs/{self.run}/{name}", repo_type="dataset"))

    def fetch_bundle(self) -> None:
        """Bring the run's own files here and put them in their places."""
        bundle, inside = self.folder / "bundle", f"runs/{self.run}"
        self.again(
            lambda: self.api.snapshot_download(
                self.store,
                repo_type="dataset",
                revision=os.environ["ALIGN_STUDIO_REVISION"],
                allow_patterns=[
                    f"{inside}/run.json",
                    f"{inside}/spec.json",
                    f"{inside}/engine/*",
                    f"{inside}/files/**",
                ],
                local_dir=bundle,
            )
        )
        home = bundle / inside
        self.work = json.loads((home / "run.json").read_text("utf-8"))["job"]
        shutil.copy(home / "spec.json", self.folder / "spec.json")
        shutil.copytree(home / "engine", self.folder / "engine")
        if (home / "files").is_dir():
            shutil.copytree(home / "files", self.folder, dirs_exist_ok=True)

    def fetch_data(self) -> None:
        """Download what the worker reads."""
        for wanted in self.work.get("downloads") or []:
            self.check()
            self.relay.stage("fetching", "engines.downloading", file=wanted["file"], repo=wanted["repo"])
            target = (self.folder / wanted["to"]).resolve()
            if not target.is_relative_to(self.folder.resolve()):
                raise Problem("engines.outside", path=wanted["to"])
            try:
                file = self.download(wanted)
            except Exception as error:
                detail = f"{type(error).__name__}: {error}"[:500]
                raise Problem(
                    "engines.not_downloaded", file=wanted["file"], repo=wanted["repo"], detail=detail
                ) from error
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target)

    def download(self, wanted: dict[str, Any]) -> str:
        """Download one file of a repository; return where it is."""
        return self.again(
            lambda: str(
                self.api.hf_hub_download(
                    wanted["repo"],
                    wanted["file"],
                    repo_type=wanted.get("type", "dataset"),
                    revision=wanted.get("revision"),
                    local_dir=self.folder / "downloads" / wanted["repo"],
                )
            )
        )

    def build_engine(self) -> Path:
        """Build the worker's environment from its lock, as pipeline/base/install.py does; return its Python."""
        environment = Path(os.environ.get("ALIGN_STUDIO_ENGINE") or self.folder / "environment")
        python = environment / "bin" / "python"
        install = ["pip", "install", "--python", str(python)]
        lock = str(self.folder / "engine" / "lock.txt")
        self.relay.stage("install", "engines.building")
        if not python.exists():
            self.uv("create", ["venv", "--python", sys.executable, str(environment)])
            self.uv("packages", [*install, "--require-hashes", "--no-deps", "-r", lock])
        torch = self.work.get("torch")
        if torch:
            links = (os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or "").split()
            found = [part for link in links for part in ("--find-links", link)]
            try:
                self.uv("torch", [*install, *(found or ["--torch-backend=auto"]), f"torch=={torch}"])
            except Problem:
                if found:
                    raise
                self.uv("torch", [*install, f"torch=={torch}"])  # PyTorch's own index did not answer
        return python

    def uv(self, step: str, arguments: list[str]) -> None:
        """Run one uv command and pass its lines on."""
        command = [shutil.which("uv") or os.environ.get("UV") or "uv", *arguments, "--no-config", "--color", "never"]
        tail: deque[str] = deque(maxlen=15)
        process = self.start(command, {"UV_NO_PROGRESS": "1"})
        for text in self.output_of(process):
            tail.append(text)
            if not text.lstrip().startswith(("+", "-", "~")):
                self.relay.stage("install", f"install.{step}", line=text)
        self.check()
        if process.returncode:
            named = {"@": "message", "code": f"install.step.{step}", "values": {}}
            raise Problem("engines.not_built", step=named, detail="\n".join(tail))

    def start(self, command: list[str], more: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own; `watch` ends it when it must."""
        left_out = {"ALIGN_STUDIO_JOB", "VIRTUAL_ENV", "SPACE_ID", "ENDPOINT_ID", "PYTHONHOME", "PYTHONPATH"}
        environment = {key: value for key, value in os.environ.items() if key not in left_out}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=environment | more,
            start_new_session=True,
        )
        return self.process

    def output_of(self, process: subprocess.Popen[bytes]) -> Any:
        """Yield a program's lines until it ends."""
        assert process.stdout is not None
        for raw in process.stdout:
            text = raw.decode("utf-8", "replace").strip("\r\n")
            if text.strip():
                yield text
        process.wait()

    def run_worker(self, python: Path) -> Event:
        """Run the worker, pass its events and lines on, and return the event with which it ended."""
        self.check()
        self.relay.stage("starting", "engines.starting_worker")
        command = [str(python), str(self.folder / "engine" / "worker.py"), "spec.json"]
        process, self.working = self.start(command, {"PYTHONUNBUFFERED": "1"}), True
        end: Event | None = None
        for text in self.output_of(process):
            event = as_event(text)
            if event is None:
                self.relay.line(text)
            elif event["event"] in ENDS:
                end = event  # passed on when everything is saved
            else:
                self.relay.pass_on(event)
        return self.meaning(process.returncode, end)

    def meaning(self, code: int, end: Event | None) -> Event:
        """Return what the worker's end means."""
        if end and end["event"] == "done" and code == 0:
            return {**end, "stopped_by": self.cause or None if end.get("stopped") else None}
        if self.cause == "time" and (end is None or end["event"] == "cancelled"):
            return self.ended_early()
        if end and end["event"] in ("error", "cancelled"):
            return end
        if self.cause:
            return {"event": "cancelled"}
        if code < 0:
            killed = "engines.killed_memory" if code == -signal.SIGKILL else "engines.killed"
            return error_event(killed, signal=signal.Signals(-code).name)
        return error_event("engines.exit_code", exit=code)

    def ended_early(self) -> Event:
        """Return the end of a run that was stopped before there was anything to keep."""
        if self.cause != "time":
            return {"event": "cancelled"}
        return error_event("engines.time_over", minutes=round(self.work.get("timeout", 0) / 60))

    def upload(self, done: Event) -> Event:
        """Bring the result to its repository; return what the end event says of it."""
        upload = self.work.get("upload")
        if not upload:
            return self.save_output(done)
        folder, repo, kind = self.folder / upload["folder"], upload["repo"], upload.get("type", "model")
        self.relay.stage("uploading", "engines.uploading", repo=repo)
        card = upload.get("card")
        if card:
            (folder / "README.md").write_text(
                card.replace(RESULTS, results_table(done, upload.get("words") or {})), "utf-8"
            )
        try:
            self.again(
                lambda: self.api.create_repo(repo, repo_type=kind, private=upload.get("private", True), exist_ok=True)
            )
            revision = self.again(lambda: self.commit_folder(folder, repo, kind, upload.get("message") or "Add files"))
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"[:500]
            raise Problem("engines.not_uploaded", repo=repo, detail=detail) from error
        model = Path(str(done.get("model_path") or folder))
        inside = model.relative_to(folder).as_posix() if model.is_relative_to(folder) else "."
        prefix = "" if kind == "model" else f"{kind}s/"
        return {
            "model_path": None,
            "adapter_path": None,
            "repo": repo,
            "repo_type": kind,
            "revision": revision,
            "subfolder": "" if inside == "." else inside,
            "url": f"{self.api.endpoint}/{prefix}{repo}/tree/{revision}",
        }

    def commit_folder(self, folder: Path, repo: str, kind: str, message: str) -> str:
        """Make a repository hold exactly a folder's files, in one commit.

        What it holds already is left out by the library, so that a commit whose answer was lost is not made twice.
        """
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        there = self.api.list_repo_files(repo, repo_type=kind)
        gone = [path for path in there if path not in files and not path.startswith(KEPT)]
        operations = [CommitOperationAdd(name, path) for name, path in files.items()]
        deletions = [CommitOperationDelete(path) for path in gone]
        about = f"Made by run {self.run} of Align Studio."
        commit = self.api.create_commit(
            repo, [*operations, *deletions], commit_message=message, commit_description=about, repo_type=kind
        )
        return str(commit.oid)

    def save_output(self, done: Event) -> Event:
        """Put the output folder into the run's folder of the store."""
        self.relay.stage("uploading", "engines.uploading", repo=self.store)
        try:
            revision = self.again(self.commit_output)
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"[:500]
            raise Problem("engines.not_uploaded", repo=self.store, detail=detail) from error
        place = f"runs/{self.run}/output"
        url = f"{self.api.endpoint}/datasets/{self.store}/tree/{revision}/{place}"
        return {"repo": self.store, "repo_type": "dataset", "revision": revision, "subfolder": place, "url": url}

    def save_partial_output(self) -> None:
        """Keep what a worker that did not finish has written, where it goes to the store anyway."""
        if not self.work.get("upload") and (self.folder / "output").is_dir():
            try:
                self.commit_output()
            except Exception as error:  # the run has failed for another reason, and that one is told
                self.relay.line(f"The unfinished results were not saved: {error}")

    def commit_output(self) -> str:
        """Commit the output folder to the store."""
        output = self.folder / "output"
        found = [path for path in output.rglob("*") if path.is_file()]
        files: dict[str, Path | bytes] = {f"output/{path.relative_to(output).as_posix()}": path for path in found}
        return self.commit(files, f"Results of {self.run}")

    def commit(self, files: dict[str, Path | bytes], message: str) -> str:
        """Commit files to the run's folder of the store."""
        operations = [CommitOperationAdd(f"runs/{self.run}/{name}", data) for name, data in files.items()]
        return str(self.api.create_commit(self.store, operations, commit_message=message, repo_type="dataset").oid)

    def save(self, tries: int = 1, last: bool = False) -> None:
        """Bring events and log to the store; without them the run is only harder to follow."""
        log = self.relay.log.read_bytes()[-LOG_BYTES:] if self.relay.log.exists() else b""
        marks: dict[str, Path | bytes] = {FINISHED: b"finished\n"} if last and self.in_space else {}
        for attempt in range(tries):
            try:
                files = {"events.jsonl": self.relay.events.read_bytes(), "log.txt": log, **marks}
                self.commit(files, f"Log of {self.run}")
                return
            except Exception as error:
                if attempt + 1 == tries or not passing(error):
                    self.relay.line(f"The log was not saved to {self.store}: {type(error).__name__}")
                    return
                time.sleep(min(2.0**attempt, max(0.0, self.hard_stop - time.time() - 5)))

    def keep_saving(self) -> None:
        """Bring events and log to the store now and then."""
        pause = PUSH_FIRST_S
        while not self.finished.wait(pause):
            self.save()
            pause = min(PUSH_MOST_S, pause * 1.5)

    def watch(self) -> None:
        """Notice that the run is to stop and pass it on to the worker, gently at first."""
        asked = ended = float("-inf")
        while not self.finished.wait(0.5):
            now = time.time()
            if not self.cause and now > self.started + float(self.work.get("soft_stop", 86400)):
                self.cause = "time"
                self.relay.emit("warning", code="engines.time_near", values={})
            if not self.cause and now - asked > STOP_POLL_S:
                asked = now
                if self.stop_requested():
                    self.cause = "user"
            if self.cause:
                (self.folder / "stop").touch()
            over = now > self.hard_stop - LAST_S
            if over or self.cause == "end" or (self.cause and not self.working):
                self.cause = self.cause or "time"
                how = signal.SIGKILL if ended > 0 and now - ended > GRACE_S else signal.SIGTERM
                ended = now if ended < 0 else ended
                self.signal_process(how)

    def signal_process(self, how: signal.Signals) -> None:
        """Send a signal to the program that runs now, with everything it has started."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)

    def stop_requested(self) -> bool:
        """Return whether the store holds the run's stop file; a Hub that does not answer says nothing."""
        try:
            return self.in_store("stop")
        except Exception:
            return False

    def check(self) -> None:
        """Raise Stopped when a stop was asked for."""
        if self.cause:
            raise Stopped

    def again(self, call: Callable[[], T]) -> T:
        """Return what a call returns that may be made twice, tried again while its error may pass and time is left."""
        wait = 2.0
        while True:
            try:
                return call()
            except Exception as error:
                if not passing(error) or time.time() + wait > self.hard_stop - LAST_S or self.cause == "end":
                    raise
                self.relay.line(f"{type(error).__name__} from the Hub; trying again in {wait:.0f} s")
            time.sleep(wait)
            wait = min(60.0, wait * 2)


def error_event(code: str, /, **values: Any) -> Event:
    """Return the event of a run that failed."""
    return {"event": "error", "code": code, "values": values}


def unexpected(error: Exception) -> Event:
    """Return the end of a run that failed for a reason that nobody has foreseen, or for its token's end."""
    if status(error) == 401:
        return error_event("engines.token_over")
    return {**error_event("engines.job_failed", detail=str(error)[:1000]), "type": type(error).__name__}


def as_event(text: str) -> Event | None:
    """Return the event in a worker's line, None for a plain line."""
    if not text.startswith("@@EVT "):
        return None
    try:
        event = json.loads(text.removeprefix("@@EVT "))
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def status(error: BaseException) -> int:
    """Return the HTTP status the Hub answered with, 0 where it did not answer."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if response is not None:
            return int(response.status_code)
        cause = cause.__cause__ or cause.__context__
    return 0


def passing(error: BaseException) -> bool:
    """Return whether an error may be gone at the next try."""
    if code := status(error):
        return code in PASSING
    # hf_xet says RuntimeError for everything that happens to a transfer
    return isinstance(error, HTTPError | ConnectionError | TimeoutError | LocalEntryNotFoundError | RuntimeError)


def results_table(done: Event, words: dict[str, str]) -> str:
    """Return the final metrics as a Markdown table; `words` are those of its head and of steps and seconds."""
    rows = {
        words.get("steps", "steps"): done.get("steps"),
        words.get("seconds", "seconds"): done.get("seconds"),
        **(done.get("metrics") or {}),
    }
    shown = [
        f"| {name} | {value:.6g} |" for name, value in rows.items() if isinstance(value, int | float) and value == value
    ]
    if not shown:
        return words.get("none", "–")
    return "\n".join([f"| {words.get('metric', 'metric')} | {words.get('value', 'value')} |", "|---|---|", *shown])


def relay_complaints(relay: Relay) -> None:
    """Number what libraries write to stderr too: a line that is not counted would be lost or shown twice."""
    read, write = os.pipe()
    os.dup2(write, 2)

    def pump() -> None:
        with os.fdopen(read, encoding="utf-8", errors="replace", newline="\n") as complaints:
            for text in complaints:
                relay.line(text)

    threading.Thread(target=pump, daemon=True).start()


def main() -> int:
    """Carry the run that the environment names."""
    os.umask(0o077)
    folder = Path.cwd() / os.environ["ALIGN_STUDIO_RUN"]
    folder.mkdir(exist_ok=True)
    get_session().timeout = 120.0  # the library itself waits for ever
    disable_progress_bars()
    job = Job(folder)
    relay_complaints(job.relay)

    def end(_number: int, _frame: Any) -> None:
        job.cause = "end"

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    return job.carry()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # nothing that still runs may hold the Job open: it is billed by the minute
