import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_writing import query_rows, round_row, trajectory_row

from harness.exceptions import DamagedFileError, StoreError
from harness.store import schema
from harness.store.location import write
from harness.store.reading import StoreReader, read_file, read_files, read_rows, read_table
from harness.store.writing import Store


@pytest.fixture
def root(place):
    """A store with the rounds and the ends of two trajectories."""
    store = Store(place)
    with store.writing():
        for name in "ab":
            store.write_rounds(name, [round_row(name)], [query_rows(name)])
            store.write_trajectory(trajectory_row(name))
    return place


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def test_a_table_is_all_of_its_files(root):
    assert read_table(root, "rounds").to_pylist() == [round_row("a"), round_row("b")] == read_rows(root, "rounds")
    assert read_table(root, "trials").equals(schema.TRIALS.empty_table())
    assert [path.name for path in read_files(root, "queries")] == ["a.parquet", "b.parquet"]


def test_names_that_begin_with_a_dot_are_hidden_and_no_others(root):
    content = read_file(root / "rounds" / "a.parquet")
    write(root / "rounds" / "_c.parquet", content)
    write(root / "rounds" / ".d.parquet", content)
    assert [path.name for path in read_files(root, "rounds")] == ["_c.parquet", "a.parquet", "b.parquet"]


def test_damage_is_a_value_until_somebody_minds(root):
    cut(root / "rounds" / "a.parquet")
    damaged, whole = read_files(root, "rounds").values()
    assert isinstance(damaged, DamagedFileError)
    assert isinstance(whole, pa.Table)
    with pytest.raises(DamagedFileError, match=r"cannot read `.*rounds/a\.parquet` \(.+\); remove it"):
        read_table(root, "rounds")
    skipped = []
    assert read_table(root, "rounds", skipped).column("trajectory_id").to_pylist() == ["b"]
    assert skipped == [root / "rounds" / "a.parquet"]


def test_what_is_skipped_is_damage_alone(root):
    path = root / "rounds" / "a.parquet"
    content = read_file(path)
    narrow = content.set_column(content.column_names.index("seed"), "seed", content["seed"].cast(pa.int32()))
    for other, words in ((content.drop_columns(["accuracy"]), "`accuracy` of double"), (narrow, "`seed` of int64")):
        write(path, other)
        with pytest.raises(StoreError, match=f"Expected a column {words}"):
            read_table(root, "rounds", [])


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        *(
            ("trajectories", name, None, f"a `{name}` in every row")
            for name in ("data", "strategy", "seed", "schedule")
        ),
        *(("rounds", name, None, f"a `{name}` in every row") for name in ("data", "accuracy", "train_seconds")),
        ("trajectories", "versions", "[1]", "a JSON object in `versions`"),
        ("trajectories", "params", "", "a JSON object in `params`"),
        *(
            ("rounds", "stats", text, "a JSON object of numbers and texts in `stats`, with numbers for .*,")
            for text in ('{"peak_bytes": ', '{"n_no_class": []}', '{"p_nff": "0.1"}', '{"n_no_class": null}')
        ),
        ("rounds", "recall", [], "a value in the list `recall`"),
        *(("rounds", "accuracy", value, "an `accuracy` from 0 to 1") for value in (float("nan"), -0.1, 1.5)),
    ],
)
def test_a_null_or_a_text_that_readers_cannot_use_is_damage(root, table, column, value, words):
    path = root / table / "a.parquet"
    (row,) = read_file(path).to_pylist()
    write(path, pa.Table.from_pylist([row | {column: value}], schema=schema.ALL_TABLES[table]))
    with pytest.raises(DamagedFileError, match=rf"^Expected {words}.* of `.*{table}/a\.parquet`, but got .*remove it"):
        read_table(root, table)
    skipped = []
    assert read_table(root, table, skipped).column("trajectory_id").to_pylist() == ["b"]
    assert skipped == [path]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("studies", ["command"]),
        ("trials", ["params", "trajectory_ids"]),
        ("confirmations", ["seeds"]),
        ("registrations", ["registered_at", "subject", "configurations", "seeds", "confirm_seeds", "trajectory_ids"]),
        ("registrations", ["n_begun", "maximised", "metric", "window_from", "window_to"]),
    ],
)
def test_nulls_where_a_study_has_none_are_damage(root, table, columns):
    row = some_row(table)
    for column in columns:
        for value in (None, *([[None]] if isinstance(row[column], list) else [])):
            write_row(root, table, row | {column: value})
            words = rf"^Expected a `{column}` in every row of `.*{table}/s\.parquet`, but got nulls"
            with pytest.raises(DamagedFileError, match=words):
                read_table(root, table)


