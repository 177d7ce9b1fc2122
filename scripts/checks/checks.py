"""The rules of CONTRIBUTING.md that a machine can hold: layers, sizes, names, documents."""

import os
import re
import shutil
import subprocess
import sys

import lizard

LAYERS = {
    "lib/base": 0,
    "lib/config": 1, "lib/json": 1, "lib/metrics": 1,
    "lib/broker": 2, "lib/enrich": 2,
    "lib/stage": 3,
    "stages/source": 4, "stages/enhance": 4, "stages/sink": 4, "stages/redrive": 4,
    "stages/verify": 5,  # judges what the others wrote
    "api": 5,            # libsluice, and the list of all option tables
    "cli": 6,
}
# Third-party headers: where each may be included (prefixes). Tests may use what they test with.
HOMES = {
    "librdkafka/": ["lib/broker/kafka/"],
    "sqlite3.h": ["lib/broker/sqlite/", "lib/enrich/answers_file.c",
                  "lib/enrich/lookup_sqlite.c"],
    "uv.h": ["lib/base/loop.c"],
    "yaml.h": ["lib/config/"],
    "jemalloc/jemalloc.h": ["cli/allocator.c"],
    "jansson.h": ["lib/config/", "lib/json/", "lib/enrich/", "cli/small.c"],
    "microhttpd.h": ["lib/metrics/http.c"],
    "curl/": ["lib/enrich/"],
    "openssl/": ["lib/enrich/"],
}
BANNED = re.compile(
    r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|gets|system|alloca)\s*\(")
HEAP = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|free|strdup)\s*\(")
# What must not get into the repository: paths of one machine, hosts of package registries.
FORBIDDEN = re.compile("|".join([
    "/" + "work/", "/" + "root/", "pypi" + r"\.org", "pythonhosted" + r"\.org",
    "repo1?" + r"\.maven", "maven" + r"\.org", "deb" + r"\.debian\.org", "registry" + r"\.npmjs"]))


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
                         capture_output=True, text=True, check=True).stdout
    return [f for f in out.split("\n") if f and os.path.exists(f)]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def is_test(path):
    return path.endswith("_test.c") or path.startswith("tests/") or path.startswith("bench/")


def folder_of(path):
    return next((f for f in LAYERS if path.startswith(f + "/")), None)


def without_comments(text):
    keep_lines = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', keep_lines, text, flags=re.S)


def check_layers():
    for path in SOURCES:
        mine = folder_of(path)
        for n, line in enumerate(read(path).split("\n"), 1):
            m = re.match(r'#include "([^"]+)"', line)
            theirs = folder_of(m.group(1)) if m else None
            if is_test(path) or mine is None or theirs is None or mine == theirs:
                continue
            if LAYERS[theirs] >= LAYERS[mine]:
                yield f"{path}:{n}: {mine} must not include {theirs}"


def check_homes():
    for path in SOURCES:
        for n, line in enumerate(read(path).split("\n"), 1):
            m = re.match(r"#include <([^>]+)>", line)
            for header, homes in HOMES.items():
                if m and m.group(1).startswith(header) and not is_test(path) and \
                        not any(path.startswith(h) for h in homes):
                    yield f"{path}:{n}: <{m.group(1)}> belongs into {', '.join(homes)}"


def check_banned():
    for path in SOURCES:
        in_tests = is_test(path)
        for n, line in enumerate(without_comments(read(path)).split("\n"), 1):
            m = None if in_tests else BANNED.search(line)
            if m is None and not in_tests and not path.startswith("lib/base/") and \
                    path != "lib/json/member.c":
                m = HEAP.search(line)
            if m:
                yield f"{path}:{n}: {m.group(1)} is banned"


def check_sizes():
    for path in SOURCES:
        lines = read(path).count("\n")
        limit = 150 if path.endswith(".h") and path != "lib/broker/broker.h" else 600
        if lines > limit and not is_test(path):
            yield f"{path}: {lines} lines (limit {limit})"
    for path in SOURCES:
        for fn in lizard.analyze_file(path).function_list:
            if is_test(path):
                continue
            if fn.length > 60:
                yield f"{path}:{fn.start_line}: {fn.name} has {fn.length} lines (limit 60)"
            if fn.cyclomatic_complexity > 15:
                yield f"{path}:{fn.start_line}: {fn.name} has complexity {fn.cyclomatic_complexity} (limit 15)"


