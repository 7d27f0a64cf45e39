"""Change a setting of the whole server by ALTER SYSTEM and load it; the undo restores what ALTER SYSTEM said before.

ALTER SYSTEM succeeds on a standby, writes down what a server cannot start with, and is overruled by the command line:
each of these is looked for beforehand.  A value that may hold a secret is refused, because the journal would keep it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.observe.settings import quantity
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.journey.steps.stored_settings import NAME_LISTS
from pgrunbook.model import Kind, Server, ServerRole, literal, quote
from pgrunbook.pg.connect import Session, into

LOAD_WAIT_S = 10.0  # a reload reaches a session between two of its statements
POLL_S = 0.02
AUTO_FILE = "postgresql.auto.conf"
LIBRARY_LISTS = NAME_LISTS | {"output_plugin_libraries"}

# A wrong value of these can keep everybody out, keep the server from starting, stop every commit, run programs as the
# server's own user, or let a crash destroy the data.
_LOCKS_OUT = re.compile(
    r"(listen_addresses|port|unix_socket_.*|ssl|ssl_.*|hba_file|ident_file|data_directory|config_file|external_pid_file"
    r"|krb_.*|gss_.*|oauth_.*|authentication_timeout|password_encryption|scram_iterations|allow_alter_system"
    r"|max_connections|superuser_reserved_connections|reserved_connections|event_triggers|.*_preload_libraries"
    r"|default_transaction_read_only|default_table_access_method|default_tablespace|session_replication_role"
    r"|synchronous_standby_names|synchronized_standby_slots|wal_level|hot_standby|primary_.*|recovery_.*|restore_command"
    r"|archive_.*|.*_command|fsync|full_page_writes|zero_damaged_pages|ignore_.*|allow_system_table_mods"
    r"|output_plugin_libraries|dynamic_library_path|extension_control_path|jit_provider|search_path|role)\Z"
)
_ALWAYS_SAFE = {("fsync", "on"), ("full_page_writes", "on")}
_SECRET = re.compile(
    r"primary_conninfo\Z|ssl_passphrase_command\Z|.*\..*(secret|passw|passphrase|token|key|jwt|credent)"
)
_NAME = re.compile(r"[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*\Z", re.IGNORECASE)
STRONGER = {"command line", "environment variable"}
_OF_SESSION = {"database", "user", "database user", "client", "session", "interactive", "override"}
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|\Z)')

_SETTING = """/* pgrunbook: set_system_setting */
select s.setting as value, s.unit as unit, s.vartype as type, s.context as context, s.source as source,
       s.sourcefile as source_file, s.pending_restart as is_pending,
       pg_catalog.current_setting('is_superuser')::bool
         or pg_catalog.has_parameter_privilege(s.name, 'alter system') as may_alter
from pg_catalog.pg_settings as s
where s.name = pg_catalog.lower(%(name)s)"""

# has_parameter_privilege came with 15; an older server would not even parse it.
_SETTING_14 = _SETTING.replace("pg_catalog.has_parameter_privilege(s.name, 'alter system')", "false")

_AUTO = """/* pgrunbook: set_system_setting file */
select f.setting from pg_catalog.pg_file_settings as f
where pg_catalog.lower(f.name) = pg_catalog.lower(%(name)s)
  and f.sourcefile = pg_catalog.current_setting('data_directory') || '/' || %(file)s
order by f.seqno desc limit 1"""

_BROKEN = """/* pgrunbook: set_system_setting errors */
select f.sourcefile, f.sourceline, f.error from pg_catalog.pg_file_settings as f
where f.error is not null and f.error not like '%%cannot be changed without restarting%%'
  and f.error <> 'setting could not be applied'
