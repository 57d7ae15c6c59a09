"""The command line, as a process: help, refusals, `--dry_run`, and what it imports."""

from __future__ import annotations

import os
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest
from support import unwrapped

from bench_deepspeed.benchmarks.common import scenario as cli
from bench_deepspeed.cli import parser
from bench_deepspeed.cli.commands import COMMANDS, Command
from bench_deepspeed.core.errors import EXIT_CODES, UsageError
from bench_deepspeed.engines import DEFAULT_ENGINES, ENGINES
from bench_deepspeed.model import catalog


def test_defaults_are_those_that_help_shows():
    options = parser.parse(["-d", "cpu"])
    scenario = cli.scenario_of(options)
    assert (scenario.prompt, scenario.weights, scenario.warmups, scenario.seed) == (cli.PROMPT, "pretrained", None, 0)
    assert (scenario.processes, scenario.target_ci) == (cli.PROCESSES["cpu"], None)
    assert (scenario.repetitions, scenario.max_tokens) == (cli.REPETITIONS["cpu"], cli.MAX_TOKENS["cpu"])
    assert (scenario.model, scenario.engine, scenario.precision) == ("smollm2", "deepspeed", "float32")
    assert cli.default_precision(DEFAULT_ENGINES["cuda"], "cuda") == "float16"


def test_a_target_is_a_share_and_has_a_budget():
    scenario = cli.scenario_of(parser.parse(["-d", "cpu", "--target_ci", "0.5%", "--processes", "4"]))
    assert (scenario.processes, scenario.target_ci, scenario.time_budget_s) == (4, 0.005, cli.TIME_BUDGET_S)
    scenario = cli.scenario_of(parser.parse(["-d", "cpu", "--target_ci", "2%", "--time_budget", "60"]))
    assert (scenario.target_ci, scenario.time_budget_s) == (0.02, 60)


def test_the_time_budget_limits_processes_that_were_not_requested_by_number():
    budgets = [
        cli.scenario_of(parser.parse(["-d", "cpu", *flags])).time_budget_s
        for flags in ([], ["--time_budget", "9"], ["--processes", "3"])
    ]
    assert budgets == [cli.TIME_BUDGET_S, 9, None]


def test_the_quality_check_has_the_settings_that_it_does_not_ask_for():
    scenario = cli.scenario_of(parser.parse(["quality", "-d", "cpu"]))
    assert (scenario.prompt, scenario.warmups, scenario.target_ci) == (cli.PROMPT, 0, None)


FLAGS = {
    "-p": "--prompt",
    "--prompt_file": "--prompt_file",
    "-r": "--repetitions",
    "-m": "--max_tokens",
    "-d": "--device",
    "-n": "--model_name",
    "-lf": "--log_file",
    "-h": "--help",
    "--engine": "--engine",
    "--precision": "--precision",
    "--tensor_parallel": "--tensor_parallel",
    "--weights": "--weights",
    "--warmups": "--warmups",
    "--processes": "--processes",
    "--target_ci": "--target_ci",
    "--quick": "--quick",
    "--time_budget": "--time_budget",
    "--no_quality": "--no_quality",
    "--questions": "--questions",
    "--reference_device": "--reference_device",
    "--late_tokens": "--late_tokens",
    "--fail_on_quality": "--fail_on_quality",
    "--seed": "--seed",
    "--output_dir": "--output_dir",
    "--models_dir": "--models_dir",
    "--dry_run": "--dry_run",
    "--config": "--config",
    "--json": "--json",
    "--quiet": "--quiet",
    "--no_setup": "--no_setup",
    "--version": "--version",
}


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["lod"], "'load'"),
        (["help", "swep"], "'sweep'"),
        (["--max_tokns", "3"], "'--max_tokens'"),
        (["--max-tokns=3"], "'--max_tokens'"),
        (["sweep", "--batchsizes", "3"], "'--batch_sizes'"),
        (["-n", "lama"], "'llama'"),
        (["load", "--engine", "deepsped"], "'deepspeed'"),
    ],
)
def test_a_mistyped_word_names_what_was_probably_meant(words, meant):
    with pytest.raises(UsageError, match=re.escape(f"(did you mean {meant}?)")):
        parser.parse(words)


