"""The cost of the SDK next to its peers: ``python -m benchmarks [service] [--quick] [--json]``.

==============  ==================================================================
``answers``     what the loopback server answers
``server``      the loopback server, in a process of its own
``peers``       the clients that are compared, each as one function to call
``worker``      the process in which one peer runs
``rounds``      lets workers take turns and compares what each spent
``imports``     what interpreters spend on imports and on a first call
``memory``      what a list of all jobs holds
``tables``      which comparisons are made, and the figures they must show
``report``      the table that is printed
``served``      a local service in a process of its own, and what it spends
``service``     the local service beside TensorBoard by itself
``kills``       kills of the local service while clients use it
``compare``     the way to a curve beside that of peers
==============  ==================================================================

See ``docs/performance.md``.
"""