order by f.seqno limit 1"""

_MAY_READ = """/* pgrunbook: set_system_setting rights */
select pg_catalog.has_table_privilege('pg_catalog.pg_file_settings', 'select')
   and pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'execute')
   and pg_catalog.has_function_privilege('pg_catalog.pg_reload_conf()', 'execute')
   and pg_catalog.pg_has_role('pg_read_all_settings', 'usage')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """What the running server says of it, seen by our session."""

    value: str
    unit: str | None
    type: str
    context: str
    source: str
    source_file: str | None
    is_pending: bool
    may_alter: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSystemSetting(Change):
    """`value` as ALTER SYSTEM takes it, names in lists separated by commas; None takes back what it said before.

    The three flags are consent: to a change that waits for a restart, to a setting that can lock everybody out, and to
    a standby, whose settings are its own.
    """

    kind: ClassVar[str] = "set_system_setting"
    stage: ClassVar[Stage] = Stage.SETTING

    name: str
    value: str | None = None
    after_restart: bool = False
    may_lock_out: bool = False
    on_standby: bool = False

    @property
    def title(self) -> str:
        later = ", from the next restart on" if self.after_restart else ""
        what = f"Reset {self.name}" if self.value is None else f"Set {self.name} = {self.value}"
        return f"{what} for the whole server{later}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.SETTING, self.name

    @property
    def risk(self) -> str:
        if self.after_restart:
            return "Takes effect only after a restart, which ends every session."
        return "Holds for every database of the server; what a role, a database or a session sets comes before it."

    def statements(self) -> tuple[str, ...]:
        return (self._alter(self.value), "SELECT pg_reload_conf()")

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        if before is None:
            return ()
        return (self._alter(_text(before["file_value"])), "SELECT pg_reload_conf()")

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse what cannot be known to be harmless, unless it was agreed to, and what would have no effect."""
        if not _NAME.match(self.name):
            raise UsageError(f"{self.name!r} is not the name of a setting")
        if server.role is ServerRole.STANDBY and not self.on_standby:
            raise Refused("this server is a standby; its settings are its own", hint="Give the DSN of the primary.")
        setting = self._setting(conn)
        self._check_consent(setting)
        self._check_rights(conn, setting)
        if setting.source in STRONGER:
            raise Refused(
                f"{self.name} is set by the server's {setting.source}, which comes before ALTER SYSTEM",
                hint="Change it where the server is started.",
            )
        broken = conn.execute(_BROKEN, {}).fetchone()
        if broken is not None:
            raise Refused(
                f"the configuration files hold an error, so a reload would not be taken: {broken[0]}, line {broken[1]}:"
                f" {broken[2]}",
                hint="Mend that line first.",
            )
        self._check_lists(conn)

    def capture(self, conn: Session) -> Before:
        """What ALTER SYSTEM said (None: nothing), and what the server runs with."""
        return {"file_value": self._in_file(conn), "running_value": self._setting(conn).value}

    def do(self, conn: Session) -> None:
        """Write it down, if it is not, and have it loaded."""
        if not self._is_written(conn, self.value):
            conn.execute(self._alter(self.value).encode("utf-8", "surrogateescape"))
        conn.execute("SELECT pg_catalog.pg_reload_conf()")

    def mend(self, conn: Session, before: Before) -> None:
        """What was written down and never loaded is taken back, or the next restart would load it."""
        if self._is_written(conn, self.value) and not self._is_loaded(conn, self.value):
            self.undo(conn, before)

    def undo(self, conn: Session, before: Before) -> None:
        """Restore what ALTER SYSTEM said, unless somebody has changed it since."""
        held = _text(before["file_value"])
        if not self._is_written(conn, held):
            if not self._is_written(conn, self.value):
                raise Refused(f"ALTER SYSTEM says {self._in_file(conn)!r} for {self.name} by now; someone changed it")
            conn.execute(self._alter(held).encode("utf-8", "surrogateescape"))
        conn.execute("SELECT pg_catalog.pg_reload_conf()")
        self._wait_until_loaded(conn, held)

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether it is written down and loaded (or waits for a restart, where that was agreed to)."""
        if not _may_handle(conn) or not self._is_written(conn, self.value):
            return False
        return self._is_loaded(conn, self.value) or (before is not None and self._wait_until_loaded(conn, self.value))

    def _check_consent(self, setting: _Setting) -> None:
        if setting.context == "internal":
            raise Refused(f"{self.name} cannot be changed: it is how the server was built or set up")
        if _SECRET.match(self.name.lower()):
            raise Refused(
                f"the value of {self.name} may hold a secret, which the journal would keep",
                hint="Set it by hand.",
            )
        if setting.context == "postmaster" and not self.after_restart:
            raise Refused(
                f"{self.name} takes effect only after a restart",
                hint="Set it by hand before the next restart: the step takes it only with after_restart.",
            )
        is_safe = (self.name.lower(), str(self.value).lower()) in _ALWAYS_SAFE
        if _LOCKS_OUT.match(self.name.lower()) and not is_safe and not self.may_lock_out:
            raise Refused(
                f"a wrong {self.name} can lock everybody out, keep the server from starting, or worse",
                hint="Set it by hand, with a way back at hand: the step takes it only with may_lock_out.",
            )

    def _check_rights(self, conn: Session, setting: _Setting) -> None:
        user = quote(conn.info.user)
        if not setting.may_alter:
            raise Refused(
                f"{user} may not set {self.name} by ALTER SYSTEM",
                hint=f"GRANT ALTER SYSTEM ON PARAMETER {self.name} TO {user}; -- 15 and newer; a managed service has"
                " such settings in its console",
            )
        if not _may_handle(conn):
            raise Refused(
                f"{user} may not read or load the configuration files, so what is there could not be restored",
                hint=f"GRANT pg_read_all_settings TO {user}; GRANT SELECT ON pg_catalog.pg_file_settings TO {user};"
                f" GRANT EXECUTE ON FUNCTION pg_catalog.pg_show_all_file_settings() TO {user};"
                f" GRANT EXECUTE ON FUNCTION pg_catalog.pg_reload_conf() TO {user};",
            )

    def _check_lists(self, conn: Session) -> None:
        """An empty list is written as one empty name, with which a server does not start."""
        if self.name.lower() not in LIBRARY_LISTS:
            return
        if self.value is not None and not _elements(self.value):
            raise Refused(f"an empty {self.name} cannot be set by ALTER SYSTEM", hint="Reset it instead.")
        held = self._in_file(conn)
        if held is not None and not _elements(held):
            raise Refused(f"{AUTO_FILE} holds an empty {self.name}, which could not be restored")

    def _alter(self, value: str | None) -> str:
        if value is None:
            return f"ALTER SYSTEM RESET {self.name}"
        values = _elements(value) if self.name.lower() in LIBRARY_LISTS else (value,)
        return f"ALTER SYSTEM SET {self.name} = {', '.join(map(literal, values)) or literal('')}"

    def _is_written(self, conn: Session, value: str | None) -> bool:
        held = self._in_file(conn)
        if held is None or value is None:
            return held is value
        if self.name.lower() in LIBRARY_LISTS:
            return _elements(held) == _elements(value)
        return held == value

    def _is_loaded(self, conn: Session, value: str | None) -> bool:
        """What our session sees; it cannot see past what its own role or database sets."""
        now = self._setting(conn)
        if now.is_pending and now.context == "postmaster":
            return True
        if now.source in _OF_SESSION:
            return True
        from_auto = (now.source_file or "").endswith(f"/{AUTO_FILE}")
        if value is None:
            return not from_auto
        return from_auto and (self.name.lower() in LIBRARY_LISTS or _is_same(now, value))

    def _wait_until_loaded(self, conn: Session, value: str | None) -> bool:
        deadline = time.monotonic() + LOAD_WAIT_S
        while not self._is_loaded(conn, value):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _setting(self, conn: Session) -> _Setting:
        query = _SETTING if conn.info.server_version >= 150_000 else _SETTING_14
        with conn.cursor(row_factory=into(_Setting)) as cursor:
            found = cursor.execute(query, {"name": self.name}).fetchone()
        if found is None:
            raise Refused(f"there is no setting {self.name}, or {quote(conn.info.user)} may not see it")
        return found

    def _in_file(self, conn: Session) -> str | None:
        row = conn.execute(_AUTO, {"name": self.name, "file": AUTO_FILE}).fetchone()
        return str(row[0]) if row is not None else None


