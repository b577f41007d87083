#!/usr/bin/env python3
"""What the linker and the compiler cannot see of docs/architecture.md and the rules of the code.

Prints one line a finding, `file:line: rule: what`, and a summary; exits 1 when there are findings.
"""
import argparse
import ast
import concurrent.futures
import re
import statistics
import subprocess
import sys
from pathlib import Path

FLOORS = {  # folder -> the folders it may include
    "lib/base": ["lib/base"],
    "lib/io": ["lib/io", "lib/base"],
    "schema": ["schema", "lib/base"],
    "advice": ["advice", "schema", "lib/base"],
    "sinks/core": ["sinks/core", "lib/io", "schema", "lib/base"],
    "history": ["history", "lib/io", "schema", "lib/base"],
    "collector": ["collector", "lib/io", "schema", "lib/base"],
    "cli": ["cli", "advice", "collector", "history", "sinks", "lib/io", "schema", "lib/base"],
}
BELOW_A_SINK = ["sinks/core", "lib/io", "schema", "lib/base"]  # each sinks/<name> is a floor: it may include these, and no other sink
WRAPPERS = {  # foreign header -> the files that may include it
    r"uv\.h": ["lib/io/loop.c", "lib/io/process.c"],
    r"curl/.*": ["lib/io/curl.h"],
    r"openssl/.*": ["collector/kube/pem.c", "lib/base/hmac.c", "tests/unit/support/smtp_server.c"],
    r"librdkafka/.*": ["lib/io/kafka.h", "tests/unit/support/mock_kafka.c", "tests/bench/ceiling.c"],
    r"microhttpd\.h": ["lib/io/httpd.c"],
    r"(cjson/)?cJSON\.h": ["lib/base/json.c"],
    r"yaml\.h": ["lib/base/config.c"],
    r"pcre2\.h": ["lib/base/match.c"],
    r"xxhash\.h": ["lib/base/hash.c"],
    r"zlib\.h": ["lib/base/gzip.c", "tests/unit/support/gunzip.c"],
    r"zstd\.h": ["lib/base/zstd.c"],
    r"getopt\.h": ["lib/base/options.c"],
}
BANNED = (
    "strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll atof strtol strtoul strtoll strtoull strtod sscanf "
    "gmtime localtime ctime asctime system popen rand srand random gets alloca sleep usleep"
).split()
BANNED_RE = re.compile(r"(?<![\w>.])(" + "|".join(BANNED) + r")\s*\(")
FUNCTION_LINES_MAX, FILE_LINES_MAX = 70, 800
BARE_CLEANUP_RE = re.compile(r"(\w+)\s+KLX_CLEANUP\(\w+\)\s*[,;]")
CONFLICT_RE = re.compile(rb"^(<{7}|>{7})(?=\s|$)", re.M)
LINK_RE = re.compile(r"\]\(([^()\s]+)\)")
INCLUDE_RE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def strip_comments_and_strings(text: str) -> str:
    """Blanks comments and literals, so that rules see code only; line numbers stay."""
    def blank(match: re.Match) -> str:
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text, flags=re.S)


def floor_of(path: str) -> tuple[str, list[str]] | None:
    """Its folder, and the folders it may include."""
    matches = [floor for floor in FLOORS if path.startswith(floor + "/")]
    if matches:
        floor = max(matches, key=len)
        return floor, FLOORS[floor]
    sink = re.match(r"sinks/\w+(?=/)", path)
    return (sink.group(), [sink.group(), *BELOW_A_SINK]) if sink else None


def check_include(path: str, own: str | None, foreign: str | None) -> str | None:
    if foreign:
        for pattern, allowed in WRAPPERS.items():
            if re.fullmatch(pattern, foreign) and path not in allowed:
                return f"foreign-header: <{foreign}> belongs into {allowed[0]}"
        return None
    floor = floor_of(path)
    if floor is None or own == "klx_version.h":
        return None
    name, below = floor
    if not any(own.startswith(target + "/") for target in below):
        return f'include-direction: {name} may not include "{own}"'
    return None


def function_lengths(lines: list[str]):
    """(line of the opening brace, lines of the body) of each function, by the layout that clang-format makes."""
    opened = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("{") or (opened == 0 and re.match(r"^\w[^=;]*\)\s*\{$", line)):
            opened = number
        elif line.startswith("}") and opened:
            yield opened, number - opened - 1
            opened = 0


