"""Documents: what is read and refused, and that sections, spans and chunks have exact offsets."""

import contextlib
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.chunks import TARGET_TOKENS, chunk_document, embedding_text
from corpus.errors import UsageError
from corpus.readable import with_columns
from corpus.readers import read_paths
from corpus.sections import Document, Section, Span, sentence_ranges
from index.embedder import LocalEmbedder

# What documents are made of, each piece with a word of its own where it says {}.
PIECES = [
    "# {} Top",
    "## {} heading with *marks* and [link](http://x.y)",
    "### {}",
    "Setext {}\n========",
    "One sentence about {}. Another one, e.g. from Dr. Smith! A third?",
    "Words {} that go on\nover the end of a line\nand have no full stop",
    "The {} list has:",
    "- {} first\n- second\n  - nested {}\n  - more\n\n- loose third",
    "1. {} one\n2) two",
    "* [ ] {} task\n* [x] done",
    "| {} | b |\n|---|---|\n| c | d |\n| e | {} |",
    "> quoted {}\n> > twice\nlazy",
    "```python\nx = '{}'\n\n# no heading\n```",
    "    indented {} code",
    "<div>\n{} html\n</div>",
    "---",
    "[ref]: http://x.y",
    "\t{} tab\u00a0and\u2003spaces\u200b",
    "e\u0301\u0302 {} 👩🏽‍💻👨‍👩‍👧 🇨🇭 \U0001d11e ﷽ שלום",
    "{} " + "long " * 400,
    "x" * 700 + "{}",
    "\x0c\x0b{}\x1c\u2028\u2029\x85",
]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Texts made of the pieces above, with anything in between and any gaps."""
    pieces = draw(st.lists(st.sampled_from(PIECES) | st.text(max_size=40), max_size=8))
    words = (f"word{n}" for n in range(100))
    filled = [piece.replace("{}", next(words), 1) for piece in pieces]
    gaps = draw(st.lists(st.sampled_from(["\n", "\n\n", "\n\n\n", " ", "\n  "]), min_size=9))
    text = "".join(part for pair in zip(filled, gaps, strict=False) for part in pair)
    return text.replace("\r", "")  # readers hand on no carriage returns


def in_order(spans: list[Span]) -> bool:
    return all(a.end <= b.start for a, b in itertools.pairwise(spans))


def spans_of(document: Document) -> list[Span]:
    return [span for section in document.sections for span in section.spans]


def words_of(document: Document) -> list[str]:
    return [document.text[span.start : span.end] for span in spans_of(document)]


def the(section: Section, document: Document) -> list[str]:
    return [document.text[span.start : span.end] for span in section.spans]


# --- exact offsets, whatever the text


@given(text=texts(), markup=st.sampled_from(["markdown", "plain"]))
@example(text="a 'b.' c", markup="plain")
@example(text="Ph.D.s\n\n...\n\n!?", markup="markdown")
@example(text="- " * 30 + "x", markup="markdown")
@example(text="A\u2029.B", markup="plain")
@settings(max_examples=300, deadline=None)
def test_spans_are_in_order_and_stand_in_the_text(text: str, markup: str) -> None:
    document = Document("a.md", text, markup)
    spans = spans_of(document)
    assert in_order(spans)
    for span in spans:
        quote = text[span.start : span.end]
        assert quote
        assert quote == quote.strip()
        if span.lead:
            assert 0 <= span.lead[0] < span.lead[1] <= span.start
    assert all(section.path and section.spans for section in document.sections)


def test_a_paragraph_that_is_underlined_is_no_heading() -> None:
    long = "A heading is short. " * 30
    document = Document("a.md", f"{long}\nThe end is read too.\n=====\n\nText.\n", "markdown")
    assert any("The end is read too." in words for words in words_of(document))
    assert document.sections[0].path == (document.title,)


@given(text=texts(), markup=st.sampled_from(["markdown", "plain"]))
@settings(max_examples=100, deadline=None)
def test_no_word_is_lost(text: str, markup: str) -> None:
    """Each word stands in a span or a heading; the index knows of nothing else."""
    document = Document("a.md", text, markup)
    headings = " ".join(" ".join(block.title.split()) for block in document._blocks)
    leads = [text[slice(*span.lead)] for span in spans_of(document) if span.lead]
    kept = " ".join([headings, *words_of(document), *leads])
    for n in range(100):
        if f"word{n} " in text.replace("\n", " "):
            assert f"word{n}" in kept


@given(text=st.text(max_size=300))
@example(text="“Yes.” (No.) e.g. this")
@settings(max_examples=300, deadline=None)
def test_sentences_cover_the_text(text: str) -> None:
    ranges = sentence_ranges(text)
    assert all(0 <= a < b <= len(text) for a, b in ranges)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ranges))
    covered = "".join(text[a:b] for a, b in ranges)
    assert "".join(covered.split()) == "".join(text.split())


@given(text=texts(), markup=st.sampled_from(["markdown", "plain"]))
@settings(max_examples=60, deadline=None)
def test_chunks_are_whole_spans_and_fit_the_embedder(
    embedder: LocalEmbedder, text: str, markup: str
) -> None:
    document = Document("a long name of a file.md", text, markup)
    chunks = chunk_document(document, embedder.count_tokens, limit=embedder.limit)
    whole = spans_of(document)
    cut = [span for chunk in chunks for span in chunk.spans]
    assert in_order(cut)
    for span in cut:
        parents = [s for s in whole if s.start <= span.start and span.end <= s.end]
        assert len(parents) == 1
        size = embedder.count_tokens([text[parents[0].start : parents[0].end]])[0]
        long = size > TARGET_TOKENS - 60 or parents[0].end - parents[0].start > 1000
        assert parents[0] == span or long, "a span that fits is never cut"
    for chunk in chunks:
        assert (chunk.start, chunk.end) == (chunk.spans[0].start, chunk.spans[-1].end)
        embedded = embedding_text(document, chunk, embedder.count_tokens, embedder.limit)
        assert embedder.count_tokens([embedded])[0] <= embedder.limit
        assert embedded.endswith(text[chunk.start : chunk.end])
    joined = "".join("".join(text[s.start : s.end].split()) for s in cut)
    assert joined == "".join("".join(text[s.start : s.end].split()) for s in whole)


# --- Markdown


def test_sections_have_the_headings_above_them() -> None:
    text = (
        "# Role\n\nIntro.\n\n## Pay\n\nMuch.\n\n### Bonus *now*\n\nMore.\n\n## Leave\n\n"
        "#### Deep\n\nDays."
    )
    document = Document("role.md", text)
    assert document.title == "Role"
    assert [section.path for section in document.sections] == [
        ("Role",),
        ("Pay",),
        ("Pay", "Bonus now"),
        ("Leave", "Deep"),
    ]


def test_a_lone_top_heading_is_the_title_and_several_are_sections() -> None:
    both = Document("two_parts.md", "# One\n\nA.\n\n# Two\n\nB.")
    assert both.title == "two parts"
    assert [section.path for section in both.sections] == [("One",), ("Two",)]
    assert Document("x.md", "No heading.").sections[0].path == ("x",)


def test_front_matter_is_no_text_and_gives_the_title() -> None:
    text = "---\ntitle: The Role\nscope: US, 2024\nyears: 5\ntags: [a, b]\n---\n# Top\n\nText.\n"
    document = Document("x.md", text, "markdown", read(text.encode()).meta)
    assert document.meta == {"title": "The Role", "scope": "US, 2024", "years": "5"}
    assert document.title == "The Role"
    assert words_of(document) == ["Text."]
    assert spans_of(document)[0].start == text.index("Text.")


@pytest.mark.parametrize(
    "matter",
    [
        "a: [",
        "- a list",
        "a: 2024-99-99",
        "[" * 2000,
        "a: &a [*a]",
        "? {}\n: 1",
        "a: " + "9" * 9999,
    ],
)
def test_a_front_matter_that_is_none_does_no_harm(matter: str) -> None:
    document = read(f"---\n{matter}\n---\n\nText.\n".encode())
    assert words_of(document)[-1] == "Text."


def test_list_items_hang_on_their_lead_in() -> None:
    text = "Skills:\n\n- Python,\n  and SQL\n- [x] done\n  1. nested one\n\nNo list.\n\n- other"
    spans = spans_of(Document("x.md", text))
    shown = [(span.kind, text[span.start : span.end]) for span in spans]
    assert shown == [
        ("sentence", "Skills:"),
        ("item", "Python,\n  and SQL"),
        ("item", "done"),
        ("item", "nested one"),
        ("sentence", "No list."),
        ("item", "other"),
    ]
    leads = [text[slice(*span.lead)] if span.lead else None for span in spans]
    assert leads == [None, "Skills:", "Skills:", "Skills:", None, None]


def test_sentences_hang_on_the_question_or_bold_words_before_them() -> None:
    text = (
        "**Safety boots.** They are free. Ask in the store.\n\n"
        "**How long is the course?**\n\nIt takes *two years.* Part-time it is four.\n\n"
        "What do I need?\n\n- a form\n\nNo question leads here.\n\n"
        "## Next\n\nWhy? Because it is so."
    )
    for markup in ("markdown", "plain"):
        hanging = {
            text[span.start : span.end]: text[slice(*span.lead)] if span.lead else ""
            for span in spans_of(Document("x.md", text, markup))
        }
        assert hanging["They are free."] == hanging["Ask in the store."] == "**Safety boots.**"
        assert hanging["It takes *two years.*"] == "**How long is the course?**"
        assert hanging["Part-time it is four."] == "**How long is the course?**"
        assert hanging["a form"] == "What do I need?"
        assert hanging["No question leads here."] == ""
        assert hanging["Because it is so."] == "Why?"


def test_emphasis_ends_with_the_sentence_that_it_began_in() -> None:
    text = "**Boots.** They are __free.__ Five * 3 is 15. * not closed"
    told = [text[a:b] for a, b in sentence_ranges(text)]
    assert told[:2] == ["**Boots.**", "They are __free.__"]
    assert "".join(told).replace(" ", "") == text.replace(" ", "")


def test_table_rows_hang_on_their_header() -> None:
    text = "Pay:\n\n| Level | Pay |\n| --- | ---: |\n| Top | $1 |\n| Low | 2 € |\n\nEnd."
    spans = spans_of(Document("x.md", text))
    rows = [span for span in spans if span.kind == "row"]
    assert [text[r.start : r.end] for r in rows] == ["| Top | $1 |", "| Low | 2 € |"]
    assert {text[slice(*row.lead)] for row in rows if row.lead} == {"| Level | Pay |"}


WIDE = """Pay:

