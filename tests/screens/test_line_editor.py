from tutor.widgets.line_editor import LineEditor, columns


def typed(editor: LineEditor, text: str) -> LineEditor:
    for character in text:
        assert editor.key(character, character)
    return editor


def test_editing_keys() -> None:
    editor = typed(LineEditor(), "SET user:1 Ada")
    editor.key("ctrl+w", None)
    assert editor.text == "SET user:1 "
    editor.key("ctrl+y", None)
    assert editor.text == "SET user:1 Ada"
    editor.key("ctrl+a", None)
    typed(editor, "x")
    assert (editor.text, editor.cursor) == ("xSET user:1 Ada", 1)
    editor.key("backspace", None)
    editor.key("ctrl+right", None)
    assert editor.cursor == 3
    editor.key("ctrl+k", None)
    assert editor.text == "SET"
    editor.key("ctrl+u", None)
    assert editor.text == ""
    assert not editor.key("f2", None)


def test_history_keeps_the_draft() -> None:
    editor = LineEditor(["GET a", "GET b"])
    typed(editor, "SE")
    editor.key("up", None)
    assert editor.text == "GET b"
    editor.key("up", None)
    editor.key("up", None)
    assert editor.text == "GET a"
    editor.key("down", None)
    editor.key("down", None)
    assert editor.text == "SE"


def test_take_remembers_once() -> None:
    editor = LineEditor()
    for _ in range(2):
        typed(editor, "PING")
        assert editor.take() == "PING"
    assert editor.history == ["PING"]


def test_search_goes_back_and_escape_gives_up() -> None:
    editor = LineEditor(["SET a 1", "GET a", "SET b 2"])
    typed(editor, "dr")
    editor.key("ctrl+r", None)
    typed(editor, "set")
    assert editor.text == "SET b 2"
    editor.key("ctrl+r", None)
    assert editor.text == "SET a 1"
    editor.key("escape", None)
    assert editor.text == "dr"
    editor.key("ctrl+r", None)
    typed(editor, "get")
    editor.key("end", None)
    assert (editor.text, editor.searching) == ("GET a", None)


def test_columns() -> None:
    assert columns(["SET", "SETEX", "SETNX"], 16) == ["SET    SETEX", "SETNX"]
    assert columns([], 10) == []
