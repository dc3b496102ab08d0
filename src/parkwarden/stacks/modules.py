"""Whose code is it: package and module of a function name, the standard library, the user's own modules.

Names are Go's own linker symbols as dumps, profiles and traces print them: `path/to/pkg.(*T).Method.func1`, dots in the
last path element escaped as `%2e` (cmd/internal/objabi/path.go: PathToPrefix), type arguments in `[...]`.
All functions are total: any text gets an answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote

from parkwarden.model import BuildInfo, Frame, Stack
from parkwarden.stacks.std_packages import STD_PACKAGES, STD_ROOTS

NAME_CACHE = 65_536
"""Distinct function names remembered; a big service has some 10,000 functions on its stacks."""

MAX_GUESSED_MODULES = 8
"""A guess of more than this is no guess: then only `main` and the likeliest are the user's."""

_HOSTS_WITH_OWNER = frozenset(
    [
        "github.com",
        "gitlab.com",
        "bitbucket.org",
        "codeberg.org",
        "gitee.com",
        "golang.org",
        "git.sr.ht",
        "cloud.google.com",
    ]
)
_MAJOR = re.compile(r"v[0-9]+\Z")
_GO_MOD_MODULE = re.compile(r'^[ \t]*module[ \t]+"?([^\s"/][^\s"]*)"?', re.MULTILINE)


@lru_cache(maxsize=NAME_CACHE)
def package_of(function: str) -> str:
    """Import path of a function's package: `github.com/a/b/v2/pkg.(*T).m` -> `github.com/a/b/v2/pkg`, "" if none.

    Escapes are undone (`gopkg.in/yaml%2ev3` -> `gopkg.in/yaml.v3`) and what lies before a `/vendor/` is dropped.
    """
    dot = _package_end(function)
    if dot < 0:
        return ""
    package = function[:dot]
    if package.startswith("type:") or package == "type":  # equality and hash functions the compiler makes
        return ""
    if "%" in package:
        package = unquote(package, errors="replace")
    vendored = package.rfind("/vendor/")
    return package[vendored + len("/vendor/") :] if vendored >= 0 else package


def local_name(function: str) -> str:
    """A function's name within its package: `github.com/a/b.(*T).m.func1` -> `(*T).m.func1`."""
    return function[_package_end(function) + 1 :]


def _package_end(function: str) -> int:
    """Where the dot after the import path is, -1 if there is none."""
    # A receiver or type argument may hold slashes of its own: look no further than the first bracket.
    head = function
    for bracket in "([{":
        at = head.find(bracket)
        if at >= 0:
            head = head[:at]
    return head.find(".", head.rfind("/") + 1)


@lru_cache(maxsize=NAME_CACHE)
def is_stdlib(package: str) -> bool:
    """Whether an import path is the standard library's (by list: user modules need no dot either)."""
    if package in STD_PACKAGES:
        return True
    root, _, rest = package.partition("/")
    if root == "internal":
        return bool(rest)
    if root == "vendor":
        return rest.startswith("golang.org/")
    return root in STD_ROOTS and (rest.startswith("internal/") or "/internal/" in rest)


@lru_cache(maxsize=NAME_CACHE)
def is_stdlib_function(function: str) -> bool:
    """Whether a function is the standard library's, the runtime's or made by the compiler (no package at all)."""
    package = package_of(function)
    return not package or is_stdlib(package)


@lru_cache(maxsize=NAME_CACHE)
def is_runtime_function(function: str) -> bool:
    """Whether a function belongs to the runtime itself.

    runtime/pprof/pprof.go: printStackRecord hides `runtime.` and `internal/runtime/` (before Go 1.24 that was
    `runtime/internal/`); packages such as runtime/pprof and runtime/trace are ordinary code.
    """
    return function.startswith(("runtime.", "internal/runtime/", "runtime/internal/"))


def is_runtime_frame(frame: Frame) -> bool:
    """Whether a frame is the runtime's own."""
    return is_runtime_function(frame.function)


