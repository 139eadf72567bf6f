"""The life of a service: its port, ``service.json``, and its end."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sqlite3
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from waitress.server import BaseWSGIServer, create_server

from modelarts._internal.clock import Clock
from modelarts._internal.disk import make_folder
from modelarts.errors import ConfigurationError
from modelarts.local.boards import landlock
from modelarts.local.boards.confinement import Confiner
from modelarts.local.boards.mindinsight import MindInsight
from modelarts.local.boards.supervisor import Supervisor
from modelarts.local.database.base import Database
from modelarts.local.database.front_ends import FrontEnds, OnlyFrontEnd, SharedFrontEnds
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.engine.base import Limits, TrainingEngine
from modelarts.local.engine.cluster import Cluster, ClusterError
from modelarts.local.engine.cluster_trainings import ClusterTrainings
from modelarts.local.engine.machine import Machine
from modelarts.local.identity.authentication import KEPT_SECONDS, Authentication
from modelarts.local.identity.buckets import BucketAccess, BucketsFile
from modelarts.local.identity.passwords import MAX_WRONG, WRONG_PER_SECOND, Logins
from modelarts.local.identity.rate_limit import Limit, Rate, ReplayCheck
from modelarts.local.identity.sessions import BrowserSessions, Sessions
from modelarts.local.identity.users import OWNER, Users
from modelarts.local.identity.users_file import Accounts, prepare
from modelarts.local.jobs.clock import (
    MovableClock,
    ServiceClock,
    SharedMovableClock,
    SharedTimeline,
    Timeline,
)
from modelarts.local.jobs.shares import Shares
from modelarts.local.jobs.store import Store, StoreFailure
from modelarts.local.logs.mounts import Mount, MountedLogs, mount_option
from modelarts.local.logs.source import LocalFolders, LogSource
from modelarts.local.obs_api.app import ObjectsApi
from modelarts.local.obs_api.server import ObjectsServer
from modelarts.local.obs_api.storage import Objects
from modelarts.local.operations import Operations
from modelarts.local.server.identity import service_id
from modelarts.local.server.launcher import STAY, ServiceFile
from modelarts.local.server.lock import end_when_unused, take
from modelarts.local.server.logs import bound_files, open_log
from modelarts.local.server.memory import use_few_arenas
from modelarts.local.server.network import Network, listen, url_of
from modelarts.local.server.settings import Settings
from modelarts.local.training.datasets import Datasets
from modelarts.local.training.machine_types import MachineTypes
from modelarts.local.training.operations import Trainings
from modelarts.local.training.store import TrainingStore
from modelarts.local.training.supervisor import TrainingSupervisor
from modelarts.local.training.workspace import Workspaces
from modelarts.local.web.app import App
from modelarts.local.web.boards import MOST_OPEN, Pages
from modelarts.local.web.clock import TestClock
from modelarts.local.web.console.entry import Console
from modelarts.local.web.console.parts import Parts
from modelarts.local.web.hosts import CONSOLE, Reach
from modelarts.local.web.iam import Iam
from modelarts.local.web.obs_keys import ObsKeysApi
from modelarts.local.web.shares import ShareApi
from modelarts.local.web.trainings import LogLinks
from modelarts.local.web.v1 import Api
from modelarts.local.web.v2 import TrainingJobs
from modelarts.local.web.waitress import MAX_BODY_IN_MEMORY, Channel

if TYPE_CHECKING:
    from modelarts.local.server.tls import TlsServer

_LOG = logging.getLogger("modelarts.local")
#: As many requests for pages may come from one address; a page is a few dozen of them.
_PAGES = 500.0
#: So many links to boards that do not work one address may try at once, and then a second.
_MAX_GUESSES = 60.0
_GUESSES = 1.0
#: Bytes; more than any call of the API or of a board has.
_MOST_BODY = 1024 * 1024
_MOST_HEADERS = 32 * 1024
_MOST_CONNECTIONS = 1000
_MOST_FILES = 8192
#: So many trainings of a project may wait or run.
_MAX_TRAININGS = 1000
_NO_TRAININGS = (
    "This service reads its logs from OBS (--obs-endpoint), and trainings need buckets on this "
    "machine: it runs none."
)
#: The setting with the folder that front ends have in common.
_SHARED = "shared"
_THREADS = MOST_OPEN + 8  # whatever the boards do, some are left for the API


def serve(root: Path, settings: Settings) -> None:
    """Serve ``root`` until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: it cannot be served; the message says why.
    """
    # Keys, logs and addresses of boards are nobody else's business.
    os.umask(0o077)
    use_few_arenas()
    _allow_many_files()
    if settings.obs_api is not None and settings.source is not None:
        raise ConfigurationError(
            "--obs-api offers the folder ROOT/obs, and with --obs-endpoint that is not used: "
            "give one of them"
        )
    shared = _shared(root, settings)
    mounts = _mounts(shared, settings)
    # Those of a cluster are not known yet.
    types, datasets = _types(settings, None if settings.ray_address is None else 1)
    uploads = shared / "uploads"  # on the file system of the buckets
    offered = [] if settings.obs_api is None else [uploads]
    for folder in (root, shared, shared / "obs", shared / "logs", *offered):
        try:
            make_folder(str(folder))
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from None
    file = ServiceFile(root)
    lock = take(root, file)
    store: Store | None = None
    try:
        try:
            # Left by one that was killed.
            (root / STAY).unlink(missing_ok=True)
            open_log(root / "service.log")
            settings.network.check()
            # First: where another version wrote it, nothing is changed.
            store = Store(_database(root, settings))
            accounts = Accounts(settings.users or prepare(root))
            accounts.users()
            buckets_file = BucketsFile(shared)
            buckets_file.current()
        except (sqlite3.Error, ValueError, OSError) as error:
            raise ConfigurationError(f"{root} cannot be served: {error}") from None
        # No file beside the program that started it is a module of the service.
        os.chdir(root)
        data = _Data(root, shared, mounts, uploads, types, datasets, store, accounts, buckets_file)
        try:
            with ExitStack() as open_ones:
                _run(_build(data, settings, open_ones), file, root, settings)
        except StoreFailure as failure:
            raise ConfigurationError(f"{root} cannot be served: {failure.__cause__}") from None
        except OSError as error:
            raise ConfigurationError(f"{root} cannot be served: {error}") from None
    finally:
        if store is not None:
            store.close()
        os.close(lock)


class _Data(NamedTuple):
    """The folders and files of a service, and the kinds of its trainings."""

    root: Path
    shared: Path
    mounts: dict[str, Mount]
    uploads: Path
    types: MachineTypes
    datasets: Datasets
    store: Store
    accounts: Accounts
    buckets_file: BucketsFile


class _Service(NamedTuple):
    """The parts of a service that begin and end."""

    app: App
    supervisor: Supervisor
    trainings: TrainingSupervisor
    front_ends: FrontEnds
    database: Database
    listening: socket.socket
    #: The content of ``service.json``.
    connection: dict[str, Any]


def _build(data: _Data, settings: Settings, open_ones: ExitStack) -> _Service:
    """Make the parts of a service, and listen; nothing is answered yet.

    Raises:
        ConfigurationError: a setting cannot be used; so do StoreFailure and OSError.
    """
    root, shared, mounts, uploads, types, datasets, store, accounts, buckets_file = data
    front_ends = _front_ends(store.database, root)
    open_ones.callback(front_ends.close)
    movable = _movable(settings, store, front_ends)
    clock = movable or ServiceClock()
    network, source = settings.network, settings.source
    plain, tls = _listen(network, store, open_ones)
    reach = network.reach(url_of(plain, "http", _plain_host(network)))
    folders = _folders(shared, settings, mounts)
    confiner = _confiner(root, settings, accounts)
    _check_shared(settings, store, front_ends)
    own_id = service_id(root, settings, store, front_ends)
    cluster = _cluster(root, settings, own_id, open_ones)
    training_engine: TrainingEngine = Machine()
    if cluster is not None:
        types, _ = _types(settings, _gpus(cluster))
        training_engine = ClusterTrainings(cluster, settings.training_memory or 0)
    timeline = _timeline(store, clock, front_ends)
    mindinsight = MindInsight(settings.mindinsight, root / "mindinsight")
    supervisor = Supervisor(
        store,
        folders,
        mindinsight,
        shared / "logs",
        timeline,
        settings.board_memory,
        settings.sleep_after,
        settings.stop_after,
        confiner,
        front_ends,
        cluster,
        settings.load_late,
    )
    # Clients have real time, which the test clock does not move.
    common = _common(store.database, clock, timeline)
    authentication = Authentication(accounts, clock, settings.rate, Clock(), common.replays)
    buckets = BucketAccess(accounts, buckets_file)
    operations = Operations(store, supervisor, folders, mindinsight, buckets, settings.max_running)
    workspaces = Workspaces(shared, folders)
    training_store = TrainingStore(store)
    runner = TrainingSupervisor(
        training_store,
        training_engine,
        workspaces,
        types,
        timeline,
        _max_trainings(settings),
        Limits(settings.training_memory or _max_memory()),
        front_ends,
    )
    trainings = Trainings(
        training_store,
        runner,
        workspaces,
        types,
        datasets,
        timeline,
        buckets,
        _MAX_TRAININGS,
        _NO_TRAININGS if source is not None else None,
    )
    api = Api(operations, authentication, reach)
    links = LogLinks(clock)
    shares = Shares(store, timeline, settings.max_share_hours, settings.max_shares)
    pages = Pages(
        operations,
        supervisor,
        shares,
        reach,
        Rate(_PAGES, 10 * _PAGES, Clock()),
        Rate(_GUESSES, _MAX_GUESSES, Clock()),
    )
    logins = Logins(clock, common.wrong_passwords)
    console = Console(
        Parts(
            operations,
            supervisor,
            trainings,
            accounts,
            authentication,
            logins,
            common.sessions,
            reach,
            clock,
            own_id,
            shared,
            _limits(settings),
            shares,
        )
    )
    app = App(
        api,
        TrainingJobs(api, operations, supervisor.log, trainings, links),
        Iam(authentication, reach, logins),
        pages,
        reach,
        links,
        ShareApi(api, operations, shares),
        TestClock(movable, supervisor, runner, authentication, front_ends.announce)
        if movable
        else None,
        ObsKeysApi(settings.obs_keys, authentication) if settings.obs_keys else None,
        console,
    )
    if tls is not None:
        open_ones.callback(_serve_tls(app, tls, network).close)
    objects = None
    if settings.obs_api is not None:
        objects = _listen_objects(network, settings.obs_api, store, open_ones)
        objects_api = _objects_api(
            _objects(shared, uploads, settings, front_ends),
            authentication,
            buckets,
            folders,
            reach,
            settings.rate,
        )
        server = ObjectsServer(objects_api, objects, uploads, _most_connections(200))
        open_ones.callback(server.close)
        server.start()
    obs = source.endpoint if source else (shared / "obs").resolve().as_uri()
    connection = _connection(accounts.users(), reach.local, obs)
    if settings.obs_keys is not None:
        connection["obs_keys_sent"] = True
    if settings.database is not None:
        connection["database"] = store.database.name
    if objects is not None:
        address = url_of(objects, "http", _plain_host(network))
        connection["obs_http_endpoint"] = address
        _LOG.info("the OBS API is at %s", address)
    if settings.show_link is not None:
        owner = accounts.users().by_name.get(OWNER)
        link = CONSOLE if owner is None else console.link(owner)
        settings.show_link((reach.public or reach.local) + link, owner is not None)
    return _Service(app, supervisor, runner, front_ends, store.database, plain, connection)


def _shared(root: Path, settings: Settings) -> Path:
    """Return the folder with the logs and the trainings.

    Raises:
        ConfigurationError: options do not go together.
    """
    is_common = settings.ray_address is not None and settings.database is not None
    if is_common and settings.shared is None:
        raise ConfigurationError(
            "--ray-address and --database together need --shared DIR, a folder that all front ends "
            "and all nodes of the cluster have at the same path"
        )
    if settings.shared is None:
        return root
    if not is_common:
        raise ConfigurationError("--shared needs both --ray-address and --database")
    paths = [Path(os.path.realpath(folder)) for folder in (root, settings.shared)]
    if paths[0] in (paths[1], *paths[1].parents) or paths[1] in paths[0].parents:
        raise ConfigurationError(
            f"--shared {settings.shared}: it must be neither ROOT, {root}, nor in it or above it"
        )
    return settings.shared


def _check_shared(settings: Settings, store: Store, front_ends: FrontEnds) -> None:
    """Record the folder that front ends have in common, and check that they have the same.

    Raises:
        ConfigurationError: another front end has another folder.
    """
    if settings.shared is None:
        return
    theirs = store.setting(_SHARED)
    if theirs is None or front_ends.is_first:
        store.keep_setting(_SHARED, str(settings.shared))
    elif theirs != str(settings.shared):
        raise ConfigurationError(
            f"--shared {settings.shared}: the other front ends of the database have {theirs}"
        )


def _database(root: Path, settings: Settings) -> Database:
    """Open the database of the jobs.

    Raises:
        ConfigurationError: it cannot be used; so do ValueError and sqlite3.Error.
    """
    if settings.database is None:
        return SqliteDatabase(root / "jobs.sqlite")
    try:
        from modelarts.local.database.postgres import PostgresDatabase
    except ImportError as error:
        raise ConfigurationError(
            f"--database needs one more package ({error}): pip install 'modelarts[local,postgres]'"
        ) from None
    database = PostgresDatabase(settings.database)
    _LOG.info("the jobs are in the %s", database.name)
    return database


def _front_ends(database: Database, root: Path) -> FrontEnds:
    if not database.is_shared:
        return OnlyFrontEnd()
    from modelarts.local.database.postgres import PostgresDatabase

    assert isinstance(database, PostgresDatabase)
    try:
        return SharedFrontEnds(database, f"{socket.gethostname()}:{root}")
    except ValueError as error:
        raise ConfigurationError(f"--database: {error}") from None


def _movable(settings: Settings, store: Store, front_ends: FrontEnds) -> MovableClock | None:
    if settings.test_clock is None:
        return None
    if not store.database.is_shared:
        return MovableClock(settings.test_clock)
    return SharedMovableClock(store, settings.test_clock, front_ends.is_first)


def _timeline(store: Store, clock: ServiceClock, front_ends: FrontEnds) -> Timeline:
    if not store.database.is_shared:
        return Timeline(store, clock)
    return SharedTimeline(store, clock, lambda: front_ends.is_leader, front_ends.is_first)


class _Common(NamedTuple):
    """The sessions and counts that all front ends have in common; None: each has its own."""

    sessions: Sessions
    replays: ReplayCheck | None
    wrong_passwords: Limit | None


def _common(database: Database, clock: ServiceClock, timeline: Timeline) -> _Common:
    if not database.is_shared:
        return _Common(BrowserSessions(clock), None, None)
    from modelarts.local.identity.shared import SharedRate, SharedReplays, SharedSessions

    return _Common(
        SharedSessions(database, timeline.passed),
        SharedReplays(database, KEPT_SECONDS),
        SharedRate(database, WRONG_PER_SECOND, MAX_WRONG, timeline.passed),
    )


def _most_connections(most: int) -> int:
    """Return how many connections a server may have, which leave descriptors for all else."""
    return min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


def _allow_many_files() -> None:
    """Connections and boards together may be more than what is usual for a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _listen(
    network: Network, store: Store, open_ones: ExitStack
) -> tuple[socket.socket, socket.socket | None]:
    """Return the socket for plain HTTP, and the one for TLS; plain HTTP is on loopback then."""
    listening = listen(network.host, network.port, int(store.setting("port") or 0))
    open_ones.enter_context(listening)
    store.keep_setting("port", str(listening.getsockname()[1]))
    if network.certificate is None:
        return listening, None
    plain = listen(_plain_host(network), 0, int(store.setting("plain_port") or 0))
    open_ones.enter_context(plain)
    store.keep_setting("plain_port", str(plain.getsockname()[1]))
    return plain, listening


