"""Secrets and personal data taken out of what people will pass on; on by default.

Input: any str; out comes the same text with `[redacted:kind]` in place of each hit. Kinds: `email`, `phone`, `token`,
`secret` (the value of `password=` and its like), `credentials` (in URLs), `id-card` (Chinese, checksum verified),
`bank-card` (Luhn verified, 13-19 digits, not starting with 0 or 1 so that time stamps stay), `private-key`, `user`.

`user`: the name of a person in a home directory (`/home/alice/...`, `/Users/alice/...`, `C:\\Users\\alice\\...`) is
personal data and tells nothing about a leak, so it goes, while the rest of the path stays. Accounts that are not
persons (`SERVICE_ACCOUNTS`: runner, ubuntu, app, ...) stay.

What diagnosis needs stays: Go names, file:line, hexadecimal addresses, goroutine ids, package paths and module
versions (`b@v1.2.3` is no e-mail), byte counts (`13812345678 bytes` is no phone number), `m=+12.3` clock readings.

Time is linear in the text: every pattern is anchored on a literal or on the start of a run and uses possessive or
bounded repeats only. `text` runs to a fixed point, so redacting twice changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from parkwarden.model import (
    Artefact,
    Case,
    Cluster,
    Crash,
    Creation,
    Evidence,
    Finding,
    Frame,
    InputEntry,
    Look,
    Problem,
    Profile,
    Report,
    Site,
    Snapshot,
    SourceExcerpt,
    Stack,
    Trace,
    Wait,
)
from parkwarden.model.local import Local

MAX_PASSES = 16
"""Passes to the fixed point: a hit may free its neighbour's border, so two are usual and three rare. Bounded for safety."""

MAX_CACHE = 200_000
"""Distinct texts remembered. Frames repeat a hundredfold; the cache is dropped when it is full, never the redaction."""

SERVICE_ACCOUNTS = frozenset(
    [
        "admin",
        "app",
        "appuser",
        "build",
        "builder",
        "centos",
        "circleci",
        "debian",
        "deploy",
        "ec2-user",
        "git",
        "go",
        "gopher",
        "jenkins",
        "nobody",
        "node",
        "nonroot",
        "public",
        "root",
        "runner",
        "service",
        "shared",
        "travis",
        "ubuntu",
        "user",
        "vagrant",
        "vcap",
        "vscode",
        "work",
        "worker",
        "www",
        "www-data",
    ]
)
"""Home directories that name no person."""

