"""What a simulated drive of four seconds is worth, judged as NAVSIM judges it; other road users replay their log."""

from roadstill.driving.scoring.ground import Ground, Places
from roadstill.driving.scoring.scene import Red, Scene
from roadstill.driving.scoring.scores import Scores, score
from roadstill.driving.scoring.tracks import AGENTS, Seen, Tracks

__all__ = ["AGENTS", "Ground", "Places", "Red", "Scene", "Scores", "Seen", "Tracks", "score"]
