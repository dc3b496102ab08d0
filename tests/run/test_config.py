"""The configuration: what loads, how mistakes are told, and that no secret is ever shown."""

from __future__ import annotations

import contextlib
import pickle
import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.model.errors import UsageError
from parkwarden.model.instance import Auth, Secret
from parkwarden.run import _config_yaml
from parkwarden.run._config_types import duration_s, size_bytes
from parkwarden.run.config import Config, ConfigError, ConfigProblem, from_urls, load, load_rules, parse_config
from parkwarden.telemetry.reporter import Target

CANARY = "Canary-7f3Xq9-word"


def problems(text: str, environ: dict[str, str] | None = None) -> tuple[ConfigProblem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "p.yaml", environ=environ or {})
    assert caught.value.exit_code == 2
    return caught.value.problems


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """Nothing has to be said: every section has its defaults, also where only its name is there."""
    file = tmp_path / "parkwarden.yaml"
    file.write_text("# nothing\n")
    assert load(file) == Config()
    file.write_text("collect:\ndiscovery:\ntargets:\n")
    assert load(file) == Config()
    assert Config().web.listen == "127.0.0.1:9870"


def test_everything_a_section_takes(tmp_path: Path) -> None:
    """Lists, durations, sizes, words, maps by priority, secrets from environment and file; paths relative to the file."""
    (tmp_path / "pw").write_text(f"{CANARY}\n")
    file = tmp_path / "parkwarden.yaml"
    file.write_text(
        """
targets:
  - urls: [http://10.0.0.1:6060, "unix:/run/x.sock"]
    labels: {service: shop}
    interval_s: 1m30s
    auth: {user: me, password: {file: pw}, ca_file: ca.pem}
discovery: {file_sd: [{files: [t/*.json]}]}
collect: {interval_s: 10}
alert: {answer_s: {P0: 2m}, routes: [{matchers: {team: pay}, channels: [a]}]}
channels: {stdout: {a: {}}}
store: {sync: append, history_max_bytes: 64MiB, folder: data, evidence_options: {key: a, secret: {env: S3}}}
web: {listen: "0.0.0.0:9870", token: {env: TOKEN}}
"""
    )
    config = load(file, {"S3": "s3-word", "TOKEN": "t" * 16})
    target = config.targets[0]
    assert target.interval_s == 90.0
    assert target.auth == Auth(user="me", password=Secret(CANARY), ca_file=str(tmp_path / "ca.pem"))
    assert config.discovery.file_sd[0].files == (str(tmp_path / "t/*.json"),)
    assert config.collect.interval_s == 10.0
    assert {p.value: s for p, s in config.alert.answer_s.items()} == {"P0": 120.0}
    assert config.store.history_max_bytes == 64 << 20
    assert config.store.folder == str(tmp_path / "data")
    assert config.store.evidence_options == (("key", "a"), ("secret", Secret("s3-word")))
    assert (config.web.host, config.web.port) == ("0.0.0.0", 9870)
    for word in (CANARY, "s3-word", "t" * 16):
        assert word not in repr(config)
        assert word not in str(config)
    with pytest.raises(TypeError):
        pickle.dumps(config.web.token)


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ("targtes: []\n", 1, "", "unknown setting `targtes`, the nearest is `targets`"),
        ("web:\n  lisen: x\n", 2, "web", "the nearest is `listen`"),
        ("\ntargets:\n- urls: http://h:1\n", 3, "targets[0].urls", "expected a list; given: text of 10 characters"),
        ("targets:\n- labels: {}\n", 2, "targets[0]", "`urls` is missing"),
        ("targets:\n- urls: [ftp://h]\n", 2, "targets[0].urls[0]", "not http, https or unix"),
        ("targets:\n- urls: [h:1]\n  labels: {env: no}\n", 3, "targets[0].labels.env", "given: false"),
        ("collect: {interval_s: soon}\n", 1, "collect.interval_s", "a duration such as 5s"),
        ("collect: {interval_s: true}\n", 1, "collect.interval_s", "expected a number; given: true"),
        ("collect: {interval_s: .nan}\n", 1, "collect.interval_s", "expected a finite number"),
        ("collect: {interval_s: [5]}\n", 1, "collect.interval_s", "expected a number; given: a list of 1"),
        ("collect: {interval_s: 0}\n", 1, "collect.interval_s", "at least 100ms"),
        ("collect: {interval_s: -5}\n", 1, "collect.interval_s", "expected 0 or more; given: -5"),
        ("targets: [{urls: [h:1], interval_s: 1ms}]\n", 1, "targets[0].interval_s", "at least 100ms"),
        ("store: {history_max_bytes: 1.5}\n", 1, "store.history_max_bytes", "expected a whole number; given: 1.5"),
        ("store:\n  sync: apend\n", 2, "store.sync", "expected one of append, interval, close; given: `apend`"),
        ("log: {level: loud}\n", 1, "log.level", "expected one of debug, info, warning, error"),
        ("web: {listen: 9870}\n", 1, "web.listen", "expected text; given: 9870"),
        ("web: {listen: '9870'}\n", 1, "web.listen", "expected host:port"),
        ("web: {listen: '0.0.0.0:9870'}\n", 1, "web.listen", "needs `web.token`"),
        ("web: {listen: 'host:9870'}\n", 1, "web.listen", "needs `web.token`"),
        ("web: {token: {env: T}}\n", 1, "web.token", "the environment variable T is not set"),
        ("web: {token: {file: /nowhere/at/all}}\n", 1, "web.token", "cannot be read: No such file"),
        ("web: {token: plain}\n", 1, "web.token", "must not stand in the configuration"),
        ("web: {token: {env: T, file: F}}\n", 1, "web.token", "nothing beside"),
        ("store: {url: 'postgresql://u:p@h/d'}\n", 1, "store.url", "must not stand in"),
        ("store: {evidence_options: {secret: s}}\n", 1, "store.evidence_options.secret", "must not stand in"),
        ("discovery: {http_sd: [{url: 'http://u:p@h/'}]}\n", 1, "discovery.http_sd[0].url", "belong into `auth`"),
        ("discovery: {file_sd: [{files: [a.txt]}]}\n", 1, "discovery.file_sd[0].files[0]", "must end in .json"),
        ("discovery: {kubernetes: [{}, {}]}\n", 1, "discovery.kubernetes[0].cluster", "need a name each"),
        ("alert: {channels: [nobody]}\n", 1, "alert.channels", "no channel is called nobody"),
        ("channels: {webhook: {a: {url: h}}}\n", 1, "channels.webhook.a", "needs http://"),
        ("channels: {apprise: {a: {url: 'slack://x'}}}\n", 1, "channels.apprise.a.url", "must not stand in"),
        ("a: &x [1]\nb: *x\n", 2, "", "aliases"),
        ("web: !!python/object:os.system {}\n", 1, "", "tags"),
        ("web: {listen: !secret x}\n", 1, "", "tags"),
        ("web: {}\nweb: {}\n", 2, "", "given before"),
        ("web: {}\n---\nlog: {}\n", 2, "", "second document"),
        ("web: [\n", 2, "", "not valid YAML"),
        ("- a\n", 1, "", "expected settings"),
        ("just words\n", 1, "", "expected settings"),
        ("? [a]\n: b\n", 1, "", "a key that is no word"),
        ("a: " + "[" * 40 + "\n", 1, "", "deeper"),
    ],
)
def test_a_mistake_names_line_and_key(text: str, line: int, key: str, said: str) -> None:
    """Every mistake tells file, line, key path, what was given and what would be right."""
    first = problems(text)[0]
    assert (first.file, first.line, first.key) == ("p.yaml", line, key)
    assert said in first.text + first.hint


