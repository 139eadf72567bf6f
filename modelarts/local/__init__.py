"""The service on this machine: the ModelArts API for visualization jobs, with real TensorBoard.

``modelarts serve`` runs it in the foreground, ``Session.local()`` joins it or starts it in the
background. It needs the extra ``modelarts[local]``, Python 3.9 and a POSIX system.

==================  ==========================================================
``discovery``       finds or starts the service of a folder
``control``         says how it is, and ends it
``server``          its life: port, ``service.json``, signals
``held``            whose a folder is, and how long
``settings``        what its owner can choose
``network``         where it listens, and whether that is safe
``tls``             the same with TLS
``log``             ``service.log``
``app``             which path leads where
``openapi``         what the service offers, as a document
``incoming``        how requests are read off the wire
``guard``           what no request gets past
``reach``           under which names it is reached
``authentication``  who sent a request
``users``           who may, with their projects and keys
``accounts``        the file that they are kept in
``private``         files that hold secrets
``logins``          passwords
``limits``          how often one may call
``iam``             ``/v3``: tokens and projects
``api``             ``/v1/{project_id}/visualization-jobs``
``operations``      what those seven operations do
``store``           the jobs, in SQLite
``schema``          its file: checked, and brought up to the version known here
``wal``             whether SQLite's write-ahead log is whole
``timeline``        what time it is for the jobs
``testclock``       ``/local/clock``, for tests
``supervisor``      the boards: starts, watches and ends them
``watcher``         the thread that notices what happens by itself
``work``            what is done in the background, and again where it failed
``processes``       their processes
``folders``         which folder a job's board reads
``mirrors``         copies of what running jobs read in OBS
``mirror``          one such copy
``wanted``          which objects it has
``remote``          OBS, as far as that needs it
``confined``        what the process of a board does before all else
``board``           one board: TensorBoard in a process of its own
``warm``            what all boards share
``mindinsight``     one board: MindInsight in processes of its own
``guardian``        ends those processes with the board
``pages``           the boards' pages under ``service_url``
``headers``         what passes between a board and its visitors
``objects``         buckets and objects, for OBS's API
``objects_uploads`` uploads in parts
``objects_sums``    checksums of all of them
``objects_server``  the server of that API
``objects_api``     its WSGI application
``objects_auth``    who sent it a request, and what is asked
``objects_calls``   what its calls do
``objects_parts``   those of them about uploads in parts
``objects_sent``    bodies, numbers and conditions of a request
``objects_xml``     its answers
``failures``        a refusal, in the form that the service gives it
==================  ==========================================================
"""
