"""Programs of unpacked packages, run as if they were installed, with nothing of the machine touched.

packages.sh unpacks the mail servers to build/real/tree. A Sandbox is a mount and process namespace
in which /usr and /etc also show what is in that tree, /etc/passwd names the users the servers
want, and /run and /var/spool/smtpd are its own. The network is the machine's: servers listen on
its loopback. The end of the sandbox is the end of every process in it, whatever happened.
"""

import grp
import os
import pwd
import shlex
import subprocess
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BEDS = os.path.join(ROOT, "build", "real")
TREE = os.path.join(BEDS, "tree")
USERS = ("postfix", "postdrop", "dovecot", "dovenull", "Debian-exim", "opensmtpd", "opensmtpq",
         "_smtpd", "_smtpq", "vmail")
MOUNTS = """\
set -e
overlay() { mount -t overlay bed -o ro,lowerdir="$1" "$2"; }
overlay etc:tree/etc:/etc /etc
overlay tree/usr:/usr /usr
overlay var:/var /var
mount --bind spool /var/spool/smtpd
mount -t tmpfs -o mode=755 run /run
"""


def free_ids(count):
    taken = {user.pw_uid for user in pwd.getpwall()} | {group.gr_gid for group in grp.getgrall()}
    found = (number for number in range(61200, 64000) if number not in taken)
    return [next(found) for _ in range(count)]


def why_not():
    """Why no sandbox can be had here, or None."""
    if os.geteuid():
        return "mail servers need several users: run as root"
    if not os.path.exists(os.path.join(BEDS, "servers.txt")):
        return "the mail servers are not unpacked: run tests/system/real/packages.sh"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--fork", "mount", "-t", "overlay", "bed",
                            "-o", "ro,lowerdir=%s/etc:/etc" % TREE, "/etc"],
                           capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else "no mount namespace here: " + tried.stderr.strip()


class Sandbox:
    def __init__(self):
        # Not below a folder of pytest's: those are closed to the servers' own users.
        self.folder = tempfile.mkdtemp(prefix="lettergate-bed-")
        os.chmod(self.folder, 0o755)
        self.process = None
        for name in ("etc", "spool", "var/spool/smtpd", "var/lib/opensmtpd/empty", "var/empty",
                     "log", "mail"):
            os.makedirs(self.path(name))
        os.symlink(TREE, self.path("tree"))
        self.ids = dict(zip(USERS, free_ids(len(USERS))))
        self._write_users()
        os.chown(self.path("mail"), self.ids["vmail"], self.ids["vmail"])

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, content, owner=None, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(content)
        os.chmod(path, mode)
        if owner:
            os.chown(path, self.ids[owner], self.ids[owner])
        return path

    def folder_of(self, name, owner, mode=0o755):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        os.chown(path, self.ids[owner], self.ids[owner])
        return path

    def _write_users(self):
        for name, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/bin/sh\n"),
                           ("group", "{0}:x:{1}:\n")):
            with open("/etc/" + name, encoding="utf-8") as own:
                kept = [entry for entry in own if entry.split(":")[0] not in self.ids]
            self.write("etc/" + name, "".join(kept) + "".join(
                line.format(user, number) for user, number in self.ids.items()))

    def command(self, script):
        # Mounts are made from within the folder: an option's value has colons and commas of its own.
        return ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
                "--mount-proc", "bash", "-c", MOUNTS + script]

    def run(self, script, **more):
        """Runs a script in a sandbox like this one, to its end."""
        return subprocess.run(self.command(script), cwd=self.folder, capture_output=True, text=True,
                              check=False, **more)

    def start(self, *commands):
        """Starts daemons that stay in the foreground; the sandbox ends when one of them does."""
        script = "".join("%s &\n" % shlex.join(command) for command in commands)
        script += "wait -n\n"
        with open(self.path("log", "output"), "ab") as output:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(self.command(script), cwd=self.folder, stdout=output,
                                            stderr=output, stdin=subprocess.DEVNULL,
                                            start_new_session=True)

    def ended(self):
        return self.process is None or self.process.poll() is not None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        # Some servers give files away for good; root may delete them all the same.
        subprocess.run(["rm", "-rf", self.folder], check=False)
