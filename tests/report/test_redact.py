"""Redaction: what must go goes, what diagnosis needs stays, always in linear time."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parkwarden.model import Crash, Evidence, Frame, Problem, SourceExcerpt, Stack, make_snapshot
from parkwarden.report.redact import Redactor, redact_case, redact_report
from tests.report import samples

# Assembled from parts, so that no scanner takes this file for a leak.
GITHUB = "gh" + "p_" + "a1B2" * 9
SLACK = "xo" + "xb-" + "123456789012-abcdefABCDEF"
AWS = "AK" + "IA" + "IOSFODNN7EXAMPLE"
JWT = "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "JzdWIiOiIxMjM0In0.c2lnbmF0dXJl_-x"
STRIPE = "sk" + "_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
KEY = "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE " + "KEY-----"

GO = [
    ("from alice.b+x@mail.example.co.uk today", "from [redacted:email] today"),
    ("user=alice%40example.com&a=1", "user=[redacted:email]&a=1"),
    ("call +86 138 1234 5678 now", "call [redacted:phone] now"),
    ("+1 (415) 555-2671", "[redacted:phone]"),
    ("uid:13812345678", "uid:[redacted:phone]"),
    ("手机13812345678号", "手机[redacted:phone]号"),
    ("138-1234-5678", "[redacted:phone]"),
    ("id 11010519491231002X ok", "id [redacted:id-card] ok"),
    ("card 4111 1111 1111 1111", "card [redacted:bank-card]"),
    ("card=6222021234567890128", "card=[redacted:bank-card]"),
    ("3782-822463-10005", "[redacted:bank-card]"),
    (f"x {GITHUB} y", "x [redacted:token] y"),
    (SLACK, "[redacted:token]"),
    (AWS, "[redacted:token]"),
    (JWT, "[redacted:token]"),
    (STRIPE, "[redacted:token]"),
    ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer [redacted:token]"),
    ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted:token]"),
    ("password=hunter2&x=1", "password=[redacted:secret]&x=1"),
    ('{"token": "abc", "n": 1}', '{"token": "[redacted:secret]", "n": 1}'),
    (r"{\"secret\":\"abc\"}", r"{\"secret\":\"[redacted:secret]\"}"),
    ("&{Password:xyz Token:abc1}", "&{Password:[redacted:secret] Token:[redacted:secret]}"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=[redacted:secret]"),
    ("tool --api-key abc123 -v", "tool --api-key [redacted:secret] -v"),
    ("postgres://bob:p@ss@db.local:5432/x", "postgres://[redacted:credentials]@db.local:5432/x"),
    (f"k {KEY} z", "k [redacted:private-key] z"),
    ("/home/alice/src/shop/x.go:42", "/home/[redacted:user]/src/shop/x.go:42"),
    ("/Users/bob/go/x.go", "/Users/[redacted:user]/go/x.go"),
    (r"C:\Users\bob\go\x.go", r"C:\Users\[redacted:user]\go\x.go"),
]

STAY = [
    "main.(*T).m.func1",
    "gopkg.in/yaml.v3.(*Decoder).Decode",
    "gopkg.in/yaml%2ev3.unmarshal",
    "github.com/a/b/v2/internal/token.(*Store).Password",
    "go/token/token.go:45",
    "/src/secret.go:12 +0x1d",
    "/go/pkg/mod/github.com/a/b@v1.2.3/x.go:10",
    "/go/pkg/mod/github.com/a/b@v0.0.0-20240102150405-0123456789ab/x.go:10",
    "/go/pkg/mod/github.com/a/b@v1.2.3-rc.beta/x.go",
    "/go/pkg/mod/golang.org/toolchain@v0.0.1-go1.27.3.linux-amd64/src/runtime/proc.go:435",
    "github.com/docker/docker@v24.0.7+incompatible/client/client.go",
    "main.F[go.shape.*uint8]",
    "goroutine 13812345678 [chan receive, 5 minutes]:",
    "goroutine 1 gp=0xc0000061c0 m=0 mp=0x1512345678901 [running]:",
    "created by net/http.(*Server).Serve in goroutine 1",
    "runtime: out of memory: cannot allocate 13812345678-byte block (13812345678 in use)",
    "runtime: goroutine stack exceeds 1000000000-byte limit",
    "sp=0xc020160380 stack=[0xc020160000, 0xc040160000]",
    "2026-11-21T05:40:00.123456789Z m=+12.345678901",
    "taken at 1732165438123456789",
    "550e8400-e29b-41d4-a716-446655440000",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "0.4111111111111111",
    "110105194912310021",  # wrong checksum
    "4111 1111 1111 1112",  # fails Luhn
    "token: invalid",
    "bearer authentication failed",
    "http://127.0.0.1:6060/debug/pprof/",
    "/home/runner/work/shop/x.go",
    "/" + "root/go/src/x.go",  # everybody's, so nobody's
    "[redacted:email]",
]


@pytest.mark.parametrize(("text", "wanted"), GO, ids=[wanted[:40] for _, wanted in GO])
def test_secrets_go(text: str, wanted: str) -> None:
    """Each kind of secret and personal data is replaced by its kind, and nothing around it is touched."""
    redactor = Redactor()
    assert redactor.text(text) == wanted
    assert redactor.count >= 1


@pytest.mark.parametrize("text", STAY)
def test_what_diagnosis_needs_stays(text: str) -> None:
    """Go names, file:line, addresses, ids, versions, sizes and clock readings are not secrets."""
    redactor = Redactor()
    assert redactor.text(text) is text
    assert redactor.count == 0


@given(st.lists(st.one_of(st.sampled_from([t for t, _ in GO] + STAY), st.text(max_size=12)), max_size=6))
@settings(max_examples=300, deadline=None)
def test_redacting_twice_changes_nothing(parts: list[str]) -> None:
    """redact(redact(x)) == redact(x), also where hits touch each other."""
    once = Redactor().text("".join(parts))
    again = Redactor()
    assert again.text(once) == once


@pytest.mark.parametrize(
    "unit",
    ["a", "a.", "a@", "a@b.", "1", "1 ", "1-", "+1", "token=", "token: ", "password=\"", "-----BEGIN PRIVATE KEY-----",
     "://", "://a@", "bearer ", "/home/", "eyJ", "eyJaaaaaaaa.", "sk-", "--token ", "[redacted:", "secret_key_id "],
)  # fmt: skip
def test_time_is_linear(unit: str) -> None:
    """Ten times the text costs about ten times the time, whatever it repeats: no catastrophic backtracking."""

    def cost(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.process_time()
        Redactor().text(text)
        return time.process_time() - began

    assert cost(200_000) < 40 * cost(20_000) + 0.5


def test_switched_off_changes_nothing() -> None:
    """`--no-redact` hands everything through and counts nothing."""
    redactor = Redactor(enabled=False)
    assert redactor.text("password=hunter2") == "password=hunter2"
    assert redactor.count == 0


def test_count_is_per_distinct_text() -> None:
    """The same path on ten thousand stacks is one redaction; kinds are counted apart."""
    redactor = Redactor()
    for _ in range(5):
        redactor.text("a@example.com")
    redactor.text("b@example.com token=1234")
    assert redactor.kinds == Counter({"email": 2, "secret": 1})


def test_report_loses_its_secrets_everywhere() -> None:
    """Title, evidence, advice, source, problems, paths and names of inputs are all redacted, and counted."""
    finding = samples.leak()
    finding.title = "mail bob@example.com"
    finding.evidence = [Evidence("dump", "label", "password=hunter2")]
    finding.culprit = Frame("main.f", "/home/alice/x.go", 1)
    finding.path = (finding.culprit,)
    finding.source = SourceExcerpt("x.go", 1, (f'key := "{STRIPE}"',), (1, 1), "main.f", "abc bob@example.com")
    report = samples.report(finding, redacted=0)
    report.inputs[0].problems = [Problem("bad", "line 1", "… token=abcdef")]
    report.inputs[0].name = "/home/alice/dump.txt"
    after = redact_report(report)
    text = repr(after)
    for secret in ("bob@", "hunter2", "alice", STRIPE, "abcdef"):
        assert secret not in text
    assert after.redacted == 7
    assert finding.title == "mail bob@example.com"  # the original is left alone


def test_case_loses_its_secrets_everywhere() -> None:
    """Labels (their key is context), frames, states, crashes and traces of a case are redacted; numbers stay."""
    case = samples.case(3)
    stack = Stack((Frame("main.f", "/home/alice/x.go", 3),), Frame("main.g", "/home/alice/y.go", 4))
    shot = make_snapshot(
        case.looks[0].snapshot.source,
        [stack],
        [0, 0],
        labels=[{}, {"token": "s3cr3t", "mail": "a@example.com"}],
        label=[0, 1],
    )
    case.artefacts[0].snapshot = case.looks[0].snapshot = shot
    case.artefacts[0].crashes = [
        Crash(cause="panic", message="dial postgres://u:pw@db/x", details={"api_key": "12345678"})
    ]
    case.clusters[0].labels = Counter({("session_token", "s3cr3t"): 5})
    redactor = Redactor()
    after = redact_case(case, redactor)
    text = repr(after)
    for secret in ("alice", "s3cr3t", "a@example.com", "u:pw", "12345678"):
        assert secret not in text
    assert after.looks[0].snapshot is after.artefacts[0].snapshot
    assert after.looks[0].snapshot.total == shot.total
    assert after.clusters[0].count == case.clusters[0].count
    assert redactor.count > 0
    assert case.looks[0].snapshot.stacks == [stack]


def test_clean_stacks_are_shared_not_copied() -> None:
    """A dump without secrets costs no second copy of its stacks."""
    case = samples.case(3)
    after = redact_case(case)
    assert after.looks[0].snapshot.stacks is case.looks[0].snapshot.stacks
