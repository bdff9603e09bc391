"""What the package lists: for completion and for type checkers, without importing it."""

import ast
import subprocess
import sys
from pathlib import Path

import geomix

SOURCE = Path(geomix.__file__)


def test_completion_lists_all_names_without_importing_what_they_name() -> None:
    code = (
        "import sys, geomix; listed = dir(geomix); assert 'torch' not in sys.modules; "
        "assert {*geomix.__all__, '__doc__'} <= set(listed); assert listed == sorted(set(listed))"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SOURCE.parents[1])}
    )


def test_type_checkers_see_each_name_in_the_module_that_it_comes_from() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    assert [ast.unparse(block.test) for block in blocks] == ["TYPE_CHECKING"]
    imports = [node for node in blocks[0].body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: f"geomix.{node.module}" for node in imports for alias in node.names}
    # an alias of its own name is what makes an import a name of the package
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    assert seen == {name: f"geomix.{home}" for name, home in geomix._HOMES.items()}