# A number's surroundings: not inside a word, a decimal fraction or a hexadecimal address; not a count of something.
_NUM_BEGIN = r"(?<![0-9A-Za-z.])(?<!goroutine )(?<!goid=)"
_NUM_END = r"(?![0-9A-Za-z])(?!\.\d)(?![ -]?(?:bytes?|in use|objects|goroutines|cycles|samples|ns|us|µs|ms)\b)"

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_URL = re.compile(r"://(?!\[redacted:)[^\s/@\"'<>]{1,256}+@(?:[^\s/@\"'<>]{1,256}+@)?")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._+-])[A-Za-z0-9._+-]++(?:@|%40)(?!v\d+\.\d+\.\d+)"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}+\.)++[A-Za-z]{2,24}(?![A-Za-z])"
)
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){1,3}"  # JWT, JWE
    r"|(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|gh[oprsu]_[A-Za-z0-9]{20,}+|github_pat_[A-Za-z0-9_]{20,}+|glpat-[A-Za-z0-9_-]{16,}+"
    r"|xox[a-z]-[A-Za-z0-9-]{8,}+|xapp-[A-Za-z0-9-]{8,}+"  # Slack
    r"|AIza[A-Za-z0-9_-]{30,60}+|[prs]k_(?:live|test)_[A-Za-z0-9]{10,}+|sk-[A-Za-z0-9_-]{20,}+"
    r"|SG\.[A-Za-z0-9_-]{16,64}+\.[A-Za-z0-9_-]{16,128}+|npm_[A-Za-z0-9]{30,60}+|LTAI[A-Za-z0-9]{12,30}+"
    r"|AKID[A-Za-z0-9]{28,40}+|hvs\.[A-Za-z0-9_-]{20,}+|dop_v1_[a-f0-9]{40,80}+"
    r")"
)
_TOKEN_MARKS = (
    "eyJ", "AKIA", "ASIA", "ABIA", "ACCA", "AROA", "AIDA", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_",
    "glpat-", "xox", "xapp-", "AIza", "k_live_", "k_test_", "sk-", "SG.", "npm_", "LTAI", "AKID", "hvs.", "dop_v1_",
)  # fmt: skip
_BEARER = re.compile(
    r"(?i)(?<![a-z0-9])(bearer\s{1,4}|authorization[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?:basic|digest|token|negotiate)\s{1,4})"
    r"([a-z0-9._~+/=-]{6,}+)"
)
_KEY_VALUE = re.compile(
    r"(?i)(password|passwd|passphrase|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|auth[_-]?key"
    r"|private[_-]?key|session[_-]?id|sessionid|jsessionid|set-cookie|cookie|authorization|signature|(?<![a-z])sig)"
    r"((?:[_-]?(?:access[_-]?key|key|id|value|hash))?\\?[\"']?(?:\s{0,2}(?:=>?|:=)\s{0,2}|:\s{0,2}))"
    r"(\\?\"[^\"\n]{0,4096}+\"?|'[^'\n]{0,4096}+'?|\[redacted:[a-z-]{1,20}\]|[^\s\"',;&(){}\[\]<>|]++)"
)
_FLAG = re.compile(
    r"(?i)((?<![a-z0-9-])--?(?:[a-z]{1,16}-){0,3}(?:password|passwd|passphrase|secret|token|api-?key)\s{1,3})(?![-\[])([^\s\"']++)"
)
_KEY_MARKS = (
    "passw", "passphrase", "pwd", "secret", "token", "credential", "key", "session", "cookie", "authorization", "sig",
)  # fmt: skip
_KEY_STARTS = (
    "passw", "passphrase", "pwd", "secret", "token", "credential", "api", "access", "auth", "private", "session", "jsession",
    "set-cookie", "cookie", "signature", "sig",
)  # fmt: skip
"""How the keys of _KEY_VALUE begin."""
_STRONG_KEYS = ("passw", "passphrase", "pwd", "secret", "cookie", "credential")
_ID_CARD = re.compile(
    _NUM_BEGIN + r"[1-9]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[0-9Xx](?![0-9A-Za-z])"
)
_BANK_CARD = re.compile(
    _NUM_BEGIN + r"(?:[2-9]\d{12,18}|[2-9]\d{3}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|3[47]\d\d([ -])\d{6}\2\d{5})"
    + _NUM_END
)  # fmt: skip
_PHONE = re.compile(
    r"(?:(?<![0-9A-Za-z+.])(?<!m=)(?:\+|00)[1-9](?:[ -]?\(?\d\)?){8,14}"
    + r"|" + _NUM_BEGIN + r"1[3-9]\d(?:\d{8}|-\d{4}-\d{4}| \d{4} \d{4}))" + _NUM_END
)  # fmt: skip
_HOME = re.compile(
    r"((?:/home/|/Users/|(?i:[a-z]:[\\/]{1,2}(?:Users|Documents and Settings)[\\/]{1,2})))([^/\\\s:\"'\[\]]{1,64}+)(?=[/\\])"
)
_DIGITS = re.compile(r"\d[\d ()-]{8,}+")


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: doubling every second digit from the right, the sum is a multiple of ten."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if i % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _id_card_ok(number: str) -> bool:
    """GB 11643-1999: the weighted sum of 17 digits modulo 11 picks the check character."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], weights, strict=True))
    return "10X98765432"[total % 11] == number[17].upper()


def _card_ok(number: str) -> bool:
    digits = number.replace(" ", "").replace("-", "")
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and _luhn(digits)


_NUMBERS: tuple[tuple[re.Pattern[str], str, Callable[[str], bool] | None], ...] = (
    (_ID_CARD, "id-card", _id_card_ok),
    (_BANK_CARD, "bank-card", _card_ok),
    (_PHONE, "phone", None),
)


class Redactor:
    """Redacts texts and keeps count. `count` is the number of replacements over distinct texts, `kinds` by kind."""

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.kinds: Counter[str] = Counter()
        self._cache: dict[str, str | None] = {}
        """Text -> redacted text, None where nothing was found."""

    @property
    def count(self) -> int:
        return self.kinds.total()

    def text(self, s: str) -> str:
        """`s` without secrets and personal data; the very same object where there is nothing to redact."""
        if not self.enabled or len(s) < 6:
            return s
        if s in self._cache:
            known = self._cache[s]
            return s if known is None else known
        after = s
        for _ in range(MAX_PASSES):
            before, after = after, self._pass(after)
            if after == before:
                break
        if len(self._cache) >= MAX_CACHE:
            self._cache.clear()
        self._cache[s] = None if after == s else after
        return s if after == s else after

    def _pass(self, s: str) -> str:
        if "-----BEGIN " in s:
            s = _PRIVATE_KEY.sub(self._mark("private-key"), s)
        if "://" in s and "@" in s:
            s = _URL.sub(self._credentials, s)
        if "@" in s or "%40" in s:
            s = _EMAIL.sub(self._mark("email"), s)
        if any(mark in s for mark in _TOKEN_MARKS):
            s = _TOKENS.sub(self._mark("token"), s)
        low = s.lower()
        if "bearer" in low or "authorization" in low:
            s = _BEARER.sub(self._bearer, s)
        if ("=" in s or ":" in s) and any(mark in low for mark in _KEY_MARKS):
            s = self._keys(s, s.lower())
        if "-" in s and any(mark in low for mark in _KEY_MARKS):
            s = _FLAG.sub(lambda match: match[1] + self._hit("secret"), s)
        s = self._numbers(s)
        if "/home/" in s or "/Users/" in s or ":\\" in s or ":/" in s:
            s = _HOME.sub(self._home, s)
        return s

    def _hit(self, kind: str) -> str:
        self.kinds[kind] += 1
        return f"[redacted:{kind}]"

    def _mark(self, kind: str) -> Callable[[re.Match[str]], str]:
        return lambda _match: self._hit(kind)

    def _credentials(self, match: re.Match[str]) -> str:
        return f"://{self._hit('credentials')}@"

    def _numbers(self, s: str) -> str:
        """Cards, identities and telephones: looked for only around long runs of digits, which are rare."""
        out: list[str] = []
        done = 0
        for run in _DIGITS.finditer(s):
            # what precedes a number (+, 00) and what must not follow it (`-byte`, `objects`) lies within these margins
            begin, end = max(done, run.start() - 2), run.end() + 16
            for pattern, kind, check in _NUMBERS:
                hits = [hit for hit in pattern.finditer(s, begin, end) if check is None or check(hit[0])]
                for hit in hits:
                    if hit.start() >= done:
                        out += [s[done : hit.start()], self._hit(kind)]
                        done = hit.end()
                if hits:
                    break  # another kind in the same run is found by the next pass
        return "".join([*out, s[done:]]) if out else s

    def _keys(self, s: str, low: str) -> str:
        """`password=...` and its like, looked for only where a key stands: by search, not at every character."""
        if len(low) != len(s):  # a letter that grows when lowered: positions would not fit
            return _KEY_VALUE.sub(self._key_value, s)
        spots: set[int] = set()
        for start in _KEY_STARTS:
            at = low.find(start)
            while at >= 0:
                spots.add(at)
                at = low.find(start, at + 1)
        out: list[str] = []
        done = 0
        for at in sorted(spots):
            match = _KEY_VALUE.match(s, at) if at >= done else None
            if match:
                out += [s[done:at], self._key_value(match)]
                done = match.end()
        return "".join([*out, s[done:]]) if out else s

    def _bearer(self, match: re.Match[str]) -> str:
        value = match[2]
        # "bearer authentication" is prose: a word without a digit, shorter than any token
        if match[1].lower().startswith("bearer") and len(value) < 16 and not any(map(str.isdigit, value)):
            return match[0]
        return match[1] + self._hit("token")

    def _key_value(self, match: re.Match[str]) -> str:
        key, between, value = match[1].lower(), match[2], match[3]
        bare = value.strip("\\\"'")
        if not bare or bare.startswith("[redacted:"):
            return match[0]
        quote = '"' if '"' in value[:2] else "'" if value[0] == "'" else ""
        if "=" not in between and not quote and not between.startswith(('"', "'", '\\"')):
            # `key: value` without quotes may be prose ("token: invalid"), a Go struct ({Token:abc}) or file:line
            prose = between[-1] == " " and not key.startswith(_STRONG_KEYS)
            if bare.isdigit() or (prose and (len(bare) < 8 or not any(map(str.isdigit, bare)))):
                return match[0]
        if not quote and bare.lower() in {"nil", "null", "none", "true", "false", "0"}:
            return match[0]
        lead = "\\" if value.startswith("\\") else ""
        return f"{match[1]}{between}{lead}{quote}{self._hit('secret')}{lead}{quote}"

    def _home(self, match: re.Match[str]) -> str:
        return match[0] if match[2].lower() in SERVICE_ACCOUNTS else match[1] + self._hit("user")

    # ---- the model, piece by piece; what holds no secret is shared, not copied

    def frame(self, frame: Frame) -> Frame:
        function, file = self.text(frame.function), self.text(frame.file)
        return frame if function is frame.function and file is frame.file else Frame(function, file, frame.line)

    def frames(self, frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
        after = tuple(map(self.frame, frames))
        return frames if after == frames else after

    def stack(self, stack: Stack) -> Stack:
        frames = self.frames(stack.frames)
        created_by = self.frame(stack.created_by) if stack.created_by else None
        if frames is stack.frames and created_by is stack.created_by:
            return stack
        return Stack(frames, created_by, stack.elided)

    def stacks(self, stacks: list[Stack]) -> list[Stack]:
        distinct = {frame for stack in stacks for frame in stack.frames}
        distinct.update(stack.created_by for stack in stacks if stack.created_by)
        if all(self.frame(frame) is frame for frame in distinct):
            return stacks  # the usual case, at the price of the distinct frames only
        return [self.stack(stack) for stack in stacks]

    def labels(self, labels: Iterable[dict[str, str]]) -> list[dict[str, str]]:
        return [{self.text(key): self.label(key, value) for key, value in one.items()} for one in labels]

    def label(self, key: str, value: str) -> str:
        """A label's value; its key counts as context, so the label `token` hides its value like `token=` does."""
        if not self.enabled:
            return value
        lead = key + "="
        after = self.text(lead + value)
        return after[len(lead) :] if after.startswith(lead) else self.text(value)

    def site(self, site: Site) -> Site:
        return replace(
            site,
            wait_reason=self.text(site.wait_reason),
            function=self.text(site.function),
            file=self.text(site.file),
            frames=self.frames(site.frames),
            created_by=self.frame(site.created_by) if site.created_by else None,
        )

    def problems(self, problems: list[Problem]) -> list[Problem]:
        return [Problem(p.code, self.text(p.where), self.text(p.text)) for p in problems]

    def cluster(self, cluster: Cluster) -> Cluster:
        labels: Counter[tuple[str, str]] = Counter()
        for (key, value), n in cluster.labels.items():
            labels[self.text(key), self.label(key, value)] += n
        states: Counter[str] = Counter()
        for state, n in cluster.states.items():
            states[self.text(state)] += n
        return replace(cluster, site=self.site(cluster.site), labels=labels, states=states)

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        return replace(
            snapshot,
            stacks=self.stacks(snapshot.stacks),
            states=[self.text(state) for state in snapshot.states],
            labels=self.labels(snapshot.labels),
            ancestors={
                goid: tuple((parent, self.frames(frames)) for parent, frames in chain)
                for goid, chain in snapshot.ancestors.items()
            },
        )

    def profile(self, profile: Profile) -> Profile:
        return replace(
            profile,
            stacks=self.stacks(profile.stacks),
            labels=self.labels(profile.labels),
            binary=self.text(profile.binary),
            comments=tuple(map(self.text, profile.comments)),
        )

    def trace(self, trace: Trace, census: Snapshot | None) -> Trace:
        return replace(
            trace,
            creations=[self._creation(creation) for creation in trace.creations],
            waits=[self._wait(wait) for wait in trace.waits],
            census=census,
        )

    def _creation(self, creation: Creation) -> Creation:
        return replace(creation, stack=self.stack(creation.stack), start=self.frame(creation.start))

    def _wait(self, wait: Wait) -> Wait:
        return replace(wait, stack=self.stack(wait.stack))

    def local(self, local: Local) -> Local:
        """What a host tells: paths, peers and names are other people's words."""
        return replace(
            local,
            command=self.text(local.command),
            open_files=tuple(
                [replace(g, what=self.text(g.what), example=self.text(g.example)) for g in local.open_files]
            ),
            connections=tuple([replace(one, peer=self.text(one.peer)) for one in local.connections]),
            cgroup=replace(local.cgroup, path=self.text(local.cgroup.path)) if local.cgroup else None,
            problems=tuple(self.problems(list(local.problems))),
        )

    def crash(self, crash: Crash) -> Crash:
        return replace(
            crash,
            message=self.text(crash.message),
            stack=self.stack(crash.stack) if crash.stack else None,
            cycle=self.frames(crash.cycle),
            where=self.text(crash.where),
            details={key: self.label(key, value) for key, value in crash.details.items()},
        )

    def excerpt(self, source: SourceExcerpt) -> SourceExcerpt:
        return replace(
            source,
            file=self.text(source.file),
            lines=tuple(map(self.text, source.lines)),
            blame=self.text(source.blame),
        )

    def finding(self, finding: Finding) -> Finding:
        def optional(text: str | None) -> str | None:
            return None if text is None else self.text(text)

        return replace(
            finding,
            title=self.text(finding.title),
            service=optional(finding.service),
            instance=optional(finding.instance),
            site=self.site(finding.site) if finding.site else None,
            culprit=self.frame(finding.culprit) if finding.culprit else None,
            advice=self.text(finding.advice),
            explanation=self.text(finding.explanation),
            evidence=[Evidence(self.text(e.source), self.text(e.what), self.text(e.value)) for e in finding.evidence],
            path=self.frames(finding.path),
            source=self.excerpt(finding.source) if finding.source else None,
            instances=tuple(map(self.text, finding.instances)),
            labels={key: self.label(key, value) for key, value in finding.labels.items()},
        )

    def input(self, entry: InputEntry) -> InputEntry:
        return replace(
            entry, name=self.text(entry.name), problems=self.problems(entry.problems), why=self.text(entry.why)
        )


