"""What stands under the figures that show votes. Every claim of the paper has its criterion in the docstring of its text."""

from __future__ import annotations

from typing import Any

from neuralgate.report.analysis.words import Answer, Score, Words, at_layer, difference, percent, points, sample_count

PAPER_STRONG = 0.1
#: A gate that adds less than this to a random set of its size carries nothing worth the name (as in gate.json's verdict).
MARGIN = 0.2


def flips(analysis: dict[str, Any]) -> Words:
    """Claim (3.2.3, 10.2): most dimensions that flip do so in at most 30 % of the samples. Criterion: the share of those among all that
    flip is above one half at every layer, interval included; against it: below one half at some layer, interval included."""
    rare = {row["layer"]: row["rare"] for row in analysis["profile"]}
    about = (
        f"Share of the {analysis['hidden_size']} dimensions by M, the share of samples that flip their sign, per subject and located layer "
        f"({sample_count(analysis)}). The first column is M = 0. With n samples M is a multiple of 1/n, so some columns are empty."
    )
    lowest, highest = min(rare, key=lambda layer: rare[layer]["value"]), max(rare, key=lambda layer: rare[layer]["value"])
    found = (
        f"of the dimensions that flip at all, {percent(rare[lowest])} (layer {lowest}) to {percent(rare[highest])} (layer {highest}) do so "
        f"in at most {100 * analysis['threshold']:g} % of the samples; the paper says most do."
    )
    if 1 / min(analysis["samples"].values()) > analysis["threshold"]:
        return Words(
            about, (("open", f"with so few samples a dimension that flips at all does so in more than {100 * analysis['threshold']:g} %."),)
        )
    if all(score["low"] > 0.5 for score in rare.values()):
        return Words(about, (("agrees", found),))
    return Words(about, (("against" if any(score["high"] < 0.5 for score in rare.values()) else "open", found),))


def shares(analysis: dict[str, Any]) -> Words:
    """Claims: strong < 10 % of the dimensions (3.2.3); their share rises, then falls (Fig. 2d, 6)."""
    strong = {row["layer"]: row["strong"] for row in analysis["profile"]}
    about = (
        f"Mean over subjects of the shares of inactive (M = 0), weak (0 < M <= {analysis['threshold']:g}) and strong dimensions; whiskers: "
        f"95 % intervals over samples by bootstrap ({sample_count(analysis)})."
    )
    peak = max(strong, key=lambda layer: strong[layer]["value"])
    found = f"strong are {percent(min(strong.values(), key=lambda score: score['value']))} to {percent(strong[peak])} of the dimensions"
    if all(score["high"] < PAPER_STRONG for score in strong.values()):
        sparse: tuple[Answer, str] = ("agrees", f"{found}, below 10 % at every layer.")
    elif any(score["low"] > PAPER_STRONG for score in strong.values()):
        sparse = ("against", f"{found}; the paper has less than 10 %.")
    else:
        sparse = ("open", f"{found}; the intervals contain 10 %.")
    return Words(about, (sparse, rise_and_fall(strong, peak)))


def rise_and_fall(strong: dict[int, Score], peak: int) -> tuple[Answer, str]:
    """Agrees: some layer between the ends is above both of them, intervals apart. Against: every layer between them is below one of them,
    intervals apart."""
    layers = sorted(strong)
    first, last = strong[layers[0]], strong[layers[-1]]
    between = [strong[layer] for layer in layers[1:-1]]
    ends = f"layer {layers[0]} {percent(first)}, layer {layers[-1]} {percent(last)}, the largest at layer {peak} {percent(strong[peak])}"
    if any(score["low"] > max(first["high"], last["high"]) for score in between):
        return "agrees", f"the strong share rises, then falls ({ends})."
    if between and all(score["high"] < max(first["low"], last["low"]) for score in between):
        return "against", f"the strong share does not rise and then fall ({ends})."
    return "open", f"no layer between the ends is above both of them beyond the intervals ({ends})."


def losses(analysis: dict[str, Any]) -> Words:
    profile = analysis["profile"]
    best = min(profile, key=lambda row: row["loss_end"])
    here = at_layer(profile, analysis["chosen_layer"])
    about = (
        "Mean loss of the refusal prefix (sensitive) and of the own answer (benign) before and after, and the share of vectors whose loss "
        f"fell below {analysis['locate']['stop_loss']:g} within {analysis['locate']['steps']} steps ({sample_count(analysis)}). At the "
        f"edited layer {here['layer']}: sensitive {here['loss_start']:.2f} to {here['loss_end']:.2f}, benign {here['benign_start']:.2f} to "
        f"{here['benign_end']:.2f}, {100 * here['converged']:.0f} % converged; the lowest sensitive loss is {best['loss_end']:.2f} at "
        f"layer {best['layer']}."
    )
    return Words(about, (("none", "it gives no losses. Where a vector has not reached its aim, its signs are votes for nothing."),))


