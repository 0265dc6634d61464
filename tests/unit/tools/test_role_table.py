import role_table


def test_the_page_shows_the_roles_of_the_code() -> None:
    text = role_table.PAGE.read_text(encoding="utf-8")
    assert role_table.page(text) == text
    assert "| qa | yes |  | yes |" in text
