"""What every verb leaves on disk besides its product: provenance, digests, seeds, and writes that never end halfway."""

from roadstill.runs.classes import same_classes, same_rows
from roadstill.runs.configs import Range, check_ranges, config_of
from roadstill.runs.digests import digest_code, digest_file, digest_of, seed_of
from roadstill.runs.files import (
    append_line,
    atomic_path,
    folder_name,
    renewed_parts,
    require_file,
    require_folder,
    require_own,
    require_own_file,
)
from roadstill.runs.leftovers import remove, state_beside
from roadstill.runs.locks import held, hold, holding, scratch_folder, share
from roadstill.runs.records import (
    ClassNames,
    Count,
    Digest,
    Pixels,
    Record,
    WithClasses,
    parse_json,
    read_json,
    read_record,
    read_rows,
    typed,
    with_seal,
    without_seal,
    write_json,
)
from roadstill.runs.settings import check_groups, group, grouped_name, later, plain, regrouped
from roadstill.runs.stages import Stage, read_metrics, versions
from roadstill.runs.yamls import parse_yaml, read_yaml

__all__ = [
    "ClassNames",
    "Count",
    "Digest",
    "Pixels",
    "Range",
    "Record",
    "Stage",
    "WithClasses",
    "append_line",
    "atomic_path",
    "check_groups",
    "check_ranges",
    "config_of",
    "digest_code",
    "digest_file",
    "digest_of",
    "folder_name",
    "group",
    "grouped_name",
    "held",
    "hold",
    "holding",
    "later",
    "parse_json",
    "parse_yaml",
    "plain",
    "read_json",
    "read_metrics",
    "read_record",
    "read_rows",
    "read_yaml",
    "regrouped",
    "remove",
    "renewed_parts",
    "require_file",
    "require_folder",
    "require_own",
    "require_own_file",
    "same_classes",
    "same_rows",
    "scratch_folder",
    "seed_of",
    "share",
    "state_beside",
    "typed",
    "versions",
    "with_seal",
    "without_seal",
    "write_json",
]
