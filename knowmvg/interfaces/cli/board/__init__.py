"""The parts of ``knowmvg leaderboard``: its rows, what they are asked, and what an answer costs."""
