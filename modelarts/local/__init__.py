"""The service on this machine: the ModelArts API, with real TensorBoard and real trainings.

``modelarts serve`` runs it in the foreground, ``Session.local()`` joins it or starts it in the
background. It needs the extra ``modelarts[local]``, Python 3.9 and a POSIX system.

From top to bottom; a package imports from those below it:

==============  ==============================================================
``server``      the process: start, lock of the root folder, addresses, logs
``web``         the WSGI application: REST v1 and v2, IAM, the boards, the console
``obs_api``     OBS's REST API over the buckets of the service
``operations``  the operations on boards, for every API that offers them
``training``    trainings: their definition, their queue and their end
``boards``      the processes of boards, their confinement and supervision
``logs``        the folders that boards read, and mirrors of OBS
``jobs``        the job table, and the clock of the jobs
``identity``    users, passwords, and the authentication of requests
``engine``      processes that outlive the service
``database``    what keeps the jobs: a file of SQLite, or a PostgreSQL server
``errors``      refusals, in the form of the service, its gateway and IAM
``files``       files that hold secrets
==============  ==============================================================
"""
