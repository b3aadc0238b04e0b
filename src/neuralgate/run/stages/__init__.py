"""The stages of a run, in their order; each is a file that says what it reads, what it writes and how."""

from neuralgate.run.stages.analyse import Analyse
from neuralgate.run.stages.base import Stage
from neuralgate.run.stages.choose import Choose
from neuralgate.run.stages.edit import Edit
from neuralgate.run.stages.evaluate import Evaluate
from neuralgate.run.stages.locate import Locate
from neuralgate.run.stages.pairs import Pairs
from neuralgate.run.stages.promise import Promise
from neuralgate.run.stages.rate import Rate
from neuralgate.run.stages.report import Report

STAGES: tuple[Stage, ...] = (Pairs(), Rate(), Locate(), Choose(), Analyse(), Edit(), Evaluate(), Promise(), Report())
