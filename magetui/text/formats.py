"""Values as text for a person: durations, sizes, sessions, outcomes, on the command line and the screen alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

if TYPE_CHECKING:
    from magetui.engine.runs.retention import Pruned
    from magetui.model.plan import Plan
    from magetui.model.sessions import LockWait, Session, StatementProgress
    from magetui.protocol.events import SessionSignalled

# Also bytes that are no valid text: Python reads them as surrogates (PEP 383).
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")  # the only sequence that this program writes
NEAR = re.compile(r"the socket |localhost:|127\.|\[::1\]:")  # addresses on this machine
HIDDEN = "***"  # a credential in a redacted URL
ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
SEARCH_PATH = re.compile(r"\s*(?:-c\s*|--)search_path=([\w$]+)\s*")
KIBI = 1024
THOUSAND = 1_000
MILLION = 1_000_000


def plain(text: str) -> str:
    """Return `text` with control characters, and marks that reorder text, made visible: a terminal would obey them."""
    return _escaped(text.expandtabs(4))


def _escaped(text: str) -> str:
    return CONTROL.sub(lambda match: f"\\x{_code(match[0]):02x}", text)


def _code(character: str) -> int:
    """Return a character's code, or the byte that a surrogate stands for."""
    code = ord(character)
    return code & 0xFF if 0xDC80 <= code <= 0xDCFF else code


def for_terminal(text: str, *, colour: bool) -> str:
    """Return `text` as `plain` does, without tabs being expanded, but with this program's colours if it uses any."""
    parts = COLOUR.split(text) if colour else [text]
    return "".join(part if number % 2 else _escaped(part) for number, part in enumerate(parts))


def one_line(text: str, width: int = 0) -> str:
    """Return `text` on one line, cut at `width` columns with an ellipsis (0: not cut)."""
    line = plain(" ".join(text.split()))
    return line if not width or len(line) <= width else line[: max(0, width - 1)] + "…"


def place(redacted: str) -> str:
    """Return a redacted URL as a label: user, host, database, socket and schema, or the path of a file.

    'mage@127.0.0.1:5432/mage schema library' for 'postgresql://mage:***@…/mage?options=-csearch_path%3Dlibrary'. The
    label is not for copying, so encoded characters are shown as themselves, unless they would mean something in a URL.
    """
    scheme, _, address = redacted.partition("://")
    if scheme.startswith("sqlite"):
        return plain(address.removeprefix("/"))
    where, _, query = address.partition("?")
    words, others = [], []
    for parameter in query.split("&") if query else ():
        if (known := _readable(*parameter.partition("=")[::2])) is not None:
            words.append(known)
        elif HIDDEN not in parameter:
            others.append(parameter)
    where = ENCODED.sub(_decoded, where.replace(f":{HIDDEN}", ""))
    return plain(" ".join((where + (f"?{'&'.join(others)}" if others else ""), *words)))


def database(redacted: str) -> str:
    """Return the label of a database without the user: '127.0.0.1:5432/mage schema library'."""
    return place(redacted).rpartition("@")[2] if "://" in redacted else plain(redacted)


def _readable(key: str, value: str) -> str | None:
    """Return a parameter of a URL in words, or None if it has none."""
    text = unquote_plus(value)
    if key == "host" and text.startswith("/"):
        return f"socket {text}"
    if key == "options" and (match := SEARCH_PATH.fullmatch(text)):
        return f"schema {match[1]}"
    return None


def _decoded(match: re.Match[str]) -> str:
    text = unquote(match[0])
    return match[0] if any(character in "@:/?#%&=" for character in text) else text


def duration(milliseconds: int | None) -> str:
    """Return '84 ms', '6.8 s', '6 min', '3 h 20 min' or '4 days'; '' if unknown."""
    if milliseconds is None:
        return ""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s" if minutes < 10 else f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


def size(count: int | None) -> str:
    """Return '500 B', '8 kB', '2.1 MB' or '890 MB', with at most three digits; '' if unknown. A kB has 1024 bytes."""
    if count is None:
        return ""
    value: float = count
    for unit in ("B", "kB", "MB", "GB"):
        if round(value) < THOUSAND:
            return f"{_short(value)} {unit}"
        value /= KIBI
    return f"{_short(value)} TB"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"


def rows(count: int | None) -> str:
    """Return '2,104,332 rows'; '' if unknown."""
    return "" if count is None else "1 row" if count == 1 else f"{count:,} rows"


def number(count: int, singular: str, plural: str | None = None) -> str:
    """Return '1 table', '3 tables' or '2 indexes'."""
    return f"{count} {singular if count == 1 else plural or f'{singular}s'}"


