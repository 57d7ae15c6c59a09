"""The variables of the suite's own process: what a user has set for other programs, and what a container lacks."""

from __future__ import annotations

import os
import pwd
import tempfile

import pytest

from bench_deepspeed.core import own_environment, paths

ALWAYS = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""Of another package's plugin none reads what is measured."""


@pytest.fixture
def nobody(monkeypatch):
    """A numeric user without an entry in the list of users."""

    def unknown(uid: int):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_foreign_variables_go_and_all_others_stay():
    variables = {
        "PYDANTIC_DISABLE_PLUGINS": "",
        "GIT_DIR": "x",
        "GIT_WORK_TREE": "x",
        "TQDM_DISABLE": "1",
        "HOME": "/home/x",
        "HF_HOME": "/hub",
    }
    own_environment.clean(variables)
    assert variables == ALWAYS | {"HOME": "/home/x", "HF_HOME": "/hub"}


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_a_home_that_is_none_is_filled_in(home):
    variables = {} if home is None else {"HOME": home}
    own_environment.clean(variables)
    assert variables == ALWAYS | {"HOME": pwd.getpwuid(os.getuid()).pw_dir}


def test_a_user_without_an_entry_has_a_home_and_a_name(nobody):
    variables = {}
    own_environment.clean(variables)
    assert variables == ALWAYS | {"HOME": tempfile.gettempdir(), "LOGNAME": f"uid-{os.getuid()}"}
    variables = {"HOME": "/home/x", "USER": "x"}
    own_environment.clean(variables)
    assert variables == ALWAYS | {"HOME": "/home/x", "USER": "x"}


@pytest.mark.parametrize(
    ("home", "shown"), [("/home/x", "in ~/models"), ("/", "in /home/x/models"), ("", "in /home/x/models")]
)
def test_the_home_folder_is_a_tilde_in_what_is_published(monkeypatch, home, shown):
    monkeypatch.setenv("HOME", home)
    assert paths.without_home("in /home/x/models") == shown
