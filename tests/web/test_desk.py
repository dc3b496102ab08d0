"""What templates get without asking: texts inert and escaped, data blocks that nothing escapes from."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape

from parkwarden.model.safe import inert
from parkwarden.web.desk import MAX_TEXT, Desk, cut, iso, json_block, lines, moment, segment
from tests.web.board import HOSTILE, Board

TEXTS = st.text(max_size=60) | st.sampled_from((HOSTILE, "</script>", "<!--", "]]>", "\u202e", "\x00", "&lt;", "'\"`"))


class Seen(HTMLParser):
    """Tags, attributes and text of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += [f"{name}={value}" for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXTS)
def test_a_text_stays_a_text(text: str) -> None:
    """In a body and in an attribute: one element, our attribute alone, and what is seen is the inert text."""
    template = Desk._environment(_Bare()).from_string('<p title="{{ x }}">{{ x }}</p>')
    seen = Seen(template.render(x=text))
    shown = inert(text, MAX_TEXT)
    assert seen.tags == ["p"]
    assert seen.attributes == [f"title={shown}"]
    assert seen.text == shown
    assert all(char.isprintable() for char in shown)


@given(
    st.recursive(TEXTS | st.none() | st.integers() | st.booleans(), lambda x: st.lists(x) | st.dictionaries(TEXTS, x))
)
def test_data_for_scripts_stays_in_its_block(data: Any) -> None:
    """What a script reads is what was written, and no browser sees markup in it."""
    block = json_block(data)
    assert json.loads(block) == data
    assert not set("<>&") & set(block)


@given(TEXTS)
def test_lines_are_kept_and_inert(text: str) -> None:
    """Line ends stay, everything else is escaped."""
    assert lines(text).split("\n") == [str(escape(inert(line.replace("\t", "    ")))) for line in text.replace("\r\n", "\n").split("\n")]  # fmt: skip


@given(TEXTS)
def test_a_name_in_an_address_is_one_segment(text: str) -> None:
    """Nothing in a name ends its segment or begins a query."""
    assert not set("/?#&+ <>\"'") & set(segment(text))


def test_long_texts_end() -> None:
    """A megabyte of a label is cut; what is cut in the middle keeps its ends."""
    template = Desk._environment(_Bare()).from_string("{{ x }}")
    assert len(template.render(x="a" * 1_000_000)) == MAX_TEXT
    assert cut("github.com/a/very/long/path.Function", 20).startswith("githu")
    assert cut("github.com/a/very/long/path.Function", 20).endswith("Function")
    assert template.render(x=Markup("<b>ours</b>")) == "<b>ours</b>"


def test_times_are_utc_and_nothing_is_nothing() -> None:
    """Unix seconds in words and as a machine reads them; 0 is not 1970."""
    assert moment(1_700_000_000.0) == "2023-11-14 22:13:20 UTC"
    assert iso(1_700_000_000.0) == "2023-11-14T22:13:20Z"
    assert moment(0) == iso(0) == ""


def test_navigation_leads_to_what_there_is(board: Board) -> None:
    """Each entry of the navigation has a page, and says where one is."""
    for url, word, _ in board.desk.nav:
        answer = board.client.get(url)
        assert answer.status_code == 200, url
        assert f'<a href="{url}"' in answer.text
        assert answer.text.count('aria-current="page"') == 1, url
        assert f'aria-current="page">{word}</a>' in answer.text


class _Bare(Desk):
    """Only what the environment of templates needs."""

    def __init__(self) -> None:
        from parkwarden.web.assets import Assets

        self.assets = Assets()
