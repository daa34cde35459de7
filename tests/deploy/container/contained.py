"""A process in the image as a container run time would start it: PID 1 of its own process tree, the
image's user without privileges, the root file system read-only, nothing but loopback."""

import os
import subprocess
import threading

import gateway

INSIDE = """
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" "$root" "$@"
"""


class Contained(gateway.Gateway):
    """`docker run --read-only IMAGE ARGS` with `settings`; talks to it like any gateway."""

    def __init__(self, root, image, *args, key=gateway.KEY, wait=True, **settings):
        self.host, self.port, self.key = "127.0.0.1", 8080, key
        self.context = self.unix = self.status = None
        self.root, self.image = root, image
        self.environment = dict(pair.split("=", 1) for pair in image["Env"])
        self.environment.update({name: str(value) for name, value in settings.items()})
        if key:
            self.environment["API_KEY"] = key
        self.lines, self.errors = [], []
        self.process = self.start(*(args or image["Cmd"]), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        self.readers = [self._read(self.process.stdout, self.lines),
                        self._read(self.process.stderr, self.errors)]
        if wait:
            self.wait_ready()

    def start(self, *args, **more):
        return subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--propagation", "private", "sh", "-ec",
             INSIDE, "sh", self.root, self.image["User"], *self.image["Entrypoint"], *args],
            env=self.environment, stdin=subprocess.DEVNULL, **more)

    def run(self, *args, timeout=30):
        """Another command in the same container."""
        process = self.start(*args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        killer = threading.Timer(timeout, lambda: os.kill(child(process.pid), 9))
        killer.start()
        output = process.communicate()[0].decode()
        killer.cancel()
        return process.returncode, output

    @property
    def pid(self):
        return child(self.process.pid)

    def terminate(self):
        os.kill(self.pid, 15)

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.pid, 9)
        self.process.wait()
        for reader in self.readers:
            reader.join(5)


def child(pid):
    def found():
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
            return file.read().split()
    children = gateway.wait_for(found)
    assert children, "no child of %d" % pid
    return int(children[0])
