#!/usr/bin/env python3
"""Writes tests/data/parquet: small Parquet files of every codec, page version and encoding that is read, and what
pyarrow says is in them, one JSON object a line. Needs pyarrow (made with 26.0.1)."""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).parent / "parquet"

ROWS = [
    {
        "text": None if i % 7 == 3 else f"Story {i}: the cat {'sat ' * (i % 5)}\u00e9\U0001f600",
        "kind": ["a", "bb", "ccc"][i % 3],
        "n": i * 37 - 400 if i % 5 else None,
        "big": (i - 50) * 2**40,
        "unsigned": 2**32 - 1 - i,
        "score": i / 8,
        "half": float(i) / 3,
        "good": i % 3 == 0,
        "messages": None
        if i % 11 == 5
        else [
            {"role": "user" if k % 2 == 0 else "assistant", "content": f"turn {k} of {i}" if (i + k) % 6 else None}
            for k in range(i % 4)
        ],
        "ids": [k * i for k in range(i % 6)],
        "nested": [[k, None, i] if k % 2 else [] for k in range(i % 3)],
        "about": {"source": f"s{i % 4}", "tags": ["x"] * (i % 3)} if i % 4 else None,
    }
    for i in range(120)
]
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        ("n", pa.int32()),
        ("big", pa.int64()),
        ("unsigned", pa.uint32()),
        ("score", pa.float64()),
        ("half", pa.float32()),
        ("good", pa.bool_()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("ids", pa.list_(pa.int64())),
        ("nested", pa.list_(pa.list_(pa.int32()))),
        ("about", pa.struct([("source", pa.string()), ("tags", pa.list_(pa.string()))])),
    ]
)
TABLE = pa.Table.from_pylist(ROWS, SCHEMA)

FILES = {
    "snappy": {"compression": "snappy"},
    "zstd": {"compression": "zstd", "row_group_size": 70},
    "gzip": {"compression": "gzip", "use_dictionary": False, "data_page_size": 512},
    "plain": {"compression": "none", "use_dictionary": ["kind", "text"], "data_page_size": 256},
    "pages2": {"compression": "zstd", "data_page_version": "2.0", "data_page_size": 512},
    "pages2-snappy": {"compression": "snappy", "data_page_version": "2.0", "use_dictionary": False},
    "delta": {
        "compression": "none",
        "data_page_version": "2.0",
        "use_dictionary": False,
        "column_encoding": {
            "n": "DELTA_BINARY_PACKED",
            "big": "DELTA_BINARY_PACKED",
            "text": "DELTA_BYTE_ARRAY",
            "kind": "DELTA_LENGTH_BYTE_ARRAY",
            "good": "RLE",
        },
    },
}


def main():
    OUT.mkdir(exist_ok=True)
    for name, options in FILES.items():
        pq.write_table(TABLE, OUT / f"{name}.parquet", **options)
    back = pq.read_table(OUT / "snappy.parquet").to_pylist()
    with open(OUT / "expected.jsonl", "w", encoding="utf-8") as f:
        for row in back:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    # Two-level lists, maps, and types that JSON has no place for.
    table = pa.table(
        {
            "text": ["one", "two", None],
            "map": pa.array([[("a", 1), ("b", None)], [], None], pa.map_(pa.string(), pa.int32())),
            "when": pa.array([1, 2, 3], pa.timestamp("ns")),
            "fixed": pa.array([b"ab", b"cd", None], pa.binary(2)),
        }
    )
    pq.write_table(table, OUT / "others.parquet", use_deprecated_int96_timestamps=True)


if __name__ == "__main__":
    main()
