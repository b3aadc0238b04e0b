"""What stands under the figures that show votes. Every claim of the paper has its criterion in the docstring of its text."""

from __future__ import annotations

from typing import Any

from neuralgate.paper.figures.words import Answer, Score, Words, at_layer, chosen_layer, difference, have_effect, sample_count, score_text
from neuralgate.report.notes import ENOUGH_SAMPLES
from neuralgate.report.summary import points_text

PAPER_STRONG = 0.1
#: A gate that adds less than this to a random set of its size carries nothing worth the name (as in gate.json's verdict).
MARGIN = 0.2
NAMED = 5  # massive dimensions of a layer


def flips(analysis: dict[str, Any]) -> Words:
    """Claim (3.2.3, 10.2): most dimensions that flip do so in at most 30 % of the samples. Criterion: the share of those among all that
    flip is above one half at every layer whose vectors have an effect, interval included; against it: below one half at one of them,
    interval included."""
    about = (
        f"Share of the {analysis['hidden_size']} dimensions by M, the share of samples that flip their sign, per subject and located layer "
        f"({sample_count(analysis)}). The first column is M = 0. With n samples M is a multiple of 1/n, so some columns are empty. "
        f"{working(analysis)}"
    )
    if anew := analysis["votes_changed"]:
        about += f" Fitted anew for this analysis, {100 * anew:.1f} % of the votes differ from the gate's."
    if nothing := no_evidence(analysis):
        return Words(about, (nothing,))
    rare = {row["layer"]: row["rare"] for row in analysis["profile"] if row["rare"] and have_effect(row)}
    if not rare:
        return Words(about, (("open", "no dimension flips where the vectors have an effect."),))
    lowest, highest = min(rare, key=lambda layer: rare[layer]["value"]), max(rare, key=lambda layer: rare[layer]["value"])
    text = (
        f"where the vectors have an effect, of the dimensions that flip at all {score_text(rare[lowest])} (layer {lowest}) to "
        f"{score_text(rare[highest])} (layer {highest}) do so in at most {100 * analysis['threshold']:g} % of the samples; the "
        "paper says most do."
    )
    if all(score["low"] > 0.5 for score in rare.values()):
        return Words(about, (("agrees", text),))
    return Words(about, (("against" if any(score["high"] < 0.5 for score in rare.values()) else "open", text),))


def working(analysis: dict[str, Any]) -> str:
    """What the votes of each layer are worth."""
    rows = analysis["profile"]
    layers = [str(row["layer"]) for row in rows if have_effect(row)]
    best = best_row(rows)
    return (
        "The vectors have an effect (refuse more sensitive than benign questions, intervals apart) at layers "
        f"{', '.join(layers) or 'none'}; the best are those of layer {best['layer']}: sensitive loss "
        f"{best['loss_start']['value']:.2f} to {best['loss_end']['value']:.2f}, "
        f"{score_text(best['converged'])} converged, refused {score_text(best['own']['refused_sensitive'])} of the sensitive and "
        f"{score_text(best['own']['refused_benign'])} of the benign questions. Where they have none, votes are votes for nothing."
    )


def best_row(profile: list[dict[str, Any]]) -> dict[str, Any]:
    """The layer whose own vectors work best: refused sensitive minus refused benign."""
    return max(profile, key=lambda row: row["own"]["refused_sensitive"]["value"] - row["own"]["refused_benign"]["value"])


def no_evidence(analysis: dict[str, Any]) -> tuple[Answer, str] | None:
    """Why the shape of the votes says nothing; None where it may."""
    if 1 / min(analysis["samples"].values()) > analysis["threshold"]:
        return (
            "open",
            f"with so few samples a dimension that flips at all does so in more than {100 * analysis['threshold']:g} %: it is strong.",
        )
    if (fewest := min(analysis["samples"].values())) < ENOUGH_SAMPLES:
        return (
            "open",
            f"the shares depend on how many samples vote, and {fewest} a subject are too few to set them beside the paper's "
            f"({ENOUGH_SAMPLES} or more: locate.samples_per_subject).",
        )
    if not any(map(have_effect, analysis["profile"])):
        return "open", "at no layer do the vectors have an effect, so the shape of their votes is no evidence of anything."
    return None


