"""The commands that change a world: `cut A B reset`, `crash A`, `app> SET k v`. Scenarios also use them.

start A · crash A (SIGKILL) · stop A (SIGTERM) · pause A · continue A · plug A (power cut) · wipe A
cut A B [silent | reset | half-open] [both | a-b | b-a] · heal A B · slow A B MILLISECONDS [BYTES-PER-SECOND]
add C 172.16.6.59:6379 ["directive value" …] · add-sentinel S4 172.16.6.104:26379 ["directive value" …]
remove A           a machine is taken off the network, or a program
directives A ["directive value" …]    the next process of A has these lines in its redis.conf
configure A DIRECTIVE VALUE    CONFIG SET and CONFIG REWRITE; in the file only, if A does not run
run KIND NAME NODE [RATE] [KEY]    a client program: writer, reader, producer, consumer, locker (`tutor.lab.programs`)
close-port A PORT · open-port A PORT    A's firewall rejects connections to a port
readdress A 172.16.6.70:6379    A, whose server does not run, has another IP address from now on
form A B C D/A     a cluster: the slots are divided among A, B and C, and D becomes a replica of A
clock A SECONDS    A's wall clock is so far ahead of the others from now on (or behind: -3600)
disk A full | free | BYTES    A's disk takes no more bytes than it has, any number, or so many; further writes fail
choose 3 · hold 3 · release 3 · delay 3 MILLISECONDS · drop 3 · duplicate 3    a pending event (`tutor.lab.choosing`)
NAME> COMMAND …    a command: from a client of that name, or at the prompt of that node; {id:A} is A's node ID
write NAME COUNT [BYTES]    so many SETs of values of that size
close NAME · wait SECONDS
"""

import re
import shlex

from engine.config.directives import Config
from engine.config.reading import FatalConfigError
from engine.config.reading import parse as parse_config
from engine.simulation import actions
from engine.simulation.actions import PROMPT, Action, ActionError
from engine.simulation.history import History
from engine.simulation.host import BASE_DIRECTIVES
from tutor.lab import choosing, programs
from tutor.lab import clusters as cl
from tutor.lab.naming import unknown
from tutor.lab.work import Work, WorkProgress, WorkSlice, finish, run
from tutor.lesson.diagnosis.model import nearest
from tutor.prompt.replies import NotRespError, ReplyParser
from tutor.prompt.words import shorten, split_args

VERBS: dict[str, type] = {
    "start": actions.Start,
    "crash": actions.Crash,
    "stop": actions.Terminate,
    "pause": actions.Pause,
    "continue": actions.Continue,
    "plug": actions.PullPlug,
    "wipe": actions.Wipe,
    "remove": actions.Remove,
}
USAGE = {
    **{verb: f"{verb} NODE" for verb in VERBS},
    "cut": "cut A B [silent | reset | half-open] [both | a-b | b-a]",
    "heal": "heal A B",
    "slow": "slow A B MILLISECONDS [BYTES-PER-SECOND]",
    "clock": "clock NODE SECONDS",
    "disk": "disk NODE [full | free | BYTES]",
    **choosing.USAGE,
    "close-port": "close-port NODE PORT",
    "open-port": "open-port NODE PORT",
    "readdress": "readdress NODE ADDRESS",
    "form": cl.USAGE,
    "add": "add NEW ADDRESS [DIRECTIVE …]",
    "add-sentinel": "add-sentinel NEW ADDRESS [DIRECTIVE …]",
    "directives": "directives NODE [DIRECTIVE …]",
    "configure": "configure NODE DIRECTIVE VALUE",
    "run": programs.USAGE,
    "write": "write NAME COUNT [BYTES]",
    "close": "close CLIENT",
    "wait": "wait SECONDS",
    "goto": "goto SECONDS",
}
NAMES = (
    *VERBS,
    "cut",
    "heal",
    "slow",
    "clock",
    "disk",
    *choosing.USAGE,
    "close-port",
    "open-port",
    "readdress",
    "form",
    "add",
    "add-sentinel",
    "directives",
    "configure",
    "run",
    "write",
    "close",
    "wait",
)
PORTS: dict[str, type[actions.ClosePort] | type[actions.OpenPort]] = {
    "close-port": actions.ClosePort,
    "open-port": actions.OpenPort,
}
PORT_DIGITS = 5
DISK_DIGITS = 15
DISK_SIZES = {"free": 0, "full": 1}  # a limit of one byte leaves no room for another
CLOCK_DIGITS = 9  # of the seconds that a clock is off: some thirty years