def some(names: Sequence[str], most: int) -> str:
    """Return 'a, b and 7 more', with at most `most` of the names."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def with_releases(revisions: Sequence[str], kind: str | None, gap: str) -> str:
    """Return 'a1b2 (mage-ai 0.9.77), c3d4'; '' if there is no revision. Only revisions of Mage have releases."""
    from magetui.engine.project.releases import release_range

    def named(revision: str) -> str:
        release = release_range(revision) if kind == "mage" else None
        return plain(revision) + (f"{gap}({release})" if release else "")

    return ", ".join(map(named, revisions))


def session_line(session: Session) -> str:
    """Return '4711  mage  mage-server  10.0.3.7  idle in transaction, 6 min'."""
    doing = ", ".join(part for part in (session.state, duration(session.transaction_ms)) if part)
    parts = (str(session.pid), session.user, session.application, session.client, doing)
    return "  ".join(one_line(part) for part in parts if part)


def mode(lock_mode: str | None) -> str:
    """Return a lock mode as in a sentence: 'access exclusive'."""
    return (lock_mode or "").lower()


def wanted(wait: LockWait | None) -> str:
    """Return 'access exclusive on user', or 'a lock' if the lock is not known."""
    what = plain((wait.relation if wait else None) or "a lock")
    return f"{mode(wait.mode)} on {what}" if wait and wait.mode else what


SIGNALLED: Mapping[str, str] = {"cancel": "cancelled the query of", "terminate": "ended"}


def signal(sent: SessionSignalled) -> str:
    """Return 'alice@db1 ended session 4711  mage  mage-server  10.0.3.7  idle in transaction, 6 min'."""
    return f"{plain(sent.operator)} {SIGNALLED[sent.action]} session {session_line(sent.session)}"


def counted(progress: StatementProgress) -> str:
    """Return '1.2 of 3.0 M rows', '12 of 40 blocks' or '320 kB of 890 MB'."""
    done, total, unit = progress.done, progress.total, progress.unit
    if unit == "bytes":
        return f"{size(done)} of {size(total)}" if total else size(done)
    if (total or done) >= MILLION:
        return f"{done / MILLION:.1f}{f' of {total / MILLION:.1f}' if total else ''} M {unit}"
    return f"{done:,}{f' of {total:,}' if total else ''} {unit}"


def share(progress: StatementProgress) -> str:
    """Return '40 %' or 'about 40 %, an estimate'; '' if the total is unknown."""
    if not progress.total:
        return ""
    percent = f"{min(100, 100 * progress.done // progress.total)} %"
    return f"about {percent}, an estimate" if progress.estimate else percent


def doing(progress: StatementProgress) -> str:
    """Return 'building index on t'."""
    return f"{progress.doing} on {one_line(progress.relation)}" if progress.relation else progress.doing


def phase(progress: StatementProgress) -> str:
    """Return 'scanning table', without the work that the server repeats in 'building index: scanning table'."""
    return (progress.phase or "").removeprefix(f"{progress.doing}: ")


def progress(made: StatementProgress) -> str:
    """Return 'building index on t: 40 %, 1,200 of 3,000 blocks, scanning table'."""
    return f"{doing(made)}: {', '.join(part for part in (share(made), counted(made), phase(made)) if part)}"


def verifying(revision: str) -> str:
    """Return how to check the schema before a stamp."""
    return f"To check the schema against {plain(revision)} first: magetui verify {plain(revision)}"


def connected(url: str | None, address: str | None, tls: str | None) -> str:
    """Return what the redacted URL of a server does not say: ' at db1:5432, TLSv1.3'; '' if the URL says it all."""
    if address is None:
        return ""
    where = "" if address in (url or "") else f" at {address}"
    if tls is not None:
        return f"{where}, {tls}"
    return where if NEAR.match(address) else f"{where}, without TLS"


def created_first(plan: Plan) -> Iterator[str]:
    """Yield a line for each thing that the plan creates before its first step."""
    if plan.creates_schema is not None:
        yield f"creates schema {plain(plan.creates_schema)} first: search_path names it, but it does not exist"
    if plan.creates_version_table is not None:
        yield f"creates the version table {plain(plan.creates_version_table)} first"


def outcome(name: str) -> str:
    """Return 'lock timeout' for 'lock-timeout'."""
    return name.replace("-", " ")


def current(revisions: tuple[str, ...] | None) -> str:
    """Return the current revision, 'nothing' if the database has none, 'unknown' if it could not be read."""
    if revisions is None:
        return "unknown"
    return ", ".join(plain(revision) for revision in revisions) or "nothing"


def pruned(pruned: Pruned) -> str:
    """Return what happened to the records of runs: 'Deleted 12 records (run 1 to 12), 30.1 MB. 200 are left.'"""
    left = f"{pruned.left:,} {'is' if pruned.left == 1 else 'are'} left."
    if not pruned.runs:
        return f"No record is beyond the limits. {left}"
    which = str(pruned.runs[0]) if len(pruned.runs) == 1 else f"{min(pruned.runs)} to {max(pruned.runs)}"
    return f"Deleted {number(len(pruned.runs), 'record')} (run {which}), {size(pruned.bytes)}. {left}"


def local_time(stamp: str | None) -> str:
    """Return an ISO 8601 UTC stamp as local time: 'HH:MM:SS' today, 'MM-DD HH:MM' before, the date of another year."""
    if stamp is None:
        return "?"
    local = moment(stamp).astimezone()
    today = datetime.now(local.tzinfo).date()
    if local.year != today.year:
        return f"{local:%Y-%m-%d}"
    return local.strftime("%H:%M:%S" if local.date() == today else "%m-%d %H:%M")


def moment(stamp: str) -> datetime:
    """Return the moment of an ISO 8601 UTC stamp, which `fromisoformat` of Python 3.10 reads without the Z alone."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