def test_a_word_that_is_like_none_has_no_suggestion():
    with pytest.raises(UsageError) as refused:
        parser.parse(["--xyzzy"])
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize("words", [["--max-tokens", "3"], ["--max-tokens=3"], ["--max_tokens", "3"], ["-m", "3"]])
def test_a_hyphen_in_a_flag_is_an_underscore(words):
    assert parser.parse(words).max_tokens == 3


def test_a_hyphen_in_a_value_stays():
    assert parser.parse(["--output-dir", "a-b"]).output_dir == Path("a-b")
    assert parser.parse(["-p", "-", "--output-dir=c-d"]).output_dir == Path("c-d")


@pytest.mark.parametrize("words", [["help"], ["help", "load"], ["load", "-h"]])
def test_help_is_a_command_too(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parser.parse(words)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: bench.sh")


@pytest.fixture
def settings(tmp_path) -> Path:
    file = tmp_path / "settings.toml"
    file.write_text(
        'engine = "fake"\nmax-tokens = 4\nseed = 5\n\n[run]\nno_quality = true\nquick = false\nmax_tokens = 6\n'
        "[sweep]\nbatch_sizes = [1, 2]\n"
    )
    return file


def test_flags_take_precedence_over_a_settings_file(settings):
    options = parser.parse(["--config", str(settings), "--seed", "7"])
    assert (options.engine, options.max_tokens, options.seed) == ("fake", 6, 7)
    assert (options.no_quality, options.quick) == (True, False)
    flags = ["--engine=fake", "--max_tokens=6", "--seed=5", "--no_quality", "--seed", "7"]
    assert options.command_line == flags  # what a result keeps can be pasted where there is no such file


def test_a_settings_file_is_for_every_command(settings):
    options = parser.parse(["sweep", f"--config={settings}"])
    assert (options.max_tokens, options.batch_sizes) == ([4], [1, 2])
    assert parser.parse(["load", f"--config={settings}", "-m", "9"]).max_tokens == 9


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("max_tokns = 3", "there is no flag --max_tokns (did you mean '--max_tokens'?)"),
        ("[run]\nbatch_sizes = 3", "there is no flag --batch_sizes"),
        ("load = 3", "load is a command: its flags stand in a table [load]"),
        ("[[load]]\nclients = 1", "load is a command: its flags stand in a table [load]"),
        ("[lod]\nclients = 1", "lod is the table of no command (did you mean 'load'?)"),
        ("config = 'x'", "--config stands on the command line only"),
        ("help = true", "--help stands on the command line only"),
        ("[run]\nversion = true", "--version stands on the command line only"),
        ("max_tokens = 'many'", "settings.toml: --max_tokens: 'many' is not a whole number"),
        ("max_tokens = true", "settings.toml: --max_tokens: needs a value"),
        ("no_quality = 'yes'", "settings.toml: --no_quality: takes true or false"),
        ("model_name = 'lama'", "settings.toml: --model_name: invalid choice: 'lama'"),
        ("max_tokens = 1979-05-27", "--max_tokens is neither a number nor text, a list or true"),
        ("max_tokens", "at end of document"),
        ("\xff", "invalid"),
    ],
)
def test_a_settings_file_with_a_mistake_is_one_line(tmp_path, content, words):
    file = tmp_path / "settings.toml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=re.escape(words)):
        parser.parse(["--config", str(file)])


def test_a_settings_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="--config: cannot read .*none.toml: No such file"):
        parser.parse(["--config", str(tmp_path / "none.toml")])


@pytest.mark.parametrize("command", [name for name, entry in COMMANDS.items() if entry.measures])
def test_every_command_that_measures_can_print_its_result(command):
    required = ["--a", "", "--b", ""] if command == "ab" else []
    options = parser.parse([command, *required, "--json", "--quiet"])
    assert (options.json, options.quiet) == (True, True)