def unset_cleanups(code: list[str]):
    """(line, name) of each variable with a cleanup and no initializer that a return leaves before the first word about it."""
    for number, line in enumerate(code, 1):
        for name in BARE_CLEANUP_RE.findall(line):
            for later in code[number:]:
                if re.search(rf"\b{name}\b", later) or later.startswith("}"):
                    break
                if re.search(r"\b(return|goto)\b", later):
                    yield number, name
                    break


def check_file(root: Path, path: Path) -> tuple[list[str], list[int]]:
    name = str(path.relative_to(root))
    text = path.read_text()
    lines = text.split("\n")
    code = strip_comments_and_strings(text).split("\n")
    found, lengths = [], []
    if len(lines) > FILE_LINES_MAX:
        found.append(f"{name}:1: file-length: {len(lines)} lines, the limit is {FILE_LINES_MAX}")
    if path.suffix == ".py":
        return found + python_parses(name, text), lengths
    if path.suffix == ".h" and "#pragma once" not in text:
        found.append(f"{name}:1: pragma-once: missing")
    for number, (line, bare) in enumerate(zip(lines, code), 1):
        include = INCLUDE_RE.match(line)
        problem = check_include(name, include.group(1), include.group(2)) if include else None
        if problem:
            found.append(f"{name}:{number}: {problem}")
        banned = BANNED_RE.search(bare)
        if banned and not name.startswith("tests/"):
            found.append(f"{name}:{number}: banned: {banned.group(1)}()")
        if re.match(r"\s*typedef\s+struct\b", bare):
            found.append(f"{name}:{number}: typedef-struct: structs keep their tag")
    for number, variable in unset_cleanups(code):
        found.append(f"{name}:{number}: cleanup-unset: {variable} is released by a return that comes before it is set")
    for number, length in function_lengths(lines):
        lengths.append(length)
        if length > FUNCTION_LINES_MAX:
            found.append(f"{name}:{number}: function-length: {length} lines, the limit is {FUNCTION_LINES_MAX}")
    return found, lengths


def python_parses(name: str, text: str) -> list[str]:
    try:
        ast.parse(text)
    except SyntaxError as problem:
        return [f"{name}:{problem.lineno}: python-parse: {problem.msg}"]
    return []


def conflict_marks(root: Path, path: Path) -> list[str]:
    data, found = path.read_bytes(), []
    for mark in CONFLICT_RE.finditer(data):
        number = data.count(b"\n", 0, mark.start()) + 1
        found.append(f"{path.relative_to(root)}:{number}: conflict: {mark.group().decode()} of a merge was left")
    return found


def header_compiles(root: Path, header: Path) -> list[str]:
    name = str(header.relative_to(root))
    run = subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", str(root),
                          "-x", "c", "-"], input=f'#include "{name}"\n', text=True, capture_output=True, cwd=root, check=False)
    first = run.stderr.strip().split("\n")[0]
    return [] if run.returncode == 0 else [f"{name}:1: header-alone: {first}"]


def check_links(root: Path, path: Path) -> list[str]:
    """Relative links of a document point to what is there; the text of code blocks and `code` is no link."""
    found, fenced = [], False
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        for target in [] if fenced else LINK_RE.findall(re.sub(r"`[^`]*`", "", line)):
            file = target.split("#")[0]
            if file and not re.match(r"[a-z]+:", target) and not (path.parent / file).exists():
                found.append(f"{path.relative_to(root)}:{number}: link: there is no {target}")
    return found


def sources(root: Path, endings: tuple[str, ...] = (".c", ".h", ".py")) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.split("\n")
    else:
        names = [str(p.relative_to(root)) for p in root.rglob("*")]
    return sorted(root / n for n in names if n.endswith(endings) and (root / n).is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--no-compile", action="store_true", help="leave out that each header compiles alone")
    args = parser.parse_args()
    files = sources(args.root)
    found, lengths = [], []
    for path in files:
        problems, its_lengths = check_file(args.root, path)
        found += problems
        lengths += its_lengths
    for path in sources(args.root, ("",)):
        found += conflict_marks(args.root, path)
    for path in sources(args.root, (".md",)):
        found += check_links(args.root, path)
    headers = [] if args.no_compile else [p for p in files if p.suffix == ".h"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for problems in pool.map(lambda h: header_compiles(args.root, h), headers):
            found += problems
    print("\n".join(found) if found else "no findings")
    if len(lengths) > 1:
        p90 = statistics.quantiles(lengths, n=10)[-1]
        print(f"{len(files)} files, {len(lengths)} functions, median {statistics.median(lengths):.0f} lines, 90th percentile {p90:.0f}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