| Level | Pay | **Bonus** |
| --- | ---: | - |
| Top | $1 | |
| Low | `2` | 3 % |

| A | B |
|---|---|
| c | d |
"""


def test_cells_are_told_with_the_names_of_their_columns() -> None:
    told = "Pay:\n\nLevel: Top; Pay: $1\nLevel: Low; Pay: 2; Bonus: 3 %\n\nA: B\nc: d\n"
    assert with_columns(WIDE) == told
    document = Document("x.md", WIDE)
    start = WIDE.index("| Low")
    assert document.told(start, start + 17) == "Level: Low; Pay: 2; Bonus: 3 %"
    start = WIDE.index("| c")
    assert document.told(start, start + 9) == "c: d"
    assert document.told(0, 4) == "Pay:"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (
            "| A | B | C |\n|-|-|-|\n| a | - | - |\n| - | - | - |",
            ["A: a; B: -; C: -", "A: -; B: -; C: -"],
        ),
        ("| A | B | C |\n|-|-|-|\n| a | b |\n| x | y | z |", ["A: a; B: b", "A: x; B: y; C: z"]),
        ("| A | B | C |\n|-|-|-|\n| a \\| b | | c |", ["A: a | b; C: c"]),
        ("| | B | C |\n|-|-|-|\n| a | b | c |", ["a; B: b; C: c"]),
        ("> | A | B | C |\n> |-|-|-|\n> | a | b | c |", ["A: a; B: b; C: c"]),
        ("A|B|C\n:-|-|-:\na|b|c", ["A: a; B: b; C: c"]),
        ("This | that\n\nA text: with -|- in it", ["This: that", "", "A text: with -|- in it"]),
    ],
)
def test_tables_are_told_whatever_their_form(table: str, told: list[str]) -> None:
    assert with_columns(table).split("\n") == told


def test_code_is_one_span_and_holds_no_headings() -> None:
    text = "Run:\n\n```sh\n# not a heading\npip install x. Then go.\n```\n\nDone."
    document = Document("x.md", text)
    assert words_of(document)[1] == "```sh\n# not a heading\npip install x. Then go.\n```"
    assert len(document.sections) == 1


def test_deep_lists_keep_their_words() -> None:
    text = "".join(f"{'  ' * depth}- level {depth}\n" for depth in range(15))
    assert words_of(Document("x.md", text)) == [f"level {depth}" for depth in range(15)]


# --- plain text


def test_plain_headings_are_short_lines_that_stand_alone() -> None:
    text = (
        "The Role\n\nIt is a job. It pays.\nIt goes on\n\nPay and Leave\nThe pay is good.\n\n"
        "Benefits:\n\n- Pension\n  after six months\n- 30 days\n\n2024 Outlook\n\nGrowing.\n"
    )
    document = Document("x.txt", text, "plain")
    assert [section.path for section in document.sections] == [
        ("The Role",),
        ("Pay and Leave",),
        ("Benefits",),
        ("2024 Outlook",),
    ]
    assert the(document.sections[0], document) == ["It is a job.", "It pays.", "It goes on"]
    assert the(document.sections[2], document) == ["Pension\n  after six months", "30 days"]


def test_the_same_role_reads_alike_in_markdown_and_plain_text() -> None:
    plain = "Pay\n\nThe salary is good. It grows.\n\nLeave\n\nThere are 30 days."
    marked = "## Pay\n\nThe salary is good. It grows.\n\n## Leave\n\nThere are 30 days."
    one, other = Document("x.txt", plain, "plain"), Document("x.md", marked)
    assert [s.path for s in one.sections] == [s.path for s in other.sections]
    assert words_of(one) == words_of(other)


# --- chunks


def test_a_lead_in_stays_with_its_first_item_and_long_lists_are_split_between_items(
    embedder: LocalEmbedder,
) -> None:
    items = "".join(f"- item {n} asks for knowledge of subject number {n}\n" for n in range(60))
    text = f"{'Before. ' * 60}\n\nThe role asks for:\n\n{items}"
    document = Document("x.md", text)
    chunks = chunk_document(document, embedder.count_tokens, limit=embedder.limit)
    assert len(chunks) > 3
    lead = next(c for c in chunks if "The role asks for:" in text[c.start : c.end])
    assert "item 0 " in text[lead.start : lead.end]
    later = embedding_text(document, chunks[-1], embedder.count_tokens, embedder.limit)
    assert "The role asks for:" in later, "a chunk from mid-list still says what the list is of"
    assert [
        n for n in range(60) if sum(f"item {n} " in text[c.start : c.end] for c in chunks) != 1
    ] == []


def test_a_sentence_over_the_limit_is_cut_at_white_space(embedder: LocalEmbedder) -> None:
    words = [f"w{n}" for n in range(2000)]
    document = Document("x.txt", " ".join(words), "plain")
    chunks = chunk_document(document, embedder.count_tokens, limit=embedder.limit)
    parts = [document.text[chunk.start : chunk.end] for chunk in chunks]
    assert " ".join(parts).split() == words


ONE_MEGABYTE = 1_000_000
LONG_LINES: dict[str, Callable[[], str]] = {
    "words": lambda: "word " * (ONE_MEGABYTE // 5),
    "one word": lambda: "x" * ONE_MEGABYTE,
    "emoji": lambda: "👨‍👩‍👧" * (ONE_MEGABYTE // 5),
    "heading": lambda: "# " + "![](" * (ONE_MEGABYTE // 4) + "\n\nText.",
    "images": lambda: "![](" * 50_000,
    "brackets": lambda: "[" * 200_000,
}


@pytest.mark.parametrize("name", LONG_LINES)
def test_one_endless_line_is_chunked_in_seconds(name: str, embedder: LocalEmbedder) -> None:
    document = Document("x.md", LONG_LINES[name]())
    started = time.process_time()
    chunks = chunk_document(document, embedder.count_tokens, limit=embedder.limit)
    assert time.process_time() - started < 10
    assert max(chunk.end - chunk.start for chunk in chunks) <= 4000, "nobody reads such a quote"
    ends = random.Random(0).sample(chunks, min(20, len(chunks)))
    for chunk in ends:
        embedded = embedding_text(document, chunk, embedder.count_tokens, embedder.limit)
        assert embedder.count_tokens([embedded])[0] <= embedder.limit


# --- readers


def read(data: bytes, name: str = "x.md") -> Document:
    """The document that a file with `data` gives."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(data)
        (document,) = read_paths([Path(folder)]).documents
    return document