def test_all_mistakes_are_told_at_once() -> None:
    """One run shows every mistake in the order of lines, not the first only; a flood of them ends."""
    found = problems("web: {port: 1}\ncollect: {interval_s: x}\nlog: {level: loud}\n")
    assert [p.line for p in found] == [1, 2, 3]
    many = problems("targets:\n" + "- urls: [ftp://h]\n" * 200)
    assert len(many) == _config_yaml.MAX_PROBLEMS + 1
    assert "150 more" in many[-1].text


def test_loopback_needs_no_token_and_a_short_one_is_refused() -> None:
    """Only the loopback is open without a token; a token somebody could guess is none."""
    for listen in ("127.0.0.1:0", "127.5.5.5:80", "[::1]:9870", "localhost:9870"):
        assert parse_config(f"web: {{listen: '{listen}'}}", environ={}).web.token is None
    text = "web: {listen: '[::]:9870', token: {env: T}}"
    assert parse_config(text, environ={"T": "x" * 16}).web.host == "::"
    assert "shorter than 16" in problems(text, {"T": CANARY[:8]})[0].text


def test_sizes_are_bounded(tmp_path: Path) -> None:
    """A file beyond its limit, a billion laughs and a sea of brackets are refused at once and cost little memory."""
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (_config_yaml.MAX_CONFIG_BYTES + 1))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        load(big)
    laughs = "a: &a [x,x,x,x]\n" + "".join(
        f"{b}: &{b} [*{a},*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    tracemalloc.start()
    assert "aliases" in problems(laughs)[0].text
    assert "values" in problems("a: [" + "a," * 300_000 + "]")[0].text
    assert tracemalloc.get_traced_memory()[1] < 200 << 20
    tracemalloc.stop()


def test_unreadable_files_are_usage_errors(tmp_path: Path) -> None:
    """No file, a folder, no text: a sentence with the next step."""
    (tmp_path / "latin").write_bytes(b"a: \xff")
    for name in ("none", ".", "latin"):
        with pytest.raises(UsageError) as caught:
            load(tmp_path / name)
        assert caught.value.exit_code == 2


def test_rules_alone_or_of_a_whole_configuration(tmp_path: Path) -> None:
    """`--rules FILE` takes a file of thresholds, or a configuration whose secrets are not here."""
    file = tmp_path / "rules.yaml"
    file.write_text("time_left: {window_s: 20m}\n")
    assert load_rules(file).time_left.window_s == 1200.0
    file.write_text("web: {token: {env: NOT_HERE}}\nrules:\n  time_left: {window_s: 20m}\n")
    assert load_rules(file).time_left.window_s == 1200.0
    file.write_text("rules:\n  time_left: {window: 20m}\n")
    with pytest.raises(ConfigError, match=r":2: rules\.time_left: unknown setting `window`, the nearest is `window_s`"):
        load_rules(file)


def test_urls_of_the_command_line() -> None:
    """`watch URL…`: scheme and pprof's path may be there or not; a password moves into `auth` and out of sight."""
    config = from_urls(["localhost:6060", f"http://me:{CANARY}@h:1/x/debug/pprof/", "unix:/run/a.sock"])
    assert [t.urls[0] for t in config.targets] == ["localhost:6060", "http://h:1/x/debug/pprof/", "unix:/run/a.sock"]
    assert config.targets[1].auth == Auth(user="me", password=Secret(CANARY))
    assert CANARY not in repr(config)
    for bad in (f"http://u:{CANARY}@", f"ftp://{CANARY}@h", f"http://h:99999999/{CANARY}", "http://h/?a", ""):
        with pytest.raises(UsageError) as caught:
            from_urls([bad])
        assert CANARY not in str(caught.value) + caught.value.context


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172_800), ("1w", 604_800), ("5", None), ("s", None), ("-5s", None)]
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    """As Prometheus and Go write them."""
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("64MiB", 64 << 20), ("64Mi", 64 << 20), ("10GB", 10**10), ("1.5GiB", 3 << 29), ("4096", 4096), ("5k", 5000), ("5kB", 5000), ("5kiB", 5120), ("x", None)]
)  # fmt: skip
def test_sizes(text: str, size: int | None) -> None:
    """1024s with an i, 1000s without."""
    assert size_bytes(text) == size