def answers(analysis: dict[str, Any]) -> Words:
    """Claim (3.2.3, 3.3): the strong dimensions carry the objective. Criterion, at the layer whose own vectors work best (refused sensitive
    minus refused benign): the gate's refusals above the random set's beyond the interval agree; an interval that ends below MARGIN is
    against it; and nothing can be told where the vectors themselves do not work."""
    profile = analysis["profile"]
    best = max(profile, key=lambda row: row["own"]["refused_sensitive"]["value"] - row["own"]["refused_benign"]["value"])
    about = (
        "Greedy answers while the subject's tokens are scaled: by each sample's own vector, by flipping the strong dimensions of its "
        f"subject, and by flipping as many random ones; 95 % intervals (Wilson), {sample_count(analysis)}, one sensitive and one benign "
        "question each. "
        + " ".join(
            answers_at(row) for row in {best["layer"]: best, analysis["chosen_layer"]: at_layer(profile, analysis["chosen_layer"])}.values()
        )
    )
    gap = difference(best["strong_flipped"]["refused_sensitive"], best["random_flipped"]["refused_sensitive"])
    found = (
        f"at layer {best['layer']}, where the vectors work best, refusals under the gate minus those under a random set are {points(gap)}"
    )
    if best["own"]["refused_sensitive"]["low"] <= best["own"]["refused_benign"]["high"]:
        return Words(
            about,
            (("open", "at no layer do the vectors themselves refuse sensitive questions more than benign ones beyond the intervals."),),
        )
    if gap["low"] > 0:
        return Words(about, (("agrees", f"{found}: the strong dimensions carry part of what the vectors do."),))
    if gap["high"] < MARGIN:
        return Words(about, (("against", f"{found}: flipped together, the strong dimensions do not do what the vectors do."),))
    return Words(about, (("open", f"{found}."),))


def answers_at(row: dict[str, Any]) -> str:
    parts = [
        f"{title} {percent(row[kind]['refused_sensitive'])} of the sensitive and {percent(row[kind]['refused_benign'])} of the benign "
        "questions"
        for kind, title in (("own", "own vectors refuse"), ("strong_flipped", "the gate"), ("random_flipped", "the random set"))
    ]
    return f"At layer {row['layer']} {', '.join(parts)} (n = {row['own']['refused_sensitive']['n']} each)."


def gradient(analysis: dict[str, Any]) -> Words:
    here = at_layer(analysis["profile"], analysis["chosen_layer"])["gradient"]
    parts = ", ".join(f"{name} tokens {percent(score)}" for name, score in here.items())
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
    """Claim (3.2.3): strong dimensions are activated consistently across samples. Criterion, at the edited layer: the halves' index (its
    central 95 % over splits) above the band of chance agrees, inside or below it is against."""
    overlap, chosen = analysis["overlap"], analysis["chosen_layer"]
    half = at_layer(overlap["halves"], chosen)
    compared = {"halves": overlap["halves"], **overlap["again"]}
    parts = [f"{name}: {overlap_text(at_layer(rows, chosen), 'subjects')}" for name, rows in compared.items()]
    missing = [] if "other samples" in overlap["again"] else ["there are no further training pairs for other samples"]
    if analysis["locate"]["one_prefix"]:
        missing.append("all samples have one refusal prefix, so there is no other draw of prefixes")
    about = (
        "Jaccard's index of the strong dimensions that one draw of samples names with those of another, mean over subjects: halves of the "
        f"samples ({overlap['splits']} random splits; a half has half the samples, so this is a lower bound), and vectors fitted anew. "
        "Bands: chance for "
        f"sets of those sizes. At layer {chosen}: {'; '.join(parts)}." + (f" Not shown: {'; '.join(missing)}." if missing else "")
    )
    if half["value"] is None:
        return Words(about, (("open", "there are too few samples or strong dimensions to split."),))
    index = f"{half['value']:.2f} [{half['low']:.2f}, {half['high']:.2f}]"
    found = f"at layer {chosen} the strong dimensions of halves of the samples have an index of {index}"
    chance = f"chance gives {half['chance_low']:.2f} to {half['chance_high']:.2f}"
    if half["low"] > half["chance_high"]:
        return Words(about, (("agrees", f"{found}, more than chance ({chance})."),))
    if half["value"] <= half["chance_high"]:
        return Words(about, (("against", f"{found}, no more than chance ({chance})."),))
    return Words(about, (("open", f"{found}; {chance}."),))