def run_line(history: History, text: str, clients: dict[str, str]) -> None:
    """Do what a line says; `clients` are the scenario's clients and whom they talk to. Raises ActionError."""
    finish(line_work(history, text, clients))


def line_work(history: History, text: str, clients: dict[str, str]) -> Work[None]:
    """Do what a line says, in slices (`tutor.lab.work`). Raises ActionError."""
    name, prompt, command = text.partition(">")
    if prompt and " " not in name.strip():
        argv = split_args(command.strip())
        if not argv:
            raise ActionError("a command is missing, or its quotes are unbalanced")
        speak(history, name.strip(), tuple(argv), clients)
        return
    try:
        verb, *words = shlex.split(text)
    except ValueError as error:
        raise ActionError(f"not readable: {error}" if text.strip() else "nothing to do") from error
    if verb == "wait":
        if len(words) != 1 or not words[0].replace(".", "", 1).isdigit():
            raise ActionError(USAGE["wait"])
        yield from run(history, history.world.now_us + int(float(words[0]) * 1_000_000))
        return
    if verb == "form":
        for each in cl.commands(words, history.world.hosts):
            if isinstance(each, int):
                yield from run(history, history.world.now_us + each)
            else:
                speak(history, each[0], tuple(each[1].encode().split()), clients)
        return
    if verb == "write":
        if len(words) not in (2, 3) or not all(word.isdigit() for word in words[1:]):
            raise ActionError(USAGE["write"])
        size = int(words[2]) if len(words) > 2 else 16
        part, count = WorkSlice(), int(words[1])
        for number in range(count):
            if part.over():
                yield WorkProgress(number, count, " writes")
            speak(history, words[0], (b"SET", b"load:%d" % (number % 1000), b"x" * size), clients)
        return
    if verb == "run":
        program = programs.parse(words)
        if program.name in clients:
            raise ActionError(f"there is a client {program.name} already")
        history.do(programs.action_for(program, history.world))
        return
    if verb == "configure":
        configure(history, words, clients)
        return
    if verb in choosing.USAGE:
        for act in choosing.acts(history, verb, words):
            history.do(act)
        return
    action = action_of(verb, words)
    try:
        history.do(action)
    except ActionError:
        _check_names(action, history)
        raise


def _check_names(action: Action, history: History) -> None:
    """Raise ActionError if an action failed because of a machine that does not exist, with the nearest name."""
    world = history.world
    if isinstance(action, actions.CloseClient):
        if action.client not in world.clients:
            raise ActionError(unknown("client", action.client, [name for name in world.clients if name[0] != PROMPT]))
    elif isinstance(action, actions.Cut | actions.Heal | actions.SetLink):
        for name in (action.a, action.b):
            if name not in world.machines:
                raise ActionError(unknown("node", name, [each for each in world.machines if each[0] != PROMPT]))
    elif (host := getattr(action, "host", None)) is not None and host not in world.hosts:
        if host not in world.applications:
            raise ActionError(unknown("node", host, [*world.hosts, *world.applications]))
        raise ActionError(f"{host} is a program: pause, continue, crash, start and remove are for programs, too")