@pytest.mark.parametrize(
    ("table", "values", "words"),
    [
        ("registrations", {"configurations": "{"}, "a JSON object or list in `configurations`"),
        ("registrations", {"configurations": "1"}, "a JSON object or list in `configurations`"),
        ("registrations", {"maximised": "volume"}, "a `maximised` among area, log_area, final"),
        ("registrations", {"metric": "nll"}, "a `metric` among accuracy, balanced_accuracy, macro_f1"),
        ("registrations", {"seeds": []}, "a value in the list `seeds`"),
        ("confirmations", {"seeds": []}, "a value in the list `seeds`"),
        ("trials", {"metric": ""}, "a `metric` among accuracy, balanced_accuracy, macro_f1"),
    ],
)
def test_values_that_no_study_writes_are_damage(root, table, values, words):
    write_row(root, table, some_row(table) | values)
    with pytest.raises(DamagedFileError, match=f"^Expected {words} in every row of"):
        read_table(root, table)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("registrations", {"baseline": None, "n_trials": None, "configurations": "[]"}),
        ("trials", dict.fromkeys(("maximised", "metric", "window_from", "window_to", "objective"))),
        ("confirmations", dict.fromkeys(("searched", "confirmed_low", "looked_at"))),
    ],
)
def test_what_does_not_apply_may_be_null(root, table, values):
    write_row(root, table, some_row(table) | values)
    (row,) = read_table(root, table).to_pylist()
    assert values.items() <= row.items()


@pytest.mark.parametrize(("table", "column"), [("registrations", "registered_at"), ("confirmations", "looked_at")])
def test_a_year_that_python_does_not_know_is_damage(root, table, column):
    write_row(root, table, some_row(table) | {column: 2**62})
    words = rf"cannot read `.*{table}/s\.parquet` \(date value out of range\); remove it"
    for read in (read_table, read_rows):
        with pytest.raises(DamagedFileError, match=words):
            read(root, table)


def some_row(table):
    row = {}
    for field in schema.ALL_TABLES[table]:
        row[field.name] = "{}" if pa.types.is_string(field.type) else [] if pa.types.is_list(field.type) else 1
    row |= {name: [1] for name in schema.FILLED & row.keys()}
    return row | {name: value for name, value in (("maximised", "area"), ("metric", "accuracy")) if name in row}


def write_row(root, table, row):
    write(root / table / "s.parquet", pa.Table.from_pylist([row], schema=schema.ALL_TABLES[table]))


def test_columns_that_may_not_be_null_are_read_like_the_others(root):
    content = read_file(root / "rounds" / "a.parquet")
    fields = [field.with_nullable(field.name != "accuracy") for field in content.schema]
    strict = pa.schema(fields, schema.ROUNDS.metadata)
    write(root / "rounds" / "c.parquet", content.cast(strict))
    assert read_table(root, "rounds").to_pylist() == [round_row("a"), round_row("b"), round_row("a")]


def test_columns_of_others_are_not_read(root):
    path = root / "rounds" / "a.parquet"
    content = read_file(path)
    write(path, content.append_column("mine", pa.nulls(len(content))))
    assert read_file(path).equals(content)


def test_a_column_twice_is_refused_with_the_name_of_the_file(root):
    path = root / "rounds" / "a.parquet"
    content = read_file(path)
    write(path, content.append_column("seed", content["seed"]))
    with pytest.raises(StoreError, match=r"Expected one column `seed` in `.*a\.parquet`, but got several"):
        read_table(root, "rounds")


def test_a_file_that_goes_while_its_table_is_read_is_no_error(root, monkeypatch):
    read, calls = pq.ParquetFile, []

    def vanishing(file, **options):
        calls.append(file)
        if len(calls) == 1:
            raise FileNotFoundError
        return read(file, **options)

    monkeypatch.setattr(pq, "ParquetFile", vanishing)
    assert len(read_table(root, "rounds")) == 2


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_a_link_to_a_file_that_has_gone_is_damage(root):
    path = root / "rounds" / "a.parquet"
    path.unlink()
    path.symlink_to(root / "moved.parquet")
    with pytest.raises(DamagedFileError, match=r"cannot read `.*rounds/a\.parquet` \(.+\); remove it"):
        read_table(root, "rounds")
    with pytest.raises(DamagedFileError, match="remove it to go on"):
        StoreReader(root).rounds("a")


def test_files_that_change_all_along_are_told(root, monkeypatch):
    def vanishing(file, **options):
        raise FileNotFoundError

    monkeypatch.setattr(pq, "ParquetFile", vanishing)
    with pytest.raises(
        StoreError, match=r"Expected files that do not change while they are read, but `.*rounds` keeps changing"
    ):
        read_table(root, "rounds")


@pytest.mark.parametrize("table", ["rounds", "queries"])
def test_what_has_lost_its_rounds_has_not_ended(root, table):
    assert set(StoreReader(root).trajectories()) == {"a", "b"}
    (root / table / "a.parquet").unlink()
    assert set(StoreReader(root).trajectories()) == {"b"}
    write(root / table / f"{schema.MERGED}x.parquet", read_file(root / table / "b.parquet"))
    (root / table / "b.parquet").unlink()
    assert set(StoreReader(root).trajectories()) == {"b"}
