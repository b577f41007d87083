"""The lint can fail: each rule against a file that breaks it."""
import subprocess
import sys
from pathlib import Path

import pytest

LINT = Path(__file__).with_name("lint.py")


def lint(root: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, LINT, "--root", str(root)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name, text, rule", [
    ("lib/base/x.c", '#include "lib/io/loop.h"\n', "include-direction"),
    ("lib/io/x.c", '#include "schema/event.h"\n', "include-direction"),
    ("collector/x.c", '#include "sinks/core/sink.h"\n', "include-direction"),
    ("sinks/slack/x.c", '#include "sinks/teams/text.h"\n', "include-direction"),
    ("sinks/core/x.c", '#include "sinks/slack/text.h"\n', "include-direction"),
    ("lib/io/http.c", "#include <uv.h>\n", "foreign-header"),
    ("schema/x.c", "#include <cjson/cJSON.h>\n", "foreign-header"),
    ("lib/base/x.c", "int f(char *a)\n{\n    return sprintf(a, 0);\n}\n", "banned: sprintf"),
    ("lib/base/x.c", "void f(void) {\n" + "    g();\n" * 71 + "}\n", "function-length: 71"),
    ("lib/base/x.c", "\n" * 801, "file-length"),
    ("lib/base/x.h", "int f(void);\n", "pragma-once"),
    ("lib/base/x.h", "#pragma once\nsize_t f(void);\n", "header-alone"),
    ("lib/base/x.c", "typedef struct x x;\n", "typedef-struct"),
    ("lib/base/x.c", "int f(int n) {\n    struct b t KLX_CLEANUP(b_release);\n    if (n) {\n        return 1;\n    }\n    b_init(&t);\n}\n",
     "cleanup-unset: t"),
    ("tests/x.py", "def f():\nreturn 1\n", "python-parse"),
    ("docs/x.yaml", "a: 1\n<<<<<<< HEAD\nb: 1\n", "x.yaml:2: conflict: <<<<<<<"),
    ("lib/base/x.c", "int a;\n>>>>>>> of another branch\n", "x.c:2: conflict: >>>>>>>"),
])
def test_a_broken_rule_is_found(tmp_path: Path, name: str, text: str, rule: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    result = lint(tmp_path)
    assert result.returncode == 1
    assert f"{name}:" in result.stdout and rule in result.stdout


def test_names_in_comments_and_strings_are_not_code(tmp_path: Path) -> None:
    path = tmp_path / "lib/base/x.c"
    path.parent.mkdir(parents=True)
    path.write_text('/* strcpy() is banned */\nconst char *x = "system()";\nint my_rand(void);\n')
    assert lint(tmp_path).returncode == 0


def test_what_only_looks_like_a_mark_of_a_merge_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Heading\n=======\n")
    (tmp_path / "b.py").write_text('MARK = "<<<<<<< HEAD"\n')
    (tmp_path / "c.txt").write_text("<<<<<<<<<<<<\n")
    assert lint(tmp_path).returncode == 0


def test_a_cleanup_that_is_set_before_every_return_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "lib/base/x.c"
    path.parent.mkdir(parents=True)
    path.write_text("int f(int n) {\n    struct b s KLX_CLEANUP(b_release) = { 0 };\n    if (n) {\n        return 1;\n    }\n"
                    "    struct b t KLX_CLEANUP(b_release), u KLX_CLEANUP(b_release);\n    b_init(&t), b_init(&u);\n    return 0;\n}\n")
    assert lint(tmp_path).returncode == 0


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("[b](b.md#part) and [top](../README.md)\n")
    (tmp_path / "docs/b.md").write_text(
        "[a](a.md#part), [here](#part), [out](https://example.com/x), `[code](none.md)`\n```\n[code](none.md)\n```\n")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert "docs/a.md:1: link: there is no ../README.md" in result.stdout and result.stdout.count("link:") == 1
    (tmp_path / "README.md").write_text("")
    assert lint(tmp_path).returncode == 0