def test_line_ends_and_byte_order_marks_are_brought_to_one_form() -> None:
    document = read(b"\xef\xbb\xbf# A\r\n\r\nOne.\rTwo.\n")
    assert document.text == "# A\n\nOne.\nTwo.\n"
    assert read("é\u0301".encode(), "x.txt").text == "é\u0301", "characters stay as they are"


REFUSED = [
    ("empty.md", b"", "is empty"),
    ("blank.txt", b" \r\n\t\n", "is empty"),
    ("binary.txt", b"abc\0def", "is binary"),
    ("latin.txt", "Gehälter".encode("latin-1"), "is not UTF-8 (byte 3)"),
    ("wide.txt", "pay".encode("utf-16"), "is UTF-16"),
    ("cut.md", "€".encode()[:2], "is not UTF-8 (byte 0)"),
    ("surrogate.md", b"a \xed\xa0\x80 b", "is not UTF-8 (byte 2)"),
]


@pytest.mark.parametrize(("name", "data", "reason"), REFUSED, ids=[r[0] for r in REFUSED])
def test_a_file_that_is_no_text_is_refused_and_the_others_are_read(
    name: str, data: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.md").write_text("Good.")
    reading = read_paths([tmp_path])
    assert [document.source for document in reading.documents] == ["good.md"]
    assert [unread.path for unread in reading.unread] == [name]
    assert reason in reading.unread[0].reason
    assert ";" in reading.unread[0].reason, "and what to do about it"


def test_only_visible_regular_files_below_the_folder_are_opened(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("secret")
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "deep.MD").write_text("deep")
    (folder / ".hidden.md").write_text("hidden")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    (folder / "link.md").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe.md")
    opened: list[str] = []

    def record(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(str(tmp_path)):
            opened.append(str(arguments[0]))

    sys.addaudithook(record)  # it stays, and hears of no other test's folder
    reading = read_paths([folder])
    assert [document.source for document in reading.documents] == ["sub/deep.MD"]
    told = {unread.path: unread.reason.partition(",")[0] for unread in reading.unread}
    assert told == {"link.md": "is a link", "pipe.md": "is not a regular file"}
    assert opened == [str(folder / "sub" / "deep.MD")]


def test_a_link_that_is_named_itself_is_followed(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("Text.")
    (tmp_path / "notes.md").symlink_to(tmp_path / "blob")
    (document,) = read_paths([tmp_path / "notes.md"]).documents
    assert (document.source, document.text) == ("notes.md", "Text.")


def test_two_files_with_one_source_are_refused_by_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.md").write_text(name)
    with pytest.raises(UsageError) as refusal:
        read_paths([tmp_path / "a", tmp_path / "b"])
    assert str(tmp_path / "a" / "x.md") in refusal.value.message
    assert str(tmp_path / "b" / "x.md") in refusal.value.message
    assert len(read_paths([tmp_path / "a", tmp_path / "a"]).documents) == 1, (
        "one file twice is fine"
    )


def test_a_name_that_is_not_utf8_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("Good.")
    with open(os.fsencode(tmp_path) + b"/b\xe4d.md", "w") as file:
        file.write("Bad name.")
    reading = read_paths([tmp_path])
    assert [document.source for document in reading.documents] == ["good.md"]
    assert reading.unread[0].path == "b\\udce4d.md", "told in characters that can be printed"
    assert "a name that is not UTF-8" in reading.unread[0].reason


def test_what_may_not_be_read_is_told() -> None:
    with unprivileged() as folder:
        (folder / "good.md").write_text("Good.")
        (folder / "closed.md").write_text("Closed.")
        (folder / "shut").mkdir()
        (folder / "shut" / "inside.md").write_text("Inside.")
        (folder / "closed.md").chmod(0)
        (folder / "shut").chmod(0)
        reading = read_paths([folder])
        with pytest.raises(UsageError, match="cannot be looked at"):
            read_paths([folder / "shut" / "inside.md"])
        (folder / "shut").chmod(0o700)
    assert [document.source for document in reading.documents] == ["good.md"]
    told = {unread.path: unread.reason for unread in reading.unread}
    assert set(told) == {"closed.md", "shut"}
    assert all("Permission denied" in reason for reason in told.values())


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """A folder, and in it a user for whom permissions count: root is nobody for a while."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, 65534, -1)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(os.getuid())
