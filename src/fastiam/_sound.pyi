from fastiam._build import Tables
from fastiam._names import Names

def check_tables(tables: Tables, names: Names, keys: list[str]) -> str | None: ...
