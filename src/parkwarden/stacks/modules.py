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

from parkwarden.model import BuildInfo, Stack
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
    if package.startswith("type:") or package in ("type", "_"):  # what the compiler makes: equality, hashes, closures
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
    `runtime/internal/`); packages such as runtime/pprof and runtime/trace are ordinary code. `_.goready.func1` is
    how Go 1.27's profiles name the runtime's own closures.
    """
    return function.startswith(("runtime.", "internal/runtime/", "runtime/internal/", "_."))


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
    own: dict[str, str] = {}
    gopath: set[str] = set()
    every = {f for stack in stacks for f in (*stack.frames, *((stack.created_by,) if stack.created_by else ()))}
    for frame in sorted(every):
        package, path = package_of(frame.function), frame.file.replace("\\", "/")
        if not package or "/" not in path or is_stdlib(package) or is_third_party_file(path):
            continue
        folder = path.rpartition("/")[0]
        if package == "main":
            mains.add(folder)
        elif f"/src/{package}/" in path:
            gopath.add(module_of(package))
        else:
            own.setdefault(package, folder)
    homes = {_home(folder) for folder in mains}
    if own:
        found = Counter(_modules_by_folder(own, mains))
    elif len(gopath) == 1 or not homes & gopath:
        found = Counter(gopath if len(gopath) == 1 else ())
        found.update(home for home in homes if "." in home.split("/", 1)[0] and "/" in home)
    else:
        found = Counter(homes & gopath)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ("main", *(module for module, _ in ranked[:MAX_GUESSED_MODULES] if module))


def _home(folder: str) -> str:
    """Module that a main package's folder lies in, by GOPATH or -trimpath; "" where the path does not tell."""
    if "/src/" in folder:
        return module_of(folder.rpartition("/src/")[2])
    return "" if folder.startswith("/") or ":" in folder[:3] else module_of(folder)


def _modules_by_folder(own: dict[str, str], mains: set[str]) -> list[str]:
    """Module of each of the user's packages (import path -> folder): what lies above their common folder.

    Below the module's root import paths and folders are the same: `ex.org/team/app/db` in `/w/app/db` with main in
    `/w/app/cmd` have `/w/app` in common, so two elements of the path before `db` and `app` are not enough: it is
    `ex.org/team/app`. Hosts with owners (`github.com/owner/name`) tell by their shape, and so does what is alone.
    """
    found: list[str] = []
    folders = [folder.split("/") for folder in {*own.values(), *mains}]
    shared = _same(folders)
    for package, folder in own.items():
        usual = module_of(package)
        parts, at = package.split("/"), folder.split("/")
        below = len(at) - shared
        same = _same([parts[::-1], at[::-1]])
        if parts[0] not in _HOSTS_WITH_OWNER and len(folders) > 1 and below <= same and below < len(parts):
            cut = parts[: len(parts) - below]
        else:
            owned = parts[0] in _HOSTS_WITH_OWNER
            cut = parts[: max(usual.count("/") + 1, 0 if owned else len(parts) - same)]
        if "internal" in cut:
            cut = cut[: cut.index("internal")]
        found.append("/".join(cut))
    return found


def _same(rows: list[list[str]]) -> int:
    """How many leading elements all rows share."""
    same = 0
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        same += 1
    return same
