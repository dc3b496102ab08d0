"""Whose code a function is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import BuildInfo, Frame, Stack
from parkwarden.stacks.modules import (
    guess_user_modules,
    is_runtime_function,
    is_stdlib,
    is_user_function,
    local_name,
    module_from_go_mod,
    module_of,
    package_of,
)


@pytest.mark.parametrize(
    ("function", "package", "local"),
    [
        ("main.main", "main", "main"),
        ("main.(*T).m.func1.2", "main", "(*T).m.func1.2"),
        ("main.glob..func1", "main", "glob..func1"),
        ("main.F[github.com/x/y.T].func1", "main", "F[github.com/x/y.T].func1"),
        ("net/http.(*conn).serve", "net/http", "(*conn).serve"),
        ("github.com/a/b/v2/pkg.(*T).m", "github.com/a/b/v2/pkg", "(*T).m"),
        ("gopkg.in/yaml%2ev3.unmarshal", "gopkg.in/yaml.v3", "unmarshal"),
        ("example.com/app/vendor/github.com/lib/pq.F", "github.com/lib/pq", "F"),
        ("vendor/golang.org/x/net/http2/hpack.F", "vendor/golang.org/x/net/http2/hpack", "F"),
        ("type:.eq.main.T", "", ".eq.main.T"),
        ("_cgo_sys_thread_start", "", "_cgo_sys_thread_start"),
        ("", "", ""),
    ],
)
def test_package_and_local_name(function: str, package: str, local: str) -> None:
    """The import path ends at the first dot after its last slash, escapes undone, brackets never looked into."""
    assert package_of(function) == package
    if package:
        assert local_name(function) == local


def test_user_modules_without_a_dot_are_not_the_standard_library() -> None:
    """`myapp/internal/x` is the user's although nothing in it has a dot; std is known by list, not by looks."""
    assert not is_stdlib("myapp/internal/x")
    assert not is_stdlib("logger")
    assert all(map(is_stdlib, ["net/http", "internal/poll", "net/http/internal/ascii", "vendor/golang.org/x/net/idna"]))
    assert is_stdlib("runtime/internal/sys")  # Go < 1.24


def test_runtime_functions_are_those_that_texts_hide() -> None:
    """runtime/pprof and runtime/trace are ordinary code; internal/runtime is the runtime's."""
    assert all(map(is_runtime_function, ["runtime.gopark", "internal/runtime/syscall/linux.Syscall6"]))
    assert not any(map(is_runtime_function, ["runtime/pprof.writeGoroutine", "runtime/trace.Start", "main.runtime"]))


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("github.com/zeromicro/go-zero/core/collection", "github.com/zeromicro/go-zero"),
        ("github.com/go-redis/redis/v8/internal/pool", "github.com/go-redis/redis/v8"),
        ("go.uber.org/zap/zapcore", "go.uber.org/zap"),
        ("gopkg.in/yaml.v3", "gopkg.in/yaml.v3"),
        ("gopkg.in/DataDog/dd-trace-go.v1/ddtrace", "gopkg.in/DataDog/dd-trace-go.v1"),
        ("golang.org/x/sync/errgroup", "golang.org/x/sync"),
        ("net/http", "std"),
        ("main", "main"),
        ("myapp/internal/x", "myapp"),
    ],
)
def test_module_by_the_usual_shape_of_paths(package: str, module: str) -> None:
    """Without build info a module is as many path elements as its host uses."""
    assert module_of(package) == module


def test_known_modules_go_before_the_usual_shape() -> None:
    """The longest module of the build that holds the package wins."""
    modules = ["example.com/mono", "example.com/mono/services/pay"]
    assert module_of("example.com/mono/services/pay/db", modules) == "example.com/mono/services/pay"
    assert module_of("example.com/monolith", modules) == "example.com/monolith"


def test_user_module_from_go_mod_and_build() -> None:
    """go.mod and build info name the user's module; main always is the user's."""
    assert module_from_go_mod("// c\nmodule example.com/app // x\n\ngo 1.27\n") == "example.com/app"
    assert module_from_go_mod('module "example.com/q"\n') == "example.com/q"
    assert module_from_go_mod("go 1.27\n") == ""
    assert guess_user_modules([], BuildInfo(main_module="example.com/app")) == ("main", "example.com/app")
    assert guess_user_modules([], None, "module example.com/app") == ("main", "example.com/app")


def _stack(*frames: tuple[str, str]) -> Stack:
    return Stack(tuple(Frame(function, file, 1) for function, file in frames))


def test_user_module_from_where_the_sources_lie() -> None:
    """Sources outside GOROOT and the module cache are the user's; the folders tell how much of the path is the module."""
    stack = _stack(
        ("sync.(*Mutex).Lock", "/usr/local/go/src/sync/mutex.go"),
        ("github.com/lib/pq.(*conn).recv", "/home/u/go/pkg/mod/github.com/lib/pq@v1.10.9/conn.go"),
        ("github.com/acme/shop/internal/db.Query", "/home/u/shop/internal/db/query.go"),
        ("main.handler", "/home/u/shop/cmd/shop/main.go"),
    )
    assert guess_user_modules([stack]) == ("main", "github.com/acme/shop")


def test_user_module_under_trimpath_and_gopath() -> None:
    """-trimpath leaves `module@version/...` on others' files only; in a GOPATH main's module is the user's."""
    trimmed = _stack(
        ("github.com/lib/pq.f", "github.com/lib/pq@v1.10.9/conn.go"),
        ("example.com/app/db.f", "example.com/app/db/db.go"),
        ("main.main", "example.com/app/cmd/x/main.go"),
    )
    assert guess_user_modules([trimmed]) == ("main", "example.com/app")
    gopath = _stack(
        ("github.com/other/lib.f", "/go/src/github.com/other/lib/lib.go"),
        ("github.com/acme/app/db.f", "/go/src/github.com/acme/app/db/db.go"),
        ("main.main", "/go/src/github.com/acme/app/main.go"),
    )
    assert guess_user_modules([gopath]) == ("main", "github.com/acme/app")


def test_user_module_whose_folder_is_named_like_it() -> None:
    """The common folder of all user code is the module's root, also where its name repeats the path's last element."""
    stack = _stack(
        ("corp.example/team/lib.f", "/home/u/go/pkg/mod/corp.example/team/lib@v0.1.0/lib.go"),
        ("corp.example/team/app/internal/db.f", "/w/app/internal/db/db.go"),
        ("corp.example/team/app/api.f", "/w/app/api/api.go"),
        ("main.main", "/w/app/main.go"),
    )
    assert guess_user_modules([stack]) == ("main", "corp.example/team/app")
    alone = _stack(("corp.example/team/app/internal/db.f", "/w/app/internal/db/db.go"))
    assert guess_user_modules([alone]) == ("main", "corp.example/team")
    made = _stack(
        ("corp.example/app.(*T).F-fm", "<autogenerated>"),
        ("_.goready.func1", "/usr/local/go/src/runtime/proc.go"),
    )
    assert guess_user_modules([made]) == ("main",)


def test_user_functions() -> None:
    """package main and everything below a user module is the user's, a module with the same beginning is not."""
    assert is_user_function("main.f", ())
    assert is_user_function("example.com/app/db.f", ("example.com/app",))
    assert not is_user_function("example.com/apple.f", ("example.com/app",))


@given(st.text(max_size=60))
def test_any_text_has_an_answer(text: str) -> None:
    """Hostile names never raise."""
    assert isinstance(package_of(text), str)
    assert isinstance(module_of(package_of(text)), str)
    assert guess_user_modules([Stack((Frame(text, text, 1),))])[0] == "main"