SIZES = {  # from the published numbers of parameters: two bytes each on the hub, four from the GGUF file
    "llama": ("6,738,415,616 parameters", "download 13.48 GB, write 13.48 GB"),
    "mistral": ("7,241,732,096 parameters", "download 14.48 GB, write 14.48 GB"),
    "smollm2": ("134,515,008 parameters", "download nothing, write 0.54 GB"),
}


@pytest.fixture
def help_text(bench) -> str:
    done = bench("--help", env={"COLUMNS": "200"})
    assert (done.returncode, done.stderr) == (0, "")
    return " ".join(done.stdout.split())


@pytest.mark.parametrize(("short", "long"), FLAGS.items())
def test_help_names_every_flag(help_text, short, long):
    assert re.search(rf"(?<!\S){short}(?: |,|$)", help_text)
    assert re.search(rf"(?<!\S){long}(?: |,|$)", help_text)


def test_help_names_no_flag_that_the_tests_do_not_know(help_text):
    assert set(re.findall(r"(?<!\S)--\w+", help_text)) == set(FLAGS.values())


@pytest.mark.parametrize(
    "words",
    [
        f"(default: {cli.PROMPT}; each generation has its words in another order)",
        f"timed generations in each process (default: {cli.REPETITIONS['cuda']}, on cpu {cli.REPETITIONS['cpu']})",
        f"exactly (default: {cli.MAX_TOKENS['cuda']}, on cpu {cli.MAX_TOKENS['cpu']})",
        f"the model (default: {cli.MODEL['cuda']} on cuda, {cli.MODEL['cpu']} on cpu)",
        f"default: {DEFAULT_ENGINES['cuda']} on cuda, {DEFAULT_ENGINES['cpu']} on cpu",
        "default: float16 on cuda, float32 on cpu",
        "(default: pretrained)",
        "generations before the timed ones in each process (default: until the times are steady)",
        f"(default: {cli.PROCESSES['cuda']}, on cpu {cli.PROCESSES['cpu']}; 3 or more within the time budget; "
        "1 where loading takes more than 120 s)",
        "the mean ± P% at most, such as 1%",
        f"(default: {cli.TIME_BUDGET_S})",
        "the seed of random weights and of random prompts (default: 0)",
    ],
)
def test_help_shows_the_defaults(help_text, words):
    assert words in help_text


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "3 processes, each: warm-ups until steady, then 5 repetitions of 128 tokens"),
        (("--warmups", "2", "--processes", "4"), "4 processes, each: 2 warm-ups, then 5 repetitions"),
        (("--target_ci", "1%"), "further processes until the interval is within ± 1.00%, started for 600 s at most"),
    ],
)
def test_dry_run_shows_what_would_be_measured(bench, flags, words):
    assert words in unwrapped(bench("-d", "cpu", "--dry_run", *flags).stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "99999"], "1 prompt token and 99,999 new ones do not fit the model's context of 8,192 tokens"),
        (["--questions", "empty.txt"], "--questions empty.txt has no prompt"),
        (["--weights", "random", "--fail_on_quality"], "there is nothing to check"),
        (["--late_tokens", "8100"], "8,100 prompt tokens and 120 new ones do not fit"),
        (["quality", "--questions", "empty.txt"], "--questions empty.txt has no prompt"),
        (["sweep", "--quality", "--questions", "empty.txt"], "--questions empty.txt has no prompt"),
        (["sweep", "--quality", "--late_tokens", "8100"], "8,100 prompt tokens and 120 new ones do not fit"),
        (["sweep", "--fail_on_quality"], "--fail_on_quality, but no answers are checked: add --quality"),
        (["quality", "--late_tokens", "8100"], "8,100 prompt tokens and 120 new ones do not fit"),
        (["quality", "--weights", "random"], "there is nothing to compare"),
        (["load", "--prompt_tokens", "8190"], "8,190 prompt tokens and 8 new ones do not fit"),
        (["load", "--prompts", "empty.txt"], "--prompts empty.txt has no prompt"),
        (["load", "--trace", "empty.txt"], "--trace empty.txt has 0 arrivals"),
        (["load", "--trace", "long.jsonl"], "9,000 prompt tokens and 1 new ones do not fit"),
        (["selftest", "-m", "99999"], "99,999 new ones do not fit"),
        (["ab", "--a", "engine=deepspeed", "--b", "engine=transformers", "-m", "99999"], "99,999 new ones do not fit"),
    ],
    ids=" ".join,
)
def test_a_dry_run_refuses_what_the_run_refuses(bench, tmp_path, arguments, words):
    (tmp_path / "empty.txt").touch()
    row = '{"arrival_s": %d, "prompt_tokens": 9000, "output_tokens": 1}\n'
    (tmp_path / "long.jsonl").write_text(row % 0 + row % 1)
    command = [*arguments, "-d", "cpu", "-n", "smollm2"]
    refused = bench.refusal(2, *command)
    assert words in refused
    assert bench.refusal(2, *command, "--dry_run") == refused