def _listen_objects(
    network: Network, port: int, store: Store, open_ones: ExitStack
) -> socket.socket:
    """Return the socket of the OBS API, which is plain HTTP, so on loopback if there is TLS."""
    listening = listen(_plain_host(network), port, int(store.setting("obs_port") or 0))
    open_ones.enter_context(listening)
    store.keep_setting("obs_port", str(listening.getsockname()[1]))
    return listening


def _objects(shared: Path, uploads: Path, settings: Settings, front_ends: FrontEnds) -> Objects:
    """Return the buckets and objects, without what killed services have left of others."""
    locks = None if settings.shared is None else shared / "locks"
    objects = Objects((shared / "obs").resolve(), uploads, Clock(), locks)
    if front_ends.is_first:
        objects.uploads.clear()
        Thread(target=_clear_copies, args=(objects, Clock().time()), daemon=True).start()
    return objects


def _objects_api(
    objects: Objects,
    authentication: Authentication,
    buckets: BucketAccess,
    folders: LogSource,
    reach: Reach,
    rate: float,
) -> ObjectsApi:
    return ObjectsApi(
        objects,
        authentication,
        buckets,
        folders.has_bucket,
        reach,
        Rate(rate, 10 * rate, Clock()),
        Clock(),
    )


def _clear_copies(objects: Objects, before: float) -> None:
    """Beside all else, as there may be very many files to look at."""
    removed = objects.clear(before)
    if removed:
        _LOG.info("%d objects that were never whole were removed", removed)