SECRET_PLACES = (
    "web: {{token: {0}}}",
    "web:\n  token: {0}\n",
    "targets: [{{urls: [h:1], auth: {{bearer: {0}}}}}]",
    "targets: [{{urls: ['http://me:{0}@host:1']}}]",
    "targets: [{{urls: ['http://host:1/?t={0}']}}]",
    "discovery: {{http_sd: [{{url: 'https://me:{0}@host'}}]}}",
    "store: {{password: {0}}}",
    "store: {{url: 5, sync: {0}}}",
    "store: {{history_max_bytes: {0}}}",
    "web: {{token: {{{0}}}}}",
    "web: {{token: {{env: {0}}}}}",
    "web: {{token: {{file: {0}}}}}",
    "web: {{tokn: {0}}}",
    "web: {{token:{0}}}",
    "web: {0}",
    "collect: {{interval_s: {0}}}",
    "log: {{level: {0}}}",
    "{0}",
    "{0}: 1",
    "web: {{listen: {0}}}",
    "web: {{listen: '{0}:80'}}",
    "web: {{token: &{0} x}}\nb: *{0}",
    "web: {{token: !{0} x}}",
    "store: {{url: 'postgresql://me:{0}@db/x'}}",
    "store: {{evidence_url: 's3://me:{0}@bucket'}}",
    "channels: {{apprise: {{a: {{url: {0}}}}}}}",
    "channels: {{webhook: {{a: {{url: 'http://x:{0}@h', secret: {0}, headers: {{k: {0}}}}}}}}}",
    "web: [ {0}",
    'web: "{0}',
)