@pytest.mark.parametrize(("code", "meaning"), EXIT_CODES.items())
def test_help_lists_the_exit_codes(help_text, code, meaning):
    assert f"{code} {meaning}" in help_text


def test_help_lists_what_each_choice_flag_takes(help_text):
    assert f"--model_name {{{','.join(catalog.names())}}}" in help_text
    assert f"--engine NAME {', '.join(ENGINES)} (default" in " ".join(help_text.split())
    assert "--device {cuda,cpu,metal}" in help_text


def test_short_and_long_flags_are_the_same():
    short = ["-p", "a b", "-r", "3", "-m", "4", "-d", "cpu", "-n", "mistral", "-lf", "x.log"]
    long = [FLAGS.get(word, word) for word in short]
    options = [vars(parser.parse(words)) for words in (short, long, ["run", *long])]
    assert [parsed.pop("command_line") for parsed in options] == [short, long, ["run", *long]]
    assert options[0] == options[1] == options[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--nonsense"], "--nonsense", id="unknown flag"),
        pytest.param(["--rep", "3"], "--rep", id="abbreviated flag"),
        pytest.param(["-n", "gpt2"], "gpt2", id="unknown model"),
        pytest.param(["--engine", "vllm"], "vllm", id="unknown engine"),
        pytest.param(["-d", "tpu"], "tpu", id="unknown device"),
        pytest.param(["frobnicate"], "frobnicate", id="unknown command"),
        pytest.param(["a\nb"], r"a\nb", id="unknown command of two lines"),
        pytest.param(["-d", "cpu", "stray"], "stray", id="stray word"),
        pytest.param(["-r"], "expected one argument", id="flag without value"),
        pytest.param(["-lf"], "expected one argument", id="log file without value"),
        pytest.param(["-r", "0"], "at least 1", id="no repetition"),
        pytest.param(["-r", "9" * 20], "is too many: at most 1,000,000,000", id="repetitions for ever"),
        pytest.param(["-r", "9" * 5000], "is not a whole number", id="more digits than Python reads"),
        pytest.param(["-m", "-3"], "-m", id="negative tokens"),
        pytest.param(["-m", "abc"], "'abc' is not a whole number", id="tokens that are a word"),
        pytest.param(["-m", "1.5"], "'1.5' is not a whole number", id="tokens and a half"),
        pytest.param(["--warmups", "-1"], "--warmups", id="negative warm-ups"),
        pytest.param(["--processes", "0"], "at least 1", id="no process"),
        pytest.param(["--target_ci", "0.01"], "'0.01' is not a percentage", id="target without a percent sign"),
        pytest.param(["--target_ci", "0%"], "'0%' is not a percentage", id="target of nothing"),
        pytest.param(["--target_ci", "100%"], "between 0% and 100%", id="target of all"),
        pytest.param(["--target_ci", "-1%"], "--target_ci", id="negative target"),
        pytest.param(["--target_ci", "nan%"], "'nan%' is not a percentage", id="target that is no number"),
        pytest.param(["--target_ci", "1%", "--time_budget", "10m"], "'10m' is not a whole number", id="minutes"),
        pytest.param(["--target_ci", "1%", "--time_budget", "0"], "at least 1", id="no time"),
        pytest.param(
            ["-d", "cpu", "--processes", "3", "--time_budget", "9"], "leave --processes out", id="budget of nothing"
        ),
        pytest.param(["-p", ""], "the prompt is empty", id="empty prompt"),
        pytest.param(["-p", " \n\t"], "the prompt is empty", id="blank prompt"),
        pytest.param(["-p", os.fsdecode(b"caf\xe9")], "UTF-8", id="prompt in Latin-1"),
        pytest.param(["-d", "metal"], "metal is not supported", id="metal"),
        pytest.param(["-d", "cpu", "--engine", "mii"], "--engine deepspeed", id="mii on a cpu"),
        pytest.param(["-d", "cuda", "--engine", "fake"], "does not run on cuda", id="fake on a gpu"),
        pytest.param(["-d", "cpu", "--precision", "float16"], "float32, bfloat16", id="deepspeed float16 on a cpu"),
        pytest.param(
            ["-d", "cuda", "--precision", "float32", "--engine", "mii"], "bfloat16, float16", id="mii float32"
        ),
        pytest.param(["-d", "cpu", "--engine", "fake", "--precision", "bfloat16"], "float32", id="fake bfloat16"),
        pytest.param(["doctor", "-r", "3"], "-r", id="doctor with repetitions"),
        pytest.param(["report", "--nonsense"], "--nonsense", id="report with an unknown flag"),
    ],
)
def test_wrong_usage_is_one_line_and_touches_nothing(bench, tmp_path, arguments, words):
    places = () if arguments[0] in ("doctor", "report") else ("--output_dir", "out", "--models_dir", "weights")
    command = arguments[:1] if not arguments[0].startswith("-") else []
    message = bench.refusal(2, *command, *places, *arguments[len(command) :])
    assert words in message
    assert list(tmp_path.iterdir()) == []


