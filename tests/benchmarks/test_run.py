import json

import pytest

from benchmarks.quality import PEERS, run
from edgeflow_med.errors import ModelError
from edgeflow_med.evaluation import Settings


def command(data, out, *more):
    return run.main(["--data", str(data), "--out", str(out), "--threads", "1", "--max-clicks", "2", *more])


def test_one_run_one_page(data, tmp_path, capsys):
    out = tmp_path / "out.json"
    assert command(data, out, "--peers", "random_walker", "--robots", "clicks,scribbles") == 0
    document = json.loads(out.read_text("utf-8"))
    assert list(document) == ["random walker (scikit-image)"]
    entry = document["random walker (scikit-image)"]
    assert entry["peer"]["code_licence"] == "BSD-3-Clause"
    assert [record["robot"] for record in entry["report"]["slices"]] == ["clicks", "scribbles"]
    assert entry["report"]["predictor"]["seen"] == PEERS["random_walker"].seen
    page = out.with_suffix(".md").read_text("utf-8")
    assert "## Clicks: means over data sets" in page
    assert "## Scribbles: means over data sets" in page
    assert page.strip() in capsys.readouterr().out
    assert not out.with_suffix(".parts").exists()


class Unloadable(run.Method):
    def load(self, threads):
        raise ModelError(f"{self.name} cannot be loaded on {threads} threads.")


@pytest.fixture
def stopped(data, tmp_path):
    """A run whose first method finished and whose second one failed."""
    out = tmp_path / "out.json"
    methods = [run.Method("random_walker", PEERS["random_walker"]), Unloadable("broken", None)]
    settings = Settings(robots=("clicks",), max_interactions=2, objects_per_set=0)
    with pytest.raises(ModelError):
        run.compare(methods, run.find_datasets(data), settings, out, threads=1)
    return out


def test_a_stopped_run_keeps_what_was_finished(data, stopped):
    part = stopped.with_suffix(".parts") / "random_walker.json"
    marked = json.loads(part.read_text("utf-8"))
    marked["slices"][0]["pixels"] = 12345
    part.write_text(json.dumps(marked), encoding="utf-8")
    assert command(data, stopped, "--peers", "random_walker") == 0
    document = json.loads(stopped.read_text("utf-8"))
    assert document["random walker (scikit-image)"]["report"]["slices"][0]["pixels"] == 12345


def test_parts_of_another_run_are_not_mixed_in(data, stopped, capsys):
    assert command(data, stopped, "--peers", "random_walker", "--seed", "1") == 2
    assert "belongs to a run with other settings; delete" in capsys.readouterr().err


def test_a_method_is_left_out_where_it_takes_nothing_the_robot_gives(data, tmp_path, capsys):
    assert command(data, tmp_path / "out.json", "--peers", "random_walker", "--robots", "box") == 2
    assert "No method takes what the robots give" in capsys.readouterr().err


def test_a_peer_of_boxes_gets_a_box_from_every_robot():
    method = run.Method("litemedsam", PEERS["litemedsam"])
    assert {kind.interactions for kind in method.robots().values()} == {2}
    assert run.Method("mobilesam", PEERS["mobilesam"]).robots()["clicks"].interactions == 1


def test_who_is_given_boxes():
    """Ours correct a box with clicks; of the peers only those that take boxes get any."""
    asked = Settings(robots=("clicks", "box", "boxes"))
    given = {"edgeflow_lite": ("clicks", "boxes"), "mobilesam": asked.robots, "random_walker": ("clicks",)}
    for name, robots in given.items():
        assert run.Method(name, PEERS.get(name)).settings(asked).robots == robots


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--peers", "nobody"], "Unknown peer 'nobody'"),
        ([], "Nothing to compare"),
        (["--peers", "random_walker", "--robots", "nobody"], "Unknown robot user 'nobody'"),
        (["--models", "no_such_model"], "no_such_model"),
    ],
)
def test_mistakes_are_one_line_and_status_2(data, tmp_path, capsys, arguments, reason):
    assert command(data, tmp_path / "out.json", *arguments) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_data_must_be_in_the_decathlon_layout(tmp_path, capsys):
    assert command(tmp_path, tmp_path / "out.json", "--peers", "random_walker") == 2
    assert "No dataset.json" in capsys.readouterr().err
