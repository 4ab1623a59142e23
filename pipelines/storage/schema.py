"""The database's tables, and the steps that lead to them from any earlier version.

Steps are only ever appended: a step that was released is never changed. A test compares where they lead with the
tables described here.
"""

from collections.abc import Callable

from sqlalchemy import Boolean, Column, Connection, Float, ForeignKey, Integer, LargeBinary, MetaData, String, Table

from pipelines.core.error import StorageProblem

TABLES = MetaData()

PICTURE = Table(
    "picture",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("file", String, nullable=False, unique=True),  # below the outputs folder, with forward slashes
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("number", Integer, nullable=False),  # of the job's pictures, from 0
    Column("job", String),
    Column("seconds", Float, nullable=False),
    Column("created", Float, nullable=False),  # Unix time
    Column("request", String),  # JSON
    Column("infotext", String, nullable=False),
)

THUMBNAIL = Table(
    "thumbnail",  # apart from the picture, so that listing pictures reads no images
    TABLES,
    Column("picture", Integer, ForeignKey("picture.id", ondelete="CASCADE"), primary_key=True),
    Column("webp", LargeBinary, nullable=False),
)

JOB = Table(
    "job",
    TABLES,
    Column("number", Integer, primary_key=True),  # the order of submission; clocks jump
    Column("id", String, nullable=False, unique=True),
    Column("request", String, nullable=False),  # JSON
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),  # times begun
    Column("submitted", Float, nullable=False),  # Unix time
    Column("stop", String),  # a StopMode somebody asked for
    Column("problem", String),  # JSON
)


MODEL = Table(
    "model",  # what a scan found, so that the next one reads only what has changed
    TABLES,
    Column("path", String, primary_key=True),
    Column("stamp", String, nullable=False),  # changes whenever the files do
    Column("info", String),  # JSON of a ModelInfo; nothing for a file that is no model
)

MODEL_HASH = Table(
    "model_hash",
    TABLES,
    Column("path", String, primary_key=True),
    Column("stamp", String, nullable=False),
    Column("sha256", String, nullable=False),  # of the whole file
    Column("weights", String, nullable=False),  # sha256 of what follows a safetensors header (AutoV3)
)

MODEL_NOTE = Table(
    "model_note",  # what a person added
    TABLES,
    Column("path", String, primary_key=True),
    Column("favourite", Boolean, nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("tags", String, nullable=False),  # JSON list
    Column("notes", String, nullable=False),
)


SETTING = Table(
    "setting",
    TABLES,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),  # JSON
)


COMPARISON = Table(
    "comparison",
    TABLES,
    Column("stamps", String, primary_key=True),  # of both models; changes whenever either does
    Column("blocks", String, nullable=False),  # JSON
)


SEARCH = Table(
    "search",
    TABLES,
    Column("id", String, primary_key=True),
    Column("created", Float, nullable=False),  # Unix time
    Column("setup", String, nullable=False),  # JSON
)

TRIAL = Table(
    "trial",
    TABLES,
    Column("search", String, ForeignKey("search.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", String, nullable=False),  # JSON
    Column("image", Integer),
    Column("score", Float),
)


def m001_pictures_and_jobs(db: Connection) -> None:
    db.exec_driver_sql("""
        CREATE TABLE picture (
            id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, file VARCHAR NOT NULL UNIQUE,
            width INTEGER NOT NULL, height INTEGER NOT NULL, seed INTEGER NOT NULL, number INTEGER NOT NULL,
            job VARCHAR, seconds FLOAT NOT NULL, created FLOAT NOT NULL, request VARCHAR, infotext VARCHAR NOT NULL
        )""")
    db.exec_driver_sql("CREATE INDEX picture_job ON picture (job, number)")
    db.exec_driver_sql("""
        CREATE TABLE thumbnail (
            picture INTEGER NOT NULL PRIMARY KEY REFERENCES picture (id) ON DELETE CASCADE, webp BLOB NOT NULL
        )""")
    db.exec_driver_sql("""
        CREATE TABLE job (
            number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, id VARCHAR NOT NULL UNIQUE, request VARCHAR NOT NULL,
            state VARCHAR NOT NULL, attempt INTEGER NOT NULL, submitted FLOAT NOT NULL, stop VARCHAR, problem VARCHAR
        )""")
    db.exec_driver_sql("CREATE INDEX job_state ON job (state, number)")


def m002_models(db: Connection) -> None:
    db.exec_driver_sql("CREATE TABLE model (path VARCHAR NOT NULL PRIMARY KEY, stamp VARCHAR NOT NULL, info VARCHAR)")
    db.exec_driver_sql("""
        CREATE TABLE model_hash (
            path VARCHAR NOT NULL PRIMARY KEY, stamp VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, weights VARCHAR NOT NULL
        )""")
    db.exec_driver_sql("""
        CREATE TABLE model_note (
            path VARCHAR NOT NULL PRIMARY KEY, favourite BOOLEAN NOT NULL, hidden BOOLEAN NOT NULL,
            tags VARCHAR NOT NULL, notes VARCHAR NOT NULL
        )""")
    db.exec_driver_sql("CREATE TABLE setting (name VARCHAR NOT NULL PRIMARY KEY, value VARCHAR NOT NULL)")


def m003_comparisons(db: Connection) -> None:
    db.exec_driver_sql("CREATE TABLE comparison (stamps VARCHAR NOT NULL PRIMARY KEY, blocks VARCHAR NOT NULL)")


def m004_searches(db: Connection) -> None:
    db.exec_driver_sql(
        "CREATE TABLE search (id VARCHAR NOT NULL PRIMARY KEY, created FLOAT NOT NULL, setup VARCHAR NOT NULL)"
    )
    db.exec_driver_sql("""
        CREATE TABLE trial (
            search VARCHAR NOT NULL REFERENCES search (id) ON DELETE CASCADE, number INTEGER NOT NULL,
            at VARCHAR NOT NULL, image INTEGER, score FLOAT, PRIMARY KEY (search, number)
        )""")


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    m001_pictures_and_jobs, m002_models, m003_comparisons, m004_searches,
)  # fmt: skip


def migrate(db: Connection) -> None:
    """Bring the open database up to date, all steps or none. Raises StorageProblem for one from a newer Easel."""
    at = int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
    if at > len(MIGRATIONS):
        raise StorageProblem(
            f"This data folder was written by a newer Easel (database version {at}, this one knows {len(MIGRATIONS)})",
            fix="use the newer Easel, or choose another folder with --data",
        )
    for step in MIGRATIONS[at:]:
        step(db)
    db.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")
