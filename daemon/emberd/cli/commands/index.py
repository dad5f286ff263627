"""`emberd index`: files into a collection, and again when they have changed."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.index_lines import job_lines, progress_text, summary_lines, summary_map
from emberd.cli.options import model_option
from emberd.cli.printing import plural, print_json
from emberd.cli.progress import ProgressLine
from emberd.cli.pulling import ensure_model
from emberd.errors import StorageError

if TYPE_CHECKING:
    from emberd.cli.index_jobs import JobFiles, RunningJob
    from emberd.ingest import IndexOptions, Progress, Summary

__all__ = ["command"]

_FAILURES_SHOWN = 10
_RETRIES = 50  # of an overloaded daemon, up to five seconds apart: a bulk run can wait
_LOG_EVERY_S = 10.0


@click.command(cls=Command, name="index")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("-c", "--collection", metavar="NAME", help="The collection; made where it is not.")
@model_option
@click.option(
    "--glob",
    "globs",
    multiple=True,
    metavar="PATTERN",
    help="Only files like this ('*.md'); may be given several times.",
)
@click.option(
    "--exclude",
    "excludes",
    multiple=True,
    metavar="PATTERN",
    help="No files or folders like this ('drafts/'); may be given several times.",
)
@click.option(
    "--max-mib",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="MIB",
    help="Leave larger files out.",
)
@click.option(
    "--chunk-tokens",
    default=256,
    show_default=True,
    type=click.IntRange(16, 8_192),
    metavar="N",
    help="The longest chunk, where the model takes as much.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--detach", is_flag=True, help="Go on in the background, without this terminal.")
@click.option("--status", is_flag=True, help="Show the runs of this machine, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object; with --status a list.")
@click.option("--started-fd", type=int, hidden=True, help="Set by --detach on its child.")
@pass_app
def command(
    app: App,
    /,
    paths: tuple[str, ...],
    collection: str | None,
    model: str | None,
    globs: tuple[str, ...],
    excludes: tuple[str, ...],
    max_mib: float,
    chunk_tokens: int,
    dry_run: bool,
    detach: bool,
    status: bool,
    as_json: bool,
    started_fd: int | None,
) -> None:
    """Bring a collection up to date with your files.

    PATH is a folder or a file: text, Markdown, reStructuredText, HTML, code. What .gitignore or
    .emberdignore names, hidden and binary files are left out; links are not followed. Files are
    cut into chunks where their text pauses. The same command again does only what has changed,
    and drops the chunks of files that are gone. After Ctrl-C it goes on where it stopped.

    \b
    Examples:
      $ emberd index ./docs --collection docs
      $ emberd index . -c code --glob '*.py' --glob '*.md' --exclude 'tests/'
      $ emberd index ~/notes -c notes --dry-run
      $ emberd index ~/archive -c archive --detach && emberd index --status
    """
    from emberd.ingest import IndexOptions  # noqa: PLC0415  # not for `--help`

    if status:
        _show_status(app, collection, as_json=as_json)
        return
    if not paths or not collection:
        raise click.UsageError("Name what to index and where: emberd index PATH --collection NAME.")
    options = IndexOptions(
        model=model,
        globs=globs,
        excludes=excludes,
        max_bytes=int(max_mib * (1 << 20)),
        chunk_tokens=chunk_tokens,
        dry_run=dry_run,
    )
    run = _Run(app, collection, paths, options, as_json=as_json, started_fd=started_fd)
    if detach:
        if dry_run:
            raise click.UsageError("--detach and --dry-run exclude each other.")
        run.detach()
    else:
        run.go()


def _show_status(app: App, collection: str | None, *, as_json: bool) -> None:
    from emberd.cli.index_jobs import all_jobs  # noqa: PLC0415  # not for `--help`

    jobs = [job for job in all_jobs(app) if collection in (None, job["collection"])]
    if as_json:
        print_json(jobs)
    elif jobs:
        click.echo("\n".join(job_lines(jobs)))
    else:
        app.say("Nothing has been indexed on this machine.")


@dataclass
class _Run:
    app: App
    collection: str
    paths: tuple[str, ...]
    options: IndexOptions
    as_json: bool = False
    started_fd: int | None = None
    _last: Progress | None = field(default=None, init=False)
    _logged_at: float = field(default=0.0, init=False)

    def go(self) -> None:
        """Here, to its end."""
        self._prepare()
        if self.options.dry_run:
            summary = self._index(None)
        else:
            from emberd.cli.index_jobs import JobFiles, RunningJob  # noqa: PLC0415  # not for help

            files = JobFiles.of(self.app, self.collection)
            about = {"paths": list(self.paths), "log": self._log(files)}
            with RunningJob.started(files, self.collection, **about) as job:
                self._say_started()
                summary = self._index(job)
                job.finish(summary_map(summary))
        self._print(summary)

    def detach(self) -> None:
        """The same, by a process of its own that nobody waits for."""
        from emberd.cli.detaching import detach  # noqa: PLC0415  # subprocess: not for `--help`
        from emberd.cli.index_jobs import JobFiles  # noqa: PLC0415

        self._prepare()
        files = JobFiles.of(self.app, self.collection)
        files.make_folders()
        files.refuse_second(self.collection)
        with self.app.client(autostart=True) as client:
            client.hello()  # what stands in the way of a start is said here, to a person
        pid = detach(self._words(), files.log)
        if self.as_json:
            print_json({"pid": pid, "collection": self.collection, "log": str(files.log)})
        else:
            click.echo(
                f"indexing into {self.collection} in the background: pid {pid}, log {files.log}\n"
                f"`emberd index --status` shows how far it is; `kill {pid}` ends it in order."
            )

    def _prepare(self) -> None:
        """What a person can have got wrong, before anything is started."""
        from emberd.ingest import check_request  # noqa: PLC0415  # not for `--help`

        check_request(self.paths, self.options)
        ensure_model(self.app, self.options.model)

    def _log(self, files: JobFiles) -> str | None:
        return None if self.started_fd is None else str(files.log)

    def _say_started(self) -> None:
        """To the process that detached us, if we were."""
        if self.started_fd is not None:
            from emberd.cli.detaching import end_on_sigterm, say_started  # noqa: PLC0415  # as above

            end_on_sigterm()
            say_started(self.started_fd)

    def _index(self, job: RunningJob | None) -> Summary:
        from emberd.ingest import index_files  # noqa: PLC0415  # not for `--help`

        with contextlib.ExitStack() as stack:
            line = stack.enter_context(ProgressLine(is_quiet=self.app.is_quiet))
            client = stack.enter_context(
                self.app.client(autostart=True, timeout_s=None, retries=_RETRIES)
            )
            tell = partial(self._tell, line, job)
            try:
                return index_files(
                    client, self.collection, self.paths, self.options, on_progress=tell
                )
            except KeyboardInterrupt:
                line.erase()
                self._say_interrupted()
                raise

    def _tell(self, line: ProgressLine, job: RunningJob | None, progress: Progress) -> None:
        self._last = progress
        line.show(partial(progress_text, progress, is_ascii=line.is_ascii))
        if job is not None:
            job.note(progress)
        if self.started_fd is not None and time.monotonic() - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = time.monotonic()
            self.app.say(f"{time.strftime('%H:%M:%S')} {progress_text(progress, has_bar=False)}")

    def _say_interrupted(self) -> None:
        chunks = self._last.chunks if self._last else 0
        self.app.say(
            f"Interrupted. {plural(chunks, 'chunk')} of this run are in {self.collection}: the "
            "same command goes on from there."
        )

    def _print(self, summary: Summary) -> None:
        """The summary on stdout; failures on stderr, and exit code 1 for them."""
        if self.as_json:
            print_json(summary_map(summary))
        else:
            click.echo("\n".join(summary_lines(summary)))
        failures = summary.failures
        if not failures:
            return
        for failure in failures[:_FAILURES_SHOWN]:
            self.app.say(f"{failure.path}: {failure.reason}")
        if len(failures) > _FAILURES_SHOWN:
            self.app.say(f"and {len(failures) - _FAILURES_SHOWN:,} more")
        raise StorageError(
            f"{len(failures):,} could not be indexed, the first {failures[0].path}: "
            f"{failures[0].reason}. The rest is in {self.collection}.",
            details={"paths": [failure.path for failure in failures[:1000]]},
        )

    def _words(self) -> list[str]:
        """This command line, for another process; its paths are the last of it."""
        options = self.options
        words = ["--socket", self.app.socket] if self.app.socket else []
        words += ["index", "--collection", self.collection]
        words += ["--model", options.model] if options.model else []
        for name, patterns in (("--glob", options.globs), ("--exclude", options.excludes)):
            words += [word for pattern in patterns for word in (name, pattern)]
        words += ["--max-mib", str(options.max_bytes / (1 << 20))]
        words += ["--chunk-tokens", str(options.chunk_tokens)]
        return [*words, *map(_absolute, self.paths)]


def _absolute(path: str) -> str:
    """For a command line: it begins with no dash and no tilde."""
    return os.path.abspath(os.path.expanduser(path))  # links stay as they are
