from fastiam.kernel.plan.names import Names
from fastiam.kernel.plan.tables import Tables

def check_tables(tables: Tables, names: Names, keys: list[str]) -> str | None: ...
