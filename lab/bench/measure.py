"""Runs a command and measures it with all that it starts: `measure.py FIGURES-FILE COMMAND ARGUMENT…`.

Writes a JSON object to the file, and ends with the command's exit code. What the command leaves running is ended with
it, and counted. Processes are counted by what the kernel reports of each fork (its connector for process events, which
needs root and the machine's own process ids); threads aren't. Memory is sampled.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
NETLINK_CONNECTOR = 11
CN_IDX_PROC = CN_VAL_PROC = 1
PROC_CN_MCAST_LISTEN = 1
PROC_EVENT_FORK = 0x00000001
PROC_EVENT_EXIT = 0x80000000
SO_RCVBUFFORCE = 33
# A message: netlink's header, the connector's, and the event's kind, CPU and time.
EVENT_KIND = 16 + 20
EVENT_DATA = EVENT_KIND + 16

SAMPLE_SECONDS = 0.25


class Tree:
    """The processes that descend from this one, itself apart."""

    def __init__(self):
        self.lock = threading.Lock()
        self.alive = set()
        self.started = 0
        self.events = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
        # What one moment of a busy machine brings must fit.
        self.events.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.events.bind((0, CN_IDX_PROC))
        request = struct.pack("=IIIIHHI", CN_IDX_PROC, CN_VAL_PROC, 0, 0, 4, 0, PROC_CN_MCAST_LISTEN)
        header = struct.pack("=IHHII", 16 + len(request), 3, 0, 0, 0)
        self.events.send(header + request)
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        me = os.getpid()
        while True:
            message = self.events.recv(4096)
            (kind,) = struct.unpack_from("=I", message, EVENT_KIND)
            if kind == PROC_EVENT_FORK:
                _, parent, child, child_process = struct.unpack_from("=IIII", message, EVENT_DATA)
                if child != child_process:
                    continue  # a thread
                with self.lock:
                    if parent == me or parent in self.alive:
                        self.alive.add(child)
                        self.started += 1
            elif kind == PROC_EVENT_EXIT:
                exiting, process = struct.unpack_from("=II", message, EVENT_DATA)
                if exiting == process:
                    with self.lock:
                        self.alive.discard(process)

    def members(self):
        with self.lock:
            return list(self.alive)


def program(pid):
    """What a process's figures are told by: its program, or the script that an interpreter runs."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().decode(errors="replace").split("\0")
    if words[0].startswith("ssh: "):
        return "ssh [mux]"  # by its title, which names its socket
    interpreted = os.path.basename(words[0]).startswith(("node", "python", "sh", "bash"))
    scripts = [word for word in words[1:] if os.path.isfile(word)] if interpreted else []
    return "/".join((scripts or words)[0].split("/")[-2:])


class Memory:
    """The most memory that the tree had, and the most that a process of each program had."""

    def __init__(self, tree):
        self.tree = tree
        self.peak = 0
        self.programs = {}
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        while True:
            self.sample()
            time.sleep(SAMPLE_SECONDS)

    def sample(self):
        total = 0
        for pid in self.tree.members():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    sizes = {line.split(":")[0]: line.split()[1] for line in file if line.endswith("kB\n")}
                name = program(pid)
            except (OSError, IndexError):
                continue  # it has ended
            if not name:
                continue  # it is just ending
            # What several processes share counts once.
            total += int(sizes.get("Pss", 0))
            self.programs[name] = max(self.programs.get(name, 0), int(sizes.get("Rss", 0)) / 1024)
        self.peak = max(self.peak, total / 1024)


def machine_cpu():
    """Seconds that this machine's processors have worked since it was booted."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, interrupts, soft_interrupts = map(int, file.readline().split()[1:8])
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


def end_all(tree):
    """Ends what the command has left running, and waits for it, so that it is counted."""
    while True:
        for pid in tree.members():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def main(figures_file, *command):
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    tree = Tree()
    memory = Memory(tree)

    def give_up(number, _):
        end_all(tree)
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, give_up)

    machine_before = machine_cpu()
    start = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status = os.waitpid(child, 0)
    wall = time.monotonic() - start
    machine = machine_cpu() - machine_before
    end_all(tree)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(figures_file, "w") as file:
        figures = {
            "wallSeconds": wall,
            "clientCpuSeconds": usage.ru_utime + usage.ru_stime,
            "machineCpuSeconds": machine,
            "peakMemoryMb": memory.peak,
            "programsMb": memory.programs,
            "processes": tree.started,
        }
        json.dump(figures, file)
    return os.waitstatus_to_exitcode(status)


sys.exit(main(*sys.argv[1:]))