def shares(analysis: dict[str, Any]) -> Words:
    """Claims: strong < 10 % of the dimensions (3.2.3), looked at where vectors have an effect; their share rises, then falls (Fig. 2d, 6),
    over all layers, which says nothing where the vectors of the highest one have no effect."""
    about = (
        f"Mean over subjects of the shares of inactive (M = 0), weak (0 < M <= {analysis['threshold']:g}) and strong dimensions; whiskers: "
        f"95 % intervals over samples by bootstrap ({sample_count(analysis)}). {working(analysis)}"
    )
    if nothing := no_evidence(analysis):
        return Words(about, (nothing,))
    strong = {row["layer"]: row["strong"] for row in analysis["profile"]}
    proven = [row["strong"] for row in analysis["profile"] if have_effect(row)]
    peak = max(strong, key=lambda layer: strong[layer]["value"])
    least, most = (extreme(proven, key=lambda score: score["value"]) for extreme in (min, max))
    text = f"where the vectors have an effect, strong are {score_text(least)} to {score_text(most)} of the dimensions"
    if all(score["high"] < PAPER_STRONG for score in proven):
        sparse: tuple[Answer, str] = ("agrees", f"{text}, below 10 % at each of these layers.")
    elif any(score["low"] > PAPER_STRONG for score in proven):
        sparse = ("against", f"{text}; the paper has less than 10 %.")
    else:
        sparse = ("open", f"{text}; the intervals contain 10 %.")
    kind, shape = rise_and_fall(strong, peak)
    if kind == "agrees" and not have_effect(at_layer(analysis["profile"], peak)):
        kind, shape = "open", f"{shape[:-1]}, but at layer {peak} the vectors have no effect."
    return Words(about, (sparse, (kind, shape)))


def rise_and_fall(strong: dict[int, Score], peak: int) -> tuple[Answer, str]:
    """Agrees: some layer between the ends is above both of them, intervals apart. Against: every layer between them is below one of them,
    intervals apart."""
    layers = sorted(strong)
    first, last = strong[layers[0]], strong[layers[-1]]
    between = [strong[layer] for layer in layers[1:-1]]
    ends = f"layer {layers[0]} {score_text(first)}, layer {layers[-1]} {score_text(last)}, "
    ends += f"the largest at layer {peak} {score_text(strong[peak])}"
    if any(score["low"] > max(first["high"], last["high"]) for score in between):
        return "agrees", f"the strong share rises, then falls ({ends})."
    if between and all(score["high"] < max(first["low"], last["low"]) for score in between):
        return "against", f"the strong share does not rise and then fall ({ends})."
    return "open", f"no layer between the ends is above both of them beyond the intervals ({ends})."


def losses(analysis: dict[str, Any]) -> Words:
    profile = analysis["profile"]
    best = min(profile, key=lambda row: row["loss_end"]["value"])
    here = at_layer(profile, analysis["chosen_layer"])
    about = (
        "Mean loss of the refusal prefix (sensitive) and of the own answer (benign) before and after, and the share of vectors whose loss "
        f"fell below {analysis['locate']['stop_loss']:g} within {analysis['locate']['steps']} steps (95 % intervals, "
        f"{sample_count(analysis)}). At {chosen_layer(analysis)}: sensitive "
        f"{number(here['loss_start'])} to {number(here['loss_end'])}, benign "
        f"{number(here['benign_start'])} to {number(here['benign_end'])}, {score_text(here['converged'])} converged; the lowest sensitive "
        f"loss is {number(best['loss_end'])} at layer {best['layer']}."
    )
    return Words(about, (("none", "it gives no losses. Where a vector has not reached its aim, its signs are votes for nothing."),))


def number(score: Score) -> str:
    return f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"


def answers(analysis: dict[str, Any]) -> Words:
    """Claim (3.2.3, 3.3): the strong dimensions carry the objective. Criterion, at the layer whose own vectors work best (refused sensitive
    minus refused benign): the gate's refusals above the random set's beyond the interval agree; an interval that ends below MARGIN is
    against it; and nothing can be told where the vectors themselves do not work."""
    profile = analysis["profile"]
    best = best_row(profile)
    about = (
        "Greedy answers while the subject's tokens are scaled: by each sample's own vector, by flipping the strong dimensions of its "
        f"subject, and by flipping as many random ones; 95 % intervals (Wilson), {sample_count(analysis)}, one sensitive and one benign "
        "question each. "
        + " ".join(
            answers_at(row) for row in {best["layer"]: best, analysis["chosen_layer"]: at_layer(profile, analysis["chosen_layer"])}.values()
        )
    )
    gap = difference(best["strong_flipped"]["refused_sensitive"], best["random_flipped"]["refused_sensitive"])
    text = (
        f"at layer {best['layer']}, where the vectors work best, refusals under the gate minus those under a random set are "
        f"{points_text(gap)}"
    )
    if not have_effect(best):
        return Words(
            about,
            (("open", "at no layer do the vectors themselves refuse sensitive questions more than benign ones beyond the intervals."),),
        )
    if gap["low"] > 0:
        return Words(about, (("agrees", f"{text}: the strong dimensions carry part of what the vectors do."),))
    if gap["high"] < MARGIN:
        return Words(about, (("against", f"{text}: flipped together, the strong dimensions do not do what the vectors do."),))
    return Words(about, (("open", f"{text}."),))