def _plain_host(network: Network) -> str:
    return network.host if network.certificate is None else "127.0.0.1"


def _serve_tls(app: App, listening: socket.socket, network: Network) -> TlsServer:
    try:
        from modelarts.local.server.tls import TlsServer
    except ImportError as error:
        raise ConfigurationError(
            f"TLS needs one more package ({error}): pip install 'modelarts[local,tls]'"
        ) from None
    assert network.certificate is not None
    server = TlsServer(app, listening, network.certificate, _THREADS, _MOST_BODY)
    server.start()
    _LOG.info("TLS is spoken at %s", url_of(listening, "https", network.host))
    return server


def _run(service: _Service, file: ServiceFile, root: Path, settings: Settings) -> None:
    app, supervisor, trainings, front_ends, database, listening, connection = service
    # Behind a proxy on this machine, callers are told apart by what it says of them.
    behind: dict[str, Any] = {
        "trusted_proxy": "127.0.0.1",
        "trusted_proxy_headers": {"x-forwarded-for"},
    }
    server = create_server(
        app,
        sockets=[listening],
        threads=_THREADS,
        max_request_body_size=_MOST_BODY,
        max_request_header_size=_MOST_HEADERS,
        connection_limit=_most_connections(_MOST_CONNECTIONS),
        channel_timeout=60,
        inbuf_overflow=MAX_BODY_IN_MEMORY,
        outbuf_overflow=MAX_BODY_IN_MEMORY,
        asyncore_use_poll=True,  # select() knows no descriptor beyond 1023
        ident=None,
        clear_untrusted_proxy_headers=True,
        **(behind if settings.network.public is not None else {}),
    )

    is_leaving = False

    def leave(number: int, frame: FrameType | None) -> None:
        # Who asks twice interrupts what the first one does, which may hold locks.
        nonlocal is_leaving
        if is_leaving:
            return
        is_leaving = True
        supervisor.expect_end()
        database.hurry()
        # At once: the server waits for its requests, and those may wait for boards that hang.
        Thread(target=supervisor.close, name="close").start()
        sys.exit(0)

    cast(BaseWSGIServer, server).channel_class = Channel
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    ended = Event()
    try:
        supervisor.open()
        trainings.open()

        def look() -> None:
            supervisor.wake()
            trainings.look()

        front_ends.start(look)
        file.write(connection)
        if settings.while_used:
            unused = (root, trainings.has_any)
            Thread(target=end_when_unused, args=unused, daemon=True).start()
        bound_files((settings.shared or root) / "logs", ended)
        address = connection["modelarts_endpoint"]
        _LOG.info("serving %s at %s (process %d)", root, address, os.getpid())
        server.run()  # ends by SystemExit, which it takes as its end
    except SystemExit:
        pass  # asked to end while it began
    finally:
        is_leaving = True
        ended.set()
        file.remove()
        (root / STAY).unlink(missing_ok=True)
        trainings.close()
        supervisor.close()
        server.close()
        _LOG.info("ended; %s keeps its jobs", root)
        # While the interpreter ends no handler of ours is called any more.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def _confiner(root: Path, settings: Settings, accounts: Accounts) -> Confiner:
    """How boards are confined; raises ConfigurationError where that is too little for its users."""
    shared = accounts.users().is_shared
    by_kernel = not settings.unconfined_boards
    if by_kernel and not landlock.abi():
        if shared or not settings.network.is_local():
            raise ConfigurationError(
                "this system cannot confine boards to the logs of their jobs (Landlock: Linux 5.13 "
                "and newer), so whoever can write logs could read files of other users. Run the "
                "service on such a system, or accept that with --unconfined-boards"
            )
        _LOG.warning("this system has no Landlock: boards are confined by their own code only")
    elif not by_kernel:
        _LOG.warning("boards are confined by their own code only (--unconfined-boards)")
    on_cluster, front_end = settings.ray_address is not None, str(root)
    return Confiner(str(settings.shared or root), accounts, by_kernel, on_cluster, front_end)