def between_layers(analysis: dict[str, Any]) -> Words:
    rows = analysis["overlap"]["layers"]["rows"]
    known = [(f"{row['first']} and {row['second']}", row["overlap"]) for row in rows if row["overlap"]]
    about = (
        "Jaccard's index of a subject's strong dimensions at one layer with those at another, mean over subjects, beside chance for sets "
        "of those sizes."
    )
    if known:
        layers, best = max(known, key=lambda pair: pair[1]["value"] - pair[1]["chance"])
        about += f" Farthest above chance: layers {layers}, {overlap_text(best, 'subjects')}."
    return Words(about, (("none", f"it compares no layers. {above_chance(known, 'pairs of layers')}"),))


def overlap_text(found: dict[str, Any] | None, of: str) -> str:
    if found is None or found["value"] is None:
        return "not defined (empty gates, or nothing to compare with)"
    spread = f" [{found['low']:.2f}, {found['high']:.2f}]" if "low" in found else ""
    chance = f"{found['chance']:.2f} [{found['chance_low']:.2f}, {found['chance_high']:.2f}]"
    return f"{found['value']:.2f}{spread}, by chance {chance} (n = {found['n']} {of})"


def above_chance(counted: list[tuple[Any, dict[str, Any] | None]], what: str = "layers") -> str:
    """How often an overlap lies outside the band of chance."""
    known = [found for _, found in counted if found]
    above = sum(found["value"] > found["chance_high"] for found in known)
    below = sum(found["value"] < found["chance_low"] for found in known)
    return f"Of {len(known)} {what}, {above} are above the 95 % band of chance and {below} below it."


def activation(analysis: dict[str, Any]) -> Words:
    found = analysis["activation"]
    about = (
        f"Each point is a dimension at layer {found['layer']}: the mean of |h| at the subject's tokens, and its votes, means over subjects "
        f"({sample_count(analysis)}, {analysis['hidden_size']} dimensions). {named_sinks(found)}"
    )
    return Words(about, ())


def activation_layers(analysis: dict[str, Any]) -> Words:
    found, chosen = analysis["activation"], analysis["activation"]["layer"]
    here = at_layer(found["rows"], chosen)
    rho = here["rho"]
    about = (
        f"Left: Spearman's rank correlation of votes and size (n = {analysis['hidden_size']} dimensions, 95 % intervals that take them as "
        "independent). Right: the share of the gate that is among the equally many largest dimensions of its subject, and chance."
    )
    large = [row for row in found["rows"] if row["top"] and row["top"]["value"] > row["top"]["chance_high"]]
    text = "it does not say whether strong dimensions are simply large ones. "
    if rho:
        text += f"At layer {chosen} rho is {rho['value']:+.2f} [{rho['low']:+.2f}, {rho['high']:+.2f}]"
        direction = "more" if rho["low"] > 0 else "fewer" if rho["high"] < 0 else "neither more nor fewer"
        text += f" (larger dimensions have {direction} votes); "
    if here["top"]:
        top = here["top"]
        chance = f"{100 * top['chance_low']:.0f} to {100 * top['chance_high']:.0f} %"
        text += f"{100 * top['value']:.0f} % of the gate is among the largest, by chance {chance}; "
    text += f"the gate holds more large dimensions than by chance at {len(large)} of {len(found['rows'])} layers."
    return Words(about, (("none", text),))


def named_sinks(found: dict[str, Any]) -> str:
    """Massive dimensions and the first token's sink by name; they are left out of the drawing only."""
    massive = {row["layer"]: row["massive"] for row in found["rows"] if row["massive"]}
    sinks = {row["layer"]: row["first_token"] for row in found["rows"] if row["is_sink"]}
    largest = max(row["first_token"] for row in found["rows"])
    text = f"Massive dimensions (more than {found['massive_times']:g} times the median): "
    if massive:
        named = {
            layer: ", ".join(f"{entry['dimension']} ({entry['ratio']:g} times)" for entry in entries) for layer, entries in massive.items()
        }
        text += "; ".join(f"layer {layer}: {listed}" for layer, listed in named.items())
        text += ", left out of the drawing and of nothing else. "
    else:
        text += "none. "
    if sinks:
        listed = ", ".join(f"{layer} ({ratio:.1f} times)" for layer, ratio in sinks.items())
        text += f"The first token's state is a sink (longer than {found['sink_times']:g} times the median token's) at layers {listed}; "
        return text + "it is no subject token, so no point here."
    return f"{text}The first token is no sink: at most {largest:.1f} times as long as the median token."