def answers_at(row: dict[str, Any]) -> str:
    parts = [
        f"{title} {score_text(row[kind]['refused_sensitive'])} of the sensitive and {score_text(row[kind]['refused_benign'])} of the "
        "benign questions"
        for kind, title in (("own", "own vectors refuse"), ("strong_flipped", "the gate"), ("random_flipped", "the random set"))
    ]
    return f"At layer {row['layer']} {', '.join(parts)} (n = {row['own']['refused_sensitive']['n']} each)."


def gradient(analysis: dict[str, Any]) -> Words:
    here = at_layer(analysis["profile"], analysis["chosen_layer"])["gradient"]
    parts = ", ".join(f"{name} tokens {score_text(score)}" for name, score in here.items())
    about = (
        "Norm of the part of the weight gradient of each layer's FFN output projection that arrives through each class of tokens, over "
        f"the norm of the whole, for the base model's loss on the located pairs (mean over n = {here['subject']['n']} pairs, 95 % "
        f"intervals; the parts need not add up to 100 %). At layer {analysis['chosen_layer']}: {parts}. A gate acts on the subject's part "
        "alone."
    )
    return Words(about, (("none", "it does not say how much of the gradient its gate acts on."),))


def subjects(analysis: dict[str, Any]) -> Words:
    overlap = analysis["overlap"]["subjects"]
    here = at_layer(overlap["rows"], analysis["chosen_layer"])["mean"]
    about = (
        "Jaccard's index of the strong dimensions of every two subjects; chance: the expected index of two random sets of their sizes, "
        f"and for the mean over pairs the central 95 % when the dimensions are shuffled. At layer {analysis['chosen_layer']}: "
        f"{overlap_text(here, 'pairs')}."
    )
    counted = [(row["layer"], row["mean"]) for row in overlap["rows"]]
    return Words(about, (("none", f"it shows the subjects side by side only. {above_chance(counted)}"),))


def stability(analysis: dict[str, Any]) -> Words:
    """Claim (3.2.3): strong dimensions are activated consistently across samples. Criterion, at the layer looked at, for halves of the
    samples: an index (its central 95 % over splits) above one half and above the band of chance agrees; one below one half is against."""
    overlap, chosen = analysis["overlap"], analysis["chosen_layer"]
    half = at_layer(overlap["halves"], chosen)
    compared = {"halves": overlap["halves"], **overlap["again"]}
    parts = [f"{name}: {overlap_text(at_layer(rows, chosen), 'subjects')}" for name, rows in compared.items()]
    missing = [] if "other samples" in overlap["again"] else ["there are no further training pairs for other samples"]
    if analysis["locate"]["one_prefix"]:
        missing.append("all samples have one refusal prefix, so there is no other draw of prefixes")
    about = (
        "Jaccard's index of the strong dimensions that one draw of samples names with those of another, mean over subjects: halves of the "
        f"samples ({overlap['splits']} random splits of the same samples, whose central 95 % stand in brackets), and vectors fitted anew "
        "for other samples or refusal prefixes: locating draws nothing else at random. Bands: chance for sets of those sizes. At "
        f"{chosen_layer(analysis)}: {'; '.join(parts)}." + (f" Not shown: {'; '.join(missing)}." if missing else "")
    )
    if half["value"] is None:
        return Words(about, (("open", "there are too few samples or strong dimensions to split."),))
    index = f"{half['value']:.2f} [{half['low']:.2f}, {half['high']:.2f}]"
    text = f"at layer {chosen} the strong dimensions of halves of the samples have an index of {index}"
    chance = f"chance gives {half['chance_low']:.2f} to {half['chance_high']:.2f}"
    if not have_effect(at_layer(analysis["profile"], chosen)):
        return Words(about, (("open", f"{text} ({chance}), but the vectors there have no effect."),))
    more = "more than chance" if half["low"] > half["chance_high"] else "not told from chance"
    if half["low"] > max(0.5, half["chance_high"]):
        return Words(about, (("agrees", f"{text}: most are named by both; {more} ({chance})."),))
    if half["high"] < 0.5:
        return Words(about, (("against", f"{text}: most are named by one half alone; {more} ({chance})."),))
    return Words(about, (("open", f"{text}; {more} ({chance})."),))


def between_layers(analysis: dict[str, Any]) -> Words:
    rows = analysis["overlap"]["layers"]["rows"]
    overlaps = [(f"{row['first']} and {row['second']}", row["overlap"]) for row in rows if row["overlap"]]
    about = (
        "Jaccard's index of a subject's strong dimensions at one layer with those at another, mean over subjects, beside chance for sets "
        "of those sizes."
    )
    if overlaps:
        layers, best = max(overlaps, key=lambda pair: pair[1]["value"] - pair[1]["chance"])
        about += f" Farthest above chance: layers {layers}, {overlap_text(best, 'subjects')}."
    return Words(about, (("none", f"it compares no layers. {above_chance(overlaps, 'pairs of layers')}"),))