def speak(history: History, name: str, argv: tuple[bytes, ...], clients: dict[str, str]) -> None:
    """Send a command from a client or at a node's prompt, which connects first if it must. Raises ActionError."""
    world = history.world
    host = clients.get(name, name)
    client = name if name in clients else PROMPT + name
    argv = tuple(cl.identify(word, world.hosts) for word in argv)
    if host not in world.hosts:
        raise ActionError(unknown("client or node", name, [*clients, *world.hosts]))
    known = world.clients.get(client)
    if known is None or not known.connection:
        history.do(actions.OpenClient(client, host))
    history.do(actions.SendCommand(client, argv))


def configure(history: History, words: list[str], clients: dict[str, str]) -> None:
    """Change a directive of a node: CONFIG SET and REWRITE, or its file if it does not run. Raises ActionError."""
    if len(words) < 3:
        raise ActionError(USAGE["configure"])
    name, directive, value = words[0], words[1].lower(), " ".join(words[2:])
    host = history.world.hosts.get(name)
    if host is None:
        raise ActionError(unknown("node", name, history.world.hosts))
    if directive not in Config.DIRECTIVES:
        near = nearest(directive, Config.DIRECTIVES)
        raise ActionError(f"there is no directive {shorten(directive)}" + (f": did you mean {near}?" if near else ""))
    if host.node is not None:
        speak(history, name, (b"CONFIG", b"SET", directive.encode(), value.encode()), clients)
        speak(history, name, (b"CONFIG", b"REWRITE"), clients)
        return
    file = host.disk.names[host.config_path]
    lines = [line.strip() for line in bytes(file.data).decode("utf-8", "replace").splitlines()]
    kept = [line for line in lines if line and line[0] != "#" and line.split()[0].lower() not in (directive, "port")]
    quoted = value if re.fullmatch(r"[^\s\"']+", value) else f'"{value}"'
    line = f"{directive} {quoted}"
    try:
        parse_config(line.encode())
    except FatalConfigError as error:
        raise ActionError(f"{line}: {error.text.decode('utf-8', 'replace').strip().splitlines()[-1]}") from None
    history.do(actions.Directives(name, tuple(each for each in (*kept, line) if each not in BASE_DIRECTIVES)))


def action_of(verb: str, words: list[str]) -> Action:
    """Return the action that words mean. Raises ActionError."""
    if verb in VERBS:
        if len(words) != 1:
            raise ActionError(USAGE[verb])
        action: Action = VERBS[verb](words[0])
        return action
    if verb == "cut" and 2 <= len(words) <= 4:
        return actions.Cut(*words)
    if verb == "heal" and len(words) == 2:
        return actions.Heal(*words)
    if verb == "slow" and len(words) in (3, 4) and all(word.isdigit() for word in words[2:]):
        return actions.SetLink(words[0], words[1], int(words[2]) * 1000, int(words[3]) if len(words) > 3 else 0)
    if verb == "clock" and len(words) == 2 and words[1].removeprefix("-").isdigit() and len(words[1]) <= CLOCK_DIGITS:
        return actions.SetClock(words[0], int(words[1]) * 1_000_000)
    if verb == "disk" and len(words) == 2 and (words[1] in DISK_SIZES or words[1].isdigit()):
        size_bytes = DISK_SIZES.get(words[1])
        return actions.DiskLimit(words[0], int(words[1][:DISK_DIGITS]) if size_bytes is None else size_bytes)
    if verb in PORTS and len(words) == 2 and words[1].isdigit() and len(words[1]) <= PORT_DIGITS:
        return PORTS[verb](words[0], int(words[1]))
    if verb == "readdress" and len(words) == 2:
        return actions.Readdress(*words)
    if verb == "add" and len(words) >= 2:
        return actions.AddHost(words[0], words[1], tuple(words[2:]))
    if verb == "add-sentinel" and len(words) >= 2:
        return actions.AddSentinel(words[0], words[1], tuple(words[2:]))
    if verb == "directives" and words:
        return actions.Directives(words[0], tuple(words[1:]))
    if verb == "close" and len(words) == 1:
        return actions.CloseClient(words[0])
    if verb in NAMES:
        raise ActionError(f"{verb} wants other words: {USAGE[verb]}")
    near = nearest(verb, NAMES)
    rather = f"did you mean {near}?" if near else f"{', '.join(NAMES)}, or NAME> COMMAND"
    raise ActionError(f"{shorten(verb)} is not an action: {rather}")


