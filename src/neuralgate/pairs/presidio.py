"""Presidio's recognisers of private data by patterns, without a language model: card numbers, passports, tax numbers, plates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuralgate.errors import UserError
from neuralgate.pairs.boxes import BOXES, Box, write_boxes
from neuralgate.pairs.images import SUFFIXES, open_image


def recognizers(languages: Sequence[str]) -> list[Any]:
    """Those of these languages.

    Raises:
        UserError: presidio is not installed, or speaks none of the languages.
    """
    try:
        from presidio_analyzer import PatternRecognizer, predefined_recognizers
    except ImportError as error:
        raise UserError("Patterns of private data are presidio's: pip install 'neuralgate[filter]', or give patterns.") from error

    kinds = [kind for kind in vars(predefined_recognizers).values() if isinstance(kind, type) and issubclass(kind, PatternRecognizer)]
    found = [one for one in (kind() for kind in kinds if kind is not PatternRecognizer) if one.supported_language in languages]
    if not found:
        raise UserError(f"Presidio has no patterns of {', '.join(languages)}; name languages by two letters, as en.")
    return found


def image_analyzer(language: str) -> Any:
    """Reads a picture's text with tesseract and looks for presidio's patterns in it. Names without a pattern need a language model, which
    is left out: what is found is a lower bound.

    Raises:
        UserError: presidio's image redactor or tesseract is not installed; see :func:`recognizers`.
    """
    known = recognizers([language])
    try:
        import pytesseract
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from presidio_image_redactor import ImageAnalyzerEngine
    except ImportError as error:
        raise UserError(
            "Finding private values in pictures needs presidio's image redactor: pip install 'neuralgate[redaction]'."
        ) from error
    try:
        pytesseract.get_tesseract_version()
    except pytesseract.TesseractNotFoundError as error:
        raise UserError("Finding private values in pictures needs tesseract, which reads them: apt install tesseract-ocr.") from error
    words = SpacyNlpEngine(models=[{"lang_code": language, "model_name": "none"}])
    words.nlp = {language: spacy.blank(language)}
    registry = RecognizerRegistry(recognizers=known, supported_languages=[language])
    return ImageAnalyzerEngine(AnalyzerEngine(registry=registry, nlp_engine=words, supported_languages=[language]))


def detect_boxes(folder: Path, language: str = "en", score: float = 0.3) -> dict[str, list[Box]]:
    """Write ``boxes.json`` beside the pictures in ``folder``: where presidio finds private data with at least the confidence ``score``.
    Returns what it wrote.

    Raises:
        UserError: there is one already, there is no picture, nothing is found in any, or see :func:`image_analyzer`.
    """
    if (folder / BOXES).exists():
        raise UserError(f"{folder / BOXES} is there already; put it aside if presidio shall write another.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise UserError(f"{folder} holds no picture.")
    analyzer, found = image_analyzer(language), dict[str, list[Box]]()
    for path in files:
        image = open_image(path)
        width, height = image.size
        found[path.name] = [
            (one.left / width, one.top / height, min(1.0, (one.left + one.width) / width), min(1.0, (one.top + one.height) / height))
            for one in analyzer.analyze(image, language=language)
            if one.score >= score
        ]
    if not any(found.values()):
        raise UserError(f"Presidio finds nothing private in the {len(files)} pictures of {folder}, so nothing would be blackened.")
    write_boxes(folder, found)
    return found