def test_cuda_without_a_gpu_is_the_machines_lack(bench, tmp_path, path_without_gpu):
    arguments = ("-d", "cuda", "--output_dir", "out", "--models_dir", "weights")
    message = bench.refusal(3, *arguments, env={"PATH": str(path_without_gpu)})
    assert "-d cpu" in message
    assert "doctor" in message
    assert list(tmp_path.iterdir()) == []


def test_a_plan_for_a_gpu_needs_none_and_says_what_the_run_would_meet(bench, tmp_path, path_without_gpu):
    done = bench("-d", "cuda", "-n", "mistral", "--dry_run", env={"PATH": str(path_without_gpu)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "this machine has no GPU: the run itself would be refused" in unwrapped(done.stdout)
    assert "3 always; the others only if they start within 600 s of the first" in unwrapped(done.stdout)
    assert "Mistral" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_sweep_for_a_gpu_needs_none_either(bench, path_without_gpu):
    flags = ("-d", "cuda", "-n", "mistral", "--engines", "all", "--precisions", "all", "--dry_run")
    done = bench("sweep", *flags, env={"PATH": str(path_without_gpu)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "this machine has no GPU: the run itself would be refused" in unwrapped(done.stdout)
    assert "compute capability 8.x alone, and there is no GPU here" in unwrapped(done.stdout)


def test_a_reference_on_cuda_needs_a_gpu_before_anything_starts(bench, path_without_gpu):
    flags = ("-d", "cpu", "-n", "smollm2", "--reference_device", "cuda")
    assert "--reference_device cuda" in bench.refusal(3, "quality", *flags, env={"PATH": str(path_without_gpu)})


@pytest.mark.parametrize("model", catalog.pinned())
def test_dry_run_touches_nothing_and_names_sizes(bench, tmp_path, model):
    places = ("--output_dir", "out", "--models_dir", "weights", "-lf", "logs/x.log")
    done = bench("-d", "cpu", "-n", model, *places, "--dry_run", env={"HOME": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    parameters, sizes = SIZES[model]
    assert parameters in done.stdout
    assert sizes in done.stdout
    assert f"weights/{model}/pretrained" in done.stdout
    assert f"out/{model}/<time>/" in done.stdout
    assert "logs/x.log" in done.stdout


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_every_function_of_the_table_of_commands_exists(name, command):
    named = (command.parser, command.run, command.check, command.subject, command.dry_run)
    assert all(callable(resolve_name(f"bench_deepspeed.{function}")) for function in named if function)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_command(help_text, name):
    assert f"bench.sh {name}" in help_text.replace("bench.sh [run]", "bench.sh run")


def test_a_command_without_a_dry_run_has_no_such_flag():
    with_flag = {name for name, command in COMMANDS.items() if "--dry_run" in _flags_of(command)}
    assert with_flag == {name for name, command in COMMANDS.items() if command.dry_run}


def _flags_of(command: Command) -> str:
    return resolve_name(f"bench_deepspeed.{command.parser}")().format_help()


@pytest.mark.parametrize("flag", ["--log_file", "--prompt", "--seed"])
def test_two_hyphens_are_no_value(bench, flag):
    assert "'--' is no value" in bench.refusal(2, f"{flag}=--")


def test_a_settings_file_holds_no_nul(bench, tmp_path):
    (tmp_path / "flags.toml").write_text('output_dir = "a\\u0000b"')
    assert "output_dir holds a NUL character" in bench.refusal(2, "--config", "flags.toml")


def test_behind_two_hyphens_all_are_words(bench):
    assert bench.refusal(2, "compare", "--", "-dash/x", "y") == "cannot read -dash/x: No such file or directory"
    assert parser.parse(["compare", "a", "--force", "--", "--force"]).files == [Path("a"), Path("--force")]
    assert parser.parse(["results", "--", "x"]).words == ["x"]


@pytest.mark.parametrize("flags", [("compare", "{}", "{}"), ("sweep", "--resume", "{}"), ("--config", "{}")])
def test_a_name_may_be_longer_than_names_can_be(bench, flags):
    assert re.search(
        "File name too long|there is no sweep.json", bench.refusal(2, *(f.format("x" * 300) for f in flags))
    )


@pytest.mark.parametrize("flags", [("--config", "{}"), ("--prompt_file", "{}"), ("compare", "{}", "{}")])
def test_what_has_no_end_is_not_read(bench, tmp_path, flags):
    os.mkfifo(tmp_path / "fifo")
    for path in ("fifo", "/dev/zero"):
        message = bench.refusal(2, *(word.format(path) for word in flags))
        assert f"cannot read {path}: it is not a regular file" in message


def test_a_prompt_may_be_a_file(tmp_path, bench):
    (tmp_path / "prompt").write_bytes(b"\xef\xbb\xbf" + b"word " * 100_000 + b"\r\n")
    options = ["-d", "cpu", "--engine", "fake", "--prompt_file", str(tmp_path / "prompt")]
    scenario = cli.scenario_of(parser.parse(options))
    assert scenario.prompt == " ".join(["word"] * 100_000)
    assert not scenario.varied
    assert "leave out one of them" in bench.refusal(2, *options, "-p", "x")
    (tmp_path / "prompt").write_bytes(b" \n")
    assert "the prompt is empty" in bench.refusal(2, *options)
    (tmp_path / "prompt").write_bytes(b"\xff")
    assert "is not UTF-8 text" in bench.refusal(2, *options)


def test_what_is_prepared_is_said_without_preparing_it(bench, tmp_path):
    done = bench("prepare", "-d", "cuda", "-n", "mistral", "--models_dir", "weights", "--dry_run")
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])
    assert "download 14.48 GB" in done.stdout
    assert "no weights" in bench.refusal(2, "prepare", "-d", "cpu", "--engine", "fake", "--dry_run")
