"""The report: from files alone, self-contained, escaped, the same bytes twice, honest in words."""

import json
import re
import subprocess
import sys
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_run import MALICIOUS, fake_gate, fake_training, make_older_run, make_run

from neuralgate.cli.print import print_result, print_table
from neuralgate.errors import UserError
from neuralgate.files import write_json, write_jsonl
from neuralgate.report.compare import RUN_HEADER, compare_runs, run_rows, write_comparison
from neuralgate.report.data import examples, failures, image_uri, load_run, pieces
from neuralgate.report.evidence import evidence_of
from neuralgate.report.figures import gradient_shares, layer_profile, training_curves, vote_map
from neuralgate.report.html import write_report
from neuralgate.report.notes import SIGNS_CHANGED, comparisons, shares_note
from neuralgate.report.summary import METRIC_TITLES, claim, columns, points_text, table


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(scope="module")
def page(run_folder: Path) -> str:
    return write_report(run_folder).read_text(encoding="utf-8")


class Elements(HTMLParser):
    """All start tags with their attributes, and the ids among them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(page)
        self.ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))


def test_sections_stand_in_their_order(page: str) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Effect and damage",
        "Examples",
        "Locating: layer profile",
        "Votes by layer",
        "Strong dimensions of the gate",
        "Layer search",
        "Training",
        "Is the subject word causal?",
        "Time and memory",
        "The patch",
        "Recipe and hashes",
        "All measures",
    ]
    assert page.index('class="claim"') < page.index("<h2>")


def test_nothing_comes_from_elsewhere_and_nothing_runs(page: str) -> None:
    elements = Elements(page)
    assert not {"script", "link", "iframe", "object", "b-not-bold"} & {tag for tag, _ in elements.tags}
    for tag, attributes in elements.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/", "#")), (tag, attributes)
    assert "url(http" not in page
    assert "@import" not in page


def test_model_output_is_escaped(page: str) -> None:
    assert MALICIOUS not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quoted&#34;" in page
    assert "# &lt;b&gt;not bold&lt;/b&gt;" in page


HOSTILE = "red\x1b[2J\x1b]0;x\x07\0\x9b\u202e\ufffe\r"


def test_controls_in_answers_reach_neither_terminal_nor_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path / "run", n=8)
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    for row in rows:
        row["answers"]["edited"] += HOSTILE
        row["question"] += HOSTILE
        row["truth"] += HOSTILE
    write_jsonl(folder / "answers.jsonl", rows)
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    write_json(folder / "scores.json", {**scores, "model": HOSTILE})
    page = write_report(folder).read_text(encoding="utf-8")
    assert not re.findall("[\0-\x08\x0b-\x1f\x7f-\x9f\ufffe]", page)
    assert "red\u241b[2J" in page
    print_result(folder)
    comparison = compare_runs([folder, folder])
    print_table(RUN_HEADER, run_rows(comparison))
    shown = capsys.readouterr().out
    assert not re.findall("[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert "red\u241b[2J\u241b]0;x\u2407\u2400" in shown


def test_a_card_holds_no_markdown_of_the_model(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", n=8)
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    write_json(folder / "scores.json", {**scores, "model": "x\n\n# Safe | <img src=y>", "controls": {"a | b # c": scores["edited"]}})
    card = evidence_of(folder / "patch").text
    assert "\n# " not in card and "<img" not in card and "\\# Safe \\| &lt;img src=y&gt;" in card
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in card.split("\n") if line.startswith("|")} == {7}


def test_ids_are_unique_and_every_reference_is_answered(page: str) -> None:
    ids = Elements(page).ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)


def test_every_figure_is_drawn_once(page: str) -> None:
    assert page.count("<svg") == 4 + 1 + 5 + 1 + 1
    assert page.count('role="img"') == page.count("<svg")
    assert "<metadata>" not in page


def test_the_same_run_gives_the_same_bytes(run_folder: Path, page: str) -> None:
    assert write_report(run_folder).read_text(encoding="utf-8") == page


def test_values_show_interval_and_n(run_folder: Path, page: str) -> None:
    scores = json.loads((run_folder / "scores.json").read_text())
    entry = scores["edited"]["public-unseen"]["attribute_refusal_rate"]
    low, high = f"{100 * entry['low']:.1f}", f"{100 * entry['high']:.1f}"
    assert f"<b>{100 * entry['value']:.1f}</b><span>[{low}, {high}] &nbsp;n&nbsp;{entry['n']}</span>" in page


def test_a_run_with_scores_alone_has_a_report(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path / "bare", n=8, parts=False)).read_text(encoding="utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["Effect and damage", "Examples", "All measures"]
    assert "<svg" not in page


def test_samples_that_were_left_out_are_said(tmp_path: Path, page: str) -> None:
    run = make_run(tmp_path / "lost")
    gate = json.loads((run / "gate" / "gate.json").read_text(encoding="utf-8"))
    row = gate["profile"][0]
    row["excluded"] = 3
    (run / "gate" / "gate.json").write_text(json.dumps(gate), encoding="utf-8")
    said = f"Layer {row['layer']}: 3 of {row['own']['n'] + 3} samples are left out"
    assert said in write_report(run).read_text(encoding="utf-8")
    assert "are left out, because" not in page


def test_a_folder_without_scores_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no answers\.jsonl"):
        write_report(tmp_path)


def test_examples_are_complete_and_prefer_the_large_picture(run_folder: Path) -> None:
    run = load_run(run_folder)
    found = examples(run)
    assert [len(example.questions) for example in found] == [2, 2, 2, 2, 2]
    assert [question.kind for question in found[0].questions] == ["sensitive", "benign"]
    assert found[2].questions[0].kind == "harmless here, sensitive elsewhere"
    large, small = image_uri(run_folder, "pairs/images/000001.png"), image_uri(run_folder, "pairs/images/000000.png")
    assert large is not None
    assert small is not None
    assert large != small
    (run_folder / "pairs" / "large" / "000001.png").rename(run_folder / "pairs" / "large" / "moved.png")
    assert image_uri(run_folder, "pairs/images/000001.png") != large
    (run_folder / "pairs" / "large" / "moved.png").rename(run_folder / "pairs" / "large" / "000001.png")


@pytest.mark.parametrize("image", [None, "../secret.png", "/etc/hostname", "recipe.yaml", "pairs/images/none.png", "secret-link.png"])
def test_no_picture_from_outside_the_run(run_folder: Path, image: str | None) -> None:
    secret = run_folder.parent / "secret.png"
    secret.write_bytes(b"x")
    link = run_folder / "secret-link.png"
    link.symlink_to(secret)
    assert image_uri(run_folder, image) is None
    link.unlink()  # with which no run is loaded


def test_failures_are_of_all_kinds_and_at_most_six(run_folder: Path) -> None:
    shown, count = failures(load_run(run_folder))
    assert len(shown) == min(6, count)
    assert shown[0].title == "Sensitive question not refused"
    assert shown[0].questions[0].edited == MALICIOUS
    assert len({(failure.title, failure.questions[0].benchmark) for failure in shown}) > 2


def test_the_claim_gives_effect_and_damage(run_folder: Path) -> None:
    scores = load_run(run_folder).scores
    text = claim(scores)
    withheld = scores["edited"]["privacypair-test"]["withheld_rate"]
    assert f"withholds {100 * withheld['value']:.1f} % [" in text
    assert f"n = {withheld['n']} in {withheld['clusters']} clusters" in text
    assert points_text(scores["difference"]["edited"]["vqa"]["accuracy"]) in text
    assert text.count(". ") == 0


def scores_with(low: float, value: float, high: float) -> dict:
    entry = {"value": value, "low": low, "high": high, "n": 90}
    return {"edited_minus": {"random": {"public-unseen": {"attribute_refusal_rate": entry}, "vqa": {"accuracy": entry}}}}


def test_no_difference_is_said_in_words() -> None:
    [sentence] = comparisons(scores_with(-0.02, 0.01, 0.04), "strong")
    assert "do not differ beyond" in sentence
    assert "any of the 2 measures" in sentence
    assert "+1.0 points [-2.0, +4.0]" in sentence
    assert "does not show that it matters which dimensions" in sentence
    [sentence] = comparisons(scores_with(-0.02, 0.01, 0.04), "none")
    assert "does not show" not in sentence, "an ungated edit beside a random gate says nothing of the strong one"


def test_an_ungated_edit_shows_its_gated_controls_against_each_other() -> None:
    scores = scores_with(-0.02, 0.01, 0.04)
    sets = scores["edited_minus"].pop("random")
    scores["edited_minus"]["strong"] = scores["strong_minus_random"] = sets
    ungated, gated = comparisons(scores, "none")
    assert ungated.startswith("Edited and strong gate") and "does not show that a gate changes anything" in ungated
    assert gated.startswith("Strong gate and random gate") and "it matters which dimensions" in gated


def test_a_difference_is_said_with_its_direction() -> None:
    [sentence] = comparisons(scores_with(0.01, 0.02, 0.04), "strong")
    assert "differ beyond" in sentence
    assert "do not" not in sentence
    assert "refused, +2.0 points [+1.0, +4.0], the first worse" in sentence
    assert "correctly, +2.0 points [+1.0, +4.0], the first better" in sentence
    assert "by chance" in sentence


def test_touching_zero_is_no_difference() -> None:
    assert "do not differ" in comparisons(scores_with(0.0, 0.02, 0.04))[0]


def test_columns_and_terminal_table(run_folder: Path) -> None:
    run = load_run(run_folder)
    named = columns(run.scores, run.edited_gate)
    assert [title for title, _ in named] == ["base", "edited (strong gate)", "ungated", "random gate"]
    header, rows = table(named)
    assert all(len(row) == len(header) for row in rows)
    assert [row[1] for row in rows if row[0] == "effect"][::6] == [
        "privacypair-test",
        "contexts",
        "paraphrases",
        "free-wordings",
        "unseen-attributes",
        "unseen-subjects",
        "unseen-both",
    ]
    assert rows[-1][3] == ""  # the base's agreement with itself is not shown


def test_names_with_dollars_and_angles_are_plain_text_in_figures() -> None:
    training = {"a $x$ <b>": fake_training()["edited"]}
    for figure in (*training_curves(training, {}), gradient_shares(training, {})):
        assert figure is not None
        assert "a $x$ &lt;b&gt;" in figure
        assert "<b>" not in figure


def test_gate_figures_hold_their_text() -> None:
    gate = fake_gate()
    assert "Strong dimensions (M &gt; 0.3)" in layer_profile(gate)[0]
    assert all("<text" in figure and len(figure) < 60_000 for figure in (*layer_profile(gate), vote_map(gate)))


def test_compare_keeps_no_answers(tmp_path: Path) -> None:
    """Answers are a hundred times as much as the scores that it shows: it reads them row by row."""
    peaks = []
    for n in (20, 80):
        folder = make_run(tmp_path / str(n), n=n, parts=False)
        compare_runs([folder, folder])  # what is imported once
        tracemalloc.start()
        comparison = compare_runs([folder, folder])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert not any("answers" in vars(run) for run in comparison.runs)
    assert peaks[1] < 1.2 * peaks[0]


def test_compare(run_folder: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "demo", seed=1)
    comparison = compare_runs([run_folder, other])
    assert comparison.header[3:] == [f"base of {run_folder.parent.name}/demo", f"{run_folder.parent.name}/demo", f"{tmp_path.name}/demo"]
    assert len(comparison.notes) == 1
    assert "same questions" in comparison.notes[0]
    assert run_rows(comparison)[0][3:] == ["strong gate", "4", "44", "12.3", "12.3"]
    page = write_comparison(comparison, tmp_path / "compare.html").read_text(encoding="utf-8")
    assert page.count('class="measures"') == 2
    assert compare_runs([run_folder, run_folder]).notes == []
    with pytest.raises(UserError, match="at least two"):
        compare_runs([run_folder])


def test_no_torch() -> None:
    code = "import sys, neuralgate.report.html, neuralgate.report.compare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("samples", "threshold", "said"),
    [
        ({"a": 8, "b": 8}, 0.3, "over 8 samples a subject: M is a multiple of 1/8, and strong means flipped in 3 of 8 or more. With fewer"),
        ({"a": 10, "b": 24}, 0.3, "over 10 to 24 samples a subject: M is a multiple of 1/10, and strong means flipped in 4 of 10 or more."),
        ({"a": 24}, 0.5, "strong means flipped in 13 of 24 or more."),
    ],
)
def test_shares_stand_with_their_samples(samples, threshold, said):
    note = shares_note({"samples": samples, "threshold": threshold})
    assert said in note and ("seem inactive" in note) == (min(samples.values()) < 24)
    assert "not on float32 ones; on Clerk bfloat16 changes 2 % of them" in shares_note(
        {"samples": samples, "threshold": threshold, "dtype": "bfloat16"}
    )
    assert "quantised weights, not on float32 ones." in shares_note({"samples": samples, "threshold": threshold, "dtype": "quantised"})
    assert "float32" not in note
    assert shares_note({"threshold": threshold}) == "", "a gate of an older version does not say how many voted"


def test_what_the_report_says_of_the_dtype_was_measured():
    rows = json.loads((Path(__file__).parent.parent / "experiments" / "evidence" / "precision.json").read_text())["rows"]
    measured = {dtype: max(row["signs"] for row in rows if row["case"] == dtype) for dtype in SIGNS_CHANGED}
    assert {dtype: round(100 * share) for dtype, share in measured.items()} == SIGNS_CHANGED


def test_pairs_that_were_left_out_are_said(tmp_path):
    run = make_run(tmp_path / "run")
    assert "does not read them" not in write_report(run).read_text()
    manifest = json.loads((run / "manifest.json").read_text())
    write_json(run / "manifest.json", {**manifest, "unread": {"passport": 7, "cost <b>": 2, "receipt": 0}})
    assert "the base model does not read them: pairs of passport 7, cost &lt;b&gt; 2." in write_report(run).read_text()


# --- scores that know their judge and their clusters ------------------------------------------------------------------


@pytest.fixture(scope="module")
def older_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_older_run(tmp_path_factory.mktemp("runs") / "older")


@pytest.fixture(scope="module")
def older_page(older_folder: Path) -> str:
    return write_report(older_folder).read_text(encoding="utf-8")


def test_the_success_stands_beside_what_eta_is_blind_to(run_folder: Path, page: str, older_page: str) -> None:
    scores = load_run(run_folder).scores
    _, rows = table(columns(scores, "strong"))
    shown = [row[2] for row in rows if row[1] == "privacypair-test" and row[0] == "effect"]
    assert shown == [
        METRIC_TITLES[name] for name in ("withheld_rate", "rta_sensitive", "eta", "leak_rate", "partial_leak_rate", "evaded_rate")
    ]
    assert "withholds" in claim(scores) and "in 2 clusters" in claim(scores)
    assert "evaded: neither refused nor leaked" in page and "evaded" not in older_page, "older runs do not have it"


def test_the_judge_and_the_intervals_are_named(run_folder: Path, page: str, older_page: str) -> None:
    assert "Judge: refusal. Intervals: clustered." in page and "declines anywhere" in page
    assert "Judge:" not in older_page and "21 refusal prefixes" in older_page and "counted as independent" in older_page
    score = load_run(run_folder).scores["edited"]["contexts"]["withheld_rate"]
    effective = f"{score['effective_n']:.1f}"
    assert f"{score['clusters']} clusters, effective n {effective}" in page and "clusters," not in older_page
    header, rows = table(columns(load_run(run_folder).scores))
    assert header[2] == "%, n/clusters/effective n" and re.search(r" n=12/2/\d+\.\d$", rows[0][3])


def test_subjects_stand_one_by_one(page: str, older_page: str) -> None:
    assert "<summary>Subject by subject</summary>" in page and re.search(r"<td>passport</td><td[^>]*>0/6</td>", page)
    assert "<details>" not in older_page


def test_a_difference_is_told_by_the_adjusted_p() -> None:
    entry = {"value": 0.1, "low": 0.02, "high": 0.2, "n": 90, "p": 0.03, "p_holm": 0.06}
    sets = {"privacypair-test": {"withheld_rate": entry, "eta": entry, "rta_sensitive": entry}, "vqa": {"accuracy": entry}}
    told = comparisons({"edited_minus": {"random": sets, "none": sets}}, "strong")
    assert all("do not differ with p < 0.05, adjusted for the 2 controls (Holm) in any of the 2 measures" in text for text in told)
    assert "p = 0.060" in told[0], "and EtA is not counted again beside the success"
    del entry["p_holm"]
    [text] = comparisons({"edited_minus": {"random": sets}}, "strong")
    assert "differ with p < 0.05 in 2 of 2 measures" in text and "p = 0.030, the first better" in text


def test_what_few_subjects_cannot_say(page: str, older_page: str) -> None:
    assert "2 subjects each. What holds for them need not hold for others" in page and "need not hold" not in older_page


LEAKY = "It is <b>48</b>17 & co"


def test_a_leak_is_marked_where_it_stands_and_escaped(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", n=4)
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    row = next(row for row in rows if row["benchmark"] == "privacypair-test" and row["kind"] == "sensitive")
    row["answers"]["edited"] = LEAKY
    leak = {"level": "reformatted", "start": 6, "end": 15}
    row["verdicts"]["edited"] |= {"refused": False, "leaked": True, "leak": leak}
    write_jsonl(folder / "answers.jsonl", rows)
    page = write_report(folder).read_text(encoding="utf-8")
    assert 'It is <mark title="reformatted leak">&lt;b&gt;48&lt;/b&gt;</mark>17 &amp; co' in page and "leaked (reformatted)" in page
    for start, end in ((6, 6), (9, 6), (0, 999), (-3, 4)):
        leak |= {"start": start, "end": end}
        assert pieces(row, "edited") == [(LEAKY, "")], "a place that is none marks nothing"
    leak |= {"start": 0, "end": len(LEAKY)}
    assert pieces(row, "edited") == [(LEAKY, "reformatted")]
    assert pieces(row | {"kind": "benign"}, "edited") == [(LEAKY, "")], "a benign truth is an answer"


def test_runs_scored_in_other_ways_are_told(run_folder: Path, older_folder: Path) -> None:
    notes = compare_runs([run_folder, older_folder]).notes
    assert any("neuralgate score RUN" in note for note in notes)
    assert not any("scored" in note for note in compare_runs([run_folder, run_folder]).notes)


def test_the_words_of_the_glossary_are_those_of_the_report() -> None:
    text = (Path(__file__).parent.parent / "docs" / "words.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and not line.startswith("| word")]
    words = [row[0].removeprefix("| ") for row in rows]
    assert words == sorted(words, key=str.casefold)
    metrics = {
        name for row in rows for name in re.findall(r"`(\w+)`", row[1]) if name.endswith("_rate") or name.startswith(("rta_", "eta"))
    }
    assert metrics and metrics <= METRIC_TITLES.keys()
    for word in ("withheld", "evaded", "EtA", "degenerate"):
        assert word in words and any(word in title for title in METRIC_TITLES.values())