def _cluster(root: Path, settings: Settings, own_id: str, open_ones: ExitStack) -> Cluster | None:
    """Return the cluster on which boards run, if it is not this machine.

    Raises:
        ConfigurationError: it cannot be used.
    """
    if settings.ray_address is None:
        return None
    cluster = Cluster(settings.ray_address, f"modelarts-{own_id}", root / "cluster.log")
    try:
        cluster.open()
    except ClusterError as error:
        raise ConfigurationError(str(error)) from None
    open_ones.callback(cluster.close)
    _LOG.info("boards and trainings run on the Ray cluster at %s", settings.ray_address)
    return cluster


def _gpus(cluster: Cluster) -> int:
    try:
        return cluster.sizes()[1]
    except ClusterError as error:
        raise ConfigurationError(str(error)) from None


def _types(settings: Settings, cluster_gpus: int | None) -> tuple[MachineTypes, Datasets]:
    try:
        types = MachineTypes(settings.engines, settings.flavors, cluster_gpus)
        return types, Datasets(settings.datasets)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _limits(settings: Settings) -> dict[str, str]:
    """Return the limits of the service, for people."""
    sleep = settings.sleep_after
    memory = settings.training_memory or _max_memory()
    return {
        "Active jobs of a project": str(settings.max_running),
        "Calls of a user, per second": f"{settings.rate:g}",
        "Memory of a board": f"{settings.board_memory >> 20} MiB",
        "A board sleeps after": f"{sleep / 60:g} minutes without a visit" if sleep else "never",
        "Trainings at once": str(_max_trainings(settings)),
        "Memory of a training": f"{memory >> 20} MiB",
        "Logs are read from": settings.source.endpoint if settings.source else "this machine",
    }