def overlap_text(overlap: dict[str, Any] | None, of: str) -> str:
    if overlap is None or overlap["value"] is None:
        return "not defined (empty gates, or nothing to compare with)"
    spread = f" [{overlap['low']:.2f}, {overlap['high']:.2f}]" if "low" in overlap else ""
    chance = f"{overlap['chance']:.2f} [{overlap['chance_low']:.2f}, {overlap['chance_high']:.2f}]"
    return f"{overlap['value']:.2f}{spread}, by chance {chance} (n = {overlap['n']} {of})"


def above_chance(counted: list[tuple[Any, dict[str, Any] | None]], what: str = "layers") -> str:
    """How often an overlap lies outside the band of chance."""
    overlaps = [overlap for _, overlap in counted if overlap]
    above = sum(overlap["value"] > overlap["chance_high"] for overlap in overlaps)
    below = sum(overlap["value"] < overlap["chance_low"] for overlap in overlaps)
    return f"Of {len(overlaps)} {what}, {above} are above the 95 % band of chance and {below} below it."


def activation(analysis: dict[str, Any]) -> Words:
    activations = analysis["activation"]
    about = (
        f"Each point is a dimension at layer {activations['layer']}: the mean of |h| at the subject's tokens, and its votes, means over "
        f"subjects ({sample_count(analysis)}, {analysis['hidden_size']} dimensions). {named_sinks(activations)}"
    )
    return Words(about, (("none", "it does not set votes against activations; the next figure has the correlation over layers."),))


def activation_layers(analysis: dict[str, Any]) -> Words:
    activations, chosen = analysis["activation"], analysis["activation"]["layer"]
    here = at_layer(activations["rows"], chosen)
    rho = here["rho"]
    about = (
        f"Left: Spearman's rank correlation of votes and size (n = {analysis['hidden_size']} dimensions, 95 % intervals that take them as "
        "independent). Right: the share of the gate that is among the equally many largest dimensions of its subject, and chance: "
        "dimensions shuffled, in the same way for all subjects."
    )
    large = [row for row in activations["rows"] if row["top"] and row["top"]["value"] > row["top"]["chance_high"]]
    text = "it does not say whether strong dimensions are simply large ones. "
    if rho:
        text += f"At layer {chosen} rho is {rho['value']:+.2f} [{rho['low']:+.2f}, {rho['high']:+.2f}]"
        direction = "larger dimensions have more votes" if rho["low"] > 0 else "larger dimensions have fewer votes"
        text += f" ({direction if rho['low'] > 0 or rho['high'] < 0 else 'more or fewer votes for larger ones cannot be told'}); "
    if here["top"]:
        top = here["top"]
        chance = f"{100 * top['chance_low']:.0f} to {100 * top['chance_high']:.0f} %"
        text += f"{100 * top['value']:.0f} % of the gate is among the largest, by chance {chance}; "
    text += f"the gate holds more large dimensions than by chance at {len(large)} of {len(activations['rows'])} layers."
    return Words(about, (("none", text),))


def named_sinks(activations: dict[str, Any]) -> str:
    """Massive dimensions and the first token's sink by name; they are left out of the drawing only."""
    massive = {row["layer"]: row["massive"] for row in activations["rows"] if row["massive"]}
    sinks = {row["layer"]: row["first_token"] for row in activations["rows"] if row["is_sink"]}
    largest = max(row["first_token"] for row in activations["rows"])
    text = f"Massive dimensions (more than {activations['massive_times']:g} times the median) at the subject's tokens: "
    text += f"{massive_text(massive)}, left out of the drawing and of nothing else. " if massive else "none. "
    text += f"At the first token: {massive_text({row['layer']: row['first_massive'] for row in activations['rows']})}. "
    if sinks:
        listed = ", ".join(f"{layer} ({ratio:.1f} times)" for layer, ratio in sinks.items())
        text += (
            f"The first token's state is a sink (longer than {activations['sink_times']:g} times the median token's) at layers {listed}; "
        )
        return text + "it is no subject token, so no point here."
    return f"{text}The first token is no sink: at most {largest:.1f} times as long as the median token."


def massive_text(massive: dict[int, list[dict[str, Any]]]) -> str:
    """The dimensions of each layer with their ratios; the largest few, a first token can have hundreds."""
    parts = []
    for layer, entries in massive.items():
        largest = sorted(entries, key=lambda entry: -entry["ratio"])
        listed = ", ".join(f"{entry['dimension']} ({entry['ratio']:g} times)" for entry in largest[:NAMED])
        if listed:
            parts.append(f"layer {layer}: {listed}" + (f" and {len(largest) - NAMED} more" if len(largest) > NAMED else ""))
    return "; ".join(parts) or "none"