def module_of(package: str, modules: Iterable[str] = ()) -> str:
    """Module path of a package: the longest of `modules` it lies in, else the usual shape of its host's paths.

    `std` for the standard library, `main` for a main package, "" where there is no package.
    """
    best = ""
    for module in modules:
        if len(module) > len(best) and in_module(package, module):
            best = module
    if best or not package:
        return best
    if is_stdlib(package):
        return "std"
    parts = package.split("/")
    if "." not in parts[0]:
        return parts[0]
    take = 3 if parts[0] in _HOSTS_WITH_OWNER else 2
    if parts[0] == "gopkg.in" and len(parts) > 2 and ".v" not in parts[1]:
        take = 3
    if len(parts) > take and _MAJOR.match(parts[take]):
        take += 1
    return "/".join(parts[:take])


@lru_cache(maxsize=NAME_CACHE)
def short_module_of(function: str) -> str:
    """`module_of` of a function's package with nothing known of the build (cached)."""
    return module_of(package_of(function))


def in_module(package: str, module: str) -> bool:
    """Whether a package is the module's root package or lies below it."""
    return package == module or (package.startswith(module) and package[len(module)] == "/")


def is_user_function(function: str, user_modules: Sequence[str]) -> bool:
    """Whether a function is the user's own: in package main or in one of `user_modules`."""
    package = package_of(function)
    return package == "main" or any(in_module(package, module) for module in user_modules)


def module_from_go_mod(text: str) -> str:
    """The module path a go.mod declares, "" if none (golang.org/x/mod/modfile: the `module` directive)."""
    found = _GO_MOD_MODULE.search(text)
    return found.group(1) if found else ""


def is_third_party_file(path: str) -> bool:
    """Whether a source lies in a module cache, under an `@version` (also with -trimpath) or in a vendor folder."""
    path = path.replace("\\", "/")
    return "/pkg/mod/" in path or "/vendor/" in path or "@v" in path


def guess_user_modules(
    stacks: Sequence[Stack], build: BuildInfo | None = None, go_mod_text: str = ""
) -> tuple[str, ...]:
    """Modules that are the user's own, `main` first: from go.mod and build info, else from where the sources lie.

    With neither at hand: packages outside the standard library whose sources are not in a module cache or vendor
    folder are the user's, and where all sources lie in one GOPATH, those of the module that package main is in.
    """
    told = [module_from_go_mod(go_mod_text), build.main_module if build else ""]
    known = [module for module in dict.fromkeys(told) if module and module != "command-line-arguments"]
    if known:
        return ("main", *(module for module in known if module != "main"))
    mains: set[str] = set()
    own: Counter[str] = Counter()
    gopath: Counter[str] = Counter()
    for frame in {
        frame for stack in stacks for frame in (*stack.frames, *((stack.created_by,) if stack.created_by else ()))
    }:
        package = package_of(frame.function)
        if not package or not frame.file or is_stdlib(package) or is_third_party_file(frame.file):
            continue
        path = frame.file.replace("\\", "/")
        if package == "main":
            mains.add(_home(path))
        elif f"/src/{package}/" in path:
            gopath[module_of(package)] += 1
        else:
            own[_module_by_file(package, path)] += 1
    found = own or (gopath if len(gopath) == 1 else Counter())
    for module in gopath:
        if module in mains:
            found[module] += 1
    if not found:
        found.update(home for home in mains if "." in home.split("/", 1)[0] and "/" in home)
    return ("main", *(module for module, _ in found.most_common(MAX_GUESSED_MODULES) if module))


def _home(path: str) -> str:
    """Module that a main package's file lies in, by GOPATH or -trimpath; "" where the path does not tell."""
    folder = path.rpartition("/")[0]
    if "/src/" in folder:
        return module_of(folder.rpartition("/src/")[2])
    return "" if folder.startswith("/") or ":" in folder[:3] else module_of(folder)


def _module_by_file(package: str, path: str) -> str:
    """Module path from how much of the import path the folder repeats: `ex.org/app/pkg` in `/x/pkg` -> `ex.org/app`.

    The folders below the module's root are the same in both; what the import path has before them is the module.
    """
    parts, folders = package.split("/"), path.rpartition("/")[0].split("/")
    same = 0
    while same < len(parts) and same < len(folders) and parts[-1 - same] == folders[-1 - same]:
        same += 1
    if same == len(parts):  # under -trimpath or in GOPATH the whole path is there
        return module_of(package)
    root = "/".join(parts[: len(parts) - same])
    usual = module_of(package)
    # A checkout is often named like the last element of its module's path; that element still belongs to the module.
    return usual if usual.startswith(root) and in_module(package, usual) else root