def _max_trainings(settings: Settings) -> int:
    """Return how many trainings run at once; on a cluster, how many Ray is asked to run."""
    if settings.max_trainings is not None:
        return settings.max_trainings
    return ClusterTrainings.threads if settings.ray_address is not None else os.cpu_count() or 1


def _max_memory() -> int:
    """Nine tenths of the memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 10 * 9


def _mounts(root: Path, settings: Settings) -> dict[str, Mount]:
    try:
        pairs = [mount_option(text, root) for text in settings.mounts]
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    mounts = dict(pairs)
    if len(mounts) < len(pairs):
        raise ConfigurationError("--mount: two have the same name")
    return mounts


def _folders(root: Path, settings: Settings, mounts: dict[str, Mount]) -> LogSource:
    if settings.source is None:
        return MountedLogs(root, mounts, LocalFolders(root / "obs"))
    from modelarts.local.logs.obs_source import Mirrors

    is_shared = settings.shared is not None
    mirrors = Mirrors(settings.source, root / "cache", Clock(), settings.max_cached, is_shared)
    return MountedLogs(root, mounts, mirrors)


def _connection(users: Users, address: str, obs_endpoint: str) -> dict[str, Any]:
    """Return the content of ``service.json``, with the keys of the user ``local`` if it exists."""
    owner = users.by_name.get(OWNER)
    mine = {}
    if owner is not None:
        mine = {
            "project_id": owner.projects[0].project_id,
            "access_key": owner.key.access_key,
            "secret_key": owner.key.secret_key,
            "username": owner.name,
        }
    return {
        "pid": os.getpid(),
        "region_name": users.region_name,
        "account": users.account,
        **mine,
        "iam_endpoint": address,
        "modelarts_endpoint": address,
        "obs_endpoint": obs_endpoint,
    }