@given(st.lists(st.sampled_from(SECRET_PLACES), min_size=1, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_no_error_shows_a_secret(places: list[str], random: object) -> None:
    """Wherever somebody puts a secret by mistake, and however the file is broken besides, no error text holds it."""
    text = "\n".join(p.format(CANARY) for p in places)
    cut = random.randint(0, len(text))  # type: ignore[attr-defined]
    for broken in (text, text[:cut] + random.choice(["\n", "]", "\t", "'", ": ", ""]) + text[cut:]):  # type: ignore[attr-defined]
        if CANARY not in broken:
            continue
        try:
            config = parse_config(broken, environ={"PATH": CANARY})
            assert CANARY not in repr(config.web) + repr(config.store.password)
        except UsageError as error:
            shown = f"{error} {error.message} {error.context} {error.hint} {getattr(error, 'problems', '')}"
            assert CANARY not in shown, broken


@given(st.text(max_size=300))
def test_any_text_is_read_or_explained(text: str) -> None:
    """Whatever is in the file: a Config or a UsageError."""
    with contextlib.suppress(UsageError):
        assert isinstance(parse_config(text, environ={}), Config)


KEYS = st.sampled_from(
    ["targets", "discovery", "collect", "rules", "alert", "store", "web", "log", "urls", "labels", "auth", "listen", "sync", "routes", "interval_s"]
)  # fmt: skip
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates())
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(KEYS, TREES, max_size=5))
def test_any_tree_is_read_or_explained(tree: dict[str, object]) -> None:
    """Well-formed YAML of the wrong shape: every error is ours, with a place."""
    with contextlib.suppress(ConfigError):
        assert isinstance(parse_config(yaml.safe_dump(tree), environ={}), Config)


WEB_TOKENS = {
    "EVA": "operator-token-0123",
    "VIC": "viewer-token-0123456",
    "ALONE": "a-single-token-of-old",
    "SHORT": "short",
}


