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
``supervisor``     the boards: starts, watches and ends their processes
``board``          one board: TensorBoard in a process of its own
``mindinsight``    one board: MindInsight in processes of its own
``guardian``       ends those with whatever started them
``folders``        which folder a board reads: one below ``obs``,
``mirrors``        or a mirror of what is in OBS, for each running job
``mirror``         one of them, brought up to date
``wanted``         which objects are mirrored
``remote``         reads them with the official client
``pages``          the boards' pages under ``service_url``
=================  ==========================================================
"""
