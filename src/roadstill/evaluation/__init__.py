"""Honest evaluation: metrics, runs, comparisons that account for noise, and the ledger of the test set."""

from roadstill.evaluation.budget import SetBytes, set_bytes
from roadstill.evaluation.compare import Comparison, compare
from roadstill.evaluation.leaks import trained_on
from roadstill.evaluation.ledger import LEDGER, note_outcome, open_dev, open_test, read_ledger
from roadstill.evaluation.metrics import Evaluation, Predictor, check_fits, evaluate, score
from roadstill.evaluation.ranking import augmentation_robust_score, label_robust_score
from roadstill.evaluation.records import RECORDS, enter, read_book, seal
from roadstill.evaluation.run_files import arm_name, check_runs, list_runs, open_run, open_runs, unentered
from roadstill.evaluation.runs import FILES as RUN_FILES
from roadstill.evaluation.runs import Run, by_arm, number_sets, refined_caveat, run_of
from roadstill.evaluation.selftest import prove
from roadstill.evaluation.sets import compare_networks, compare_sets, refiners_of
from roadstill.evaluation.summary import ArmSummary, Budget
from roadstill.evaluation.verdicts import Verdict

__all__ = [
    "LEDGER",
    "RECORDS",
    "RUN_FILES",
    "ArmSummary",
    "Budget",
    "Comparison",
    "Evaluation",
    "Predictor",
    "Run",
    "SetBytes",
    "Verdict",
    "arm_name",
    "augmentation_robust_score",
    "by_arm",
    "check_fits",
    "check_runs",
    "compare",
    "compare_networks",
    "compare_sets",
    "enter",
    "evaluate",
    "label_robust_score",
    "list_runs",
    "note_outcome",
    "number_sets",
    "open_dev",
    "open_run",
    "open_runs",
    "open_test",
    "prove",
    "read_book",
    "read_ledger",
    "refined_caveat",
    "refiners_of",
    "run_of",
    "score",
    "seal",
    "set_bytes",
    "trained_on",
    "unentered",
]