def redact_report(report: Report, redactor: Redactor | None = None) -> Report:
    """A copy of `report` without secrets; `redacted` is the redactor's count so far.

    Give the redactor that already did the case and the count covers both, each distinct text once.
    """
    red = redactor or Redactor()
    inputs = [red.input(entry) for entry in report.inputs]
    findings = [red.finding(finding) for finding in report.findings]
    return replace(report, inputs=inputs, findings=findings, redacted=max(report.redacted, red.count))


def redact_case(case: Case, redactor: Redactor | None = None) -> Case:
    """A copy of `case` without secrets: labels, paths, problem snippets, crash messages, names of inputs."""
    red = redactor or Redactor()
    if not red.enabled:
        return case
    snapshots: dict[int, Snapshot] = {}
    artefacts: dict[int, Artefact] = {}

    def snapshot(one: Snapshot | None) -> Snapshot | None:
        if one is None:
            return None
        return snapshots.setdefault(id(one), snapshots.get(id(one)) or red.snapshot(one))

    def artefact(one: Artefact) -> Artefact:
        if id(one) not in artefacts:
            artefacts[id(one)] = replace(
                one,
                name=red.text(one.name),
                problems=red.problems(one.problems),
                snapshot=snapshot(one.snapshot),
                profile=red.profile(one.profile) if one.profile else None,
                trace=red.trace(one.trace, snapshot(one.trace.census)) if one.trace else None,
                crashes=[red.crash(crash) for crash in one.crashes],
                build=replace(one.build, binary=red.text(one.build.binary)) if one.build else None,
            )
        return artefacts[id(one)]

    looks = [
        Look(artefact=artefact(k.artefact), snapshot=snapshot(k.snapshot) or k.snapshot, at=k.at) for k in case.looks
    ]
    return replace(
        case,
        artefacts=[artefact(one) for one in case.artefacts],
        looks=looks,
        clusters=[red.cluster(cluster) for cluster in case.clusters],
        build=replace(case.build, binary=red.text(case.build.binary)),
        local=red.local(case.local) if case.local else None,
    )
