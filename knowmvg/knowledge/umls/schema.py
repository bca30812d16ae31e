"""The tables of the database, as they are while a release is read (``STAGING``) and once it is done (``DONE``).

Reading only appends, without any index; the end sorts each table once into its final order. So the finished file
depends on the release and the choice alone, not on where a run was interrupted.
"""

from __future__ import annotations

SCHEMA = "knowmvg.umls/1"

# key is terms.term_key of text; sab, tty and source are ids of label; preferred is 1 for the UMLS's own preferred name.
_COLUMNS = {
    "name": "cui INTEGER NOT NULL, key INTEGER NOT NULL, sab INTEGER NOT NULL, tty INTEGER NOT NULL, "
    "preferred INTEGER NOT NULL, text TEXT NOT NULL",
    "type": "cui INTEGER NOT NULL, tui INTEGER NOT NULL",
    "relation": "what INTEGER NOT NULL, kind INTEGER NOT NULL, place INTEGER NOT NULL, sab INTEGER NOT NULL",
    "definition": "cui INTEGER NOT NULL, sab INTEGER NOT NULL, text TEXT NOT NULL",
}
TABLE_OF = {"MRCONSO.RRF": "name", "MRSTY.RRF": "type", "MRREL.RRF": "relation", "MRDEF.RRF": "definition"}

STAGING = (
    "CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    *(f"CREATE TABLE {table} ({columns})" for table, columns in _COLUMNS.items()),
)
INSERT = {
    table: f"INSERT INTO {table} VALUES ({', '.join('?' * (columns.count(',') + 1))})"
    for table, columns in _COLUMNS.items()
}

# One statement a step, in schema ``done``; the second of a pair sorts, which also removes what a release says twice.
DONE = (
    "CREATE TABLE done.about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE done.label (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    # all names of a concept lie side by side, so that a lookup reads two places of the disk; number is the row's
    f"CREATE TABLE done.name (number INTEGER NOT NULL, {_COLUMNS['name']}, PRIMARY KEY (cui, number)) WITHOUT ROWID",
    "INSERT INTO done.name (number, cui, key, sab, tty, preferred, text) "
    "SELECT MIN(rowid), cui, key, sab, tty, MAX(preferred), text "
    "FROM main.name GROUP BY cui, sab, tty, text, key ORDER BY cui, sab, tty, text, key",
    "CREATE INDEX done.name_by_key ON name (key)",
    f"CREATE TABLE done.type ({_COLUMNS['type']}, PRIMARY KEY (cui, tui)) WITHOUT ROWID",
    "INSERT INTO done.type SELECT cui, tui FROM main.type GROUP BY cui, tui ORDER BY cui, tui",
    f"CREATE TABLE done.relation ({_COLUMNS['relation']}, PRIMARY KEY (what, kind, place, sab)) WITHOUT ROWID",
    "INSERT INTO done.relation SELECT what, kind, place, sab FROM main.relation "
    "GROUP BY what, kind, place, sab ORDER BY what, kind, place, sab",
    f"CREATE TABLE done.definition (id INTEGER PRIMARY KEY, {_COLUMNS['definition']})",
    "INSERT INTO done.definition (cui, sab, text) SELECT cui, sab, text FROM main.definition "
    "GROUP BY cui, sab, text ORDER BY cui, sab, text",
    "CREATE INDEX done.definition_by_cui ON definition (cui)",
)
