"""The service on this machine: the ModelArts API for visualization jobs, with real TensorBoard.

``modelarts serve`` runs it in the foreground, ``Session.local()`` joins it or starts it in the
background. It needs the extra ``modelarts[local]``, Python 3.9 and a POSIX system.

==================  ==================================================="""
