"""The service on this machine: the ModelArts API for visualization jobs, with real TensorBoard.

``modelarts serve`` runs it in the foreground, ``Session.local()`` joins it or starts it in the
background. It needs the extra ``modelarts[local]``, Python 3.9 and a POSIX system.

=================  ==========================================================
``discovery``      finds or starts the service of a folder
``server``         its life: lock, port, ``service.json``, signals
``app``            which path leads where
``iam``            ``/v3``: tokens and projects
``api``            ``/v1/{project_id}/visualization-jobs``
``operations``     what those seven operations do
``store``          the jobs, in SQLite
``schema``         its file: checked, and brought up to the version known here
``wal``            whether SQLite's write-ahead log is whole
``timeline``       what time it is for the jobs
``supervisor``     the boards: starts, watches and ends them
``work``           what is done in the background, and again where it failed
``processes``      their processes
``board``          one board: TensorBoard in a process of its own
``warm``           what all boards share
``testclock``      ``/local/clock``, for tests
``pages``          the boards' pages under ``service_url``
=================  ==========================================================
"""
