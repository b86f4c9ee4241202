"""The trainings: losses, schedules, teachers, the loop. An edit here retrains."""
