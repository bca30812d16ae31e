"""The leaderboard: models by their figures on one data set, several seeds each; a file that grows, and its tables."""
