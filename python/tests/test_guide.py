"""The pages of the guide: the Python blocks of a page are one program, and print what the page says.

The next block of text, if it comes before other code, is what a block prints, or the last lines of an error.
"""

import pathlib
import re

import pytest

FOLDER = pathlib.Path(__file__).with_name("guide")
if not FOLDER.exists():  # in the checkout
    FOLDER = pathlib.Path(__file__).parents[2] / "docs" / "guide"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"([-+]?\d+(?:\.(\d*))?(?:e([-+]?\d+))?)(.*)", re.S)


def blocks(page):
    text = page.read_text(encoding="utf-8")
    found = [(m[1], m[2], text[: m.start()].count("\n") + 1) for m in BLOCK.finditer(text)]
    for (language, code, line), (next_language, printed, _) in zip(found, found[1:] + [("", "", 0)]):
        if language == "python":
            yield code, printed if next_language == "text" else None, line


PAGES = [page for page in sorted(FOLDER.glob("*.md")) if list(blocks(page))]


def same_word(page, printed):
    """Two units of the last digit that the page shows: other processors round otherwise."""
    if page == printed:
        return True
    page, printed = page.lstrip("[("), printed.lstrip("[(")
    a, b = NUMBER.fullmatch(page), NUMBER.fullmatch(printed)
    if not a or not b or a[4] != b[4]:
        return False
    unit = 10.0 ** (int(a[3] or 0) - len(a[2] or ""))
    return abs(float(a[1]) - float(b[1])) <= 2.01 * unit


def match(page, printed, same):
    """Piece by piece; "..." stands for any number of them."""
    if not page:
        return not printed
    if page[0] == "...":
        return any(match(page[1:], printed[i:], same) for i in range(len(printed) + 1))
    return bool(printed) and same(page[0], printed[0]) and match(page[1:], printed[1:], same)


def same_line(page, printed):
    page, printed = (re.sub(r"([\[(]) +", r"\1", text).split() for text in (page, printed))
    return match(page, printed, same_word)


def same_text(page, printed):
    return match(*([v for v in text.splitlines() if v.strip()] for text in (page, printed)), same_line)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_page(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, expected, line in blocks(page):
        program = compile("\n" * line + code, str(page), "exec")
        if expected and re.match(r"\w+Error: ", expected):
            with pytest.raises(Exception) as caught:
                exec(program, names)
            printed = f"{caught.type.__name__}: {caught.value}"
            capsys.readouterr()
        else:
            exec(program, names)
            printed = capsys.readouterr().out
        if expected is not None:
            assert same_text(expected, printed), f"{page}:{line} prints\n{printed}"


def test_comparison():
    assert len(PAGES) > 5
    assert same_text("mean -2.84 nats", "mean  -2.83 nats") and not same_text("a 2.84", "a 2.87")
    assert same_text("[ 1.0 2.5e-3]", "[1.1  2.6e-3]") and not same_text("[1.0 2.5e-3]", "[1.0 2.8e-3]")
    assert same_text("a\n...\nb", "a\nc\nd\nb") and not same_text("a\n...\nb", "a\nc")
    assert same_text("a ... 3", "a b c 3") and not same_text("a ... 3", "a b c")
    assert not same_text("a", "a\nb") and not same_text("a 1", "b 1")
