from pathlib import Path

import pytest

import pip_settings

CONFIG_LIST = """\
:env:.find-links='/env wheels'
global.find-links='/global'
global.index-url='https://mirror.example/simple'
global.timeout='9'
install.find-links='/install'
install.no-index='yes'
freeze.timeout='10'
not a setting
"""


def here(_path: Path) -> bool:
    return True


def uv(
    pairs: dict[str, str],
    environment: dict[str, str] | None = None,
    *keys: str,
    exists: pip_settings.Exists = here,
) -> dict[str, str]:
    return pip_settings.uv_environment(pairs, environment or {}, frozenset(keys), exists)


def test_environment_wins_over_install_section_over_global() -> None:
    pairs = pip_settings.parse(CONFIG_LIST)
    assert pairs["find-links"] == "/env wheels"
    without_env = pip_settings.parse(CONFIG_LIST.replace(":env:", "other"))
    assert without_env["find-links"] == "/install"


def test_sections_of_other_commands_are_left_out() -> None:
    assert pip_settings.parse(CONFIG_LIST)["timeout"] == "9"


def test_empty_and_broken_lines_give_no_settings() -> None:
    assert pip_settings.parse("global.cert=''\n= =\nglobal.x") == {}


@pytest.mark.parametrize(
    ("key", "value", "variable", "expected"),
    [
        ("index-url", "https://a/simple", "UV_DEFAULT_INDEX", "https://a/simple"),
        ("extra-index-url", "https://a/s\nhttps://b/s", "UV_INDEX", "https://a/s https://b/s"),
        ("find-links", "/a https://b/w", "UV_FIND_LINKS", "/a,https://b/w"),
        ("no-index", "true", "UV_NO_INDEX", "1"),
        ("no-cache-dir", "1", "UV_NO_CACHE", "1"),
        ("cert", "/ca.pem", "SSL_CERT_FILE", "/ca.pem"),
        ("client-cert", "/me.pem", "SSL_CLIENT_CERT", "/me.pem"),
        ("trusted-host", "a\nb", "UV_INSECURE_HOST", "a b"),
        ("default-timeout", "180", "UV_HTTP_TIMEOUT", "180"),
        ("retries", "2", "UV_HTTP_RETRIES", "2"),
        ("proxy", "http://p:1", "ALL_PROXY", "http://p:1"),
    ],
)
def test_setting_is_said_in_uv_words(key: str, value: str, variable: str, expected: str) -> None:
    assert uv({key: value})[variable] == expected


def test_switch_that_is_off_is_not_said() -> None:
    assert uv({"no-index": "false"}) == {}


def test_several_indexes_are_searched_as_pip_does() -> None:
    assert uv({"extra-index-url": "https://a/s"})["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_local_places_that_are_absent_are_left_out() -> None:
    def only_b(path: Path) -> bool:
        return path == Path("/b c")

    pairs = {"extra-index-url": "file:///a file:///b%20c https://d/s", "find-links": "/a"}
    assert uv(pairs, exists=only_b)["UV_INDEX"] == "file:///b%20c https://d/s"
    assert "UV_FIND_LINKS" not in uv(pairs, exists=only_b)
    assert "UV_INDEX_STRATEGY" not in uv({"extra-index-url": "file:///a"}, exists=only_b)


@pytest.mark.parametrize("name", ["UV_FIND_LINKS", "SSL_CERT_FILE"])
def test_variable_of_the_user_wins(name: str) -> None:
    pairs = {"find-links": "/a", "cert": "/ca.pem"}
    assert name not in uv(pairs, {name: "mine"})
    assert len(uv(pairs, {name: "mine"})) == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_proxy_of_the_user_wins(name: str) -> None:
    assert uv({"proxy": "http://p:1"}, {name: "http://mine:1"}) == {}


@pytest.mark.parametrize("key", ["index", "extra-index-url"])
def test_uv_file_of_the_user_wins(key: str) -> None:
    assert "UV_INDEX" not in uv({"extra-index-url": "https://a/s"}, {}, key)


def test_pip_is_told_all_settings_and_no_absent_places() -> None:
    told = pip_settings.pip_environment(
        {"find-links": "/gone https://w", "prefer-binary": "1"}, lambda _path: False
    )
    assert told["PIP_FIND_LINKS"] == "https://w"
    assert told["PIP_PREFER_BINARY"] == "1"
    assert told["PIP_CONFIG_FILE"] == "/dev/null"
