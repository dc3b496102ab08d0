"""The accuracy page holds measured numbers only, and its pictures can be drawn again, byte by byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.leakbench import page
from bench.leakbench.peers import peers

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/accuracy.md"
EMPTY = {"suspect_min": [], "seed": 3, "ruler": "long"}


def leak(rules: str, per_h: float, times: list[float | None], **case: Any) -> dict[str, Any]:
    about = {
        "name": "leak",
        "per_h": per_h,
        "alone": False,
        "load": "flat",
        "census_s": 0.0,
        "target_min": None,
        "horizon_min": 1440.0,
    }
    found = sum(t is not None for t in times)
    return EMPTY | {
        "rules": rules, "case": about | case, "runs": len(times), "found": found, "times_min": times, "instance_days": 1.0, "false": [],
    }  # fmt: skip


def healthy(rules: str, days: float, wrong: int, census_s: float = 0.0) -> dict[str, Any]:
    false = [{"subject": f"s{i}", "site": "a/1", "hour": 1.0, "why": ""} for i in range(wrong)]
    case = {"name": f"ordinary/{census_s:.0f}", "census_s": census_s, "group": "ordinary"}
    return EMPTY | {
        "rules": rules, "case": case, "runs": 5, "found": 0, "times_min": [], "instance_days": days, "false": false,
    }  # fmt: skip


def first_day(days: float, hours: list[float]) -> dict[str, Any]:
    false = [{"subject": f"s{i}", "site": "late-pool/1", "hour": hour, "why": ""} for i, hour in enumerate(hours)]
    case = {"name": "first-day/0", "census_s": 0.0, "group": "first-day"}
    return healthy("parkwarden", days, 0) | {"case": case, "false": false}


def share(hits: int, of: int) -> dict[str, Any]:
    return {"hits": hits, "of": of}


LONG = [leak("parkwarden", 60.0, [10.0, 20.0, None], census_s=300.0, target_min=15), healthy("parkwarden", 300.0, 0)]
PEERS = [
    leak("parkwarden", 60.0, [50.0, 60.0]), leak("holmes", 60.0, [None, None]),
    healthy("holmes", 30.0, 12, census_s=300.0),
]  # fmt: skip
LIVE = {
    "ruler": "live", "seeds": [3], "runs": [{}], "for_s": 30.0, "side_by_side": 8, "cpus": 2,
    "scores": {
        "proof": {
            "recall": share(49, 50), "precision": share(49, 49), "lookalikes_accused": share(0, 40),
            "lookalikes_suspected": share(3, 40), "go_leak_profile_alone": share(30, 50),
            "by_proof": {"False": share(19, 20), "True": share(30, 30)}, "by_rate": {"0.2": share(9, 10)},
            "by_kind": {"chan-send": share(5, 5)},
        }
    },
}  # fmt: skip


def test_no_number_of_the_page_was_written_by_hand() -> None:
    """Each block is what its seal says, or says that it was not measured."""
    for name, (seal, body) in page.blocks(PAGE.read_text()).items():
        assert seal == page.seal(body) or body.strip() == page.NOT_YET, f"{name}: run `bench.leakbench score --write`"


def test_the_page_has_a_block_for_each_table_and_no_other() -> None:
    """What is rendered has its place, every place is rendered."""
    made = page.render({"long": [*LONG, first_day(2.0, [])], "peers": PEERS, "live": LIVE})
    assert set(made) == set(page.blocks(PAGE.read_text()))


def test_every_peer_has_a_row_with_its_source() -> None:
    """A rule that is measured is explained on the page."""
    text = PAGE.read_text()
    missing = [peer.name for peer in peers() if f"`{peer.name}`" not in text and peer.name != "holmes-readme-2"]
    assert not missing


def test_filling_replaces_blocks_and_nothing_else() -> None:
    """Text around stays, a block without a measurement stays, the seal follows the content, filling again changes nothing."""
    before = "a\n<!-- leakbench:one -->\nold\n<!-- /leakbench:one -->\nb\n<!-- leakbench:two -->\nkept\n<!-- /leakbench:two -->\n"
    after = page.fill(before, {"one": "new"})
    assert page.fill(after, {"one": "new"}) == after
    found = page.blocks(after)
    assert (found["one"][1], found["two"][1]) == ("\nnew\n\n", "kept\n")
    assert all(seal == page.seal(body) for seal, body in found.values())
    assert after.startswith("a\n<!--")
    assert "\nb\n" in after


def test_a_number_changed_by_hand_breaks_its_seal() -> None:
    """The digest is of what the block says."""
    filled = page.fill("<!-- leakbench:one -->\n<!-- /leakbench:one -->\n", {"one": "| 12 |"})
    seal, body = page.blocks(filled.replace("12", "2"))["one"]
    assert seal != page.seal(body)


def test_tables_tell_denominators_size_and_seed() -> None:
    """A share has its denominator, a rate its days, every table its seed; who was never found is no number."""
    made = page.render({"long": LONG, "peers": PEERS, "live": LIVE})
    assert "20 min (95 % by -), 2/3" in made["long-times"]
    assert "0.00 (0 in 300 days; 0.00-12.30)" in made["long-false"]
    assert "| `holmes` | -, 0/2 |" in made["peers-times"]
    assert "400.00 (12 in 30 days" in made["peers-false"]
    assert "| `parkwarden`, counts only | 0.00 (0 in 300 days" in made["peers-false"]
    assert "98.0% (49/50; 89.5-99.6)" in made["live"]
    assert all("seed 3" in text for text in made.values())


def test_what_was_not_measured_is_not_rendered() -> None:
    """No file, no block."""
    assert set(page.render({"peers": PEERS})) == {"peers-times", "peers-false"}


def test_pictures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    """No date, no random ids: a changed picture is a changed measurement. Every rule is named in it."""
    pytest.importorskip("matplotlib", reason="pictures need the bench group")
    from bench.leakbench.picture import draw

    files = {"long": LONG, "peers": PEERS}
    first = [one.read_bytes() for one in draw(files, tmp_path / "a")]
    assert first == [one.read_bytes() for one in draw(files, tmp_path / "b")]
    assert len(first) == 2
    assert all(b"holmes, defaults" in picture for picture in first)
    assert draw({"long": LONG}, tmp_path / "c") == []


def test_a_median_that_was_never_reached_is_drawn_in_the_top_row() -> None:
    """Half of the runs found: the lower median counts; none found: the row of those not within 24 h."""
    pytest.importorskip("matplotlib", reason="pictures need the bench group")
    from bench.leakbench.picture import NEVER, line

    assert line([leak("x", 6.0, [None, None]), leak("x", 1.0, [5.0, None])]) == [(1.0, 5.0, 0.5), (6.0, NEVER, 0.0)]


def test_first_days_are_counted_apart() -> None:
    """Services that nobody can know on their first day have a table of their own, by day, and are in no other."""
    both = [*LONG, first_day(60.0, [2.0, 3.0, 30.0])]
    made = page.render({"long": both, "peers": PEERS})
    assert "66.67 (2 in 30 days" in made["long-first-day"]
    assert "33.33 (1 in 30 days" in made["long-first-day"]
    assert "late-pool 3" in made["long-first-day"]
    alone = page.render({"long": LONG, "peers": PEERS})
    assert "long-first-day" not in alone
    assert alone["long-false"].split("*Measured")[0] == made["long-false"].split("*Measured")[0]
    assert alone["peers-false"] == made["peers-false"]


def test_rows_of_several_runs_are_one(tmp_path: Path) -> None:
    """`long.json` and `long-*.json`, of any seeds, add up on the page."""
    (tmp_path / "long.json").write_text(json.dumps(LONG))
    (tmp_path / "long-2.json").write_text(json.dumps([row | {"seed": 4} for row in LONG]))
    files = page.measured(tmp_path)
    assert [row["runs"] for row in files["long"]] == [6, 10]
    assert "0 in 600 days" in page.long_false(files["long"])
    assert "seeds 3, 4" in page.long_times(files["long"])