def shown(name: str) -> str:
    """Return a machine's or client's name as it is shown: the prompt at A is the learner there, `you@A`."""
    return f"you{name}" if name.startswith(PROMPT) else name


def _sent(data: bytes) -> str:
    """Return the commands in a client's bytes, or the bytes if they are not whole commands."""
    reader = ReplyParser()
    reader.feed(data)
    lines = []
    try:
        while isinstance(argv := reader.next(), list) and all(isinstance(word, bytes) for word in argv):
            lines.append(b" ".join(argv[:6]))
    except NotRespError:
        pass
    return " ".join(b"; ".join(lines or [data]).decode("utf-8", "replace").split())[:60]


def describe(action: Action) -> str:
    """Return an action as you would type it."""
    match action:
        case actions.AddHost(name, address, directives):
            return " ".join([f"add {name} {address}", *(f'"{line}"' for line in directives)])
        case actions.AddSentinel(name, address, directives):
            return " ".join([f"add-sentinel {name} {address}", *(f'"{line}"' for line in directives)])
        case actions.AddApplication(name, sentinels, master, address, _):
            return f"{name} asks {' '.join(sentinels)} for {master}" if sentinels else f"{name} writes to {address}"
        case actions.AddProgram():
            return programs.described(action)
        case actions.AddClusterApplication(name, nodes, _, _, _):
            return f"{name} writes to the cluster of {' '.join(nodes)}"
        case actions.ClosePort(host, port):
            return f"close-port {host} {port}"
        case actions.OpenPort(host, port):
            return f"open-port {host} {port}"
        case actions.Readdress(host, address):
            return f"readdress {host} {address}"
        case actions.SetLink(a, b, latency_us, speed):
            return f"slow {a} {b} {latency_us // 1000}" + (f" {speed}" if speed else "")
        case actions.SetClock(host, offset_us):
            return f"clock {host} {offset_us // 1_000_000}"
        case actions.DiskLimit(host, size_bytes):
            named = next((name for name, size in DISK_SIZES.items() if size == size_bytes), "")
            return f"disk {host} {named or size_bytes}"
        case actions.Cut(a, b, kind, direction):
            return f"cut {a} {b} {kind}" + ("" if direction == "both" else f" {direction}")
        case actions.Heal(a, b):
            return f"heal {a} {b}"
        case actions.OpenClient(client, host) | actions.OpenClientAt(client, host):
            return f"you connect to {host}" if client.startswith(PROMPT) else f"{client} connects to {host}"
        case actions.FailHandshake(client, reason):
            return f"{client.removeprefix(PROMPT).strip()}: {reason}"
        case actions.CloseClient(client):
            return f"close {client}"
        case actions.SendCommand(client, argv):
            return f"{client.removeprefix(PROMPT)}> " + b" ".join(argv[:6]).decode("utf-8", "replace")[:60]
        case actions.RawBytes(client, data):
            return f"{client.removeprefix(PROMPT).strip()}> {_sent(data)}"
        case actions.Directives(host, directives):
            return " ".join([f"directives {host}", *(f'"{line}"' for line in directives)])
        case actions.Expose(host, port):
            return f"{host} is on port {port} of this machine"
        case actions.LeaveOutside():
            return "the ports of this machine are closed"
        case actions.OutsideOpens(_, host, port):
            return f"a connection from outside, port {port}, to {host}"
        case actions.OutsideSends() | actions.OutsideEnds() | actions.OutsideAnswers() | actions.OutsideReads():
            return f"outside: {type(action).__name__.removeprefix('Outside').lower()} {action[0]}"
    if told := choosing.described(action):
        return told
    verb = next((verb for verb, kind in VERBS.items() if isinstance(action, kind)), type(action).__name__)
    return f"{verb} {action[0]}"