def check_headers():
    words = re.compile(r"thread", re.I)
    for path in SOURCES:
        if not path.endswith(".h") or is_test(path):
            continue
        head = read(path).split("#ifndef")[0]
        if not head.startswith("/*"):
            yield f"{path}: does not begin with what it is for"
        elif not words.search(read(path)):
            yield f"{path}: says nothing about threads"


def check_beginnings():
    for path in SOURCES:
        if path.endswith(".c") and not read(path).startswith("/*"):
            yield f"{path}:1: does not begin with what it is for"


def check_format():
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    out = subprocess.run([tool, "--dry-run", "-Werror", *SOURCES], capture_output=True, text=True)
    for line in out.stderr.split("\n"):
        if "error:" in line:
            yield line


def check_forbidden():
    for path in tracked():
        if path.endswith((".png", ".bin")) or path.startswith("tests/fuzz/corpus/"):
            continue
        for n, line in enumerate(read(path).split("\n"), 1):
            if FORBIDDEN.search(line) and "maven.apache.org/POM" not in line:
                yield f"{path}:{n}: machine path or registry host: {line.strip()[:80]}"


def check_test_names():
    for path in tracked("*_test.c", "*_contract.c"):
        for m in re.finditer(r"cmocka_unit_test(?:_setup_teardown)?\(\s*(\w+)", read(path)):
            if m.group(1).count("_") < 2:
                yield f"{path}: test {m.group(1)} is not a sentence"


def check_tests_listed():
    for path in tracked("*_test.c", "*_contract.c"):
        text = read(path)
        for m in re.finditer(r"^static void (\w+)\(void \*\*state\)", text, re.M):
            if len(re.findall(r"\b%s\b" % m.group(1), text)) < 2:
                yield f"{path}: test {m.group(1)} is never run"


def program():
    return next((p for p in (os.environ.get("SLUICE"), "build/test/sluice", "build/sluice",
                             "build/debug/sluice") if p and os.path.exists(p)), None)


def check_configuration_document():
    if program() is None:
        yield "no binary to generate it with: make build"
        return
    out = subprocess.run([program(), "config", "--markdown"], capture_output=True, text=True,
                         check=True, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}).stdout
    if out != read("docs/CONFIGURATION.md"):
        yield "docs/CONFIGURATION.md is not what `sluice config --markdown` prints: run that"


def check_option_names():
    if program() is None:
        return
    known = set()
    for command in ("run source enhance sink enrich topics tap dlq verify check config healthcheck version").split():
        text = subprocess.run([program(), command, "--help"], capture_output=True, text=True).stdout
        known |= set(re.findall(r"--[a-z][a-z-]*[a-z]", text))
    known |= {"--help", "--version", "--build", "--scale", "--force-recreate", "--unbuffered"}
    known |= set(re.findall(r'add_argument\("(--[a-z-]+)"', read("stages/enhance/flink/settings.py")))
    for path in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", *tracked("docs/*.md")]:
        for n, line in enumerate(read(path).split("\n"), 1):
            for span in re.findall(r"`([^`]*)`", line) + ([line] if "sluice " in line else []):
                for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", span):
                    if flag not in known and not flag.startswith("--no-"):
                        yield f"{path}:{n}: there is no option {flag}"


SOURCES = tracked("*.c", "*.h")
CHECKS = {
    "layers": check_layers,
    "third-party headers": check_homes,
    "banned functions": check_banned,
    "sizes": check_sizes,
    "headers say who and on which thread": check_headers,
    "files say what they are for": check_beginnings,
    "clang-format": check_format,
    "no machine paths": check_forbidden,
    "test names are sentences": check_test_names,
    "every test is run": check_tests_listed,
    "docs/CONFIGURATION.md": check_configuration_document,
    "options in documents exist": check_option_names,
}


def main():
    bad = 0
    for name, check in CHECKS.items():
        found = list(check())
        bad += bool(found)
        print(("FAIL " if found else "ok ") + name)
        for line in found[:20]:
            print("    " + line)
    return 1 if bad else 0


sys.exit(main())
