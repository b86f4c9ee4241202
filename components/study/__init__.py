"""The study of the paper's claims: its rows, a run, the statistics, the page. docs/study.md says what and why."""
