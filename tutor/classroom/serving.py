"""`redis-tutor class`: making, listing, serving and stopping classes, and what it prints."""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
import time
from typing import Any

from tutor.classroom.classes import ClassError, ClassFolder, ClassSettings, every_class
from tutor.classroom.store import ClassStore, StoreError

STOP_SECONDS = 30.0


def new(name: str) -> int:
    """Make a class; returns the exit status."""
    try:
        folder = ClassFolder.create(name)
    except ClassError as error:
        return _fail(error)
    print(f"The class {name} is in {folder.path}. Its settings are in class.yaml there.")
    print(f"Begin with: redis-tutor class serve {name}")
    return 0


def print_classes() -> int:
    """List the classes; returns the exit status."""
    for folder in every_class():
        running = folder.running()
        where = f"served at {running['addresses'][0]}" if running.get("addresses") else "not served"
        try:
            store = ClassStore(folder.store) if folder.store.exists() else None
            count = len(store.learners().result()) if store is not None else 0
            if store is not None:
                store.close()
        except StoreError as error:
            print(f"{folder.name}: {error}")
            continue
        print(f"{folder.name}: {count} {'learner' if count == 1 else 'learners'}, {where}")
    return 0


def stop(name: str) -> int:
    """End the hub of a class; returns the exit status."""
    try:
        folder = ClassFolder.find(name)
    except ClassError as error:
        return _fail(error)
    running = folder.running()
    if not running:
        return _fail(f"the class {folder.name} is not served")
    with contextlib.suppress(ProcessLookupError):
        os.kill(running["pid"], signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while folder.running():
        if time.monotonic() > until:
            return _fail(f"the hub (process {running['pid']}) does not end")
        time.sleep(0.05)
    print(f"The class {folder.name} has been stopped. Everything is saved.")
    return 0


def serve(name: str, options: dict[str, Any]) -> int:
    """Serve a class until a signal; returns the exit status."""
    try:
        folder = ClassFolder.find(name)
        settings = folder.settings(**options)
        folder.lock()
    except ClassError as error:
        return _fail(error)
    try:
        store = ClassStore(folder.store)
        return asyncio.run(_serve(folder, settings, store))
    except (StoreError, ClassError) as error:
        return _fail(error)
    finally:
        with contextlib.suppress(OSError):
            folder.state.unlink()
        folder.unlock()


async def _serve(folder: ClassFolder, settings: ClassSettings, store: ClassStore) -> int:
    from tutor.classroom.hub import ClassRefusal, Hub
    from tutor.classroom.web import ClassServer

    try:
        hub = Hub(folder, settings, store)
    except ClassRefusal as error:
        store.close()
        return _fail(error)
    await hub.start()
    server = ClassServer(hub)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    status = 0
    try:
        await server.start()
    except ssl.SSLError as error:
        status = _fail(f"{settings.cert} and {settings.key} cannot be used: {error.reason or error}")
    except OSError as error:
        where = f"{settings.bind}:{settings.port}"
        missing = error.filename or (settings.cert if settings.cert and error.errno in (2, 13) else "")
        status = _fail(f"{missing or f'the hub cannot listen on {where}'}: {os.strerror(error.errno or 0)}")
    else:
        folder.say_running(server.addresses())
        teacher = f"{server.addresses()[0]}/teacher#{await hub.teacher_token()}"
        print_welcome(folder.name, server.addresses()[0], server.join_url(), hub.join_code, teacher)
        await ended.wait()
        print("Saving and closing the terminals of the class.", flush=True)
    await server.close()
    await hub.close()
    return status


def print_welcome(name: str, address: str, join_url: str, join_code: str, teacher: str) -> None:
    """Print how to join a class."""
    import segno

    from tutor.classroom.codes import grouped

    if sys.stdout.isatty():
        segno.make(join_url).terminal(compact=True)
    print(f"Class {name}")
    print(f"  Learners: {address}   code {grouped(join_code)}")
    print(f"  Teacher:  {teacher}")
    print("The teacher's link is secret. Ctrl-C ends the class; everything is saved.", flush=True)


def _fail(problem: object) -> int:
    print(f"redis-tutor: {problem}", file=sys.stderr)
    return 1