def test_web_tokens_have_a_name_and_a_role() -> None:
    """`tokens` beside the one `token`, which is an operator called operator; a role is viewer unless said otherwise."""
    text = "web: {token: {env: ALONE}, tokens: [{name: eva, role: operator, token: {env: EVA}}, {name: vic, token: {env: VIC}}]}"
    everybody = parse_config(text, environ=WEB_TOKENS).web.everybody
    assert [(one.name, one.role) for one in everybody] == [
        ("operator", "operator"),
        ("eva", "operator"),
        ("vic", "viewer"),
    ]
    assert parse_config("web: {}", environ={}).web.everybody == ()


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("web: {listen: 0.0.0.0:1}", "web.listen", "needs `web.token` or `web.tokens`"),
        ("web: {tokens: [{name: a, token: {env: SHORT}}]}", "web.tokens[0]", "shorter than 16"),
        ("web: {token: {env: SHORT}}", "web.token", "shorter than 16"),
        ("web: {tokens: [{name: a, token: {env: EVA}}, {name: a, token: {env: VIC}}]}", "web.tokens[1].name", "another token"),
        ("web: {token: {env: EVA}, tokens: [{name: a, token: {env: EVA}}]}", "web.tokens[0]", "the same token"),
        ("web: {token: {env: EVA}, tokens: [{name: operator, token: {env: VIC}}]}", "web.tokens[0].name", "another token"),
        ('web: {tokens: [{name: " ", token: {env: EVA}}]}', "web.tokens[0].name", "printable"),
        ('web: {tokens: [{name: "a\\u202e", token: {env: EVA}}]}', "web.tokens[0].name", "printable"),
        ("web: {tokens: [{name: a, role: root, token: {env: EVA}}]}", "web.tokens[0].role", "viewer, operator"),
        ("web: {tokens: [{name: a}]}", "web.tokens[0]", "`token` is missing"),
    ],
)  # fmt: skip
def test_web_tokens_that_are_none(text: str, key: str, words: str) -> None:
    """Short, shared or nameless tokens and names used twice are told by their place; no token is shown."""
    with pytest.raises(ConfigError) as raised:
        parse_config(text, environ=WEB_TOKENS)
    assert any(problem.key == key and words in problem.text for problem in raised.value.problems), raised.value.problems
    assert not any(word in str(raised.value) for word in WEB_TOKENS.values() if word != "short")


def test_one_prometheus_is_a_list_of_one() -> None:
    """Where several groups of settings may stand one needs no list; what is said of it is the same."""
    one = parse_config(
        "collect: {prometheus: {url: 'http://p:9090', selector: '{job=~\"a|b\", env=\"x\",}'}}", "p.yaml"
    )
    several = parse_config(
        "collect: {prometheus: [{url: 'http://p:9090', selector: '{job=~\"a|b\", env=\"x\",}'}]}", "p.yaml"
    )
    assert one == several
    assert one.collect.prometheus[0].url == "http://p:9090"
    assert one.streams
    assert not Config().streams


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("url: 'p:9090'", "url", "not the base URL of a Prometheus"),
        ("url: 'http://me:word@p'", "url", "not the base URL of a Prometheus"),
        ("{url: 'http://p', selector: 'up{job=\"a\"}'}", "selector", "without a metric's name"),
        ("{url: 'http://p', selector: '{job=\"a\"}) or (x'}", "selector", "matchers in braces"),
        ("{url: 'http://p', interval_s: 0}", "interval_s", "more than 0"),
        ("{url: 'http://p', requests: 'sum(x)'}", "requests", "a metric's name"),
        ("{url: 'http://p', id_labels: []}", "id_labels", "at least one"),
        ("{url: 'http://p', pprof: {port: 70000}}", "pprof.port", "0..65535"),
    ],
)
def test_a_prometheus_that_cannot_be_asked(text: str, key: str, words: str) -> None:
    """What would become part of a query or an address is checked before anybody is asked."""
    braces = text if text.startswith("{") else f"{{{text}}}"
    (problem,) = problems(f"collect: {{prometheus: [{braces}]}}")
    assert problem.key == f"collect.prometheus[0].{key}"
    assert words in problem.text