def _may_handle(conn: Session) -> bool:
    row = conn.execute(_MAY_READ).fetchone()
    return row is not None and bool(row[0])


def _text(value: object) -> str | None:
    return str(value) if value is not None else None


def _elements(value: str) -> tuple[str, ...]:
    """The names in a list, in the case in which they are written.

    >>> _elements('pg_stat_statements, "my, lib"'), _elements("")
    (('pg_stat_statements', 'my, lib'), ())
    """
    found = (m[1].replace('""', '"') if m[1] is not None else m[2] for m in _ELEMENT.finditer(value))
    return tuple(name for name in found if name)


_TRUE, _FALSE = {"on", "true", "yes", "1"}, {"off", "false", "no", "0"}


def _is_same(now: _Setting, written: str) -> bool:
    """Whether the running value is what this text means."""
    if now.type == "bool":
        return (written.lower() in _TRUE) if now.value == "on" else (written.lower() in _FALSE)
    if now.type in {"integer", "real"}:
        running, wanted = quantity(now.value, now.unit), quantity(written, now.unit)
        return running is None or wanted is None or abs(running - wanted) <= _grain(now.unit)
    return now.value.lower() == written.lower()


def _grain(unit: str | None) -> float:
    """The server rounds to its unit."""
    one = quantity("1", unit)
    return (one if one is not None and unit is not None else 1e-9) / 2


STEP = SetSystemSetting
