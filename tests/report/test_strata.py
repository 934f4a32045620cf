from roadstill.report.strata import tables


def arm(**strata):
    return {"strata": strata}


def stratum(images, mean, classes=None, values=()):
    return {
        "images": images,
        "balanced_accuracy": {"mean": mean, "sd": 0.1, "values": list(values)},
        "classes": classes,
    }


def test_few_frames_of_one_class_are_marked_and_many_of_another_do_not_help():
    both = {"brake": 9, "not_brake": 500}
    (table,) = tables([arm(light={"day": stratum(509, 0.8, both), "dusk": stratum(20, 0.7, dict.fromkeys(both, 10))})])
    assert [(row.name, row.few, row.only) for row in table.rows] == [("day", True, ""), ("dusk", False, "")]
    assert table.measure == "Balanced accuracy"


def test_single_classes_get_another_name():
    alone = {"stop": stratum(30, 0.8, {"brake": 30}), "road": stratum(40, 0.7, {"not_brake": 40})}
    mixed = alone | {"curve": stratum(50, 0.7, {"brake": 20, "not_brake": 30})}
    assert tables([arm(cause=alone)])[0].measure == "Share of right answers"
    assert tables([arm(cause=mixed)])[0].measure.startswith("Balanced accuracy, or of a single class")
    assert tables([arm(cause=alone)])[0].rows[1].only == "brake"


def test_records_without_classes_claim_no_balanced_accuracy():
    (table,) = tables([arm(light={"day": stratum(300, 0.8), "night": stratum(19, 0.8)})])
    assert [row.few for row in table.rows] == [False, True]
    assert table.measure.startswith("Accuracy, mean over the classes that occur")


def test_location_and_town_share_a_table_and_rows_of_equal_figures():
    one, two = stratum(60, 0.8, {"brake": 60}, [0.7, 0.9]), stratum(40, 0.7, {"brake": 40}, [0.6, 0.8])
    same = arm(location={"a": one, "b": two}, town={"c": one, "d": two}, light={"e": one, "f": two})
    assert [(table.kind, [row.name for row in table.rows]) for table in tables([same])] == [
        ("location and town", ["a / c", "b / d"]),
        ("light", ["e", "f"]),
    ]
    parts = [stratum(20, 0.7, {"brake": 20}, [0.6, 0.8]), stratum(20, 0.7, {"brake": 20}, [0.5, 0.9])]
    (table,) = tables([arm(location={"a": one, "b": two}, town={"c": one, "d": parts[0], "e": parts[1]})])
    assert [(row.name, row.images) for row in table.rows] == [("a / c", 60), ("b", 40), ("d", 20), ("e", 20)]
    assert [table.kind for table in tables([arm(location={"a": one}, town={"c": one, "d": two})])] == ["town"]


def test_a_kind_of_one_name_is_no_table():
    assert tables([arm(light={"day": stratum(300, 0.8)})]) == []
    assert tables([]) == []