def test_what_we_listen_on_for_senders_needs_a_token_beyond_this_host() -> None:
    """Any address but a loopback one: a token, or said that anybody may; certificates go in pairs."""
    found = problems(
        "receive: {otlp: {grpc: {listen: '0.0.0.0:4317'}, http: {listen: here, cert_file: a.pem}}, points_per_s: 0}"
    )
    assert [problem.key for problem in found] == [
        "receive.otlp.grpc.listen",
        "receive.otlp.http",
        "receive.otlp.http.listen",
        "receive.points_per_s",
    ]
    good = "receive: {otlp: {grpc: {listen: '0.0.0.0:4317', token: {env: T}}, http: {listen: '0.0.0.0:4318', anybody: true}}}"
    receive = parse_config(good, environ={"T": "t" * 16}).receive
    assert receive.otlp.grpc.token == Secret("t" * 16)


def test_a_back_end_of_ours_has_a_url_without_secrets() -> None:
    """What stands in the URL would be shown; headers are secrets."""
    found = problems(
        "telemetry: {otlp: {url: 'http://me:word@c:4317'}, skywalking: {url: 'oap:11800', key_file: k}, metrics_every_s: 0}"
    )
    assert [problem.key for problem in found] == [
        "telemetry.otlp.url",
        "telemetry.skywalking.url",
        "telemetry.skywalking",
        "telemetry.metrics_every_s",
    ]
    text = "telemetry: {otlp: {url: 'https://c:4317', headers: {authorization: {env: T}}}}"
    telemetry = parse_config(text, environ={"T": CANARY}).telemetry
    assert telemetry.any
    assert telemetry.otlp.headers["authorization"].reveal() == CANARY
    assert CANARY not in repr(telemetry)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://collector", "4317"),
        ("http://c:99999", "no URL"),
        ("http://c:4318/?tenant=a", "http://host:port"),
        ("http://c:4318/v1/traces", "before /v1/traces"),
        ("http://me:word@c:4317", "`headers`"),
    ],
)
def test_a_back_ends_address_that_can_never_work_is_refused(url: str, said: str) -> None:
    """At the start and not with every call: no port, a signal's own path, what would be left out."""
    [problem] = problems(f"telemetry: {{otlp: {{url: '{url}'}}}}")
    assert problem.key == "telemetry.otlp.url"
    assert said in problem.text
    assert parse_config("telemetry: {otlp: {url: 'http://[::1]:4318/otlp'}}").telemetry.any


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [(f"Bearer {CANARY}", "x", "name of 25"), (":path", "x", "name"), ("Host", "x", "call itself"), ("grpc-timeout", "1s", "call itself"),
     ("authorization", f"Bearer {CANARY}\n", "line breaks"), ("x", "ä€", "ASCII"), ("x", f" {CANARY}", "spaces")],
)  # fmt: skip
def test_a_header_that_cannot_be_sent_is_refused_and_not_shown(name: str, value: str, said: str) -> None:
    """A secret with a line break would fail every call, and stand in the failure's words."""
    with pytest.raises(ConfigError) as caught:
        parse_config(
            f"telemetry: {{otlp: {{url: 'http://c:4317', headers: {{'{name}': {{env: T}}}}}}}}", environ={"T": value}
        )
    assert said in str(caught.value.problems)
    assert CANARY not in str(caught.value.problems) + str(caught.value)
    with pytest.raises(ValueError, match="header") as refused:
        Target(host="c", port=4317, headers={name.lower(): value})
    assert CANARY not in str(refused.value)
