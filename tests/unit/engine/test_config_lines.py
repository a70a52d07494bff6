"""A message about a config file points at the line to look at."""

from reranker.settings import read_config

TEXT = """\
[engine]
offline = true
"model" = "x"

[server]
port = 1

[bi-encoders."org/model-v1.5"]
path = "/x"

[cross-encoders]
"a" = "b"
"""


def test_keys_and_tables_are_found_at_their_lines(tmp_path):
    (tmp_path / "c.toml").write_text(TEXT)
    config = read_config(tmp_path / "c.toml")
    lines = {
        ("engine", ""): 1,
        ("engine", "offline"): 2,
        ("engine", "model"): 3,
        ("server", ""): 5,
        ("server", "port"): 6,
        ("bi-encoders", "org/model-v1.5"): 8,
        ("cross-encoders", "a"): 12,
        ("cross-encoders", "absent"): 11,
    }
    for (table, key), line in lines.items():
        assert config.where(table, key).startswith(f"{tmp_path / 'c.toml'}:{line}: {table}")
